//! What the engine relies on.

use std::time::Duration;

use broadside::killmail::Kill;
use broadside::killmail::sample::Sampler;
use broadside::sources::wanderer::Config;
use broadside_engine::{Demand, Source};

use crate::server::{HEAD, Server, Step, stream};
use crate::{PATIENCE, bodies, body, config, pull, source};

#[tokio::test]
async fn a_pull_gives_what_is_there_and_never_more_than_asked_for() {
    let text: String = (0..100).map(|n| format!("data: {n}\n\n")).collect();
    let server = Server::start(vec![stream([text])]).await;
    let mut source = source(&config(&server.url())).await;
    let mut found = Vec::new();
    for room in [1, 7, 50, 1000] {
        let messages = pull(&mut *source, room).await;
        found.extend(messages.iter().map(body));
    }
    assert_eq!(found, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn kills_that_came_one_by_one_are_taken_together() {
    let chunks: String = (0..100).map(|n| format!("c\r\ndata: {n:04}\n\n\r\n")).collect();
    let script = vec![Step::Raw(HEAD.into()), Step::Raw(chunks.into()), Step::Hold];
    let server = Server::start(vec![script]).await;
    let mut source = source(&config(&server.url())).await;
    let (mut pulls, mut found) = (0, 0);
    while found < 100 {
        found += pull(&mut *source, 1000).await.len();
        pulls += 1;
    }
    assert!(pulls < 50, "{pulls} pulls for 100 kills that were there");
}

#[tokio::test]
async fn a_batch_larger_than_the_demand_waits_for_the_next() {
    let server = Server::start(vec![stream(["event: batch\ndata: {\"kills\":[1,2,3]}\n\ndata: 4\n\n"])]).await;
    let mut source = source(&config(&server.url())).await;
    assert_eq!(pull(&mut *source, 2).await.iter().map(body).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(bodies(&mut *source, 2).await, ["3", "4"]);
}

#[tokio::test]
async fn a_dropped_pull_loses_nothing() {
    let script = vec![
        Step::Raw(HEAD.into()),
        Step::Chunk(b"data: 1\n\nda".to_vec()),
        Step::Pause(Duration::from_millis(300)),
        Step::Chunk(b"ta: 2\n\n".to_vec()),
        Step::Hold,
    ];
    let server = Server::start(vec![script]).await;
    let mut source = source(&config(&server.url())).await;
    let mut found = Vec::new();
    let end = std::time::Instant::now() + PATIENCE;
    while found.len() < 2 && std::time::Instant::now() < end {
        let mut demand = Demand::of(10);
        // Far too short on purpose: most of these pulls are dropped half way.
        let _ = tokio::time::timeout(Duration::from_millis(1), source.pull(&mut demand)).await;
        found.extend(demand.into_messages().iter().map(body));
    }
    assert_eq!(found, ["1", "2"]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn without_demand_the_server_cannot_send() {
    let kill = format!("data: {}\n\n", "x".repeat(4000));
    let server = Server::start(vec![vec![Step::Raw(HEAD.into()), Step::Flood(kill.into())]]).await;
    let mut source = source(&config(&server.url())).await;
    pull(&mut *source, 1).await;
    let written = tokio::time::timeout(PATIENCE, server.flooded()).await.expect("the server is held up");
    // What lies between: the two sockets' buffers and one read.
    assert!(written < 16 * 1024 * 1024, "{written} bytes went out");
}

#[tokio::test]
async fn a_kill_says_where_it_comes_from_and_that_it_cannot_come_again() {
    let server = Server::start(vec![stream(["data: 1\n\n"])]).await;
    let before = jiff::Timestamp::now();
    let mut source = source(&config(&server.url())).await;
    let kill = &pull(&mut *source, 1).await[0].payload;
    assert_eq!((kill.source, kill.redelivers), ("wanderer", false));
    assert!(kill.received_at >= before && kill.mail.is_none());
}

#[tokio::test]
async fn an_interrupted_pull_returns() {
    let server = Server::start(vec![stream([""; 0])]).await;
    let factory = config(&server.url()).factory("test", None).expect("a definition that works");
    broadside_engine::testing::contract::source_is_interruptible(&factory).await;
}

#[tokio::test]
async fn a_closed_source_is_finished() {
    let server = Server::start(vec![stream(["data: 1\n\n"])]).await;
    let mut source = source(&config(&server.url())).await;
    source.close().await;
    let flow = source.pull(&mut Demand::of(1)).await.expect("no error");
    assert_eq!(flow, broadside_engine::Flow::Finished);
}

#[test]
fn definitions_read_as_documented() {
    let text = r#"{"url":"http://localhost","stream":"enhanced","idle_timeout":"30s"}"#;
    let config: Config = serde_json::from_str(text).expect("a definition");
    assert_eq!(config.idle_timeout.0, Duration::from_secs(30));
    assert!(serde_json::from_str::<Config>(r#"{"urll":"x"}"#).is_err());
    let refused = |config: Config| config.factory("test", None).expect_err("refused");
    assert_eq!(refused(Config::default()), "connect without a url: set WANDERER_URL");
    assert!(
        refused(Config { url: "https://kills.example.com".into(), ..Config::default() }).contains("BROADSIDE_CONTACT")
    );
    assert!(refused(Config { idle_timeout: "10ms".parse().expect("a duration"), ..config }).contains("idle_timeout"));
}

const RUBBISH: &str = "{\"killmail_id\":7";

/// Probes, none of which succeeds, until there is something else than rubbish; answers it and how often there was rubbish.
async fn probe(source: &mut dyn Source<Kill>) -> (String, usize) {
    for failed in 0.. {
        let mut demand = Demand::of(1).distrustful();
        tokio::time::timeout(PATIENCE, source.pull(&mut demand)).await.expect("in time").expect("no error");
        let bodies: Vec<_> = demand.into_messages().iter().map(body).collect();
        if bodies.iter().any(|body| body != RUBBISH) {
            return (bodies.concat(), failed);
        }
    }
    unreachable!("it goes on until there is something else")
}

#[tokio::test]
async fn while_probes_fail_rubbish_that_has_piled_up_is_passed_over_up_to_the_next_kill() {
    let mut sampler = Sampler::new(9);
    let mut kill = || sampler.next("2026-02-03T04:05:06Z".parse().expect("a time")).feed_json();
    let (first, second, third) = (kill(), kill(), kill());
    let frames = |bodies: &[&str]| bodies.iter().map(|body| format!("data: {body}\n\n")).collect::<String>();
    let chunks = [[RUBBISH; 3000].as_slice(), &[&first, &second], &[RUBBISH; 3000], &[&third]].map(frames);
    let server = Server::start(vec![stream(chunks)]).await;
    let mut source = source(&config(&server.url())).await;

    let (found, failed) = probe(&mut *source).await;
    assert_eq!(found, first);
    assert!(failed < 1000, "{failed} of 3000 were tried");
    assert_eq!(probe(&mut *source).await, (second, 0), "no kill is passed over");
    assert_eq!(bodies(&mut *source, 1).await, [RUBBISH], "as soon as a probe succeeds nothing is passed over");
    let (found, failed) = probe(&mut *source).await;
    assert_eq!(found, third);
    assert!(failed < 1000, "{failed} of 3000 were tried");
}
