//! What a store keeps of messages that failed: dead letters, and the groups that they fall into.
//!
//! ```text
//!  add ─► open ──claim──► retrying ──settle──► replayed
//!          │  ▲              │ failed again, settle open, or the lease has passed
//!          │  └──────────────┘
//!          └──settle──► discarded
//! ```

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Claim, Error};
use crate::killmail::KillmailId;

/// Dead letters in the store.
///
/// A letter that is `retrying` has a lease. When it has passed, the letter is open for every call here: whoever had it is gone.
#[async_trait]
pub trait Letters {
    /// Keeps dead letters in one transaction; answers their ids.
    async fn add_dead_letters(&self, letters: &[NewDeadLetter]) -> Result<Vec<i64>, Error>;
    /// Keeps letters of another database in one transaction, as open ones with the past that they have. One that is here already (of the same group,
    /// last failure and payload) is passed over: `None`.
    async fn import_dead_letters(&self, letters: &[DeadLetter]) -> Result<Vec<Option<i64>>, Error>;
    /// Those that are asked for, by id.
    async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, Error>;
    /// Their ids, ascending, with their pipelines: for choosing very many.
    async fn dead_letter_ids(&self, filter: &DeadLetterFilter) -> Result<Vec<(i64, String)>, Error>;
    /// Counts by pipeline and state.
    async fn dead_letter_counts(&self) -> Result<Vec<(String, DeadLetterState, i64)>, Error>;
    /// What they take, and how old the oldest is.
    async fn dead_letter_stats(&self) -> Result<DeadLetterStats, Error>;

    /// Groups, those first in which a letter failed last. The trend ends with the hour of `now`.
    async fn dead_letter_groups(&self, filter: &GroupFilter, now: Timestamp) -> Result<Vec<DeadLetterGroup>, Error>;
    /// Says what people say of a group; whether there is one.
    async fn set_dead_letter_group(&self, fingerprint: &str, said: &GroupNote, now: Timestamp) -> Result<bool, Error>;

    /// Takes letters that are in one of `from` on their way, until then; answers those that were, ascending. Of all who claim a letter, one gets it.
    async fn claim_dead_letters(
        &self,
        ids: &[i64],
        from: &[DeadLetterState],
        until: Timestamp,
    ) -> Result<Vec<i64>, Error>;
    /// Holds letters longer; answers those that are still on their way.
    async fn renew_dead_letters(&self, ids: &[i64], until: Timestamp) -> Result<Vec<i64>, Error>;
    /// Moves letters in one of `from`; answers those that moved, ascending. It ends their lease, and that they are tried again by themselves.
    async fn settle_dead_letters(
        &self,
        ids: &[i64],
        from: &[DeadLetterState],
        to: Settled<'_>,
    ) -> Result<Vec<i64>, Error>;
    /// Open letters of these pipelines (none given: of all) that are to be tried again by themselves by now, those first that have been due for longest.
    async fn due_dead_letters(&self, pipelines: &[String], now: Timestamp, limit: u32) -> Result<Vec<i64>, Error>;
    /// Attempts that failed, in one transaction: counts each, adds it to the history, keeps the new cause (payload, position and the first failure stay), and
    /// opens the letter again, unless it was given up or went through meanwhile. Answers the ids of those that are there, ascending.
    async fn dead_letters_failed_again(&self, again: &[(i64, NewDeadLetter)]) -> Result<Vec<i64>, Error>;
    /// Puts another payload in the place of an open letter's; the first one is kept, what was found of it is forgotten. Whether it was open.
    async fn edit_dead_letter(&self, id: i64, payload: &[u8]) -> Result<bool, Error>;

    /// Deletes up to `limit` letters, oldest first; answers what they were.
    async fn expire_dead_letters(&self, rule: &Expiry, limit: u32) -> Result<Vec<Expired>, Error>;
    /// Gives up to `limit` letters of older builds a fingerprint; answers how many there were.
    async fn fingerprint_dead_letters(&self, limit: u32) -> Result<u64, Error>;
    /// Claims their upkeep: one process at a time does it. `None`: somebody has it. A claim never outlives its process.
    async fn claim_dead_letter_upkeep(&self) -> Result<Option<Box<dyn Claim>>, Error>;
    /// What tells this database from any other: made once, and not the same in a copy of a SQLite file.
    async fn database_identity(&self) -> Result<String, Error>;
}

/// A failed message, to be kept. The store adds its fingerprint.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewDeadLetter {
    pub pipeline: String,
    pub source: String,
    /// What the source calls its place, when it has one.
    pub position: Option<String>,
    /// Worker group and stage (or sink) that failed.
    pub group: String,
    pub stage: String,
    /// Names of the batchers whose sinks already have it.
    pub sinks_done: Vec<String>,
    /// `invalid`, `permanent`, `transient`, `panic`.
    pub class: String,
    pub error: String,
    pub sqlstate: Option<String>,
    pub http_status: Option<u16>,
    pub killmail_id: Option<KillmailId>,
    pub failed_at: Timestamp,
    /// The raw bytes as received.
    pub payload: Vec<u8>,
    /// Of the pipeline file that it failed under.
    pub definition_hash: Option<String>,
    pub program_version: Option<String>,
    /// JSON: what the stages before the one that failed had found, so that a replay can begin there. `None`: it begins with the bytes.
    pub progress: Option<String>,
    /// When it is to be tried again by itself; `None`: it waits for people.
    pub retry_at: Option<Timestamp>,
}

/// A row of `dead_letters`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeadLetter {
    pub id: i64,
    pub state: DeadLetterState,
    pub attempts: i64,
    pub first_failed_at: Timestamp,
    pub last_failed_at: Timestamp,
    /// When it went through or was given up.
    pub settled_at: Option<Timestamp>,
    /// Until when whoever retries it has it.
    pub held_until: Option<Timestamp>,
    /// Why it was discarded, if it was.
    pub note: Option<String>,
    /// Of its group: 16 hexadecimal digits.
    pub fingerprint: String,
    /// The error with placeholders, as its group has it.
    pub error_text: String,
    /// Length of the payload, also when it was not asked for.
    pub payload_bytes: i64,
    /// Whether the payload is not as received any more.
    pub is_edited: bool,
    /// The attempts, the first and the last [`HISTORY_MAX`] at most; empty unless asked for with the payload, as are `original` and the letter's `progress`.
    pub history: Vec<Attempt>,
    /// The payload as received, when it was edited.
    pub original: Option<Vec<u8>>,
    /// With the last cause. `retry_at` is there only while it is open or on its way.
    pub letter: NewDeadLetter,
}

/// Attempts in a history, beside the first.
pub const HISTORY_MAX: usize = 20;

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Attempt {
    pub at: Timestamp,
    pub group: String,
    pub stage: String,
    pub class: String,
    pub error: String,
    #[serde(default)]
    pub sqlstate: Option<String>,
    #[serde(default)]
    pub http_status: Option<u16>,
    /// Of the program.
    #[serde(default)]
    pub version: Option<String>,
}

impl From<&NewDeadLetter> for Attempt {
    fn from(letter: &NewDeadLetter) -> Self {
        Self {
            at: letter.failed_at,
            group: letter.group.clone(),
            stage: letter.stage.clone(),
            class: letter.class.clone(),
            error: bounded(&letter.error).to_owned(),
            sqlstate: letter.sqlstate.clone(),
            http_status: letter.http_status,
            version: letter.program_version.clone(),
        }
    }
}

/// Where a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeadLetterState {
    /// Waits for somebody.
    #[default]
    Open,
    /// Is on its way through its pipeline again.
    Retrying,
    /// Went through.
    Replayed,
    /// Given up, with a reason.
    Discarded,
}

impl DeadLetterState {
    /// All of them, in the order of a letter's life.
    pub const ALL: [Self; 4] = [Self::Open, Self::Retrying, Self::Replayed, Self::Discarded];

    /// The word used in tables, metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Retrying => "retrying",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// How a letter's way, or its waiting, ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled<'a> {
    /// It went through.
    Replayed,
    /// It is given up, for this reason.
    Discarded(&'a str),
    /// It is as it was: nobody has tried it.
    Open,
}

impl Settled<'_> {
    pub(super) const fn state(self) -> DeadLetterState {
        match self {
            Self::Replayed => DeadLetterState::Replayed,
            Self::Discarded(_) => DeadLetterState::Discarded,
            Self::Open => DeadLetterState::Open,
        }
    }

    pub(super) const fn note(&self) -> Option<&str> {
        match self {
            Self::Discarded(why) => Some(why),
            _ => None,
        }
    }
}

/// Which dead letters. What is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeadLetterFilter {
    /// Only these; none given: any.
    pub ids: Vec<i64>,
    /// Only letters of one of these groups, by fingerprint.
    pub groups: Vec<String>,
    pub pipeline: Option<String>,
    pub stage: Option<String>,
    pub class: Option<String>,
    /// Only letters in one of these states.
    pub states: Vec<DeadLetterState>,
    /// That failed last at this time or later …
    pub since: Option<Timestamp>,
    /// … and before this one.
    pub until: Option<Timestamp>,
    pub killmail_id: Option<KillmailId>,
    /// Ids above this one, ascending: for paging.
    pub after: i64,
    pub limit: Option<u32>,
    /// With their payloads, what was found of them, and their histories, which else are left empty: they may be long.
    pub payload: bool,
}

/// Counts by pipeline and state, as a database has them.
pub(super) fn counted(rows: Vec<(String, String, i64)>) -> Vec<(String, DeadLetterState, i64)> {
    let known =
        |(pipeline, state, count): (String, String, i64)| Some((pipeline, DeadLetterState::parse(&state)?, count));
    rows.into_iter().filter_map(known).collect()
}

/// All letters together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeadLetterStats {
    /// Counts and bytes of payloads, by state.
    pub states: Vec<(DeadLetterState, i64, i64)>,
    /// When the oldest open letter failed last.
    pub oldest_open: Option<Timestamp>,
}

impl DeadLetterStats {
    /// Of all payloads.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        self.states.iter().map(|(_, _, bytes)| bytes).sum()
    }
}

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupState {
    /// Nobody has said anything of it.
    Open,
    /// Somebody knows.
    Acknowledged,
    /// Somebody says that its cause is gone.
    Fixed,
    /// That was said, and a letter has failed since.
    Regressed,
}

impl GroupState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Acknowledged, Self::Fixed, Self::Regressed];

    /// The word used in tables, metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Fixed => "fixed",
            Self::Regressed => "regressed",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Of what was said, and whether a letter has failed since.
    #[must_use]
    pub fn of(said: Option<&str>, failed_since: bool) -> Self {
        match said.and_then(Self::parse) {
            Some(Self::Fixed) if failed_since => Self::Regressed,
            said => said.unwrap_or(Self::Open),
        }
    }
}

/// What people say of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupNote {
    pub said: GroupSaid,
    pub note: Option<String>,
}

/// See [`GroupNote`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupSaid {
    /// Nothing any more.
    Open,
    Acknowledged,
    /// In this version of the program, or of the pipeline.
    Fixed {
        version: String,
    },
}

impl GroupSaid {
    pub(super) const fn stored(&self) -> Option<(&'static str, Option<&String>)> {
        match self {
            Self::Open => None,
            Self::Acknowledged => Some(("acknowledged", None)),
            Self::Fixed { version } => Some(("fixed", Some(version))),
        }
    }
}

/// Letters that failed alike.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetterGroup {
    pub fingerprint: String,
    pub state: GroupState,
    pub fixed_in: Option<String>,
    /// When its state was said, and what else.
    pub changed_at: Option<Timestamp>,
    pub note: Option<String>,
    /// Letters that are open or on their way …
    pub open: i64,
    /// … and all that are kept.
    pub total: i64,
    pub first_failed_at: Timestamp,
    pub last_failed_at: Timestamp,
    /// Letters by the hour in which they failed last: 24, oldest first, the last one not yet over.
    pub trend: Vec<i64>,
    /// The one that failed last, without payload.
    pub sample: DeadLetter,
}

/// Hours of a trend.
pub const TREND_HOURS: usize = 24;

/// Which groups.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupFilter {
    /// Only these; none given: any.
    pub fingerprints: Vec<String>,
    pub pipeline: Option<String>,
    pub stage: Option<String>,
    pub class: Option<String>,
    /// Only groups in one of these states.
    pub states: Vec<GroupState>,
    /// Also groups without an open letter.
    pub settled: bool,
    pub limit: Option<u32>,
}

/// Which letters go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// That were replayed or discarded before then.
    Settled { before: Timestamp },
    /// That were replayed or discarded, until so many bytes of payloads are gone.
    SettledBytes(i64),
    /// That are open, until so many bytes of payloads are gone.
    OpenBytes(i64),
}

/// A letter that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    pub state: DeadLetterState,
    pub pipeline: String,
    pub fingerprint: String,
    pub bytes: i64,
}

/// Letters of older builds that are given fingerprints in one go.
pub(super) const FINGERPRINTS: u32 = 500;

/// Bytes of an error that are kept.
const ERROR_MAX: usize = 4_000;

/// An error, no longer than what is kept of it.
pub(super) fn bounded(error: &str) -> &str {
    &error[..error.floor_char_boundary(ERROR_MAX)]
}

/// The history with one more attempt: the first stays, and the last [`HISTORY_MAX`].
pub(super) fn lengthened(mut history: Vec<Attempt>, attempt: Attempt) -> Vec<Attempt> {
    history.push(attempt);
    if history.len() > HISTORY_MAX + 1 {
        let surplus = history.len() - HISTORY_MAX;
        history.drain(1..surplus);
    }
    history
}

/// How many of these letters go until so many bytes are gone.
pub(super) fn enough(bytes: impl IntoIterator<Item = i64>, surplus: i64) -> usize {
    let mut left = surplus;
    let goes = bytes.into_iter().take_while(|bytes| {
        let goes = left > 0;
        left -= bytes;
        goes
    });
    goes.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_keeps_the_first_and_the_last_attempts() {
        let attempt = |n: usize| Attempt::from(&NewDeadLetter { error: n.to_string(), ..NewDeadLetter::default() });
        let history = (0..100).fold(Vec::new(), |history, n| lengthened(history, attempt(n)));
        let errors: Vec<_> = history.iter().map(|attempt| attempt.error.parse::<usize>().unwrap()).collect();
        assert_eq!(errors, std::iter::once(0).chain(80..100).collect::<Vec<_>>());
        let short = (0..3).fold(Vec::new(), |history, n| lengthened(history, attempt(n)));
        assert_eq!(short.len(), 3);
    }

    #[test]
    fn no_more_letters_go_than_are_needed() {
        assert_eq!(enough([5, 5, 5], 0), 0);
        assert_eq!(enough([5, 5, 5], 5), 1);
        assert_eq!(enough([5, 5, 5], 6), 2);
        assert_eq!(enough([5, 0], 100), 2);
    }

    #[test]
    fn a_fixed_group_regresses_when_a_letter_fails_after_it_was_said() {
        assert_eq!(GroupState::of(None, true), GroupState::Open);
        assert_eq!(GroupState::of(Some("acknowledged"), true), GroupState::Acknowledged);
        assert_eq!(GroupState::of(Some("fixed"), false), GroupState::Fixed);
        assert_eq!(GroupState::of(Some("fixed"), true), GroupState::Regressed);
    }

    #[test]
    fn an_error_is_cut_between_characters() {
        assert_eq!(bounded(&"ä".repeat(3_000)).len(), 4_000);
        assert_eq!(bounded(&format!("a{}", "ä".repeat(3_000))).len(), 3_999);
    }
}
