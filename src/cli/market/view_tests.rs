//! Tests of the table.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: &str = "2026-11-20T10:00:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn region(id: i64, name: &str, state: &str, orders: u64) -> Value {
    json!({
        "region_id": id, "name": name, "state": state, "reason": "page 3: the answer broke off", "pages": 3, "orders": orders,
        "last_sweep": {
            "ended_at": "2026-11-20T09:58:00Z", "seconds": 2.34, "fetched": 1, "unchanged": 3, "share_unchanged": 0.75, "quality": "mixed",
        },
        "next_due": "2026-11-20T10:03:30Z", "restarts": 1,
    })
}

#[test]
fn failing_regions_come_first_and_then_the_large_ones() {
    let regions = [
        region(1, "Small", "waiting", 5),
        region(10_000_002, "The Forge", "sweeping", 410_000),
        region(3, "Broken", "failing", 2),
    ];
    let tokens = json!({"limit": 12_000, "remaining": 9_876, "stretch_hubs": 1.0, "stretch_others": 1.5});
    let status = Status::of(&json!({"regions": regions, "tokens": tokens, "trouble": {"market": "ESI is away"}}));
    let expected = "\
REGION           ID  STATE      ORDERS PAGES 304 TOOK AGO NEXT RST
Broken            3  failing         2     3 75% 2.3s  2m   4m   1
The Forge  10000002  sweeping  410,000     3 75% 2.3s  2m   4m   1
Small             1  waiting         5     3 75% 2.3s  2m   4m   1

3 regions, 410,007 orders, 9 pages; 304: 75%; 3 mixed
tokens left: 9,876 of 12,000; intervals stretched 1.0x (hubs), 1.5x

market: ESI is away
Broken: page 3: the answer broke off";
    assert_eq!(status.page(now()), expected);
    assert_eq!((status.id_of("the forge"), status.id_of("nowhere")), (Some(10_000_002), None));
    assert_eq!(status.regions().next().map(|region| &region["name"]), Some(&json!("Broken")));
}

#[test]
fn a_region_whose_last_sweep_was_incomplete_is_named_with_the_reason_after_those_that_fail() {
    let mut odd = region(7, "Odd", "waiting", 5);
    odd["last_sweep"]["quality"] = json!("incomplete");
    let mut said = odd.clone();
    (said["name"], said["last_sweep"]["reason"]) = (json!("Said"), json!("page 1: 1 entry is no order"));
    let page = Status::of(&json!({"regions": [odd, said, region(3, "Broken", "failing", 2)]})).page(now());
    let expected = "

Broken: page 3: the answer broke off
Odd: incomplete: no reason given
Said: incomplete: page 1: 1 entry is no order";
    assert!(page.ends_with(expected), "{page}");
}

#[test]
fn what_is_not_known_is_a_dash() {
    let status = Status::of(&json!({"regions": [{"region_id": 7, "name": null, "orders": 12, "pages": 1}]}));
    let page = status.page(now());
    let row: Vec<&str> = page.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row, ["region", "7", "7", "-", "12", "1", "-", "-", "-", "-", "-"]);
    assert_eq!(Status::of(&json!({})).page(now()), "no regions");
}

#[test]
fn figures_are_short() {
    for (number, expected) in [
        (0, "0"),
        (999_999, "999,999"),
        (1_234_567, "1.23M"),
        (12_345_678, "12.3M"),
        (999_700_000, "1.00G"),
        (u64::MAX, "18.4E"),
    ] {
        assert_eq!(count(number), expected);
    }
    for (seconds, expected) in [
        (-1.0, "0.0s"),
        (9.96, "10s"),
        (99.0, "99s"),
        (5_000.0, "83m"),
        (100_000.0, "28h"),
        (9e6, "104d"),
        (1e12, ">2y"),
        (f64::NAN, "0.0s"),
    ] {
        assert_eq!(span(seconds), expected, "{seconds}");
    }
}

fn any_region() -> impl Strategy<Value = Value> {
    let text =
        || prop_oneof!["[A-Z][a-z' ]{0,40}", ".{0,60}", Just("\u{1b}[31m\u{202e}x\n".to_owned()), "[日本語]{0,30}"];
    let state =
        prop_oneof![Just("failing"), Just("restarting"), Just("waiting"), Just("a state of some other version")];
    let time =
        || prop::option::of(prop_oneof![-377_705_023_201_i64..253_402_207_200, 1_795_000_000_i64..1_796_000_000]);
    let share = prop_oneof![0.0..1.0_f64, any::<f64>().prop_filter("JSON has it", |share| share.is_finite())];
    let sweep = (time(), any::<f64>(), any::<u32>(), any::<u32>(), share);
    let figures = (any::<i64>(), any::<u64>(), any::<u32>(), any::<u32>());
    (text(), text(), state, time(), sweep, figures).prop_map(|(name, reason, state, due, sweep, figures)| {
        let stamp = |second: Option<i64>| second.and_then(|second| Timestamp::from_second(second).ok());
        json!({
            "region_id": figures.0, "orders": figures.1, "pages": figures.2, "restarts": figures.3,
            "name": name, "reason": reason, "state": state, "next_due": stamp(due),
            "last_sweep": {
                "ended_at": stamp(sweep.0), "seconds": if sweep.1.is_finite() { sweep.1 } else { 0.0 },
                "fetched": sweep.2, "unchanged": sweep.3, "share_unchanged": sweep.4, "quality": "mixed",
            },
        })
    })
}

proptest! {
    #[test]
    fn no_line_is_wider_than_a_terminal_whatever_comes(
        regions in prop::collection::vec(any_region(), 0..70),
        tokens in any::<[u64; 2]>(),
        trouble in ".{0,200}",
    ) {
        let tokens = json!({"limit": tokens[0], "remaining": tokens[1], "stretch_hubs": 1e300, "stretch_others": 2.0});
        let status = Status::of(&json!({"regions": regions, "tokens": tokens, "trouble": {"market": trouble}}));
        let page = status.page(now());
        for line in page.lines() {
            prop_assert!(width(line) <= WIDTH, "{line:?}");
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        prop_assert!(page.lines().count() >= regions.len());
    }

    #[test]
    fn real_names_are_whole(name in "[A-Z][a-z]{3,9} [A-Z][a-z]{3,8}", orders in 0_u64..500_000) {
        let status = Status::of(&json!({"regions": [region(10_000_002, &name, "waiting", orders)]}));
        prop_assert!(status.page(now()).contains(&name));
    }
}
