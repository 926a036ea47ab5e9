//! What is told of kills, in both forms.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::killmail::{ConstellationId, RegionId};
use crate::statics::System;
use crate::store::NewAlert;

fn statics() -> Statics {
    let mut statics = Statics::default();
    let (system_id, constellation_id) = (SystemId::new(30_000_142).expect("an id"), ConstellationId::new(20_000_020));
    let region_id = RegionId::new(10_000_002).expect("an id");
    let constellation_id = constellation_id.expect("an id");
    let system = System { system_id, name: "Ji_ta".into(), constellation_id, region_id, security_status: 0.9 };
    statics.systems.insert(system_id, system);
    statics
}

fn alert(id: i64) -> Alert {
    let of = NewAlert {
        event_id: Some(id + 1000),
        killmail_id: KillmailId::new(id).expect("an id"),
        killmail_time: time(),
        profile_id: ProfileId::new(7).expect("an id"),
        target: TargetId::new(50).expect("an id"),
    };
    Alert { alert_id: id, of, created_at: time() }
}

fn time() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

fn kill(id: i64) -> ToldKill {
    ToldKill {
        killmail_id: KillmailId::new(id).expect("an id"),
        killmail_time: time(),
        system_id: SystemId::new(30_000_142).expect("an id"),
        ship_type_id: TypeId::new(587),
        attacker_count: 3,
        total_value: Some(123_456_789_012_345),
        destroyed_value: Some(100),
        dropped_value: Some(5),
        fitted_value: None,
        module_tags: vec!["T2".to_owned()],
        labels: vec!["loc:highsec".to_owned()],
        source: "file".to_owned(),
        payload: format!(
            r#"{{"killmail_id":{id},"killmail_time":"2026-01-02T03:04:05Z","solar_system_id":30000142,
                "victim":{{"damage_taken":1,"ship_type_id":587}},"attackers":[]}}"#
        ),
    }
}

fn parcel(ids: std::ops::Range<i64>, is_digest: bool) -> Parcel {
    let profile_id = ProfileId::new(7).expect("an id");
    Parcel { profile_id, is_digest, alerts: ids.map(alert).collect(), sent: 0 }
}

fn told(
    format: Format,
    name: &str,
    parcel: &Parcel,
    kills: impl Iterator<Item = ToldKill>,
) -> Option<(Message, Value)> {
    let kills: HashMap<_, _> = kills.map(|kill| (kill.killmail_id, kill)).collect();
    let (target, statics) = (TargetId::new(50).expect("an id"), statics());
    let message = compose(format, &Content { name, target, parcel, kills: &kills, statics: &statics })?;
    let body = serde_json::from_str(&message.body).expect("JSON");
    Some((message, body))
}

#[test]
fn a_match_says_all_that_is_known_of_the_kill() {
    let parcel = parcel(5..6, false);
    let (message, body) = told(Format::Json, "Ti\"tans", &parcel, [kill(5)].into_iter()).expect("a message");
    assert!(message.body.contains(r#""total":1234567890123.45,"destroyed":1.00,"dropped":0.05,"fitted":null"#));
    let killmail = body["killmail"].clone();
    assert_eq!((&killmail["killmail_id"], &killmail["victim"]["ship_type_id"]), (&json!(5), &json!(587)));
    let mut rest = body;
    rest.as_object_mut().expect("an object").retain(|key, _| !["killmail", "values"].contains(&key.as_str()));
    let expected = json!({
        "type": "match", "event_id": 1005, "profile": { "id": 7, "name": "Ti\"tans" }, "tags": ["T2"], "labels": ["loc:highsec"],
        "system": { "id": 30_000_142, "name": "Ji_ta" }, "ship": { "id": 587, "name": null }, "url": "https://zkillboard.com/kill/5/",
    });
    assert_eq!(rest, expected);
    assert_eq!((message.covers, message.key.as_str()), (1, "match-7-5-50"));
}

#[test]
fn a_digest_lists_every_kill_also_those_of_which_nothing_is_known() {
    let parcel = Parcel { sent: 3, ..parcel(5..8, true) };
    let (message, body) = told(Format::Json, "Titans", &parcel, [kill(5), kill(7)].into_iter()).expect("a message");
    assert_eq!((&body["type"], &body["count"], &body["from"]), (&json!("digest"), &json!(6), &json!(3)));
    let kills = body["kills"].as_array().expect("a list");
    let ids: Vec<_> = kills.iter().map(|kill| (kill["event_id"].as_i64(), kill["killmail_id"].as_i64())).collect();
    assert_eq!(ids, [(Some(1005), Some(5)), (Some(1006), Some(6)), (Some(1007), Some(7))]);
    assert_eq!((&kills[0]["system"]["name"], &kills[1]["system"]), (&json!("Ji_ta"), &Value::Null));
    assert_eq!(kills[0]["killmail_time"], "2026-01-02T03:04:05Z");
    assert!(message.body.contains(r#""value":1234567890123.45"#));
    assert_eq!((message.covers, message.key.as_str()), (3, "digest-7-5-7-3-50"));
}

#[test]
fn of_a_kill_that_is_gone_nothing_is_told() {
    for format in [Format::Json, Format::Discord] {
        assert_eq!(told(format, "Titans", &parcel(5..6, false), std::iter::empty()), None);
    }
}

#[test]
fn discord_shows_names_as_they_are_and_mentions_nobody() {
    let mut kill = kill(5);
    kill.module_tags = vec!["*T2*".to_owned(), "@everyone".to_owned(), "<@123>".to_owned()];
    let name = "**@everyone** [x](https://evil.example)\u{202e}\u{7}";
    let (_, body) = told(Format::Discord, name, &parcel(5..6, false), [kill].into_iter()).expect("a message");
    assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
    let embed = &body["embeds"][0];
    assert_eq!(
        (&embed["title"], &embed["url"]),
        (&json!("Type 587 in Ji\\_ta"), &json!("https://zkillboard.com/kill/5/"))
    );
    assert_eq!(embed["fields"][0]["value"], "1.23T ISK");
    assert_eq!(embed["fields"][2]["value"], "\\*T2\\*, \\@everyone, \\<\\@123\\>");
    assert_eq!(embed["footer"]["text"], "**@everyone** [x](https://evil.example)", "a footer has no Markdown");
    assert!(body.get("content").is_none());
}

#[test]
fn discords_limits_are_held_whatever_names_there_are() {
    let length = |value: &Value| value.as_str().unwrap_or_default().encode_utf16().count();
    let mut kill = kill(5);
    kill.module_tags = (0..300).map(|n| format!("*tag {n}* 𝕏")).collect();
    kill.labels = vec!["\\_".repeat(2000)];
    let name = "𝕏*".repeat(500);
    let (_, body) = told(Format::Discord, &name, &parcel(5..6, false), [kill].into_iter()).expect("a message");
    let embed = &body["embeds"][0];
    assert!(length(&embed["title"]) <= 256 && length(&embed["footer"]["text"]) <= 256);
    let fields = embed["fields"].as_array().expect("a list");
    assert!(fields.iter().all(|field| length(&field["value"]) <= 1024));
    let all: usize = fields.iter().map(|field| length(&field["value"]) + length(&field["name"])).sum();
    assert!(all + length(&embed["title"]) + length(&embed["footer"]["text"]) <= 6000);
    let cut = fields[3]["value"].as_str().expect("a text");
    assert!(cut.ends_with("\\_…") || cut.ends_with("\\\\…"), "in no half of an escape: {}", &cut[cut.len() - 9..]);
}

#[test]
fn a_digest_for_discord_takes_as_many_messages_as_it_needs_and_each_kill_is_in_one() {
    let whole = parcel(1_000_000_001..1_000_000_401, true);
    let (mut left, mut sent, mut listed, mut titles) = (whole.alerts.clone(), 0, Vec::new(), Vec::new());
    while !left.is_empty() {
        let part = Parcel { alerts: left.clone(), sent, ..whole.clone() };
        let kills = left.iter().map(|alert| kill(alert.of.killmail_id.get()));
        let (message, body) = told(Format::Discord, "Titans", &part, kills).expect("a message");
        let embed = &body["embeds"][0];
        let list = embed["description"].as_str().expect("a text");
        assert!(list.encode_utf16().count() <= 4096);
        assert_eq!(list.lines().count(), message.covers);
        let id = |line: &str| line.trim_start_matches('[').split(']').next().and_then(|id| id.parse::<i64>().ok());
        listed.extend(list.lines().filter_map(id));
        titles.push(embed["title"].as_str().unwrap_or_default().to_owned());
        left.drain(..message.covers);
        sent += message.covers;
    }
    assert_eq!(listed, (1_000_000_001..1_000_000_401).collect::<Vec<_>>());
    assert!(titles.len() > 3 && titles[0].starts_with("400 more kills: 1 to "), "{titles:?}");
    assert!(titles.last().is_some_and(|title| title.ends_with(" to 400")), "{titles:?}");
}
