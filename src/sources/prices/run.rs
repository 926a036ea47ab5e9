//! A run of the job in this process: what is handed out, counted, and how long it takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::killmail::TypeId;
use crate::price::job::{Course, Job, Market, Outlook, Settled, State};
use crate::price_job::Width;

#[derive(Debug)]
pub(super) struct Run {
    /// What its messages carry, so that those of an earlier one are told from it.
    pub(super) id: u64,
    /// As this process knows it.
    pub(super) job: Job,
    types: Arc<[TypeId]>,
    course: Course,
    current: usize,
    pub(super) outlook: Outlook,
    /// Whether time passes for it: not while it is paused or has lost its claim.
    is_working: bool,
    counted_at: Instant,
    pub(super) progress_at: Instant,
    pub(super) saved_at: Instant,
    /// Whether anything was counted that is not saved.
    pub(super) is_ahead: bool,
}

impl Run {
    /// Of a job that was just taken on.
    pub(super) fn new(id: u64, job: Job, types: Arc<[TypeId]>, now: Instant) -> Self {
        let outlook = Outlook::of(&job);
        let mut run = Self {
            id,
            job,
            types,
            course: Course::default(),
            current: 0,
            outlook,
            is_working: true,
            counted_at: now,
            progress_at: now,
            saved_at: now,
            is_ahead: true,
        };
        run.enter(0);
        run
    }

    /// Goes to the first market from `index` on in which something is left.
    fn enter(&mut self, mut index: usize) {
        while let Some(market) = self.job.markets.get(index) {
            self.course = Course::new(market, &self.types);
            if self.course.remaining() > 0 {
                break;
            }
            index += 1;
        }
        if index != self.current {
            self.outlook.here = Outlook::of(&self.job).here;
        }
        self.current = index;
    }

    fn market(&mut self) -> Option<&mut Market> {
        self.job.markets.get_mut(self.current)
    }

    /// Up to `room` products to be handed out now: whole lots, so that requests are full.
    pub(super) fn lot(&mut self, room: usize, width: Width) -> Vec<(u64, TypeId)> {
        if self.job.state != State::Processing || self.market().is_none() {
            return Vec::new();
        }
        let ahead = width.bulk * (width.requests + 1);
        if self.course.in_flight() + width.bulk > ahead {
            return Vec::new();
        }
        std::iter::from_fn(|| self.course.hand_out()).take(room.min(width.bulk)).collect()
    }

    /// The market that is being worked on.
    pub(super) fn market_id(&self) -> i64 {
        self.job.markets.get(self.current).map_or(0, |market| market.market_id)
    }

    /// Counts what became of a product.
    pub(super) fn settle(&mut self, number: u64, settled: Settled, now: Instant) {
        self.pass(now);
        let Some(market) = self.job.markets.get_mut(self.current) else { return };
        if !self.course.settle(number, settled, market) {
            return;
        }
        self.progress_at = now;
        self.is_ahead = true;
        self.outlook.here.note(market.completed(), market.seconds);
        let markets = &self.job.markets;
        let seconds = markets.iter().map(|market| market.seconds).sum();
        self.outlook.all.note(markets.iter().map(Market::completed).sum(), seconds);
        if self.course.remaining() == 0 {
            self.enter(self.current + 1);
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted_at);
        self.counted_at = now;
        if self.is_working
            && let Some(market) = self.market()
        {
            market.seconds += passed.as_secs_f64();
        }
    }

    /// From now on time passes for it, or does not.
    pub(super) fn work(&mut self, is_working: bool, now: Instant) {
        self.pass(now);
        if is_working && !self.is_working {
            self.progress_at = now;
        }
        self.is_working = is_working;
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.current >= self.job.markets.len()
    }

    /// Whether all that was handed out is settled.
    pub(super) fn is_drained(&self) -> bool {
        self.course.in_flight() == 0
    }

    /// Whether progress is to be written.
    pub(super) fn is_due(&self, now: Instant, ahead: Duration, anyway: Duration) -> bool {
        let since = now.saturating_duration_since(self.saved_at);
        since >= anyway || self.is_ahead && since >= ahead
    }
}
