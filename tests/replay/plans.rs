//! How letters are sent again: so many, so fast, until so many have failed, by one of all who want to.

use std::time::Instant;

use broadside::dead_letter::{Plan, Standing};
use broadside::store::DeadLetterState;
use jiff::Timestamp;

use crate::world::World;

#[tokio::test]
async fn no_more_fail_than_it_is_to_stop_at() {
    let world = World::new().await;
    world.refuse("one", "killmails_raw", "1").await;
    world.bring(100).await;
    let replay = world.replay(Plan { stop_after_failures: Some(7), ..Plan::default() }).await;
    let snapshot = replay.snapshot();
    assert_eq!((snapshot.same_failure, snapshot.succeeded, snapshot.state), (7, 0, Standing::Stopped));
    assert_eq!(world.numbers("SELECT count(*) FROM dead_letters WHERE attempts = 2").await, [7]);
    assert_eq!(world.open().await, 100);
    // with failures in between it goes on
    world.execute("DROP TRIGGER one").await;
    world.refuse("two", "killmails_raw", "NEW.killmail_id % 20 = 0").await;
    let replay = world.replay(Plan { stop_after_failures: Some(50), ..Plan::default() }).await;
    assert_eq!(replay.snapshot().state, Standing::Finished);
}

#[tokio::test]
async fn so_many_are_sent_at_most_and_so_many_a_second() {
    let world = World::new().await;
    world.refuse("one", "killmails_raw", "1").await;
    world.bring(60).await;
    world.execute("DROP TRIGGER one").await;
    let started = Instant::now();
    let replay = world.replay(Plan { max: Some(45), rate: Some(15), ..Plan::default() }).await;
    assert_eq!((replay.snapshot().succeeded, world.open().await), (45, 15));
    // the first fifteen at once, the others at the rate
    assert!(started.elapsed().as_secs_f64() >= 1.9, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_sink_that_has_a_letter_does_not_get_it_again() {
    let world = World::new().await;
    world.refuse("one", "killmails_raw", "1").await;
    world.bring(4).await;
    // by the letters' word the database has two of them
    world
        .execute(
            "DROP TRIGGER one;
             UPDATE dead_letters SET sinks_done = '[\"db_insert\"]' WHERE id IN (SELECT id FROM dead_letters ORDER BY id LIMIT 2)",
        )
        .await;
    assert_eq!(world.replay(Plan::default()).await.snapshot().succeeded, 4);
    assert_eq!(world.numbers("SELECT count(*) FROM killmails_raw").await, [2]);
}

#[tokio::test]
async fn a_letter_that_another_replay_holds_is_passed_over_and_one_left_behind_is_sent() {
    let world = World::new().await;
    world.refuse("one", "killmails_raw", "1").await;
    world.bring(3).await;
    world.execute("DROP TRIGGER one").await;
    let ids: Vec<i64> = world.letters(&[]).await.iter().map(|letter| letter.id).collect();
    // somebody died with the first one, whose lease has passed; the second one is done
    let past: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    world.store.claim_dead_letters(&ids[..1], &[DeadLetterState::Open], past).await.unwrap();
    world.execute(&format!("UPDATE dead_letters SET state = 'replayed' WHERE id = {}", ids[1])).await;
    let letters = ids.iter().map(|id| (*id, "kills".to_owned())).collect();
    let replay = broadside::dead_letter::Replay::new(1, Plan::default(), letters);
    replay.run(&world.store, &*world.pipelines).await;
    let snapshot = replay.snapshot();
    assert_eq!((snapshot.succeeded, snapshot.passed_over, snapshot.done), (2, 1, 3));
}
