//! What users ask most touches few partitions, and those by an index.

use std::sync::Arc;

use broadside::killmail::{Form, Kill};
use broadside::store::Month;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Open, open};
use crate::contract::Look;
use crate::kills::kill;

/// Kills of four whole months, the last of them this one, every half hour in one of 45 systems, so that each has one on any day; what the
/// planner knows of them is fresh.
async fn four_months() -> Open {
    let open = open().await;
    let this = Month::of(Timestamp::now());
    let mut kills = Vec::new();
    let mut time = this.plus(-3).start();
    while time < this.plus(1).start() {
        kills.push(at(kills.len() as i64 + 1, time));
        time += SignedDuration::from_mins(30);
    }
    for call in kills.chunks(500) {
        open.store.insert_kills(&call.iter().collect::<Vec<_>>(), false).await.unwrap();
    }
    open.store.ensure_partitions(this, this.plus(2)).await.unwrap();
    open.execute("ANALYZE").await;
    open
}

fn at(id: i64, time: Timestamp) -> Kill {
    let mut kill = kill(id, Form::Esi, 2);
    let mut mail = (**kill.mail.as_ref().unwrap()).clone();
    mail.killmail_time = time;
    mail.solar_system_id = broadside::killmail::SystemId::new(30_000_100 + id % 45).unwrap();
    mail.victim.character_id = broadside::killmail::CharacterId::new(90_000_000 + id % 100);
    kill.mail = Some(Arc::new(mail));
    kill.received_at = time;
    kill
}

/// The nodes of the plan as it ran: type, partition, rows that came out of it.
pub(super) async fn plan(open: &Open, sql: &str) -> Vec<(String, String, f64)> {
    let sql = format!("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, FORMAT JSON) {sql}");
    let plan: Value = serde_json::from_str(&open.rows(&sql).await.concat()).unwrap();
    let mut nodes = Vec::new();
    let mut left = vec![&plan[0]["Plan"]];
    while let Some(node) = left.pop() {
        let text = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
        nodes.push((text("Node Type"), text("Relation Name"), node["Actual Rows"].as_f64().unwrap()));
        left.extend(node["Plans"].as_array().into_iter().flatten());
    }
    nodes
}

/// `ahead`: the query goes on into months to come. Once the planner knows that such a month is empty, it reads its no pages in sequence.
async fn touches_few_and_scans_none(open: &Open, sql: &str, ahead: bool) {
    let nodes = plan(open, sql).await;
    let this_month = Month::of(Timestamp::now()).suffix();
    let scanned = |(kind, table, _): &&(String, String, f64)| {
        kind == "Seq Scan" && !(ahead && table[table.len() - this_month.len()..] > *this_month)
    };
    assert_eq!(nodes.iter().find(scanned), None, "{sql}: {nodes:?}");
    let touched = nodes.iter().filter(|(_, table, rows)| !table.is_empty() && *rows > 0.0).count();
    assert!((1..=2).contains(&touched), "{sql}: {nodes:?}");
    if !ahead {
        assert!(nodes.iter().filter(|(_, table, _)| !table.is_empty()).count() <= 2, "{sql}: {nodes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_systems_last_day_reads_one_or_two_partitions_by_an_index() {
    let open = four_months().await;
    let now = Timestamp::now();
    let day = SignedDuration::from_hours(24);
    // A day within a month, and one over the turn of a month.
    let turn = Month::of(now).plus(-1).start() + SignedDuration::from_hours(12);
    for end in [now, now - SignedDuration::from_hours(40 * 24), turn] {
        let sql = format!(
            "SELECT * FROM killmails_enriched WHERE solar_system_id = 30000142 AND killmail_time >= '{}' AND killmail_time < '{end}'
                ORDER BY killmail_time DESC",
            end - day
        );
        touches_few_and_scans_none(&open, &sql, false).await;
    }
    let sql = "SELECT * FROM killmails_enriched WHERE solar_system_id = 30000142 AND killmail_time >= now() - interval '1 day'
        ORDER BY killmail_time DESC";
    touches_few_and_scans_none(&open, sql, true).await;
    let sql = "SELECT * FROM killmails_enriched WHERE solar_system_id = 30000142 AND killmail_time >= now() - interval '1 day'
        ORDER BY killmail_time DESC LIMIT 20";
    touches_few_and_scans_none(&open, sql, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losses_and_kills_of_a_pilot_are_found_by_an_index() {
    let open = four_months().await;
    for sql in [
        "SELECT * FROM killmails_enriched WHERE victim_character_id = 90000042 AND killmail_time >= now() - interval '5 days'
            ORDER BY killmail_time DESC",
        "SELECT * FROM killmail_participants WHERE character_id = 90000042 AND killmail_time >= now() - interval '5 days'
            ORDER BY killmail_time DESC",
    ] {
        touches_few_and_scans_none(&open, sql, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_of_old_days_are_found_by_the_key_and_by_their_place() {
    let open = open().await;
    open.execute(
        "INSERT INTO prices SELECT type_id, source, market, '2026-03-01'::date - age, 1, now() FROM generate_series(1, 1000) type_id,
            generate_series(0, 19) age, (VALUES ('janice', 2), ('janice', 115), ('esi', 0)) side (source, market)",
    )
    .await;
    open.execute("ANALYZE").await;
    for sql in [
        "SELECT min(market) FROM prices WHERE source = 'janice' AND market > 2",
        "DELETE FROM prices WHERE ctid = ANY (ARRAY (SELECT ctid FROM prices
            WHERE source = 'janice' AND market = 2 AND day < '2026-02-20' ORDER BY day, type_id LIMIT 2000))",
        "DELETE FROM prices WHERE ctid = ANY (ARRAY (SELECT ctid FROM prices
            WHERE source = 'janice' AND market = 2 AND day < '2020-01-01' ORDER BY day, type_id LIMIT 2000))",
    ] {
        let nodes = plan(&open, sql).await;
        assert!(nodes.iter().all(|(kind, _, rows)| kind != "Seq Scan" && *rows <= 2000.0), "{sql}: {nodes:?}");
    }
}
