//! `GET /api/pipelines`: the shape of every running pipeline, with where its messages and its workers' time are.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use broadside_engine::message::Outcome;
use broadside_engine::pipeline::{GroupStatus, Ledger, Pipeline, Status};
use broadside_engine::topology::{Batcher, Processor, Topology};
use serde_json::{Value, json};

use super::State;
use super::health::DeadLetters;
use crate::feeds::{Feeds, Standing};

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

/// The pipelines of this process, whatever they are at the time.
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
        self.iter()
            .map(|running| PipelineView {
                topology: running.pipeline.topology().clone(),
                status: running.pipeline.status(),
                sinks: running.sinks.clone(),
                standing: running.feeds.get(&running.pipeline.topology().name),
            })
            .collect()
    }

    fn publish(&self) {
        self.iter().for_each(|running| running.pipeline.publish());
    }
}

pub(super) async fn list(Extract(state): Extract<State>) -> Json<Value> {
    let letters = state.health.dead_letters().await;
    let views = state.pipelines.views();
    Json(json!({"pipelines": views.iter().map(|view| pipeline(view, &letters)).collect::<Vec<_>>()}))
}

fn pipeline(view: &PipelineView, letters: &DeadLetters) -> Value {
    let (topology, status) = (&view.topology, &view.status);
    let letters: BTreeMap<&str, i64> = letters
        .iter()
        .filter(|((pipeline, _), _)| *pipeline == topology.name)
        .map(|((_, state), count)| (*state, *count))
        .collect();
    json!({
        "name": topology.name,
        "state": status.state.as_str(),
        "topology": {
            "source": {"name": topology.source.name, "concurrency": topology.source.concurrency},
            "processors": topology.processors.iter().map(processor).collect::<Vec<_>>(),
            "batchers": topology.batchers.iter().map(|b| batcher(b, view.sinks.get(&b.name))).collect::<Vec<_>>(),
        },
        "groups": status.groups.iter().map(group).collect::<Vec<_>>(),
        "ledger": ledger(&status.ledger),
        "limits": {
            "in_flight_max": status.in_flight_max,
            "rate_limit": status.rate_limit.map(|r| json!({"messages": r.messages, "per_seconds": r.per.as_secs_f64()})),
            "drain_deadline_seconds": topology.drain_deadline.as_secs_f64(),
        },
        "source": view.standing,
        "source_restarts": status.source_restarts,
        "source_failure": status.source_failure,
        "dead_letters": letters,
    })
}

fn processor(p: &Processor) -> Value {
    json!({
        "name": p.name,
        "stages": p.stages,
        "concurrency": p.concurrency,
        "max_demand": p.max_demand,
        "capacity": p.capacity,
    })
}

fn batcher(b: &Batcher, sink: Option<&String>) -> Value {
    json!({
        "name": b.name,
        "after": b.after,
        "sink": sink,
        "batch_size": b.batch_size,
        "batch_timeout_seconds": b.batch_timeout.as_secs_f64(),
        "eager": b.eager,
        "concurrency": b.concurrency,
        "capacity": b.capacity,
    })
}

fn group(g: &GroupStatus) -> Value {
    json!({
        "name": g.name,
        "kind": g.kind,
        "workers": g.workers,
        "queue_depth": g.queue_depth,
        "queue_capacity": g.queue_capacity,
        "busy_seconds": g.busy.as_secs_f64(),
        "starved_seconds": g.starved.as_secs_f64(),
        "blocked_seconds": g.blocked.as_secs_f64(),
        "messages": g.messages,
        "failed": g.failed,
    })
}

fn ledger(ledger: &Ledger) -> Value {
    let settled: BTreeMap<&str, u64> = Outcome::ALL.iter().map(|o| (o.as_str(), ledger.outcome(*o))).collect();
    json!({
        "received": ledger.received,
        "settled": settled,
        "settled_total": ledger.settled_total(),
        "in_flight": ledger.in_flight,
        "imbalance": ledger.imbalance(),
    })
}
