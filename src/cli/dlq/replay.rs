//! `dlq replay`: letters through their own pipeline's stages and sinks: by the running worker, else by this command.

use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::HumanCount;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::SharedStore;
use super::chosen::Chosen;
use super::told;
use crate::cli::market::url;
use crate::cli::progress::{Pace, Progress, Unit};
use crate::cli::rerun::OfFiles;
use crate::cli::signals::Signals;
use crate::cli::worker::resources;
use crate::cli::{Usage, print};
use crate::clients::worker::{Error, Worker};
use crate::dead_letter::{Plan, REPLAYABLE, Replay, Snapshot, Standing, Told, choose};
use crate::settings::Settings;

/// Put letters through their pipeline again, from the stage that failed; sinks that have them already are passed over.
///
/// The running worker does it, when there is one on the same database; else this command does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside dlq replay --stage db_insert --dry-run --diff
  broadside dlq replay --group 0123456789abcdef --rate 50/s --stop-after-failures 10
  broadside dlq replay --since 2h --max 1000")]
pub struct Args {
    #[command(flatten)]
    pub chosen: Chosen,
    /// Say of each whether it would succeed, fail as before, or fail otherwise; change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Of a dry run: show the rows that would be written, before and after.
    #[arg(long, requires = "dry_run")]
    pub diff: bool,
    /// Begin with the raw bytes, at the first stage, whatever is known of the letter.
    #[arg(long)]
    pub from_start: bool,
    /// At most so many letters a second: 50, or 50/s.
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub rate: Option<u32>,
    /// At most so many letters.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max: Option<u64>,
    /// Stop when so many have failed.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    pub stop_after_failures: Option<u64>,
    /// One JSON object for each letter.
    #[arg(long)]
    pub json: bool,
    /// The folder with pipeline files, where there is no worker [default: pipelines, or the shipped ones where there is none].
    #[arg(long, value_name = "DIR")]
    pub pipelines: Option<PathBuf>,
}

/// `50`, `50/s`.
fn rate(text: &str) -> Result<u32, String> {
    let number = text.trim().strip_suffix("/s").unwrap_or(text).trim();
    let rate = number.parse().ok().filter(|rate| *rate > 0);
    rate.ok_or_else(|| "a rate is a number of letters a second, such as 50 or 50/s".to_owned())
}

impl Args {
    fn plan(&self) -> Plan {
        Plan {
            dry_run: self.dry_run,
            diff: self.diff,
            from_start: self.from_start,
            rate: self.rate,
            max: self.max,
            stop_after_failures: self.stop_after_failures,
        }
    }
}

/// Has it done, and watches it to its end.
pub(super) async fn run(
    store: &SharedStore,
    args: &Args,
    worker: Option<&str>,
    settings: &Settings,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    // a mistake is told before anybody is asked
    let filter = args.chosen.selection().filter(&REPLAYABLE, Timestamp::now());
    let filter = filter.map_err(|problem| Usage(problem.to_string()))?;
    let address = url(worker);
    let client = Worker::new(&address, settings.contact.as_deref(), settings.api_token.as_deref());
    let client = client.map_err(|error| Usage(format!("failed to {error}")))?;
    let database = store.database_identity().await.map_err(super::failed)?;
    match client.order_replay(&order(args, &database)).await {
        Ok(ordered) => watch(&client, &ordered, args, &mut signals).await,
        Err(error) => {
            let Some(why) = instead(&error, &address) else { return Err(anyhow::anyhow!("failed to {error}")) };
            eprintln!("{why}: this command does it");
            let letters = choose(&**store, &filter, args.max).await.map_err(super::failed)?;
            here(store, args, settings, Replay::new(0, args.plan(), letters), &mut signals).await
        }
    }
}

/// Why the worker does not do it, if this command is to.
fn instead(error: &Error, address: &str) -> Option<String> {
    match error {
        Error::Refused { code, .. } if code == "other_database" => {
            Some(format!("the worker at {address} is on another database"))
        }
        Error::Refused { code, message, .. } if code == "elsewhere" => {
            Some(format!("the worker at {address} refuses: {message}"))
        }
        Error::Refused { message, .. } if error.is_away() => Some(format!("the worker at {address} cannot: {message}")),
        error if error.is_away() => Some(format!("no worker answers at {address}")),
        _ => None,
    }
}

fn order(args: &Args, database: &str) -> Value {
    let mut fields = json!(args.plan());
    if let (Value::Object(fields), Value::Object(which)) = (&mut fields, json!(args.chosen)) {
        fields.extend(which);
        fields.insert("database".to_owned(), database.into());
        // what is not said is left out
        fields.retain(|_, value| !value.is_null());
    }
    fields
}

/// Follows a replay of the worker's. The first signal stops it, the second one leaves it.
async fn watch(client: &Worker, ordered: &Value, args: &Args, signals: &mut Signals) -> anyhow::Result<ExitCode> {
    let read = |value: &Value| serde_json::from_value::<Snapshot>(value.clone());
    let mut shown = Watched::new(&read(ordered)?, args);
    let id = shown.snapshot.replay;
    let (mut after, mut is_stopping) = (0, false);
    let mut every = tokio::time::interval(std::time::Duration::from_millis(200));
    loop {
        let page = client.replay(id, after).await.map_err(|error| anyhow::anyhow!("failed to {error}"))?;
        let reports: Vec<Told> = serde_json::from_value(page["reports"].clone())?;
        after = page["next"].as_u64().unwrap_or(after);
        shown.show(read(&page)?, &reports);
        if !reports.is_empty() {
            continue;
        }
        if shown.snapshot.state != Standing::Running {
            return Ok(shown.end(0));
        }
        tokio::select! {
            _ = every.tick() => {}
            caught = signals.next() => {
                if std::mem::replace(&mut is_stopping, true) {
                    return Ok(ExitCode::from(caught.exit_code()));
                }
                client.stop_replay(id).await.map_err(|error| anyhow::anyhow!("failed to {error}"))?;
            }
        }
    }
}

/// Does it in this process. The first signal stops it, the second one ends the process.
async fn here(
    store: &SharedStore,
    args: &Args,
    settings: &Settings,
    replay: Replay,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    let files = OfFiles::new(args.pipelines.clone(), resources(store.clone(), settings, true));
    let mut shown = Watched::new(&replay.snapshot(), args);
    let (mut after, mut is_stopping) = (0, false);
    let mut every = tokio::time::interval(std::time::Duration::from_millis(100));
    {
        let mut running = std::pin::pin!(replay.run(store, &files));
        loop {
            tokio::select! {
                () = &mut running => break,
                _ = every.tick() => after = shown.take(&replay, after),
                caught = signals.next() => {
                    if std::mem::replace(&mut is_stopping, true) {
                        std::process::exit(i32::from(caught.exit_code()));
                    }
                    replay.stop();
                }
            }
        }
    }
    shown.take(&replay, after);
    files.end().await;
    Ok(shown.end(replay.abandoned()))
}

/// What is shown of a replay as it goes.
struct Watched<'a> {
    args: &'a Args,
    snapshot: Snapshot,
    progress: Progress,
    pace: Pace,
}

impl<'a> Watched<'a> {
    fn new(snapshot: &Snapshot, args: &'a Args) -> Self {
        let progress = Progress::new(Some((snapshot.letters, Unit::Shares)));
        Self { args, snapshot: snapshot.clone(), progress, pace: Pace::new() }
    }

    /// Shows all there is of a replay in this process.
    fn take(&mut self, replay: &Replay, mut after: u64) -> u64 {
        loop {
            let snapshot = replay.snapshot();
            let (reports, next) = replay.reports.since(after, 1_000);
            self.show(snapshot, &reports);
            if reports.is_empty() {
                return next;
            }
            after = next;
        }
    }

    fn show(&mut self, snapshot: Snapshot, reports: &[Told]) {
        let lines: Vec<String> = reports.iter().filter_map(|report| told::line(report, self.args)).collect();
        if !lines.is_empty() {
            self.progress.aside(|| print(&lines.join("\n")));
        }
        let figures = format!("{}  {}", self.pace.look(snapshot.done), told::sum(&snapshot));
        self.progress.show(snapshot.done, &figures);
        self.snapshot = snapshot;
    }

    /// The last word, and the code.
    fn end(self, abandoned: u64) -> ExitCode {
        let Self { args, snapshot, progress, .. } = self;
        progress.finish();
        if !args.json {
            print(&told::sum(&snapshot));
        }
        if let Some(problem) = &snapshot.problem {
            eprintln!("broadside: {problem}");
            return ExitCode::FAILURE;
        }
        if snapshot.state == Standing::Stopped {
            eprintln!("stopped: {} letters were not tried", HumanCount(snapshot.letters - snapshot.done));
        }
        if abandoned > 0 {
            eprintln!("broadside: the drain deadline passed: {} letters are open again", HumanCount(abandoned));
            return ExitCode::from(3);
        }
        let failed = snapshot.same_failure + snapshot.new_failure;
        let asked = args.chosen.ids.len() as u64;
        let is_done = snapshot.plan.dry_run || (failed == 0 && snapshot.succeeded >= asked);
        if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_a_second() {
        assert_eq!((rate("50"), rate("50/s"), rate("7 /s")), (Ok(50), Ok(50), Ok(7)));
        for text in ["", "0", "-1", "fast", "50/m"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
