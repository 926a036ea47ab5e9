//! Made-up kills and filters, always the same for a seed: what the index is measured with and its gates are held against.
//!
//! Popularity falls off as it does in the game: a system in 25 kills, a ship in 12, most others hardly ever. Filters are those that people write: a few systems
//! and a sum, somebody's corporation on either side, a region and a sum, hunters of a ship, and now and then something odd, a `not` around all of it, or one that
//! nearly every kill matches. Lists hold 1 to 20 ids, of which two in five are drawn by popularity.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::decimal::security_key;
use super::field::Field;
use super::filter::{Filter, Node, Span, Test, What};
use super::subject::Subject;

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
const CLASSES: [&str; 12] = [
    "capsule",
    "frigate",
    "destroyer",
    "cruiser",
    "battlecruiser",
    "battleship",
    "industrial",
    "mining",
    "capital",
    "supercapital",
    "structure",
    "drone",
];
const SYSTEM_CLASSES: [&str; 4] = ["nullsec", "lowsec", "highsec", "wspace"];
const LABELS: [&str; 8] = ["pvp", "cat:6", "loc:nullsec", "loc:highsec", "loc:lowsec", "#:5+", "#:10+", "isk:1b+"];
/// What people type, in millions of ISK.
const ROUND: [i64; 16] =
    [50, 100, 150, 200, 250, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000];
const MILLION: i64 = 100_000_000;
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

    /// The next kill.
    pub fn kill(&mut self) -> Subject<'static> {
        let mut kill = Subject::default();
        let system = self.systems.draw(&mut self.rng);
        self.place(&mut kill, system);
        let ship = self.ships.draw(&mut self.rng);
        kill.set(Field::ShipTypeId, &[600 + ship]);
        kill.set(Field::ShipGroupId, &[20 + ship / 8]);
        kill.set_texts(Field::ShipClass, &[CLASSES[(ship % 12) as usize]]);
        let [corporation, alliance, pilot] = self.party();
        set(&mut kill, Field::VictimCorporationId, corporation);
        set(&mut kill, Field::VictimAllianceId, alliance);
        set(&mut kill, Field::VictimCharacterId, pilot);
        self.attackers(&mut kill);
        self.rest(&mut kill);
        kill
    }

    fn place(&mut self, kill: &mut Subject<'static>, system: i64) {
        kill.set(Field::SystemId, &[30_000_001 + system]);
        kill.set(Field::ConstellationId, &[20_000_001 + scattered(system, 1) % 700]);
        kill.set(Field::RegionId, &[region(system)]);
        let tenths = scattered(system, 2) % 21 - 10;
        kill.set(Field::SecurityStatus, &[security_key(tenths as f64 / 10.0)]);
        let class = match tenths {
            5.. => 2,
            1.. => 1,
            _ if scattered(system, 3) % 3 == 0 => 3,
            _ => 0,
        };
        kill.set_texts(Field::SystemClass, &[SYSTEM_CLASSES[class]]);
    }

    /// Somebody's corporation, its alliance if it has one, and a pilot of it.
    fn party(&mut self) -> [Option<i64>; 3] {
        let corporation = self.corporations.draw(&mut self.rng);
        [Some(98_000_000 + corporation), self.alliance_of(corporation), Some(self.pilot_of(corporation))]
    }

    /// Seven corporations in ten are in one; the same is always in the same.
    fn alliance_of(&self, corporation: i64) -> Option<i64> {
        let mut rng = StdRng::seed_from_u64(corporation as u64 ^ 0xa111);
        rng.random_bool(0.7).then(|| 99_000_000 + self.alliances.draw(&mut rng))
    }

    fn pilot_of(&mut self, corporation: i64) -> i64 {
        2_112_000_000 + corporation * PILOTS + self.rng.random_range(0..PILOTS)
    }

    fn attackers(&mut self, kill: &mut Subject<'static>) {
        let count = if self.rng.random_bool(0.25) { 1 } else { self.fleets.draw(&mut self.rng) + 1 };
        let fleets = self.rng.random_range(1..=4.min(count));
        let corporations: Vec<i64> = (0..fleets).map(|_| self.corporations.draw(&mut self.rng)).collect();
        let alliances: Vec<i64> =
            corporations.iter().filter_map(|corporation| self.alliance_of(*corporation)).collect();
        let of = |attacker: i64| corporations[(attacker % fleets) as usize];
        let pilots: Vec<i64> = (0..count).map(|attacker| self.pilot_of(of(attacker))).collect();
        let ships: Vec<i64> = (0..count.min(5)).map(|_| 600 + self.ships.draw(&mut self.rng)).collect();
        kill.set(Field::AttackerCorporationId, &corporations.iter().map(|of| 98_000_000 + of).collect::<Vec<_>>());
        kill.set(Field::AttackerAllianceId, &alliances);
        kill.set(Field::AttackerCharacterId, &pilots);
        kill.set(Field::AttackerShipTypeId, &ships);
        kill.set(Field::AttackerCount, &[count]);
        kill.set(Field::FinalBlowCharacterId, &pilots);
        kill.set(Field::FinalBlowCorporationId, &[98_000_000 + of(0)]);
        kill.set(Field::FinalBlowShipTypeId, &ships);
        kill.set(Field::Solo, &[i64::from(count == 1)]);
        if self.rng.random_bool(0.05) {
            kill.set(Field::AttackerFactionId, &[500_010]);
        }
    }

    fn rest(&mut self, kill: &mut Subject<'static>) {
        // About normal: the sum of twelve, each of a variance of a twelfth.
        let normal = (0..12).map(|_| self.rng.random_range(0.0..1.0)).sum::<f64>() - 6.0;
        let isk = (1e7 * (2.2 * normal).exp()).clamp(1e4, 1e11);
        let cents = (isk * 100.0) as i64;
        let destroyed = (cents as f64 * self.rng.random_range(0.3..0.9)) as i64;
        kill.set(Field::IskValue, &[cents]);
        kill.set(Field::DestroyedValue, &[destroyed]);
        kill.set(Field::DroppedValue, &[cents - destroyed]);
        let rate = |rank: usize| 0.36 * (0.02_f64 / 0.36).powf(rank as f64 / 29.0);
        let tags: Vec<&'static str> =
            (0..30).filter(|rank| self.rng.random_bool(rate(*rank))).map(|rank| TAGS[rank]).collect();
        kill.set_texts(Field::ModuleTags, &tags);
        let labels: Vec<&'static str> = LABELS.into_iter().filter(|_| self.rng.random_bool(0.3)).collect();
        kill.set_texts(Field::Labels, &labels);
        let hour = (self.rng.random_range(0..24) + self.rng.random_range(0..24)) / 2 + 6;
        kill.set(Field::Hour, &[hour % 24]);
        kill.set(Field::Weekday, &[self.rng.random_range(1..=7)]);
        kill.set(Field::Npc, &[i64::from(self.rng.random_bool(0.05))]);
        kill.set(Field::Awox, &[i64::from(self.rng.random_bool(0.01))]);
        kill.set(Field::AgeSeconds, &[self.rng.random_range(5..4_000)]);
    }

    /// The next filter.
    pub fn filter(&mut self) -> Filter {
        let is_broad = self.hot > 0.0;
        let root = match self.rng.random_range(0.0..100.0) {
            ..28.0 => self.systems_watched(),
            ..50.0 => self.somebody_watched(),
            ..60.0 => {
                let mut rules = vec![self.regions(2), self.least()];
                if self.rng.random_bool(0.5) {
                    rules.push(self.small());
                }
                and(rules)
            }
            ..70.0 => self.hunt(),
            ..78.0 => {
                let tags = self.tags();
                let other = if self.rng.random_bool(0.5) { self.regions(2) } else { self.list_of_systems(10) };
                let more = if self.rng.random_bool(0.5) { self.least() } else { self.list_of_ships(6) };
                and(vec![tags, other, more])
            }
            ..83.0 => self.dear(),
            ..85.5 => {
                let rules = vec![self.systems_watched(), self.somebody_watched()];
                if self.rng.random_bool(0.5) { or(rules) } else { or([rules, vec![self.hunt()]].concat()) }
            }
            ..87.8 => {
                // Selective all the same: what is denied is nearly everything.
                let not = |node| Node::Not(Box::new(node));
                not(or(vec![not(self.list_of_systems(10)), not(self.list_of_ships(20))]))
            }
            ..88.0 if is_broad => Node::Not(Box::new(self.list_of_systems(20))),
            _ => self.odd(0),
        };
        Filter { root }
    }

    fn systems_watched(&mut self) -> Node {
        let mut rules = vec![self.list_of_systems(20)];
        if self.rng.random_bool(0.7) {
            rules.push(self.least());
        }
        if self.rng.random_bool(0.4) {
            rules.push(flag(Field::Npc, false));
        }
        if self.rng.random_bool(0.3) {
            rules.push(self.list_of_ships(20));
        }
        if self.rng.random_bool(0.3) {
            rules.push(self.small());
        }
        and(rules)
    }

    fn somebody_watched(&mut self) -> Node {
        let (victim, attacker, list) = match self.rng.random_range(0..3) {
            0 => {
                let list = self.list(20, |this, hot| 98_000_000 + drawn(&this.corporations, &mut this.rng, hot));
                (Field::VictimCorporationId, Field::AttackerCorporationId, list)
            }
            1 => {
                let list = self.list(3, |this, hot| 99_000_000 + drawn(&this.alliances, &mut this.rng, hot));
                (Field::VictimAllianceId, Field::AttackerAllianceId, list)
            }
            _ => {
                let list = self.list(20, |this, hot| {
                    let corporation = drawn(&this.corporations, &mut this.rng, hot);
                    this.pilot_of(corporation)
                });
                (Field::VictimCharacterId, Field::AttackerCharacterId, list)
            }
        };
        let who = match self.rng.random_range(0..10) {
            0..6 => or(vec![any(victim, list.clone()), any(attacker, list)]),
            6..8 => any(victim, list),
            _ => any(attacker, list),
        };
        if self.rng.random_bool(0.35) { and(vec![who, self.least()]) } else { who }
    }

    fn hunt(&mut self) -> Node {
        let mut rules = vec![self.list_of_ships(8)];
        rules.push(if self.rng.random_bool(0.5) { self.regions(3) } else { self.list_of_systems(20) });
        if self.rng.random_bool(0.6) {
            rules.push(self.small());
        }
        and(rules)
    }

    /// Any tree of up to three levels.
    fn odd(&mut self, depth: usize) -> Node {
        if depth == 2 || self.rng.random_bool(0.2 * depth as f64) {
            return self.leaf();
        }
        let count = self.rng.random_range(2..=3);
        // A selective member, so that not every second kill matches.
        let mut rules: Vec<Node> = (1..count).map(|_| self.odd(depth + 1)).collect();
        if depth == 0 {
            rules.push(self.selective_leaf());
            return and(rules);
        }
        if self.rng.random_bool(0.5) { and(rules) } else { or(rules) }
    }

    fn selective_leaf(&mut self) -> Node {
        match self.rng.random_range(0..4) {
            0 => self.list_of_systems(20),
            1 => self.list_of_ships(3),
            2 => self.regions(2),
            _ => {
                let list = self.list(20, |this, hot| 98_000_000 + drawn(&this.corporations, &mut this.rng, hot));
                any(Field::AttackerCorporationId, list)
            }
        }
    }

    fn leaf(&mut self) -> Node {
        let leaf = match self.rng.random_range(0..8) {
            0 => self.list_of_systems(20),
            1 => self.list_of_ships(20),
            2 => self.regions(5),
            3 => self.least(),
            4 | 5 => self.small(),
            6 => self.tags(),
            _ => flag(Field::Npc, self.rng.random_bool(0.5)),
        };
        if self.rng.random_bool(0.15) { Node::Not(Box::new(leaf)) } else { leaf }
    }

    /// A test of a small number or a flag.
    fn small(&mut self) -> Node {
        match self.rng.random_range(0..5) {
            0 => flag(Field::Solo, self.rng.random_bool(0.5)),
            1 => within(Field::AttackerCount, [2, 6, 11, 4, 21][self.rng.random_range(0..5)], i64::MAX),
            2 => within(Field::AttackerCount, i64::MIN, [1, 4, 9, 14][self.rng.random_range(0..4)]),
            3 => {
                let edge = security_key([0.0, 0.1, 0.45, 0.5][self.rng.random_range(0..4)]);
                if self.rng.random_bool(0.5) {
                    within(Field::SecurityStatus, edge, i64::MAX)
                } else {
                    within(Field::SecurityStatus, i64::MIN, edge - 1)
                }
            }
            _ => {
                let first = self.rng.random_range(0..20);
                within(Field::Hour, first, first + self.rng.random_range(1..8))
            }
        }
    }

    /// More than so much ISK: seven in ten sums are round.
    fn least(&mut self) -> Node {
        let most = ROUND.len() - 4;
        let millions = match self.rng.random_bool(0.7) {
            true => ROUND[self.rng.random_range(0..most)] * MILLION,
            false => (self.rng.random_range(16.0..22.0_f64).exp() * 100.0) as i64,
        };
        within(Field::IskValue, millions + i64::from(self.rng.random_bool(0.8)), i64::MAX)
    }

    /// The same, and dear.
    fn dear(&mut self) -> Node {
        let cents = match self.rng.random_bool(0.7) {
            true => ROUND[self.rng.random_range(9..ROUND.len())] * MILLION,
            false => (self.rng.random_range(21.5..25.0_f64).exp() * 100.0) as i64,
        };
        within(Field::IskValue, cents + 1, i64::MAX)
    }

    fn tags(&mut self) -> Node {
        let count = self.rng.random_range(1..=4);
        let mut texts: Vec<Box<str>> = (0..count).map(|_| TAGS[self.rng.random_range(5..30)].into()).collect();
        texts.sort_unstable();
        texts.dedup();
        let is_all = self.rng.random_bool(0.3);
        let what = if is_all { What::AllText(texts.into()) } else { What::AnyText(texts.into()) };
        Node::Test(Test { field: Field::ModuleTags, is_negated: false, what })
    }

    fn regions(&mut self, most: i64) -> Node {
        let regions = self.list(most, |this, hot| region(drawn(&this.systems, &mut this.rng, hot)));
        any(Field::RegionId, regions)
    }

    fn list_of_systems(&mut self, most: i64) -> Node {
        any(Field::SystemId, self.list(most, |this, hot| 30_000_001 + drawn(&this.systems, &mut this.rng, hot)))
    }

    fn list_of_ships(&mut self, most: i64) -> Node {
        any(Field::ShipTypeId, self.list(most, |this, hot| 600 + drawn(&this.ships, &mut this.rng, hot)))
    }

    fn list(&mut self, most: i64, draw: impl Fn(&mut Self, bool) -> i64) -> Vec<i64> {
        let count = self.rng.random_range(1..=most);
        (0..count)
            .map(|_| self.rng.random_bool(self.hot))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|hot| draw(self, hot))
            .collect()
    }
}

fn drawn(zipf: &Zipf, rng: &mut StdRng, hot: bool) -> i64 {
    if hot { zipf.draw(rng) } else { zipf.any(rng) }
}

fn set(kill: &mut Subject<'static>, field: Field, value: Option<i64>) {
    kill.set(field, value.as_slice());
}

fn region(system: i64) -> i64 {
    10_000_001 + scattered(system, 4) % 100
}

/// A number that is always the same for a system.
fn scattered(system: i64, salt: i64) -> i64 {
    ((system + salt * 7_919).wrapping_mul(0x09e3_779b_97f4_a7c1) >> 20).rem_euclid(1 << 30)
}

fn and(mut rules: Vec<Node>) -> Node {
    match (rules.len(), rules.pop()) {
        (1, Some(only)) => only,
        (_, last) => Node::And(rules.into_iter().chain(last).collect()),
    }
}

fn or(rules: Vec<Node>) -> Node {
    Node::Or(rules.into())
}

fn any(field: Field, mut values: Vec<i64>) -> Node {
    values.sort_unstable();
    values.dedup();
    Node::Test(Test { field, is_negated: false, what: What::AnyOf(values.into()) })
}

fn within(field: Field, least: i64, most: i64) -> Node {
    Node::Test(Test { field, is_negated: false, what: What::Within(Span { least, most }) })
}

fn flag(field: Field, value: bool) -> Node {
    any(field, vec![i64::from(value)])
}
