//! How often values occur in kills: what the index chooses its keys by. Estimates, in a table of fixed size, counted by all workers without a lock.

use std::sync::atomic::{AtomicU32, Ordering};

use super::cells;
use crate::profile::field::{Field, Kind};
use crate::profile::subject::Subject;

/// Counters in each of two rows: a value's count is the lesser of its two, which others may have raised.
const ROW: usize = 1 << 15;
/// After so many kills all counts are halved, so that what is old fades.
const HALVED_AT: u32 = 1 << 20;
/// As many kills are made up to begin with.
const PRIOR_KILLS: f32 = 50.0;

/// How often values occurred.
#[derive(Debug)]
pub struct Statistics {
    rows: Box<[AtomicU32]>,
    kills: AtomicU32,
}

impl Default for Statistics {
    fn default() -> Self {
        Self { rows: (0..2 * ROW).map(|_| AtomicU32::new(0)).collect(), kills: AtomicU32::new(0) }
    }
}

impl Statistics {
    /// Counts the values of a kill.
    pub fn observe(&self, subject: &Subject<'_>) {
        for field in Field::ALL {
            if field.kind() == Kind::Text {
                subject.texts(field).iter().for_each(|word| self.count(key(field, text(word))));
                continue;
            }
            for value in subject.values(field) {
                match cells::is_banded(field) {
                    true => self.count(cell_key(field, cells::cell(field, *value))),
                    false => self.count(key(field, *value)),
                }
            }
        }
        if self.kills.fetch_add(1, Ordering::Relaxed) == HALVED_AT {
            self.rows.iter().for_each(|count| count.store(count.load(Ordering::Relaxed) / 2, Ordering::Relaxed));
            self.kills.store(HALVED_AT / 2, Ordering::Relaxed);
        }
    }

    /// Kills counted.
    #[must_use]
    pub fn kills(&self) -> u32 {
        self.kills.load(Ordering::Relaxed)
    }

    /// How many of a kill's values are this one, on average; a word is [`text`] of it.
    pub(super) fn share(&self, field: Field, value: i64) -> f32 {
        self.estimate(key(field, value), prior(field))
    }

    /// The same of the values of a cell of a banded field.
    pub(super) fn cell_share(&self, field: Field, cell: u32) -> f32 {
        self.estimate(cell_key(field, cell), 1.0 / cells::absent(field) as f32)
    }

    /// How many kills have at least this value of a banded field.
    pub(super) fn at_least(&self, field: Field, least: i64) -> f32 {
        let from = cells::lowest(field, least);
        let above: f32 = (from + 1..cells::absent(field)).map(|cell| self.cell_share(field, cell)).sum();
        let (low, high) = cells::bounds(field, from);
        let width = (high.max(2) as f32).ln() - (low.max(1) as f32).ln();
        let part = ((high.max(2) as f32).ln() - (least.max(1) as f32).ln()) / width;
        above + self.cell_share(field, from) * part.clamp(0.0, 1.0)
    }

    fn estimate(&self, key: u64, prior: f32) -> f32 {
        let [first, second] = places(key).map(|place| self.rows[place].load(Ordering::Relaxed));
        (first.min(second) as f32 + prior * PRIOR_KILLS) / (self.kills() as f32 + PRIOR_KILLS)
    }

    fn count(&self, key: u64) {
        for place in places(key) {
            self.rows[place].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A word as a number.
pub(super) fn text(word: &str) -> i64 {
    let hash = word
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash >> 8) as i64
}

const fn key(field: Field, value: i64) -> u64 {
    (value as u64).wrapping_mul(64).wrapping_add(field as u64)
}

const fn cell_key(field: Field, cell: u32) -> u64 {
    key(field, i64::MIN / 64 + cell as i64)
}

fn places(key: u64) -> [usize; 2] {
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (key >> 32).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    [(hash >> 49) as usize, ROW + ((hash >> 17) as usize & (ROW - 1))]
}

/// What to think of a value that was not seen yet.
pub(super) const fn prior(field: Field) -> f32 {
    match field {
        Field::SystemId => 3e-4,
        Field::ConstellationId => 2e-3,
        Field::RegionId => 1e-2,
        Field::SystemClass => 0.2,
        Field::ModuleTags | Field::Labels => 0.1,
        Field::ShipTypeId | Field::FinalBlowShipTypeId | Field::FinalBlowWeaponTypeId => 5e-3,
        Field::ShipGroupId => 2e-2,
        Field::ShipClass => 6e-2,
        Field::VictimCharacterId | Field::FinalBlowCharacterId => 2e-6,
        Field::AttackerCharacterId => 2e-5,
        Field::VictimCorporationId | Field::FinalBlowCorporationId => 2e-4,
        Field::AttackerCorporationId => 1e-3,
        Field::VictimAllianceId | Field::FinalBlowAllianceId => 1e-3,
        Field::AttackerAllianceId => 4e-3,
        Field::VictimFactionId | Field::AttackerFactionId | Field::FinalBlowFactionId => 1e-2,
        Field::AttackerShipTypeId | Field::AttackerWeaponTypeId => 2e-2,
        Field::Npc | Field::Solo => 0.2,
        Field::Awox => 0.02,
        Field::Hour => 4e-2,
        Field::Weekday => 0.14,
        Field::SecurityStatus
        | Field::IskValue
        | Field::DestroyedValue
        | Field::DroppedValue
        | Field::AttackerCount
        | Field::AgeSeconds => 1e-3,
    }
}
