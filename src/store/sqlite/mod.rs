//! The store in one SQLite file.
//!
//! Write-ahead log, one connection that writes and a few that read. SQLite lets one write at a time whatever is done; a queue
//! before one connection is fair and never meets itself as "busy". Other processes (the commands) are waited for with the
//! busy timeout.
//!
//! **Durability.** `synchronous=NORMAL`: what is committed survives the death of the process (SIGKILL, a panic, the OOM killer),
//! because the log is in the system's hands by then. A loss of power or a crash of the system may undo the last commits, those since
//! the log was last synced, whole ones only and in order: the file stays consistent. With `?synchronous=full` in the URL
//! each commit is synced, at a few milliseconds each.

mod alerts;
mod error;
mod events;
mod jobs;
mod kills;
mod letter_groups;
mod letters;
mod matches;
mod offsets;
mod orders;
mod prices;
mod profiles;
mod quotes;
mod refreshes;
mod statements;
mod statics;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::ConnectOptions;
use sqlx::migrate::{Migrate, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub(super) use error::classify;

use super::letters::FINGERPRINTS;
use super::migrations::{migrating, steps_missing};
use super::{Change, Error, Health, Letters, Options, Refresh, Rehearsed, Scope, Store, Stretch, within};
use crate::killmail::{Form, Kill, KillmailId};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const READERS: u32 = 3;
/// The writer keeps the indexes' pages that it comes back to.
const WRITER_CACHE: &str = "-16384";
const READER_CACHE: &str = "-4096";
/// Pages in the log (64 MB) before a commit moves them into the file. SQLite's own 1,000 is two batches of kills, as each touches some hundred
/// index pages: it halves the rate.
const CHECKPOINT_PAGES: &str = "16000";
/// The log file is cut to this after it was moved, should a long reader have let it grow.
const LOG_BYTES: &str = "100000000";

/// See the module.
#[derive(Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    call_timeout: Duration,
    health: Health,
    /// Of the price cache job.
    turnstile: jobs::Turnstile,
    /// Of those who deliver alerts.
    couriers: jobs::Turnstile,
    /// Of those who collect the killfeed's log.
    collectors: jobs::Turnstile,
    /// Of those who keep dead letters in bounds.
    letters_keepers: jobs::Turnstile,
}

impl Sqlite {
    /// Opens the file of a `sqlite:` URL, creating it.
    ///
    /// # Errors
    /// The URL has unknown parameters, the folder does not exist, or the file cannot be opened.
    pub async fn open(url: &str, options: &Options) -> Result<Self, Error> {
        let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
        let synchronous = synchronous(parameters)?;
        let base = SqliteConnectOptions::new().busy_timeout(options.busy_timeout).foreign_keys(false);
        let base = base.disable_statement_logging().pragma("temp_store", "memory").statement_cache_capacity(64);
        let pool = SqlitePoolOptions::new().acquire_timeout(options.call_timeout).test_before_acquire(false);
        let pool = pool.idle_timeout(None).max_lifetime(None);
        let one = pool.clone().max_connections(1);

        let address = address.trim_start_matches("sqlite:");
        if address == ":memory:" {
            let writer = one.connect_with(base.in_memory(true).shared_cache(false)).await?;
            let turnstiles = std::array::from_fn(|_| jobs::Turnstile::in_memory());
            return Ok(Self::new(writer.clone(), writer, turnstiles, options));
        }
        let path = address.strip_prefix("//").unwrap_or(address);
        check(path)?;
        let file = base.filename(path).pragma("cache_size", WRITER_CACHE);
        let writing =
            file.clone().create_if_missing(true).journal_mode(SqliteJournalMode::Wal).synchronous(synchronous);
        let writing = writing.pragma("wal_autocheckpoint", CHECKPOINT_PAGES).pragma("journal_size_limit", LOG_BYTES);
        let writer = one.connect_with(writing).await.map_err(|error| opening(path, error))?;
        let reading = file.read_only(true).pragma("cache_size", READER_CACHE);
        let readers =
            pool.max_connections(READERS).connect_with(reading).await.map_err(|error| opening(path, error))?;
        let turnstiles =
            ["prices", "alerts", "killfeed", "letters"].map(|of| jobs::Turnstile::beside(Path::new(path), of));
        Ok(Self::new(writer, readers, turnstiles, options))
    }

    fn new(
        writer: SqlitePool,
        readers: SqlitePool,
        [turnstile, couriers, collectors, letters_keepers]: [jobs::Turnstile; 4],
        options: &Options,
    ) -> Self {
        Self {
            writer,
            readers,
            call_timeout: options.call_timeout,
            health: Health::default(),
            turnstile,
            couriers,
            collectors,
            letters_keepers,
        }
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        within(self.call_timeout, call).await
    }
}

fn synchronous(parameters: &str) -> Result<SqliteSynchronous, Error> {
    match parameters {
        "" | "synchronous=normal" => Ok(SqliteSynchronous::Normal),
        "synchronous=full" => Ok(SqliteSynchronous::Full),
        other => Err(Error::Permanent(format!(
            "read the database's url: `{other}` is not known, only synchronous=full and synchronous=normal"
        ))),
    }
}

/// SQLite would only say "unable to open database file".
fn check(path: &str) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::Permanent(format!("open the database `{path}`: {why}")));
    let file = Path::new(path);
    if path.is_empty() {
        return refuse("no file is named (sqlite://FILE)".to_owned());
    }
    if file.is_dir() {
        return refuse("it is a folder".to_owned());
    }
    match file.parent() {
        Some(folder) if folder != Path::new("") && !folder.is_dir() => {
            refuse(format!("the folder `{}` does not exist", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Nothing transient is expected of opening, except that another process has it locked.
fn opening(path: &str, error: sqlx::Error) -> Error {
    match Error::from(error) {
        Error::Transient(why) => Error::Transient(format!("open the database `{path}`: {why}")),
        error => Error::Permanent(format!("open the database `{path}`: {error}")),
    }
}

/// A JSON array of ids, for `IN (SELECT value FROM json_each(?))`: one statement for any number of them.
fn id_list(ids: impl Iterator<Item = i64>) -> String {
    let mut list = String::from("[");
    for id in ids {
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&id.to_string());
    }
    list.push(']');
    list
}

/// A JSON array of integers, as it was written here.
fn integers(list: &str) -> Result<Vec<i64>, Error> {
    serde_json::from_str(list).map_err(|error| Error::Permanent(format!("read a list of numbers: {error}")))
}

/// A time of ours as text: always three decimals, so that texts sort as times do.
fn stamp(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// A time as this engine keeps it.
fn time(text: &str) -> Result<Timestamp, Error> {
    text.parse().map_err(|error| Error::Permanent(format!("read the time `{text}`: {error}")))
}

/// Steps that are not applied yet, by version.
async fn pending(connection: &mut SqliteConnection) -> Result<Vec<String>, Error> {
    let table = &MIGRATIONS.table_name;
    let made: bool = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = ?")
        .bind(table.as_ref())
        .fetch_one(&mut *connection)
        .await?;
    let applied = if made { connection.list_applied_migrations(table).await.map_err(migrating)? } else { Vec::new() };
    Ok(steps_missing(&MIGRATIONS, &applied))
}

#[async_trait]
impl Store for Sqlite {
    async fn migrate(&self) -> Result<Vec<String>, Error> {
        // Not bounded by the call timeout: a step may rewrite a large table.
        let mut connection = self.writer.acquire().await?;
        let steps = pending(&mut connection).await?;
        MIGRATIONS.run_direct(None, &mut *connection, false).await.map_err(migrating)?;
        drop(connection);
        if !steps.is_empty() {
            while self.fingerprint_dead_letters(FINGERPRINTS).await? > 0 {}
        }
        Ok(steps)
    }

    async fn pending_migrations(&self) -> Result<Vec<String>, Error> {
        self.bounded(async { pending(&mut *self.readers.acquire().await?).await }).await
    }

    async fn insert_kills(&self, kills: &[&Kill], events: bool) -> Result<Vec<Change>, Error> {
        self.bounded(kills::insert(&self.writer, kills, events)).await
    }

    async fn rehearse_kill(&self, kill: &Kill) -> Result<Rehearsed, Error> {
        self.bounded(kills::rehearse(&self.writer, kill)).await
    }

    async fn lacking(&self, ids: &[KillmailId], form: Form, day: Date) -> Result<Vec<KillmailId>, Error> {
        self.bounded(kills::lacking(&self.readers, ids, form, day)).await
    }

    async fn due_refreshes(&self, now: Timestamp, limit: u32) -> Result<Vec<Refresh>, Error> {
        self.bounded(refreshes::due(&self.readers, now, limit)).await
    }

    async fn postpone_refresh(&self, id: KillmailId, until: Option<Timestamp>) -> Result<(), Error> {
        self.bounded(refreshes::postpone(&self.writer, id, until)).await
    }

    async fn defer_refreshes(&self, ids: &[KillmailId], until: Timestamp) -> Result<(), Error> {
        self.bounded(refreshes::defer(&self.writer, ids, until)).await
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
        let query = sqlx::query_scalar("SELECT value FROM checkpoints WHERE name = ?").bind(name);
        self.bounded(async { Ok(query.fetch_optional(&self.readers).await?) }).await
    }

    async fn set_checkpoint(&self, name: &str, value: Option<&str>) -> Result<(), Error> {
        let query = match value {
            Some(value) => sqlx::query(
                "INSERT INTO checkpoints (name, value, updated_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            )
            .bind(name)
            .bind(value)
            .bind(stamp(Timestamp::now())),
            None => sqlx::query("DELETE FROM checkpoints WHERE name = ?").bind(name),
        };
        self.bounded(async { Ok(query.execute(&self.writer).await.map(drop)?) }).await
    }

    async fn ping(&self) -> Result<(), Error> {
        let query = sqlx::query("SELECT 1 FROM sqlite_master").fetch_optional(&self.readers);
        self.bounded(async { Ok(query.await.map(drop)?) }).await
    }

    fn health(&self) -> &Health {
        &self.health
    }

    async fn close(&self) {
        // The last connection to close moves the log into the file.
        self.readers.close().await;
        self.writer.close().await;
    }
}
