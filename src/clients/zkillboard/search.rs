//! Finding the first file that is still there, when all up to some number are gone; pure.
//!
//! Files go in the order of their numbers, so halving the distance finds it. Single numbers may never have been used, or be late: only three in a row
//! that are not there count as gone. What it then passes over, the daily history has.

use jiff::Timestamp;

/// Numbers in a row that are asked for before they count as gone.
const RUN: u64 = 3;

/// So few numbers are asked for one by one.
const FEW: u64 = 8;

/// Where the search stands.
#[derive(Debug)]
pub(super) struct Search {
    /// Where reading stopped: this one and those above it are gone.
    pub(super) from: u64,
    /// Everything from `from` up to here is gone, this one excluded.
    low: u64,
    /// Known to be there, once `is_there`.
    high: u64,
    is_there: bool,
    uploaded_at: Option<Timestamp>,
    /// The number that is asked for next.
    probe: u64,
    /// How many in a row were not there.
    run: u64,
}

/// What an answer led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Ask for the next.
    Not,
    /// This is the first one, uploaded then.
    First(u64, Option<Timestamp>),
    /// The number that was said to be there is not.
    Nothing,
}

impl Search {
    /// Of the first file from `from` on that is there, given that `newest` is said to be.
    pub(super) fn new(from: u64, newest: u64) -> Self {
        Self { from, low: from, high: newest, is_there: false, uploaded_at: None, probe: newest, run: 0 }
    }

    /// The number to ask for.
    pub(super) fn probe(&self) -> u64 {
        self.probe
    }

    /// The number asked for is there.
    pub(super) fn is_there(&mut self, uploaded_at: Option<Timestamp>) -> Found {
        self.high = self.probe;
        self.is_there = true;
        self.uploaded_at = uploaded_at.or(self.uploaded_at);
        self.halve()
    }

    /// It is not.
    pub(super) fn is_not_there(&mut self) -> Found {
        self.run += 1;
        if !self.is_there {
            // Down from the newest, which may be late.
            self.probe = self.probe.saturating_sub(1).max(self.low);
            return if self.run >= RUN || self.probe == self.low { Found::Nothing } else { Found::Not };
        }
        self.probe += 1;
        if self.run < RUN && self.high - self.low > FEW {
            return Found::Not;
        }
        self.low = self.probe;
        self.halve()
    }

    fn halve(&mut self) -> Found {
        self.run = 0;
        if self.low >= self.high {
            return Found::First(self.high, self.uploaded_at);
        }
        let distance = self.high - self.low;
        self.probe = if distance > FEW { self.low + distance / 2 } else { self.low };
        Found::Not
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a search in a world where the numbers in `there` are; answers what it found and how often it asked.
    fn run(from: u64, newest: u64, there: impl Fn(u64) -> bool) -> (Found, usize) {
        let mut search = Search::new(from, newest);
        for asked in 1..500 {
            let probe = search.probe();
            assert!((from..=newest).contains(&probe), "{probe}");
            let found = if there(probe) { search.is_there(None) } else { search.is_not_there() };
            if found != Found::Not {
                return (found, asked);
            }
        }
        panic!("it does not end");
    }

    proptest! {
        #[test]
        fn the_first_file_is_found_in_a_few_steps(from in 0_u64..1_000_000, gone in 0_u64..200_000, left in 0_u64..100_000) {
            let (found, asked) = run(from, from + gone + left, |number| number >= from + gone);
            prop_assert_eq!(found, Found::First(from + gone, None));
            prop_assert!(asked < 70, "{} questions", asked);
        }

        #[test]
        fn single_gaps_do_not_hide_files(gaps in proptest::collection::btree_set(0_u64..5000, 0..200), gone in 0_u64..3000) {
            let gaps: std::collections::BTreeSet<u64> = gaps.iter().map(|gap| gap / 3 * 3).collect();
            let (found, _) = run(0, 5000, |number| number >= gone && !gaps.contains(&number));
            let first = (gone..).find(|number| !gaps.contains(number)).expect("one");
            prop_assert_eq!(found, Found::First(first, None));
        }
    }

    #[test]
    fn a_newest_number_that_is_not_there_is_no_ground_to_stand_on() {
        assert_eq!(run(10, 1_000_000_000, |_| false), (Found::Nothing, 3));
        assert_eq!(run(10, 10, |_| false), (Found::Nothing, 1));
        assert_eq!(run(10, 1000, |number| (900..999).contains(&number)).0, Found::First(900, None));
    }
}
