//! The stages, through the engine's contract and by what they do to messages.

use broadside::killmail::sample::Sampler;
use broadside::killmail::{Kill, ProfileId};
use broadside::profile::Filter;
use broadside::recent::RecentKills;
use broadside::stages::r#match::Matcher;
use broadside::stages::{decode, deduplicate};
use broadside::surveillance::{Surveillance, Watched};
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

fn watching(profiles: &[(i64, &str)]) -> Arc<Surveillance> {
    let surveillance = Surveillance::default();
    let watched = |(id, filter): &(i64, &str)| Watched {
        profile_id: ProfileId::new(*id).unwrap(),
        name: "a profile".into(),
        filter: Filter::parse(filter).unwrap(),
        targets: Arc::default(),
    };
    surveillance.put(profiles.iter().map(watched).collect());
    Arc::new(surveillance)
}

const ALWAYS: &str = r#"{"field": "attacker_count", "operator": "gte", "value": 1}"#;
const NEVER: &str = r#"{"field": "attacker_count", "operator": "lt", "value": 0}"#;
const MANY: &str = r#"{"field": "attacker_count", "operator": "gt", "value": 5}"#;

async fn decoded() -> Vec<Message<Kill>> {
    let mut messages: Vec<_> = kills().into_iter().map(Message::new).collect();
    decode::Config::default().build("test").process(&mut messages).await;
    messages
}

#[tokio::test]
async fn match_keeps_the_contract() {
    let decoded = decoded().await;
    let kills = || decoded.iter().map(|message| message.payload.clone()).collect();
    let stage = Matcher::new(watching(&[(9, ALWAYS), (4, MANY)]));
    contract::stage(&stage, kills, |message| message.payload.matches.clone()).await;
}

#[tokio::test]
async fn match_notes_the_profiles_that_match_in_the_order_of_their_ids() {
    let matcher = Matcher::new(watching(&[(9, ALWAYS), (7, NEVER), (4, MANY)]));
    let mut messages = decoded().await;
    matcher.process(&mut messages).await;
    for message in &messages[..20] {
        let kill = &message.payload;
        let is_large = kill.mail.as_ref().unwrap().attackers.len() > 5;
        let expected: &[i64] = if is_large { &[4, 9] } else { &[9] };
        let matches: Vec<i64> = kill.matches.as_ref().unwrap().iter().map(|id| id.get()).collect();
        assert_eq!(matches, expected);
    }
    assert!(messages[20..].iter().all(|message| message.payload.matches.is_none()), "they were not decoded");
}

#[tokio::test]
async fn a_kill_that_nobody_watches_for_is_known_to_match_nothing() {
    let mut messages = decoded().await;
    Matcher::new(Arc::default()).process(&mut messages).await;
    assert!(messages[..20].iter().all(|message| message.payload.matches.as_ref().is_some_and(|some| some.is_empty())));
    assert!(messages[20..].iter().all(|message| message.payload.matches.is_none()));
}

#[tokio::test]
async fn match_takes_up_profiles_while_it_works() {
    let surveillance = watching(&[(9, ALWAYS)]);
    let matcher = Matcher::new(surveillance.clone());
    let mut messages = decoded().await;
    matcher.process(&mut messages).await;
    surveillance.remove(&[ProfileId::new(9).unwrap()]);
    matcher.process(&mut messages[1..]).await;
    assert_eq!(messages[0].payload.matches.as_ref().unwrap().len(), 1);
    assert!(messages[1].payload.matches.as_ref().unwrap().is_empty());
}
