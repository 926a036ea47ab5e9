//! What became of every pipeline's figures: each second of the last minute, and the last hour in points of ten seconds.
//!
//! `GET /api/pipelines/history` shows the hour, the minute is what `explain` compares. Pipelines come and go, and one may be
//! built again under its name while this watches: its counters then begin anew, and so does its minute; its hour goes on.

mod point;
mod track;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use broadside_engine::pipeline::Status;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::track::Track;
use super::error::ApiError;
use super::{Pipelines, State};

const EVERY: Duration = Duration::from_secs(1);
/// Seconds of a point.
const POINT: Duration = Duration::from_secs(10);
/// Points kept: an hour.
const POINTS: usize = 360;
/// Pipelines remembered at once, gone ones among them.
const PIPELINES_MAX: usize = 100;

/// Samples of every pipeline's status. Bounded: a minute of statuses and an hour of points for each of a hundred pipelines at most.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<BTreeMap<String, Track>>);

impl History {
    /// Samples once a second until `stop`.
    pub(super) async fn run(self: Arc<Self>, pipelines: Arc<dyn Pipelines>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        // After a stall, seconds that nobody looked at have no sample.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let statuses = pipelines.views().into_iter().map(|view| (view.topology.name, view.status));
            self.sample(statuses, Instant::now(), Timestamp::now());
        }
    }

    /// Takes one sample of each of the pipelines there are.
    fn sample(&self, statuses: impl Iterator<Item = (String, Status)>, at: Instant, clock: Timestamp) {
        let mut tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, status) in statuses {
            if tracks.len() < PIPELINES_MAX || tracks.contains_key(&name) {
                tracks.entry(name).or_default().add(status, at, clock.as_second());
            }
        }
        tracks.retain(|_, track| track.tidy(at, clock.as_second()));
    }

    /// A pipeline's status some time ago, its newest, and the time between: `length`, or less when it has not run that long, or a little more. `None`
    /// until there are two samples. A minute is the most there is.
    pub(super) fn window(&self, pipeline: &str, length: Duration) -> Option<(Status, Status, Duration)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(pipeline)?.window(length)
    }
}

/// From when on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default)]
    since: u64,
}

/// The last hour.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "History")]
pub(super) struct Listed {
    /// Between two points.
    every_seconds: u64,
    pipelines: Vec<Line>,
}

/// A pipeline's points, by what they tell: lists of one length.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PipelineHistory")]
struct Line {
    name: String,
    /// When the point ended, in seconds since 1970.
    at: Vec<i64>,
    received_per_second: Vec<f64>,
    settled_per_second: Vec<f64>,
    /// Of those settled: failed, also when they became dead letters.
    failed_per_second: Vec<f64>,
    /// The most there were at once, of what was seen each second.
    in_flight: Vec<u64>,
    /// Received → settled: half of what was settled took no longer. Off by an eighth at most; null when nothing was settled.
    p50_seconds: Vec<Option<f64>>,
    /// 99 of 100 took no longer.
    p99_seconds: Vec<Option<f64>>,
    /// By worker group, the most that waited at once, of what was seen each second; null while there was no such group.
    queues: BTreeMap<String, Vec<Option<u64>>>,
}

pub(super) async fn list(
    Extract(state): Extract<State>,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Json<Listed>, ApiError> {
    let Query(from) = from.map_err(|_| ApiError::bad_request("since may be asked for, in whole seconds since 1970"))?;
    let since = i64::try_from(from.since).unwrap_or(i64::MAX);
    let tracks = state.history.0.lock().unwrap_or_else(PoisonError::into_inner);
    let pipelines = tracks.iter().map(|(name, track)| Line::of(name, track.points_after(since))).collect();
    Ok(Json(Listed { every_seconds: POINT.as_secs(), pipelines }))
}

#[cfg(test)]
mod tests;
