//! What became of each letter of a replay, for whoever watches it: bounded, the oldest reports go first.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reports that are kept.
const REPORTS_MAX: usize = 20_000;
/// Bytes of rows that are kept: those of the oldest reports go first.
const ROWS_MAX: usize = 32 * 1024 * 1024;

/// What became of a letter, or would become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It went through: every sink has it.
    Replayed,
    /// Of a dry run: it would go through.
    WouldSucceed,
    /// It fails as it did before.
    SameFailure,
    /// It fails otherwise.
    NewFailure,
    /// Somebody else has it, or it is done.
    PassedOver,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Replayed, Self::WouldSucceed, Self::SameFailure, Self::NewFailure, Self::PassedOver];

    /// The word used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::WouldSucceed => "would_succeed",
            Self::SameFailure => "same_failure",
            Self::NewFailure => "new_failure",
            Self::PassedOver => "passed_over",
        }
    }
}

/// What became of one letter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReplayedLetter")]
pub struct Told {
    pub id: i64,
    pub pipeline: String,
    pub killmail_id: Option<i64>,
    pub outcome: Outcome,
    /// The stage or sink at which it began; `None`: at the first, with its raw bytes.
    #[serde(default)]
    pub began_at: Option<String>,
    /// Where it failed, why and in which group that is, if it failed.
    #[serde(default)]
    pub stage: Option<String>,
    #[serde(default)]
    pub class: Option<String>,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Of a dry run that was asked for them: the rows that it would write.
    #[serde(default)]
    pub rows: Option<Vec<crate::store::RowChange>>,
}

/// The reports of one replay, numbered from 0 in the order in which they came.
#[derive(Debug, Default)]
pub struct Reports(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    told: VecDeque<(Told, usize)>,
    /// The number of the first one that is kept.
    first: u64,
    bytes: usize,
}

impl Reports {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more. `bytes`: how large its rows are.
    pub(super) fn add(&self, told: Told, bytes: usize) {
        let mut kept = self.kept();
        kept.bytes += bytes;
        kept.told.push_back((told, bytes));
        while kept.told.len() > REPORTS_MAX || (kept.bytes > ROWS_MAX && kept.told.len() > 1) {
            if let Some((_, bytes)) = kept.told.pop_front() {
                kept.bytes -= bytes;
                kept.first += 1;
            }
        }
    }

    /// Up to `limit` reports from number `from` on, and the number that comes after them. What is not kept any more is passed over.
    #[must_use]
    pub fn since(&self, from: u64, limit: usize) -> (Vec<Told>, u64) {
        let kept = self.kept();
        let start = from.max(kept.first);
        let skip = usize::try_from(start - kept.first).unwrap_or(usize::MAX);
        let told: Vec<Told> = kept.told.iter().skip(skip).take(limit).map(|(told, _)| told.clone()).collect();
        let next = start + told.len() as u64;
        (told, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(id: i64) -> Told {
        Told {
            id,
            pipeline: "kills".to_owned(),
            killmail_id: None,
            outcome: Outcome::Replayed,
            began_at: None,
            stage: None,
            class: None,
            error: None,
            fingerprint: None,
            rows: None,
        }
    }

    fn ids((told, next): (Vec<Told>, u64)) -> (Vec<i64>, u64) {
        (told.iter().map(|told| told.id).collect(), next)
    }

    #[test]
    fn reports_are_read_page_by_page() {
        let reports = Reports::default();
        (0..5).for_each(|id| reports.add(told(id), 0));
        assert_eq!(ids(reports.since(0, 2)), (vec![0, 1], 2));
        assert_eq!(ids(reports.since(2, 9)), (vec![2, 3, 4], 5));
        assert_eq!(ids(reports.since(5, 9)), (vec![], 5));
        assert_eq!(ids(reports.since(99, 9)), (vec![], 99));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_their_rows_are_too_large() {
        let reports = Reports::default();
        (0..REPORTS_MAX as i64 + 3).for_each(|id| reports.add(told(id), 0));
        assert_eq!(ids(reports.since(0, 1)), (vec![3], 4));
        reports.add(told(-1), ROWS_MAX);
        reports.add(told(-2), 1);
        assert_eq!(ids(reports.since(0, 9)).0, [-2]);
    }
}
