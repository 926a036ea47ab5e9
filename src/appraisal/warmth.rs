//! What was kept by an earlier run, read once, at the first question.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::Inner;
use crate::price::Source;
use crate::store::{Error, Store};

/// Janice's quotes of this long ago tell what it has ever priced.
const EVER: SignedDuration = SignedDuration::from_hours(48);
/// How long ESI's list holds, by what it says.
const LIST_HOLDS: Duration = Duration::from_secs(3600);
/// After a failure.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Warmth {
    store: Arc<dyn Store>,
    is_warm: AtomicBool,
    /// Not before then.
    again_at: Mutex<Option<Instant>>,
}

impl Warmth {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, is_warm: AtomicBool::new(false), again_at: Mutex::default() }
    }

    /// Reads what was kept, unless that was done; with the first who asks, everybody waits, none beyond its deadline.
    pub(super) async fn warm(&self, inner: &Inner, deadline: Instant) {
        if self.is_warm.load(Ordering::Acquire) {
            return;
        }
        let Ok(mut again_at) = timeout_at(deadline, self.again_at.lock()).await else { return };
        if self.is_warm.load(Ordering::Acquire) || again_at.is_some_and(|again_at| Instant::now() < again_at) {
            return;
        }
        match timeout_at(deadline, self.read(inner)).await {
            Ok(Ok(())) => self.is_warm.store(true, Ordering::Release),
            Ok(Err(error)) => {
                tracing::debug!(%error, "prices of before cannot be read yet");
                *again_at = Some(Instant::now() + AGAIN_AFTER);
            }
            Err(_) => *again_at = Some(Instant::now() + AGAIN_AFTER),
        }
    }

    async fn read(&self, inner: &Inner) -> Result<(), Error> {
        let now = Timestamp::now();
        let since = |age: Duration| now - SignedDuration::try_from(age).unwrap_or(EVER);
        let (janice, mutamarket) = (&inner.settings.janice, &inner.settings.mutamarket);
        if inner.bulk.is_some() {
            let quotes =
                self.store.quotes_since(Source::Janice, janice.market, since(janice.ttl.0).min(now - EVER)).await?;
            inner.board.put(&quotes);
        }
        if inner.abyssal.is_some() {
            let quotes = self.store.quotes_since(Source::Mutamarket, 0, since(mutamarket.ttl.0)).await?;
            inner.board.put(&quotes);
        }
        if let Some(averages) = &inner.averages {
            let quotes = self.store.quotes_since(Source::Esi, 0, since(LIST_HOLDS)).await?;
            if let Some(newest) = quotes.last() {
                let age = Duration::try_from(now.duration_since(newest.fetched_at)).unwrap_or_default();
                averages.seed(&quotes, LIST_HOLDS.saturating_sub(age));
            }
        }
        Ok(())
    }
}
