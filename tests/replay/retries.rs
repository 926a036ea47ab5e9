//! Letters that failed for a reason that passes are tried again by themselves; one worker at a time in each process, and each letter by one of all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broadside::dead_letter::{Plan, Refused, Replays, Standing};
use broadside::store::DeadLetterState;
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// What failed for a reason that passes, and is due.
async fn due(world: &World) {
    world.execute("DROP TRIGGER one").await;
    world.execute("UPDATE dead_letters SET class = 'transient', retry_at = '2026-01-01T00:00:00.000Z'").await;
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(100);
    let mut every = tokio::time::interval(Duration::from_millis(20));
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        every.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_are_due_are_tried_again_each_by_one_of_two_workers() {
    let world = World::new().await;
    world.refuse("one", "killmails_raw", "1").await;
    let ids = world.bring(300).await;
    due(&world).await;
    let stop = CancellationToken::new();
    let workers = [(); 2].map(|()| {
        let replays = Arc::new(Replays::new(world.store.clone(), world.pipelines.clone()));
        let stop = stop.clone();
        tokio::spawn(async move { replays.work(&stop).await })
    });
    until("all are replayed", async || world.letters(&[DeadLetterState::Replayed]).await.len() == 300).await;
    stop.cancel();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(world.numbers("SELECT killmail_id FROM killmails_raw ORDER BY 1").await, ids);
    assert_eq!(world.numbers("SELECT killmail_id FROM killmail_events ORDER BY 1").await, ids);
    assert_eq!(world.numbers("SELECT DISTINCT attempts FROM dead_letters").await, [1], "none failed again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_people_is_left_to_them() {
    let world = World::new().await;
    world.refuse("one", "killmails_raw", "NEW.killmail_id % 2 = 0").await;
    world.bring(20).await;
    let letters = world.open().await;
    // one that is due shows that it was looked
    world.execute("DROP TRIGGER one").await;
    world
        .execute(
            "UPDATE dead_letters SET class = 'transient', retry_at = '2026-01-01T00:00:00.000Z'
             WHERE id = (SELECT min(id) FROM dead_letters)",
        )
        .await;
    let replays = Arc::new(Replays::new(world.store.clone(), world.pipelines.clone()));
    let (stop, at_work) = (CancellationToken::new(), replays.clone());
    let stopping = stop.clone();
    let worker = tokio::spawn(async move { at_work.work(&stopping).await });
    until("the one is replayed", async || world.letters(&[DeadLetterState::Replayed]).await.len() == 1).await;
    stop.cancel();
    worker.await.unwrap();
    assert_eq!(world.open().await, letters - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replay_at_a_time_is_ordered_and_it_can_be_stopped() {
    let world = World::new().await;
    world.refuse("one", "killmails_raw", "1").await;
    world.bring(100).await;
    world.execute("DROP TRIGGER one").await;
    let replays = Arc::new(Replays::new(world.store.clone(), world.pipelines.clone()));
    let letters: Vec<_> = world.letters(&[]).await.iter().map(|letter| (letter.id, "kills".to_owned())).collect();
    let elsewhere = replays.order(Plan::default(), vec![(1, "other".to_owned())]);
    assert_eq!(elsewhere.err(), Some(Refused::Elsewhere("other".to_owned())));
    let slow = Plan { rate: Some(5), ..Plan::default() };
    let first = replays.order(slow.clone(), letters.clone()).unwrap();
    assert_eq!(replays.order(slow, letters).err(), Some(Refused::Busy(first.id)));
    let stop = CancellationToken::new();
    let (at_work, stopping) = (replays.clone(), stop.clone());
    let worker = tokio::spawn(async move { at_work.work(&stopping).await });
    until("some are through", async || first.snapshot().succeeded > 0).await;
    first.stop();
    until("it has ended", async || first.has_ended()).await;
    let snapshot = first.snapshot();
    assert_eq!(snapshot.state, Standing::Stopped);
    assert!(snapshot.succeeded < 100 && snapshot.done == snapshot.succeeded, "{snapshot:?}");
    assert_eq!(world.open().await as u64, 100 - snapshot.succeeded, "what was not sent is open");
    assert!(replays.get(first.id).is_some() && replays.get(99).is_none());
    stop.cancel();
    worker.await.unwrap();
}
