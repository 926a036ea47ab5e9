//! A point: what happened in ten seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use broadside_engine::message::Outcome;
use broadside_engine::pipeline::{GroupStatus, Status};

use super::Line;

/// The highest figures since the last point.
#[derive(Debug, Default)]
pub(super) struct Peaks {
    in_flight: u64,
    queues: Vec<u64>,
}

impl Peaks {
    pub(super) fn see(&mut self, status: &Status) {
        self.in_flight = self.in_flight.max(status.ledger.in_flight);
        self.queues.resize(queued(status).count(), 0);
        for (peak, group) in self.queues.iter_mut().zip(queued(status)) {
            *peak = (*peak).max(group.queue_depth as u64);
        }
    }
}

/// The groups that have a queue.
pub(super) fn queued(status: &Status) -> impl Iterator<Item = &GroupStatus> {
    status.groups.iter().filter(|group| group.kind != "producer")
}

#[derive(Debug)]
pub(super) struct Point {
    /// When it ended, in seconds since 1970.
    pub(super) at: i64,
    received: f64,
    settled: f64,
    failed: f64,
    p50: Option<f64>,
    p99: Option<f64>,
    peaks: Peaks,
    /// Whose queues the peaks are of: one list for all points of a pipeline that stays as it is.
    groups: Arc<[String]>,
}

impl Point {
    pub(super) fn between(
        (before, after): (&Status, &Status),
        took: Duration,
        at: i64,
        peaks: Peaks,
        groups: Arc<[String]>,
    ) -> Self {
        let failed =
            |status: &Status| status.ledger.outcome(Outcome::Failed) + status.ledger.outcome(Outcome::DeadLettered);
        let rate = |of: &dyn Fn(&Status) -> u64| {
            let rate = of(after).saturating_sub(of(before)) as f64 / took.as_secs_f64();
            (rate * 100.0).round() / 100.0
        };
        let latencies = after.latencies.since(&before.latencies);
        let quantile = |share| latencies.quantile(share).map(|took| took.as_secs_f64());
        Self {
            at,
            received: rate(&|status| status.ledger.received),
            settled: rate(&|status| status.ledger.settled_total()),
            failed: rate(&failed),
            p50: quantile(0.5),
            p99: quantile(0.99),
            peaks,
            groups,
        }
    }

    fn queue(&self, group: &str) -> Option<u64> {
        let index = self.groups.iter().position(|name| name == group)?;
        self.peaks.queues.get(index).copied()
    }
}

impl Line {
    pub(super) fn of<'a>(name: &str, points: impl Iterator<Item = &'a Point> + Clone) -> Self {
        let groups: BTreeSet<&String> = points.clone().flat_map(|point| point.groups.iter()).collect();
        let queue_of = |group: &String| points.clone().map(|point| point.queue(group)).collect();
        let queues: BTreeMap<String, Vec<Option<u64>>> =
            groups.into_iter().map(|group| (group.clone(), queue_of(group))).collect();
        Self {
            name: name.to_owned(),
            at: points.clone().map(|point| point.at).collect(),
            received_per_second: points.clone().map(|point| point.received).collect(),
            settled_per_second: points.clone().map(|point| point.settled).collect(),
            failed_per_second: points.clone().map(|point| point.failed).collect(),
            in_flight: points.clone().map(|point| point.peaks.in_flight).collect(),
            p50_seconds: points.clone().map(|point| point.p50).collect(),
            p99_seconds: points.map(|point| point.p99).collect(),
            queues,
        }
    }
}
