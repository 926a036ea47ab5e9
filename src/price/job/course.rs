//! What a run still has to do in one market: products handed out in order, settled in any order, counted in order.
//!
//! Progress is a low watermark: a product counts once it and all before it are settled. So where a run stops, the next one goes on, and none is counted twice.

use std::collections::{BTreeMap, BTreeSet};

use broadside_engine::LowWatermark;

use super::Market;
use crate::killmail::TypeId;

/// What became of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Its price is stored.
    Priced,
    /// There is none, or it could not be had.
    Failed,
    /// Nobody asked for it: it is handed out again.
    Returned,
}

/// The rest of a market.
#[derive(Debug, Clone, Default)]
pub struct Course {
    types: Vec<TypeId>,
    /// The first that was never handed out.
    next: usize,
    returned: BTreeSet<u64>,
    watermark: LowWatermark,
    /// Whether it was priced; of those that are settled above the watermark.
    settled: BTreeMap<u64, bool>,
    in_flight: usize,
}

impl Course {
    /// What is left of `types`, which ascend, after what is done of the market.
    #[must_use]
    pub fn new(market: &Market, types: &[TypeId]) -> Self {
        let done = types.partition_point(|id| market.position.is_some_and(|position| id.get() <= position));
        Self { types: types[done..].to_vec(), ..Self::default() }
    }

    /// Products that are left, those in flight too.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.types.len() as u64 - self.watermark.reached().map_or(0, |reached| reached + 1)
    }

    /// Products handed out and not settled.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The next product, with the number that it is settled by; those that were returned come first.
    pub fn hand_out(&mut self) -> Option<(u64, TypeId)> {
        let number = match self.returned.pop_first() {
            Some(number) => number,
            None => {
                let number = self.next as u64;
                self.types.get(self.next)?;
                self.next += 1;
                self.watermark.track(number);
                number
            }
        };
        self.in_flight += 1;
        Some((number, *self.types.get(usize::try_from(number).ok()?)?))
    }

    /// A product is settled; counts in the market what is now done for good. Whether anything is.
    pub fn settle(&mut self, number: u64, settled: Settled, market: &mut Market) -> bool {
        let is_out = usize::try_from(number).is_ok_and(|number| number < self.next)
            && self.watermark.reached().is_none_or(|reached| number > reached)
            && !self.returned.contains(&number)
            && !self.settled.contains_key(&number);
        if !is_out {
            return false;
        }
        self.in_flight -= 1;
        if settled == Settled::Returned {
            self.returned.insert(number);
            return false;
        }
        self.settled.insert(number, settled == Settled::Priced);
        let Some(reached) = self.watermark.settle(number) else { return false };
        let above = self.settled.split_off(&(reached + 1));
        for is_priced in std::mem::replace(&mut self.settled, above).into_values() {
            *(if is_priced { &mut market.successful } else { &mut market.failed }) += 1;
        }
        market.position = usize::try_from(reached).ok().and_then(|at| Some(self.types.get(at)?.get()));
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn types(count: i64) -> Vec<TypeId> {
        (1..=count).filter_map(|id| TypeId::new(id * 10)).collect()
    }

    #[test]
    fn it_goes_on_above_what_is_done_also_when_types_have_come_and_gone() {
        let market = Market { position: Some(25), ..Market::new(2, 4) };
        let mut course = Course::new(&market, &types(4));
        assert_eq!(course.remaining(), 2);
        assert_eq!(course.hand_out().map(|(_, id)| id.get()), Some(30));
    }

    #[test]
    fn a_returned_product_comes_again_before_all_others_and_one_is_settled_once() {
        let mut market = Market::new(2, 3);
        let mut course = Course::new(&market, &types(3));
        let (first, second) = (course.hand_out().expect("one").0, course.hand_out().expect("one").0);
        assert!(!course.settle(first, Settled::Returned, &mut market));
        assert!(!course.settle(second, Settled::Priced, &mut market));
        assert_eq!((market.completed(), course.in_flight()), (0, 0));
        assert_eq!(course.hand_out().map(|(number, id)| (number, id.get())), Some((first, 10)));
        assert!(course.settle(first, Settled::Failed, &mut market));
        assert_eq!((market.successful, market.failed, market.position), (1, 1, Some(20)));
        for number in [first, second, 2, 77] {
            assert!(!course.settle(number, Settled::Priced, &mut market), "{number}");
        }
        assert_eq!((market.completed(), course.in_flight()), (2, 0));
    }

    proptest! {
        /// Handed out by random lots, settled in random order, some returned, interrupted at random: each is counted once, in order.
        #[test]
        fn each_product_is_counted_once_whatever_the_order_and_the_interruptions(
            count in 1_i64..60, seeds in prop::collection::vec((0_u64..1000, 0_u8..10), 1..400)
        ) {
            let types = types(count);
            let mut market = Market::new(2, count as u64);
            let mut course = Course::new(&market, &types);
            let mut out: Vec<(u64, TypeId)> = Vec::new();
            for (seed, what) in seeds {
                match what {
                    0..=3 => out.extend(course.hand_out()),
                    4 if seed < 30 => {
                        // The run ends; another goes on from what was kept.
                        course = Course::new(&market, &types);
                        out.clear();
                    }
                    _ if out.is_empty() => {}
                    _ => {
                        let (number, id) = out.swap_remove(seed as usize % out.len());
                        let settled = match what { 4 | 5 => Settled::Returned, 6 => Settled::Failed, _ => Settled::Priced };
                        let before = market.position.unwrap_or(0);
                        course.settle(number, settled, &mut market);
                        prop_assert!(before < id.get());
                    }
                }
                prop_assert_eq!(course.in_flight(), out.len());
                // Types are 10, 20, …: the position says how many are done.
                prop_assert_eq!(market.completed() as i64, market.position.unwrap_or(0) / 10);
                prop_assert_eq!(course.remaining(), market.remaining());
                prop_assert!(out.iter().all(|(_, id)| Some(id.get()) > market.position));
            }
            while let Some((number, _)) = course.hand_out() {
                out.push((number, types[0]));
            }
            for (number, _) in out {
                course.settle(number, Settled::Priced, &mut market);
            }
            prop_assert_eq!((market.completed(), course.remaining()), (count as u64, 0));
        }
    }
}
