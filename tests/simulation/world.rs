//! A world drawn from a seed: the shape of the pipeline, and the fate of every message at every place.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use broadside_engine::Topology;
use broadside_engine::topology::{Batcher, Processor, RateLimit, RestartBudget, Source};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The text of panics that the world asks for.
pub(crate) const TOLD: &str = "told to panic";

/// What a component does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    Fail,
    Filter,
    Finish,
    AcknowledgeNow,
    Panic,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    /// Positions in the source's log.
    pub(crate) positions: u64,
    /// Partitions.
    pub(crate) lanes: u64,
    /// Whether every group is partitioned, so that order holds from the source to the last sink.
    pub(crate) ordered: bool,
    /// Groups partitioned although others are not.
    pub(crate) partitioned: Vec<String>,
    pub(crate) keys: u64,
    /// How wild it is: trouble in a thousand messages.
    pub(crate) trouble: u64,
    pub(crate) topology: Topology,
}

pub(crate) fn draw(seed: u64) -> World {
    let mut rng = StdRng::seed_from_u64(seed);
    let ordered = rng.random_bool(0.5);
    let mut topology = Topology::new("simulated", source(&mut rng, ordered));
    for n in 0..rng.random_range(1..=3) {
        topology = topology.processor(processor(&mut rng, n));
    }
    for n in 0..rng.random_range(0..=3_usize) {
        let batcher = batcher(&mut rng, n, &topology);
        topology = topology.batcher(batcher);
    }
    let largest = topology.batchers.iter().map(|b| b.batch_size).max().unwrap_or(1);
    topology.in_flight_max = largest + rng.random_range(0..200);
    topology.drain_deadline = Duration::from_millis(rng.random_range(20..20_000));
    let groups = topology.processors.iter().map(|p| &p.name).chain(topology.batchers.iter().map(|b| &b.name));
    let partitioned = groups.filter(|_| ordered || rng.random_bool(0.3)).cloned().collect();
    World {
        seed,
        positions: rng.random_range(30..400),
        lanes: rng.random_range(1..12),
        ordered,
        partitioned,
        keys: rng.random_range(1..6),
        trouble: [0, 10, 60, 250][rng.random_range(0..4)],
        topology,
    }
}

fn source(rng: &mut StdRng, ordered: bool) -> Source {
    let restart = RestartBudget {
        restarts: 10_000,
        within: Duration::from_secs(60),
        delay: Duration::from_millis(rng.random_range(1..50)),
        delay_max: Duration::from_millis(500),
    };
    let concurrency = if ordered { 1 } else { rng.random_range(1..=3) };
    let rate_limit = rng.random_bool(0.3).then(|| rate_limit(rng));
    Source { concurrency, rate_limit, restart, ..Source::new("log") }
}

pub(crate) fn rate_limit(rng: &mut StdRng) -> RateLimit {
    RateLimit { messages: rng.random_range(5..300), per: Duration::from_millis(rng.random_range(10..2_000)) }
}

fn processor(rng: &mut StdRng, n: usize) -> Processor {
    let max_demand = rng.random_range(1..20);
    Processor {
        concurrency: rng.random_range(1..6),
        max_demand,
        capacity: max_demand + rng.random_range(0..40),
        stages: (0..rng.random_range(0..3)).map(|stage| format!("p{n}s{stage}")).collect(),
        ..Processor::new(format!("p{n}"))
    }
}

fn batcher(rng: &mut StdRng, n: usize, topology: &Topology) -> Batcher {
    let batch_size = rng.random_range(1..30);
    let taken = |b: &Batcher| topology.batchers.iter().any(|other| other.after.as_ref() == Some(&b.name));
    let after = topology.batchers.iter().find(|b| !taken(b)).filter(|_| rng.random_bool(0.5));
    Batcher {
        after: after.map(|b| b.name.clone()),
        batch_size,
        batch_bytes: rng.random_bool(0.3).then(|| rng.random_range(1..60)),
        batch_timeout: Duration::from_millis(rng.random_range(1..500)),
        eager: rng.random_bool(0.5),
        concurrency: rng.random_range(1..4),
        capacity: batch_size + rng.random_range(0..40),
        ..Batcher::new(format!("b{n}"))
    }
}

impl World {
    pub(crate) fn lane(&self, position: u64) -> u64 {
        position % self.lanes
    }

    /// A partition has one key where order is checked: batches of several keys overtake one another.
    pub(crate) fn key(&self, position: u64) -> u64 {
        if self.ordered { self.lane(position) % self.keys } else { self.draw(("key", position)) % self.keys }
    }

    pub(crate) fn bytes(&self, position: u64) -> usize {
        1 + (self.draw(("bytes", position)) % 20) as usize
    }

    /// A number that depends on the seed and on what it is for alone.
    pub(crate) fn draw(&self, purpose: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, purpose).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether a trouble of this share (in a thousand, of the world's own share) strikes.
    pub(crate) fn strikes(&self, share: u64, calm: bool, purpose: impl Hash) -> bool {
        !calm && self.draw(purpose) % 1_000_000 < share * self.trouble
    }

    pub(crate) fn fate(&self, place: &str, position: u64, calm: bool, life: u32) -> Fate {
        if !self.strikes(1_000, calm, ("fate", place, position, life)) {
            return Fate::Pass;
        }
        match self.draw(("which", place, position, life)) % 6 {
            0 | 1 => Fate::Fail,
            2 => Fate::Filter,
            3 => Fate::Finish,
            4 => Fate::AcknowledgeNow,
            _ => Fate::Panic,
        }
    }

    /// How long a call takes: mostly none or a few milliseconds, now and then very long.
    pub(crate) fn time(&self, place: &str, position: u64, calm: bool, life: u32) -> Duration {
        let drawn = self.draw(("time", place, position, life));
        let millis = match drawn % 100 {
            0..60 => 0,
            60..90 => drawn / 100 % 10,
            90..99 => drawn / 100 % 200,
            _ if calm => 500,
            _ => drawn / 100 % 30_000,
        };
        Duration::from_millis(millis)
    }
}
