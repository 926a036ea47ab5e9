//! Dead letters in SQLite.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{FromRow, Row};

use super::{id_list, stamp};
use crate::killmail::KillmailId;
use crate::store::{DeadLetter, DeadLetterFilter, DeadLetterState, Error, NewDeadLetter, counted};

const INSERT: &str = r#"INSERT INTO dead_letters
    (pipeline, source, "group", stage, sinks_done, class, error, sqlstate, http_status, killmail_id, first_failed_at, last_failed_at, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12) RETURNING id"#;

const SELECT: &str = r#"SELECT id, pipeline, source, state, "group", stage, sinks_done, class, error, sqlstate, http_status, killmail_id,
    attempts, first_failed_at, last_failed_at, note, payload_bytes, iif(?7, payload, x'') AS payload
    FROM dead_letters
    WHERE (?1 IS NULL OR pipeline = ?1) AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR stage = ?3)
    AND (?4 IS NULL OR id IN (SELECT value FROM json_each(?4))) AND id > ?5
    ORDER BY id LIMIT ?6"#;

const MOVE: &str = "UPDATE dead_letters SET state = ?1, note = coalesce(?2, note)
    WHERE id IN (SELECT value FROM json_each(?3)) AND state IN (SELECT value FROM json_each(?4)) RETURNING id";

const FAILED_AGAIN: &str = r#"UPDATE dead_letters SET state = 'open', attempts = attempts + 1, "group" = ?2, stage = ?3, sinks_done = ?4,
    class = ?5, error = ?6, sqlstate = ?7, http_status = ?8, killmail_id = coalesce(?9, killmail_id), last_failed_at = ?10
    WHERE id = ?1"#;

pub(super) async fn add(pool: &SqlitePool, letters: &[NewDeadLetter]) -> Result<Vec<i64>, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let mut ids = Vec::with_capacity(letters.len());
    for letter in letters {
        ids.push(add_one(&mut transaction, letter).await?);
    }
    transaction.commit().await?;
    Ok(ids)
}

async fn add_one(connection: &mut SqliteConnection, letter: &NewDeadLetter) -> Result<i64, Error> {
    let query = sqlx::query_scalar(INSERT)
        .bind(&letter.pipeline)
        .bind(&letter.source)
        .bind(&letter.group)
        .bind(&letter.stage)
        .bind(names(&letter.sinks_done))
        .bind(&letter.class)
        .bind(&letter.error)
        .bind(&letter.sqlstate)
        .bind(letter.http_status)
        .bind(letter.killmail_id.map(KillmailId::get))
        .bind(stamp(letter.failed_at))
        .bind(&letter.payload[..]);
    Ok(query.fetch_one(connection).await?)
}

pub(super) async fn select(pool: &SqlitePool, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, Error> {
    let ids = (!filter.ids.is_empty()).then(|| id_list(filter.ids.iter().copied()));
    let query = sqlx::query_as(SELECT)
        .bind(&filter.pipeline)
        .bind(filter.state.map(DeadLetterState::as_str))
        .bind(&filter.stage)
        .bind(ids)
        .bind(filter.after)
        .bind(filter.limit.map_or(-1, i64::from))
        .bind(filter.payload);
    Ok(query.fetch_all(pool).await?)
}

pub(super) async fn counts(pool: &SqlitePool) -> Result<Vec<(String, DeadLetterState, i64)>, Error> {
    let sql = "SELECT pipeline, state, count(*) FROM dead_letters GROUP BY state, pipeline ORDER BY pipeline, state";
    let rows: Vec<(String, String, i64)> = sqlx::query_as(sql).fetch_all(pool).await?;
    Ok(counted(rows))
}

pub(super) async fn set_state(
    pool: &SqlitePool,
    ids: &[i64],
    from: &[DeadLetterState],
    to: DeadLetterState,
    note: Option<&str>,
) -> Result<Vec<i64>, Error> {
    let from: Vec<_> = from.iter().map(|state| state.as_str()).collect();
    let query =
        sqlx::query_scalar(MOVE).bind(to.as_str()).bind(note).bind(id_list(ids.iter().copied())).bind(names(&from));
    let mut moved: Vec<i64> = query.fetch_all(pool).await?;
    moved.sort_unstable();
    Ok(moved)
}

pub(super) async fn failed_again(pool: &SqlitePool, id: i64, letter: &NewDeadLetter) -> Result<(), Error> {
    let query = sqlx::query(FAILED_AGAIN)
        .bind(id)
        .bind(&letter.group)
        .bind(&letter.stage)
        .bind(names(&letter.sinks_done))
        .bind(&letter.class)
        .bind(&letter.error)
        .bind(&letter.sqlstate)
        .bind(letter.http_status)
        .bind(letter.killmail_id.map(KillmailId::get))
        .bind(stamp(letter.failed_at));
    match query.execute(pool).await?.rows_affected() {
        1 => Ok(()),
        _ => Err(Error::Permanent(format!("find dead letter {id}"))),
    }
}

/// A JSON array of names.
pub(super) fn names<S: serde::Serialize>(names: &[S]) -> String {
    serde_json::to_string(names).expect("strings serialize")
}

impl FromRow<'_, SqliteRow> for DeadLetter {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        let sinks_done: String = row.try_get("sinks_done")?;
        let last_failed_at = time(row, "last_failed_at")?;
        Ok(Self {
            id: row.try_get("id")?,
            state: DeadLetterState::parse(&state).ok_or_else(|| sqlx::Error::Decode("an unknown state".into()))?,
            attempts: row.try_get("attempts")?,
            first_failed_at: time(row, "first_failed_at")?,
            last_failed_at,
            note: row.try_get("note")?,
            payload_bytes: row.try_get("payload_bytes")?,
            letter: NewDeadLetter {
                pipeline: row.try_get("pipeline")?,
                source: row.try_get("source")?,
                group: row.try_get("group")?,
                stage: row.try_get("stage")?,
                sinks_done: serde_json::from_str(&sinks_done).map_err(|error| sqlx::Error::Decode(error.into()))?,
                class: row.try_get("class")?,
                error: row.try_get("error")?,
                sqlstate: row.try_get("sqlstate")?,
                http_status: row.try_get("http_status")?,
                killmail_id: row.try_get::<Option<i64>, _>("killmail_id")?.and_then(KillmailId::new),
                failed_at: last_failed_at,
                payload: row.try_get("payload")?,
            },
        })
    }
}

fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error: jiff::Error| sqlx::Error::Decode(error.into()))
}
