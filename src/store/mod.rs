//! All SQL, behind one trait, in two engines: SQLite and PostgreSQL.
//!
//! What every engine shares is outside the engines' folders: the rows of a kill, what a call changes, the classes of
//! errors, and waiting for a store that is away ([`retry`]).

mod alerts;
mod claim;
mod error;
mod events;
mod fingerprint;
mod handing;
mod heads;
mod jobs;
mod letters;
mod migrations;
mod month;
mod offsets;
mod order_rows;
mod orders;
mod plan;
pub mod postgres;
mod profiles;
mod quotes;
mod rehearsal;
pub mod retry;
mod rows;
pub mod sqlite;
mod static_rows;
mod statics;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

pub use alerts::{Alert, Alerts, DisabledTarget, NewAlert, ToldKill, ToldProfile};
pub use claim::{Claim, keep_claim};
pub use error::Error;
pub use events::{Event, Scope, Stretch};
pub use fingerprint::{Fingerprint, fingerprint};
pub use jobs::{Jobs, To};
pub use letters::{
    Attempt, DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterState, DeadLetterStats, Expired, Expiry,
    GroupFilter, GroupNote, GroupSaid, GroupState, HISTORY_MAX, Letters, NewDeadLetter, Settled, TREND_HOURS,
};
pub use month::Month;
pub use offsets::{
    Ask, Begin, ClientId, Collectable, Collected, Commit, FeedClient, Follow, Following, Handed, LAG_MAX, Offsets,
    Rules, SEEN_EVERY,
};
pub use orders::{Gone, OrderChanges, Orders, StoredPage, Swept};
pub use profiles::{Matched, NewProfile, ProfileChange, ProfileNews, Profiles, StoredProfile, WatchedProfile, Which};
pub use quotes::Quotes;
pub use rehearsal::{REHEARSED, Rehearsed, RowChange};
pub use retry::Health;
pub use statics::{Import, Origins, Queued, StaticData};

use crate::killmail::{Form, Kill, KillmailId, SystemId};

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

/// One month of one table that is kept by months (PostgreSQL).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The table as queries name it: `killmails_raw`.
    pub table: String,
    /// The table that holds the month: `killmails_raw_2021_11`.
    pub name: String,
    pub month: Month,
    /// As the planner last estimated it; `None` before its first look.
    pub rows: Option<i64>,
    /// On disk, with indexes.
    pub bytes: i64,
}

/// A kill that is to be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    pub killmail_id: KillmailId,
    /// Those that failed.
    pub attempts: u32,
    /// What is stored of it.
    pub payload: String,
    /// Who brought that …
    pub source: String,
    /// … and when.
    pub received_at: Timestamp,
}

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long a call waits for a lock that another process holds, before it is a transient error.
    pub busy_timeout: Duration,
    /// The longest that any call may take, before it is a transient error.
    pub call_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5), call_timeout: Duration::from_secs(30) }
    }
}

/// Opens the database that `url` names, and creates it when it is a file that is not there; its tables are another step
/// ([`Store::migrate`]).
///
/// * `sqlite://broadside.db`: a file, from the working folder; `sqlite:///var/lib/broadside.db`: from the root;
///   `?synchronous=full`: commits survive a loss of power too (see [`sqlite`]).
/// * `sqlite::memory:`: gone when closed.
/// * `postgres://USER:PASSWORD@HOST:PORT/DATABASE`: a server, whose database exists (see [`postgres`]).
///
/// # Errors
/// The URL is of no known kind, or the database cannot be opened: a transient error when it may be later.
pub async fn connect(url: &str, options: &Options) -> Result<Arc<dyn Store>, Error> {
    match url.split(':').next() {
        Some("sqlite") => Ok(Arc::new(sqlite::Sqlite::open(url, options).await?)),
        Some("postgres" | "postgresql") => Ok(Arc::new(postgres::Postgres::open(url, options).await?)),
        // The URL may hold a password: it is not repeated.
        _ => Err(Error::Permanent("open the database: its url must begin with sqlite:// or postgres://".to_owned())),
    }
}

/// Bounds a call.
async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
    let late = |_| Err(Error::Transient(format!("no answer within {limit:?}")));
    tokio::time::timeout(limit, call).await.unwrap_or_else(late)
}

/// What the worker keeps. Every call is bounded in time.
#[async_trait]
pub trait Store:
    Orders + StaticData + Quotes + Jobs + Profiles + Alerts + Offsets + Letters + Send + Sync + std::fmt::Debug
{
    /// Brings the tables up to this build, one step after the other; answers the steps that it took.
    async fn migrate(&self) -> Result<Vec<String>, Error>;
    /// The steps that [`migrate`](Self::migrate) would take.
    async fn pending_migrations(&self) -> Result<Vec<String>, Error>;

    /// Stores kills (each decoded) in one transaction: raw, enriched, participants, and events when asked.
    /// One answer a kill, in order. A kill may stand in `kills` more than once.
    ///
    /// Safe to repeat: a kill is known by its id. All or nothing: one kill that is refused ([`Error::Data`]) refuses the call.
    async fn insert_kills(&self, kills: &[&Kill], events: bool) -> Result<Vec<Change>, Error>;
    /// What [`insert_kills`](Self::insert_kills) would do with this kill alone, without an event. Nothing is changed.
    async fn rehearse_kill(&self, _kill: &Kill) -> Result<Rehearsed, Error> {
        Err(Error::Permanent("rehearse: this store cannot".to_owned()))
    }
    /// Of these kills of one UTC day, those that are not stored, or only in a poorer form; in their order.
    async fn lacking(&self, ids: &[KillmailId], form: Form, day: Date) -> Result<Vec<KillmailId>, Error>;
    /// Kills that were stored with [`Kill::refresh`] and are due, those first that have been due for longest.
    async fn due_refreshes(&self, now: Timestamp, limit: u32) -> Result<Vec<Refresh>, Error>;
    /// An attempt to complete a kill failed: the next is due then; `None`: there is none.
    async fn postpone_refresh(&self, id: KillmailId, until: Option<Timestamp>) -> Result<(), Error>;
    /// Nothing could be attempted for these kills: they are due again then, behind the others. Counts as no attempt.
    async fn defer_refreshes(&self, ids: &[KillmailId], until: Timestamp) -> Result<(), Error>;
    /// The next events above `after`, ascending, at most `limit`. A call looks at a bounded part of the log: one that answers no events may
    /// still say that there are more.
    async fn events_of(&self, scope: &Scope, after: i64, limit: u32) -> Result<Stretch, Error>;
    /// The same of these systems (none given: of all), until there are `limit`, or no more.
    async fn events_after(&self, after: i64, systems: &[SystemId], limit: u32) -> Result<Vec<Event>, Error> {
        let scope = if systems.is_empty() { Scope::all() } else { Scope::of_systems(systems) };
        let (mut after, mut events) = (after, Vec::new());
        loop {
            let missing = limit.saturating_sub(events.len() as u32);
            let stretch = self.events_of(&scope, after, missing).await?;
            events.extend(stretch.events);
            after = stretch.through;
            if !stretch.more || events.len() >= limit as usize {
                return Ok(events);
            }
        }
    }
    /// The least and the greatest event id, when there are any.
    async fn event_range(&self) -> Result<Option<(i64, i64)>, Error>;
    /// How many kills are stored.
    async fn count_kills(&self) -> Result<i64, Error>;

    async fn checkpoint(&self, name: &str) -> Result<Option<String>, Error>;
    /// `None` forgets it.
    async fn set_checkpoint(&self, name: &str, value: Option<&str>) -> Result<(), Error>;

    /// What is kept by months, oldest first. An engine without partitions has none.
    async fn partitions(&self) -> Result<Vec<Partition>, Error> {
        Ok(Vec::new())
    }
    /// Makes what is missing for these months (`last` included) before kills need it; answers the names of what it made.
    /// Safe with other workers at the same time. [`insert_kills`](Self::insert_kills) makes the months that it meets by itself.
    async fn ensure_partitions(&self, _first: Month, _last: Month) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
    /// Detaches and drops every month before this one, with its kills' events; answers what went.
    async fn drop_partitions(&self, _before: Month) -> Result<Vec<Partition>, Error> {
        Err(Error::Permanent(
            "drop partitions: this database has none (only PostgreSQL's are kept by months)".to_owned(),
        ))
    }

    /// **Empties the tables of kills**, and answers how long the engine's bulk path alone takes to fill them with these kills in such batches:
    /// what `bench` compares with, in a database of its own. `None` where there is no such path.
    async fn ceiling(&self, _kills: &[Kill], _batch: usize) -> Result<Option<Duration>, Error> {
        Ok(None)
    }

    /// Answers when the store does.
    async fn ping(&self) -> Result<(), Error>;
    /// What those who wait for the store ([`retry::hold`]) found of late.
    fn health(&self) -> &Health;
    /// Finishes calls under way and lets go of the database.
    async fn close(&self);
}
