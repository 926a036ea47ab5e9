//! What is known of every message, and the rules that must hold. A broken one is noted, not thrown: the engine would fence it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broadside_engine::{LowWatermark, Outcome};
use tokio::time::Instant;

use crate::world::World;

const REWINDS_MAX: u32 = 5;

/// A payload: a position of the log, handed out for the `delivery`th time of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) position: u64,
    pub(crate) delivery: u64,
}

/// What happened to one delivery.
#[derive(Debug, Default)]
struct Known {
    acknowledged: bool,
    /// It may be successful without having been in every sink.
    excused: bool,
    /// Sinks that have it.
    sinks: BTreeSet<usize>,
    batcher: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) faults: Vec<String>,
    hasher: DefaultHasher,
    verbose: bool,
    start: Instant,
    known: BTreeMap<u64, Known>,
    next_delivery: u64,
    attempts: u64,
    /// Of the present life of the pipeline.
    pub(crate) handed: u64,
    pub(crate) acknowledged: u64,
    pub(crate) next_position: u64,
    /// By position: settled so that it need not come again.
    safe: Vec<bool>,
    watermark: LowWatermark,
    pub(crate) checkpoint: Option<u64>,
    /// The last delivery seen, by place and lane.
    last: BTreeMap<(String, u64), u64>,
    working: BTreeSet<(String, u64)>,
    pub(crate) in_flight_bound: u64,
    pub(crate) limit_set: Instant,
    rewinds: u32,
    pub(crate) life: u32,
    pub(crate) calm: bool,
}

/// One for the whole run: through all lives of the pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) world: Arc<World>,
    state: Arc<Mutex<State>>,
}

impl Watch {
    pub(crate) fn new(world: World, verbose: bool) -> Self {
        let state = State {
            faults: Vec::new(),
            hasher: DefaultHasher::new(),
            verbose,
            start: Instant::now(),
            known: BTreeMap::new(),
            next_delivery: 0,
            attempts: 0,
            handed: 0,
            acknowledged: 0,
            next_position: 0,
            safe: vec![false; world.positions as usize],
            watermark: LowWatermark::new(),
            checkpoint: None,
            last: BTreeMap::new(),
            working: BTreeSet::new(),
            in_flight_bound: 0,
            limit_set: Instant::now(),
            rewinds: 0,
            life: 0,
            calm: false,
        };
        Self { world: Arc::new(world), state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the world is calm, and which life this is.
    pub(crate) fn mood(&self) -> (bool, u32) {
        let state = self.state();
        (state.calm, state.life)
    }

    /// Counts a build or pull, so that each has a fate of its own.
    pub(crate) fn attempt(&self) -> u64 {
        let mut state = self.state();
        state.attempts += 1;
        state.attempts
    }

    /// A new life of the pipeline, from the checkpoint.
    pub(crate) fn begin(&self, life: u32, calm: bool) {
        let mut state = self.state();
        state.life = life;
        state.calm = calm;
        state.handed = 0;
        state.acknowledged = 0;
        state.next_position = state.checkpoint.map_or(0, |reached| reached + 1);
        state.watermark = LowWatermark::new();
        state.rewinds = 0;
        state.limit_set = Instant::now();
        state.last.clear();
        state.working.clear();
        state.in_flight_bound = self.world.topology.in_flight_max as u64;
    }

    /// Starts again from the checkpoint, a few times in a life: what is in flight comes twice.
    pub(crate) fn rewind(&self) {
        let mut state = self.state();
        state.rewinds += 1;
        if state.rewinds > REWINDS_MAX {
            return;
        }
        state.next_position = state.checkpoint.map_or(0, |reached| reached + 1);
    }

    pub(crate) fn hand_out(&self) -> Option<Item> {
        let mut state = self.state();
        let position = state.next_position;
        if position >= self.world.positions {
            return None;
        }
        state.next_position += 1;
        let delivery = state.next_delivery;
        state.next_delivery += 1;
        state.handed += 1;
        state.watermark.track(position);
        state.known.insert(delivery, Known::default());
        state.note(("handed", position, delivery));
        Some(Item { position, delivery })
    }

    /// A group at a place: its size and its partition. Ended with [`leave`](Self::leave).
    pub(crate) fn enter(&self, place: &str, items: &[Item], most: usize, partitioned: bool) {
        let mut state = self.state();
        state.note((place, items.first().map(|item| item.delivery), items.len()));
        state.check(!items.is_empty(), || format!("{place}: an empty group"));
        state.check(items.len() <= most, || format!("{place}: {} messages, at most {most}", items.len()));
        if partitioned {
            let lanes: BTreeSet<u64> = items.iter().map(|item| self.world.lane(item.position)).collect();
            state.check(lanes.len() == 1, || format!("{place}: partitions {lanes:?} in one group"));
            for lane in lanes {
                let free = state.working.insert((place.to_owned(), lane));
                state.check(free, || format!("{place}: partition {lane} is worked on twice at once"));
            }
        }
    }

    /// In an ordered world: a partition's messages pass a place in the order in which they were handed out.
    pub(crate) fn pass(&self, place: &str, item: Item) {
        if self.world.ordered {
            let mut state = self.state();
            let lane = self.world.lane(item.position);
            let before = state.last.insert((place.to_owned(), lane), item.delivery);
            state.check(before.is_none_or(|before| before < item.delivery), || {
                format!("{place}: partition {lane} has {} after {before:?}", item.delivery)
            });
        }
    }

    pub(crate) fn leave(&self, place: &str, items: &[Item]) {
        let mut state = self.state();
        for item in items {
            state.working.remove(&(place.to_owned(), self.world.lane(item.position)));
        }
    }

    pub(crate) fn excuse(&self, item: Item) {
        if let Some(known) = self.state().known.get_mut(&item.delivery) {
            known.excused = true;
        }
    }

    pub(crate) fn route(&self, item: Item, batcher: usize) {
        if let Some(known) = self.state().known.get_mut(&item.delivery) {
            known.batcher = Some(batcher);
        }
    }

    /// A sink has it.
    pub(crate) fn commit(&self, item: Item, batcher: usize) {
        let mut state = self.state();
        let after = self.world.topology.batchers[batcher].after.clone();
        let before = after.and_then(|name| self.world.topology.batcher_index(&name));
        let known = state.known.entry(item.delivery).or_default();
        let in_turn = before.is_none_or(|before| known.sinks.contains(&before));
        let first = known.sinks.insert(batcher);
        state.check(in_turn, || format!("delivery {} is in sink {batcher} before the one it follows", item.delivery));
        state.check(first, || format!("delivery {} is in sink {batcher} twice", item.delivery));
    }

    /// The acknowledger is told of a message.
    pub(crate) fn told(&self, item: Item, outcome: Outcome) {
        let mut state = self.state();
        state.note(("told", item.delivery, outcome.as_str()));
        state.acknowledged += 1;
        let roots = self.world.topology.batchers.iter().filter(|b| b.after.is_none()).count();
        let known = state.known.entry(item.delivery).or_default();
        let first = !std::mem::replace(&mut known.acknowledged, true);
        let root = known.batcher.map(|index| self.world.topology.batchers[index].name.clone());
        let first_root = self.world.topology.batchers.iter().find(|b| b.after.is_none()).map(|b| b.name.clone());
        let chain = root.or(first_root).map(|root| self.world.topology.chain(&root).len()).unwrap_or(0);
        let complete = known.excused || roots == 0 || known.sinks.len() == chain;
        state.check(first, || format!("delivery {} is acknowledged twice", item.delivery));
        state.check(outcome != Outcome::Abandoned, || format!("delivery {} is told as abandoned", item.delivery));
        state.check(outcome != Outcome::Successful || complete, || {
            format!("delivery {} is successful before its sinks have it", item.delivery)
        });
    }

    /// The source takes a settlement to heart: its checkpoint may move.
    pub(crate) fn settled(&self, item: Item, outcome: Outcome) {
        if !broadside_engine::ack::is_safe(outcome) {
            return;
        }
        let mut state = self.state();
        state.safe[item.position as usize] = true;
        if let Some(reached) = state.watermark.settle(item.position) {
            let from = state.checkpoint.map_or(0, |reached| reached + 1);
            let unsettled = (from..=reached).find(|position| !state.safe[*position as usize]);
            state.check(unsettled.is_none(), || format!("checkpoint {reached} is ahead of {unsettled:?}"));
            let checkpoint = state.checkpoint.max(Some(reached));
            state.checkpoint = checkpoint;
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state().safe.iter().all(|safe| *safe)
    }

    pub(crate) fn check(&self, holds: bool, fault: impl FnOnce() -> String) {
        self.state().check(holds, fault);
    }

    pub(crate) fn note(&self, event: impl Hash + std::fmt::Debug) {
        self.state().note(event);
    }
}

impl State {
    pub(crate) fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            let text = format!("life {} at {:?}: {}", self.life, self.start.elapsed(), fault());
            if self.verbose {
                println!("FAULT {text}");
            }
            self.faults.push(text);
        }
    }

    pub(crate) fn note(&mut self, event: impl Hash + std::fmt::Debug) {
        let at = self.start.elapsed();
        (at, &event).hash(&mut self.hasher);
        if self.verbose {
            println!("{at:>12?} {event:?}");
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.next_delivery
    }
}
