//! What a [`Course`](super::Course) is asked and answers; plain values.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

use super::answer::Broken;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `sequence.json`
    Sequence,
    /// A numbered file.
    File(u64),
}

/// A request, and why it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub target: Target,
    pub(super) why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Newest,
    /// The next number.
    Front,
    /// One beyond it.
    Ahead,
    Aside,
    Update,
    Search,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Fetch(Request),
    /// Nothing may be asked for before then.
    Wait(Instant),
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A file's kill. `revises`: it was read before, and was written anew since.
    Kill { number: u64, raw: Bytes, revises: bool, uploaded_at: Option<Timestamp> },
    /// A file that cannot be read, for good.
    Poison { number: u64, broken: Broken },
    /// Numbers passed over for good.
    Skipped { number: u64, count: u64, reason: &'static str },
    /// The files from `from` up to `to` (excluded) are not kept any more; the first one that is was uploaded then.
    Gone { from: u64, to: u64, uploaded_at: Option<Timestamp> },
    /// Everything published so far has been read, as far as can be known.
    Tip,
    /// The next number is so far above the newest that it must be of another numbering: it may never come.
    Ahead { next: u64, newest: u64 },
    /// The service refuses (`refused`) or fails; nothing is asked of it for so long.
    Trouble { problem: String, wait: Duration, refused: bool },
}

/// Where to begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// The next number; `None`: with the newest.
    pub next: Option<u64>,
    /// Numbers that were not there.
    pub missing: Vec<u64>,
    /// Numbers whose files were written anew.
    pub updates: Vec<u64>,
    /// So old that files may be gone.
    pub is_stale: bool,
}
