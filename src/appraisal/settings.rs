//! Whom to ask for prices, as it is written in a pipeline file.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::clients::janice::{Choice, JITA, Pricing, Variant};
use crate::duration::Span;
use crate::killmail::RegionId;
use crate::market::{Cents, Price};

/// Whom to ask, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How long types wait for each other, to be asked for together.
    pub gather: Span,
    /// A call that has been under way for longer is not waited for.
    pub patience: Span,
    pub janice: Janice,
    pub mutamarket: Mutamarket,
    pub market: Market,
    /// ESI's base address, for its averages; empty: it is not asked.
    pub esi: String,
}

/// A key: never shown.
#[derive(Clone, PartialEq, Eq, Hash, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// To send it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.trim()
    }
}

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self(key.to_owned())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.reveal().is_empty() { "none" } else { "…" })
    }
}

/// Janice, the first to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Janice {
    /// Its base address.
    pub url: String,
    /// Its key; empty: Janice is not asked. Kept out of the file: `"${JANICE_API_KEY:-}"`.
    pub key: Key,
    /// Whose prices: 2 is Jita 4-4, 115 is Amarr. As with the next two, another choice shows once what was known has grown old.
    pub market: i64,
    /// `buy`, `split` or `sell`.
    pub pricing: Pricing,
    /// `immediate`: the best order's; `top5percent`: the average of the best 5 % of the units.
    pub variant: Variant,
    /// How long a price is as good as new.
    pub ttl: Span,
}

impl Default for Janice {
    fn default() -> Self {
        Self {
            url: "https://janice.e-351.com/api/rest/v2".to_owned(),
            key: Key::default(),
            market: JITA,
            pricing: Pricing::default(),
            variant: Variant::default(),
            ttl: Span::from_secs(3600),
        }
    }
}

impl Janice {
    /// Whether it is to be asked.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.key.reveal().is_empty() && !self.url.trim().is_empty()
    }

    pub(super) fn choice(&self) -> Choice {
        Choice { market: self.market, pricing: self.pricing, variant: self.variant }
    }
}

/// MutaMarket, for abyssal modules.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mutamarket {
    /// Its base address; empty: it is not asked.
    pub url: String,
    /// How long a median is as good as new.
    pub ttl: Span,
    /// Modules with an estimate that a median needs.
    pub least: usize,
}

impl Default for Mutamarket {
    fn default() -> Self {
        Self { url: "https://mutamarket.com/api".to_owned(), ttl: Span::from_secs(6 * 3600), least: 3 }
    }
}

/// Our own table of market prices, as the market pipeline keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Market {
    /// The region whose prices count, if it was swept within a day: 10000002 is The Forge.
    pub region: i64,
    /// The column of `market_prices`.
    pub price: Figure,
}

impl Default for Market {
    fn default() -> Self {
        Self { region: 10_000_002, price: Figure::default() }
    }
}

impl Market {
    pub(super) fn region(&self) -> Option<RegionId> {
        RegionId::new(self.region)
    }
}

/// Which figure of a type in a region counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    BestBid,
    BestAsk,
    BidAverage,
    AskAverage,
    BidPercentile,
    /// The average of the cheapest 5 % of the units for sale.
    #[default]
    AskPercentile,
}

impl Figure {
    pub(super) fn of(self, price: &Price) -> Option<Cents> {
        let cents = match self {
            Self::BestBid => price.bid?.best,
            Self::BestAsk => price.ask?.best,
            Self::BidAverage => price.bid?.average,
            Self::AskAverage => price.ask?.average,
            Self::BidPercentile => price.bid?.percentile,
            Self::AskPercentile => price.ask?.percentile,
        };
        Some(cents).filter(|cents| cents.0 > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let janice: Janice = serde_json::from_str(r#"{"key":" top-secret ","market":115}"#).expect("settings");
        assert_eq!((janice.key.reveal(), janice.is_wanted()), ("top-secret", true));
        assert!(!format!("{janice:?}").contains("secret"));
        assert!(!Janice::default().is_wanted());
    }
}
