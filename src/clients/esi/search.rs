//! Finding the bad ids in a list of which ESI says only that it has one. Pure.
//!
//! A list that is refused is cut into ten, and each piece asked for by itself. Each refusal counts against the error limit, so they are few:
//! when all but the last piece of a refused list are good, the last is not asked for. What the refusals do not suffice for stays open.

use std::collections::VecDeque;

/// Pieces of a list that was refused.
const PIECES: usize = 10;

/// The state of a search.
#[derive(Debug)]
pub(super) struct Search {
    levels: Vec<Level>,
    asked: Vec<i64>,
    misses_left: u32,
    unknown: Vec<i64>,
    open: Vec<i64>,
}

#[derive(Debug)]
struct Level {
    pieces: VecDeque<Vec<i64>>,
    /// There is a bad one somewhere in these, and it has not shown yet.
    owes_one: bool,
}

impl Search {
    /// Of lists as long as may be asked for at once; with so many refusals at most.
    pub(super) fn new(ids: &[i64], list_max: usize, misses_max: u32) -> Self {
        let pieces = ids.chunks(list_max.max(1)).map(<[i64]>::to_vec).collect();
        let levels = vec![Level { pieces, owes_one: false }];
        Self { levels, asked: Vec::new(), misses_left: misses_max, unknown: Vec::new(), open: Vec::new() }
    }

    /// What to ask for next; each must be followed by [`good`](Self::good) or [`bad`](Self::bad).
    pub(super) fn next(&mut self) -> Option<&[i64]> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(piece) = level.pieces.pop_front() else {
                self.levels.pop();
                continue;
            };
            if level.owes_one && level.pieces.is_empty() {
                self.levels.pop();
                self.split(piece);
            } else if self.misses_left == 0 {
                level.owes_one = false;
                self.open.extend(piece);
            } else {
                self.asked = piece;
                return Some(&self.asked);
            }
        }
    }

    /// All of what was asked for is known.
    pub(super) fn good(&mut self) {
        self.asked.clear();
    }

    /// There is a bad one in what was asked for.
    pub(super) fn bad(&mut self) {
        self.misses_left = self.misses_left.saturating_sub(1);
        if let Some(level) = self.levels.last_mut() {
            level.owes_one = false;
        }
        let piece = std::mem::take(&mut self.asked);
        self.split(piece);
    }

    fn split(&mut self, piece: Vec<i64>) {
        if piece.len() <= 1 {
            self.unknown.extend(piece);
            return;
        }
        let pieces = piece.chunks(piece.len().div_ceil(PIECES)).map(<[i64]>::to_vec).collect();
        self.levels.push(Level { pieces, owes_one: true });
    }

    /// Ends it: the ids that are bad, and those of which nothing is known.
    pub(super) fn end(mut self) -> (Vec<i64>, Vec<i64>) {
        self.open.append(&mut self.asked);
        self.open.extend(self.levels.into_iter().flat_map(|level| level.pieces).flatten());
        (self.unknown, self.open)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    struct Outcome {
        found: Vec<i64>,
        unknown: Vec<i64>,
        open: Vec<i64>,
        misses: u32,
        calls: u32,
    }

    fn search(ids: &[i64], bad: &HashSet<i64>, misses_max: u32) -> Outcome {
        let mut search = Search::new(ids, 1000, misses_max);
        let (mut found, mut misses, mut calls) = (Vec::new(), 0, 0);
        while let Some(asked) = search.next() {
            assert!((1..=1000).contains(&asked.len()));
            calls += 1;
            if asked.iter().any(|id| bad.contains(id)) {
                misses += 1;
                search.bad();
            } else {
                found.extend_from_slice(asked);
                search.good();
            }
        }
        let (unknown, open) = search.end();
        Outcome { found, unknown, open, misses, calls }
    }

    #[test]
    fn one_bad_id_in_a_thousand_costs_four_refusals_and_the_last_one_of_all_only_one() {
        let ids: Vec<i64> = (1..=1000).collect();
        let outcome = search(&ids, &HashSet::from([1]), 10);
        assert_eq!((outcome.misses, outcome.calls, outcome.unknown), (4, 31, vec![1]));
        let outcome = search(&ids, &HashSet::from([1000]), 10);
        assert_eq!((outcome.misses, outcome.calls, outcome.unknown), (1, 28, vec![1000]));
        assert_eq!(search(&ids, &HashSet::new(), 10).calls, 1);
    }

    proptest! {
        #[test]
        fn every_id_ends_up_where_it_belongs_within_the_refusals(
            count in 0..3_000_i64, bad in prop::collection::hash_set(0..3_000_i64, 0..12), misses_max in 0..40_u32
        ) {
            let ids: Vec<i64> = (0..count).collect();
            let outcome = search(&ids, &bad, misses_max);
            prop_assert!(outcome.misses <= misses_max);
            prop_assert!(outcome.found.iter().all(|id| !bad.contains(id)));
            prop_assert!(outcome.unknown.iter().all(|id| bad.contains(id)));
            let mut all = [outcome.found, outcome.unknown, outcome.open.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, ids);
            if misses_max > outcome.misses {
                prop_assert!(outcome.open.is_empty());
            }
        }
    }
}
