//! All SQL, behind one trait. SQLite now; PostgreSQL is a second implementation.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::killmail::{Kill, KillmailId, SystemId};

/// What storing a kill changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there. `event_id` when events are written.
    New { event_id: Option<i64> },
    /// It was there in a poorer form, and is now as given.
    Richer,
    /// It was there, as rich or richer: nothing changed.
    Same,
}

/// One row of `killmail_events`, with the kill's payload as stored.
#[derive(Debug, Clone)]
pub struct Event {
    pub event_id: i64,
    pub system_id: SystemId,
    pub killmail_id: KillmailId,
    /// The raw payload, as in `killmails_raw`.
    pub payload: String,
}

/// A failed message, to be kept.
#[derive(Debug, Clone)]
pub struct NewDeadLetter {
    pub pipeline: String,
    pub source: String,
    /// Worker group and stage (or sink) that failed.
    pub group: String,
    pub stage: String,
    /// Names of the batchers whose sinks already have it.
    pub sinks_done: Vec<String>,
    /// `invalid`, `permanent`, `transient`, `panic`.
    pub class: &'static str,
    pub error: String,
    pub sqlstate: Option<String>,
    pub http_status: Option<u16>,
    pub killmail_id: Option<KillmailId>,
    pub failed_at: Timestamp,
    /// The raw bytes as received.
    pub payload: Vec<u8>,
}

/// A row of `dead_letters`.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub id: i64,
    pub state: DeadLetterState,
    pub attempts: i64,
    pub first_failed_at: Timestamp,
    pub last_failed_at: Timestamp,
    /// Why it was discarded, if it was.
    pub note: Option<String>,
    pub letter: NewDeadLetter,
}

/// Where a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterState {
    Open,
    Retrying,
    Replayed,
    Discarded,
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    pub pipeline: Option<String>,
    pub state: Option<DeadLetterState>,
    pub ids: Vec<i64>,
    pub stage: Option<String>,
    /// Ids above this one, ascending: for paging.
    pub after: i64,
    pub limit: Option<u32>,
}

/// Why the store could not do it. Transient or permanent is decided here, once.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store is away or busy: the same call may succeed later.
    #[error("{0}")]
    Transient(String),
    /// The data are refused.
    #[error("{message}")]
    Data { message: String, sqlstate: Option<String>, column: Option<String>, constraint: Option<String> },
    /// Neither: a wrong schema, a broken file.
    #[error("{0}")]
    Permanent(String),
}

/// What the worker keeps. Every call is bounded in time.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Stores kills (each decoded) in one transaction: raw, enriched, participants, and events when asked.
    /// One answer a kill, in order. A kill may stand in `kills` more than once.
    async fn insert_kills(&self, kills: &[&Kill], events: bool) -> Result<Vec<Change>, Error>;
    /// Events above `after`, ascending, of these systems (none given: of all).
    async fn events_after(&self, after: i64, systems: &[SystemId], limit: u32) -> Result<Vec<Event>, Error>;
    /// The least and the greatest event id, when there are any.
    async fn event_range(&self) -> Result<Option<(i64, i64)>, Error>;
    /// How many kills are stored.
    async fn count_kills(&self) -> Result<i64, Error>;

    /// Keeps dead letters in one transaction; answers their ids.
    async fn add_dead_letters(&self, letters: &[NewDeadLetter]) -> Result<Vec<i64>, Error>;
    async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, Error>;
    /// Counts by pipeline and state.
    async fn dead_letter_counts(&self) -> Result<Vec<(String, DeadLetterState, i64)>, Error>;
    /// Moves letters in one of `from` to a state; answers those that moved.
    async fn set_dead_letter_state(
        &self,
        ids: &[i64],
        from: &[DeadLetterState],
        to: DeadLetterState,
        note: Option<&str>,
    ) -> Result<Vec<i64>, Error>;
    /// Another attempt failed: counts it and keeps the new cause.
    async fn dead_letter_failed_again(&self, id: i64, letter: &NewDeadLetter) -> Result<(), Error>;

    async fn checkpoint(&self, name: &str) -> Result<Option<String>, Error>;
    /// `None` forgets it.
    async fn set_checkpoint(&self, name: &str, value: Option<&str>) -> Result<(), Error>;

    /// Answers when the store does.
    async fn ping(&self) -> Result<(), Error>;
    async fn close(&self);
}
