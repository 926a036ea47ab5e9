//! The queue's source against a server on a real socket that misbehaves.

use std::time::Duration;

use broadside::resources::Resources;
use broadside::sources::redisq::{Config, Redisq};
use broadside_engine::testing::contract;
use broadside_engine::{Demand, Factory};

use crate::server::{Script, Server, Step, answer, not_found, ok};
use crate::{body, resources, take};

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

fn old(id: u64) -> String {
    format!(r#"{{"package":{{"killID":{id},"killmail":{{"killmail_id":{id}}},"zkb":{{"hash":"{HASH}"}}}}}}"#)
}

fn new(id: u64) -> String {
    format!(r#"{{"package":{{"killID":{id},"zkb":{{"hash":"{HASH}","points":1}}}}}}"#)
}

fn open(server: &Server, resources: &Resources) -> Redisq {
    let config = Config { url: format!("{}/redisq", server.url()), esi: format!("{}/esi", server.url()) };
    config.open("test", resources).unwrap()
}

/// The first poll is answered so, every other with a kill.
async fn reads_after(first: Script) -> (Server, Vec<String>) {
    let server = Server::start(move |_, before| if before == 0 { first.clone() } else { ok(&old(7)) }).await;
    let resources = resources().await;
    let factory = open(&server, &resources);
    let mut source = factory.build(0).await.unwrap();
    let found = take(&mut *source, 1).await.iter().map(body).collect();
    (server, found)
}

#[tokio::test]
async fn kills_come_as_they_were_sent_and_an_empty_queue_is_asked_again() {
    let (server, found) = reads_after(ok(r#"{"package":null}"#)).await;
    assert_eq!((found, server.requests().len()), (vec![old(7)], 2));
    assert!(server.gap(1) >= Duration::from_millis(450), "{:?}", server.gap(1));
}

#[tokio::test]
async fn what_is_no_answer_is_asked_for_again_a_second_later() {
    let answers = [
        answer("502 Bad Gateway", "", "<html>"),
        answer("200 OK", "content-type: text/html\r\n", "<html>"),
        ok("null"),
        ok(""),
        vec![Step::Raw("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"package\":".into())],
        answer("429 Too Many Requests", "retry-after: 1\r\n", ""),
    ];
    let tries = answers.map(|script| async move {
        let (server, found) = reads_after(script).await;
        assert_eq!((found, server.requests().len()), (vec![old(7)], 2));
        assert!(server.gap(1) >= Duration::from_secs(1), "{:?}", server.gap(1));
    });
    futures::future::join_all(tries).await;
}

#[tokio::test]
async fn the_queue_keeps_its_name_and_a_redirect_is_followed() {
    let server = Server::start(|path, _| match path {
        "/redisq/object.php?objectID=1" => ok(&old(7)),
        _ => answer("302 Found", "location: /redisq/object.php?objectID=1\r\n", ""),
    })
    .await;
    let resources = resources().await;
    for _ in 0..2 {
        let factory = open(&server, &resources);
        let mut source = factory.build(0).await.unwrap();
        assert_eq!(take(&mut *source, 1).await.iter().map(body).collect::<Vec<_>>(), [old(7)]);
    }
    let paths = server.paths();
    assert!(paths[0].starts_with("/redisq?queueID=broadside") && paths[0].ends_with("&ttw=10"), "{paths:?}");
    assert_eq!(paths[0], paths[2]);
}

#[tokio::test]
async fn the_script_is_found_below_its_folder() {
    let server = Server::start(|path, _| if path.contains("listen.php") { ok(&old(7)) } else { not_found() }).await;
    let resources = resources().await;
    let factory = open(&server, &resources);
    let mut source = factory.build(0).await.unwrap();
    take(&mut *source, 2).await;
    assert_eq!(server.paths().iter().filter(|path| path.starts_with("/redisq/listen.php?")).count(), 2);
}

#[tokio::test]
async fn what_a_package_lacks_is_fetched_and_what_cannot_be_had_has_failed() {
    let killmail = r#"{"killmail_id":7,"killmail_time":"2026-01-02T03:04:05Z"}"#;
    let server = Server::start(move |path, before| match path {
        path if path.starts_with("/redisq") => ok(&new(7 + before as u64)),
        path if path.contains(&format!("/killmails/7/{HASH}")) => ok(killmail),
        _ => not_found(),
    })
    .await;
    let resources = resources().await;
    let factory = open(&server, &resources);
    let mut source = factory.build(0).await.unwrap();
    let messages = take(&mut *source, 2).await;
    let whole = format!(r#"{{"killmail_id":7,"hash":"{HASH}","zkb":{{"hash":"{HASH}","points":1}},"esi":{killmail}}}"#);
    assert_eq!((body(&messages[0]), messages[0].failure()), (whole, None));
    assert_eq!(body(&messages[1]), new(8));
    assert_eq!(messages[1].failure().unwrap().class, broadside_engine::Class::Permanent);
    assert!(!messages[0].payload.redelivers && messages[0].payload.source == "redisq");
}

#[tokio::test]
async fn a_dropped_pull_neither_loses_a_kill_nor_polls_twice() {
    let server = Server::start(|_, _| vec![Step::Pause(Duration::from_millis(300)), ok(&old(7)).remove(0)]).await;
    let resources = resources().await;
    let factory = open(&server, &resources);
    let mut source = factory.build(0).await.unwrap();
    let mut found = Vec::new();
    while found.is_empty() {
        let mut demand = Demand::of(10);
        // Far too short on purpose: most of these pulls are dropped half way.
        let _ = tokio::time::timeout(Duration::from_millis(2), source.pull(&mut demand)).await;
        found.extend(demand.into_messages().iter().map(body));
    }
    assert_eq!((found, server.requests().len()), (vec![old(7)], 1));
}

#[tokio::test]
async fn an_interrupted_pull_returns() {
    let server = Server::start(|_, _| vec![Step::Pause(crate::PATIENCE)]).await;
    let resources = resources().await;
    contract::source_is_interruptible(&open(&server, &resources)).await;
}
