//! ESI's newer limit: tokens for a group of routes, each of which comes back one window after it was spent.
//!
//! There is no header that says when. So the bucket keeps a log of what it spent itself, and takes for others' what the server
//! counts beyond that. Every doubt is decided against us: a call counts as spent at the latest moment at which it can have been.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{COST, COST_MAX, Urgency};

/// Below this share of the limit calls are spaced out.
const LOW: f64 = 0.2;
/// Background work leaves this share to live kills.
const LIVE_SHARE: f64 = 0.5;
/// Entries of the log: what is spent within a 900th of a window is one.
const LOG_MAX: u32 = 900;
/// No two calls are further apart than this for scarcity alone.
const SPACING_MAX: Duration = Duration::from_secs(30);

/// How long others' spending is taken for granted when it alone is in the way.
const PROBE: Duration = Duration::from_secs(30);

/// What the server granted, what was spent of it, and by whom.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: u32,
    window: Duration,
    /// Own spending, oldest first.
    log: VecDeque<Spent>,
    spent: u32,
    /// What others behind the same address have spent at the last reading, and when that was.
    foreign: (u32, Instant),
    /// When the next spaced call may go.
    next: Instant,
    /// When a call may find out how much of others' spending has come back.
    probe: Instant,
}

/// The server counted this cost at some moment between the two.
#[derive(Debug)]
struct Spent {
    earliest: Instant,
    latest: Instant,
    cost: u32,
}

impl Bucket {
    pub(super) fn new(limit: u32, window: Duration, now: Instant) -> Self {
        let window = window.max(Duration::from_secs(1));
        Self { limit: limit.max(1), window, log: VecDeque::new(), spent: 0, foreign: (0, now), next: now, probe: now }
    }

    pub(super) fn set_limit(&mut self, limit: u32, window: Duration) {
        (self.limit, self.window) = (limit.max(1), window.max(Duration::from_secs(1)));
    }

    /// Counts the cost of a call that was sent at `sent`, and answered or given up now.
    pub(super) fn spend(&mut self, cost: u32, sent: Instant, now: Instant) {
        self.forget(now);
        if cost == 0 {
            return;
        }
        self.spent += cost;
        match self.log.back_mut() {
            Some(last) if now < last.earliest + self.window / LOG_MAX => {
                *last = Spent { earliest: last.earliest.min(sent), latest: now, cost: last.cost + cost };
            }
            _ => self.log.push_back(Spent { earliest: sent, latest: now, cost }),
        }
    }

    /// Takes the server's count from the answer to a call that was sent at `sent`; its cost is [spent](Self::spend) after this.
    pub(super) fn reading(&mut self, remaining: u32, cost: u32, sent: Instant, now: Instant) {
        self.forget(now);
        let is_sure = |spent: &&Spent| spent.latest <= sent && spent.earliest + self.window > now;
        let sure: u32 = self.log.iter().filter(is_sure).map(|spent| spent.cost).sum();
        let counted = self.limit.saturating_sub(remaining);
        self.foreign = (counted.saturating_sub(sure + cost), now);
        self.probe = now + PROBE;
    }

    /// The server refused a call, and says when it takes the next.
    pub(super) fn refused(&mut self, until: Instant) {
        self.probe = until;
    }

    fn forget(&mut self, now: Instant) {
        while let Some(spent) = self.log.pop_front_if(|spent| spent.latest + self.window <= now) {
            self.spent -= spent.cost;
        }
    }

    fn foreign(&self, now: Instant) -> u32 {
        if self.foreign.1 + self.window <= now { 0 } else { self.foreign.0 }
    }

    /// The limit, its window, and what is left of it.
    pub(super) fn tokens(&self, now: Instant) -> (u32, Duration, u32) {
        (self.limit, self.window, u32::try_from(self.left(0, now)).unwrap_or(0))
    }

    /// Tokens left if every call in flight costs the most that one can: below 0 when more have been let go for later.
    fn left(&self, in_flight: u32, now: Instant) -> i64 {
        let aged = self.log.iter().take_while(|spent| spent.latest + self.window <= now).map(|spent| spent.cost);
        let taken = self.spent + self.foreign(now) + in_flight * COST_MAX;
        i64::from(self.limit + aged.sum::<u32>()) - i64::from(taken)
    }

    /// When one more call may go, those in flight considered; `None`: not before one of them is answered.
    pub(super) fn opens(&self, in_flight: u32, urgency: Urgency, now: Instant) -> Option<Instant> {
        let floor = match urgency {
            Urgency::Live => 0,
            Urgency::Background => (f64::from(self.limit) * LIVE_SHARE) as u32,
        };
        // A bucket smaller than the costliest call would never open.
        let needed = i64::from((floor + COST_MAX).min(self.limit));
        let left = self.left(in_flight, now);
        if left >= needed {
            let is_low = (left as f64) < f64::from(self.limit) * LOW;
            return Some(if is_low { self.next.max(now) } else { now });
        }
        // Others' spending is only known from an answer, so one call finds out how much of it has come back.
        if in_flight == 0 && urgency == Urgency::Live && i64::from(self.spent) + needed <= i64::from(self.limit) {
            return Some(self.probe.max(self.next).max(now));
        }
        self.regained(needed - left, now)
    }

    /// Notes that a call goes at `at`: the next spaced one goes later.
    pub(super) fn take(&mut self, in_flight: u32, at: Instant) {
        let low = f64::from(self.limit) * LOW;
        let left = self.left(in_flight, at) as f64;
        let refill = self.window.mul_f64(f64::from(COST) / f64::from(self.limit));
        let spacing = if left >= low { Duration::ZERO } else { refill.mul_f64(low / left.max(1.0)) };
        self.next = at + spacing.min(SPACING_MAX);
    }

    /// When so many more tokens will be back: own ones come at a known time, others' at the latest after a window.
    fn regained(&self, missing: i64, now: Instant) -> Option<Instant> {
        let mut back: Vec<(Instant, u32)> = self.log.iter().map(|spent| (spent.latest, spent.cost)).collect();
        back.push((self.foreign.1, self.foreign(now)));
        back.sort_by_key(|(at, _)| *at);
        let mut sum = 0;
        let ends = back.into_iter().map(|(at, cost)| (at + self.window, cost)).filter(|(at, _)| *at > now);
        let mut enough = ends.skip_while(|(_, cost)| {
            sum += i64::from(*cost);
            sum < missing
        });
        enough.next().map(|(at, _)| at)
    }
}
