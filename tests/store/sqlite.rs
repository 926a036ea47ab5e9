//! The suite on SQLite, and what only a file can do: be locked by another process, be in the wrong place, be of another build.

use std::sync::Arc;
use std::time::Duration;

use broadside::killmail::Form;
use broadside::store::{self, Error, Options, Store, To, retry};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row, TypeInfo, ValueRef};
use tempfile::TempDir;

use crate::contract::{Look, suite};
use crate::kills::kill;
use crate::patient;

suite!(open);

/// A store in a folder that goes when it goes.
pub(crate) struct Open {
    pub(crate) store: Arc<dyn Store>,
    folder: TempDir,
}

impl Open {
    pub(crate) async fn connection(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join("kills.db"));
        SqliteConnection::connect_with(&options).await.unwrap()
    }
}

#[async_trait::async_trait]
impl Look for Open {
    async fn rows(&self, sql: &str) -> Vec<String> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut self.connection().await).await.unwrap();
        rows.iter().map(|row| (0..row.columns().len()).map(|at| text(row, at)).collect::<Vec<_>>().join("|")).collect()
    }
}

fn text(row: &sqlx::sqlite::SqliteRow, at: usize) -> String {
    let value = row.try_get_raw(at).unwrap();
    match value.type_info().name() {
        _ if value.is_null() => "NULL".to_owned(),
        "TEXT" => row.get(at),
        "REAL" => row.get::<f64, _>(at).to_string(),
        _ => row.get::<i64, _>(at).to_string(),
    }
}

pub(crate) async fn open() -> Open {
    open_with(&patient()).await
}

async fn open_with(options: &Options) -> Open {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("kills.db").display());
    let store = store::connect(&url, options).await.unwrap();
    store.migrate().await.unwrap();
    Open { store, folder }
}

#[tokio::test]
async fn migrating_again_takes_no_step() {
    let open = open().await;
    assert_eq!(open.store.pending_migrations().await, Ok(vec![]));
    assert_eq!(open.store.migrate().await, Ok(vec![]));
}

#[tokio::test]
async fn a_newer_builds_file_is_refused() {
    let open = open().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'x', 1, x'00', 0)";
    sqlx::query(newer).execute(&mut open.connection().await).await.unwrap();
    let error = open.store.migrate().await.unwrap_err();
    assert!(error.to_string().contains("a newer one made it"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_migrated_is_a_permanent_error() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("kills.db").display());
    let store = store::connect(&url, &Options::default()).await.unwrap();
    assert_eq!(store.pending_migrations().await.unwrap()[0], "0001 killmails");
    let answer = store.insert_kills(&[&kill(1, Form::Esi, 1)], true).await;
    assert!(matches!(answer, Err(Error::Permanent(_))), "{answer:?}");
}

#[tokio::test]
async fn a_store_in_memory_keeps_kills_until_it_is_closed() {
    let store = store::connect("sqlite::memory:", &Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    store.insert_kills(&[&kill(1, Form::Esi, 1)], true).await.unwrap();
    assert_eq!(store.count_kills().await, Ok(1));
}

#[tokio::test]
async fn an_address_that_cannot_work_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    for (url, says) in [
        (format!("sqlite://{path}/missing/kills.db"), "does not exist"),
        (format!("sqlite://{path}"), "it is a folder"),
        ("sqlite://".to_owned(), "no file is named"),
        (format!("sqlite://{path}/kills.db?sync=off"), "`sync=off` is not known"),
        ("mysql://broadside:secret@localhost/kills".to_owned(), "must begin with sqlite://"),
    ] {
        let error = store::connect(&url, &Options::default()).await.unwrap_err().to_string();
        assert!(error.contains(says), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn commits_can_be_synced_by_the_url() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?synchronous=full", folder.path().join("kills.db").display());
    let store = store::connect(&url, &Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    store.insert_kills(&[&kill(1, Form::Esi, 1)], true).await.unwrap();
    assert_eq!(store.count_kills().await, Ok(1));
}

#[tokio::test]
async fn a_row_that_the_database_refuses_names_code_and_constraint() {
    let open = open().await;
    let trap = "CREATE TRIGGER trap BEFORE INSERT ON killmails_enriched WHEN NEW.killmail_id = 7
        BEGIN INSERT INTO killmails_enriched (killmail_id, killmail_time, solar_system_id, attacker_count, enrichment_status, enriched_at)
        VALUES (8, '', 1, 1, 'wrong', ''); END";
    sqlx::query(trap).execute(&mut open.connection().await).await.unwrap();
    let answer = open.store.insert_kills(&[&kill(6, Form::Esi, 1), &kill(7, Form::Esi, 1)], true).await;
    let Err(Error::Data { sqlstate, constraint, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(sqlstate.as_deref(), Some("SQLITE_CONSTRAINT_CHECK"));
    assert_eq!(constraint.as_deref(), Some("enrichment_status_known"));
    assert_eq!(open.rows("SELECT count(*) FROM killmails_raw").await, ["0"], "nothing of the call is left");
    assert_eq!(open.store.insert_kills(&[&kill(6, Form::Esi, 1)], true).await.map(|changes| changes.len()), Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_locked_by_another_is_waited_for() {
    let options = Options { busy_timeout: Duration::from_millis(10), ..Options::default() };
    let open = open_with(&options).await;
    let mut other = open.connection().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let kill = kill(1, Form::Esi, 1);
    let answer = open.store.insert_kills(&[&kill], true).await;
    assert!(matches!(answer, Err(Error::Transient(_))), "{answer:?}");

    let store = open.store.clone();
    let held = tokio::spawn(async move {
        let kills = [&kill];
        retry::hold(store.health(), "store kills", || store.insert_kills(&kills, true)).await
    });
    while open.store.health().trouble().is_none() {
        tokio::task::yield_now().await;
    }
    assert!(!held.is_finished());
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(held.await.unwrap().map(|changes| changes.len()), Ok(1));
    assert_eq!(open.store.health().trouble(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_leaves_nothing_and_blocks_nothing() {
    let options = Options { call_timeout: Duration::from_micros(200), ..Options::default() };
    let open = open_with(&Options::default()).await;
    let url = format!("sqlite://{}", open.folder.path().join("kills.db").display());
    let hasty = store::connect(&url, &options).await;
    let kills: Vec<_> = (1..=500).map(|id| kill(id, Form::Esi, 20)).collect();
    let kills: Vec<_> = kills.iter().collect();
    if let Ok(hasty) = hasty {
        let answer = hasty.insert_kills(&kills, true).await;
        assert!(matches!(answer, Err(Error::Transient(_))), "{answer:?}");
        hasty.close().await;
    }
    assert_eq!(open.store.count_kills().await, Ok(0));
    assert_eq!(open.store.insert_kills(&kills, true).await.map(|changes| changes.len()), Ok(500));
}

#[tokio::test]
async fn what_a_type_costs_in_a_region_and_prices_of_old_days_are_found_by_an_index() {
    let open = open().await;
    for (sql, index) in [
        (
            "SELECT * FROM market_orders WHERE region_id = 2 AND type_id = 34 AND closed_at IS NULL",
            "market_orders_open",
        ),
        ("SELECT * FROM market_orders WHERE order_id = 34", "INTEGER PRIMARY KEY"),
        ("SELECT * FROM market_prices WHERE region_id = 2 AND type_id = 34", "PRIMARY KEY (region_id=? AND type_id=?)"),
        (
            "SELECT min(market) FROM prices WHERE source = 'janice' AND market > 2",
            "PRIMARY KEY (source=? AND market>?)",
        ),
        (
            "DELETE FROM prices WHERE (source, market, day, type_id) IN (SELECT source, market, day, type_id FROM prices
                WHERE source = 'janice' AND market = 2 AND day < '2026-03-01' LIMIT 2000)",
            "PRIMARY KEY (source=? AND market=? AND day<?)",
        ),
    ] {
        let plan = open.rows(&format!("EXPLAIN QUERY PLAN {sql}")).await.concat();
        assert!(plan.contains("SEARCH") && !plan.contains("SCAN") && plan.contains(index), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn the_claim_on_the_price_job_is_the_files_whoever_has_it_open() {
    let open = open().await;
    let url = format!("sqlite://{}", open.folder.path().join("kills.db").display());
    let other = store::connect(&url, &Options::default()).await.unwrap();
    let claim = open.store.claim_price_job(To::Work).await.unwrap().expect("nobody has it");
    assert!(other.claim_price_job(To::Work).await.unwrap().is_none());
    assert!(open.folder.path().join("kills.db.prices.lock").is_file());
    drop(claim);
    assert!(other.claim_price_job(To::Work).await.unwrap().is_some());
}

#[tokio::test]
async fn a_store_in_memory_has_a_claim_of_its_own() {
    let one = store::connect("sqlite::memory:", &Options::default()).await.unwrap();
    let other = store::connect("sqlite::memory:", &Options::default()).await.unwrap();
    let _claim = one.claim_price_job(To::Work).await.unwrap().expect("nobody has it");
    assert!(one.claim_price_job(To::Look).await.unwrap().is_none());
    assert!(other.claim_price_job(To::Work).await.unwrap().is_some());
}

#[tokio::test]
async fn a_profile_replaced_by_the_conflict_clause_of_a_statement_by_hand_is_a_change_too() {
    use crate::profiles::{changed, put};
    let open = open().await;
    let id = put(&open.store, &["a"]).await[0].get();
    let (_, mut mark) = changed(&open.store, 0).await;
    for (clause, name) in [("REPLACE", "b"), ("IGNORE", "c")] {
        let next = if clause == "REPLACE" { id } else { id + 100 };
        let sql = format!(
            "INSERT OR {clause} INTO surveillance_profiles (profile_id, name, filter) VALUES ({next}, '{name}', '')"
        );
        open.rows(&sql).await;
        let (seen, last) = changed(&open.store, mark).await;
        assert_eq!(seen, [(next, Some(name.to_owned()))], "{clause}");
        mark = last;
    }
    open.rows("UPDATE OR IGNORE surveillance_profiles SET name = 'd'").await;
    assert_eq!(changed(&open.store, mark).await.0.len(), 2);
}

#[tokio::test]
async fn changes_and_pages_of_profiles_are_found_by_an_index() {
    let open = open().await;
    let changes =
        "SELECT * FROM profile_changes c LEFT JOIN surveillance_profiles p ON p.profile_id = c.profile_id AND p.enabled
        WHERE change_id > 5 ORDER BY change_id LIMIT 5";
    for sql in [
        changes,
        "SELECT max(change_id) FROM profile_changes",
        "SELECT * FROM surveillance_profiles WHERE profile_id > 5 LIMIT 5",
    ] {
        let plan = open.rows(&format!("EXPLAIN QUERY PLAN {sql}")).await.concat();
        assert!(plan.contains("SEARCH") && !plan.contains("SCAN"), "{sql}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_of_one_client_in_two_processes_on_a_file_never_get_the_same_event() {
    let open = open().await;
    let url = format!("sqlite://{}", open.folder.path().join("kills.db").display());
    let other = store::connect(&url, &Options::default()).await.unwrap();
    crate::offsets::at_once(&[open.store.clone(), other]).await;
}

#[tokio::test]
async fn offsets_and_what_is_above_them_are_found_by_an_index() {
    let open = open().await;
    for (sql, index) in [
        (
            "SELECT e.event_id FROM json_each('{\"1\":5}') AS head CROSS JOIN killmail_events e ON e.event_id IN
                (SELECT event_id FROM killmail_events WHERE system_id = CAST(head.key AS INTEGER) AND event_id > head.value AND event_id <= 9
                ORDER BY event_id LIMIT 3)",
            "killmail_events_system (system_id=? AND rowid>? AND rowid<?)",
        ),
        (
            "SELECT o.event_id FROM json_each('[1]') AS asked LEFT JOIN client_offsets o ON o.client_id = 'a' AND o.system_id = asked.value",
            "PRIMARY KEY (client_id=? AND system_id=?)",
        ),
        (
            "SELECT event_id FROM killmail_events e WHERE event_id > 5 AND event_id <= 9
                AND coalesce((SELECT min(o.event_id) FROM client_offsets o WHERE o.system_id = e.system_id), event_id) >= event_id",
            "client_offsets_system (system_id=?)",
        ),
    ] {
        let plan = open.rows(&format!("EXPLAIN QUERY PLAN {sql}")).await.join("; ");
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        assert!(!plan.replace("SCAN asked", "").replace("SCAN head", "").contains("SCAN"), "{sql}: {plan}");
    }
}
