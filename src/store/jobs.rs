//! What a store keeps of the price cache job.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Claim, Error};
use crate::price::job::{Job, Market, Move, State};

/// The job in the store: one for all workers on it.
#[async_trait]
pub trait Jobs {
    /// As it is.
    async fn price_job(&self) -> Result<Job, Error>;
    /// Makes a change, if the job is still as the change says; whether it was.
    async fn move_price_job(&self, change: &Move) -> Result<bool, Error>;
    /// Keeps how far an epoch is, and answers the job's state; `None`: the epoch is over, and nothing was written.
    async fn save_price_progress(&self, epoch: i64, markets: &[Market]) -> Result<Option<State>, Error>;
    /// Claims the job; `None`: somebody has a claim beside which there can be none of this kind. A claim never outlives its process.
    async fn claim_price_job(&self, to: To) -> Result<Option<Box<dyn Claim>>, Error>;
}

/// What a claim is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Nobody else has any.
    Work,
    /// Nobody works: others may look too.
    Look,
}

/// The columns of `price_jobs`, as both engines have them.
pub(super) struct Row {
    pub(super) state: String,
    pub(super) epoch: i64,
    pub(super) started_at: Option<Timestamp>,
    pub(super) changed_at: Option<Timestamp>,
    pub(super) reason: Option<String>,
    pub(super) markets: String,
}

impl Row {
    pub(super) fn read(self) -> Result<Job, Error> {
        let Self { state, epoch, started_at, changed_at, reason, markets } = self;
        let (state, markets) = (parse(&state)?, serde_json::from_str(&markets).map_err(unreadable)?);
        Ok(Job { state, epoch, started_at, changed_at, reason, markets })
    }
}

/// A state by its name.
pub(super) fn parse(state: &str) -> Result<State, Error> {
    State::parse(state).ok_or_else(|| Error::Permanent(format!("read the price job: its state is `{state}`")))
}

/// Markets as they are stored.
pub(super) fn text(markets: &[Market]) -> Result<String, Error> {
    serde_json::to_string(markets).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::Permanent(format!("read the price job's markets: {error}"))
}
