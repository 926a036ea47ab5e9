//! The live killfeed: in order, complete, resumable, bounded.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::client::{self, Sent, Stream};
use crate::world::World;

#[tokio::test]
async fn a_stream_starts_now_and_sends_each_kill_with_its_id() {
    let world = World::new().await;
    world.kill(100, 30_000_142);
    let mut stream = Stream::open(world.address, "", None).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    world.kill(101, 30_002_187);
    let Sent { event, id, data } = stream.next().await.unwrap();
    assert_eq!((event.as_str(), id), ("killmail", Some(2)));
    assert_eq!((&data["event_id"], &data["system_id"]), (&json!(2), &json!(30_002_187)));
    assert_eq!(data["killmail"]["killmail_id"], 101);
    world.stop().await;
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn only_the_asked_systems_are_sent() {
    let world = World::new().await;
    let mut some = Stream::open(world.address, "?systems[]=1&systems=3,4", None).await;
    let mut encoded = Stream::open(world.address, "?systems%5B%5D=2", None).await;
    (1..=10).for_each(|id| world.kill(id, id % 5 + 1));
    assert_eq!(some.ids(6).await, [2, 3, 5, 7, 8, 10]);
    assert_eq!(encoded.ids(2).await, [1, 6]);
}

#[tokio::test]
async fn events_of_another_worker_on_the_same_store_arrive_without_the_hub() {
    let world = World::new().await;
    let mut stream = Stream::open(world.address, "", None).await;
    let mail = crate::world::mail(7, 30_000_142);
    world.store.commit(mail.solar_system_id, mail.killmail_id, "{}".into());
    assert_eq!(stream.ids(1).await, [1]);
}

#[tokio::test]
async fn a_resumed_stream_has_what_was_missed_and_goes_on_live() {
    let world = World::new().await;
    (1..=500).for_each(|id| world.kill(id, 1));
    for query in ["", "?last_event_id=3"] {
        let mut stream = Stream::open(world.address, query, Some(200)).await;
        assert_eq!(stream.ids(300).await, (201..=500).collect::<Vec<_>>(), "the header comes first");
    }
    let mut stream = Stream::open(world.address, "?last_event_id=499", None).await;
    world.kill(501, 1);
    assert_eq!(stream.ids(2).await, [500, 501]);
}

#[tokio::test]
async fn a_start_that_was_collected_is_a_gap_event_with_the_oldest_id() {
    let world = World::new().await;
    (1..=10).for_each(|id| world.kill(id, 1));
    world.store.collect(3);
    let mut stream = Stream::open(world.address, "", Some(2)).await;
    let gap = stream.next().await.unwrap();
    assert_eq!((gap.event.as_str(), gap.id, gap.data), ("gap", None, json!({"oldest": 8})));
    assert_eq!(stream.ids(3).await, [8, 9, 10]);
}

/// Four publishers whose hub messages pass one another, and readers that leave and resume at random.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resuming_under_load_has_no_gap_and_no_duplicate() {
    const KILLS: i64 = 4000;
    let world = Arc::new(World::new().await);
    let publishers: Vec<_> = (0..4)
        .map(|publisher| {
            let world = world.clone();
            tokio::spawn(async move {
                for kill in 0..KILLS / 4 {
                    world.kill(1 + publisher * KILLS + kill, 1 + kill % 7);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let readers: Vec<_> = (0..6)
        .map(|seed| {
            let address = world.address;
            tokio::spawn(async move {
                let mut rng = StdRng::seed_from_u64(seed);
                let mut ids: Vec<i64> = Vec::new();
                while ids.len() < KILLS as usize {
                    let last = ids.last().copied().unwrap_or(0);
                    let mut stream = Stream::open(address, "", Some(last)).await;
                    let some = rng.random_range(1..1000).min(KILLS as usize - ids.len());
                    ids.extend(stream.ids(some).await);
                }
                ids
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap(), (1..=KILLS).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_slow_reader_holds_nobody_up_and_misses_nothing() {
    const KILLS: usize = 12_000;
    let world = World::new().await;
    let mut slow = Stream::open(world.address, "", None).await;
    let mut fast = Stream::open(world.address, "", None).await;
    let mail = crate::world::mail(7, 30_000_142);
    let payload = format!(r#"{{"filler":"{}"}}"#, "x".repeat(2000));
    for _ in 0..KILLS {
        world.store.commit(mail.solar_system_id, mail.killmail_id, payload.clone());
    }
    world.kill(8, 1);
    let expected: Vec<i64> = (1..=KILLS as i64 + 1).collect();
    assert_eq!(fast.ids(KILLS + 1).await, expected, "24 MB, more than the slow one's socket holds");
    assert_eq!(slow.ids(KILLS + 1).await, expected);
}

#[tokio::test]
async fn streams_beyond_the_bound_are_refused_and_places_come_back() {
    let world = World::with_streams_max(2).await;
    let first = Stream::open(world.address, "", None).await;
    let _second = Stream::open(world.address, "", None).await;
    let refused = world.get("/api/killfeed/stream").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("too_many_streams")));
    assert!(refused.header("retry-after").is_some());
    drop(first);
    // The server notices in its own time that the first is gone.
    while !client::head(world.address, "/api/killfeed/stream").await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bad_questions_are_refused_with_the_reason() {
    let world = World::new().await;
    let thousand_and_one = (1..=1001).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let long = format!("?systems={thousand_and_one}");
    for query in ["?systems=x", "?systems=", "?systems[]=-5", "?last_event_id=abc", "?last_event_id=-1", long.as_str()]
    {
        let answer = world.get(&format!("/api/killfeed/stream{query}")).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!("bad_request")), "{query}");
    }
}

#[tokio::test]
async fn a_stream_that_cannot_start_for_the_store_is_refused_and_a_running_one_survives() {
    let world = World::new().await;
    let mut running = Stream::open(world.address, "", None).await;
    world.store.set_away(true);
    let answer = world.get("/api/killfeed/stream").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("store")));
    assert!(!answer.body.contains("away"), "the cause is for the log");
    world.kill(1, 1);
    world.store.set_away(false);
    assert_eq!(running.ids(1).await, [1]);
}
