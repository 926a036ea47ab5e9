//! The stage: what it does with unknown types and systems, and without static data.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broadside::duration::Span;
use broadside::killmail::{Kill, Killmail, SystemId, Zkb};
use broadside::resources::Resources;
use broadside::stages::tag::{Config, Tag};
use broadside::store::{Options, connect};
use broadside_engine::{Message, Stage, testing::contract};

use crate::server::{Reply, Request, Server};
use crate::world::{kill, lost, player, statics};

fn message(mail: Killmail) -> Kill {
    let mut kill = Kill::new("{}".into(), "test", "2026-02-03T12:00:00Z".parse().unwrap(), true);
    kill.mail = Some(Arc::new(mail));
    kill
}

async fn resources(with_statics: bool) -> Resources {
    let store = connect("sqlite::memory:", &Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    let resources = Resources::new(store);
    if with_statics {
        resources.statics.put(statics());
    }
    resources
}

fn stage(resources: &Resources, url: &str, max_wait: Span) -> Tag {
    Config { url: url.to_owned(), max_wait, ..Config::default() }.build("test", resources)
}

/// Knows type 700, of a group of its own, and system 30,000,700; takes its time for type 702.
async fn esi() -> Server {
    Server::start(|request: &Request, _| {
        let path = request.path().to_owned();
        let has = |what: &str| path.contains(what);
        let body = if has("/universe/types/700") {
            r#"{"type_id":700,"name":"New","description":"","group_id":7000,"published":true,"mass":5e6,"dogma_effects":[]}"#
        } else if has("/universe/groups/7000") {
            r#"{"group_id":7000,"name":"News","category_id":7,"published":true,"types":[700]}"#
        } else if has("/universe/systems/30000700") {
            r#"{"system_id":30000700,"name":"Far","constellation_id":20000700,"security_status":0.5,"position":{"x":0,"y":0,"z":0}}"#
        } else if has("/universe/constellations/20000700") {
            r#"{"constellation_id":20000700,"name":"Fars","region_id":10000700,"systems":[30000700],"position":{"x":0,"y":0,"z":0}}"#
        } else if has("/universe/types/702") {
            return Reply::new(200, "{}").slow(Duration::from_secs(600));
        } else {
            return Reply::new(404, r#"{"error":"not found"}"#);
        };
        Reply::new(200, body)
    })
    .await
}

async fn run(stage: &Tag, mails: Vec<Killmail>) -> Vec<Kill> {
    let mut messages: Vec<_> = mails.into_iter().map(|mail| Message::new(message(mail))).collect();
    stage.process(&mut messages).await;
    assert!(messages.iter().all(Message::is_active));
    messages.into_iter().map(|message| message.payload).collect()
}

#[tokio::test]
async fn the_stage_keeps_the_contract() {
    let stage = stage(&resources(true).await, "http://127.0.0.1:1", Span::from_secs(1));
    let kills = || (1..8).map(|ship| message(lost(ship, &[(27, 101), (19, 105)]))).collect();
    contract::stage(&stage, kills, |message| message.payload.tagged.clone()).await;
}

#[tokio::test]
async fn what_static_data_lack_is_learned_from_esi_once_and_the_kill_is_whole() {
    let (resources, server) = (resources(true).await, esi().await);
    let stage = stage(&resources, &server.url(), Span::from_secs(100));
    let mut mail = lost(1, &[(27, 700), (28, 101)]);
    mail.solar_system_id = SystemId::new(30_000_700).unwrap();
    let kills = run(&stage, vec![mail.clone(), mail.clone()]).await;
    for kill in &kills {
        let tagged = kill.tagged.as_ref().unwrap();
        assert!(tagged.is_whole && !kill.refresh);
        assert_eq!((tagged.region_id, tagged.system_class), (Some(10_000_700), Some("highsec")));
        assert_eq!(tagged.module_tags.join(", "), "High, Hybrid, T1, T2");
    }
    let asked = server.count();
    assert!(run(&stage, vec![mail]).await[0].tagged.as_ref().unwrap().is_whole);
    assert_eq!((asked, server.count()), (4, 4), "a type, its group, a system, its constellation");
}

#[tokio::test]
async fn what_esi_does_not_know_either_leaves_a_kill_whole() {
    let (resources, server) = (resources(true).await, esi().await);
    let stage = stage(&resources, &server.url(), Span::from_secs(100));
    let kills = run(&stage, vec![lost(701, &[]), lost(1, &[])]).await;
    assert!(kills.iter().all(|kill| kill.tagged.as_ref().unwrap().is_whole && !kill.refresh));
    assert_eq!(kills[0].tagged.as_ref().unwrap().ship_class, None);
}

#[tokio::test]
async fn a_slow_esi_holds_a_kill_up_no_longer_than_it_may_and_marks_it() {
    let (resources, server) = (resources(true).await, esi().await);
    let stage = stage(&resources, &server.url(), "100ms".parse().unwrap());
    let started = Instant::now();
    let kills = run(&stage, vec![lost(702, &[(27, 101)]), lost(1, &[])]).await;
    assert!(started.elapsed() < Duration::from_secs(300), "far less than the answer takes");
    assert_eq!((kills[0].refresh, kills[1].refresh), (true, false));
    let tagged = kills[0].tagged.as_ref().unwrap();
    assert!(!tagged.is_whole && kills[1].tagged.as_ref().unwrap().is_whole);
    assert_eq!(tagged.module_tags.join(", "), "High, Hybrid, T2", "what can be said is said");
}

#[tokio::test]
async fn without_any_import_esi_is_not_asked_and_kills_are_tagged_in_part() {
    let (resources, server) = (resources(false).await, esi().await);
    let stage = stage(&resources, &server.url(), Span::from_secs(100));
    let kills = run(&stage, vec![lost(1, &[(27, 101)])]).await;
    let tagged = kills[0].tagged.as_ref().unwrap();
    assert!(!tagged.is_whole && !kills[0].refresh && !tagged.npc);
    assert_eq!((tagged.module_tags.join(", "), tagged.solo), ("High".to_owned(), None));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn static_data_that_come_later_serve_from_the_next_group_on() {
    let resources = resources(false).await;
    let stage = stage(&resources, "http://127.0.0.1:1", Span::from_secs(1));
    assert!(!run(&stage, vec![lost(1, &[])]).await[0].tagged.as_ref().unwrap().is_whole);
    resources.statics.put(statics());
    assert!(run(&stage, vec![lost(1, &[])]).await[0].tagged.as_ref().unwrap().is_whole);
}

#[tokio::test]
async fn a_kill_that_was_not_decoded_passes_untouched() {
    let stage = stage(&resources(true).await, "http://127.0.0.1:1", Span::from_secs(1));
    let mut messages = vec![Message::new(Kill { mail: None, ..message(lost(1, &[])) })];
    stage.process(&mut messages).await;
    assert!(messages[0].is_active() && messages[0].payload.tagged.is_none());
}

#[tokio::test]
async fn where_the_feed_says_otherwise_the_rules_hold() {
    let stage = stage(&resources(true).await, "http://127.0.0.1:1", Span::from_secs(1));
    let zkb = Zkb {
        npc: Some(true),
        solo: Some(false),
        awox: Some(true),
        points: Some(99),
        labels: vec!["npc".to_owned(), "#:1".to_owned()],
        ..Zkb::default()
    };
    let mail = Killmail { zkb: Some(zkb), ..kill(1, vec![player(1, 3)]) };
    let kill = run(&stage, vec![mail]).await.remove(0);
    let tagged = kill.tagged.unwrap();
    assert_eq!((tagged.npc, tagged.solo, tagged.awox, tagged.points), (false, Some(true), Some(false), Some(1)));
    assert_eq!(tagged.labels.join(" "), "cat:6 loc:lowsec pvp solo tz:au");
}
