//! One pipeline's samples.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use broadside_engine::pipeline::Status;
use tokio::time::Instant;

use super::point::{Peaks, Point, queued};
use super::{POINT, POINTS};

/// How long a sample is kept: a minute, and a little for late ones.
const KEPT: Duration = Duration::from_millis(61_500);
/// Samples at most, whatever the clock does.
const SAMPLES_MAX: usize = 90;
/// A pipeline that was not there for so long is another when it comes again.
const AWAY: Duration = Duration::from_millis(2_500);
/// A second of which the tick came early is a second.
const SLACK: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Track {
    /// The oldest first.
    samples: VecDeque<(Instant, Status)>,
    points: VecDeque<Point>,
    open: Option<Open>,
    groups: Arc<[String]>,
}

/// The point that is being made.
#[derive(Debug)]
struct Open {
    since: Instant,
    first: Status,
    peaks: Peaks,
}

impl Track {
    /// A sample; `clock` is the same moment, in seconds since 1970.
    pub(super) fn add(&mut self, status: Status, at: Instant, clock: i64) {
        let follows = self.samples.back().is_some_and(|(last, before)| at - *last < AWAY && goes_on(before, &status));
        if !follows {
            self.samples.clear();
            self.open = None;
            self.groups = queued(&status).map(|group| group.name.clone()).collect();
        }
        let open = self.open.get_or_insert_with(|| Open { since: at, first: status.clone(), peaks: Peaks::default() });
        open.peaks.see(&status);
        let took = at - open.since;
        if took + SLACK >= POINT {
            let peaks = std::mem::take(&mut open.peaks);
            self.points.push_back(Point::between((&open.first, &status), took, clock, peaks, self.groups.clone()));
            (open.since, open.first) = (at, status.clone());
        }
        self.samples.push_back((at, status));
    }

    /// Drops what is too old; whether anything is left.
    pub(super) fn tidy(&mut self, at: Instant, clock: i64) -> bool {
        while self.samples.front().is_some_and(|(taken, _)| at - *taken > KEPT) || self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
        let oldest = clock - (POINTS as u64 * POINT.as_secs()).cast_signed();
        while self.points.front().is_some_and(|point| point.at <= oldest) || self.points.len() > POINTS {
            self.points.pop_front();
        }
        !self.samples.is_empty() || !self.points.is_empty()
    }

    pub(super) fn window(&self, length: Duration) -> Option<(Status, Status, Duration)> {
        let mut earlier = self.samples.iter().rev();
        let (end, after) = earlier.next()?;
        let first = self.samples.front().filter(|_| self.samples.len() > 1);
        let (start, before) = earlier.find(|(at, _)| *end - *at + SLACK >= length).or(first)?;
        Some((before.clone(), after.clone(), *end - *start))
    }

    pub(super) fn points_after(&self, since: i64) -> impl Iterator<Item = &Point> + Clone {
        self.points.iter().filter(move |point| point.at > since)
    }
}

/// Whether it is the same pipeline, later: one that was built again counts from nothing.
fn goes_on(before: &Status, after: &Status) -> bool {
    before.ledger.received <= after.ledger.received
        && before.ledger.settled_total() <= after.ledger.settled_total()
        && before.groups.len() == after.groups.len()
        && before.groups.iter().zip(&after.groups).all(|(before, after)| {
            before.name == after.name
                && before.messages <= after.messages
                && before.starved + before.busy + before.blocked <= after.starved + after.busy + after.blocked
        })
}
