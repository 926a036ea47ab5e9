//! The stage that completes kills of the feed.

use std::sync::Arc;
use std::time::Duration;

use broadside::clients::esi::Esi;
use broadside::duration::Span;
use broadside::killmail::sample::{Sample, Sampler};
use broadside::killmail::{Form, Kill, wire};
use broadside::stages::{decode, detail};
use broadside_engine::{Class, Message, Stage, testing::contract};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::client::tokens;
use crate::server::{Reply, Request, Server};

fn now() -> Timestamp {
    "2026-02-03T04:05:06Z".parse().unwrap()
}

fn samples(count: usize) -> Vec<Sample> {
    let mut sampler = Sampler::new(11);
    (0..count).map(|_| sampler.next(now())).collect()
}

fn kill(text: String) -> Kill {
    Kill::new(Bytes::from(text), "test", now(), false)
}

/// Knows these kills.
async fn server(samples: Vec<Sample>) -> Server {
    Server::start(move |request: &Request, _| {
        let mut parts = request.path().split('/').skip(3);
        let (id, hash) = (parts.next().unwrap(), parts.next().unwrap());
        let found = samples.iter().find(|kill| kill.killmail_id.to_string() == id && kill.killmail_hash == hash);
        match found {
            Some(kill) => tokens(Reply::new(200, kill.esi_json()), 3_000),
            None => tokens(Reply::new(422, "{\"error\":\"Invalid killmail_id and/or killmail_hash\"}"), 3_000),
        }
    })
    .await
}

fn stage(url: &str, max_wait: Span) -> impl Stage<Kill> + use<> {
    let config = detail::Config { url: url.to_owned(), max_wait };
    config.build("test", Esi::new(url, None))
}

async fn run(stage: &dyn Stage<Kill>, kills: Vec<Kill>) -> Vec<Message<Kill>> {
    let mut messages: Vec<_> = kills.into_iter().map(Message::new).collect();
    decode::Config::default().build("test").process(&mut messages).await;
    stage.process(&mut messages).await;
    messages
}

#[tokio::test(start_paused = true)]
async fn a_kill_of_the_feed_ends_as_the_package_would_have_brought_it() {
    let samples = samples(200);
    let server = server(samples.clone()).await;
    let stage = stage(&server.url(), Span::from_secs(10));
    let messages = run(&stage, samples.iter().map(|sample| kill(sample.feed_json())).collect()).await;
    for (message, sample) in messages.iter().zip(&samples) {
        let kill = &message.payload;
        let direct = wire::decode(sample.package_json().as_bytes()).unwrap();
        assert_eq!(direct.form, Form::Package);
        assert_eq!(**kill.mail.as_ref().unwrap(), direct);
        assert_eq!(wire::decode(kill.body()).unwrap(), direct);
        assert_eq!(&kill.raw[..], sample.feed_json().as_bytes());
        assert!(message.is_active() && !kill.refresh);
    }
    assert_eq!(server.count(), samples.len());
}

#[tokio::test(start_paused = true)]
async fn esis_word_holds_and_zkillboards_block_is_taken_in_either_spelling() {
    let sample = samples(1).remove(0);
    let server = server(vec![sample.clone()]).await;
    let stage = stage(&server.url(), Span::from_secs(5));
    let feed = sample.feed_json();
    let snake = feed.replace("totalValue", "total_value").replace("locationID", "location_id");
    let elsewhen = feed.replace(&sample.killmail_time.to_string(), "2020-01-01T00:00:00Z");
    let direct = wire::decode(sample.package_json().as_bytes()).unwrap();
    for text in [snake, elsewhen, format!("{{\"package\":{feed}}}")] {
        let messages = run(&stage, vec![kill(text)]).await;
        assert_eq!(**messages[0].payload.mail.as_ref().unwrap(), direct);
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn whole_kills_pass_untouched_and_unasked() {
    let samples = samples(20);
    let server = server(Vec::new()).await;
    let stage = stage(&server.url(), Span::from_secs(2));
    let texts = samples.iter().flat_map(|sample| [sample.package_json(), sample.esi_json()]);
    let messages = run(&stage, texts.map(kill).collect()).await;
    assert!(messages.iter().all(|m| m.is_active() && m.payload.whole.is_none() && !m.payload.refresh));
    assert_eq!(server.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_kill_whose_detail_cannot_be_had_passes_as_it_is_to_be_completed_later() {
    let samples = samples(3);
    let sick = Server::start(|_, _| Reply::new(503, "<html>down</html>")).await;
    let slow = Server::start(|_, _| Reply::new(200, "{}").slow(Duration::from_secs(30))).await;
    for url in [sick.url(), slow.url(), "http://127.0.0.1:1".to_owned(), "https://no.contact.example".to_owned()] {
        let stage = stage(&url, Span::from_millis(300));
        let started = Instant::now();
        let messages = run(&stage, samples.iter().map(|sample| kill(sample.feed_json())).collect()).await;
        assert!(started.elapsed() <= Duration::from_millis(301), "{:?}", started.elapsed());
        for message in &messages {
            let kill = &message.payload;
            assert!(message.is_active() && kill.refresh && kill.whole.is_none());
            assert_eq!(kill.mail.as_ref().unwrap().form, Form::Feed);
        }
    }
    let hashless = samples[0].feed_json().replace(&samples[0].killmail_hash, "");
    let messages = run(&stage(&sick.url(), Span::from_millis(300)), vec![kill(hashless)]).await;
    assert!(messages[0].is_active() && !messages[0].payload.refresh, "there is nothing to complete it with");
}

#[tokio::test(start_paused = true)]
async fn a_hash_that_is_refused_three_times_fails_its_kill_alone() {
    let samples = samples(2);
    let server = server(vec![samples[1].clone()]).await;
    let stage = stage(&server.url(), Span::from_secs(10));
    let messages = run(&stage, samples.iter().map(|sample| kill(sample.feed_json())).collect()).await;
    let failure = messages[0].failure().unwrap();
    assert_eq!((failure.class, failure.detail("http_status")), (Class::Permanent, Some("422")));
    assert!(messages[1].is_active() && messages[1].payload.whole.is_some());
    assert_eq!(server.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn detail_keeps_the_contract() {
    let samples = samples(30);
    let server = Arc::new(server(samples.clone()).await);
    let stage = stage(&server.url(), Span::from_secs(10));
    let kills = || {
        let decoded = samples.iter().enumerate().map(|(n, sample)| {
            let text = if n % 3 == 0 { sample.package_json() } else { sample.feed_json() };
            let mail = wire::decode(text.as_bytes()).unwrap();
            Kill { mail: Some(Arc::new(mail)), ..kill(text) }
        });
        decoded.collect()
    };
    contract::stage(&stage, kills, |message| (message.payload.mail.clone(), message.payload.whole.clone())).await;
}
