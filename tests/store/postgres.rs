//! The suite on PostgreSQL, and what only a server can do: keep months apart, order those who write at once, refuse a row by its own
//! rules, be away.

mod claims;
mod databases;
mod events;
mod market;
mod months;
mod offsets;
mod outages;
mod profiles;
mod queries;
mod refusals;
mod steps;
mod together;

use std::sync::Arc;
use std::time::Duration;

use broadside::store::{self, Store};
use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Column, Connection, Executor, Row, TypeInfo, ValueRef};
use tokio::task::JoinHandle;

use crate::contract::{Look, suite};
use crate::patient;
use crate::server::{Database, database};

suite!(open);

/// A store on a database of its own.
pub(crate) struct Open {
    pub(crate) store: Arc<dyn Store>,
    database: Database,
}

impl Open {
    /// Another store on the same database, as another process has one.
    async fn another(&self) -> Arc<dyn Store> {
        store::connect(self.database.url(), &patient()).await.unwrap()
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(self.database.url()).await.unwrap()
    }

    async fn execute(&self, sql: &str) {
        self.connection().await.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
}

pub(crate) async fn open() -> Open {
    let database = database().await;
    let store = store::connect(database.url(), &patient()).await.unwrap();
    store.migrate().await.unwrap();
    Open { store, database }
}

/// Until each of the writers has either ended or waits in the server for another.
async fn all_wait_or_have_ended(open: &Open, writers: &[JoinHandle<()>]) {
    let waiting = "SELECT count(DISTINCT pid) FROM pg_locks l JOIN pg_stat_activity USING (pid)
        WHERE NOT granted AND datname = current_database()";
    let settled = async {
        loop {
            let waiting: usize = open.rows(waiting).await[0].parse().unwrap();
            if waiting + writers.iter().filter(|writer| writer.is_finished()).count() >= writers.len() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(100), settled).await.expect("writers end or wait");
}

#[async_trait::async_trait]
impl Look for Open {
    async fn rows(&self, sql: &str) -> Vec<String> {
        rows(self.database.url(), sql).await
    }
}

/// The same texts as of a SQLite file that holds the same: money in cents, booleans as 0 and 1, lists as JSON.
async fn rows(url: &str, sql: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    // Not prepared: so the server answers in text, whatever the types.
    let rows = connection.fetch_all(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
    rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect::<Vec<_>>().join("|")).collect()
}

fn text(row: &PgRow, at: usize) -> String {
    let value = row.try_get_raw(at).unwrap();
    if value.is_null() {
        return "NULL".to_owned();
    }
    let given = value.as_str().unwrap();
    match value.type_info().name() {
        "BOOL" => u8::from(given == "t").to_string(),
        "NUMERIC" => {
            let (isk, cents) = given.split_once('.').unwrap_or((given, ""));
            format!("{isk}{cents:0<2}").trim_start_matches('0').to_owned()
        }
        "TIMESTAMPTZ" => {
            let time: Timestamp = given.parse().unwrap();
            if ["killmail_time", "issued"].contains(&row.column(at).name()) {
                time.to_string()
            } else {
                format!("{time:.3}")
            }
        }
        "TEXT[]" => serde_json::to_string(&row.get::<Vec<String>, _>(at)).unwrap(),
        _ => given.to_owned(),
    }
}
