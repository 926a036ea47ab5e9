//! The oldest events of many systems, each from an offset of its own, in one order: what to read of which system next, until they are known.
//!
//! To read as many events of each system as are wanted of all would cost the product of both. So each is read a share at a time, and only those are
//! read on of which an event may still be missing among the oldest.

use std::collections::{BTreeMap, HashMap};

/// From so many systems on it is asked whether they are near the end …
const MANY: usize = 32;
/// … which is no more than so many events for each: as dear to read as to look for each system's.
const NEAR: i64 = 4;

/// A system, as far as it was read.
#[derive(Debug)]
struct Head {
    system: i64,
    /// Its events up to this id are known.
    after: i64,
    /// There may be more.
    open: bool,
}

/// What to read: up to `share` events of each of these systems, above the id beside it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) systems: Vec<(i64, i64)>,
    pub(super) share: usize,
}

/// See the module. `R` is what is kept of an event.
#[derive(Debug)]
pub(super) struct Heads<R> {
    heads: Vec<Head>,
    /// Known and not taken, by id.
    found: BTreeMap<i64, (i64, R)>,
    share: usize,
}

impl<R> Heads<R> {
    /// Nothing is known yet but the offsets, of each system one.
    pub(super) fn new(offsets: impl Iterator<Item = (i64, i64)>) -> Self {
        let heads = offsets.map(|(system, after)| Head { system, after, open: true }).collect();
        Self { heads, found: BTreeMap::new(), share: 0 }
    }

    /// The id above which everything up to `through` is better read in one go: with many systems that all end near it.
    pub(super) fn near(&self, through: i64) -> Option<i64> {
        let least = self.heads.iter().map(|head| head.after).min()?;
        let room = NEAR * i64::try_from(self.heads.len()).unwrap_or(0);
        (self.heads.len() >= MANY && through - least <= room).then_some(least)
    }

    /// Takes all there is of these systems above that id: nothing is lacking any more.
    pub(super) fn accept_all(&mut self, rows: impl IntoIterator<Item = (i64, i64, R)>) {
        let after: HashMap<i64, i64> = self.heads.iter().map(|head| (head.system, head.after)).collect();
        let is_above = |event: i64, system| after.get(&system).is_some_and(|after| event > *after);
        let above = rows.into_iter().filter(|(event, system, _)| is_above(*event, *system));
        self.found.extend(above.map(|(event, system, row)| (event, (system, row))));
        self.heads.iter_mut().for_each(|head| head.open = false);
    }

    /// What is to be read before the oldest `wanted` events are known; `None`: they are, or there are no more.
    pub(super) fn lacks(&mut self, wanted: usize) -> Option<Reading> {
        let bound = self.found.keys().nth(wanted.saturating_sub(1)).copied().unwrap_or(i64::MAX);
        let needed = self.heads.iter().filter(|head| head.open && head.after < bound);
        let systems: Vec<_> = needed.map(|head| (head.system, head.after)).collect();
        if systems.is_empty() {
            return None;
        }
        // Those that still matter have all given a whole share below the bound, so there are fewer than wanted / share of them: doubling stays cheap.
        self.share = wanted.div_ceil(systems.len()).max(2 * self.share).min(wanted);
        Some(Reading { systems, share: self.share })
    }

    /// Takes what was read: event id, system, the rest; in any order.
    pub(super) fn accept(&mut self, reading: &Reading, rows: impl IntoIterator<Item = (i64, i64, R)>) {
        let mut given: HashMap<i64, (usize, i64)> = HashMap::new();
        for (event, system, row) in rows {
            let (count, last) = given.entry(system).or_insert((0, event));
            (*count, *last) = (*count + 1, event.max(*last));
            self.found.insert(event, (system, row));
        }
        let asked: HashMap<i64, i64> = reading.systems.iter().copied().collect();
        for head in self.heads.iter_mut().filter(|head| asked.contains_key(&head.system)) {
            let (count, last) = given.get(&head.system).copied().unwrap_or((0, head.after));
            head.after = head.after.max(last);
            head.open = count >= reading.share;
        }
    }

    /// The oldest of those that are known, ascending: event id, system, the rest.
    pub(super) fn take(&mut self, count: usize) -> Vec<(i64, i64, R)> {
        self.share = 0;
        let oldest = std::iter::from_fn(|| self.found.pop_first()).take(count);
        oldest.map(|(event, (system, row))| (event, system, row)).collect()
    }

    /// Whether one is known and not taken.
    pub(super) fn has_more(&self) -> bool {
        !self.found.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A log: system by event id, from 1.
    fn log() -> impl Strategy<Value = Vec<i64>> {
        let even = prop::collection::vec(0..40_i64, 0..400);
        let skewed = prop::collection::vec(prop_oneof![9 => Just(0_i64), 1 => 0..40_i64], 0..400);
        prop_oneof![even, skewed]
    }

    fn read(log: &[i64], reading: &Reading) -> Vec<(i64, i64, ())> {
        let of = |(system, after): &(i64, i64)| {
            let (system, from) = (*system, usize::try_from(*after).expect("from 0"));
            let events = (from..log.len()).filter(move |at| log[*at] == system);
            events.take(reading.share).map(move |at| (at as i64 + 1, system, ())).collect::<Vec<_>>()
        };
        reading.systems.iter().flat_map(of).collect()
    }

    #[test]
    fn many_that_are_near_the_end_are_read_in_one_go() {
        let near =
            |systems: i64, after| Heads::<()>::new((0..systems).map(|system| (system, after + system))).near(1_000);
        assert_eq!(near(100, 600), Some(600));
        assert_eq!(near(100, 599), None);
        assert_eq!(near(10, 990), None, "few are looked for");
        assert_eq!(near(0, 0), None);
    }

    proptest! {
        #[test]
        fn the_oldest_of_all_come_in_order_and_little_more_is_read(
            log in log(), offsets in prop::collection::btree_map(0..40_i64, 0..400_i64, 1..40), wanted in 1..60_usize,
        ) {
            let end = log.len() as i64;
            let offsets: BTreeMap<_, _> = offsets.into_iter().map(|(system, after)| (system, after.min(end))).collect();
            let above = |(at, system): (usize, &i64)| {
                let event = at as i64 + 1;
                offsets.get(system).is_some_and(|after| event > *after).then_some(event)
            };
            let expected: Vec<i64> = log.iter().enumerate().filter_map(above).collect();
            let mut heads = Heads::new(offsets.iter().map(|(system, after)| (*system, *after)));
            let (mut got, mut rounds, mut rows) = (Vec::new(), 0, 0);
            loop {
                while let Some(reading) = heads.lacks(wanted) {
                    let found = read(&log, &reading);
                    (rounds, rows) = (rounds + 1, rows + found.len());
                    heads.accept(&reading, found);
                }
                let taken = heads.take(wanted);
                if got.is_empty() {
                    prop_assert!(rounds <= 8, "{} rounds", rounds);
                    prop_assert!(rows <= offsets.len() + 4 * wanted, "{} rows", rows);
                }
                if taken.is_empty() {
                    break;
                }
                prop_assert!(taken.iter().all(|(event, system, ())| log[*event as usize - 1] == *system));
                got.extend(taken.into_iter().map(|(event, _, ())| event));
            }
            prop_assert!(!heads.has_more());
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn all_at_once_is_the_same(log in log(), offsets in prop::collection::btree_map(0..40_i64, 0..400_i64, 1..40)) {
            let end = log.len() as i64;
            let mut heads = Heads::new(offsets.iter().map(|(system, after)| (*system, (*after).min(end))));
            let mut same = Heads::new(offsets.iter().map(|(system, after)| (*system, (*after).min(end))));
            heads.accept_all(log.iter().enumerate().map(|(at, system)| (at as i64 + 1, *system, ())));
            while let Some(reading) = same.lacks(1_000) {
                let found = read(&log, &reading);
                same.accept(&reading, found);
            }
            prop_assert_eq!(heads.lacks(1_000), None);
            prop_assert_eq!(heads.take(1_000), same.take(1_000));
        }
    }
}
