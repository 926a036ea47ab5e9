//! `backfill`: history through the kills pipeline's own stages and sinks.

mod days;
mod reading;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use broadside_engine::pipeline::Pipeline;
use broadside_engine::{Factory, Outcome, Topology};
use indicatif::HumanCount;

use super::ending::{self, Ended};
use super::opening::{open_store, unless_signalled, wait_for_store};
use super::progress::{Pace, Progress, rate};
use super::signals::Signals;
use super::surveillance::Keeper;
use super::worker::{ledgers, resources};
use super::{Database, Usage, print};
use crate::definition::{Definition, environment, select};
use crate::killmail::Kill;
use crate::resources::Resources;
use crate::settings::Settings;
use crate::sinks;
use crate::sources::{file, history};
use crate::store::{Health, Store};
use days::Days;
use reading::Reading;

/// Feed history through the kills pipeline: files of killmails, or whole days.
///
/// Files: killmails as ESI has them, zKillboard packages, or wanderer-kills' own form; one a line (NDJSON), one JSON array or object of them, or EVE Ref's daily
/// tars; plain, .gz or .bz2. Days: fetched from zKillboard or EVE Ref, which need an address to write to in BROADSIDE_CONTACT. Kills that are stored already change
/// nothing. After an interruption, the same command goes on where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside backfill 2026-01-*.ndjson.gz --database sqlite://kills.db
  broadside backfill killmails-2026-01-02.tar.bz2
  BROADSIDE_CONTACT=you@example.org broadside backfill --day 2026-01-01 --to 2026-01-31
  BROADSIDE_CONTACT=you@example.org broadside backfill --day 2026-01-01 --archive everef")]
pub struct Args {
    /// Files of killmails.
    #[arg(value_name = "FILE", required_unless_present = "day")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub days: Days,
    /// The folder with kills.toml [default: pipelines, or the shipped one where there is none].
    #[arg(long, value_name = "DIR")]
    pub pipelines: Option<PathBuf>,
    /// Write killfeed events and publish, as for live kills.
    #[arg(long)]
    pub publish: bool,
    /// End with 1 when the database is away, instead of waiting for it.
    #[arg(long)]
    pub fail_fast: bool,
    #[command(flatten)]
    pub database: Database,
}

/// Runs the kills through, and says what became of them.
///
/// # Errors
/// A file is not there, the days or the definition are wrong, or the database cannot be opened.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let days = args.days.source(&settings)?;
    for file in &args.files {
        check_file(file)?;
    }
    let mut definition = kills(&args)?;
    if !args.publish {
        without_publishing(&mut definition);
    }
    let Some(store) = unless_signalled(&mut signals, open(&args)).await else {
        print("interrupted before the database was open: nothing was read");
        return Ok(ExitCode::SUCCESS);
    };
    let store = store?;
    let resources = resources(store.clone(), &settings, args.publish);
    // History is news to nobody.
    resources.desk.shut();
    super::statics::take_up(&resources).await;
    let surveillance = Keeper::take_up([&definition], &resources).await.map(Keeper::start);
    let (source, reading) = source(&args, days.as_ref(), &definition.name, &resources)?;
    let topology = topology(&definition, if days.is_some() { "history" } else { "file" });
    let pipeline = Pipeline::start(topology, definition.build_with_source(&resources, source));
    let pipeline = pipeline.context("failed to start the pipeline")?;
    let started = Instant::now();
    let (ended, interrupted) = watch(&pipeline, &reading, &mut signals).await;
    if let Some(days) = &days {
        days.clean_up().await;
    }
    if let Some(surveillance) = surveillance {
        surveillance.end().await;
    }
    store.close().await;
    print(&ledgers(std::slice::from_ref(&ended)));
    reading.summary().iter().for_each(|summary| print(summary));
    print(&outcome(&ended, &resources, started.elapsed()));
    if interrupted {
        print("interrupted: run the same command again to go on from here");
    }
    Ok(ending::exit_code(&[ended]))
}

fn outcome(ended: &Ended, resources: &Resources, took: Duration) -> String {
    let ledger = &ended.report.ledger;
    format!(
        "stored {} new kills; dead letters {}; {} in {:.1} s: {}",
        HumanCount(resources.stored.load(Ordering::Relaxed)),
        HumanCount(ledger.outcome(Outcome::DeadLettered)),
        HumanCount(ledger.received),
        took.as_secs_f64(),
        rate(ledger.received, took)
    )
}

/// What the arguments ask to be read.
fn source(
    args: &Args,
    days: Option<&history::Config>,
    pipeline: &str,
    resources: &Resources,
) -> Result<(Arc<dyn Factory<Kill>>, Reading), Usage> {
    if let Some(days) = days {
        let source = days.open(pipeline, resources).map_err(Usage)?;
        let reading = Reading::Days(source.progress());
        return Ok((Arc::new(source), reading));
    }
    let files = file::Config { paths: args.files.clone(), ..file::Config::default() };
    let source = files.open(pipeline, resources).map_err(Usage)?;
    let reading = Reading::Files(source.progress());
    Ok((Arc::new(source), reading))
}

async fn open(args: &Args) -> anyhow::Result<Arc<dyn Store>> {
    let url = &args.database.url;
    if args.fail_fast { open_store(url, true).await } else { wait_for_store(url, true, &Health::default()).await }
}

fn check_file(file: &PathBuf) -> Result<(), Usage> {
    match std::fs::File::open(file).and_then(|opened| opened.metadata()) {
        Ok(metadata) if metadata.is_dir() => Err(Usage(format!("{} is a folder: name files", file.display()))),
        Ok(_) => Ok(()),
        Err(error) => Err(Usage(format!("failed to open {}: {error}", file.display()))),
    }
}

/// The kills pipeline; what it says of its own source does not matter here.
fn kills(args: &Args) -> anyhow::Result<Definition> {
    let selection = select(&["kills".to_owned()], args.pipelines.as_deref(), &environment::process)?;
    selection.definitions.into_iter().next().context("there is no kills pipeline")
}

/// Leaves out what only live readers need, and chains the rest together again.
fn without_publishing(definition: &mut Definition) {
    let publishes = |name: &str| matches!(definition.sinks.get(name), Some(sinks::Config::Pubsub(_)));
    let (out, mut left): (Vec<_>, Vec<_>) = definition.topology.batchers.drain(..).partition(|b| publishes(&b.name));
    for batcher in &mut left {
        // A chain has no circle, so this ends.
        while let Some(before) = out.iter().find(|o| batcher.after.as_deref() == Some(&o.name)) {
            batcher.after.clone_from(&before.after);
        }
    }
    definition.topology.batchers = left;
    for batcher in out {
        definition.sinks.remove(&batcher.name);
    }
}

/// The pipeline's shape, at full speed: its rate limit spares the live feed, and history needs no sparing.
fn topology(definition: &Definition, source: &str) -> Topology {
    let mut topology = definition.topology.clone();
    // What a day holds, it holds: a probe would not make it better.
    topology.breaker = None;
    source.clone_into(&mut topology.source.name);
    topology.source.rate_limit = None;
    // What is wrong with a file is still wrong at the second look, and days are asked for again by their client.
    topology.source.restart.restarts = 0;
    topology
}

/// Shows figures until the files are through or a signal has drained the pipeline (true). A second signal ends the process.
async fn watch(pipeline: &Pipeline, reading: &Reading, signals: &mut Signals) -> (Ended, bool) {
    let mut progress = Progress::new(Some(reading.total()));
    let mut pace = Pace::new();
    let mut every = tokio::time::interval(progress.every());
    let mut finished = std::pin::pin!(pipeline.finished());
    let mut interrupted = false;
    let report = loop {
        tokio::select! {
            report = &mut finished => break report,
            _ = every.tick() => {
                let ledger = pipeline.status().ledger;
                let (words, pace) = (reading.words(), pace.look(ledger.received));
                progress.show(reading.position(), &format!("{words}{pace}  {}", ending::ledger(&ledger)));
            }
            caught = signals.next() => {
                if interrupted {
                    std::process::exit(i32::from(caught.exit_code()));
                }
                interrupted = true;
                pipeline.drain();
            }
        }
    };
    progress.finish();
    (Ended { pipeline: pipeline.topology().name.clone(), report }, interrupted)
}
