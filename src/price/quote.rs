//! A price, and who said so.

use jiff::Timestamp;

use crate::killmail::TypeId;
use crate::market::Cents;

/// Who says what something costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Janice, an appraisal service.
    Janice,
    /// MutaMarket, which lists abyssal modules.
    Mutamarket,
    /// Our own table of market prices.
    Market,
    /// ESI's averages.
    Esi,
    /// The static data's base price.
    Base,
}

impl Source {
    /// All of them, in the order of their names' places in tables.
    pub const ALL: [Self; 5] = [Self::Janice, Self::Mutamarket, Self::Market, Self::Esi, Self::Base];

    /// The word used in tables, metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Janice => "janice",
            Self::Mutamarket => "mutamarket",
            Self::Market => "market",
            Self::Esi => "esi",
            Self::Base => "base",
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }
}

/// What one unit of a type cost at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    pub type_id: TypeId,
    pub source: Source,
    /// Janice's market or our region; 0 where there is only one.
    pub market: i64,
    /// To the nearest cent, halves up; above 0.
    pub price: Cents,
    pub fetched_at: Timestamp,
}
