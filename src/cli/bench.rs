//! `bench`: how much this machine carries.
//!
//! `kills` runs a pipeline file's own stages and sinks on made-up kills, with latency from received to settled. `noop` and `decode`
//! run the engine alone, with latency from the source's push to the stage and to the sink. `market` writes made-up orders to the store.

mod ceiling;
mod engine;
mod market;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use async_trait::async_trait;
use broadside_engine::pipeline::Pipeline;
use broadside_engine::{Acknowledger, Factory, Failure, Message, Source};
use hdrhistogram::Histogram;

use super::ending::{self, Ended};
use super::opening::open_store;
use super::progress::{Pace, Progress, rate};
use super::signals::Signals;
use super::worker::{ledgers, resources};
use super::{Usage, print};
use crate::definition::{Definition, environment, select};
use crate::duration::Span;
use crate::killmail::Kill;
use crate::settings::Settings;
use crate::sources::generator;
use usage::Used;

/// Measure throughput, latency, CPU and memory.
///
/// Without --rate: as fast as it goes; then latency says how long kills waited, not how fast the worker can be.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside bench --duration 20s
  broadside bench --rate 1000
  broadside bench --database postgres://broadside@localhost/kills
  broadside bench --pipeline noop
  broadside bench --pipeline decode --rate 1000
  broadside bench --pipeline market --database postgres://broadside@localhost/kills")]
pub struct Args {
    /// A pipeline's name or file; noop or decode: the engine alone, without a database; market: the store alone, with --orders.
    #[arg(long, value_name = "NAME", default_value = "kills")]
    pub pipeline: String,
    /// Messages a second [default: as fast as it goes].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub rate: Option<u32>,
    /// How long.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub duration: Span,
    /// The database: sqlite://FILE, or postgres://…, where a schema is made for the time and the server's own ceiling is measured
    /// as well [default: a temporary SQLite file].
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// How many orders `market` writes.
    #[arg(long, value_name = "N", default_value_t = 400_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub orders: u32,
    /// The folder with pipeline files [default: pipelines, or the shipped ones where there is none].
    #[arg(long, value_name = "DIR")]
    pub pipelines: Option<PathBuf>,
}

/// Times in microseconds' thousandths, shared by those who record them.
#[derive(Debug, Clone)]
struct Latencies(Arc<Mutex<Histogram<u64>>>);

impl Latencies {
    fn new() -> Self {
        // 100 ns to 5 min at three digits.
        let histogram = Histogram::new_with_bounds(100, 300_000_000_000, 3).expect("the bounds are in order");
        Self(Arc::new(Mutex::new(histogram)))
    }

    fn record(&self, times: impl Iterator<Item = Duration>) {
        let mut histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.for_each(|time| histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)));
    }

    /// `p50 13 µs  p90 …`.
    fn line(&self) -> String {
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |quantile: f64| micros(histogram.value_at_quantile(quantile));
        format!("p50 {}  p90 {}  p99 {}  max {}", at(0.5), at(0.9), at(0.99), micros(histogram.max()))
    }
}

fn micros(nanoseconds: u64) -> String {
    let micros = nanoseconds as f64 / 1e3;
    match micros {
        m if m < 10_000.0 => format!("{m:.0} µs"),
        m if m < 10_000_000.0 => format!("{:.1} ms", m / 1e3),
        m => format!("{:.2} s", m / 1e6),
    }
}

/// Runs the bench.
///
/// # Errors
/// A definition is wrong, or the database cannot be opened.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    if args.duration.0.is_zero() {
        return Err(Usage("--duration must be more than 0s".into()).into());
    }
    let signals = Signals::listen()?;
    match args.pipeline.as_str() {
        "noop" => engine::noop(args.rate, args.duration.0).await,
        "decode" => engine::decode(args.rate, args.duration.0).await,
        "market" => market::orders(args).await,
        _ => kills(args, settings, signals).await,
    }
}

async fn kills(args: Args, settings: Settings, mut signals: Signals) -> anyhow::Result<ExitCode> {
    let wanted = std::slice::from_ref(&args.pipeline);
    let selection = select(wanted, args.pipelines.as_deref(), &environment::process)?;
    let definition = selection.definitions.first().context("there is no such pipeline")?;
    let folder = tempfile::Builder::new().prefix("broadside-bench-").tempdir();
    let folder = folder.context("failed to make a temporary folder")?;
    let file = || format!("sqlite://{}", folder.path().join("bench.db").display());
    let scratch = ceiling::scratch(args.database.as_deref()).await?;
    let database = scratch.as_ref().map(|scratch| scratch.url().to_owned()).or(args.database).unwrap_or_else(file);
    let store = open_store(&database, true).await?;
    let resources = resources(store.clone(), &settings, true);
    resources.desk.shut();
    let latencies = Latencies::new();
    let generator = generator::Config { rate: args.rate.map(f64::from), ..generator::Config::default() };
    let generator = generator.build(&resources).map_err(Usage)?;
    let source = Measured { inner: generator, latencies: latencies.clone() };
    let used = Used::now();
    let started = Instant::now();
    let pipeline = start(definition, definition.build_with_source(&resources, Arc::new(source)))?;
    watch(&pipeline, &mut signals, args.duration.0).await;
    let received = pipeline.status().ledger.received;
    let pulling = started.elapsed();
    pipeline.drain();
    let ended = [Ended { pipeline: definition.name.clone(), report: pipeline.finished().await }];
    let settled = ended[0].report.ledger.settled_total();
    let reached = settled as f64 / started.elapsed().as_secs_f64();
    print(&format!("source: {} received at {}", received, rate(received, pulling)));
    print(&format!("throughput: {} settled, the drain included", rate(settled, started.elapsed())));
    print(&format!("received to settled: {}", latencies.line()));
    print(&used.line(started.elapsed()));
    print(&ledgers(&ended));
    let batch = definition.topology.batchers.first().map_or(100, |batcher| batcher.batch_size);
    // At a rate that was asked for, what could be reached says nothing.
    if args.rate.is_none()
        && let Some(line) = ceiling::line(&*store, settled, batch, reached).await?
    {
        print(&line);
    }
    store.close().await;
    if let Some(scratch) = scratch {
        scratch.remove().await.map_err(ceiling::failed)?;
    }
    Ok(ending::exit_code(&ended))
}

/// The pipeline's shape; its rate limit spares the live feed, and would be all that is measured.
fn start(definition: &Definition, components: broadside_engine::Components<Kill>) -> anyhow::Result<Pipeline> {
    let mut topology = definition.topology.clone();
    topology.breaker = None;
    topology.source.name = "generator".to_owned();
    topology.source.rate_limit = None;
    Pipeline::start(topology, components).context("failed to start the pipeline")
}

/// Shows figures until the time is over, the pipeline ends, or a signal comes.
async fn watch(pipeline: &Pipeline, signals: &mut Signals, duration: Duration) {
    let mut progress = Progress::new(None);
    let mut pace = Pace::new();
    let mut every = tokio::time::interval(progress.every());
    let mut over = std::pin::pin!(tokio::time::sleep(duration));
    loop {
        tokio::select! {
            () = &mut over => break,
            _ = pipeline.finished() => break,
            _ = signals.next() => break,
            _ = every.tick() => {
                let ledger = pipeline.status().ledger;
                progress.show(0, &format!("{}  {}", pace.look(ledger.received), ending::ledger(&ledger)));
            }
        }
    }
    progress.finish();
}

/// A source whose acknowledger notes how long each message took.
struct Measured {
    inner: Arc<dyn Factory<Kill>>,
    latencies: Latencies,
}

#[async_trait]
impl Factory<Kill> for Measured {
    async fn build(&self, index: usize) -> Result<Box<dyn Source<Kill>>, Failure> {
        self.inner.build(index).await
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Kill>> {
        Arc::new(Noting { inner: self.inner.acknowledger(), latencies: self.latencies.clone() })
    }
}

struct Noting {
    inner: Arc<dyn Acknowledger<Kill>>,
    latencies: Latencies,
}

#[async_trait]
impl Acknowledger<Kill> for Noting {
    async fn acknowledge(&self, reference: u64, messages: &mut [Message<Kill>]) {
        let now = tokio::time::Instant::now();
        self.latencies.record(messages.iter().filter_map(|message| Some(now - message.received_at()?)));
        self.inner.acknowledge(reference, messages).await;
    }
}
