//! The stages, through the engine's contract and by what they do to messages.

use broadside::killmail::Kill;
use broadside::killmail::sample::Sampler;
use broadside::recent::RecentKills;
use broadside::stages::{decode, deduplicate};
use broadside_engine::{Message, Outcome, Stage, testing::contract};
use bytes::Bytes;
use jiff::Timestamp;
use std::sync::Arc;

fn kills() -> Vec<Kill> {
    let now: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
    let mut sampler = Sampler::new(5);
    let mut texts: Vec<String> = (0..20).map(|_| sampler.next(now).package_json()).collect();
    texts.push("{\"killmail_id\": \"x\"}".to_owned());
    texts.push(String::new());
    texts.into_iter().map(|text| Kill::new(Bytes::from(text), "test", now, false)).collect()
}

#[tokio::test]
async fn decode_keeps_the_contract() {
    let stage = decode::Config::default().build("test");
    contract::stage(&stage, kills, |message| {
        (message.payload.mail.clone(), message.failure().map(|failure| failure.error.clone()))
    })
    .await;
}

#[tokio::test]
async fn decode_fails_what_it_cannot_read_and_keeps_its_bytes() {
    let stage = decode::Config::default().build("test");
    let mut messages: Vec<_> = kills().into_iter().map(Message::new).collect();
    stage.process(&mut messages).await;
    assert!(messages[..20].iter().all(|message| message.is_active() && message.payload.mail.is_some()));
    let failure = messages[20].failure().unwrap();
    assert_eq!(failure.error, "killmail_id: expected an integer, found a string");
    assert_eq!(failure.class, broadside_engine::Class::Invalid);
    assert_eq!(&messages[20].payload.raw[..], b"{\"killmail_id\": \"x\"}");
}

#[tokio::test]
async fn deduplicate_filters_the_second_copy_also_within_one_group() {
    let recent = Arc::new(RecentKills::default());
    let decode = decode::Config::default().build("test");
    let deduplicate = deduplicate::Config::default().build(recent.clone());
    let mut messages: Vec<_> =
        kills().into_iter().take(20).chain(kills().into_iter().take(20)).map(Message::new).collect();
    decode.process(&mut messages).await;
    deduplicate.process(&mut messages).await;
    let filtered: Vec<_> = messages.iter().map(|message| message.outcome() == Outcome::Filtered).collect();
    assert_eq!(filtered, [[false; 20], [true; 20]].concat());
    assert_eq!((recent.stats().hits, recent.stats().misses, recent.len()), (20, 20, 20));
}

#[tokio::test]
async fn a_set_capacity_bounds_the_shared_memory() {
    let recent = Arc::new(RecentKills::default());
    let config = deduplicate::Config { capacity: std::num::NonZeroUsize::new(5) };
    let stage = config.build(recent.clone());
    let mut messages: Vec<_> = kills().into_iter().take(20).map(Message::new).collect();
    decode::Config::default().build("test").process(&mut messages).await;
    stage.process(&mut messages).await;
    assert_eq!((recent.len(), recent.stats().evictions), (5, 15));
}
