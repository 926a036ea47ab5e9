//! `demo`: the whole job on this machine alone, from a made-up feed to the page.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use broadside_engine::Outcome;
use broadside_engine::pipeline::Ledger;
use indicatif::HumanCount;
use jiff::Timestamp;
use tokio::net::TcpListener;

use super::ending::{self, Ended};
use super::opening::open_store;
use super::print;
use super::progress::{Pace, Progress, rate};
use super::signals::Signals;
use super::worker::{Besides, Worker, ledgers, resources};
use crate::definition::{environment, select};
use crate::duration::Span;
use crate::settings::{LISTEN, Settings};
use crate::simulator::{self, Simulator};
use crate::store::Store;
use crate::telemetry;

/// How long what the feed has sent may take to be read, at the end.
const LAST_KILLS: Duration = Duration::from_secs(3);

/// Run everything against a made-up feed on this machine, and show the figures.
///
/// Starts the feed's stand-in on loopback, every enabled pipeline against it, and the page. Ends after --duration, or with Ctrl-C, with a
/// summary; 0 when every kill received was settled. The database is a temporary one unless --database names one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside demo
  broadside demo --rate 500 --duration 20s
  broadside demo --input kills.ndjson.gz")]
pub struct Args {
    /// Kills a second.
    #[arg(long, value_name = "N", default_value_t = 50.0)]
    pub rate: f64,
    /// How long, such as 20s or 5m [default: until Ctrl-C].
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<Span>,
    /// NDJSON(.gz) files of killmails to publish in place of made-up ones, once through.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// The folder with pipeline files [default: pipelines, or the shipped ones where there is none].
    #[arg(long, value_name = "DIR")]
    pub pipelines: Option<PathBuf>,
    /// Where to serve the page [default: 127.0.0.1:4010, or a free port when that is taken].
    #[arg(long, value_name = "ADDRESS", env = "BROADSIDE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// The database: sqlite://FILE or postgres://… [default: a temporary one].
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}

/// Kept by the engine: from received to settled.
const END_TO_END: &str = "broadside_end_to_end_seconds";

/// Runs the demonstration.
///
/// # Errors
/// A definition is wrong, or what is needed cannot be opened.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let listener = listen(args.listen).await?;
    let feed = simulator::Config { rate: args.rate, inputs: args.input, ..simulator::Config::default() };
    let simulator = Simulator::start(feed).await.map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    let url = simulator.url();
    // The addresses are told to the pipelines alone: the environment of the process stays as it is.
    let lookup = |name: &str| match name {
        "WANDERER_URL" => Some(url.clone()),
        "ZKILLBOARD_URL" => Some(simulator.zkillboard_url()),
        "ESI_URL" => Some(simulator.esi_url()),
        "JANICE_URL" => Some(simulator.janice_url()),
        "JANICE_API_KEY" => Some("any".to_owned()),
        // Nothing is asked of the outside: its own modules have no listings.
        "MUTAMARKET_URL" => Some(format!("{url}/mutamarket")),
        _ => environment::process(name),
    };
    let selection = select(&[], args.pipelines.as_deref(), &lookup)?.enabled()?;
    let metrics = telemetry::install_metrics()?;
    let folder = tempfile::Builder::new().prefix("broadside-demo-").tempdir();
    let folder = folder.context("failed to make a temporary folder")?;
    let database = args.database.unwrap_or_else(|| format!("sqlite://{}", folder.path().join("demo.db").display()));
    let store = open_store(&database, true).await?;
    know_what_is_made_up(&*store).await?;
    let before = count(&store).await?;
    let resources = resources(store, &settings, true);
    let worker =
        Worker::start(&selection.definitions, &resources, &settings, Besides::default(), listener, metrics).await?;
    if selection.shipped {
        print("There is no folder pipelines here: running the pipelines that come with the program.");
    }
    print(&format!("page: http://{}/   feed: {url}", worker.address));
    let started = Instant::now();
    let interrupted = watch(&worker, &mut signals, args.duration.map(Duration::from)).await;
    simulator.stop_publishing();
    if !interrupted {
        read_the_rest(&worker).await;
    }
    worker.drain();
    let ended = worker.finished(&mut signals, true).await;
    let took = started.elapsed();
    simulator.stop().await;
    let stored = count(&worker.store).await? - before;
    let latency = latency(&worker.metrics.render());
    let market = market(&*worker.store).await;
    worker.close().await;
    print(&summary(&ended, stored, took, latency));
    market.iter().for_each(|line| print(line));
    Ok(code(&ended))
}

/// The default address is a wish; one that was asked for is not.
async fn listen(wanted: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    let address = wanted.unwrap_or(LISTEN);
    match TcpListener::bind(address).await {
        Err(error) if wanted.is_none() && error.kind() == ErrorKind::AddrInUse => {
            print(&format!("{address} is taken: the page is on a free port instead."));
            let any = SocketAddr::new(address.ip(), 0);
            TcpListener::bind(any).await.context("failed to listen on a free port")
        }
        bound => bound.with_context(|| format!("failed to listen on {address}")),
    }
}

async fn count(store: &std::sync::Arc<dyn Store>) -> anyhow::Result<i64> {
    store.count_kills().await.map_err(|error| anyhow::anyhow!("failed to {error}"))
}

/// Gives the database static data of what made-up kills are made of, unless it has some.
async fn know_what_is_made_up(store: &dyn Store) -> anyhow::Result<()> {
    let failed = |error| anyhow::anyhow!("failed to {error}");
    if store.statics_version().await.map_err(failed)? == 0 {
        store.replace_statics(&simulator::statics(), "demo", Timestamp::now()).await.map_err(failed)?;
    }
    Ok(())
}

/// The open orders, if any region has been swept.
async fn market(store: &dyn Store) -> Option<String> {
    let mut regions = store.market_regions().await.ok()?;
    regions.retain(|region| region.swept_at.is_some());
    let orders = regions.iter().map(|region| region.orders).sum();
    let plural = if regions.len() == 1 { "" } else { "s" };
    (!regions.is_empty())
        .then(|| format!("market: {} orders open in {} region{plural}", HumanCount(orders), regions.len()))
}

/// Shows live figures until the time is over, the pipelines end by themselves, or a signal comes (true).
async fn watch(worker: &Worker, signals: &mut Signals, duration: Option<Duration>) -> bool {
    let mut progress = Progress::new(None);
    let mut pace = Pace::new();
    let mut every = tokio::time::interval(progress.every());
    let mut over = std::pin::pin!(async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    });
    let mut ended = std::pin::pin!(worker.fleet.ended());
    let interrupted = loop {
        tokio::select! {
            _ = every.tick() => {
                let ledger = total(worker);
                progress.show(0, &figures(&ledger, &pace.look(ledger.received)));
            }
            () = &mut over => break false,
            _ = &mut ended => break false,
            _ = signals.next() => break true,
        }
    };
    progress.finish();
    interrupted
}

/// All pipelines together.
fn total(worker: &Worker) -> Ledger {
    worker.fleet.members().iter().map(|member| member.pipeline.status().ledger).fold(
        Ledger::default(),
        |mut sum, ledger| {
            sum.received += ledger.received;
            sum.in_flight += ledger.in_flight;
            sum.settled.iter_mut().zip(ledger.settled).for_each(|(sum, count)| *sum += count);
            sum
        },
    )
}

fn figures(ledger: &Ledger, pace: &str) -> String {
    let failed = ledger.outcome(Outcome::Failed) + ledger.outcome(Outcome::DeadLettered);
    format!(
        "received {}  stored {}  duplicates {}  failed {}  in flight {}  {pace}",
        HumanCount(ledger.received),
        HumanCount(ledger.outcome(Outcome::Successful)),
        HumanCount(ledger.outcome(Outcome::Filtered)),
        HumanCount(failed),
        HumanCount(ledger.in_flight)
    )
}

/// The feed has stopped; what it sent before is still on its way.
async fn read_the_rest(worker: &Worker) {
    let quiet = async {
        let mut every = tokio::time::interval(Duration::from_millis(150));
        every.tick().await;
        let mut received = total(worker).received;
        loop {
            every.tick().await;
            let now = total(worker).received;
            if now == received {
                break;
            }
            received = now;
        }
    };
    // A feed that never falls silent is cut off by the drain.
    let _ = tokio::time::timeout(LAST_KILLS, quiet).await;
}

fn summary(ended: &[Ended], stored: i64, took: Duration, latency: Option<(f64, f64)>) -> String {
    let settled: u64 = ended.iter().map(|ended| ended.report.ledger.settled_total()).sum();
    let letters: u64 = ended.iter().map(|ended| ended.report.ledger.outcome(Outcome::DeadLettered)).sum();
    let mut lines = vec![ledgers(ended)];
    lines.push(format!("stored {} kills; dead letters {}", HumanCount(stored.unsigned_abs()), HumanCount(letters)));
    lines.push(format!("settled {} in {:.1} s: {}", HumanCount(settled), took.as_secs_f64(), rate(settled, took)));
    if let Some((p50, p99)) = latency {
        lines.push(format!("end to end: half within {:.1} ms, 99 % within {:.1} ms", p50 * 1e3, p99 * 1e3));
    }
    lines.join("\n")
}

/// Received and settled must be the same, whatever else happened.
fn code(ended: &[Ended]) -> ExitCode {
    let code = ending::exit_code(ended);
    let open = ended.iter().any(|ended| ended.report.ledger.received != ended.report.ledger.settled_total());
    if open && code == ExitCode::SUCCESS { ExitCode::from(4) } else { code }
}

/// The upper bounds of the buckets that hold the median and the 99th percentile, over all pipelines.
fn latency(rendered: &str) -> Option<(f64, f64)> {
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for line in rendered.lines().filter(|line| line.starts_with(END_TO_END) && line.contains("le=\"")) {
        let bound = line.split("le=\"").nth(1)?.split('"').next()?;
        let bound: f64 = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
        let count: f64 = line.rsplit(' ').next()?.parse().ok()?;
        match buckets.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += count,
            None => buckets.push((bound, count)),
        }
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total = buckets.last().map(|(_, count)| *count).filter(|total| *total > 0.0)?;
    let quantile = |share: f64| buckets.iter().find(|(_, count)| *count >= share * total).map(|(bound, _)| *bound);
    Some((quantile(0.5)?, quantile(0.99)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_read_from_the_buckets() {
        let line = |bound: &str, count: u32| {
            format!("broadside_end_to_end_seconds_bucket{{pipeline=\"kills\",le=\"{bound}\"}} {count}\n")
        };
        let rendered = format!("# x\n{}{}{}", line("0.001", 60), line("0.01", 100), line("+Inf", 100));
        assert_eq!(latency(&rendered), Some((0.001, 0.01)));
        assert_eq!(latency(""), None);
        assert_eq!(latency(&line("+Inf", 0)), None);
    }
}
