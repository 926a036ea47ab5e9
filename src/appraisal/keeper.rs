//! Stores what was fetched, in batches, aside: nobody waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;

use super::tasks::Tasks;
use crate::price::Quote;
use crate::store::Store;

/// Quotes that wait at most: what does not fit is not stored.
const WAITING_MAX: usize = 100_000;
/// Quotes a call.
const AT_ONCE: usize = 2_000;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Keeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None`: nothing is stored.
    store: Option<Arc<dyn Store>>,
    waiting: Mutex<Waiting>,
    tasks: Tasks,
}

#[derive(Debug, Default)]
struct Waiting {
    quotes: Vec<Quote>,
    is_at_work: bool,
}

impl Keeper {
    pub(super) fn new(store: Option<Arc<dyn Store>>) -> Self {
        Self(Arc::new(Inner { store, waiting: Mutex::default(), tasks: Tasks::default() }))
    }

    /// Stores these soon; when the store is away they are dropped, and counted.
    pub(super) fn keep(&self, quotes: &[Quote]) {
        if quotes.is_empty() || self.0.store.is_none() {
            return;
        }
        let is_at_work = {
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let room = WAITING_MAX.saturating_sub(waiting.quotes.len()).min(quotes.len());
            waiting.quotes.extend_from_slice(&quotes[..room]);
            dropped(quotes.len() - room);
            std::mem::replace(&mut waiting.is_at_work, true)
        };
        if !is_at_work {
            let keeper = self.clone();
            if !self.0.tasks.spawn(async move { keeper.work().await }) {
                self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_at_work = false;
            }
        }
    }

    async fn work(&self) {
        loop {
            let quotes = {
                let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let rest = waiting.quotes.len().saturating_sub(AT_ONCE);
                let quotes = waiting.quotes.split_off(rest);
                waiting.is_at_work = !quotes.is_empty();
                quotes
            };
            let Some(store) = self.0.store.as_ref().filter(|_| !quotes.is_empty()) else { return };
            if let Err(error) = store.store_quotes(&quotes).await {
                tracing::debug!(%error, quotes = quotes.len(), "prices are not kept");
                dropped(quotes.len());
            }
        }
    }
}

fn dropped(count: usize) {
    if count > 0 {
        counter!("broadside_quotes_dropped_total").increment(count as u64);
    }
}
