//! Days of history: what was killed on one UTC day, as zKillboard or EVE Ref have it, without what the store has already.
//!
//! Two sources read them: `history` (a backfill of days) and `zkillboard` (whose position is older than the live files go back).
//! A day's files lie in a [`Spool`] from the moment they have come until whoever reads them says that every kill is safe
//! ([`Spool::settled`]): a process that dies does not fetch them again. When nothing more is to be read, [`Spool::close`] takes the folder away.

mod day;
mod list;
mod spool;

pub use day::{Counts, Day};
pub use spool::Spool;

use crate::clients::history as client;

/// Why a day cannot be read. Texts fit after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not come: not published, or not now ([`client::Error`] tells).
    #[error(transparent)]
    Fetch(#[from] client::Error),
    /// The spool cannot be used.
    #[error("use the spool folder {folder}: {source}")]
    Spool { folder: String, source: std::io::Error },
    /// What came cannot be read (any more).
    #[error("{0}")]
    Read(String),
    /// The store does not tell what it has.
    #[error("look for stored kills: {0}")]
    Store(#[from] crate::store::Error),
}

impl Error {
    /// The day is not there, now or ever: others may be.
    #[must_use]
    pub fn is_not_published(&self) -> bool {
        matches!(self, Self::Fetch(client::Error::NotPublished { .. }))
    }

    /// Other days may be had all the same: it is neither the disk nor the store.
    #[must_use]
    pub fn is_of_the_day(&self) -> bool {
        match self {
            Self::Fetch(error) => !matches!(error, client::Error::File(_)),
            Self::Read(_) => true,
            Self::Spool { .. } | Self::Store(_) => false,
        }
    }

    /// A later attempt may fare better.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            Self::Spool { .. } | Self::Read(_) => false,
        }
    }
}
