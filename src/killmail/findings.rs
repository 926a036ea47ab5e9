//! What the stages find out about a kill: what it is (`tag`) and what it is worth (`price`). Stored beside it, never in it.

use std::borrow::Cow;
use std::sync::Arc;

/// What `tag` found. What could not be told, because static data lacks it, is absent; `is_whole` says whether that is so of anything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tagged {
    /// Of everything fitted: each once, sorted.
    pub module_tags: Vec<Arc<str>>,
    /// Of the victim's ship: `frigate`, `capsule`, …
    pub ship_class: Option<Arc<str>>,
    /// Of the victim's ship.
    pub ship_group_id: Option<i64>,
    /// `highsec`, `lowsec`, `nullsec`, `wspace`, `pochven`, `abyssal`, `drifter`.
    pub system_class: Option<&'static str>,
    pub constellation_id: Option<i64>,
    pub region_id: Option<i64>,
    pub security_status: Option<f64>,
    pub npc: bool,
    pub solo: Option<bool>,
    pub awox: Option<bool>,
    pub points: Option<i64>,
    /// zKillboard's, but for those of the value ([`value_label`]): each once, sorted.
    pub labels: Vec<Cow<'static, str>>,
    /// By position: 0 is the victim.
    pub measures: Vec<Measures>,
    /// Nothing was missing that could be known.
    pub is_whole: bool,
}

/// What a participant gave and took, as `tags::measures` defines it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measures {
    /// Kilograms.
    pub mass_balance: Option<f64>,
    /// 1: as much as expected.
    pub usefulness: Option<f64>,
}

/// What `price` found. Money in ISK cents, exact; `None`: more than can be written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Worth {
    /// Destroyed and dropped.
    pub total: Option<i64>,
    /// Hull and items that were destroyed.
    pub destroyed: Option<i64>,
    pub dropped: Option<i64>,
    /// Hull and what lay directly in a fitting slot, destroyed or dropped.
    pub fitted: Option<i64>,
    /// Where the prices come from, as stored in `price_source`.
    pub source: String,
}

/// What labels of the value begin with.
pub const VALUE_LABELS: &str = "isk:";

/// zKillboard's label of a kill's total value, which is in ISK cents: the greatest band that it reaches, none under a billion.
#[must_use]
pub fn value_label(total: i64) -> Option<&'static str> {
    const BILLION: i64 = 100_000_000_000;
    const BANDS: [(i64, &str); 5] = [
        (1000 * BILLION, "isk:1t+"),
        (100 * BILLION, "isk:100b+"),
        (10 * BILLION, "isk:10b+"),
        (5 * BILLION, "isk:5b+"),
        (BILLION, "isk:1b+"),
    ];
    BANDS.iter().find(|(least, _)| total >= *least).map(|(_, label)| *label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_label_of_the_greatest_band_that_it_reaches() {
        let of = |isk: i64| value_label(isk * 100);
        assert_eq!(value_label(99_999_999_999), None);
        assert_eq!(of(1_000_000_000), Some("isk:1b+"));
        assert_eq!(of(6_000_000_000), Some("isk:5b+"));
        assert_eq!(of(99_999_999_999), Some("isk:10b+"));
        assert_eq!(of(100_000_000_000), Some("isk:100b+"));
        assert_eq!(of(2_000_000_000_000), Some("isk:1t+"));
    }
}
