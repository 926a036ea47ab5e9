//! The keeper over a store in memory, on a paused clock.

use tokio::time::{Duration, sleep};

use super::*;
use crate::memory_store::MemoryStore;
use crate::store::{NewProfile, Profiles, Which};

const SOLO: &str = r#"{"field":"solo","operator":"eq","value":true}"#;

struct World {
    store: Arc<MemoryStore>,
    resources: Resources,
}

impl World {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        Self { resources: Resources::new(store.clone()), store }
    }

    async fn put(&self, id: Option<ProfileId>, filter: &str) -> ProfileId {
        let (name, targets) = ("a".to_owned(), "[]".to_owned());
        let new = NewProfile { profile_id: id, owner: None, name, filter: filter.to_owned(), enabled: true, targets };
        self.store.put_profiles(&[new]).await.expect("stored")[0]
    }

    fn in_use(&self) -> usize {
        self.resources.surveillance.counts().profiles
    }

    async fn keep(&self) -> Keeping {
        Keeper::load_all(&self.resources).await.start()
    }
}

/// What is promised of a change.
async fn a_second() {
    sleep(Duration::from_millis(900)).await;
}

#[tokio::test(start_paused = true)]
async fn all_are_in_use_before_it_begins_and_each_change_within_a_second() {
    let world = World::new();
    let ids = [world.put(None, SOLO).await, world.put(None, SOLO).await];
    let keeper = Keeper::load_all(&world.resources).await;
    assert_eq!(world.in_use(), 2);
    let keeping = keeper.start();
    world.put(None, SOLO).await;
    a_second().await;
    assert_eq!(world.in_use(), 3);
    world.store.remove_profiles(&ids[..1]).await.expect("removed");
    world.store.enable_profiles(&ids[1..], false).await.expect("changed");
    a_second().await;
    assert_eq!(world.in_use(), 1);
    world.store.enable_profiles(&ids[1..], true).await.expect("changed");
    a_second().await;
    assert_eq!(world.in_use(), 2);
    keeping.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_cannot_be_read_is_left_out_and_stops_nothing() {
    let world = World::new();
    let (bad, good) = (world.put(None, "{").await, world.put(None, SOLO).await);
    let keeping = world.keep().await;
    assert_eq!(world.in_use(), 1);
    world.put(Some(bad), SOLO).await;
    world.put(Some(good), r#"{"field":"solo","operator":"above","value":1}"#).await;
    world.put(None, SOLO).await;
    a_second().await;
    assert_eq!(world.in_use(), 2, "the one that was mended, and the new one");
    keeping.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_what_is_in_use_stays_and_after_it_all_changes_are_taken_up() {
    let world = World::new();
    let id = world.put(None, SOLO).await;
    let keeping = world.keep().await;
    world.store.set_away(true);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.in_use(), 1);
    world.store.set_away(false);
    world.store.remove_profiles(&[id]).await.expect("removed");
    for _ in 0..2_500 {
        world.put(None, SOLO).await;
    }
    a_second().await;
    assert_eq!(world.in_use(), 2_500);
    keeping.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_at_the_start_is_waited_for() {
    let world = World::new();
    world.put(None, SOLO).await;
    world.store.set_away(true);
    let (resources, store) = (world.resources.clone(), world.store.clone());
    let loading = tokio::spawn(async move { Keeper::load_all(&resources).await });
    sleep(Duration::from_secs(30)).await;
    assert!(!loading.is_finished());
    store.set_away(false);
    loading.await.expect("loaded");
    assert_eq!(world.in_use(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_was_put_back_is_loaded_again() {
    let world = World::new();
    for _ in 0..3 {
        world.put(None, SOLO).await;
    }
    let keeping = world.keep().await;
    world.store.forget_profiles();
    world.put(None, SOLO).await;
    sleep(RECOUNT_EVERY).await;
    a_second().await;
    assert_eq!(world.in_use(), 1);
    keeping.end().await;
}

#[tokio::test(start_paused = true)]
async fn matches_are_told_every_few_seconds_and_at_the_end_and_wait_for_a_store_that_is_away() {
    let world = World::new();
    let id = world.put(None, SOLO).await;
    let keeping = world.keep().await;
    let matches = async || world.store.profiles(&Which::default()).await.expect("read")[0].matches;
    let count = |times: usize| (0..times).for_each(|_| world.resources.tally.add(&[id], jiff::Timestamp::UNIX_EPOCH));
    count(3);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(matches().await, 0);
    sleep(TELL_EVERY).await;
    assert_eq!(matches().await, 3);
    world.store.set_away(true);
    count(2);
    sleep(Duration::from_secs(30)).await;
    world.store.set_away(false);
    sleep(TELL_EVERY).await;
    assert_eq!(matches().await, 5);
    count(1);
    keeping.end().await;
    assert_eq!(matches().await, 6);
}
