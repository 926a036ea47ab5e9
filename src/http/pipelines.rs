//! `GET /api/pipelines`: the shape of every running pipeline, with where its messages and its workers' time are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use broadside_engine::BreakerStatus;
use broadside_engine::message::Outcome;
use broadside_engine::pipeline::{GroupStatus, Ledger, Pipeline, Status};
use broadside_engine::topology::{Batcher, Processor, Topology};
use schemars::JsonSchema;
use serde::Serialize;

use super::State;
use super::health::DeadLetters;
use super::reload::Reload;
use crate::feeds::{Feeds, Standing};

/// What latencies are shown of.
const WINDOW: Duration = Duration::from_secs(10);

/// A pipeline at one moment.
#[derive(Debug, Clone)]
pub struct PipelineView {
    pub topology: Topology,
    pub status: Status,
    /// The kind of each batcher's sink, by the batcher's name.
    pub sinks: BTreeMap<String, String>,
    /// Which of its feeds serves, if it has two.
    pub standing: Option<Standing>,
}

/// The pipelines of this process, whatever they are at the time: they may come and go.
pub trait Pipelines: std::fmt::Debug + Send + Sync {
    /// All of them, as they stand.
    fn views(&self) -> Vec<PipelineView>;
    /// Writes their counters and gauges to the metrics recorder: called before each scrape.
    fn publish(&self);
}

/// A running pipeline and what its topology does not say.
#[derive(Debug, Clone)]
pub struct Running {
    pub pipeline: Arc<Pipeline>,
    /// The kind of each batcher's sink, by the batcher's name.
    pub sinks: BTreeMap<String, String>,
    /// Where it stands which of its feeds serves.
    pub feeds: Arc<Feeds>,
}

impl Pipelines for Vec<Running> {
    fn views(&self) -> Vec<PipelineView> {
        self.iter().cloned().map(Running::view).collect()
    }

    fn publish(&self) {
        self.iter().for_each(|running| running.pipeline.publish());
    }
}

impl Running {
    /// As it stands.
    #[must_use]
    pub fn view(self) -> PipelineView {
        let topology = Topology::clone(&self.pipeline.topology());
        let (status, standing) = (self.pipeline.status(), self.feeds.get(&topology.name));
        PipelineView { topology, status, sinks: self.sinks, standing }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Pipelines")]
pub(super) struct Listed {
    pipelines: Vec<Shown>,
    /// What the last reload of the pipeline files came to.
    reload: Option<Reload>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Pipeline")]
struct Shown {
    name: String,
    /// `running`, `draining`, `stopped`.
    state: &'static str,
    topology: Shape,
    groups: Vec<Group>,
    ledger: Figures,
    /// Of what was settled in the last ten seconds or so, received → settled.
    latency: Latency,
    limits: Limits,
    /// Which of its feeds serves, if it has two.
    source: Option<Standing>,
    source_restarts: u64,
    /// Why the source gave up.
    source_failure: Option<String>,
    /// By state.
    dead_letters: BTreeMap<&'static str, i64>,
    /// What slows its source down when it brings rubbish, if anything does.
    breaker: Option<Breaker>,
    failures: Failures,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Breaker {
    /// Tripped: the source is slowed to a trickle of probes.
    open: bool,
    open_seconds: Option<f64>,
    /// How often it has tripped.
    trips: u64,
    /// Probes sent since it tripped.
    probes: u64,
    /// Probes that succeeded in a row, and how many it takes.
    successes: usize,
    successes_needed: usize,
    /// While it is closed: failures among the last messages that count, how many those are, and failures in a row.
    failed: usize,
    window: usize,
    run: usize,
}

/// Of the last five minutes.
#[derive(Debug, Serialize, JsonSchema)]
struct Failures {
    messages: u64,
    failed: u64,
    ratio: f64,
    /// More than the pipeline's `alert_above`.
    alert: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Shape {
    source: Producers,
    processors: Vec<Workers>,
    batchers: Vec<Batches>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Producers {
    name: String,
    concurrency: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Processor")]
struct Workers {
    name: String,
    stages: Vec<String>,
    concurrency: usize,
    max_demand: usize,
    capacity: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Batcher")]
struct Batches {
    name: String,
    after: Option<String>,
    sink: Option<String>,
    batch_size: usize,
    batch_timeout_seconds: f64,
    eager: bool,
    concurrency: usize,
    capacity: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Group {
    name: String,
    /// `producer`, `processor` or `batcher`.
    kind: &'static str,
    workers: usize,
    queue_depth: usize,
    queue_capacity: usize,
    busy_seconds: f64,
    /// Waiting for messages.
    starved_seconds: f64,
    /// Waiting for room downstream.
    blocked_seconds: f64,
    messages: u64,
    failed: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Ledger")]
struct Figures {
    received: u64,
    /// By outcome.
    settled: BTreeMap<&'static str, u64>,
    settled_total: u64,
    in_flight: u64,
    /// Received, less settled, less in flight: anything but 0 is a fault.
    imbalance: i64,
}

/// Off by an eighth at most; null when nothing was settled.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Latency {
    /// Half took no longer.
    p50_seconds: Option<f64>,
    /// 99 of 100 took no longer.
    p99_seconds: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Limits {
    in_flight_max: usize,
    rate_limit: Option<Rate>,
    drain_deadline_seconds: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Rate {
    messages: u32,
    per_seconds: f64,
}

pub(super) async fn list(Extract(state): Extract<State>) -> Json<Listed> {
    let letters = state.health.dead_letters().await;
    let views = state.pipelines.views();
    let reload = state.reloads.as_ref().and_then(super::Reloads::last);
    Json(Listed { pipelines: views.into_iter().map(|view| shown(&state, view, &letters)).collect(), reload })
}

fn shown(state: &State, view: PipelineView, letters: &DeadLetters) -> Shown {
    let PipelineView { topology, status, sinks, standing } = view;
    let of_it = letters.iter().filter(|((pipeline, _), _)| *pipeline == topology.name);
    Shown {
        dead_letters: of_it.map(|((_, state), count)| (*state, *count)).collect(),
        state: status.state.as_str(),
        groups: status.groups.into_iter().map(Group::from).collect(),
        ledger: Figures::from(&status.ledger),
        latency: latency(state, &topology.name),
        limits: Limits {
            in_flight_max: status.in_flight_max,
            rate_limit: status
                .rate_limit
                .map(|rate| Rate { messages: rate.messages, per_seconds: rate.per.as_secs_f64() }),
            drain_deadline_seconds: topology.drain_deadline.as_secs_f64(),
        },
        source: standing,
        breaker: status.breaker.map(|breaker| tripping(&breaker, &topology)),
        failures: Failures {
            messages: status.recent.messages,
            failed: status.recent.failed,
            ratio: status.recent.ratio(),
            alert: status.recent.alert,
        },
        source_restarts: status.source_restarts,
        source_failure: status.source_failure,
        name: topology.name,
        topology: Shape {
            source: Producers { name: topology.source.name, concurrency: topology.source.concurrency },
            processors: topology.processors.into_iter().map(Workers::from).collect(),
            batchers: topology.batchers.into_iter().map(|batcher| batches(batcher, &sinks)).collect(),
        },
    }
}

fn tripping(breaker: &BreakerStatus, topology: &Topology) -> Breaker {
    Breaker {
        open: breaker.open,
        open_seconds: breaker.open_for.map(|time| time.as_secs_f64()),
        trips: breaker.trips,
        probes: breaker.probes,
        successes: breaker.successes,
        successes_needed: topology.breaker.map_or(0, |rules| rules.successes),
        failed: breaker.failed,
        window: breaker.window,
        run: breaker.run,
    }
}

fn latency(state: &State, pipeline: &str) -> Latency {
    let Some((before, after, _)) = state.history.window(pipeline, WINDOW) else { return Latency::default() };
    let settled = after.latencies.since(&before.latencies);
    let quantile = |share| settled.quantile(share).map(|took| took.as_secs_f64());
    Latency { p50_seconds: quantile(0.5), p99_seconds: quantile(0.99) }
}

impl From<Processor> for Workers {
    fn from(processor: Processor) -> Self {
        let Processor { name, stages, concurrency, max_demand, capacity } = processor;
        Self { name, stages, concurrency, max_demand, capacity }
    }
}

fn batches(batcher: Batcher, sinks: &BTreeMap<String, String>) -> Batches {
    Batches {
        sink: sinks.get(&batcher.name).cloned(),
        name: batcher.name,
        after: batcher.after,
        batch_size: batcher.batch_size,
        batch_timeout_seconds: batcher.batch_timeout.as_secs_f64(),
        eager: batcher.eager,
        concurrency: batcher.concurrency,
        capacity: batcher.capacity,
    }
}

impl From<GroupStatus> for Group {
    fn from(group: GroupStatus) -> Self {
        Self {
            name: group.name,
            kind: group.kind,
            workers: group.workers,
            queue_depth: group.queue_depth,
            queue_capacity: group.queue_capacity,
            busy_seconds: group.busy.as_secs_f64(),
            starved_seconds: group.starved.as_secs_f64(),
            blocked_seconds: group.blocked.as_secs_f64(),
            messages: group.messages,
            failed: group.failed,
        }
    }
}

impl From<&Ledger> for Figures {
    fn from(ledger: &Ledger) -> Self {
        Self {
            received: ledger.received,
            settled: Outcome::ALL.iter().map(|outcome| (outcome.as_str(), ledger.outcome(*outcome))).collect(),
            settled_total: ledger.settled_total(),
            in_flight: ledger.in_flight,
            imbalance: ledger.imbalance(),
        }
    }
}
