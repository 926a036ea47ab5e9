//! What stores keep of what the stages found out about a kill.

use std::sync::Arc;

use broadside::killmail::{Form, Kill, Measures, Tagged, Worth, Zkb};

use crate::contract::{Look, Shared};
use crate::kills::kill;

/// As `tag` would have it of a kill with two attackers.
fn tagged() -> Tagged {
    let measured = |mass_balance, usefulness| Measures { mass_balance: Some(mass_balance), usefulness };
    Tagged {
        module_tags: vec!["Mid".into(), "Shield Extender".into(), "T2".into(), r#"a "b", \c"#.into()],
        ship_group_id: Some(25),
        ship_class: Some("frigate".into()),
        system_class: Some("lowsec"),
        constellation_id: Some(20_000_020),
        region_id: Some(10_000_002),
        security_status: Some(0.25),
        npc: true,
        solo: Some(false),
        awox: Some(false),
        points: Some(3),
        labels: vec!["cat:6".into(), "loc:lowsec".into(), "npc".into()],
        measures: vec![measured(-1500.5, None), measured(500.5, Some(0.5)), measured(1000.0, Some(1.25))],
        is_whole: true,
    }
}

fn worth(total: Option<i64>) -> Worth {
    Worth { total, destroyed: Some(700), dropped: Some(300), fitted: Some(600), source: "janice:3 base:1".to_owned() }
}

async fn insert(store: &Shared, kill: &Kill) {
    store.insert_kills(&[kill], true).await.unwrap();
}

const PLACE: &str =
    "SELECT constellation_id, region_id, security_status, system_class, ship_class FROM killmails_enriched";
const FOUND: &str = "SELECT module_tags, npc, solo, awox, points, labels, enrichment_status FROM killmails_enriched";
const VALUES: &str =
    "SELECT total_value, destroyed_value, dropped_value, fitted_value, price_source FROM killmails_enriched";
const MEASURES: &str = "SELECT mass_balance, usefulness FROM killmail_participants ORDER BY position";

pub(crate) async fn what_was_found_is_stored_and_takes_the_place_of_what_came_with_the_kill(
    store: &Shared,
    look: &dyn Look,
) {
    let found = Kill {
        tagged: Some(Arc::new(tagged())),
        worth: Some(Arc::new(worth(Some(500_000_000_000)))),
        ..kill(5, Form::Package, 2)
    };
    insert(store, &found).await;
    assert_eq!(look.rows(PLACE).await, ["20000020|10000002|0.25|lowsec|frigate"]);
    let tags = r#"["Mid","Shield Extender","T2","a \"b\", \\c"]"#;
    let labels = r#"["cat:6","isk:5b+","loc:lowsec","npc"]"#;
    assert_eq!(look.rows(FOUND).await, [format!("{tags}|1|0|0|3|{labels}|complete")]);
    assert_eq!(look.rows(VALUES).await, ["500000000000|700|300|600|janice:3 base:1"]);
    assert_eq!(look.rows(MEASURES).await, ["-1500.5|NULL", "500.5|0.5", "1000|1.25"]);
}

pub(crate) async fn what_nobody_found_is_null(store: &Shared, look: &dyn Look) {
    insert(store, &kill(5, Form::Esi, 1)).await;
    assert_eq!(look.rows(PLACE).await, ["NULL|NULL|NULL|NULL|NULL"]);
    assert_eq!(look.rows(FOUND).await, ["[]|NULL|NULL|NULL|NULL|NULL|complete"]);
    assert_eq!(look.rows(VALUES).await, ["NULL|NULL|NULL|NULL|NULL"]);
    assert_eq!(look.rows(MEASURES).await, ["NULL|NULL", "NULL|NULL"]);
}

pub(crate) async fn what_could_not_be_known_is_as_the_feed_says_and_partial(store: &Shared, look: &dyn Look) {
    let mut unknown = kill(5, Form::Package, 1);
    let zkb = Zkb {
        total_value: Some(100_000_000_000),
        solo: Some(true),
        points: Some(9),
        labels: vec!["isk:100b+".to_owned(), "solo".to_owned()],
        ..Zkb::default()
    };
    Arc::make_mut(unknown.mail.as_mut().unwrap()).zkb = Some(zkb);
    insert(store, &unknown).await;
    assert_eq!(look.rows(FOUND).await, [r#"[]|NULL|1|NULL|9|["isk:1b+","solo"]|complete"#]);
    unknown.tagged = Some(Arc::new(Tagged { npc: false, labels: vec!["pvp".into()], ..Tagged::default() }));
    unknown.worth = Some(Arc::new(worth(None)));
    unknown.revises = true;
    insert(store, &unknown).await;
    assert_eq!(look.rows(FOUND).await, [r#"[]|0|1|NULL|9|["pvp"]|partial"#]);
    assert_eq!(look.rows(VALUES).await, ["NULL|700|300|600|janice:3 base:1"]);
}

pub(crate) async fn a_kill_that_is_to_be_completed_later_is_partial(store: &Shared, look: &dyn Look) {
    let later = Kill { refresh: true, tagged: Some(Arc::new(tagged())), ..kill(5, Form::Esi, 1) };
    insert(store, &later).await;
    assert_eq!(look.rows("SELECT enrichment_status FROM killmails_enriched").await, ["partial"]);
    let completed = Kill { refresh: false, revises: true, ..later };
    insert(store, &completed).await;
    assert_eq!(look.rows("SELECT enrichment_status FROM killmails_enriched").await, ["complete"]);
}
