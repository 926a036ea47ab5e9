//! Dry runs: what would become of each letter, which rows it would write, and no trace of it.

use broadside::dead_letter::{Outcome, Plan};
use serde_json::json;

use crate::world::{World, count};

fn dry(diff: bool) -> Plan {
    Plan { dry_run: true, diff, ..Plan::default() }
}

#[tokio::test]
async fn a_dry_run_says_what_would_become_of_each_letter_and_changes_nothing() {
    let world = World::new().await;
    world.refuse("one", "killmails_raw", "NEW.killmail_id % 3 = 0").await;
    world.refuse("two", "killmail_participants", "NEW.killmail_id % 3 = 1").await;
    let ids = world.bring(60).await;
    let (ones, twos) = (ids.iter().filter(|id| *id % 3 == 0).count(), ids.iter().filter(|id| *id % 3 == 1).count());
    assert_eq!(world.open().await, ones + twos);
    // the first cause is gone, the second one is another now
    world.execute("DROP TRIGGER one; DROP TRIGGER two").await;
    world.refuse("three", "killmail_participants", "NEW.killmail_id % 3 = 1 AND NEW.killmail_id % 2 = 0").await;
    let odd = ids.iter().filter(|id| *id % 3 == 1 && *id % 2 == 0).count();

    let before = world.everything().await;
    let replay = world.replay(dry(false)).await;
    let (told, _) = replay.reports.since(0, 1_000);
    assert_eq!(count(&told, Outcome::WouldSucceed), ones + twos - odd);
    assert_eq!((count(&told, Outcome::NewFailure), count(&told, Outcome::SameFailure)), (odd, 0));
    assert!(world.everything().await == before, "a dry run leaves no trace");
    assert!(told.iter().all(|told| told.began_at.as_deref() == Some("db_insert")), "from where it failed");

    // then the replay itself says the same
    let replay = world.replay(Plan::default()).await;
    let snapshot = replay.snapshot();
    assert_eq!((snapshot.succeeded, snapshot.new_failure), ((ones + twos - odd) as u64, odd as u64));
    assert_eq!(world.open().await, odd);
    let again = world.replay(dry(false)).await.snapshot();
    assert_eq!((again.succeeded, again.same_failure, again.new_failure), (0, odd as u64, 0));
}

#[tokio::test]
async fn a_diff_shows_the_rows_that_the_replay_then_writes() {
    let world = World::new().await;
    world.refuse("one", "killmails_enriched", "1").await;
    let ids = world.bring(3).await;
    world.execute("DROP TRIGGER one").await;
    let replay = world.replay(dry(true)).await;
    let (told, _) = replay.reports.since(0, 10);
    assert_eq!(told.len(), 3);
    for told in &told {
        let rows = told.rows.as_ref().unwrap();
        assert!(rows.iter().all(|row| row.before.is_none()), "{rows:?}");
        let of = |table: &str| rows.iter().filter(|row| row.table == table).count();
        assert_eq!((of("killmails_raw"), of("killmails_enriched"), of("killmail_events")), (1, 1, 1));
        let participants = of("killmail_participants") as i64;
        let enriched = rows.iter().find(|row| row.table == "killmails_enriched").unwrap().after.as_ref().unwrap();
        assert_eq!(enriched["attacker_count"], json!(participants - 1));
        assert!(rows.iter().all(|row| row.after.as_ref().unwrap()["killmail_id"] == json!(told.killmail_id)));
    }
    world.replay(Plan::default()).await;
    assert_eq!(world.numbers("SELECT killmail_id FROM killmails_enriched ORDER BY 1").await, ids);
    assert_eq!(world.numbers("SELECT killmail_id FROM killmail_events ORDER BY 1").await, ids);
}

#[tokio::test]
async fn what_was_stored_meanwhile_would_write_nothing_and_is_not_announced_again() {
    let world = World::new().await;
    world.refuse("one", "killmails_raw", "1").await;
    world.bring(5).await;
    world.execute("DROP TRIGGER one").await;
    world.bring(5).await;
    let replay = world.replay(dry(true)).await;
    let (told, _) = replay.reports.since(0, 10);
    assert!(told.iter().all(|told| told.outcome == Outcome::WouldSucceed));
    let before = world.numbers("SELECT count(*) FROM killmail_events").await;
    assert_eq!(world.replay(Plan::default()).await.snapshot().succeeded, 5);
    assert_eq!(world.numbers("SELECT count(*) FROM killmail_events").await, before);
    assert_eq!(world.open().await, 0);
}

#[tokio::test]
async fn from_the_start_means_from_the_raw_bytes() {
    let world = World::new().await;
    world.refuse("one", "killmails_raw", "1").await;
    world.bring(2).await;
    world.execute("DROP TRIGGER one").await;
    // what is known of one of them is nonsense: it begins with its bytes by itself
    world
        .execute("UPDATE dead_letters SET progress = '{\"stages\": []}' WHERE id = (SELECT min(id) FROM dead_letters)")
        .await;
    let replay = world.replay(dry(false)).await;
    let began: Vec<_> = replay.reports.since(0, 10).0.into_iter().map(|told| told.began_at).collect();
    assert_eq!(began.iter().filter(|at| at.is_none()).count(), 1, "{began:?}");
    let replay = world.replay(Plan { from_start: true, ..Plan::default() }).await;
    assert!(replay.reports.since(0, 10).0.iter().all(|told| told.began_at.is_none()));
    assert_eq!(replay.snapshot().succeeded, 2);
}
