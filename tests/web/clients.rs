//! Live clients whose offsets say where to start.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{self, Stream, request, send};
use crate::socket::Socket;
use crate::world::World;

async fn commit(world: &World, offsets: Value) {
    let body = json!({"client_id": "map", "offsets": offsets}).to_string();
    let length = body.len().to_string();
    let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
    let answer = send(world.address, "POST", "/api/killfeed/commit", &headers, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// The ids that a poll brings.
async fn poll(world: &World, query: &str) -> Vec<i64> {
    let answer = world.get(&format!("/api/killfeed?client_id=map&{query}")).await.json();
    answer["events"].as_array().unwrap().iter().map(|event| event["event_id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_client_starts_after_what_it_has_committed_and_a_stream_commits_nothing_by_itself() {
    let world = World::new().await;
    world.kill(1, 1);
    let mut stream = Stream::open(world.address, "?client_id=map&systems=1,2", None).await;
    (2..=9).for_each(|id| world.kill(id, 1 + id % 3));
    assert_eq!(stream.ids(5).await, [3, 4, 6, 7, 9], "a new client begins now");
    drop(stream);
    commit(&world, json!({"1": 3, "2": 7})).await;
    let mut again = Stream::open(world.address, "?client_id=map&systems=1,2", None).await;
    assert_eq!(again.ids(2).await, [6, 9]);
    world.kill(10, 1);
    assert_eq!(again.ids(1).await, [10]);
    let mut further = Stream::open(world.address, "?client_id=map&systems=1,2", Some(8)).await;
    assert_eq!(further.ids(2).await, [9, 10], "a browser that reconnects has more than it has committed");
    let mut less = Stream::open(world.address, "?client_id=map&systems=1,2", Some(1)).await;
    assert_eq!(less.ids(3).await, [6, 9, 10]);
    assert_eq!(poll(&world, "systems=1,2").await, [6, 9, 10]);
}

#[tokio::test]
async fn a_client_begins_in_a_new_system_where_it_says() {
    let world = World::new().await;
    (1..=6).for_each(|id| world.kill(id, 1 + id % 2));
    let mut stream = Stream::open(world.address, "?client_id=map&systems=1&from=earliest", None).await;
    assert_eq!(stream.ids(3).await, [2, 4, 6]);
    let mut both = Stream::open(world.address, "?client_id=map&systems=1,2&from=3", None).await;
    assert_eq!(both.ids(4).await, [2, 4, 5, 6]);
    let beyond = world.get("/api/killfeed/stream?client_id=new&systems=1&from=7").await;
    assert_eq!((beyond.status, &beyond.json()["error"]["code"]), (400, &json!("bad_request")));
}

// On one thread: the store in memory hands out in several steps, and only a database's transaction is more than that.
#[tokio::test]
async fn with_offsets_that_move_by_themselves_nothing_comes_twice_over_however_many_connections() {
    const KILLS: i64 = 600;
    let world = World::new().await;
    let query = "?client_id=map&commit=auto&systems=1,2,3";
    let (sender, mut ids) = tokio::sync::mpsc::channel(100);
    for _ in 0..3 {
        let mut stream = Stream::open(world.address, query, None).await;
        let sender = sender.clone();
        tokio::spawn(async move { while sender.send(stream.ids(1).await[0]).await.is_ok() {} });
    }
    let mut socket = Socket::open(world.address, "?client_id=map&commit=auto").await;
    socket.subscribe(&["system:1", "system:2", "system:3"]).await;
    tokio::spawn(async move { while sender.send(socket.ids(1).await[0]).await.is_ok() {} });
    let (mut got, mut polled) = (Vec::new(), Vec::new());
    for id in 1..=KILLS {
        world.kill(id, 1 + id % 4);
        if id % 50 == 0 {
            polled.extend(poll(&world, "systems=1,2,3&limit=5").await);
        }
    }
    let expected: BTreeSet<i64> = (1..=KILLS).filter(|id| id % 4 < 3).collect();
    got.append(&mut polled);
    while got.len() < expected.len() {
        let id = ids.recv().await.unwrap();
        got.push(id);
    }
    assert_eq!(got.iter().copied().collect::<BTreeSet<_>>(), expected, "each of them, and none twice");
    assert_eq!(poll(&world, "systems=1,2,3").await, Vec::<i64>::new());
}

#[tokio::test]
async fn offsets_are_moved_before_an_event_goes_out() {
    let world = World::new().await;
    let mut stream = Stream::open(world.address, "?client_id=map&commit=auto&systems=1", None).await;
    world.kill(1, 1);
    assert_eq!(stream.ids(1).await, [1]);
    assert_eq!(poll(&world, "systems=1").await, Vec::<i64>::new());
    drop(stream);
    world.kill(2, 1);
    let mut again = Stream::open(world.address, "?client_id=map&commit=auto&systems=1", Some(0)).await;
    assert_eq!(again.ids(1).await, [2]);
}

#[tokio::test]
async fn a_client_follows_systems_alone() {
    let world = World::new().await;
    for query in ["", "&regions=1", "&systems=1&profiles=2"] {
        for commit in ["auto", "explicit"] {
            let answer = world.get(&format!("/api/killfeed/stream?client_id=map&commit={commit}{query}")).await;
            assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!("bad_request")), "{query}");
        }
    }
    let mut socket = Socket::open(world.address, "?client_id=map").await;
    socket.send(r#"{"subscribe":["system:1","region:1"]}"#).await;
    assert_eq!(socket.next().await.unwrap()["event"], "error");
    world.kill(1, 1);
    socket.send(r#"{"subscribe":["system:1"]}"#).await;
    assert_eq!(socket.next().await.unwrap(), json!({"event": "subscribed", "topics": ["system:1"]}));
    world.kill(2, 1);
    assert_eq!(socket.ids(1).await, [2]);
    commit(&world, json!({"1": 2})).await;
    world.kill(3, 1);
    let mut other = Socket::open(world.address, "?client_id=map").await;
    other.subscribe(&["system:1"]).await;
    assert_eq!(other.ids(1).await, [3]);
}

#[tokio::test]
async fn beyond_this_machine_a_client_needs_the_token_and_a_reader_does_not() {
    let beyond = "0.0.0.0:4010".parse().unwrap();
    let paths =
        ["/api/killfeed/stream?client_id=map&systems=1", "/api/killfeed/stream?client_id=map&systems=1&commit=auto"];
    for (token, status) in [(None, 403), (Some("secret"), 401)] {
        let world = World::with_access(beyond, token).await;
        for path in paths {
            assert_eq!(world.get(path).await.status, status, "{path}");
        }
        let socket = Socket::try_open(world.address, "?client_id=map", &[]).await;
        assert_eq!(socket.err().map(|refused| refused.as_u16()), Some(status));
        assert!(client::head(world.address, "/api/killfeed/stream?systems=1").await.starts_with("HTTP/1.1 200"));
        assert!(Socket::try_open(world.address, "", &[]).await.is_ok());
    }
    let world = World::with_access(beyond, Some("secret")).await;
    let headers = [("authorization", "Bearer secret")];
    assert!(Socket::try_open(world.address, "?client_id=map", &headers).await.is_ok());
    let site = [("authorization", "Bearer secret"), ("origin", "https://example.com")];
    assert_eq!(request(world.address, "GET", paths[0], &site).await.status, 403);
}

#[tokio::test(start_paused = true)]
async fn a_connected_client_is_seen() {
    let world = World::new().await;
    for query in ["", "&commit=auto"] {
        let mut stream = Stream::open(world.address, &format!("?client_id=map{query}&systems=1"), None).await;
        let seen = || async { world.get("/api/killfeed/clients").await.json()["clients"][0]["seen_at"].clone() };
        let first = seen().await;
        let looked = async {
            while seen().await == first {
                tokio::time::advance(Duration::from_secs(20)).await;
                stream.comment().await;
            }
        };
        looked.await;
    }
}
