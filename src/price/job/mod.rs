//! The price cache job as plain values: its states, how far it is in each market, how long it will take. No clock, no store: time is an argument.

mod course;
mod pace;
mod state;
mod status;

pub use course::{Course, Settled};
pub use pace::Pace;
pub use state::{Action, Illegal, State};
pub use status::{Analytics, MarketAnalytics, MarketStatus, Outlook, Status};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How far a run is in one market. Everything up to `position` is done, and nothing beyond it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Market {
    pub market_id: i64,
    /// Products to be priced, done ones too.
    pub total: u64,
    /// Priced.
    pub successful: u64,
    /// Without a price, or not to be had.
    pub failed: u64,
    /// The greatest type id that is done; the next run goes on above it.
    pub position: Option<i64>,
    /// Time spent on it, pauses left out.
    pub seconds: f64,
}

impl Market {
    /// Nothing is done yet.
    #[must_use]
    pub fn new(market_id: i64, total: u64) -> Self {
        Self { market_id, total, successful: 0, failed: 0, position: None, seconds: 0.0 }
    }

    /// Products that are done, one way or the other.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.successful + self.failed
    }

    /// Products that are not.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.total.saturating_sub(self.completed())
    }
}

/// The job as it is kept: there is one in a database.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Job {
    pub state: State,
    /// Grows each time that a worker takes the job on: what an earlier one still writes is refused.
    pub epoch: i64,
    pub started_at: Option<Timestamp>,
    /// When the state was entered.
    pub changed_at: Option<Timestamp>,
    /// Why it is in this state, where nobody asked for it: what went wrong, or what interrupted it.
    pub reason: Option<String>,
    /// In the order in which they are worked on.
    pub markets: Vec<Market>,
}

impl Job {
    /// The market that is being worked on, or would be next.
    #[must_use]
    pub fn current_market(&self) -> Option<i64> {
        let current = self.markets.iter().find(|market| market.remaining() > 0);
        current.filter(|_| self.state.is_begun()).map(|market| market.market_id)
    }
}

/// A change of state, made only when the job is still as it was: in this state and epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    pub from: State,
    pub epoch: i64,
    pub to: State,
    pub next_epoch: i64,
    pub reason: Option<String>,
    pub at: Timestamp,
    /// In place of those that are kept; `None`: they stay.
    pub markets: Option<Vec<Market>>,
}

impl Move {
    /// From how the job was seen; epoch and markets stay.
    #[must_use]
    pub fn of(job: &Job, to: State, at: Timestamp) -> Self {
        Self { from: job.state, epoch: job.epoch, to, next_epoch: job.epoch, reason: None, at, markets: None }
    }

    /// Says why.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// A worker takes the job on.
    #[must_use]
    pub fn taking_over(mut self) -> Self {
        self.next_epoch = self.epoch + 1;
        self
    }

    /// With these markets from now on.
    #[must_use]
    pub fn with_markets(mut self, markets: Vec<Market>) -> Self {
        self.markets = Some(markets);
        self
    }

    /// What it makes of the job, if the job is as it says: for a store.
    #[must_use]
    pub fn applied(&self, job: &Job) -> Option<Job> {
        if (job.state, job.epoch) != (self.from, self.epoch) {
            return None;
        }
        Some(Job {
            state: self.to,
            epoch: self.next_epoch,
            started_at: if self.to == State::Initializing { Some(self.at) } else { job.started_at },
            changed_at: Some(self.at),
            reason: self.reason.clone(),
            markets: self.markets.clone().unwrap_or_else(|| job.markets.clone()),
        })
    }
}
