//! The killfeed over WebSockets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::Message;

use crate::client;
use crate::socket::Socket;
use crate::world::World;

fn told(events: Vec<(i64, String)>) -> Vec<String> {
    events.into_iter().map(|(id, topic)| format!("{id} {topic}")).collect()
}

#[tokio::test]
async fn a_socket_gets_what_it_follows_under_the_narrowest_topic_and_nothing_any_more_when_it_leaves() {
    let world = World::new().await;
    let mut socket = Socket::open(world.address, "").await;
    assert_eq!(socket.subscribe(&["system:1", "region:7"]).await, json!(["region:7", "system:1"]).sorted());
    assert_eq!(
        socket.subscribe(&["profile:3", "system:1"]).await,
        json!(["profile:3", "region:7", "system:1"]).sorted()
    );
    world.kill_in(1, 1, 7, &[]);
    world.kill_in(2, 2, 8, &[]);
    world.kill_in(3, 2, 7, &[4]);
    world.kill_in(4, 2, 8, &[2, 3, 4]);
    assert_eq!(told(socket.events(3).await), ["1 system:1", "3 region:7", "4 profile:3"]);
    assert_eq!(socket.ask(json!({"unsubscribe": ["region:7"]})).await, json!(["profile:3", "system:1"]).sorted());
    world.kill_in(5, 2, 7, &[]);
    world.kill_in(6, 1, 7, &[]);
    assert_eq!(told(socket.events(1).await), ["6 system:1"]);
    let swapped = socket.ask(json!({"unsubscribe": ["system:1", "profile:3"], "subscribe": ["all"]})).await;
    assert_eq!(swapped, json!(["all"]));
    world.kill(7, 9);
    assert_eq!(told(socket.events(1).await), ["7 all"]);
}

trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for Value {
    /// As topics are ordered: all, systems, regions, profiles.
    fn sorted(self) -> Self {
        let rank = |name: &Value| {
            ["all", "system", "region", "profile"].iter().position(|kind| name.as_str().unwrap().starts_with(kind))
        };
        let mut names = self.as_array().unwrap().clone();
        names.sort_by_key(rank);
        names.into()
    }
}

#[tokio::test]
async fn what_is_subscribed_after_an_event_is_backfilled_and_goes_on_live() {
    let world = World::new().await;
    (1..=300).for_each(|id| {
        world.kill_in(id, id % 3 + 1, 7, &[]);
    });
    let mut socket = Socket::open(world.address, "").await;
    socket.send(json!({"subscribe": ["region:7"], "last_event_id": 100}).to_string()).await;
    let answer = socket.next().await.unwrap();
    assert_eq!(answer, json!({"event": "subscribed", "topics": ["region:7"], "event_id": 100}));
    world.kill_in(301, 1, 7, &[]);
    assert_eq!(socket.ids(201).await, (101..=301).collect::<Vec<_>>());
    socket.ask(json!({"subscribe": ["system:1"], "last_event_id": 0})).await;
    let expected: Vec<i64> = (1..=100).filter(|id| id % 3 == 0).chain([302]).collect();
    world.kill_in(302, 1, 7, &[]);
    assert_eq!(socket.ids(34).await, expected, "but for what the region has brought");
}

#[tokio::test]
async fn a_start_that_was_collected_is_a_gap() {
    let world = World::new().await;
    (1..=10).for_each(|id| world.kill(id, 1));
    world.store.collect(3);
    let mut socket = Socket::open(world.address, "").await;
    socket.send(r#"{"subscribe":["all"],"last_event_id":2}"#).await;
    assert_eq!(socket.next().await.unwrap(), json!({"event": "subscribed", "topics": ["all"], "event_id": 7}));
    assert_eq!(socket.next().await.unwrap(), json!({"event": "gap", "oldest": 8}));
    assert_eq!(socket.ids(3).await, [8, 9, 10]);
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_and_changes_nothing() {
    let world = World::new().await;
    let mut socket = Socket::open(world.address, "").await;
    socket.subscribe(&["system:1"]).await;
    let thousand: Vec<String> = (1..=1001).map(|id| format!("system:{id}")).collect();
    for (bad, word) in [
        ("", "cannot read"),
        ("{", "cannot read"),
        ("[]", "cannot read"),
        (r#"{"subscribe":"all"}"#, "cannot read"),
        (r#"{"subscribe":["all"],"other":1}"#, "other"),
        ("{}", "no topic"),
        (r#"{"subscribe":["all","system:x"]}"#, "system:x"),
        (r#"{"unsubscribe":["system:1"],"subscribe":["planet:1"]}"#, "planet:1"),
        (r#"{"subscribe":["all"],"last_event_id":-1}"#, "last_event_id"),
        (&json!({"subscribe": thousand}).to_string(), "at most 1000"),
    ] {
        socket.send(bad).await;
        let answer = socket.next().await.unwrap();
        assert_eq!(answer["event"], "error", "{bad}");
        assert!(answer["message"].as_str().unwrap().contains(word), "{answer}");
    }
    world.kill(1, 2);
    world.kill(2, 1);
    assert_eq!(told(socket.events(1).await), ["2 system:1"]);
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_socket_and_gives_its_place_back() {
    let world = World::with_streams_max(1).await;
    let mut socket = Socket::open(world.address, "").await;
    let full = Socket::try_open(world.address, "", &[]).await;
    assert_eq!(full.err().map(|status| status.as_u16()), Some(503));
    socket.send("x".repeat(70_000)).await;
    assert!(matches!(socket.message().await, Some(Message::Close(_)) | None));
    // The server notices in its own time that it is gone.
    while Socket::try_open(world.address, "", &[]).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_page_of_another_site_gets_no_socket_and_a_plain_request_is_told_why() {
    let world = World::new().await;
    let refused = Socket::try_open(world.address, "", &[("origin", "https://example.com")]).await;
    assert_eq!(refused.err().map(|status| status.as_u16()), Some(403));
    let own = format!("http://{}", world.address);
    assert!(Socket::try_open(world.address, "", &[("origin", &own)]).await.is_ok());
    let plain = world.get("/api/killfeed/ws").await;
    assert_eq!((plain.status, &plain.json()["error"]["code"]), (400, &json!("bad_request")));
}

#[tokio::test]
async fn the_end_of_the_worker_is_told_and_leaves_nothing() {
    let world = World::new().await;
    let mut socket = Socket::open(world.address, "").await;
    socket.subscribe(&["all"]).await;
    world.stop().await;
    match socket.message().await {
        Some(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_answers_no_ping_is_given_up() {
    let world = World::new().await;
    let mut deaf = Socket::open(world.address, "").await.into_inner();
    let mut received = Vec::new();
    // A ping is an empty frame.
    deaf.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, [0x89, 0].repeat(3));
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_for_a_minute_is_given_up() {
    let world = World::with_streams_max(2).await;
    let mut socket = Socket::open(world.address, "").await;
    socket.ask(json!({"subscribe": ["all"]})).await;
    let stopped = (socket.into_inner(), client::Stream::open(world.address, "", None).await);
    let mail = crate::world::mail(7, 30_000_142);
    let payload = format!(r#"{{"filler":"{}"}}"#, "x".repeat(100_000));
    for _ in 0..300 {
        world.store.commit(mail.solar_system_id, mail.killmail_id, payload.clone());
    }
    world.hub.publish();
    // Each look takes time enough to fill what the system holds for them.
    for _ in 0..100 {
        tokio::time::advance(Duration::from_secs(5)).await;
        if world.get("/metrics").await.body.contains("broadside_stream_connections 0\n") {
            return drop(stopped);
        }
    }
    panic!("{}", world.get("/metrics").await.body);
}

/// Publishers at full speed, and sockets that follow and leave systems at random: each following has every event after its start, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_and_leaving_under_load_has_no_gap_and_no_duplicate() {
    const KILLS: i64 = 3000;
    let world = Arc::new(World::new().await);
    let mut readers = Vec::new();
    for seed in 0..4 {
        // Before anything is published: the last event is not to be over before everybody waits for it.
        let mut socket = Socket::open(world.address, "").await;
        socket.subscribe(&["system:100"]).await;
        readers.push(tokio::spawn(follow_at_random(world.clone(), socket, seed)));
    }
    let publishers: Vec<_> = (0..2)
        .map(|publisher| {
            let world = world.clone();
            tokio::spawn(async move {
                for kill in 0..KILLS / 2 {
                    world.kill_in(1 + publisher * KILLS + kill, 1 + kill % 7, region(1 + kill % 7), &[]);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    world.kill_in(KILLS * 3, 100, 100, &[]);
    for reader in readers {
        reader.await.unwrap();
    }
}

fn region(system: i64) -> i64 {
    1 + system % 2
}

/// Until there is a kill in system 100, which the socket follows all the time.
async fn follow_at_random(world: Arc<World>, mut socket: Socket, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    // By topic: after which id, and what came that is of it since.
    let mut followed: BTreeMap<String, (i64, BTreeSet<i64>)> = BTreeMap::new();
    let (mut got, mut is_over) = (Vec::new(), false);
    while !is_over {
        let topic = format!("{}:{}", ["system", "region"][rng.random_range(0..2)], rng.random_range(1..3));
        let is_followed = followed.contains_key(&topic);
        let wish = if is_followed { json!({"unsubscribe": [topic]}) } else { json!({"subscribe": [topic]}) };
        socket.send(wish.to_string()).await;
        loop {
            let message = socket.next().await.unwrap();
            if message["event"] == "subscribed" {
                match is_followed {
                    true => check(&world, &topic, followed.remove(&topic).unwrap(), got.last().copied()),
                    false => {
                        let after = message["event_id"].as_i64().unwrap();
                        followed.insert(topic, (after, BTreeSet::new()));
                    }
                }
                break;
            }
            is_over |= note(&message, &mut followed, &mut got);
        }
        for _ in 0..rng.random_range(0..100) {
            if is_over {
                break;
            }
            is_over |= note(&socket.next().await.unwrap(), &mut followed, &mut got);
        }
    }
    for (topic, following) in followed {
        check(&world, &topic, following, None);
    }
    assert_eq!(got.iter().collect::<BTreeSet<_>>().len(), got.len(), "nothing twice: nothing was asked for again");
}

/// Answers whether this was the last event.
fn note(message: &Value, followed: &mut BTreeMap<String, (i64, BTreeSet<i64>)>, got: &mut Vec<i64>) -> bool {
    let id = message["event_id"].as_i64().unwrap();
    got.push(id);
    let system = message["system_id"].as_i64().unwrap();
    for topic in [format!("system:{system}"), format!("region:{}", region(system))] {
        if let Some((after, ids)) = followed.get_mut(&topic)
            && id > *after
        {
            ids.insert(id);
        }
    }
    system == 100
}

/// What a topic brought is what there was of it, up to its end.
fn check(world: &World, topic: &str, (after, ids): (i64, BTreeSet<i64>), end: Option<i64>) {
    let events = world.store.events();
    let is_of = |event: &broadside::store::Event| match topic.split_once(':').unwrap() {
        ("system", id) => event.system_id.get().to_string() == id,
        (_, id) => event.region_id.unwrap().get().to_string() == id,
    };
    let upto = end.unwrap_or(i64::MAX);
    let there = events.iter().filter(|event| event.event_id > after && event.event_id <= upto && is_of(event));
    for event in there {
        assert!(ids.contains(&event.event_id), "{topic} after {after} lacks {}", event.event_id);
    }
}
