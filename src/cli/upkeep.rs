//! What a worker sees to on the side: the tables of this month and of the next ones are there before their first kill.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use crate::store::{Month, Store};

const EVERY: Duration = Duration::from_secs(3600);
/// How many months ahead of this one.
pub(super) const AHEAD: u16 = 2;

/// This month, and the one that is so many ahead.
pub(super) fn months(ahead: u16) -> (Month, Month) {
    let now = Month::of(Timestamp::now());
    (now, now.plus(ahead.into()))
}

/// Makes partitions at once and then every hour, until it is dropped. Kills whose month is missing all the same get it when they are
/// stored, so a failure here is not grave: the next round sees to it.
pub(super) async fn keep_partitions(store: Arc<dyn Store>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let (first, last) = months(AHEAD);
        match store.ensure_partitions(first, last).await {
            Ok(made) if made.is_empty() => {}
            Ok(made) => tracing::info!(partitions = made.join(", "), "made partitions ahead"),
            Err(error) => tracing::warn!(%error, "failed to make partitions ahead: the next try is in an hour"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_store::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn this_month_and_two_ahead_are_made_at_start_and_every_hour_whatever_went_wrong() {
        let store = Arc::new(MemoryStore::default());
        let upkeep = tokio::spawn(keep_partitions(store.clone()));
        let after = |time: u64| tokio::time::sleep(Duration::from_secs(time));
        after(1).await;
        assert_eq!(store.ensured(), [months(2)]);
        store.set_away(true);
        after(3600).await;
        assert_eq!(store.ensured().len(), 1, "it was away");
        store.set_away(false);
        after(3600).await;
        assert_eq!(store.ensured().len(), 2);
        upkeep.abort();
    }
}
