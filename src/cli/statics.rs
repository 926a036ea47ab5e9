//! The static data that a worker has in memory: taken from the store at start, and again when the store's have changed.
//!
//! After an import, kills that were stored without static data can be completed. The import queues those of before; a worker, which has gone on for a moment
//! without the new static data, those that it has stored since.

use std::sync::Arc;
use std::time::Duration;

use indicatif::HumanCount;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior};

use crate::resources::Resources;
use crate::statics::{KINDS, Shelf};
use crate::store::{Error, Store};

/// Between two looks at the version.
const EVERY: Duration = Duration::from_secs(2);

/// After this what was tagged with the old static data is stored.
const STORED_AFTER: Duration = Duration::from_secs(10);
/// Kills that are looked at in one step: the writer is held for some ten milliseconds at most …
const KILLS_AT_ONCE: u32 = 5_000;
/// … and free for so long between two steps.
const PAUSE: Duration = Duration::from_millis(5);

/// Takes what the store has, before any kill comes; says so when that is nothing.
pub(super) async fn take_up(resources: &Resources) {
    match renew(&*resources.store, &resources.statics).await {
        Ok(_) if resources.statics.current().is_empty() => {
            tracing::info!("no static data: kills stay partial: `broadside sde import` brings them");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "failed to load the static data: kills stay partial until that works"),
    }
}

/// Looks whether the store's have changed, until it is dropped.
pub(super) async fn keep(store: Arc<dyn Store>, shelf: Arc<Shelf>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut was_away, mut queue_at) = (false, None);
    let mut import = last(&*store).await;
    loop {
        every.tick().await;
        let renewed = renew(&*store, &shelf).await;
        let before = import;
        if renewed == Ok(true) {
            import = last(&*store).await;
        }
        if import != before {
            queue_at = Some(Instant::now() + STORED_AFTER);
        }
        if queue_at.is_some_and(|at| at <= Instant::now()) {
            let mut queued = 0;
            // An outage is told elsewhere; the next look tries again.
            if queue_untagged(&*store, Timestamp::now(), &mut queued).await.is_ok() {
                queue_at = None;
            }
            if queued > 0 {
                tracing::info!(kills = queued, "queued kills that were stored before the static data were in use");
            }
        }
        if let (Err(error), false) = (&renewed, was_away) {
            tracing::warn!(%error, "failed to look for new static data: those in use stay until that works");
        }
        was_away = renewed.is_err();
    }
}

/// Queues all kills that were stored without static data, to be completed from `due_at` on; adds to `queued` how many.
pub(super) async fn queue_untagged(store: &dyn Store, due_at: Timestamp, queued: &mut u64) -> Result<(), Error> {
    let mut after = None;
    loop {
        let step = store.queue_untagged(after, KILLS_AT_ONCE, due_at).await?;
        *queued += u64::from(step.queued);
        if step.next.is_none() {
            return Ok(());
        }
        after = step.next;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The version of the last import.
async fn last(store: &dyn Store) -> Option<i64> {
    Some(store.last_import().await.ok()??.version)
}

/// Loads them if they have changed; answers whether they had.
async fn renew(store: &dyn Store, shelf: &Shelf) -> Result<bool, Error> {
    let stored = store.statics_version().await?;
    let has_changed = shelf.version() != Some(stored);
    if has_changed {
        let (version, statics) = store.load_statics().await?;
        let imported = store.last_import().await?;
        let counts = statics.counts();
        shelf.replace(version, statics);
        if version > 0 {
            let of = imported.map_or(String::new(), |import| format!(" of {:.0}", import.imported_at));
            let (types, systems) = (HumanCount(counts[0] as u64), HumanCount(counts[4] as u64));
            tracing::info!(version, "static data{of} in use: {types} types, {systems} systems");
        }
    }
    for (kind, count) in KINDS.iter().zip(shelf.current().counts()) {
        metrics::gauge!("broadside_static_data", "kind" => *kind).set(count as f64);
    }
    Ok(has_changed)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::killmail::{CategoryId, GroupId};
    use crate::memory_store::MemoryStore;
    use crate::statics::{Group, Statics};
    use crate::store::StaticData;

    fn groups(ids: std::ops::RangeInclusive<i64>) -> Statics {
        let mut statics = Statics::default();
        for id in ids {
            let (group_id, category_id) = (GroupId::new(id).expect("an id"), CategoryId::new(6).expect("an id"));
            statics.groups.insert(group_id, Group { group_id, category_id, name: "Frigate".into() });
        }
        statics
    }

    #[tokio::test(start_paused = true)]
    async fn an_import_is_in_use_within_two_seconds_and_an_outage_leaves_what_is() {
        let (store, shelf) = (Arc::new(MemoryStore::default()), Arc::new(Shelf::default()));
        let keeping = tokio::spawn(keep(store.clone(), shelf.clone()));
        let after = |time: u64| tokio::time::sleep(Duration::from_secs(time));
        after(1).await;
        assert_eq!((shelf.version(), shelf.current().groups.len()), (Some(0), 0));
        store.replace_statics(&groups(1..=3), "a test", Timestamp::now()).await.expect("stored");
        after(2).await;
        assert_eq!((shelf.version(), shelf.current().groups.len()), (Some(1), 3));
        store.set_away(true);
        after(10).await;
        assert_eq!(shelf.current().groups.len(), 3);
        store.set_away(false);
        store.replace_statics(&groups(2..=3), "a test", Timestamp::now()).await.expect("stored");
        after(2).await;
        assert_eq!((shelf.version(), shelf.current().groups.len()), (Some(2), 2));
        keeping.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn kills_that_were_stored_before_an_import_was_in_use_are_queued_once_after_it() {
        let (store, shelf) = (Arc::new(MemoryStore::default()), Arc::new(Shelf::default()));
        store.replace_statics(&groups(1..=3), "a test", Timestamp::now()).await.expect("stored");
        let keeping = tokio::spawn(keep(store.clone(), shelf.clone()));
        let after = |time: u64| tokio::time::sleep(Duration::from_secs(time));
        after(60).await;
        assert_eq!(store.walks(), 0, "those of before the start are the import's");
        store.replace_statics(&groups(1..=4), "a test", Timestamp::now()).await.expect("stored");
        after(9).await;
        assert_eq!(store.walks(), 0, "some are under way still");
        after(60).await;
        assert_eq!(store.walks(), 1);
        store.add_statics(&groups(5..=5), Timestamp::now()).await.expect("stored");
        after(60).await;
        assert_eq!((store.walks(), shelf.version()), (1, Some(3)), "what ESI tells of is no import");
        keeping.abort();
    }

    #[tokio::test]
    async fn what_is_as_stored_is_not_loaded_again() {
        let (store, shelf) = (MemoryStore::default(), Shelf::default());
        store.replace_statics(&groups(1..=3), "a test", Timestamp::now()).await.expect("stored");
        assert_eq!(renew(&store, &shelf).await, Ok(true));
        assert_eq!(renew(&store, &shelf).await, Ok(false));
        let version = store.add_statics(&groups(4..=4), Timestamp::now()).await.expect("stored");
        shelf.add(&groups(4..=4), version);
        assert_eq!(renew(&store, &shelf).await, Ok(false), "it has what it added itself");
        store.add_statics(&groups(5..=5), Timestamp::now()).await.expect("stored");
        let version = store.add_statics(&groups(6..=6), Timestamp::now()).await.expect("stored");
        shelf.add(&groups(6..=6), version);
        assert_eq!(renew(&store, &shelf).await, Ok(true), "somebody else added one in between");
        assert_eq!(shelf.current().groups.len(), 6);
    }
}
