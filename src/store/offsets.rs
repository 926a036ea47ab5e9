//! How far each client of the killfeed has come, in each system; and what of the log nobody needs any more.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Claim, Error, Event};
use crate::killmail::SystemId;

/// Offsets in the store: one for each client and system that it follows, the id of the last event that it needs no more.
///
/// An offset only ever rises. One that is there keeps the events above it in the log until the client has passed them, is forgotten, or the log's bounds are
/// reached.
#[async_trait]
pub trait Offsets {
    /// The oldest events of these systems above the client's offsets, ascending. Makes the offsets that are not there yet, as [`follow`](Self::follow) does.
    ///
    /// With [`Commit::Auto`] no two calls hand out the same event, whoever asks whichever worker at the same time: the offsets have moved, for good, before
    /// this returns.
    async fn hand_out(&self, ask: &Ask) -> Result<Handed, Error>;
    /// Makes the client's offsets for the systems that it has none for, notes that it was seen, and answers all of them as they are.
    ///
    /// # Errors
    /// `from` is beyond every event there ever was: a data error that names the column `from`.
    async fn follow(&self, follow: &Follow) -> Result<Following, Error>;
    /// Moves offsets forward, or makes them; answers what they were, as far as they were there. A lower number changes nothing. Whoever moves an offset over
    /// an event that it was below has that event for itself.
    ///
    /// # Errors
    /// One is beyond every event there ever was: a data error that names the column `offsets`; nothing has moved.
    async fn commit_offsets(
        &self,
        client: &ClientId,
        offsets: &BTreeMap<SystemId, i64>,
        now: Timestamp,
    ) -> Result<BTreeMap<SystemId, i64>, Error>;
    /// The client's offsets; none: it is not known.
    async fn offsets(&self, client: &ClientId) -> Result<BTreeMap<SystemId, i64>, Error>;
    /// Clients by name, after this one ("" for the first).
    async fn clients(&self, after: &str, limit: u32) -> Result<Vec<FeedClient>, Error>;
    /// Deletes the client's offsets; whether there were any.
    async fn forget_client(&self, client: &ClientId) -> Result<bool, Error>;

    /// Deletes the offsets of up to `limit` clients that were last seen before then; answers how many.
    async fn forget_clients(&self, seen_before: Timestamp, limit: u32) -> Result<u64, Error>;
    /// Which part of the log may go.
    async fn collectable(&self, rules: &Rules) -> Result<Collectable, Error>;
    /// Deletes up to `limit` events above `after` that may go, in one short transaction.
    async fn collect(&self, of: &Collectable, after: i64, limit: u32) -> Result<Collected, Error>;
    /// Claims the collection: one process at a time does it. `None`: somebody has it. A claim never outlives its process.
    async fn claim_collection(&self) -> Result<Option<Box<dyn Claim>>, Error>;
}

/// The name of a client: 1 to 100 characters of `A-Z a-z 0-9 . _ : -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

impl ClientId {
    /// Longest, in characters.
    pub const LENGTH_MAX: usize = 100;

    /// `None`: it is no such name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"._:-".contains(&c);
        let is_one = (1..=Self::LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_allowed);
        is_one.then(|| Self(text.to_owned()))
    }

    /// As given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a client begins in a system that it has no offset for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// After every event there is.
    Now,
    /// Before every event there is.
    Earliest,
    /// After this one.
    After(i64),
}

/// Who moves the offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The store, before it hands out: each event goes out at most once.
    Auto,
    /// The client, when it is done with the events: each goes out at least once.
    Explicit,
}

/// A client that asks for systems.
#[derive(Debug, Clone)]
pub struct Follow {
    pub client: ClientId,
    pub systems: Vec<SystemId>,
    pub begin: Begin,
    pub now: Timestamp,
}

/// What [`Offsets::hand_out`] is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    pub follow: Follow,
    /// Events at most: 1 or more.
    pub limit: u32,
    /// Bytes of payloads, roughly; one event comes however large it is.
    pub bytes_max: usize,
    pub commit: Commit,
}

/// What [`Offsets::hand_out`] hands out.
#[derive(Debug, Clone, Default)]
pub struct Handed {
    pub events: Vec<Event>,
    /// There were more.
    pub more: bool,
    /// Events above the client's offsets were collected before it came: this is the oldest event there is.
    pub gap: Option<i64>,
}

/// What [`Offsets::follow`] found or made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Following {
    pub offsets: BTreeMap<SystemId, i64>,
    /// As in [`Handed`].
    pub gap: Option<i64>,
}

/// A client and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedClient {
    pub client: String,
    /// That it has an offset for.
    pub systems: i64,
    pub seen_at: Timestamp,
    /// Events above its offsets, counted up to [`LAG_MAX`].
    pub lag: i64,
    /// Of its offsets.
    pub least: i64,
    pub greatest: i64,
}

/// How often it is written down that a client was seen, at most.
pub const SEEN_EVERY: Duration = Duration::from_secs(60);
/// A lag is counted no further.
pub const LAG_MAX: i64 = 10_000;

/// Which events go.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Those made before then, when every client that follows their system has passed them.
    pub passed_before: Timestamp,
    /// Those made before then, whoever still wants them.
    pub made_before: Timestamp,
    /// All but so many, whoever still wants them.
    pub count_max: u64,
}

/// The part of the log that may go. The newest event is never in it, so that a client that begins now, after a restart of everything, begins after what was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collectable {
    /// Up to this id: those that all have passed.
    pub passed: i64,
    /// Up to this id all, for their age …
    pub aged: i64,
    /// … or their number.
    pub surplus: i64,
    /// Events in the log: exactly, or an upper bound where counting them would cost too much.
    pub events: i64,
}

/// What one call of [`Offsets::collect`] deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    pub passed: u64,
    pub aged: u64,
    pub surplus: u64,
    /// Where the next call goes on; `None`: nothing is left.
    pub next: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_name_is_short_and_plain() {
        for good in ["a", "Map-1.prod:eu_west", &"x".repeat(100)] {
            assert_eq!(ClientId::parse(good).map(|id| id.to_string()).as_deref(), Some(good));
        }
        for bad in ["", " ", "a b", "ä", "a/b", "a\n", &"x".repeat(101)] {
            assert_eq!(ClientId::parse(bad), None, "{bad:?}");
        }
    }
}
