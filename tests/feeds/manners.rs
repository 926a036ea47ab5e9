//! How the source behaves towards a server that refuses, breaks off, falls silent or sends it elsewhere.

use std::time::Duration;

use broadside::sources::wanderer::Config;

use crate::server::{HEAD, Server, Step, answer, cut, stream};
use crate::{bodies, config, enhanced, source};

const KILL: &str = "data: {\"killmail_id\":1}\n\n";

async fn gaps(scripts: Vec<crate::server::Script>, count: usize) -> (Server, Vec<String>) {
    let server = Server::start(scripts).await;
    let mut source = source(&config(&server.url())).await;
    let found = bodies(&mut *source, count).await;
    (server, found)
}

#[tokio::test(start_paused = true)]
async fn it_waits_longer_after_each_failure_in_a_row() {
    let gone = cut([""; 0]);
    let (server, _) = gaps(vec![gone.clone(), gone, stream([KILL])], 1).await;
    assert!(server.gap(1) >= Duration::from_secs(1), "{:?}", server.gap(1));
    assert!(server.gap(2) >= Duration::from_secs(2), "{:?}", server.gap(2));
}

#[tokio::test(start_paused = true)]
async fn a_retry_without_data_is_honoured() {
    let (server, _) = gaps(vec![cut(["retry: 1800\n\n"]), stream([KILL])], 1).await;
    assert!(server.gap(1) >= Duration::from_millis(1800), "{:?}", server.gap(1));
}

#[tokio::test(start_paused = true)]
async fn a_good_connection_is_followed_by_a_short_wait() {
    let gone = || cut([KILL]);
    let (server, _) = gaps(vec![gone(), gone(), gone(), stream([KILL])], 4).await;
    assert!(server.gap(3) < Duration::from_millis(1900), "{:?}", server.gap(3));
}

#[tokio::test(start_paused = true)]
async fn a_full_server_and_retry_after_are_respected() {
    let full = answer("503 Service Unavailable", "", r#"{"error":{"message":"too many"}}"#);
    let busy = answer("429 Too Many Requests", "retry-after: 3\r\n", "");
    let (server, _) = gaps(vec![busy, full, stream([KILL])], 1).await;
    assert!(server.gap(1) >= Duration::from_secs(3), "{:?}", server.gap(1));
    assert!(server.gap(2) >= Duration::from_secs(2), "{:?}", server.gap(2));
}

#[tokio::test(start_paused = true)]
async fn a_page_in_place_of_a_stream_is_no_kill() {
    let page = answer("200 OK", "content-type: text/html\r\n", "<html>data: 1\n\n");
    let (server, found) = gaps(vec![page, stream([KILL])], 1).await;
    assert_eq!(found, ["{\"killmail_id\":1}"]);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed() {
    let there = answer("302 Found", "location: /elsewhere\r\n", "");
    let (server, _) = gaps(vec![there, stream([KILL])], 1).await;
    assert!(server.requests()[1].head.starts_with("GET /elsewhere "));
}

#[tokio::test(start_paused = true)]
async fn redirects_in_a_circle_are_given_up_after_three() {
    let circle = || answer("302 Found", "location: /again\r\n", "");
    let (server, _) = gaps(vec![circle(), circle(), circle(), circle(), stream([KILL])], 1).await;
    assert_eq!(server.requests().len(), 5);
    assert!(server.gap(4) >= Duration::from_secs(1), "{:?}", server.gap(4));
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_made_anew() {
    let server = Server::start(vec![stream([KILL]), stream([KILL])]).await;
    let config = Config { idle_timeout: "1s".parse().expect("a duration"), ..config(&server.url()) };
    let mut source = source(&config).await;
    bodies(&mut *source, 2).await;
    assert!(server.gap(1) >= Duration::from_secs(2), "{:?}", server.gap(1));
}

#[tokio::test(start_paused = true)]
async fn a_comment_or_a_piece_of_a_frame_is_a_sign_of_life() {
    let mut script = vec![Step::Raw(HEAD.into())];
    for piece in [": ping\n\n", ": ping\n\n", "data: {\"killmail_id\"", ":1}", "\n\n"] {
        script.extend([Step::Pause(Duration::from_millis(600)), Step::Chunk(piece.into())]);
    }
    let server = Server::start(vec![script]).await;
    let config = Config { idle_timeout: "1s".parse().expect("a duration"), ..config(&server.url()) };
    let mut source = source(&config).await;
    assert_eq!(bodies(&mut *source, 1).await, ["{\"killmail_id\":1}"]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_request_says_who_asks_for_what() {
    let server = Server::start(vec![stream([KILL])]).await;
    let config = Config { system_ids: vec![30_000_142, 31_000_005], ..enhanced(&format!("{}/base/", server.url())) };
    let factory = config.factory("test", Some("ops@example.com")).expect("a definition");
    let mut source = broadside_engine::Factory::build(&factory, 0).await.expect("a source");
    bodies(&mut *source, 1).await;
    let head = server.requests()[0].head.to_ascii_lowercase();
    let first = "get /base/api/v1/kills/stream/enhanced?system_ids=30000142,31000005 http/1.1\r\n";
    assert!(head.starts_with(first), "{head}");
    assert!(head.contains("accept: text/event-stream\r\n"), "{head}");
    assert!(head.contains("(ops@example.com)\r\n") && head.contains("user-agent: broadside/"), "{head}");
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn an_id_from_the_server_is_echoed() {
    let first = cut(["id: 41\ndata: {\"killmail_id\":1}\n\n"]);
    let (server, _) = gaps(vec![first, stream([KILL])], 2).await;
    assert!(!server.requests()[0].head.contains("last-event-id"));
    assert!(server.requests()[1].head.contains("last-event-id: 41\r\n"));
}
