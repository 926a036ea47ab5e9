//! Up to where everything is safe, and what is to be done again from there; pure.
//!
//! Each message handed over has the next ordinal, and with it the mark that holds once all up to it is settled: what to resume from. Numbers are
//! not read in order (late files, updates), so an ordinal stands for more than a number.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Messages tracked at once. One that is unsettled while so many came after it was dropped by a crash of the engine: it is read again.
const PENDING_MAX: usize = 100_000;

/// Where to resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// The next number.
    pub(super) sequence: u64,
    /// Everything published up to then has been read, or is named here.
    pub(super) at: Timestamp,
    /// Numbers below `sequence` that were not there yet.
    pub(super) missing: Arc<[u64]>,
    /// Numbers whose files were written anew.
    pub(super) updates: Arc<[u64]>,
    /// Days to be read from the daily history.
    pub(super) days: Arc<[Date]>,
}

/// A mark as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    sequence: u64,
    at: Timestamp,
    #[serde(default)]
    missing: Vec<u64>,
    #[serde(default)]
    updates: Vec<u64>,
    #[serde(default)]
    days: Vec<Date>,
}

impl Mark {
    /// As it is stored.
    pub(super) fn to_json(&self) -> String {
        let stored = Stored {
            sequence: self.sequence,
            at: self.at,
            missing: self.missing.to_vec(),
            updates: self.updates.to_vec(),
            days: self.days.to_vec(),
        };
        serde_json::to_string(&stored).expect("numbers and times are JSON")
    }

    /// What was stored.
    pub(super) fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let Stored { sequence, at, missing, updates, days } = serde_json::from_str(text)?;
        Ok(Self { sequence, at, missing: missing.into(), updates: updates.into(), days: days.into() })
    }
}

/// Where a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A numbered file.
    Number(u64),
    /// The history of a day.
    Day(Date),
}

#[derive(Debug)]
struct Pending {
    origin: Origin,
    is_settled: bool,
    /// What holds once this and all before it are settled.
    after: Mark,
}

/// What one incarnation of the source handed over, and what is safe of it.
#[derive(Debug, Default)]
pub(super) struct Marks {
    incarnation: u64,
    safe: Option<Mark>,
    /// The ordinal of the first of `pending`.
    first: u64,
    pending: VecDeque<Pending>,
    /// What was settled and is not safe, until it is.
    failed_numbers: BTreeSet<u64>,
    failed_days: BTreeSet<Date>,
    /// Those numbers that the source has not been told of.
    again: Vec<u64>,
}

impl Marks {
    /// A new incarnation begins at the mark, if there is one: what others have in flight is handed over again.
    pub(super) fn begin(&mut self) -> (u64, Option<Mark>) {
        *self = Self { incarnation: self.incarnation + 1, safe: self.mark(), first: 1, ..Self::default() };
        (self.incarnation, self.safe.clone())
    }

    /// The mark is known from outside.
    pub(super) fn resume(&mut self, mark: Mark) {
        self.safe.get_or_insert(mark);
    }

    pub(super) fn is_known(&self) -> bool {
        self.safe.is_some()
    }

    /// Where to resume if the process ended now.
    pub(super) fn mark(&self) -> Option<Mark> {
        let mut mark = self.safe.clone()?;
        if !self.failed_numbers.is_empty() {
            let missing: BTreeSet<u64> = self.failed_numbers.iter().chain(&*mark.missing).copied().collect();
            mark.missing = missing.into_iter().collect();
        }
        if !self.failed_days.is_empty() {
            let days: BTreeSet<Date> = self.failed_days.iter().chain(&*mark.days).copied().collect();
            mark.days = days.into_iter().collect();
        }
        Some(mark)
    }

    /// A message is handed over, after which `after` is to be done; answers its ordinal.
    pub(super) fn hand_over(&mut self, origin: Origin, after: Mark) -> u64 {
        self.pending.push_back(Pending { origin, is_settled: false, after });
        let ordinal = self.first + self.pending.len() as u64 - 1;
        if self.pending.len() > PENDING_MAX {
            self.settle(self.first, false);
        }
        ordinal
    }

    /// Something was done that has no message.
    pub(super) fn note(&mut self, after: Mark) {
        match self.pending.back_mut() {
            Some(last) => last.after = after,
            None => self.safe = Some(after),
        }
    }

    /// A number does not matter any more.
    pub(super) fn forget(&mut self, number: u64) {
        self.failed_numbers.remove(&number);
    }

    /// A message of this incarnation is settled.
    pub(super) fn settle(&mut self, ordinal: u64, is_safe: bool) {
        let index = ordinal.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let Some(pending) = index.and_then(|index| self.pending.get_mut(index)) else { return };
        if std::mem::replace(&mut pending.is_settled, true) {
            return;
        }
        match (pending.origin, is_safe) {
            (Origin::Number(number), true) => {
                self.failed_numbers.remove(&number);
            }
            (Origin::Number(number), false) => {
                self.failed_numbers.insert(number);
                self.again.push(number);
            }
            (Origin::Day(_), true) => {}
            (Origin::Day(day), false) => {
                self.failed_days.insert(day);
            }
        }
        while let Some(first) = self.pending.pop_front_if(|first| first.is_settled) {
            self.first += 1;
            self.safe = Some(first.after);
        }
    }

    /// Whether acknowledgements of this incarnation count.
    pub(super) fn is_current(&self, incarnation: u64) -> bool {
        self.incarnation == incarnation
    }

    /// Numbers to be read again.
    pub(super) fn take_again(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.again)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(sequence: u64, missing: &[u64]) -> Mark {
        let none: [u64; 0] = [];
        Mark { sequence, at: Timestamp::UNIX_EPOCH, missing: missing.into(), updates: none.into(), days: [].into() }
    }

    #[test]
    fn a_mark_reads_back_as_it_was_stored() {
        let day = Date::constant(2026, 11, 19);
        let mark = Mark { updates: [3].into(), days: [day].into(), ..mark(41, &[7, 9]) };
        let text = mark.to_json();
        assert_eq!(
            text,
            r#"{"sequence":41,"at":"1970-01-01T00:00:00Z","missing":[7,9],"updates":[3],"days":["2026-11-19"]}"#
        );
        assert_eq!(Mark::from_json(&text).expect("a mark"), mark);
        let short = Mark::from_json(r#"{"sequence":41,"at":"2026-01-02T03:04:05Z","missing":[]}"#).expect("a mark");
        assert!(short.days.is_empty() && short.updates.is_empty());
        assert!(Mark::from_json("41").is_err());
    }

    #[test]
    fn what_failed_is_read_again_and_stays_named_until_it_is_safe() {
        let mut marks = Marks::default();
        marks.begin();
        let one = marks.hand_over(Origin::Number(1), mark(2, &[]));
        let two = marks.hand_over(Origin::Number(2), mark(3, &[]));
        marks.settle(one, false);
        marks.settle(two, true);
        assert_eq!(marks.mark(), Some(mark(3, &[1])));
        assert_eq!((marks.take_again(), marks.take_again()), (vec![1], vec![]));
        let again = marks.hand_over(Origin::Number(1), mark(4, &[]));
        marks.settle(again, true);
        assert_eq!(marks.mark(), Some(mark(4, &[])));
    }

    #[test]
    fn what_is_never_settled_does_not_hold_the_mark_for_ever() {
        let mut marks = Marks::default();
        marks.begin();
        for number in 0..=PENDING_MAX as u64 {
            let ordinal = marks.hand_over(Origin::Number(number), mark(number + 1, &[]));
            if number > 0 {
                marks.settle(ordinal, true);
            }
        }
        assert_eq!(marks.mark(), Some(mark(PENDING_MAX as u64 + 1, &[0])));
    }

    /// What happens to a source, drawn.
    #[derive(Debug, Clone)]
    enum Action {
        /// The next number is read and handed over.
        Read,
        /// The next number is not there.
        Miss,
        /// One of the missing is found after all.
        Find(usize),
        /// One of those in flight is settled.
        Settle(usize, bool),
        /// The process ends.
        Crash,
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            4 => Just(Action::Read), 1 => Just(Action::Miss), 1 => any::<usize>().prop_map(Action::Find),
            4 => (any::<usize>(), proptest::bool::weighted(0.9)).prop_map(|(which, safe)| Action::Settle(which, safe)),
            1 => Just(Action::Crash),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_settled_in_whatever_order_resuming_misses_no_number(
            actions in proptest::collection::vec(action(), 1..200),
        ) {
            let mut marks = Marks::default();
            marks.resume(mark(0, &[]));
            marks.begin();
            let (mut next, mut missing) = (0, BTreeSet::new());
            let (mut flight, mut safe) = (Vec::new(), BTreeSet::new());
            for action in actions {
                let now = |next, missing: &BTreeSet<u64>| mark(next, &missing.iter().copied().collect::<Vec<_>>());
                match action {
                    Action::Read => {
                        next += 1;
                        flight.push((marks.hand_over(Origin::Number(next - 1), now(next, &missing)), next - 1));
                    }
                    Action::Miss => {
                        missing.insert(next);
                        next += 1;
                        marks.note(now(next, &missing));
                    }
                    Action::Find(which) if !missing.is_empty() => {
                        let number = *missing.iter().nth(which % missing.len()).expect("one");
                        missing.remove(&number);
                        flight.push((marks.hand_over(Origin::Number(number), now(next, &missing)), number));
                    }
                    Action::Settle(which, is_safe) if !flight.is_empty() => {
                        let (ordinal, number) = flight.swap_remove(which % flight.len());
                        marks.settle(ordinal, is_safe);
                        if is_safe {
                            safe.insert(number);
                        }
                        for number in marks.take_again() {
                            missing.insert(number);
                            marks.note(now(next, &missing));
                        }
                    }
                    Action::Crash => {
                        let stored = marks.mark().expect("a mark").to_json();
                        marks = Marks::default();
                        marks.resume(Mark::from_json(&stored).expect("a mark"));
                        let (_, resumed) = marks.begin();
                        let resumed = resumed.expect("a mark");
                        next = resumed.sequence;
                        missing = resumed.missing.iter().copied().collect();
                        flight.clear();
                    }
                    Action::Find(_) | Action::Settle(..) => {}
                }
                let mark = marks.mark().expect("a mark");
                for number in 0..mark.sequence {
                    prop_assert!(safe.contains(&number) || mark.missing.contains(&number), "{} is lost", number);
                }
            }
        }
    }
}
