//! What a store keeps of prices.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Error;
use crate::killmail::TypeId;
use crate::market::Cents;
use crate::price::{Quote, Source};

/// Quotes in the store: the last of each UTC day, by source, market and type. Times are stored to the millisecond at least.
#[async_trait]
pub trait Quotes {
    /// Stores quotes in one transaction. Of a type, source, market and day only the newest stays; of those of one time, the last.
    ///
    /// Safe to repeat, and with other workers at the same time.
    async fn store_quotes(&self, quotes: &[Quote]) -> Result<(), Error>;
    /// What a source said of a market since then, oldest first: of a type up to one a day.
    async fn quotes_since(&self, source: Source, market: i64, since: Timestamp) -> Result<Vec<Quote>, Error>;
    /// What a source said of a market on a day, ascending by type.
    async fn quotes_of(&self, source: Source, market: i64, day: Date) -> Result<Vec<Quote>, Error>;
    /// Deletes up to `limit` quotes of days before this one; answers how many. No other day's are read for it.
    async fn forget_quotes(&self, before: Date, limit: u32) -> Result<u64, Error>;
}

/// A row's key, in the order of the table's.
pub(super) type Key = (Source, i64, Date, TypeId);

/// The UTC day of a time.
pub(super) fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// One of each key, the newest, in the order of the keys: everybody writes them in one order, so nobody waits in a circle.
pub(super) fn newest(quotes: &[Quote]) -> BTreeMap<Key, &Quote> {
    let mut newest: BTreeMap<Key, &Quote> = BTreeMap::new();
    for quote in quotes {
        let kept = newest.entry((quote.source, quote.market, day(quote.fetched_at), quote.type_id)).or_insert(quote);
        if kept.fetched_at <= quote.fetched_at {
            *kept = quote;
        }
    }
    newest
}

/// From a row; `None`: the id is none.
pub(super) fn quote(source: Source, market: i64, type_id: i64, price: i64, fetched_at: Timestamp) -> Option<Quote> {
    Some(Quote { type_id: TypeId::new(type_id)?, source, market, price: Cents(price), fetched_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_key_the_newest_stays_and_of_one_time_the_last() {
        let quote = |price: i64, time: &str| Quote {
            type_id: TypeId::new(34).expect("an id"),
            source: Source::Janice,
            market: 2,
            price: Cents(price),
            fetched_at: time.parse().expect("a time"),
        };
        let quotes = [
            quote(1, "2026-03-01T23:59:59Z"),
            quote(2, "2026-03-01T10:00:00Z"),
            quote(3, "2026-03-02T00:00:00Z"),
            quote(4, "2026-03-02T00:00:00Z"),
        ];
        let kept: Vec<i64> = newest(&quotes).values().map(|quote| quote.price.0).collect();
        assert_eq!(kept, [1, 4]);
    }
}
