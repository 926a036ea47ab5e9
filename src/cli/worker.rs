//! Pipelines and the page in one process, from start to the end of the drain: what `run` and `demo` share.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::attendance::{Attendance, Upkeep, attend};
use super::ending::{self, Ended};
use super::fleet::Fleet;
use super::pauses;
use super::reload::{self, Files, Reloader};
use super::rerun::Replaying;
use super::signals::{Caught, Signals};
use super::statics;
use super::surveillance::Keeper;
use crate::dead_letter::Retention;
use crate::definition::{Definition, Problem, Problems};
use crate::http::{self, Access, KillfeedSettings, Readiness, Reloads, Waiting};
use crate::resources::Resources;
use crate::settings::Settings;
use crate::store::Store;
use crate::{sources, stages};

/// Running pipelines and what serves them.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its pipelines, as they are at the time.
    pub(super) fleet: Arc<Fleet>,
    pub(super) store: Arc<dyn Store>,
    pub(super) metrics: PrometheusHandle,
    /// Where the page is.
    pub(super) address: SocketAddr,
    readiness: Arc<Readiness>,
    server: JoinHandle<()>,
    upkeep: Upkeep,
    replaying: Replaying,
    stop_serving: CancellationToken,
    /// Cancelled when the drain begins.
    leaving: CancellationToken,
    /// Whoever has reloads done.
    reloads: Option<Reloads>,
    reloading: JoinHandle<Attendance>,
    stop_reloading: CancellationToken,
}

/// What a worker is told besides its pipelines.
#[derive(Debug, Default)]
pub(super) struct Besides {
    pub(super) killfeed: KillfeedSettings,
    pub(super) letters: Retention,
    /// Where its pipelines are read again; `None`: they stay as they are.
    pub(super) files: Option<Files>,
}

/// What components share.
pub(super) fn resources(store: Arc<dyn Store>, settings: &Settings, events: bool) -> Resources {
    Resources { contact: settings.contact.clone(), events, ..Resources::new(store) }
}

/// Refuses definitions whose sources lack something, before anything is opened.
pub(super) fn check_sources(definitions: &[Definition], settings: &Settings) -> Result<(), Problems> {
    let contact = settings.contact.as_deref();
    let mut problems: Vec<_> = definitions.iter().filter_map(|d| d.check_source(contact).err()).collect();
    problems.extend(prices_of_two_kinds(definitions));
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

/// The price cache job and the stage that prices kills share what they know of a market: the same price must count for both.
pub(super) fn prices_of_two_kinds(definitions: &[Definition]) -> Option<Problem> {
    let stages = || definitions.iter().flat_map(|definition| &definition.stages);
    let kills = stages().find_map(|stage| match stage {
        stages::Config::Price(price) => Some(&price.janice),
        _ => None,
    })?;
    definitions.iter().find_map(|definition| {
        let sources::Config::Prices(job) = &definition.source else { return None };
        let differs = |stage: &stages::Config| match stage {
            stages::Config::Quote(quote) => (quote.pricing, quote.variant) != (kills.pricing, kills.variant),
            _ => false,
        };
        let is_mixed = job.markets.contains(&kills.market) && definition.stages.iter().any(differs);
        let market = kills.market;
        is_mixed.then(|| Problem {
            hint: Some(format!("give `quote` the pricing and variant of `price`, or leave out market {market}")),
            ..Problem::whole(
                &definition.file,
                format!("`quote` would keep other prices of market {market} than those by which kills are priced"),
            )
        })
    })
}

/// Meanwhile the listener answers what can be answered: that the worker lives, that it is not ready, and why.
pub(super) async fn answering<T>(
    listener: &TcpListener,
    waiting: Waiting,
    metrics: &PrometheusHandle,
    meanwhile: impl Future<Output = T>,
) -> T {
    let over = CancellationToken::new();
    let meanwhile = async {
        let _ends_the_answers = over.clone().drop_guard();
        meanwhile.await
    };
    tokio::join!(meanwhile, http::serve_waiting(listener, waiting, metrics.clone(), over.clone())).0
}

impl Worker {
    /// Starts every pipeline, and serves on `listener`.
    pub(super) async fn start(
        definitions: &[Definition],
        resources: &Resources,
        settings: &Settings,
        Besides { killfeed, letters, files }: Besides,
        listener: TcpListener,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr().context("failed to learn the address of the page")?;
        let mut components = Vec::new();
        for definition in definitions {
            components.push(definition.build(resources)?);
        }
        let loading = async {
            statics::take_up(resources).await;
            pauses::take_up(&*resources.store, &resources.esi).await;
            Keeper::take_up(definitions, resources).await
        };
        let keeper = answering(&listener, Waiting::Loading, &metrics, loading).await;
        let readiness = Arc::new(Readiness::default());
        readiness.block("starting", "pipelines are being started");
        let fleet = Arc::new(Fleet::new(resources.feeds.clone()));
        for (definition, components) in definitions.iter().zip(components) {
            let pipeline = components.start(definition.topology.clone());
            let pipeline = pipeline.with_context(|| format!("failed to start pipeline {}", definition.name))?;
            fleet.put(Arc::new(definition.clone()), pipeline);
        }
        let leaving = CancellationToken::new();
        let mut attendance = Attendance::new(keeper, leaving.clone());
        attendance.renew(&fleet.definitions(), resources).await?;
        readiness.clear("starting");
        let mut upkeep = Upkeep::new(resources);
        upkeep.attend(letters.run(resources.store.clone()));
        let stop_reloading = CancellationToken::new();
        let (reloads, reloading) = match files {
            None => (None, tokio::spawn(attend(attendance, stop_reloading.clone()))),
            Some(files) => {
                let (reloads, requests) = Reloads::new();
                if files.watch {
                    upkeep.attend(reload::watch(files.clone(), reloads.clone()));
                }
                let reloader = Reloader::new(files, settings, resources, fleet.clone(), attendance, reloads.clone());
                (Some(reloads), tokio::spawn(reloader.run(requests, stop_reloading.clone())))
            }
        };
        let (store, hub, regions) = (resources.store.clone(), resources.hub.clone(), resources.regions.clone());
        let state = http::State::new(fleet.clone(), store.clone(), hub, regions, metrics.clone(), readiness.clone());
        let state = state.with_access(Access::new(address, settings.api_token.as_deref())).with_killfeed(killfeed);
        let replaying = Replaying::start(fleet.clone(), resources.clone());
        let state = state
            .with_statics(resources.statics.clone())
            .with_price_job(resources.price_job.clone())
            .with_reloads(reloads.clone());
        let state = state.with_replays(replaying.replays.clone());
        let stop_serving = CancellationToken::new();
        let server = tokio::spawn(http::serve(listener, state, stop_serving.clone()));
        Ok(Self {
            fleet,
            store,
            metrics,
            address,
            readiness,
            server,
            upkeep,
            replaying,
            stop_serving,
            leaving,
            reloads,
            reloading,
            stop_reloading,
        })
    }

    /// Begins the drain: not ready any more, then no further pull.
    pub(super) fn drain(&self) {
        self.readiness.block("draining", "the worker is being stopped");
        self.replaying.drain();
        self.fleet.drain();
        self.leaving.cancel();
    }

    /// Waits until every pipeline has ended. A first signal drains, a second one ends the process.
    /// Who is still draining is logged by the engine, every few seconds.
    pub(super) async fn finished(&self, signals: &mut Signals, mut draining: bool) -> Vec<Ended> {
        let mut all = std::pin::pin!(self.fleet.ended());
        loop {
            tokio::select! {
                ended = &mut all => return ended,
                caught = signals.next() => {
                    if let (Caught::HangUp, Some(reloads)) = (caught, &self.reloads) {
                        tracing::info!("SIGHUP: reading the pipeline files again");
                        if reloads.ask().is_none() {
                            tracing::warn!("reloads are waiting already");
                        }
                        continue;
                    }
                    if draining {
                        eprintln!("broadside: a second signal: ending at once");
                        std::process::exit(i32::from(caught.exit_code()));
                    }
                    draining = true;
                    self.readiness.block("draining", "the worker is being stopped");
                    tracing::info!(signal = caught.name(), "draining");
                    self.drain();
                }
            }
        }
    }

    /// Stops serving and closes the database.
    pub(super) async fn close(self) {
        self.stop_serving.cancel();
        if let Err(error) = self.server.await {
            tracing::warn!(%error, "the server did not end well");
        }
        self.replaying.ended().await;
        drop(self.upkeep);
        self.leaving.cancel();
        self.stop_reloading.cancel();
        match self.reloading.await {
            Ok(attendance) => attendance.end().await,
            Err(error) => tracing::warn!(%error, "the one who reloads did not end well"),
        }
        self.store.close().await;
    }
}

/// One line for each pipeline.
pub(super) fn ledgers(ended: &[Ended]) -> String {
    let lines: Vec<String> =
        ended.iter().map(|ended| format!("{}: {}", ended.pipeline, ending::ledger(&ended.report.ledger))).collect();
    lines.join("\n")
}
