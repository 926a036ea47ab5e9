//! Pipelines and the page in one process, from start to the end of the drain: what `run` and `demo` share.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::completion::Completion;
use super::ending::{self, Ended};
use super::fleet::Fleet;
use super::pauses;
use super::signals::Signals;
use super::statics;
use super::surveillance::{Keeper, Keeping};
use super::upkeep::{forget_prices, keep_partitions, prices_kept};
use crate::courier;
use crate::definition::{Definition, Problem, Problems};
use crate::http::{self, Access, KillfeedSettings, Readiness, Waiting};
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
    upkeep: Vec<AbortOnDropHandle<()>>,
    surveillance: Option<Keeping>,
    stop_serving: CancellationToken,
    courier: Option<Courier>,
}

/// Who delivers alerts, and the word that ends it.
#[derive(Debug)]
struct Courier {
    task: AbortOnDropHandle<()>,
    stop: CancellationToken,
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
        killfeed: KillfeedSettings,
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
        readiness.clear("starting");
        let (store, hub, regions) = (resources.store.clone(), resources.hub.clone(), resources.regions.clone());
        let state = http::State::new(fleet.clone(), store.clone(), hub, regions, metrics.clone(), readiness.clone());
        let state = state.with_access(Access::new(address, settings.api_token.as_deref()));
        let state = state.with_price_job(resources.price_job.clone()).with_killfeed(killfeed);
        let stop_serving = CancellationToken::new();
        let server = tokio::spawn(http::serve(listener, state, stop_serving.clone()));
        let mut upkeep = vec![AbortOnDropHandle::new(tokio::spawn(keep_partitions(store.clone())))];
        upkeep.push(AbortOnDropHandle::new(tokio::spawn(statics::keep(store.clone(), resources.statics.clone()))));
        for (base, esi) in resources.esi.all() {
            upkeep.push(AbortOnDropHandle::new(tokio::spawn(pauses::keep(store.clone(), base, esi))));
        }
        if let Some(keep) = prices_kept(definitions) {
            upkeep.push(AbortOnDropHandle::new(tokio::spawn(forget_prices(store.clone(), keep))));
        }
        if let Some(completion) = Completion::new(definitions, resources) {
            upkeep.push(AbortOnDropHandle::new(tokio::spawn(completion.run())));
        }
        let surveillance = keeper.map(Keeper::start);
        let courier = Courier::start(definitions, resources)?;
        Ok(Self { fleet, store, metrics, address, readiness, server, upkeep, surveillance, stop_serving, courier })
    }

    /// Begins the drain: not ready any more, then no further pull.
    pub(super) fn drain(&self) {
        self.readiness.block("draining", "the worker is being stopped");
        self.fleet.drain();
        self.courier.iter().for_each(|courier| courier.stop.cancel());
    }

    /// Waits until every pipeline has ended. A first signal drains, a second one ends the process.
    /// Who is still draining is logged by the engine, every few seconds.
    pub(super) async fn finished(&self, signals: &mut Signals, mut draining: bool) -> Vec<Ended> {
        let mut all = std::pin::pin!(self.fleet.ended());
        loop {
            tokio::select! {
                ended = &mut all => return ended,
                caught = signals.next() => {
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
        drop(self.upkeep);
        if let Some(Courier { task, stop }) = self.courier {
            stop.cancel();
            // It bounds its end by itself.
            if let Err(error) = task.await {
                tracing::warn!(%error, "the delivery of alerts did not end well");
            }
        }
        if let Some(surveillance) = self.surveillance {
            surveillance.end().await;
        }
        self.store.close().await;
    }
}

impl Courier {
    /// For the first pipeline that tells of matches; `None`: there is none.
    fn start(definitions: &[Definition], resources: &Resources) -> anyhow::Result<Option<Self>> {
        let telling = definitions.iter().find_map(|definition| Some((definition, definition.webhook()?)));
        let Some((definition, (batcher, settings))) = telling else { return Ok(None) };
        let others = definition.sinks.keys().filter(|other| *other != batcher);
        let letters = courier::Letters {
            pipeline: definition.name.clone(),
            batcher: batcher.to_owned(),
            others: others.cloned().collect(),
        };
        let parts = courier::Parts {
            store: resources.store.clone(),
            surveillance: resources.surveillance.clone(),
            shelf: resources.statics.clone(),
            desk: resources.desk.clone(),
            contact: resources.contact.clone(),
            letters: definition.dead_letters.enabled.then_some(letters),
            drain_deadline: definition.topology.drain_deadline,
        };
        let courier = courier::Courier::new(settings, parts).context("failed to prepare the delivery of alerts")?;
        let stop = CancellationToken::new();
        let task = AbortOnDropHandle::new(tokio::spawn(courier.run(stop.clone())));
        Ok(Some(Self { task, stop }))
    }
}

/// One line for each pipeline.
pub(super) fn ledgers(ended: &[Ended]) -> String {
    let lines: Vec<String> =
        ended.iter().map(|ended| format!("{}: {}", ended.pipeline, ending::ledger(&ended.report.ledger))).collect();
    lines.join("\n")
}
