//! zKillboard's labels.

use broadside::killmail::{Killmail, SystemId, Zkb};
use broadside::tags::labels::time_zone;

use crate::world::{kill, npc, player, statics, tag};

fn labels(mail: &Killmail) -> String {
    let labels = tag(&statics(), mail).tagged.labels;
    assert!(labels.windows(2).all(|pair| pair[0] < pair[1]), "{labels:?}");
    labels.join(" ")
}

fn said(mail: Killmail, labels: &[&str]) -> Killmail {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Killmail { zkb: Some(Zkb { labels, ..Zkb::default() }), ..mail }
}

#[test]
fn a_duel_a_gang_and_npcs_have_their_labels() {
    assert_eq!(labels(&kill(1, vec![player(1, 3)])), "cat:6 loc:lowsec pvp solo tz:au");
    assert_eq!(labels(&kill(20, vec![player(1, 3)])), "#:1 cat:65 loc:lowsec pvp tz:au");
    assert_eq!(labels(&kill(1, vec![npc(1), npc(2)])), "#:2+ cat:6 loc:lowsec npc tz:au");
    assert_eq!(labels(&kill(8, vec![player(1, 3)])), "capital cat:6 loc:lowsec pvp solo tz:au");
}

#[test]
fn exactly_one_count_is_given() {
    for (attackers, label) in [
        (1, "#:1"),
        (2, "#:2+"),
        (4, "#:2+"),
        (5, "#:5+"),
        (9, "#:5+"),
        (10, "#:10+"),
        (25, "#:25+"),
        (50, "#:50+"),
        (99, "#:50+"),
        (100, "#:100+"),
        (999, "#:100+"),
        (1000, "#:1000+"),
    ] {
        let found = labels(&kill(4, (0..attackers).map(|number| player(number, 3)).collect()));
        let counts: Vec<_> = found.split(' ').filter(|label| label.starts_with('#') || *label == "solo").collect();
        assert_eq!(counts, [label], "{attackers}");
    }
}

#[test]
fn what_cannot_be_told_from_one_kill_stays_as_the_feed_has_it() {
    let feed =
        ["tz:ru", "padding", "cat:6", "#:2+", "ganked", "concord", "atShip", "fw:amamin", "isk:5b+", "loc:highsec"];
    let found = labels(&said(kill(1, vec![player(1, 3)]), &feed));
    assert_eq!(found, "atShip cat:6 concord fw:amamin ganked loc:lowsec padding solo tz:ru");
}

#[test]
fn what_is_not_known_stays_as_the_feed_has_it() {
    let mut mail = said(kill(999, vec![player(1, 3)]), &["solo", "capital", "cat:6", "loc:nullsec", "npc"]);
    mail.solar_system_id = SystemId::new(30_999_999).unwrap();
    assert_eq!(labels(&mail), "capital cat:6 loc:nullsec pvp solo tz:au");
    mail.zkb = None;
    assert_eq!(labels(&mail), "pvp tz:au");
}

#[test]
fn places_have_zkillboards_labels() {
    for (system, label) in [
        (30_000_001, "loc:highsec"),
        (30_000_003, "loc:lowsec"),
        (30_000_004, "loc:nullsec"),
        (31_000_100, "loc:w-space"),
        (32_000_001, "loc:abyssal"),
    ] {
        let mut mail = kill(1, vec![player(1, 3)]);
        mail.solar_system_id = SystemId::new(system).unwrap();
        assert!(labels(&mail).contains(label), "{system}");
    }
    let mut pochven = kill(1, vec![player(1, 3)]);
    pochven.solar_system_id = SystemId::new(30_000_005).unwrap();
    assert!(!labels(&pochven).contains("loc:"));
    assert_eq!(tag(&statics(), &pochven).tagged.system_class, Some("pochven"));
}

#[test]
fn every_hour_is_somebodys_evening() {
    let zones: Vec<_> = (0..24).map(time_zone).collect();
    for zone in ["tz:au", "tz:eu", "tz:ru", "tz:use", "tz:usw"] {
        assert!(zones.contains(&zone));
    }
    assert_eq!(
        (time_zone(23), time_zone(0), time_zone(4), time_zone(13), time_zone(18)),
        ("tz:use", "tz:use", "tz:usw", "tz:au", "tz:eu")
    );
}
