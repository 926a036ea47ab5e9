//! An index, and beside it the filters that are in it, to be asked plainly.
//! Shared with the fuzz target.

use std::collections::BTreeMap;

use broadside::profile::index::{Index, Scratch, Speed, Statistics};
use broadside::profile::{Filter, Subject, interpret};

use crate::draw::{self, Draw};

/// Both, kept alike.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) index: Index,
    pub(crate) filters: BTreeMap<u32, Filter>,
    pub(crate) scratch: Scratch,
    pub(crate) out: Vec<u32>,
}

impl World {
    /// With nothing in it, and statistics of so many kills.
    pub(crate) fn new(kills: &[Subject<'_>]) -> Self {
        let statistics = Statistics::default();
        kills.iter().for_each(|kill| statistics.observe(kill));
        Self { index: Index::new(statistics.into()), ..Self::default() }
    }

    pub(crate) fn insert(&mut self, id: u32, filter: Filter) {
        self.index.insert(id, &filter).expect("it fits");
        self.filters.insert(id, filter);
    }

    pub(crate) fn remove(&mut self, id: u32) {
        assert_eq!(self.index.remove(id), self.filters.remove(&id).is_some());
    }

    /// Matches a kill both ways, and says how many match.
    pub(crate) fn compare(&mut self, kill: &Subject<'_>) -> usize {
        self.out.clear();
        self.index.matches(kill, &mut self.scratch, &mut self.out);
        self.out.sort_unstable();
        let holding = self.filters.iter().filter(|(_, filter)| interpret::holds(&filter.root, kill));
        let expected: Vec<u32> = holding.map(|(id, _)| *id).collect();
        if self.out != expected {
            let wrong =
                |id: &u32| self.out.iter().filter(|other| *other == id).count() != usize::from(expected.contains(id));
            let id = *expected.iter().chain(&self.out).find(|id| wrong(id)).expect("they differ");
            panic!("{id} is {:?}, the kill {kill:#?}", self.filters[&id]);
        }
        expected.len()
    }
}

/// Draws filters and kills; between kills some filters go, come or change, many of them one that is there already. Says how many pairs were compared, and how
/// many matched.
pub(crate) fn churn(draw: &mut Draw<'_>, profiles: u32, rounds: u32) -> (usize, usize) {
    let kills: Vec<Subject<'_>> = (0..draw(30)).map(|_| draw::kill(draw)).collect();
    let mut world = World::new(&kills);
    // One that this processor does not have leaves the index as fast as it can be.
    world.index.set_speed([Speed::Scalar, Speed::Avx2, Speed::Avx512][draw(3) as usize]);
    for id in 0..profiles {
        let filter = drawn(draw, &world);
        world.insert(id, filter);
    }
    let (mut pairs, mut matches) = (0, 0);
    for _ in 0..rounds {
        let kill = draw::kill(draw);
        pairs += world.filters.len();
        matches += world.compare(&kill);
        for _ in 0..draw(1 + profiles / 4) {
            let id = draw(profiles + profiles / 4 + 1);
            if draw(3) == 0 {
                world.remove(id);
            } else {
                let filter = drawn(draw, &world);
                world.insert(id, filter);
            }
        }
    }
    let stats = world.index.stats();
    assert_eq!(stats.profiles, world.filters.len());
    for id in world.filters.keys().copied().collect::<Vec<_>>() {
        world.remove(id);
    }
    let empty = world.index.stats();
    assert_eq!((empty.profiles, empty.broad, empty.filters), (0, 0, 0));
    assert_eq!(world.compare(&draw::kill(draw)), 0);
    (pairs, matches)
}

/// A new filter, or one that another profile has.
fn drawn(draw: &mut Draw<'_>, world: &World) -> Filter {
    let another = draw(1 + world.filters.len() as u32) as usize;
    match world.filters.values().nth(another) {
        Some(filter) if draw(3) == 0 => filter.clone(),
        _ => draw::filter(draw),
    }
}
