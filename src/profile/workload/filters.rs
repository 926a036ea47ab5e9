//! Made-up filters.

use rand::RngExt;
use rand::rngs::StdRng;

use super::{TAGS, Workload, Zipf, region};
use crate::profile::decimal::security_key;
use crate::profile::field::Field;
use crate::profile::filter::{Filter, Node, Span, Test, What};

/// What people type, in millions of ISK.
const ROUND: [i64; 16] =
    [50, 100, 150, 200, 250, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000];
const MILLION: i64 = 100_000_000;

impl Workload {
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
