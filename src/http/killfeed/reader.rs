//! One live stream's view of the events: first from the store, then from the tail, with nothing missing at the seam.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::entry::Entry;
use super::tail::{Batch, Tail};
use crate::killmail::SystemId;
use crate::store::{Error, Store};

/// Events read at once while behind: all that a slow stream holds in memory.
const PAGE: u32 = 64;
const RETRY: Duration = Duration::from_secs(1);

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Now,
    After(i64),
}

/// What a stream sends.
#[derive(Debug)]
pub(super) enum Item {
    /// The events right after the start are gone: `oldest` is the first there is.
    Gap {
        oldest: i64,
    },
    Event(Arc<Entry>),
}

/// Everything for its systems up to `cursor` is in `ready` or was handed out. A batch of the tail is used only if it joins on to the cursor; else
/// the reader is *behind*, and reads the store until it has passed the batch. So a lost batch, a slow reader and a tail that rested are one
/// case: the next batch does not join on.
#[derive(Debug)]
pub(super) struct Reader {
    store: Arc<dyn Store>,
    tail: Arc<Tail>,
    batches: Receiver<Arc<Batch>>,
    /// Sorted; empty: all.
    systems: Vec<SystemId>,
    cursor: i64,
    /// Read the store: it is known to hold events up to this id.
    behind: Option<i64>,
    ready: VecDeque<Item>,
}

impl Reader {
    pub(super) async fn open(
        store: Arc<dyn Store>,
        tail: Arc<Tail>,
        systems: Vec<SystemId>,
        start: Start,
    ) -> Result<Self, Error> {
        // In this order: what the tail sent before is in the store by now.
        let batches = tail.subscribe();
        let range = store.event_range().await?;
        let mut reader = Self { store, tail, batches, systems, cursor: 0, behind: None, ready: VecDeque::new() };
        match (start, range) {
            (_, None) => {}
            (Start::Now, Some((_, greatest))) => reader.cursor = greatest,
            (Start::After(id), Some((least, greatest))) => {
                // An id that was never given comes from another database: there, too, what the reader has does not join on.
                let joins_on = id >= least - 1 && id <= greatest;
                if !joins_on {
                    reader.ready.push_back(Item::Gap { oldest: least });
                }
                reader.cursor = if joins_on { id } else { least - 1 };
                reader.behind = (reader.cursor < greatest).then_some(greatest);
            }
        }
        Ok(reader)
    }

    /// The next item; `None` when the tail has ended. While it waits for nothing but the store, it holds one page.
    pub(super) async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if let Some(known) = self.behind {
                if let Err(error) = self.catch_up(known).await {
                    tracing::debug!(%error, "failed to read events for a stream");
                    tokio::time::sleep(RETRY).await;
                }
                continue;
            }
            match self.batches.recv().await {
                Ok(batch) => self.accept(&batch),
                // The next batch will not join on.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn accept(&mut self, batch: &Batch) {
        if batch.through <= self.cursor {
            return;
        }
        if batch.after > self.cursor {
            self.behind = Some(batch.through);
            return;
        }
        for entry in &batch.events {
            if entry.event_id > self.cursor && self.wants(entry.system_id) {
                self.ready.push_back(Item::Event(entry.clone()));
            }
        }
        self.cursor = batch.through;
    }

    fn wants(&self, system: SystemId) -> bool {
        self.systems.is_empty() || self.systems.binary_search(&system).is_ok()
    }

    /// Reads a page. A page that is not full has everything for these systems up to its end and to `known`.
    async fn catch_up(&mut self, known: i64) -> Result<(), Error> {
        let _turn = self.tail.reads.acquire().await;
        let page = self.store.events_after(self.cursor, &self.systems, PAGE).await?;
        let full = page.len() == PAGE as usize;
        if let Some(last) = page.last() {
            self.cursor = last.event_id;
        }
        if !full {
            self.cursor = self.cursor.max(known);
            self.behind = None;
        }
        self.ready.extend(page.into_iter().map(|event| Item::Event(Arc::new(Entry::of(event)))));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;
    use crate::killmail::KillmailId;
    use crate::memory_store::MemoryStore;

    /// What may happen, in any order.
    #[derive(Debug, Clone)]
    enum Step {
        Commit {
            events: usize,
            system: i64,
        },
        /// The tail reads once.
        Tail,
        /// The tail rested: it has lost its place.
        Rest,
        /// The oldest events are collected.
        Collect {
            keep: usize,
        },
        Connect {
            after: Option<i64>,
            system: Option<i64>,
        },
        /// A stream takes a few items, if they are there.
        Read {
            stream: usize,
            items: usize,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..200_usize, 1..4_i64).prop_map(|(events, system)| Step::Commit { events, system }),
            4 => Just(Step::Tail),
            1 => Just(Step::Rest),
            2 => (prop::option::of(0..600_i64), prop::option::of(1..4_i64))
                .prop_map(|(after, system)| Step::Connect { after, system }),
            4 => (0..6_usize, 0..150_usize).prop_map(|(stream, items)| Step::Read { stream, items }),
        ]
    }

    fn steps(collect: bool) -> impl Strategy<Value = Vec<Step>> {
        let collecting = (0..300_usize).prop_map(|keep| Step::Collect { keep });
        let weight = u32::from(collect);
        prop::collection::vec(prop_oneof![16 => step(), weight => collecting], 0..60)
    }

    struct Stream {
        reader: Reader,
        from: i64,
        system: Option<i64>,
        got: Vec<i64>,
        gaps: Vec<i64>,
    }

    struct World {
        store: Arc<MemoryStore>,
        tail: Arc<Tail>,
        position: Option<i64>,
        streams: Vec<Stream>,
        kills: i64,
    }

    impl World {
        fn new() -> Self {
            let store = Arc::new(MemoryStore::default());
            let tail = Arc::new(Tail::sized(store.clone(), 16, 4));
            Self { store, tail, position: None, streams: Vec::new(), kills: 0 }
        }

        /// The store answers at once, so a future that is not ready waits for the tail.
        fn take(&mut self, step: &Step) {
            match *step {
                Step::Commit { events, system } => {
                    for _ in 0..events {
                        self.kills += 1;
                        let kill = KillmailId::new(self.kills).expect("above 0");
                        self.store.commit(SystemId::new(system).expect("above 0"), kill, "{}".into());
                    }
                }
                Step::Tail => {
                    let step = self.tail.step(&mut self.position).now_or_never();
                    step.expect("the store answers at once").expect("the store is well");
                }
                Step::Rest => self.position = None,
                Step::Collect { keep } => self.store.collect(keep),
                Step::Connect { after, system } => self.connect(after, system),
                Step::Read { stream, items } => {
                    if let Some(stream) = self.streams.get_mut(stream) {
                        read(stream, items);
                    }
                }
            }
        }

        fn connect(&mut self, after: Option<i64>, system: Option<i64>) {
            let greatest = self.store.ids().last().copied().unwrap_or(0);
            let after = after.map(|id| id.min(greatest));
            let systems = system.and_then(SystemId::new).into_iter().collect();
            let start = after.map_or(Start::Now, Start::After);
            let opened = Reader::open(self.store.clone(), self.tail.clone(), systems, start).now_or_never();
            let reader = opened.expect("the store answers at once").expect("the store is well");
            let from = after.unwrap_or(greatest);
            self.streams.push(Stream { reader, from, system, got: Vec::new(), gaps: Vec::new() });
        }

        fn finish(&mut self) {
            while self.tail.step(&mut self.position).now_or_never().expect("at once").expect("the store is well") {}
            for stream in &mut self.streams {
                read(stream, usize::MAX);
            }
        }
    }

    fn read(stream: &mut Stream, items: usize) {
        for _ in 0..items {
            match stream.reader.next().now_or_never() {
                Some(Some(Item::Event(entry))) => stream.got.push(entry.event_id),
                Some(Some(Item::Gap { oldest })) => stream.gaps.push(oldest),
                Some(None) | None => break,
            }
        }
    }

    proptest! {
        #[test]
        fn a_stream_has_every_event_after_its_start_once_and_in_order(steps in steps(false)) {
            let mut world = World::new();
            steps.iter().for_each(|step| world.take(step));
            world.finish();
            for stream in &world.streams {
                let expected: Vec<i64> = world
                    .store
                    .events()
                    .iter()
                    .filter(|e| e.event_id > stream.from && stream.system.is_none_or(|s| s == e.system_id.get()))
                    .map(|e| e.event_id)
                    .collect();
                prop_assert_eq!(&stream.got, &expected);
                prop_assert!(stream.gaps.is_empty());
            }
        }

        #[test]
        fn ids_rise_and_nothing_kept_is_missed_while_the_oldest_are_collected(steps in steps(true)) {
            let mut world = World::new();
            steps.iter().for_each(|step| world.take(step));
            world.finish();
            for stream in &world.streams {
                prop_assert!(stream.got.is_sorted_by(|a, b| a < b));
                let got: std::collections::HashSet<i64> = stream.got.iter().copied().collect();
                for event in world.store.events() {
                    let wanted = event.event_id > stream.from && stream.system.is_none_or(|s| s == event.system_id.get());
                    prop_assert_eq!(wanted, got.contains(&event.event_id));
                }
            }
        }
    }

    #[test]
    fn a_start_that_was_collected_is_told_the_oldest_there_is() {
        let mut world = World::new();
        world.take(&Step::Commit { events: 10, system: 1 });
        world.take(&Step::Collect { keep: 4 });
        world.connect(Some(3), None);
        world.connect(Some(6), None);
        world.finish();
        assert_eq!((&world.streams[0].gaps[..], &world.streams[0].got[..]), (&[7][..], &[7, 8, 9, 10][..]));
        assert_eq!((&world.streams[1].gaps[..], &world.streams[1].got[..]), (&[][..], &[7, 8, 9, 10][..]));
    }

    #[test]
    fn a_start_from_another_database_begins_with_a_gap_at_the_oldest() {
        let mut world = World::new();
        world.take(&Step::Commit { events: 3, system: 1 });
        let start = Start::After(900);
        let opened = Reader::open(world.store.clone(), world.tail.clone(), Vec::new(), start).now_or_never();
        let mut reader = opened.expect("at once").expect("the store is well");
        let ids: Vec<i64> = std::iter::from_fn(|| reader.next().now_or_never().flatten())
            .map(|item| match item {
                Item::Gap { oldest } => -oldest,
                Item::Event(entry) => entry.event_id,
            })
            .collect();
        assert_eq!(ids, [-1, 1, 2, 3]);
    }
}
