//! What `wire::decode` takes, and what it says of what it does not take.

use broadside::killmail::sample::Sampler;
use broadside::killmail::wire::{self, Error, decode};
use broadside::killmail::{Form, Killmail};
use proptest::prelude::*;
use serde_json::{Value, json};

/// ESI's shape, with every field.
fn esi() -> Value {
    json!({
        "killmail_id": 1001, "killmail_time": "2026-01-02T03:04:05Z", "solar_system_id": 30000142, "moon_id": 40000001, "war_id": 7,
        "victim": {
            "character_id": 90000001, "corporation_id": 98000001, "alliance_id": 99000001, "faction_id": 500001,
            "ship_type_id": 587, "damage_taken": 5_000_000_000_i64, "position": {"x": 1.5, "y": -2, "z": 3e10},
            "items": [
                {"flag": 27, "item_type_id": 484, "quantity_destroyed": 1, "singleton": 0},
                {"flag": 5, "item_type_id": 3467, "quantity_dropped": 1, "singleton": 0,
                 "items": [{"flag": 0, "item_type_id": 34, "quantity_dropped": 9_000_000_000_i64, "singleton": 0}]},
            ],
        },
        "attackers": [
            {"character_id": 90000002, "corporation_id": 98000002, "ship_type_id": 603, "weapon_type_id": 3178,
             "damage_done": 4000, "final_blow": true, "security_status": 5},
            {"faction_id": 500010, "ship_type_id": 23311, "damage_done": 0, "final_blow": false, "security_status": -0.1},
        ],
    })
}

fn read(value: &Value) -> Killmail {
    decode(value.to_string().as_bytes()).unwrap()
}

fn refused(value: &Value) -> String {
    decode(value.to_string().as_bytes()).unwrap_err().to_string()
}

/// A change to ESI's shape.
fn with(pointer: &str, value: Value) -> Value {
    let mut esi = esi();
    *esi.pointer_mut(pointer).unwrap() = value;
    esi
}

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn every_field_of_esi_is_read() {
    let kill = read(&esi());
    assert_eq!((kill.killmail_id.get(), kill.form, kill.killmail_hash), (1001, Form::Esi, None));
    assert_eq!(
        (kill.killmail_time.to_string().as_str(), kill.solar_system_id.get()),
        ("2026-01-02T03:04:05Z", 30000142)
    );
    assert_eq!((kill.moon_id, kill.war_id), (Some(40000001), Some(7)));
    // What the model writes is what ESI sent: field names, values, absences.
    let mut expected = esi();
    expected["victim"]["position"]["y"] = json!(-2.0);
    expected["attackers"][0]["security_status"] = json!(5.0);
    assert_eq!(serde_json::from_str::<Value>(&kill.to_public_json()).unwrap(), expected);
}

#[test]
fn a_package_is_read_wherever_it_keeps_id_and_hash() {
    let zkb = json!({"locationID": 60003760, "hash": HASH, "totalValue": 1234567.89, "destroyedValue": 1_000_000, "points": 3.0,
        "npc": false, "solo": true, "awox": false, "labels": ["pvp", "loc:highsec"], "href": "x", "attackerCount": 2});
    for package in [
        json!({"killmail_id": 1001, "hash": HASH, "esi": esi(), "zkb": zkb, "uploaded_at": 1, "sequence_id": 2}),
        json!({"hash": format!(" {HASH} "), "esi": esi(), "zkb": zkb}),
        json!({"killmail_id": 1001, "hash": null, "esi": esi(), "zkb": zkb}),
        json!({"killmail_id": 1001, "hash": "", "esi": esi(), "zkb": zkb}),
        json!({"killID": 1001, "killmail": esi(), "zkb": zkb}),
        json!({"package": {"killID": 1001, "killmail": esi(), "zkb": zkb}}),
        json!({"package": {"killmail_id": 1001, "esi": esi(), "zkb": zkb}}),
    ] {
        let kill = read(&package);
        assert_eq!((kill.form, kill.killmail_id.get()), (Form::Package, 1001), "{package}");
        assert_eq!(kill.killmail_hash.unwrap().to_string(), HASH, "{package}");
        let zkb = kill.zkb.unwrap();
        assert_eq!(
            (zkb.total_value, zkb.destroyed_value, zkb.fitted_value),
            (Some(123_456_789), Some(100_000_000), None)
        );
        assert_eq!((zkb.location_id, zkb.points, zkb.solo, zkb.labels.len()), (Some(60003760), Some(3), Some(true), 2));
    }
    let bare = read(&json!({"killmail_id": 1001, "hash": HASH, "esi": esi()}));
    assert_eq!((bare.form, bare.killmail_hash.is_some()), (Form::Esi, true), "no zkb block: as rich as ESI's own");
}

#[test]
fn the_feeds_own_form_is_read_under_its_old_names_and_new_ones() {
    let party =
        json!({"character_id": 0, "character_name": "x", "corporation_id": null, "damage_done": 7.0, "final_blow": 1});
    for (time, system, zkb) in [
        ("kill_time", "system_id", json!({"locationID": 5, "totalValue": 10, "labels": null})),
        (
            "killmail_time",
            "solar_system_id",
            json!({"location_id": 5, "total_value": 10.0, "labels": {"0": "pvp", "2": "solo"}}),
        ),
    ] {
        let kill = read(&json!({
            "killmail_id": 1001, time: "2026-01-02T03:04:05", system: 30000142, "solar_system_name": "x", "attacker_count": 2,
            "victim": {"character_id": null, "ship_type_id": null, "damage_taken": 3, "ship_name": {"deep": [1, {}]}},
            "attackers": [{}, party, null], "zkb": zkb, "unheard_of": [[[{}]]],
        }));
        assert_eq!((kill.form, kill.attackers.len(), kill.victim.ship_type_id), (Form::Feed, 2, None));
        assert_eq!((kill.attackers[1].character_id, kill.attackers[1].damage_done), (None, 7));
        assert!(kill.attackers[1].final_blow && !kill.attackers[0].final_blow);
        let zkb = kill.zkb.unwrap();
        assert_eq!((zkb.location_id, zkb.total_value), (Some(5), Some(1000)));
    }
    let empty =
        json!({"killmail_id": 1, "kill_time": "2026-01-02T03:04:05Z", "system_id": 2, "victim": {}, "attackers": []});
    assert_eq!(read(&empty).form, Form::Feed);
}

#[test]
fn items_that_stand_beside_the_victim_are_taken() {
    let mut body = esi();
    let items = body["victim"].as_object_mut().unwrap().remove("items").unwrap();
    body["items"] = items;
    assert_eq!(read(&body).victim.items.len(), 2);
}

#[test]
fn an_error_names_the_field_and_what_was_found() {
    let nested = json!({"flag": 5, "item_type_id": 1, "items": [{"flag": 5, "item_type_id": 1, "items": [{"flag": 1, "item_type_id": 1}]}]});
    for (pointer, value, expected) in [
        (
            "/victim/items/0/flag",
            json!("27"),
            "victim.items[0].flag: expected an integer from -2147483648 to 2147483647, found a string",
        ),
        (
            "/victim/items/1/items/0/item_type_id",
            json!(1.5),
            "victim.items[1].items[0].item_type_id: expected an integer, found 1.5",
        ),
        (
            "/victim/items/0/quantity_destroyed",
            json!(-1),
            "victim.items[0].quantity_destroyed: expected an integer of at least 0, found -1",
        ),
        ("/victim/items/0/flag", json!(null), "victim.items[0]: flag is missing"),
        ("/victim/items/0/item_type_id", json!(0), "victim.items[0]: item_type_id is missing"),
        (
            "/victim/items/0",
            nested,
            "victim.items[0].items[0].items[0]: items nested deeper than an item within an item",
        ),
        ("/victim/items", json!({}), "victim.items: expected a list, found an object"),
        ("/victim", json!([]), "victim: expected an object, found a list"),
        ("/victim", json!(null), "victim: missing"),
        ("/victim/damage_taken", json!(1e30), "victim.damage_taken: expected an integer, found 1e+30"),
        ("/attackers", json!(null), "attackers: missing"),
        ("/attackers/1", json!(7), "attackers[1]: expected an object, found 7"),
        ("/attackers/1/final_blow", json!("yes"), "attackers[1].final_blow: expected true or false, found a string"),
        (
            "/killmail_time",
            json!("soon"),
            "killmail_time: expected a time such as 2026-01-02T03:04:05Z, found another string",
        ),
        ("/killmail_time", json!(null), "killmail_time: missing"),
        ("/solar_system_id", json!(0), "solar_system_id: missing"),
        ("/killmail_id", json!(0), "killmail_id: missing"),
        ("/killmail_id", json!(u64::MAX), "killmail_id: expected an integer, found 18446744073709551615"),
    ] {
        assert_eq!(refused(&with(pointer, value)), expected);
    }
    let package = json!({"killmail_id": 1002, "esi": esi()});
    assert_eq!(refused(&package), "killmail_id: 1002, and 1001 before it: two kills in one");
    let package = json!({"esi": {"killmail_id": 1}, "zkb": {"totalValue": -5.5}});
    assert_eq!(refused(&package), "zkb.totalValue: expected an amount of ISK from 0 to 92 quadrillion, found -5.5");
    let package = json!({"esi": {"killmail_id": 1}});
    assert_eq!(refused(&package), "esi.killmail_time: missing");
    assert_eq!(refused(&json!([])), "expected an object, found a list");
    assert_eq!(refused(&json!(null)), "killmail_id: missing");
}

#[test]
fn broken_bytes_are_named_by_their_place() {
    for (bytes, expected) in [
        (&b""[..], "broken JSON at byte 0 (line 1): EOF while parsing a value"),
        (b"{\"killmail_id\": 1,\n \"hash\" 2}", "broken JSON at byte 27 (line 2): expected `:`"),
        (b"{\"killmail_id\": 1", "broken JSON at byte 17 (line 1): EOF while parsing an object"),
        (b"{\"a\": \"\xff\"}", "not UTF-8 at byte 7"),
        (b"{} x", "broken JSON at byte 3 (line 1): trailing characters"),
    ] {
        assert_eq!(decode(bytes).unwrap_err().to_string(), expected, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn what_is_found_is_never_repeated_because_players_write_it() {
    let secret = "\u{1b}[31m".repeat(1000);
    let error = refused(&with("/killmail_id", json!(secret)));
    assert_eq!(error, "killmail_id: expected an integer, found a string");
}

#[test]
fn sizes_and_depths_are_bounded() {
    let large = vec![b' '; wire::BYTES_MAX + 1];
    assert_eq!(decode(&large).unwrap_err(), Error::TooLarge { bytes: wire::BYTES_MAX + 1 });
    let crowd = |count: usize| with("/attackers", Value::Array(vec![json!({}); count]));
    assert_eq!(read(&crowd(wire::ATTACKERS_MAX)).attackers.len(), wire::ATTACKERS_MAX);
    assert_eq!(refused(&crowd(10_001)), "attackers: 10001 attackers, at most 10000");
    assert_eq!(refused(&crowd(12_345)), "attackers: 12345 attackers, at most 10000");
    let package = json!({"esi": esi(), "zkb": {"labels": vec!["x"; 1001]}});
    assert_eq!(refused(&package), "zkb.labels: more than 1000 labels");
    let envelopes = json!({"package": {"package": {"package": {"esi": esi()}}}});
    assert_eq!(refused(&envelopes), "package.package: envelopes nested too deep");
    for deep in ["[", "{\"a\":", "{\"package\":", "{\"x\":[", "{\"victim\":{\"items\":[{\"items\":["] {
        assert!(decode(deep.repeat(100_000).as_bytes()).is_err(), "{deep}");
        let text = format!("{{\"other\":{}", deep.repeat(100_000));
        assert!(decode(text.as_bytes()).is_err(), "{deep}");
    }
    for number in ["1e999", "-1e999", "1".repeat(100_000).as_str(), "0.0000000000001e400"] {
        let text = esi().to_string().replace("5000000000", number);
        let _ = decode(text.as_bytes());
    }
}

/// Any of the shapes of a made-up kill.
fn sample() -> impl Strategy<Value = String> {
    (0_u64..1000, 0..3).prop_map(|(seed, form)| {
        let sample = Sampler::new(seed).next("2026-02-03T04:05:06Z".parse().unwrap());
        match form {
            0 => sample.esi_json(),
            1 => sample.package_json(),
            _ => sample.feed_json(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_kill_survives_being_written_and_read(json in sample()) {
        let kill = decode(json.as_bytes()).unwrap();
        let again = decode(kill.to_public_json().as_bytes()).unwrap();
        let form = again.form;
        prop_assert_eq!(Killmail { form, ..kill }, again);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes).map_err(|error| error.to_string());
    }

    #[test]
    fn a_damaged_kill_is_read_or_refused(
        json in sample(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, any::<u8>()), 1..8),
    ) {
        let mut bytes = json.into_bytes();
        for (index, kind, byte) in damage {
            // Cut and shortened far enough, nothing is left to damage.
            if bytes.is_empty() { break; }
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                _ => bytes.truncate(at.max(1)),
            }
        }
        let _ = decode(&bytes).map_err(|error| error.to_string());
    }
}
