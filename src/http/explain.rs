//! `GET /api/explain`: what limits each pipeline, in one sentence with the figures behind it.

use std::thread::available_parallelism;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use broadside_engine::explain::{self, Explanation, GroupShare, StageShare};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::{PipelineView, State};

/// Seconds that are looked at.
pub(super) const SECONDS: u32 = 10;
/// As many as are kept.
pub(super) const SECONDS_MAX: u32 = 60;

/// How far back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    seconds: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Explanations")]
pub(super) struct Explained {
    pipelines: Vec<Limited>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Explanation")]
struct Limited {
    pipeline: String,
    /// `source`, `rate_limit`, `in_flight`, `processor`, `stage`, `sink`, `breaker`, `paused`, `ending`, `idle`; `unknown` in the first two seconds.
    verdict: &'static str,
    /// The source, worker group or stage that is meant.
    subject: Option<String>,
    /// What limits it, and what would not help.
    sentence: String,
    /// The time that was looked at.
    seconds: f64,
    received_per_second: f64,
    settled_per_second: f64,
    in_flight: u64,
    in_flight_max: usize,
    oldest_unsettled_seconds: Option<f64>,
    /// The source first, then in the order in which messages pass them.
    groups: Vec<Share>,
    stages: Vec<Stage>,
}

/// Shares are of the workers' time, from 0 to 1.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "GroupShare")]
struct Share {
    name: String,
    /// `producer`, `processor` or `batcher`.
    kind: &'static str,
    workers: usize,
    busy: f64,
    /// Waiting for messages.
    starved: f64,
    /// Waiting for room downstream, or for a message in flight to settle.
    blocked: f64,
    /// Waiting for the rate limit.
    limited: f64,
    blocked_by: Option<String>,
    /// The share of `busy` in which it computed; the rest it waited for something outside.
    computing: f64,
    queue_depth: usize,
    queue_capacity: usize,
    messages_per_second: f64,
    /// Messages that a worker took up at once, on average: a batcher's batches.
    group_size: f64,
    /// How long a worker was busy with them, on average.
    group_seconds: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StageShare")]
struct Stage {
    group: String,
    stage: String,
    /// Of its group's stages' time.
    share: f64,
    /// The share of its time in which it computed.
    computing: f64,
    /// A worker's time for one message.
    message_seconds: f64,
}

pub(super) async fn explain(
    Extract(state): Extract<State>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Explained>, ApiError> {
    let wrong = || ApiError::bad_request(format!("seconds may be asked for, from 2 to {SECONDS_MAX}"));
    let Query(asked) = asked.map_err(|_| wrong())?;
    let seconds = asked.seconds.unwrap_or(SECONDS);
    if !(2..=SECONDS_MAX).contains(&seconds) {
        return Err(wrong());
    }
    let window = Duration::from_secs(seconds.into());
    let pipelines = state.pipelines.views().into_iter().map(|view| limited(&state, view, window)).collect();
    Ok(Json(Explained { pipelines }))
}

fn limited(state: &State, view: PipelineView, window: Duration) -> Limited {
    let cores = available_parallelism().map_or(1, usize::from);
    let pipeline = view.topology.name.clone();
    match state.history.window(&pipeline, window) {
        Some((before, after, between)) => {
            Limited::of(pipeline, explain::explain(&before, &after, between, &view.topology, cores))
        }
        None => {
            let now = &view.status;
            let mut said = Limited::of(pipeline, explain::explain(now, now, Duration::ZERO, &view.topology, cores));
            (said.verdict, said.subject) = ("unknown", None);
            "It has only just started: ask again in two seconds.".clone_into(&mut said.sentence);
            said
        }
    }
}

impl Limited {
    fn of(pipeline: String, said: Explanation) -> Self {
        Self {
            pipeline,
            verdict: said.verdict.as_str(),
            subject: said.subject,
            sentence: said.sentence,
            seconds: said.window.as_secs_f64(),
            received_per_second: said.received_per_second,
            settled_per_second: said.settled_per_second,
            in_flight: said.in_flight,
            in_flight_max: said.in_flight_max,
            oldest_unsettled_seconds: said.oldest_unsettled.map(|age| age.as_secs_f64()),
            groups: said.groups.into_iter().map(Share::from).collect(),
            stages: said.stages.into_iter().map(Stage::from).collect(),
        }
    }
}

impl From<GroupShare> for Share {
    fn from(share: GroupShare) -> Self {
        Self {
            name: share.name,
            kind: share.kind,
            workers: share.workers,
            busy: share.busy,
            starved: share.starved,
            blocked: share.blocked,
            limited: share.limited,
            blocked_by: share.blocked_by,
            computing: share.computing,
            queue_depth: share.queue_depth,
            queue_capacity: share.queue_capacity,
            messages_per_second: share.messages_per_second,
            group_size: share.group_size,
            group_seconds: share.group_time.as_secs_f64(),
        }
    }
}

impl From<StageShare> for Stage {
    fn from(share: StageShare) -> Self {
        let StageShare { group, stage, share, computing, per_message } = share;
        Self { group, stage, share, computing, message_seconds: per_message.as_secs_f64() }
    }
}
