//! The tables that are kept by months: which months there are, making more, dropping old ones.
//!
//! A month is made as a table of its own and then attached, which lets reads and writes of the other months go on; all who make or
//! drop months take turns (an advisory lock), so any number of workers can meet the same new month.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::store::{Error, Month, Partition};

/// In the order in which a kill is stored.
const TABLES: [&str; 4] = ["killmails_raw", "killmails_enriched", "killmail_participants", "profile_matches"];

/// `by_month` in ASCII.
const TURN: i64 = 7_095_807_611_524_510_824;

/// Every partition, with the span of time that it holds.
const LIST: &str = r"SELECT parent.relname, child.relname, child.reltuples::bigint, pg_total_relation_size(child.oid),
        substring(pg_get_expr(child.relpartbound, child.oid) FROM 'FROM \(''([^'']+)''\)'),
        substring(pg_get_expr(child.relpartbound, child.oid) FROM 'TO \(''([^'']+)''\)')
    FROM pg_inherits JOIN pg_class parent ON parent.oid = inhparent JOIN pg_class child ON child.oid = inhrelid
    WHERE NOT inhdetachpending AND parent.oid = ANY (ARRAY[to_regclass('killmails_raw'), to_regclass('killmails_enriched'), to_regclass('killmail_participants'),
        to_regclass('profile_matches')]::oid[])";

/// A client of the killfeed that has not passed them is to know.
const DROP_EVENTS: &str = "WITH gone AS (
        DELETE FROM killmail_events WHERE killmail_time >= $1::timestamptz AND killmail_time < $2::timestamptz RETURNING event_id, system_id)
    INSERT INTO killfeed_collected (system_id, event_id) SELECT system_id, max(event_id) FROM gone GROUP BY system_id
    ON CONFLICT (system_id) DO UPDATE SET event_id = greatest(killfeed_collected.event_id, excluded.event_id)";

/// How often a month is tried whose tables are in use, and how long others may have them in between.
const DROP_TRIES: u32 = 30;
const DROP_PAUSE: Duration = Duration::from_secs(1);

/// Months known to be there for every table, so that the database is asked once for each.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeSet<Month>>);

impl Known {
    pub(super) fn lacks(&self, months: &BTreeSet<Month>) -> bool {
        !months.is_subset(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, months: impl IntoIterator<Item = Month>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(months);
    }

    /// Somebody dropped a month.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A partition as the catalog has it.
struct Found {
    partition: Partition,
    /// First moment and end, as PostgreSQL writes them in UTC: texts of one form, which sort as times do.
    span: (String, String),
}

async fn find(connection: &mut PgConnection) -> Result<Vec<Found>, sqlx::Error> {
    type Row = (String, String, i64, i64, Option<String>, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(LIST).fetch_all(connection).await?;
    let found = |(table, name, rows, bytes, from, to): Row| {
        let span = (from?, to?);
        let month = Month::parse(span.0.get(..7)?)?;
        let partition = Partition { table, name, month, rows: (rows >= 0).then_some(rows), bytes };
        Some(Found { partition, span })
    };
    let mut all: Vec<Found> = rows.into_iter().filter_map(found).collect();
    let order = |table: &str| TABLES.iter().position(|name| *name == table);
    all.sort_by_key(|found| (found.span.clone(), order(&found.partition.table)));
    Ok(all)
}

pub(super) async fn list(pool: &PgPool) -> Result<Vec<Partition>, Error> {
    let found = find(&mut *pool.acquire().await?).await?;
    Ok(found.into_iter().map(|found| found.partition).collect())
}

/// Makes what is missing for these months; answers the names.
pub(super) async fn ensure(pool: &PgPool, months: impl IntoIterator<Item = Month>) -> Result<Vec<String>, Error> {
    let mut transaction = pool.begin().await?;
    let made = ensure_within(&mut transaction, months).await?;
    transaction.commit().await?;
    Ok(made)
}

/// The same within a transaction of the caller's.
pub(super) async fn ensure_within(
    transaction: &mut PgConnection,
    months: impl IntoIterator<Item = Month>,
) -> Result<Vec<String>, Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TURN).execute(&mut *transaction).await?;
    let there = find(&mut *transaction).await?;
    let mut made = Vec::new();
    for month in months {
        let (from, to) = (bound(month), bound(month.plus(1)));
        for table in TABLES {
            let covers = |found: &Found| found.partition.table == table && found.span.0 <= from && found.span.1 >= to;
            if there.iter().any(covers) {
                continue;
            }
            let name = free_name(&mut *transaction, format!("{table}_{}", month.suffix())).await?;
            let attach = format!("ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')");
            run(&mut *transaction, format!("CREATE TABLE {name} (LIKE {table} INCLUDING ALL); {attach}")).await?;
            made.push(name);
        }
    }
    Ok(made)
}

/// This name, or with a number when it is taken: by a month that was detached to be kept elsewhere, say.
async fn free_name(connection: &mut PgConnection, name: String) -> Result<String, sqlx::Error> {
    for candidate in std::iter::once(name.clone()).chain((2..100).map(|n| format!("{name}_{n}"))) {
        let sql = "SELECT to_regclass($1) IS NULL";
        if sqlx::query_scalar(sql).bind(&candidate).fetch_one(&mut *connection).await? {
            return Ok(candidate);
        }
    }
    Ok(name)
}

/// The first moment of a month as PostgreSQL writes it in UTC.
fn bound(month: Month) -> String {
    format!("{month}-01 00:00:00+00")
}

/// Detaches and drops every month before this one, each month as a whole.
///
/// Not with `DETACH … CONCURRENTLY`: it adds a CHECK to the partition under the eyes of those who are writing there, and PostgreSQL 15.18 then crashes
/// now and then (in `ExecCheck`, during a COPY). So a month needs its tables for a moment for itself: whoever uses them is waited for,
/// though never long, as others queue behind.
pub(super) async fn drop_before(connection: &mut PgConnection, before: Month) -> Result<Vec<Partition>, Error> {
    sqlx::query("SELECT pg_advisory_lock($1)").bind(TURN).execute(&mut *connection).await?;
    let end = bound(before);
    let doomed: Vec<Found> = find(&mut *connection).await?.into_iter().filter(|found| found.span.1 <= end).collect();
    for month in doomed.chunk_by(|one, other| one.span == other.span) {
        let mut tries = 1;
        while let Err(error) = drop_month(connection, month).await.map_err(Error::from) {
            if tries == DROP_TRIES || !error.is_transient() || connection.ping().await.is_err() {
                return Err(error.while_doing(&format!("drop {}", month[0].partition.month)));
            }
            tries += 1;
            tokio::time::sleep(DROP_PAUSE).await;
        }
    }
    Ok(doomed.into_iter().map(|found| found.partition).collect())
}

async fn drop_month(connection: &mut PgConnection, month: &[Found]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    transaction.execute("SET LOCAL lock_timeout = '2s'").await?;
    // In the order in which kills are stored, so that nobody waits in a circle.
    run(&mut transaction, format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", TABLES.join(", "))).await?;
    let (from, to) = &month[0].span;
    sqlx::query(DROP_EVENTS).bind(from).bind(to).execute(&mut *transaction).await?;
    for Found { partition, .. } in month {
        let (table, name) = (quoted(&partition.table), quoted(&partition.name));
        run(&mut transaction, format!("ALTER TABLE {table} DETACH PARTITION {name}; DROP TABLE {name}")).await?;
    }
    transaction.commit().await
}

/// A statement with names, which cannot be bound: they are constants, or quoted.
async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop)
}

/// A name from the catalog, which an administrator may have chosen.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
