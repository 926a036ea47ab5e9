//! Lanes: a queue in which each partition has its own line, and only one worker at a time serves a line.
//!
//! Order within a partition follows from that alone, whatever the number of workers, so workers can be added and removed at any
//! time. A slow partition holds up its own line and nothing else until the queue as a whole is full.

use std::collections::{HashMap, VecDeque};

#[derive(Debug)]
struct Lane<I> {
    items: VecDeque<I>,
    busy: bool,
}

/// Items by partition.
#[derive(Debug)]
pub(crate) struct Lanes<I> {
    lanes: HashMap<u64, Lane<I>>,
    /// Partitions that have items and no worker, each once.
    ready: VecDeque<u64>,
    len: usize,
}

impl<I> Lanes<I> {
    pub(crate) fn new() -> Self {
        Self { lanes: HashMap::new(), ready: VecDeque::new(), len: 0 }
    }

    pub(crate) fn push(&mut self, partition: u64, item: I) {
        let lane = self.lanes.entry(partition).or_insert_with(|| Lane { items: VecDeque::new(), busy: false });
        if lane.items.is_empty() && !lane.busy {
            self.ready.push_back(partition);
        }
        lane.items.push_back(item);
        self.len += 1;
    }

    /// Up to `max` items of the partition that has been ready longest. It stays busy until [`done`](Self::done).
    pub(crate) fn take(&mut self, max: usize) -> Option<(u64, Vec<I>)> {
        let partition = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&partition)?;
        lane.busy = true;
        let count = lane.items.len().min(max);
        self.len -= count;
        Some((partition, lane.items.drain(..count).collect()))
    }

    /// The worker of a partition is free again; whether the partition is ready.
    pub(crate) fn done(&mut self, partition: u64) -> bool {
        let Some(lane) = self.lanes.get_mut(&partition) else { return false };
        lane.busy = false;
        if lane.items.is_empty() {
            self.lanes.remove(&partition);
            return false;
        }
        self.ready.push_back(partition);
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Everything left, in the order of each partition.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = I> + '_ {
        self.len = 0;
        self.ready.clear();
        self.lanes.drain().flat_map(|(_, lane)| lane.items)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_busy_partition_is_not_served_twice_and_others_pass_it() {
        let mut lanes = Lanes::new();
        for (partition, item) in [(1, 'a'), (1, 'b'), (2, 'c'), (1, 'd')] {
            lanes.push(partition, item);
        }
        assert_eq!(lanes.take(2), Some((1, vec!['a', 'b'])));
        assert_eq!(lanes.take(2), Some((2, vec!['c'])));
        assert_eq!(lanes.take(2), None);
        assert!(lanes.done(1));
        assert_eq!(lanes.take(2), Some((1, vec!['d'])));
    }

    proptest! {
        #[test]
        fn every_item_comes_out_once_and_in_the_order_of_its_partition(
            pushes in proptest::collection::vec(0_u64..6, 1..200),
            takes in proptest::collection::vec((1_usize..5, any::<bool>()), 1..400),
        ) {
            let mut lanes = Lanes::new();
            let mut served: HashMap<u64, Vec<usize>> = HashMap::new();
            let mut working: Vec<u64> = Vec::new();
            let mut next = pushes.iter().enumerate();
            let mut takes = takes.into_iter().cycle();
            let mut out = 0;
            while out < pushes.len() {
                if let Some((item, &partition)) = next.next() {
                    lanes.push(partition, item);
                }
                let (max, finish) = takes.next().unwrap();
                let taken = lanes.take(max);
                let stuck = taken.is_none();
                if let Some((partition, items)) = taken {
                    prop_assert!(!working.contains(&partition));
                    working.push(partition);
                    out += items.len();
                    served.entry(partition).or_default().extend(items);
                } else if working.is_empty() {
                    prop_assert_eq!(lanes.len(), 0);
                }
                if (finish || stuck || working.len() > 3) && !working.is_empty() {
                    lanes.done(working.remove(0));
                }
            }
            for (partition, items) in served {
                let expected: Vec<usize> =
                    pushes.iter().enumerate().filter(|(_, p)| **p == partition).map(|(i, _)| i).collect();
                prop_assert_eq!(items, expected);
            }
        }
    }
}
