//! Made-up kills.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{TAGS, Workload, region, scattered};
use crate::profile::decimal::security_key;
use crate::profile::field::Field;
use crate::profile::subject::Subject;

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

impl Workload {
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
}

fn set(kill: &mut Subject<'static>, field: Field, value: Option<i64>) {
    kill.set(field, value.as_slice());
}
