//! One order.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;

/// ISK in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Cents(pub i64);

impl fmt::Display for Cents {
    /// `-12.05`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

/// An order to buy or to sell, as ESI has it. Two are equal when nothing that ESI tells of them differs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Order {
    /// Unique in the whole game; stays when the owner changes the price.
    pub order_id: i64,
    pub type_id: i64,
    /// A station, or a structure above 10¹².
    pub location_id: i64,
    pub system_id: i64,
    /// Units when it was placed.
    pub volume_total: i64,
    /// Units left.
    pub volume_remain: i64,
    /// Units that one trade takes at least.
    pub min_volume: i64,
    /// Of one unit.
    pub price: Cents,
    pub is_buy_order: bool,
    /// Days from `issued` until it ends by itself.
    pub duration: i32,
    /// When it was placed, or its price last changed.
    pub issued: Timestamp,
    /// How far from its place a buy order takes goods.
    pub range: Range,
}

impl Order {
    /// A number that differs when anything of the order does (but for once in 2⁶⁴).
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// How far an order reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Range {
    Station,
    SolarSystem,
    Region,
    /// So many jumps.
    Jumps(u8),
}

impl Range {
    /// From ESI's word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "station" => Some(Self::Station),
            "solarsystem" => Some(Self::SolarSystem),
            "region" => Some(Self::Region),
            // Nothing but digits: a sign would not come back as it was.
            jumps if jumps.bytes().all(|byte| byte.is_ascii_digit()) && !jumps.starts_with('0') => {
                jumps.parse().ok().map(Self::Jumps)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Station => f.write_str("station"),
            Self::SolarSystem => f.write_str("solarsystem"),
            Self::Region => f.write_str("region"),
            Self::Jumps(jumps) => jumps.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_comes_back_as_it_was() {
        for text in ["station", "region", "solarsystem", "1", "2", "3", "4", "5", "10", "20", "30", "40"] {
            assert_eq!(Range::parse(text).expect(text).to_string(), text);
        }
        for text in ["", "0", "01", "+1", "-1", "256", "Region", "1 "] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }

    #[test]
    fn cents_are_shown_as_isk() {
        for (cents, text) in [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (123_456, "1234.56")] {
            assert_eq!(Cents(cents).to_string(), text);
        }
    }
}
