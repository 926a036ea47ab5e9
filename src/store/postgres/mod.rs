//! The store in PostgreSQL, 15 or later.
//!
//! Kills are kept by months (`partitions`), stored in bulk (`kills`), and announced in order (migration 0002).
//!
//! **Durability.** A commit is safe when the server says so, at whatever `synchronous_commit` the server, database or role is set to. When the
//! connection breaks during a commit, whether it was done is unknown: the call is a transient error, and asking again is safe.
//!
//! **Connections.** Up to 8 that write and 4 that read, so that readers of the killfeed never hold up a sink. A pooler in between
//! must keep a session's settings and prepared statements (PgBouncer: session mode).
//!
//! **Bounds.** Waiting for a connection, for a lock and for an answer are each bounded ([`Options`]), here and, in case this process
//! is cut off, on the server.

mod address;
mod alerts;
mod ceiling;
mod copy;
mod error;
mod events;
mod jobs;
mod kills;
mod lease;
mod letter_groups;
mod letters;
mod matches;
mod offsets;
mod orders;
mod partitions;
mod prices;
mod profiles;
mod quotes;
mod refreshes;
mod rules;
mod statements;
mod statics;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};

pub use ceiling::Scratch;
pub(super) use error::classify;

use address::{connect, parse};

use super::error::NO_CONNECTION;
use super::letters::FINGERPRINTS;
use super::migrations::{migrating, steps_missing};
use super::{
    Change, Error, Health, Letters, Month, Options, Partition, Refresh, Rehearsed, Scope, Store, Stretch, within,
};
use crate::killmail::{Form, Kill, KillmailId};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Connections that write: sink workers, dead letters, checkpoints.
const WRITERS: u32 = 8;
/// Connections that read.
const READERS: u32 = 4;
/// How long to wait for a connection, a new one included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that rested longer is asked whether it is alive: the server may have been started anew, or a firewall have forgotten it.
const RESTED: Duration = Duration::from_secs(1);
const SERVER_MIN: u32 = 150_000;

/// See the module.
#[derive(Debug)]
pub struct Postgres {
    writers: PgPool,
    readers: PgPool,
    options: PgConnectOptions,
    known: partitions::Known,
    call_timeout: Duration,
    health: Health,
}

impl Postgres {
    /// Connects to the database of a `postgres://USER:PASSWORD@HOST:PORT/DATABASE` URL, with parameters as libpq names them: `sslmode`,
    /// `sslrootcert`, `sslcert`, `sslkey`, `host` (also a socket's folder), `application_name`, `options`, ….
    ///
    /// # Errors
    /// Transient when the server does not answer or is not ready; permanent when it refuses (no such database, wrong password), is older than
    /// version 15, or the URL cannot be read.
    pub async fn open(url: &str, options: &Options) -> Result<Self, Error> {
        let address = parse(url)?;
        let connection = connect(&address).await?;
        let version = connection.server_version_num();
        drop(connection.close().await);
        if version.is_some_and(|version| version < SERVER_MIN) {
            let version = version.unwrap_or_default() / 10_000;
            return Err(Error::Permanent(format!("use this PostgreSQL: it is {version}, and 15 or later is needed")));
        }
        let pool = |size| pool(size, options).connect_lazy_with(address.clone());
        Ok(Self {
            writers: pool(WRITERS),
            readers: pool(READERS),
            options: address.clone(),
            known: partitions::Known::default(),
            call_timeout: options.call_timeout,
            health: Health::default(),
        })
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        match within(self.call_timeout, call).await {
            Err(Error::Transient(why)) => Err(Error::Transient(self.explain(why).await)),
            answer => answer,
        }
    }

    /// The pool keeps to itself why it could not connect.
    async fn explain(&self, why: String) -> String {
        if why != NO_CONNECTION {
            return why;
        }
        match connect(&self.options).await {
            Ok(connection) => drop(connection.close().await),
            Err(error) => return error.to_string(),
        }
        why
    }

    /// A connection without time limits, for what may take long and is watched by whoever asked for it.
    async fn patient(&self) -> Result<PgConnection, Error> {
        let mut connection = connect(&self.options).await?;
        connection
            .execute("SET statement_timeout = 0; SET TimeZone = 'UTC'; SET client_min_messages = warning")
            .await?;
        Ok(connection)
    }
}

fn pool(size: u32, options: &Options) -> PgPoolOptions {
    let (call, lock) = (options.call_timeout.as_millis(), options.busy_timeout.as_millis());
    // Every plan is made for its values: only so are months left out before they are locked, and a plan takes less than a millisecond.
    let settings = format!(
        "SET TimeZone = 'UTC'; SET statement_timeout = {call}; SET lock_timeout = {lock}; SET idle_in_transaction_session_timeout = {call};
         SET plan_cache_mode = force_custom_plan; SET client_min_messages = warning"
    );
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_secs(300))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            let settings = settings.clone();
            Box::pin(async move { connection.execute(AssertSqlSafe(settings)).await.map(drop) })
        })
}

/// A time as PostgreSQL keeps it, to the microsecond.
fn stamp(time: Timestamp) -> jiff_sqlx::Timestamp {
    time.into()
}

async fn pending(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    let table = &MIGRATIONS.table_name;
    let made = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table.as_ref());
    let made: bool = made.fetch_one(&mut *connection).await?;
    let applied = if made { connection.list_applied_migrations(table).await.map_err(migrating)? } else { Vec::new() };
    Ok(steps_missing(&MIGRATIONS, &applied))
}

#[async_trait]
impl Store for Postgres {
    async fn migrate(&self) -> Result<Vec<String>, Error> {
        let mut connection = self.patient().await?;
        // Others who migrate are waited for: an advisory lock, which sqlx would only take after the steps are counted.
        connection.lock().await.map_err(migrating)?;
        let steps = pending(&mut connection).await?;
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(migrating)?;
        connection.unlock().await.map_err(migrating)?;
        connection.close().await?;
        if !steps.is_empty() {
            while self.fingerprint_dead_letters(FINGERPRINTS).await? > 0 {}
        }
        Ok(steps)
    }

    async fn pending_migrations(&self) -> Result<Vec<String>, Error> {
        self.bounded(async { pending(&mut *self.readers.acquire().await?).await }).await
    }

    async fn insert_kills(&self, kills: &[&Kill], events: bool) -> Result<Vec<Change>, Error> {
        self.bounded(kills::insert(self, kills, events)).await
    }

    async fn rehearse_kill(&self, kill: &Kill) -> Result<Rehearsed, Error> {
        self.bounded(kills::rehearse(self, kill)).await
    }

    async fn lacking(&self, ids: &[KillmailId], form: Form, day: Date) -> Result<Vec<KillmailId>, Error> {
        self.bounded(kills::lacking(&self.readers, ids, form, day)).await
    }

    async fn due_refreshes(&self, now: Timestamp, limit: u32) -> Result<Vec<Refresh>, Error> {
        self.bounded(refreshes::due(&self.readers, now, limit)).await
    }

    async fn postpone_refresh(&self, id: KillmailId, until: Option<Timestamp>) -> Result<(), Error> {
        self.bounded(refreshes::postpone(&self.writers, id, until)).await
    }

    async fn defer_refreshes(&self, ids: &[KillmailId], until: Timestamp) -> Result<(), Error> {
        self.bounded(refreshes::defer(&self.writers, ids, until)).await
    }

    async fn events_of(&self, scope: &Scope, after: i64, limit: u32) -> Result<Stretch, Error> {
        self.bounded(events::of(self, scope, after, limit)).await
    }

    async fn event_range(&self) -> Result<Option<(i64, i64)>, Error> {
        self.bounded(events::range(&self.readers)).await
    }

    async fn count_kills(&self) -> Result<i64, Error> {
        let query = sqlx::query_scalar("SELECT count(*) FROM killmails_enriched").fetch_one(&self.readers);
        self.bounded(async { Ok(query.await?) }).await
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<String>, Error> {
        let query = sqlx::query_scalar("SELECT value FROM checkpoints WHERE name = $1").bind(name);
        self.bounded(async { Ok(query.fetch_optional(&self.readers).await?) }).await
    }

    async fn set_checkpoint(&self, name: &str, value: Option<&str>) -> Result<(), Error> {
        let query = match value {
            Some(value) => sqlx::query(
                "INSERT INTO checkpoints (name, value, updated_at) VALUES ($1, $2, $3)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            )
            .bind(name)
            .bind(value)
            .bind(stamp(Timestamp::now())),
            None => sqlx::query("DELETE FROM checkpoints WHERE name = $1").bind(name),
        };
        self.bounded(async { Ok(query.execute(&self.writers).await.map(drop)?) }).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, Error> {
        self.bounded(partitions::list(&self.readers)).await
    }

    async fn ensure_partitions(&self, first: Month, last: Month) -> Result<Vec<String>, Error> {
        let made = self.bounded(partitions::ensure(&self.writers, first.through(last))).await?;
        self.known.add(first.through(last));
        Ok(made)
    }

    async fn drop_partitions(&self, before: Month) -> Result<Vec<Partition>, Error> {
        let mut connection = self.patient().await?;
        let dropped = partitions::drop_before(&mut connection, before).await?;
        connection.close().await?;
        self.known.forget();
        Ok(dropped)
    }

    async fn ceiling(&self, kills: &[Kill], batch: usize) -> Result<Option<Duration>, Error> {
        ceiling::copy_alone(self, kills, batch).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.bounded(async { Ok(sqlx::query("SELECT 1").execute(&self.readers).await.map(drop)?) }).await
    }

    fn health(&self) -> &Health {
        &self.health
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}
