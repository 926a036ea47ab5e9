//! Made-up orders.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::second;
use crate::market::{Cents, Order, Range};

/// Types, and about what one of them costs in ISK: minerals, ammunition, modules, hulls.
const TYPES: &[(i64, f64)] = &[
    (34, 5.0),
    (35, 12.0),
    (36, 75.0),
    (37, 180.0),
    (38, 850.0),
    (39, 1_400.0),
    (40, 2_600.0),
    (192, 20.0),
    (209, 900.0),
    (438, 1_000_000.0),
    (448, 900_000.0),
    (519, 700_000.0),
    (527, 1_200_000.0),
    (587, 450_000.0),
    (593, 500_000.0),
    (602, 480_000.0),
    (621, 11_000_000.0),
    (638, 190_000_000.0),
    (645, 210_000_000.0),
    (2_048, 800_000.0),
    (2_281, 1_500_000.0),
    (2_488, 600_000.0),
    (3_831, 1_100_000.0),
    (11_371, 26_000_000.0),
    (16_273, 700.0),
    (17_715, 240_000_000.0),
    (22_428, 1_100_000_000.0),
    (24_690, 240_000_000.0),
    (28_668, 90_000.0),
    (33_470, 65_000_000.0),
    (41_490, 30_000.0),
    (44_992, 5_200_000.0),
];
const RANGES: [Range; 7] = [
    Range::Station,
    Range::SolarSystem,
    Range::Region,
    Range::Jumps(1),
    Range::Jumps(5),
    Range::Jumps(10),
    Range::Jumps(40),
];
const DURATIONS: [i32; 7] = [1, 3, 7, 14, 30, 90, 90];

/// Draws the orders of a region.
#[derive(Debug)]
pub(super) struct Draw {
    station: i64,
    system: i64,
    last_id: i64,
}

impl Draw {
    /// Ids go up from there.
    pub(super) fn new(region: i64, last_id: i64) -> Self {
        let (station, system) = match region {
            10_000_002 => (60_003_760, 30_000_142),
            10_000_030 => (60_004_588, 30_002_510),
            10_000_032 => (60_011_866, 30_002_659),
            10_000_042 => (60_005_686, 30_002_053),
            10_000_043 => (60_008_494, 30_002_187),
            other => (60_000_000 + other % 10_000, 30_000_000 + other % 5_000),
        };
        Self { station, system, last_id }
    }

    /// A new order.
    pub(super) fn order(&mut self, random: &mut StdRng, issued: i64) -> Order {
        self.last_id += random.random_range(1..40);
        let (type_id, worth) = *TYPES.choose(random).unwrap_or(&TYPES[0]);
        let is_buy_order = random.random_bool(0.38);
        let factor = if is_buy_order { random.random_range(0.7..0.98) } else { random.random_range(1.0..1.35) };
        let magnitude = random.random_range(0.0..if worth < 10_000.0 { 6.5 } else { 2.0 });
        let volume_total = 10_f64.powf(magnitude) as i64;
        let in_structure = random.random_bool(0.15);
        let place = if in_structure { 1_020_000_000_000 + self.system * 7 } else { self.station };
        Order {
            order_id: self.last_id,
            type_id,
            location_id: place,
            system_id: self.system,
            volume_total,
            volume_remain: random.random_range(1..=volume_total),
            min_volume: 1,
            price: tick(worth * factor * 100.0),
            is_buy_order,
            duration: if random.random_bool(0.03) { 365 } else { *DURATIONS.choose(random).unwrap_or(&90) },
            issued: second(issued),
            range: if is_buy_order { *RANGES.choose(random).unwrap_or(&Range::Region) } else { Range::Region },
        }
    }
}

/// Prices have four digits that count, and are never nothing.
pub(super) fn tick(cents: f64) -> Cents {
    let digits = cents.max(1.0).log10().floor() as i32 - 3;
    let step = 10_f64.powi(digits.max(0));
    Cents(((cents / step).round() * step).max(1.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_has_four_digits_that_count() {
        for (cents, expected) in [(123_456.0, 123_500), (99.4, 99), (0.2, 1), (1_234.6, 1_235), (9_999.9, 10_000)] {
            assert_eq!(tick(cents), Cents(expected), "{cents}");
        }
    }
}
