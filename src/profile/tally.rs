//! Matches counted in memory, to be told to the store now and then: many matches of a profile are one row then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::killmail::ProfileId;

/// Matches of a profile since they were last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    pub profile_id: ProfileId,
    pub matches: i64,
    pub last_matched_at: Timestamp,
}

/// Counts. No larger than there are profiles.
#[derive(Debug, Default)]
pub struct Tally(Mutex<HashMap<ProfileId, (i64, Timestamp)>>);

impl Tally {
    /// A kill matched these.
    pub fn add(&self, profiles: &[ProfileId], at: Timestamp) {
        if !profiles.is_empty() {
            self.join(profiles.iter().map(|id| Matched { profile_id: *id, matches: 1, last_matched_at: at }));
        }
    }

    /// What was counted, ascending by profile; it begins anew.
    #[must_use]
    pub fn take(&self) -> Vec<Matched> {
        let counted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let matched = counted.into_iter().map(|(profile_id, (matches, at))| (profile_id, matches, at));
        let mut all: Vec<Matched> = matched
            .map(|(profile_id, matches, last_matched_at)| Matched { profile_id, matches, last_matched_at })
            .collect();
        all.sort_unstable_by_key(|matched| matched.profile_id);
        all
    }

    /// Puts back what could not be told.
    pub fn give_back(&self, matched: &[Matched]) {
        self.join(matched.iter().copied());
    }

    fn join(&self, matched: impl Iterator<Item = Matched>) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for Matched { profile_id, matches, last_matched_at } in matched {
            let (count, last) = counted.entry(profile_id).or_insert((0, last_matched_at));
            *count += matches;
            *last = (*last).max(last_matched_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_was_counted_once_and_what_is_given_back_is_not_lost() {
        let tally = Tally::default();
        let id = |number| ProfileId::new(number).expect("above 0");
        let at = |second| Timestamp::from_second(second).expect("a time");
        tally.add(&[id(2), id(1)], at(20));
        tally.add(&[id(2)], at(10));
        tally.add(&[], at(30));
        let matched =
            |number, matches, second| Matched { profile_id: id(number), matches, last_matched_at: at(second) };
        let taken = tally.take();
        assert_eq!(taken, [matched(1, 1, 20), matched(2, 2, 20)]);
        assert_eq!(tally.take(), []);
        tally.add(&[id(2)], at(40));
        tally.give_back(&taken);
        assert_eq!(tally.take(), [matched(1, 1, 20), matched(2, 3, 40)]);
    }
}
