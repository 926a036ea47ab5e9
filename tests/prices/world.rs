//! The shipped pipeline over a store in memory, which several "processes" may share.

use std::sync::Arc;
use std::time::Duration;

use broadside::definition;
use broadside::price::job::{Action, Status};
use broadside::price_job::Refusal;
use broadside::resources::Resources;
use broadside::store::Store;
use broadside_engine::Pipeline;
use tokio::time::Instant;

use crate::janice::Janice;
use crate::memory_store::MemoryStore;

/// Products in a request.
pub(crate) const BULK: usize = 10;

pub(crate) struct World {
    pub(crate) janice: Janice,
    pub(crate) store: Arc<MemoryStore>,
}

/// A process.
pub(crate) struct Worker {
    pub(crate) resources: Resources,
    pipeline: Pipeline,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self { janice: Janice::start().await, store: Arc::default() }
    }

    /// A worker with two markets of 45 types each, 100 to 144.
    pub(crate) fn start(&self) -> Worker {
        self.start_with("markets = [2, 115]")
    }

    pub(crate) fn start_with(&self, settings: &str) -> Worker {
        self.start_on(self.store.clone(), settings, "key")
    }

    pub(crate) fn start_on(&self, store: Arc<dyn Store>, settings: &str, key: &str) -> Worker {
        let types: Vec<i64> = (100..145).rev().collect();
        let mut text = include_str!("../../pipelines/prices.toml").to_owned();
        for (from, to) in [
            ("markets = [2] ", settings),
            ("# types = [34, 35] ", &format!("types = {types:?}")),
            ("max_demand = 500", &format!("max_demand = {BULK}")),
        ] {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, &format!("{to} "));
        }
        let url = self.janice.url();
        let lookup = |name: &str| match name {
            "JANICE_URL" => Some(url.clone()),
            "JANICE_API_KEY" => Some(key.to_owned()),
            _ => None,
        };
        let definition = definition::parse("prices", "prices.toml", &text, &lookup).unwrap();
        let resources = Resources::new(store);
        let pipeline = definition.build(&resources).unwrap().start(definition.topology.clone()).unwrap();
        Worker { resources, pipeline }
    }
}

impl Worker {
    pub(crate) async fn status(&self) -> Status {
        self.resources.price_job.status(&*self.resources.store).await.unwrap()
    }

    pub(crate) async fn act(&self, action: Action) -> Result<Status, Refusal> {
        self.resources.price_job.act(&*self.resources.store, action).await
    }

    /// Waits until the job is in this state, with nobody of this process at it any more.
    pub(crate) async fn rests(&self, state: &str) -> Status {
        let mut last = None;
        until(state, async || {
            let status = self.status().await;
            let is_it = status.state == state;
            last = Some(status);
            is_it
        })
        .await;
        last.unwrap()
    }

    /// Drains, as for SIGTERM.
    pub(crate) async fn stop(self) {
        self.pipeline.drain();
        let report = self.pipeline.finished().await;
        assert_eq!((report.ledger.imbalance(), report.deadline_passed, report.source_failure), (0, false, None));
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(100);
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        ticks.tick().await;
    }
}

/// What two whole markets are, in order.
pub(crate) fn everything() -> Vec<(i64, i64)> {
    [2, 115].into_iter().flat_map(|market| (100..145).map(move |id| (market, id))).collect()
}
