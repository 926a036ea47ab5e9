//! What a worker sees to on the side: the tables of this month and of the next ones are there before their first kill, and prices of days that are long over go.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;

use crate::definition::Definition;
use crate::stages;
use crate::store::{Error, Month, Store};

const EVERY: Duration = Duration::from_secs(3600);
/// How many months ahead of this one.
pub(super) const AHEAD: u16 = 2;
/// Prices that are deleted in one go …
const FORGOTTEN_AT_ONCE: u32 = 2_000;
/// … and how long everybody else has the database to themselves after it.
const BREATH: Duration = Duration::from_millis(100);
/// Prices of these days are asked for at every start.
const KEPT_LEAST: Duration = Duration::from_hours(48);

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

/// How long prices are kept: as long as that stage `price` says that keeps them longest. `None`: there is none, so nobody here knows.
pub(super) fn prices_kept(definitions: &[impl Borrow<Definition>]) -> Option<Duration> {
    let stages = definitions.iter().flat_map(|definition| &definition.borrow().stages);
    let kept = stages.filter_map(|stage| match stage {
        stages::Config::Price(price) => Some(price.keep.0.max(KEPT_LEAST)),
        _ => None,
    });
    kept.max()
}

/// Deletes prices of days that were over so long ago, at once and then every hour, until it is dropped.
pub(super) async fn forget_prices(store: Arc<dyn Store>, keep: Duration) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let before = oldest(Timestamp::now(), keep);
        match forget_prices_before(&*store, before).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, %before, "forgot prices of old days"),
            Err(error) => tracing::warn!(%error, "failed to forget prices of old days: the next try is in an hour"),
        }
    }
}

/// The first day of those that are kept: the one of a kill of that age.
fn oldest(now: Timestamp, keep: Duration) -> Date {
    let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
    now.checked_sub(keep).unwrap_or(Timestamp::MIN).to_zoned(TimeZone::UTC).date()
}

async fn forget_prices_before(store: &dyn Store, before: Date) -> Result<u64, Error> {
    let mut forgotten = 0;
    loop {
        let some = store.forget_quotes(before, FORGOTTEN_AT_ONCE).await?;
        forgotten += some;
        if some < FORGOTTEN_AT_ONCE.into() {
            return Ok(forgotten);
        }
        tokio::time::sleep(BREATH).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::parse;
    use crate::duration::Span;
    use crate::killmail::TypeId;
    use crate::market::Cents;
    use crate::memory_store::MemoryStore;
    use crate::price::{Quote, Source};
    use crate::store::Quotes;

    #[tokio::test(start_paused = true)]
    async fn prices_of_days_beyond_what_is_kept_are_forgotten_at_start_and_every_hour_whatever_went_wrong() {
        let store = Arc::new(MemoryStore::default());
        let keep = Duration::from_hours(24 * 90);
        // A whole day apart from what is kept, at any hour.
        let quotes = |days: i64, count: i64| {
            let fetched_at = Timestamp::now() - SignedDuration::from_hours(24 * days);
            let quote = |id| Quote { type_id: id, source: Source::Janice, market: 2, price: Cents(1), fetched_at };
            (1..=count).filter_map(TypeId::new).map(quote).collect::<Vec<_>>()
        };
        store.store_quotes(&quotes(92, 4_500)).await.expect("stored");
        store.store_quotes(&quotes(89, 3)).await.expect("stored");
        let upkeep = tokio::spawn(forget_prices(store.clone(), keep));
        let after = |time: u64| tokio::time::sleep(Duration::from_secs(time));
        after(1).await;
        assert_eq!(store.quotes().len(), 3, "there was more than goes at once");
        store.store_quotes(&quotes(100, 1)).await.expect("stored");
        store.set_away(true);
        after(3600).await;
        assert_eq!(store.quotes().len(), 4, "it was away");
        store.set_away(false);
        after(3600).await;
        assert_eq!(store.quotes().len(), 3);
        upkeep.abort();
    }

    #[test]
    fn prices_are_kept_as_long_as_any_stage_wants_them_and_two_days_at_least() {
        let text = include_str!("../../pipelines/kills.toml");
        let definition = |keep| {
            let mut definition = parse("kills", "kills.toml", text, &|_| None).expect("a pipeline");
            for stage in &mut definition.stages {
                if let stages::Config::Price(price) = stage {
                    price.keep = Span::from_secs(keep);
                }
            }
            definition
        };
        let kept = |keeps: &[u64]| prices_kept(&keeps.iter().map(|keep| definition(*keep)).collect::<Vec<_>>());
        assert_eq!(kept(&[]), None);
        assert_eq!(kept(&[0]), Some(KEPT_LEAST));
        assert_eq!(kept(&[300_000, 400_000, 0]), Some(Duration::from_secs(400_000)));
        let now = "2026-03-01T00:00:00Z".parse().expect("a time");
        assert_eq!(oldest(now, KEPT_LEAST).to_string(), "2026-02-27");
    }

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
