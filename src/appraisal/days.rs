//! What types cost on days that are over, by what was kept of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::civil::Date;
use tokio::time::Instant;

use crate::killmail::TypeId;
use crate::market::Cents;
use crate::price::Source;
use crate::store::{Error, Store};

/// Days in memory at most …
const DAYS_MAX: usize = 64;
/// … and their prices.
const PRICES_MAX: usize = 400_000;

/// A day's prices, each by the first of its sources.
pub(super) type Day = HashMap<TypeId, (Source, Cents)>;

/// See the module.
#[derive(Debug)]
pub(super) struct Days {
    store: Arc<dyn Store>,
    /// Who is asked, the last first.
    sides: Vec<(Source, i64)>,
    kept: Mutex<HashMap<Date, (Arc<Day>, Instant)>>,
    /// One day is read at a time.
    reading: tokio::sync::Mutex<()>,
}

impl Days {
    /// `sides`: sources with their markets, the first to be asked first.
    pub(super) fn new(store: Arc<dyn Store>, mut sides: Vec<(Source, i64)>) -> Self {
        sides.reverse();
        Self { store, sides, kept: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// What is in memory of a day.
    pub(super) fn known(&self, day: Date) -> Option<Arc<Day>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (prices, used) = kept.get_mut(&day)?;
        *used = Instant::now();
        Some(prices.clone())
    }

    /// A day's prices, from the store when they are not in memory. A day of which nothing was kept is remembered too.
    pub(super) async fn of(&self, day: Date) -> Result<Arc<Day>, Error> {
        let _turn = self.reading.lock().await;
        if let Some(known) = self.known(day) {
            return Ok(known);
        }
        let mut prices = Day::new();
        for (source, market) in &self.sides {
            let quotes = self.store.quotes_of(*source, *market, day).await?;
            prices.extend(quotes.iter().map(|quote| (quote.type_id, (*source, quote.price))));
        }
        let prices = Arc::new(prices);
        self.keep(day, prices.clone());
        Ok(prices)
    }

    /// In the place of those that were not used for longest.
    fn keep(&self, day: Date, prices: Arc<Day>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let held = |kept: &HashMap<Date, (Arc<Day>, Instant)>| kept.values().map(|(day, _)| day.len()).sum::<usize>();
        while kept.len() >= DAYS_MAX || (!kept.is_empty() && held(&kept) + prices.len() > PRICES_MAX) {
            let oldest = kept.iter().min_by_key(|(_, (_, used))| *used).map(|(day, _)| *day);
            oldest.and_then(|oldest| kept.remove(&oldest));
        }
        kept.insert(day, (prices, Instant::now()));
    }
}
