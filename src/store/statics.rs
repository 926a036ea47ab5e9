//! What a store keeps of static data: one set of them, known by a version that grows with every change.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Error;
use crate::killmail::KillmailId;
use crate::statics::Statics;

/// The last import, and what has come since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The version that it made.
    pub version: i64,
    /// What was read.
    pub source: String,
    pub imported_at: Timestamp,
    /// What it brought, in the order of [`crate::statics::KINDS`].
    pub counts: [u64; 7],
    /// Types and systems that ESI told of and no import has had yet.
    pub added: [u64; 2],
}

/// Static data by where they come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origins {
    /// The last import's version; 0: there was none.
    pub version: i64,
    pub imported: Statics,
    /// What ESI told of, and no import has had yet.
    pub told: Statics,
}

/// What became of a step of [`StaticData::queue_untagged`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queued {
    /// Kills that were queued.
    pub queued: u32,
    /// Where the next step begins; `None`: there is none.
    pub next: Option<KillmailId>,
}

/// Static data in the store.
#[async_trait]
pub trait StaticData {
    /// Puts these in the place of those of the last import, in one transaction: until it ends, everybody reads the old ones, and when it fails they stay.
    /// What ESI told of ([`add_statics`](Self::add_statics)) and these lack is kept. Answers the new version.
    ///
    /// # Errors
    /// [`Error::Transient`], when another import does not end in time.
    async fn replace_statics(&self, statics: &Statics, source: &str, now: Timestamp) -> Result<i64, Error>;
    /// The same, if the last import is still that of this version: what is stored was made of it ([`load_origins`](Self::load_origins)).
    ///
    /// # Errors
    /// [`Error::Transient`] also when another import came in between.
    async fn amend_statics(&self, over: i64, statics: &Statics, source: &str, now: Timestamp) -> Result<i64, Error>;
    /// Adds types and systems that ESI told of, with their groups and constellations; what is there stays as it is. Answers the new version; `None`: all
    /// were there.
    async fn add_statics(&self, found: &Statics, now: Timestamp) -> Result<Option<i64>, Error>;
    /// The version; 0: nothing was imported yet. Cheap.
    async fn statics_version(&self) -> Result<i64, Error>;
    /// All of it, with its version.
    async fn load_statics(&self) -> Result<(i64, Statics), Error>;
    /// All of it, by where it comes from.
    async fn load_origins(&self) -> Result<Origins, Error>;
    /// Of the next `limit` kills above this one (`None`: of the first) queues those that were stored without static data, or with too few: the rest of
    /// them is known, and their region is not. They are to be completed from `due_at` on. What is queued already stays as it is. Whoever writes waits
    /// for a few milliseconds at most.
    async fn queue_untagged(&self, after: Option<KillmailId>, limit: u32, due_at: Timestamp) -> Result<Queued, Error>;
    /// The last import, if there was one.
    async fn last_import(&self) -> Result<Option<Import>, Error>;
}
