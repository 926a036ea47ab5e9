//! The calls that all regions share: so many at once; the next one is for the region that has the fewest under way, so that one which is due does not wait behind the
//! many pages of another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::killmail::RegionId;

/// Cheap to clone: all clones share them.
#[derive(Debug, Clone)]
pub(super) struct Calls(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    free: usize,
    under_way: BTreeMap<RegionId, usize>,
    /// Each with its number, in the order in which they came. While there are any, no call is free.
    waiting: BTreeMap<RegionId, VecDeque<(u64, oneshot::Sender<Seat>)>>,
    number: u64,
}

/// A call of a region, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    region: RegionId,
    /// `None`: it was given back.
    calls: Option<Calls>,
}

impl Calls {
    pub(super) fn new(count: usize) -> Self {
        let (under_way, waiting) = (BTreeMap::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(Inner { free: count, under_way, waiting, number: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a call.
    pub(super) async fn take(&self, region: RegionId) -> Seat {
        let (tell, told) = oneshot::channel();
        {
            let mut inner = self.lock();
            if inner.free > 0 {
                inner.begin(region);
                return self.seat(region);
            }
            inner.number += 1;
            let number = inner.number;
            inner.waiting.entry(region).or_default().push_back((number, tell));
        }
        // Whoever is asked for lives as long as this does.
        told.await.unwrap_or_else(|_| Seat { region, calls: None })
    }

    fn seat(&self, region: RegionId) -> Seat {
        Seat { region, calls: Some(self.clone()) }
    }

    /// A call has ended: the next one begins.
    fn end(&self, region: RegionId) {
        let mut ended = region;
        loop {
            let (region, tell) = {
                let mut inner = self.lock();
                inner.end(ended);
                let Some(next) = inner.next() else { return };
                inner.begin(next.0);
                next
            };
            let Err(mut seat) = tell.send(self.seat(region)) else { return };
            // Whoever waited has gone.
            seat.calls = None;
            ended = region;
        }
    }
}

impl Inner {
    fn begin(&mut self, region: RegionId) {
        self.free -= 1;
        *self.under_way.entry(region).or_default() += 1;
    }

    fn end(&mut self, region: RegionId) {
        self.free += 1;
        if let Some(under_way) = self.under_way.get_mut(&region) {
            *under_way -= 1;
            if *under_way == 0 {
                self.under_way.remove(&region);
            }
        }
    }

    /// Of those who wait, the first of the region that has the fewest.
    fn next(&mut self) -> Option<(RegionId, oneshot::Sender<Seat>)> {
        let rank = |(region, queue): &(&RegionId, &VecDeque<(u64, _)>)| {
            (self.under_way.get(region).copied().unwrap_or(0), queue.front().map(|(number, _)| *number))
        };
        let region = *self.waiting.iter().min_by_key(rank)?.0;
        let queue = self.waiting.get_mut(&region)?;
        let (_, tell) = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(&region);
        }
        Some((region, tell))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(calls) = self.calls.take() {
            calls.end(self.region);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn id(region: i64) -> RegionId {
        RegionId::new(region).expect("an id")
    }

    #[test]
    fn the_next_call_is_for_the_region_with_the_fewest_and_among_those_for_the_first() {
        let calls = Calls::new(4);
        let take = |region| Box::pin(calls.take(id(region)));
        let held: Vec<Seat> = [1, 1, 1, 2].map(|region| take(region).now_or_never().expect("a call is free")).into();
        let mut waiting: Vec<_> = [1, 2, 3, 4, 3].map(take).into();
        assert!(waiting.iter_mut().all(|wait| wait.now_or_never().is_none()));
        let mut held = held.into_iter();
        let mut begun = Vec::new();
        for _ in 0..4 {
            drop(held.next());
            let (place, seat) = waiting
                .iter_mut()
                .enumerate()
                .find_map(|(place, wait)| Some((place, wait.now_or_never()?)))
                .expect("one begins");
            drop(waiting.remove(place));
            begun.push(seat);
        }
        let order: Vec<i64> = begun.iter().map(|seat| seat.region.get()).collect();
        assert_eq!(order, [3, 4, 1, 2]);
    }

    proptest! {
        #[test]
        fn none_is_lost_whoever_goes(
            count in 1_usize..5,
            steps in prop::collection::vec((1_i64..4, 0_usize..8, 0_u8..4), 1..80),
        ) {
            let calls = Calls::new(count);
            let (mut waiting, mut held) = (Vec::new(), Vec::new());
            for (region, place, step) in steps {
                match step {
                    0 | 1 => waiting.push(Box::pin(calls.take(id(region)))),
                    2 if !waiting.is_empty() => drop(waiting.remove(place % waiting.len())),
                    _ if !held.is_empty() => drop::<Seat>(held.remove(place % held.len())),
                    _ => {}
                }
                let mut still = Vec::new();
                for mut wait in waiting {
                    match (&mut wait).now_or_never() {
                        Some(seat) => held.push(seat),
                        None => still.push(wait),
                    }
                }
                waiting = still;
                prop_assert!(held.len() <= count);
                prop_assert!(waiting.is_empty() || held.len() == count, "{} wait, {} are under way", waiting.len(), held.len());
            }
            drop((waiting, held));
            let inner = calls.lock();
            prop_assert_eq!((inner.free, inner.under_way.len()), (count, 0));
        }
    }
}
