//! The courier against receivers that misbehave, a store that goes away, and its own end.

use std::num::NonZeroU32;

use broadside::killmail::ProfileId;
use broadside::store::Alerts;
use jiff::{SignedDuration, Timestamp};

use crate::receiver::{Post, Reply};
use crate::world::World;

fn kills(posts: &[Post]) -> Vec<i64> {
    posts.iter().map(Post::kill).collect()
}

const BUSY: Reply = Reply::Answer("429 Too Many Requests", "retry-after: 0\r\n", r#"{"retry_after":0.02}"#);
const GONE: Reply = Reply::Answer("404 Not Found", "", "");

#[tokio::test]
async fn alerts_are_posted_once_in_order_and_their_rows_go() {
    let world = World::new().await;
    let courier = world.start();
    world.alerts(7, "a", 1..=5);
    world.alerts(8, "a", 6..=8);
    let posts = world.receiver.wait("a", 8).await;
    world.emptied().await;
    assert_eq!(kills(&posts), (1..=8).collect::<Vec<_>>());
    let first = &posts[0].body;
    assert_eq!(
        (&first["type"], &first["event_id"], &first["profile"]["name"]),
        (&"match".into(), &10.into(), &"profile 7".into())
    );
    courier.stop().await;
    assert_eq!(world.receiver.posts("a").len(), 8);
}

#[tokio::test]
async fn a_limited_target_gets_the_same_alert_again_and_then_the_next() {
    let world = World::new().await;
    world.receiver.script("a", [Reply::Answer("204 No Content", "", ""), BUSY, BUSY]);
    world.alerts(7, "a", 1..=4);
    let courier = world.start();
    let posts = world.receiver.wait("a", 6).await;
    assert_eq!(kills(&posts), [1, 2, 2, 2, 3, 4]);
    assert_eq!(posts[1].header("idempotency-key"), posts[3].header("idempotency-key"));
    assert!(posts[2].at.duration_since(posts[1].at).as_millis() >= 20, "it was told how long to wait");
    world.emptied().await;
    courier.stop().await;
}

#[tokio::test]
async fn after_an_error_or_a_broken_connection_the_same_alert_is_sent_again() {
    let world = World::new().await;
    world.receiver.script("a", [Reply::Answer("500 Internal Server Error", "", "")]);
    world.receiver.script("b", [Reply::Close]);
    world.alerts(7, "a", 1..=2);
    world.alerts(8, "b", 11..=12);
    let courier = world.start();
    assert_eq!(kills(&world.receiver.wait("a", 3).await), [1, 1, 2]);
    assert_eq!(kills(&world.receiver.wait("b", 3).await), [11, 11, 12]);
    world.emptied().await;
    courier.stop().await;
}

#[tokio::test]
async fn a_target_that_hangs_holds_up_no_other() {
    let world = World::new().await;
    world.receiver.script("dead", [Reply::Hold]);
    world.alerts(7, "dead", 1..=3);
    world.alerts(8, "b", 11..=60);
    let courier = world.start();
    assert_eq!(kills(&world.receiver.wait("b", 30).await)[..30], (11..=40).collect::<Vec<_>>()[..]);
    assert_eq!(kills(&world.receiver.posts("dead")), [1], "one at a time");
    courier.kill().await;
}

#[tokio::test]
async fn nobody_is_told_of_an_old_kill_nor_by_a_profile_that_is_gone() {
    let world = World::new().await;
    let now = Timestamp::now();
    world.alert(7, "a", 1, now - SignedDuration::from_secs(3605), now);
    world.alerts(7, "a", [2]);
    world.alerts(8, "a", [3]);
    world.store.remove_told_profile(ProfileId::new(8).unwrap());
    world.alerts(7, "a", [4]);
    world.profile(9, "b", now);
    world.alert(9, "a", 5, now, now);
    let courier = world.start();
    world.emptied().await;
    assert_eq!(kills(&world.receiver.posts("a")), [2, 4], "profile 9 names another target now");
    assert!(world.receiver.posts("b").is_empty());
    courier.stop().await;
}

#[tokio::test]
async fn what_is_refused_becomes_a_dead_letter_and_a_target_that_keeps_refusing_is_left_alone_until_its_profile_is_written_anew()
 {
    let mut world = World::new().await;
    world.settings.failures_max = NonZeroU32::new(3).unwrap();
    world.receiver.script("a", [GONE, Reply::Answer("204 No Content", "", ""), GONE, GONE, GONE]);
    world.alerts(7, "a", 1..=9);
    let courier = world.start();
    world.emptied().await;
    assert_eq!(kills(&world.receiver.posts("a")), [1, 2, 3, 4, 5]);
    let letters = world.store.letters_added();
    let facts: Vec<_> = letters
        .iter()
        .map(|letter| {
            (letter.killmail_id.unwrap().get(), letter.http_status, letter.stage.as_str(), letter.class.as_str())
        })
        .collect();
    assert_eq!(facts, [1, 3, 4, 5].map(|kill| (kill, Some(404), "alerts", "permanent")));
    assert_eq!(letters[0].sinks_done, ["db_insert"]);
    assert!(letters[0].payload.starts_with(b"{") && !letters[0].error.contains("/a/"), "{}", letters[0].error);
    let disabled = world.store.disabled_targets().await.unwrap();
    assert_eq!((disabled.len(), disabled[0].reason.as_str()), (1, "the answer was 404"));

    world.alerts(7, "a", [10]);
    world.emptied().await;
    assert_eq!(world.receiver.posts("a").len(), 5, "it is told nothing");
    courier.stop().await;
    let courier = world.start();
    world.alerts(7, "a", [11]);
    world.emptied().await;
    assert_eq!(world.receiver.posts("a").len(), 5, "another courier knows of it");

    world.alert(7, "a", 12, Timestamp::now(), Timestamp::now());
    world.profile(7, "a", Timestamp::now() + SignedDuration::from_secs(1));
    world.desk.ring();
    let posts = world.receiver.wait("a", 6).await;
    assert_eq!(posts[5].kill(), 12);
    assert_eq!(world.store.disabled_targets().await.unwrap(), []);
    courier.stop().await;
}

#[tokio::test]
async fn a_target_that_was_put_to_use_again_is_told_again() {
    let mut world = World::new().await;
    world.settings.failures_max = NonZeroU32::new(1).unwrap();
    world.receiver.script("a", [GONE]);
    world.alerts(7, "a", 1..=2);
    let courier = world.start();
    world.emptied().await;
    courier.stop().await;
    let courier = world.start();
    world.alerts(7, "a", [3]);
    world.emptied().await;
    assert_eq!(kills(&world.receiver.posts("a")), [1], "it is told nothing");
    let disabled = world.store.disabled_targets().await.unwrap();
    world.store.enable_target(disabled[0].target).await.unwrap();
    world.alerts(7, "a", [4]);
    assert_eq!(world.receiver.wait("a", 2).await[1].kill(), 4);
    courier.stop().await;
}

#[tokio::test]
async fn beyond_so_many_a_minute_comes_a_digest() {
    let mut world = World::new().await;
    world.settings.digest_above = 2;
    let made = Timestamp::now() - SignedDuration::from_secs(100);
    world.profile(7, "a", made);
    for kill in 1..=6 {
        world.alert(7, "a", kill, made, made);
    }
    let courier = world.start();
    let posts = world.receiver.wait("a", 3).await;
    assert_eq!((posts[0].kill(), posts[1].kill()), (1, 2));
    let digest = &posts[2].body;
    assert_eq!((&digest["type"], &digest["count"]), (&"digest".into(), &4.into()));
    let ids: Vec<_> = digest["kills"].as_array().unwrap().iter().map(|kill| kill["event_id"].as_i64()).collect();
    assert_eq!(ids, [Some(30), Some(40), Some(50), Some(60)]);
    world.emptied().await;
    courier.stop().await;
}

#[tokio::test]
async fn a_killed_courier_loses_nothing_and_tells_at_most_what_was_under_way_twice() {
    let world = World::new().await;
    world.receiver.script("a", [Reply::Answer("204 No Content", "", ""), Reply::Hold]);
    world.alerts(7, "a", 1..=4);
    let courier = world.start();
    let before = world.receiver.wait("a", 2).await;
    courier.kill().await;
    let courier = world.start();
    let posts = world.receiver.wait("a", 5).await;
    assert_eq!(kills(&posts), [1, 2, 2, 3, 4]);
    assert_eq!(before[1].header("idempotency-key"), posts[2].header("idempotency-key"));
    world.emptied().await;
    courier.stop().await;
}

#[tokio::test]
async fn a_courier_that_is_stopped_finishes_what_is_under_way_and_leaves_the_rest() {
    let world = World::new().await;
    world.receiver.script("a", [Reply::Hold]);
    let ids = world.alerts(7, "a", 1..=3);
    let courier = world.start();
    world.receiver.wait("a", 1).await;
    courier.stop_late().await;
    assert_eq!((world.receiver.posts("a").len(), world.store.waiting_alerts()), (1, ids), "it was never answered");
}

#[tokio::test]
async fn while_the_store_is_away_nothing_is_lost() {
    let world = World::new().await;
    let courier = world.start();
    world.alerts(7, "a", [1]);
    world.receiver.wait("a", 1).await;
    world.emptied().await;
    world.store.set_away(true);
    world.alerts(7, "a", 2..=3);
    world.store.set_away(false);
    world.desk.ring();
    assert_eq!(kills(&world.receiver.wait("a", 3).await), [1, 2, 3]);
    world.emptied().await;
    courier.stop().await;
}

#[tokio::test]
async fn one_courier_delivers_for_a_database() {
    let world = World::new().await;
    let claim = world.store.claim_alerts().await.unwrap().unwrap();
    let waiting = world.start();
    world.alerts(7, "a", [1]);
    let held = world.receiver.posts("a").len();
    assert_eq!((held, world.store.waiting_alerts().len()), (0, 1));
    drop(claim);
    let another = world.start();
    world.receiver.wait("a", 1).await;
    world.emptied().await;
    another.stop().await;
    waiting.stop().await;
    assert_eq!(world.receiver.posts("a").len(), 1);
}
