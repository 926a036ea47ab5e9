//! A server on a port of its own, over a store in memory and pipelines made by hand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use broadside::http::{self, Access, PipelineView, Pipelines, Readiness, State};
use broadside::hub::Hub;
use broadside::killmail::{Form, Killmail, KillmailId, ProfileId, RegionId, SystemId, Victim};
use broadside::regions::Regions;
use broadside::store::Store;
use broadside::telemetry;
use broadside_engine::Latencies;
use broadside_engine::pipeline::{GroupStatus, Ledger, State as PipelineState, Status};
use broadside_engine::topology::{Batcher, Processor, RateLimit, Source, Topology};
use broadside_engine::{BreakerStatus, Recent};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client;
use crate::memory_store::MemoryStore;

/// Where every server here listens.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4010);

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) pipelines: Arc<HandMade>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) regions: Arc<Regions>,
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_streams_max(100).await
    }

    pub(crate) async fn with_streams_max(streams_max: usize) -> Self {
        Self::with(|state| state.with_streams_max(streams_max)).await
    }

    /// Listens on loopback, and takes itself to listen there; these are the rules for changes.
    pub(crate) async fn with_access(listen: SocketAddr, token: Option<&str>) -> Self {
        Self::with(|state| state.with_access(Access::new(listen, token))).await
    }

    pub(crate) async fn with(settle: impl FnOnce(State) -> State) -> Self {
        let (store, hub) = <(Arc<MemoryStore>, Arc<Hub>)>::default();
        let (pipelines, readiness, regions) = <(Arc<HandMade>, Arc<Readiness>, Arc<Regions>)>::default();
        let (all, metrics) = (pipelines.clone(), recorder());
        let state = State::new(all, store.clone(), hub.clone(), regions.clone(), metrics, readiness.clone());
        let state = settle(state.with_access(Access::new(LOOPBACK, None)));
        Self::start(store, hub, pipelines, readiness, regions, state).await
    }

    /// Serves this store and these pipelines in place of those made by hand.
    pub(crate) async fn over(store: Arc<dyn Store>, hub: Arc<Hub>, running: Arc<dyn Pipelines>) -> Self {
        Self::over_with(store, hub, running, |state| state).await
    }

    /// The same, with other settings. Changes are allowed as on loopback.
    pub(crate) async fn over_with(
        store: Arc<dyn Store>,
        hub: Arc<Hub>,
        running: Arc<dyn Pipelines>,
        settle: impl FnOnce(State) -> State,
    ) -> Self {
        let readiness = Arc::new(Readiness::default());
        let state = State::new(running, store, hub.clone(), Arc::default(), recorder(), readiness.clone());
        let state = settle(state.with_access(Access::new(LOOPBACK, None)));
        Self::start(Arc::default(), hub, Arc::default(), readiness, Arc::default(), state).await
    }

    async fn start(
        store: Arc<MemoryStore>,
        hub: Arc<Hub>,
        pipelines: Arc<HandMade>,
        readiness: Arc<Readiness>,
        regions: Arc<Regions>,
        state: State,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(http::serve(listener, state, shutdown.clone()));
        Self { store, hub, pipelines, readiness, regions, address, shutdown, server }
    }

    pub(crate) async fn get(&self, path: &str) -> client::Answer {
        client::request(self.address, "GET", path, &[]).await
    }

    /// A kill as the pipeline would bring it: stored, then told of.
    pub(crate) fn kill(&self, id: i64, system: i64) {
        self.kill_in(id, system, 0, &[]);
    }

    /// The same in a region, matched by these profiles. Answers the id of its event.
    pub(crate) fn kill_in(&self, id: i64, system: i64, region: i64, profiles: &[i64]) -> i64 {
        let mail = mail(id, system);
        let payload = serde_json::to_string(&mail).unwrap();
        let profiles: Vec<ProfileId> = profiles.iter().copied().filter_map(ProfileId::new).collect();
        let (system, region) = (mail.solar_system_id, RegionId::new(region));
        let event_id = self.store.commit_in(system, mail.killmail_id, payload, region, &profiles);
        self.hub.publish();
        event_id
    }

    /// Ends the server; it has to end by itself.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(100), self.server).await.expect("the server ends").unwrap();
    }
}

/// Pipelines whose figures the test sets.
#[derive(Debug)]
pub(crate) struct HandMade {
    pub(crate) views: Mutex<Vec<PipelineView>>,
    pub(crate) published: AtomicUsize,
}

impl Default for HandMade {
    fn default() -> Self {
        Self { views: Mutex::new(vec![kills_pipeline()]), published: AtomicUsize::new(0) }
    }
}

impl HandMade {
    pub(crate) fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.views.lock().unwrap()[0].status);
    }
}

impl Pipelines for HandMade {
    fn views(&self) -> Vec<PipelineView> {
        self.views.lock().unwrap().clone()
    }

    fn publish(&self) {
        self.published.fetch_add(1, Ordering::SeqCst);
        for view in self.views() {
            let pipeline = view.topology.name.clone();
            metrics::gauge!("broadside_in_flight", "pipeline" => pipeline.clone())
                .set(view.status.ledger.in_flight as f64);
            for group in &view.status.groups {
                metrics::gauge!("broadside_queue_depth", "pipeline" => pipeline.clone(), "group" => group.name.clone())
                    .set(group.queue_depth as f64);
            }
        }
    }
}

pub(crate) fn kills_pipeline() -> PipelineView {
    let parse = Processor { stages: vec!["decode".into(), "deduplicate".into()], ..Processor::new("parse") };
    let topology = Topology::new("kills", Source::new("wanderer"))
        .processor(parse)
        .processor(Processor { stages: vec!["match".into()], ..Processor::new("match") })
        .batcher(Batcher { eager: true, batch_timeout: Duration::from_millis(200), ..Batcher::new("db_insert") })
        .batcher(Batcher { after: Some("db_insert".into()), batch_size: 1, ..Batcher::new("pubsub") });
    let group = |name: &str, kind, queue_depth| GroupStatus {
        name: name.into(),
        kind,
        workers: 2,
        queue_depth,
        queue_capacity: 1000,
        busy: Duration::from_millis(1500),
        starved: Duration::from_secs(7),
        blocked: Duration::from_secs(2),
        messages: 1234,
        failed: 3,
        ..GroupStatus::default()
    };
    let status = Status {
        state: PipelineState::Running,
        ledger: Ledger { received: 1250, settled: [1000, 3, 7, 200, 0], in_flight: 40 },
        groups: vec![
            group("wanderer", "producer", 0),
            group("parse", "processor", 120),
            group("match", "processor", 900),
            group("db_insert", "batcher", 14),
            group("pubsub", "batcher", 0),
        ],
        stages: Vec::new(),
        oldest_unsettled: None,
        source_restarts: 1,
        source_failure: None,
        acknowledgements: 30,
        acknowledgements_panicked: 0,
        in_flight_max: 5000,
        rate_limit: Some(RateLimit { messages: 2000, per: Duration::from_secs(1) }),
        breaker: Some(BreakerStatus { failed: 3, window: 200, ..BreakerStatus::default() }),
        recent: Recent { messages: 1010, failed: 10, alert: false },
        latencies: Latencies::of([(Duration::from_millis(20), 1200), (Duration::from_secs(1), 10)]),
    };
    let sinks = BTreeMap::from([("db_insert".into(), "database".into()), ("pubsub".into(), "pubsub".into())]);
    PipelineView { topology, status, sinks, standing: None }
}

pub(crate) fn mail(id: i64, system: i64) -> Arc<Killmail> {
    Arc::new(Killmail {
        killmail_id: KillmailId::new(id).unwrap(),
        killmail_hash: None,
        killmail_time: "2026-11-20T10:00:00Z".parse().unwrap(),
        solar_system_id: SystemId::new(system).unwrap(),
        moon_id: None,
        war_id: None,
        victim: Victim::default(),
        attackers: Vec::new(),
        zkb: None,
        form: Form::Esi,
    })
}

/// The process has one recorder, whichever test comes first. Pipelines take their histograms from it when they start.
pub(crate) fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| telemetry::install_metrics().unwrap()).clone()
}
