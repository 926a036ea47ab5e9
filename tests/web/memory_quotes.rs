//! [`Quotes`] in memory, by the rules that every store keeps.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use broadside::killmail::TypeId;
use broadside::price::{Quote, Source};
use broadside::store::{Error, Quotes};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::MemoryStore;

/// Rows of `prices`, by their key.
pub(super) type Prices = BTreeMap<(Source, i64, Date, TypeId), Quote>;

#[allow(dead_code, reason = "each of those that share this file uses its own part")]
impl MemoryStore {
    /// All rows of `prices`.
    pub(crate) fn quotes(&self) -> Vec<Quote> {
        self.prices.lock().expect("no panic while held").values().copied().collect()
    }
}

#[async_trait]
impl Quotes for MemoryStore {
    async fn store_quotes(&self, quotes: &[Quote]) -> Result<(), Error> {
        self.answer(())?;
        let mut prices = self.prices.lock().expect("no panic while held");
        for quote in quotes {
            let day = quote.fetched_at.to_zoned(TimeZone::UTC).date();
            let kept = prices.entry((quote.source, quote.market, day, quote.type_id)).or_insert(*quote);
            if kept.fetched_at <= quote.fetched_at {
                *kept = *quote;
            }
        }
        Ok(())
    }

    async fn quotes_since(&self, source: Source, market: i64, since: Timestamp) -> Result<Vec<Quote>, Error> {
        let is_meant = |quote: &Quote| (quote.source, quote.market) == (source, market) && quote.fetched_at >= since;
        let mut quotes: Vec<Quote> = self.quotes().into_iter().filter(is_meant).collect();
        quotes.sort_by_key(|quote| (quote.fetched_at, quote.type_id));
        self.answer(quotes)
    }

    async fn quotes_of(&self, source: Source, market: i64, day: Date) -> Result<Vec<Quote>, Error> {
        let prices = self.prices.lock().expect("no panic while held");
        let is_meant = |key: &(Source, i64, Date, TypeId)| (key.0, key.1, key.2) == (source, market, day);
        self.answer(prices.iter().filter(|(key, _)| is_meant(key)).map(|(_, quote)| *quote).collect())
    }

    async fn forget_quotes(&self, before: Date, limit: u32) -> Result<u64, Error> {
        self.answer(())?;
        let mut prices = self.prices.lock().expect("no panic while held");
        let old: BTreeSet<_> = prices.keys().filter(|key| key.2 < before).take(limit as usize).copied().collect();
        prices.retain(|key, _| !old.contains(key));
        Ok(old.len() as u64)
    }
}
