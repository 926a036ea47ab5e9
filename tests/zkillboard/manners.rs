//! How the source behaves towards a server that refuses, breaks off, sends nonsense or sends it elsewhere.

use std::time::Duration;

use broadside::killmail::Kill;
use broadside_engine::testing::contract;
use broadside_engine::{Demand, Source};

use crate::server::{Script, Server, Step, answer, not_found, ok};
use crate::{body, checkpoint, factory, package, pull, resources, resources_at, source, take};

const SEQUENCE: &str = "/ephemeral/sequence.json";

fn file(number: u64) -> String {
    format!("/ephemeral/{number}.json")
}

/// Every number has a file, but for `first`, which is answered so at first.
async fn reads_after(first: Script) -> (Server, Vec<String>) {
    let server = Server::start(move |path, before| match path {
        "/ephemeral/41.json" if before == 0 => first.clone(),
        SEQUENCE => ok(r#"{"sequence":41}"#),
        _ => ok(&package(path.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0))),
    })
    .await;
    let resources = resources_at(&checkpoint(41, &[])).await;
    let factory = factory(&server.url(), &resources);
    let mut source = source(&factory).await;
    let found = take(&mut *source, 1).await.iter().map(body).collect();
    (server, found)
}

#[tokio::test]
async fn kills_come_with_their_exact_bytes_a_tenth_of_a_second_apart() {
    let (server, found) = reads_after(ok(&package(41))).await;
    assert_eq!(found, [package(41)]);
    let head = server.requests()[0].head.to_ascii_lowercase();
    assert!(head.contains("user-agent: broadside/") && head.contains("accept-encoding: gzip"), "{head}");
    let resources = resources_at(&checkpoint(41, &[])).await;
    let factory = factory(&server.url(), &resources);
    let mut source = source(&factory).await;
    let messages = take(&mut *source, 3).await;
    assert_eq!(messages.iter().map(body).collect::<Vec<_>>(), [package(41), package(42), package(43)]);
    assert_eq!((messages[0].payload.source, messages[0].payload.redelivers), ("zkillboard", true));
    assert!(server.gap(2) >= Duration::from_millis(100) && server.gap(3) >= Duration::from_millis(100));
}

#[tokio::test]
async fn what_is_no_file_is_asked_for_again_a_second_later() {
    let page = answer("200 OK", "content-type: text/html\r\n", "<!DOCTYPE html><p>Just a moment…");
    let cut = vec![Step::Raw("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"killmail_id\":41,".into())];
    let circle = answer("302 Found", "location: /ephemeral/41.json?again\r\n", "");
    let elsewhere = answer("302 Found", "location: http://example.invalid/41.json\r\n", "");
    let answers = [
        ("a page", page),
        ("half a file", cut),
        ("half of its JSON", ok("{\"killmail_id\":41,")),
        ("null", ok("null")),
        ("nothing", ok("")),
        ("a closed connection", vec![]),
        ("a broken server", answer("502 Bad Gateway", "", "<html>")),
        ("a redirect", circle),
        ("another host", elsewhere),
    ];
    let tries = answers.map(|(name, script)| async move {
        let (server, found) = reads_after(script).await;
        if name == "a redirect" {
            // On the same host it is followed.
            assert_eq!((found, server.requests().len()), (vec![package(41)], 2));
            return;
        }
        assert_eq!(found, [package(41)], "{name}");
        assert_eq!(server.paths(), [file(41), file(41)], "{name}");
        assert!(server.gap(1) >= Duration::from_secs(1), "{name}: {:?}", server.gap(1));
    });
    futures::future::join_all(tries).await;
}

#[tokio::test]
async fn a_retry_after_is_kept() {
    let tries = ["429 Too Many Requests", "503 Service Unavailable"].map(|status| async move {
        let (server, found) = reads_after(answer(status, "retry-after: 2\r\n", "<html>")).await;
        assert_eq!(found, [package(41)]);
        assert!(server.gap(1) >= Duration::from_secs(2), "{status}: {:?}", server.gap(1));
    });
    futures::future::join_all(tries).await;
}

/// Pulls until the server has been asked so, and then for longer than the next request would take.
async fn nothing_comes(source: &mut dyn Source<Kill>, is_asked: impl Fn() -> bool) {
    let mut demand = Demand::of(10);
    while !is_asked() {
        let pulled = tokio::time::timeout(Duration::from_millis(20), source.pull(&mut demand)).await;
        assert!(pulled.is_err(), "nothing comes of it");
    }
    let pulled = tokio::time::timeout(Duration::from_millis(1500), source.pull(&mut demand)).await;
    assert!(pulled.is_err(), "nothing comes of it");
}

#[tokio::test]
async fn a_refusal_stops_every_request() {
    let tries = ["403 Forbidden", "429 Too Many Requests"].map(|status| async move {
        let server = Server::start(move |_, _| answer(status, "", "<html>")).await;
        let resources = resources_at(&checkpoint(41, &[7])).await;
        let factory = factory(&server.url(), &resources);
        let mut source = source(&factory).await;
        nothing_comes(&mut *source, || !server.requests().is_empty()).await;
        assert_eq!(server.requests().len(), 1, "{status}");
    });
    futures::future::join_all(tries).await;
}

#[tokio::test]
async fn a_number_without_a_file_is_passed_when_the_sequence_names_a_greater_one() {
    let server = Server::start(|path, _| match path {
        "/ephemeral/41.json" => not_found(),
        SEQUENCE => ok(r#"{"sequence":43}"#),
        _ => ok(&package(42)),
    })
    .await;
    let resources = resources_at(&checkpoint(41, &[])).await;
    let factory = factory(&server.url(), &resources);
    let mut source = source(&factory).await;
    assert_eq!(take(&mut *source, 1).await.iter().map(body).collect::<Vec<_>>(), [package(42)]);
    assert_eq!(server.paths(), [file(41), SEQUENCE.to_owned(), file(42)]);
    source.close().await;
    let stored = resources.store.checkpoint("zkillboard/test").await.unwrap().unwrap();
    assert!(stored.contains(r#""sequence":42,"#) && stored.contains(r#""missing":[41]"#), "{stored}");
}

#[tokio::test]
async fn where_neither_a_file_nor_a_greater_number_is_nothing_more_is_asked_for_at_once() {
    let sequence = |path: &str, _| if path == SEQUENCE { ok(r#"{"sequence":40}"#) } else { not_found() };
    let server = Server::start(sequence).await;
    let resources = resources_at(&checkpoint(41, &[])).await;
    let factory = factory(&server.url(), &resources);
    let mut source = source(&factory).await;
    nothing_comes(&mut *source, || server.paths().len() >= 2).await;
    assert_eq!(server.paths(), [file(41), SEQUENCE.to_owned()]);
}

#[tokio::test]
async fn placeholders_are_skipped_and_updated_files_read_again() {
    let server = Server::start(|path, _| match path {
        "/ephemeral/41.json" => ok(r#"{"killmail_id":null,"hash":null,"esi":null,"zkb":{"href":"/killmails///"}}"#),
        "/ephemeral/42.json" => ok(r#"{"killmail_id":42,"hash":"ab","esi":{},"sequence_updated":7}"#),
        "/ephemeral/7.json" => ok(&package(7)),
        _ => ok(&package(43)),
    })
    .await;
    let resources = resources_at(&checkpoint(41, &[])).await;
    let factory = factory(&server.url(), &resources);
    let mut source = source(&factory).await;
    let messages = take(&mut *source, 3).await;
    let found: Vec<_> = messages.iter().map(|message| (message.payload.revises, body(message))).collect();
    assert!(found.contains(&(true, package(7))), "{found:?}");
    assert_eq!(found.iter().filter(|(revises, _)| *revises).count(), 1);
}

#[tokio::test]
async fn a_slow_file_comes_whole_and_a_dropped_pull_neither_loses_nor_repeats_a_request() {
    let whole = package(41);
    let (start, end, length) = (whole[..20].to_owned(), whole[20..].to_owned(), whole.len());
    let server = Server::start(move |_, _| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{start}");
        vec![Step::Raw(head), Step::Pause(Duration::from_millis(400)), Step::Raw(end.clone())]
    })
    .await;
    let resources = resources_at(&checkpoint(41, &[])).await;
    let factory = factory(&server.url(), &resources);
    let mut source = source(&factory).await;
    let mut found = Vec::new();
    while found.is_empty() {
        let mut demand = Demand::of(10);
        // Far too short on purpose: most of these pulls are dropped half way.
        let _ = tokio::time::timeout(Duration::from_millis(2), source.pull(&mut demand)).await;
        found.extend(demand.into_messages().iter().map(body));
    }
    assert_eq!((found, server.paths()), (vec![package(41)], vec![file(41)]));
}

#[tokio::test]
async fn nothing_is_read_while_nobody_pulls() {
    let server = Server::start(|_, _| ok(&package(41))).await;
    let resources = resources_at(&checkpoint(41, &[])).await;
    let factory = factory(&server.url(), &resources);
    let mut source = source(&factory).await;
    assert_eq!(pull(&mut *source, 100).await.len(), 1);
    let _ = tokio::time::timeout(Duration::from_millis(400), std::future::pending::<()>()).await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_interrupted_pull_returns_and_a_closed_source_is_finished() {
    let server = Server::start(|_, _| vec![Step::Pause(crate::PATIENCE)]).await;
    let resources = resources().await;
    let factory = factory(&server.url(), &resources);
    contract::source_is_interruptible(&factory).await;
    let mut source = source(&factory).await;
    source.close().await;
    let flow = source.pull(&mut Demand::of(1)).await.expect("no error");
    assert_eq!(flow, broadside_engine::Flow::Finished);
}

#[test]
fn definitions_read_as_documented() {
    use broadside::sources::zkillboard::Config;
    let config: Config = serde_json::from_str(r#"{"kept":"12h"}"#).unwrap();
    assert_eq!((config.url.as_str(), config.kept.0.as_secs()), ("https://r2z2.zkillboard.com", 12 * 3600));
    assert!(serde_json::from_str::<Config>(r#"{"urll":"x"}"#).is_err());
    assert!(config.check(None).unwrap_err().contains("BROADSIDE_CONTACT"));
    assert!(Config { url: String::new(), ..config.clone() }.check(None).unwrap_err().contains("ZKILLBOARD_URL"));
    assert!(Config { kept: "1s".parse().unwrap(), ..config }.check(Some("me@example.com")).is_err());
}

#[tokio::test]
async fn a_pull_that_is_called_back_returns() {
    let server = Server::start(|_, _| not_found()).await;
    let resources = resources_at(&checkpoint(41, &[])).await;
    broadside_engine::testing::contract::source_is_interruptible(&factory(&server.url(), &resources)).await;
}
