//! What a store keeps of static data: one set of them, known by a version that grows with every change.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Error;
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

/// Static data in the store.
#[async_trait]
pub trait StaticData {
    /// Puts these in the place of those of the last import, in one transaction: until it ends, everybody reads the old ones, and when it fails they stay.
    /// What ESI told of ([`add_statics`](Self::add_statics)) and these lack is kept. Answers the new version.
    ///
    /// # Errors
    /// [`Error::Transient`], when another import does not end in time.
    async fn replace_statics(&self, statics: &Statics, source: &str, now: Timestamp) -> Result<i64, Error>;
    /// Adds types and systems that ESI told of, with their groups and constellations; what is there stays as it is. Answers the new version; `None`: all
    /// were there.
    async fn add_statics(&self, found: &Statics, now: Timestamp) -> Result<Option<i64>, Error>;
    /// The version; 0: nothing was imported yet. Cheap.
    async fn statics_version(&self) -> Result<i64, Error>;
    /// All of it, with its version.
    async fn load_statics(&self) -> Result<(i64, Statics), Error>;
    /// The last import, if there was one.
    async fn last_import(&self) -> Result<Option<Import>, Error>;
}
