//! `run`: pipelines against the real feeds, until a signal drains them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use super::killfeed::Killfeed;
use super::letters::DeadLetters;
use super::opening::{open_store, unless_signalled, wait_for_store};
use super::reload::Files;
use super::signals::Signals;
use super::worker::{Besides, Worker, answering, check_sources, ledgers, resources};
use super::{Database, ending, print};
use crate::definition::{environment, select};
use crate::http::Waiting;
use crate::settings::{LISTEN, Settings};
use crate::store::{Health, Store};
use crate::telemetry;

/// Run pipelines: all enabled ones, or those that are named.
///
/// SIGINT or SIGTERM drains: no more is read, what is in flight is finished within each pipeline's drain_deadline. A second
/// signal ends at once. SIGHUP reads the pipeline files again: numbers change while everything goes on, and what needs more is drained and started again,
/// alone. When a file is wrong, nothing changes.
///
/// When the database is away at the start, the worker waits for it: alive, not ready.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  WANDERER_URL=http://127.0.0.1:4004 broadside run
  broadside run kills --database sqlite:///var/lib/broadside/kills.db --listen 0.0.0.0:4010")]
pub struct Args {
    /// Names of pipelines in the folder, or files.
    #[arg(value_name = "NAME or FILE")]
    pub wanted: Vec<String>,
    /// The folder with pipeline files [default: pipelines, or the shipped ones where there is none].
    #[arg(long, value_name = "DIR")]
    pub pipelines: Option<PathBuf>,
    /// Leave the database's tables as they are, and refuse to run when they are old.
    #[arg(long)]
    pub no_migrate: bool,
    /// Follow a change of the pipeline files as SIGHUP does, without being asked.
    #[arg(long)]
    pub watch: bool,
    /// End with 1 when the database is away at the start, instead of waiting for it.
    #[arg(long)]
    pub fail_fast: bool,
    /// Where to serve the page, metrics and API.
    #[arg(long, value_name = "ADDRESS", env = "BROADSIDE_LISTEN", default_value_t = LISTEN)]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub database: Database,
    #[command(flatten)]
    pub killfeed: Killfeed,
    #[command(flatten)]
    pub dead_letters: DeadLetters,
}

/// Runs until every pipeline has ended.
///
/// # Errors
/// A definition is wrong, or what it needs cannot be opened.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    signals.ignore_hang_up(true);
    let files = Files::new(args.wanted.clone(), args.pipelines.clone(), args.watch);
    let selection = select(&args.wanted, args.pipelines.as_deref(), &environment::process)?.enabled()?;
    if selection.shipped {
        tracing::info!("there is no folder pipelines here: running the pipelines that come with the program");
    }
    check_sources(&selection.definitions, &settings)?;
    let metrics = telemetry::install_metrics()?;
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("failed to listen on {}", args.listen))?;
    let address = listener.local_addr().context("failed to learn the address that it listens on")?;
    tracing::info!(%address, "listening");
    if !args.listen.ip().is_loopback() && settings.api_token.is_none() {
        tracing::info!("listening beyond this machine without BROADSIDE_API_TOKEN: for reading only");
    }
    let Some(store) = unless_signalled(&mut signals, open(&args, &listener, &metrics)).await else {
        return Ok(ExitCode::SUCCESS);
    };
    let resources = resources(store?, &settings, true);
    // What it loads first may take its time, or wait for the database.
    let starting = Worker::start(
        &selection.definitions,
        &resources,
        &settings,
        Besides { killfeed: args.killfeed.into(), letters: args.dead_letters.into(), files: Some(files) },
        listener,
        metrics,
    );
    let Some(worker) = unless_signalled(&mut signals, starting).await.transpose()? else {
        return Ok(ExitCode::SUCCESS);
    };
    let names: Vec<&str> = selection.definitions.iter().map(|definition| definition.name.as_str()).collect();
    tracing::info!(pipelines = names.join(", "), page = format!("http://{}/", worker.address), "running");
    signals.ignore_hang_up(false);
    let ended = worker.finished(&mut signals, false).await;
    worker.close().await;
    print(&ledgers(&ended));
    Ok(ending::exit_code(&ended))
}

/// Opens the database. Until it is open, the listener answers that the worker lives and is not ready.
async fn open(args: &Args, listener: &TcpListener, metrics: &PrometheusHandle) -> anyhow::Result<Arc<dyn Store>> {
    let health = Arc::new(Health::default());
    let (url, migrate) = (&args.database.url, !args.no_migrate);
    let opening = async {
        if args.fail_fast { open_store(url, migrate).await } else { wait_for_store(url, migrate, &health).await }
    };
    answering(listener, Waiting::Store(health.clone()), metrics, opening).await
}
