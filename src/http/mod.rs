//! What the worker serves over HTTP: metrics, health, the pipelines' state, the live killfeed, and the page at `/`.
//!
//! | file | routes |
//! |---|---|
//! | `metrics` | `/metrics` |
//! | `health` | `/livez`, `/readyz` |
//! | `pipelines` | `/api/pipelines` |
//! | `history` | `/api/pipelines/history` |
//! | `killfeed` | `/api/killfeed`, `…/next`, `…/commit`, `…/clients`, `…/stream`, `…/ws`, `/api/kills/recent` |
//! | `market` | `/api/market`, `/api/market/regions` |
//! | `names` | `/api/names` |
//! | `prices` | `/api/cache/prices/status`, `…/start`, `…/stop`, `…/pause`, `…/resume`, `…/reset` |
//! | `replays` | `/api/dead-letters/replay`, `/api/dead-letters/replays/{id}` |
//! | `profiles` | `/api/profiles`, `/api/profiles/schema`, `/api/profiles/{id}` |
//! | `dead_letters` | `/api/dead-letters`, `…/{id}`, `…/groups`, `…/groups/{fingerprint}`, `…/stats`, `…/discard` |
//! | `dashboard` | `/`, `/assets/…` |
//! | `explain` | `/api/explain` |
//! | `reload` | `/api/reload` |
//! | `routes` | the list of them all, with what each does |
//! | `openapi` | `/api/openapi.json`, made of that list |
//! | `error` | the shape of every refusal |
//! | `guard` | what every answer goes through: time limit, security headers |
//! | `access` | who may change something |
//! | `body` | what a request brings: JSON, bounded |
//! | `patience` | how long a connection may take nothing of its answer |
//! | `waiting` | what is answered while the worker starts |
//! | `server` | connections and tasks, their bounds and their end |
//!
//! Everything that runs is owned by [`serve`]: when it returns, no task is left.

mod access;
mod body;
mod dashboard;
mod dead_letters;
mod error;
mod explain;
mod guard;
mod health;
mod history;
mod killfeed;
mod market;
mod metrics;
mod names;
mod openapi;
mod patience;
mod pipelines;
mod prices;
mod profiles;
mod reload;
mod replays;
mod routes;
mod server;
mod waiting;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::dead_letter::Replays;
use crate::hub::Hub;
use crate::price_job::PriceJob;
use crate::regions::Regions;
use crate::statics::Shelf;
use crate::store::Store;

pub use access::Access;
pub use killfeed::Settings as KillfeedSettings;
pub use pipelines::{PipelineView, Pipelines, Running};
pub use reload::{Asked, Change as ReloadChange, Outcome as ReloadOutcome, Reload, Reloads};
pub use server::{serve, serve_waiting};
pub use waiting::Waiting;

/// What the routes work on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State {
    pipelines: Arc<dyn Pipelines>,
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    regions: Arc<Regions>,
    price_job: Arc<PriceJob>,
    statics: Arc<Shelf>,
    reloads: Option<Reloads>,
    replays: Option<Arc<Replays>>,
    metrics: PrometheusHandle,
    readiness: Arc<Readiness>,
    access: Access,
    change_max: Duration,
    health: Arc<health::Probe>,
    history: Arc<history::History>,
    tail: Arc<killfeed::Tail>,
    streams: Arc<killfeed::Streams>,
    killfeed: KillfeedSettings,
    limits: Arc<killfeed::Limits>,
}

impl State {
    /// Ready to serve these pipelines, for reading only until [`with_access`](Self::with_access). `readiness` is kept by the program too: what
    /// blocks it makes `/readyz` say no.
    #[must_use]
    pub fn new(
        pipelines: Arc<dyn Pipelines>,
        store: Arc<dyn Store>,
        hub: Arc<Hub>,
        regions: Arc<Regions>,
        metrics: PrometheusHandle,
        readiness: Arc<Readiness>,
    ) -> Self {
        let health = Arc::new(health::Probe::new(store.clone()));
        let history = Arc::default();
        let tail = Arc::new(killfeed::Tail::new(store.clone()));
        let streams = Arc::new(killfeed::Streams::new(killfeed::CONNECTIONS_MAX));
        let killfeed = KillfeedSettings::default();
        let limits = Arc::new(killfeed::Limits::new(killfeed.streams_per_address));
        let (access, change_max, price_job) = (Access::default(), market::CHANGE_MAX, Arc::default());
        Self {
            pipelines,
            store,
            hub,
            regions,
            price_job,
            statics: Arc::default(),
            reloads: None,
            replays: None,
            metrics,
            readiness,
            access,
            change_max,
            health,
            history,
            tail,
            streams,
            killfeed,
            limits,
        }
    }

    /// Says who may change something.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// With the price cache job as this process knows it.
    #[must_use]
    pub fn with_price_job(mut self, price_job: Arc<PriceJob>) -> Self {
        self.price_job = price_job;
        self
    }

    /// With what replays dead letters in this process.
    #[must_use]
    pub fn with_replays(mut self, replays: Arc<Replays>) -> Self {
        self.replays = Some(replays);
        self
    }

    /// With somebody who reads the pipeline files again when asked.
    #[must_use]
    pub fn with_reloads(mut self, reloads: Option<Reloads>) -> Self {
        self.reloads = reloads;
        self
    }

    /// With the static data in use: what types and systems are called.
    #[must_use]
    pub fn with_statics(mut self, statics: Arc<Shelf>) -> Self {
        self.statics = statics;
        self
    }

    /// Gives a change another time to be made.
    #[must_use]
    pub fn with_change_max(mut self, change_max: Duration) -> Self {
        self.change_max = change_max;
        self
    }

    /// Keeps the killfeed's log otherwise.
    #[must_use]
    pub fn with_killfeed(mut self, settings: KillfeedSettings) -> Self {
        self.killfeed = settings;
        self.limits = Arc::new(killfeed::Limits::new(settings.streams_per_address));
        self
    }

    /// Allows another number of live streams at once.
    #[must_use]
    pub fn with_streams_max(mut self, streams_max: usize) -> Self {
        self.streams = Arc::new(killfeed::Streams::new(streams_max));
        self
    }
}

/// What the program itself says against being ready, by name: `starting`, `draining`.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<BTreeMap<&'static str, String>>);

impl Readiness {
    /// Not ready until [`clear`](Self::clear)ed: `what` is the name of the reason, `why` a sentence.
    pub fn block(&self, what: &'static str, why: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what, why.into());
    }

    /// This reason is over.
    pub fn clear(&self, what: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }

    fn reasons(&self) -> BTreeMap<&'static str, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Every route. Live streams also need [`serve`], which runs what feeds them.
pub fn router(state: State) -> Router {
    routes::routes()
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        .layer(from_fn_with_state(state.access.clone(), access::check))
        .layer(from_fn(guard::guard))
        .with_state(state)
}
