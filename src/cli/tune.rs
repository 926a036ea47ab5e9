//! `tune`: measures the running worker, and proposes better numbers as lines of its pipeline files; with `--apply` it tries them, and keeps what helps.

mod advice;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use self::advice::{Bounds, Numbers, Proposal};
use super::drawing::paragraph;
use super::explain::{Explanation, read, worker};
use super::market::failed;
use super::print;
use super::signals::Signals;
use super::text::clean;
use crate::clients::worker::Worker;
use crate::definition::edit;
use crate::settings::Settings;

/// What a change must bring at least, beyond what the figures sway by themselves.
const GAIN_LEAST: f64 = 0.05;
/// What is settled by then belongs to the numbers of before.
const SETTLE_DOWN: Duration = Duration::from_secs(2);

/// Measure the running worker, and propose better batch sizes and numbers of workers, with the evidence.
///
/// What limits a pipeline is doubled, within bounds. With --apply each change is written to the pipeline's file (which stays as it is otherwise), taken up by
/// the worker while it runs, and kept when more gets through by more than the figures sway by themselves; else it is taken back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside tune
  broadside tune kills --apply --duration 30
  broadside tune --apply --concurrency-max 8 --batch-size-max 500")]
pub struct Args {
    /// Only this pipeline.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: Option<String>,
    /// Measure so many seconds each time.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(4..=60))]
    pub duration: u32,
    /// Try the changes, and keep those that help.
    #[arg(long)]
    pub apply: bool,
    /// Try so many changes of a pipeline at most.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub steps: u32,
    /// No group gets more workers than this.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub concurrency_max: usize,
    /// No batch gets larger than this.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub batch_size_max: usize,
    /// No more are in flight than this.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub in_flight_max: usize,
    /// The folder with the worker's pipeline files [default: pipelines].
    #[arg(long, value_name = "DIR")]
    pub pipelines: Option<PathBuf>,
    /// The running worker: its address, or its URL [default: http://127.0.0.1:4010].
    #[arg(long, value_name = "URL", env = "BROADSIDE_LISTEN")]
    pub worker: Option<String>,
}

/// Measures, proposes and, when asked to, tries.
///
/// # Errors
/// No worker is there; or, with `--apply`, a file cannot be changed or the worker does not take it up.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let (worker, url) = worker(args.worker.as_deref(), &settings)?;
    let bounds = Bounds {
        concurrency: args.concurrency_max,
        batch_size: args.batch_size_max,
        in_flight: args.in_flight_max,
        cores: available_parallelism().map_or(1, usize::from),
    };
    let tuner = Tuner { worker, url, bounds, args };
    let mut written = None;
    tokio::select! {
        tuned = tuner.all(&mut written) => tuned?,
        caught = signals.next() => {
            // A change that nobody has judged yet is not left behind.
            if let Some((path, text)) = written {
                std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
                let _ = tuner.worker.reload().await;
                print("interrupted: the last change is taken back");
            }
            return Ok(ExitCode::from(caught.exit_code()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

struct Tuner {
    worker: Worker,
    url: String,
    bounds: Bounds,
    args: Args,
}

/// A file, and its text before the change that is being tried.
type Written = Option<(PathBuf, String)>;

impl Tuner {
    async fn all(&self, written: &mut Written) -> anyhow::Result<()> {
        print(&format!("measuring for {} s …", self.args.duration));
        let measured = self.measure().await?;
        let wanted = |said: &&Explanation| self.args.pipeline.as_ref().is_none_or(|name| *name == said.pipeline);
        for said in measured.iter().filter(wanted) {
            print(&format!("\n{}", clean(&said.pipeline, false)));
            if self.args.apply { self.climb(said, written).await? } else { self.propose(said).await? }
        }
        Ok(())
    }

    /// What the worker says of the time from now on.
    async fn measure(&self) -> anyhow::Result<Vec<Explanation>> {
        tokio::time::sleep(Duration::from_secs(self.args.duration.into())).await;
        read(&self.worker.explain(self.args.duration).await.map_err(|error| failed(&self.url, &error))?)
    }

    async fn measure_one(&self, pipeline: &str) -> anyhow::Result<Explanation> {
        let said = self.measure().await?.into_iter().find(|said| said.pipeline == pipeline);
        said.with_context(|| format!("the worker runs no pipeline {} any more", clean(pipeline, false)))
    }

    async fn numbers(&self, pipeline: &str) -> anyhow::Result<Numbers> {
        let answer = self.worker.pipelines().await.map_err(|error| failed(&self.url, &error))?;
        Ok(Numbers::of(&answer, pipeline))
    }

    fn tell(said: &Explanation) {
        print(&paragraph(&clean(&said.sentence, false)));
        advice::evidence(said).iter().for_each(|line| print(&format!("    {}", clean(line, false))));
    }

    async fn propose(&self, said: &Explanation) -> anyhow::Result<()> {
        Self::tell(said);
        match advice::next(said, &self.numbers(&said.pipeline).await?, self.bounds, &BTreeSet::new()) {
            None => print("  No number within the bounds would help."),
            Some(Proposal { edit, from, why }) => {
                let file = format!("{}.toml", clean(&said.pipeline, false));
                print(&format!(
                    "  Proposed, in {file} (--apply tries it):\n\n{}",
                    edit.lines(&format!("was {from}: {why}"))
                ));
            }
        }
        Ok(())
    }

    /// One change after the other, each judged by what is settled a second.
    async fn climb(&self, first: &Explanation, written: &mut Written) -> anyhow::Result<()> {
        let pipeline = &first.pipeline;
        let path = edit::file(self.args.pipelines.as_deref(), pipeline);
        let path = path
            .with_context(|| format!("there is no file {pipeline}.toml to change: name its folder with --pipelines"))?;
        let (mut said, mut tried) = (first.clone(), BTreeSet::new());
        let again = self.measure_one(pipeline).await?;
        let sway = sway(said.settled_per_second, again.settled_per_second);
        print(&format!(
            "  settled {:.0}/s, then {:.0}/s: the figures sway by {:.1} %",
            said.settled_per_second,
            again.settled_per_second,
            100.0 * sway
        ));
        said = again;
        for _ in 0..self.args.steps {
            Self::tell(&said);
            let numbers = self.numbers(pipeline).await?;
            let Some(proposal) = advice::next(&said, &numbers, self.bounds, &tried) else {
                print("  No further number within the bounds would help.");
                break;
            };
            let Proposal { edit, from, .. } = &proposal;
            let setting = edit.setting();
            print(&format!("  trying {setting} {from} → {}", edit.value));
            let before =
                std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
            let text = edit::edit(&before, std::slice::from_ref(edit))
                .map_err(|error| anyhow::anyhow!("failed to {error}"))?;
            *written = Some((path.clone(), before.clone()));
            self.take_up(&path, &text, &before).await?;
            tokio::time::sleep(SETTLE_DOWN).await;
            let now = self.measure_one(pipeline).await?;
            let gain = now.settled_per_second / said.settled_per_second.max(1e-9) - 1.0;
            let (then, after) = (said.settled_per_second, now.settled_per_second);
            if gain >= GAIN_LEAST.max(2.0 * sway) {
                print(&format!(
                    "  kept: {then:.0}/s → {after:.0}/s ({:+.1} %)\n\n{}\n",
                    100.0 * gain,
                    edit.lines(&format!("was {from}"))
                ));
                said = now;
            } else {
                print(&format!("  taken back: {then:.0}/s → {after:.0}/s ({:+.1} %) is no gain", 100.0 * gain));
                tried.insert(setting);
                self.take_up(&path, &before, &text).await?;
            }
            *written = None;
        }
        Ok(())
    }

    /// Writes the file and has the worker follow; when it does not, the file is as it was.
    async fn take_up(&self, path: &Path, text: &str, before: &str) -> anyhow::Result<()> {
        let write =
            |text: &str| std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()));
        write(text)?;
        let answer = self.worker.reload().await;
        let problem = match &answer {
            Ok(reload) if matches!(reload["outcome"].as_str(), Some("done" | "unchanged")) => return Ok(()),
            Ok(reload) => reload["problems"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join("; "),
            Err(error) => format!("failed to {error}"),
        };
        write(before)?;
        anyhow::bail!("the worker did not take up {}: {}", path.display(), clean(&problem, false))
    }
}

/// How far two measurements of the same are apart.
fn sway(one: f64, other: f64) -> f64 {
    (one - other).abs() / one.max(other).max(1e-9)
}
