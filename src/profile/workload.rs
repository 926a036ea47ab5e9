//! Made-up kills and filters, always the same for a seed: what the index is measured with and its gates are held against.
//!
//! Popularity falls off as it does in the game: a system in 25 kills, a ship in 12, most others hardly ever. Filters are those that people write: a few systems
//! and a sum, somebody's corporation on either side, a region and a sum, hunters of a ship, and now and then something odd, a `not` around all of it, or one that
//! nearly every kill matches. Lists hold 1 to 20 ids, of which two in five are drawn by popularity.

mod filters;
mod kills;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Drawn by rank: how likely an index is falls with a power of it.
#[derive(Debug)]
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(count: usize, power: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-power);
            sum
        });
        Self(sums.collect())
    }

    fn draw(&self, rng: &mut StdRng) -> i64 {
        let most = self.0.last().copied().unwrap_or_default();
        let point = rng.random_range(0.0..most);
        self.0.partition_point(|sum| *sum <= point) as i64
    }

    fn any(&self, rng: &mut StdRng) -> i64 {
        rng.random_range(0..self.0.len() as i64)
    }
}

/// Words of modules, the commonest first.
const TAGS: [&str; 30] = [
    "T2",
    "T1",
    "armor",
    "shield",
    "meta",
    "warp_core",
    "tackle",
    "faction",
    "afterburner",
    "rig_t1",
    "microwarp",
    "drone",
    "neut",
    "rig_t2",
    "cloak",
    "web",
    "scram",
    "nosferatu",
    "deadspace",
    "remote",
    "ecm",
    "smartbomb",
    "probe",
    "salvage",
    "mining",
    "cyno",
    "bubble",
    "officer",
    "capital",
    "jump",
];
const PILOTS: i64 = 50;

/// Draws kills and filters.
#[derive(Debug)]
pub struct Workload {
    rng: StdRng,
    systems: Zipf,
    ships: Zipf,
    corporations: Zipf,
    alliances: Zipf,
    fleets: Zipf,
    /// Of five values in a list, so many are drawn by popularity.
    hot: f64,
}

impl Workload {
    /// The common mix.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            systems: Zipf::new(5_400, 0.8),
            ships: Zipf::new(400, 0.9),
            corporations: Zipf::new(10_000, 0.8),
            alliances: Zipf::new(3_000, 0.9),
            fleets: Zipf::new(100, 1.2),
            hot: 0.4,
        }
    }

    /// Filters that few kills match: no value is popular, and none is broad.
    #[must_use]
    pub fn selective(seed: u64) -> Self {
        Self { hot: 0.0, ..Self::new(seed) }
    }

    /// A pilot of a corporation.
    fn pilot_of(&mut self, corporation: i64) -> i64 {
        2_112_000_000 + corporation * PILOTS + self.rng.random_range(0..PILOTS)
    }
}

fn region(system: i64) -> i64 {
    10_000_001 + scattered(system, 4) % 100
}

/// A number that is always the same for a system.
fn scattered(system: i64, salt: i64) -> i64 {
    ((system + salt * 7_919).wrapping_mul(0x09e3_779b_97f4_a7c1) >> 20).rem_euclid(1 << 30)
}
