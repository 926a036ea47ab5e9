//! Dead letters in PostgreSQL.

use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{Connection, FromRow, Row};

use super::stamp;
use crate::killmail::KillmailId;
use crate::store::{DeadLetter, DeadLetterFilter, DeadLetterState, Error, NewDeadLetter, counted};

const INSERT: &str = r#"INSERT INTO dead_letters
    (pipeline, source, "group", stage, sinks_done, class, error, sqlstate, http_status, killmail_id, first_failed_at, last_failed_at, payload)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12) RETURNING id"#;

const SELECT: &str = r#"SELECT id, pipeline, source, state, "group", stage, sinks_done, class, error, sqlstate, http_status, killmail_id,
    attempts, first_failed_at, last_failed_at, note, payload_bytes, CASE WHEN $7 THEN payload ELSE '' END AS payload
    FROM dead_letters
    WHERE ($1::text IS NULL OR pipeline = $1) AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR stage = $3)
    AND ($4::bigint[] IS NULL OR id = ANY ($4)) AND id > $5
    ORDER BY id LIMIT $6"#;

const MOVE: &str = "UPDATE dead_letters SET state = $1, note = coalesce($2, note)
    WHERE id = ANY ($3) AND state = ANY ($4) RETURNING id";

/// Two that move the same letters take them in one order.
const LOCK: &str = "SELECT id FROM dead_letters WHERE id = ANY ($1) ORDER BY id FOR UPDATE";

const FAILED_AGAIN: &str = r#"UPDATE dead_letters SET state = 'open', attempts = attempts + 1, "group" = $2, stage = $3, sinks_done = $4,
    class = $5, error = $6, sqlstate = $7, http_status = $8, killmail_id = coalesce($9, killmail_id), last_failed_at = $10
    WHERE id = $1"#;

pub(super) async fn add(pool: &PgPool, letters: &[NewDeadLetter]) -> Result<Vec<i64>, Error> {
    let mut transaction = pool.begin().await?;
    let mut ids = Vec::with_capacity(letters.len());
    for letter in letters {
        ids.push(add_one(&mut transaction, letter).await?);
    }
    transaction.commit().await?;
    Ok(ids)
}

async fn add_one(connection: &mut PgConnection, letter: &NewDeadLetter) -> Result<i64, Error> {
    let query = sqlx::query_scalar(INSERT)
        .bind(text(&letter.pipeline))
        .bind(text(&letter.source))
        .bind(text(&letter.group))
        .bind(text(&letter.stage))
        .bind(&letter.sinks_done)
        .bind(text(&letter.class))
        .bind(text(&letter.error))
        .bind(&letter.sqlstate)
        .bind(letter.http_status.map(i32::from))
        .bind(letter.killmail_id.map(KillmailId::get))
        .bind(stamp(letter.failed_at))
        .bind(&letter.payload[..]);
    Ok(query.fetch_one(connection).await?)
}

pub(super) async fn select(pool: &PgPool, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, Error> {
    let query = sqlx::query_as(SELECT)
        .bind(&filter.pipeline)
        .bind(filter.state.map(DeadLetterState::as_str))
        .bind(&filter.stage)
        .bind((!filter.ids.is_empty()).then_some(&filter.ids))
        .bind(filter.after)
        .bind(filter.limit.map(i64::from))
        .bind(filter.payload);
    Ok(query.fetch_all(pool).await?)
}

pub(super) async fn counts(pool: &PgPool) -> Result<Vec<(String, DeadLetterState, i64)>, Error> {
    let sql = "SELECT pipeline, state, count(*) FROM dead_letters GROUP BY state, pipeline ORDER BY pipeline, state";
    let rows: Vec<(String, String, i64)> = sqlx::query_as(sql).fetch_all(pool).await?;
    Ok(counted(rows))
}

pub(super) async fn set_state(
    pool: &PgPool,
    ids: &[i64],
    from: &[DeadLetterState],
    to: DeadLetterState,
    note: Option<&str>,
) -> Result<Vec<i64>, Error> {
    let from: Vec<_> = from.iter().map(|state| state.as_str()).collect();
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK).bind(ids).execute(&mut *transaction).await?;
    let query = sqlx::query_scalar(MOVE).bind(to.as_str()).bind(note.map(text)).bind(ids).bind(from);
    let mut moved: Vec<i64> = query.fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    moved.sort_unstable();
    Ok(moved)
}

pub(super) async fn failed_again(pool: &PgPool, id: i64, letter: &NewDeadLetter) -> Result<(), Error> {
    let query = sqlx::query(FAILED_AGAIN)
        .bind(id)
        .bind(text(&letter.group))
        .bind(text(&letter.stage))
        .bind(&letter.sinks_done)
        .bind(text(&letter.class))
        .bind(text(&letter.error))
        .bind(&letter.sqlstate)
        .bind(letter.http_status.map(i32::from))
        .bind(letter.killmail_id.map(KillmailId::get))
        .bind(stamp(letter.failed_at));
    match query.execute(pool).await?.rows_affected() {
        1 => Ok(()),
        _ => Err(Error::Permanent(format!("find dead letter {id}"))),
    }
}

/// PostgreSQL's texts hold every character but the zero, which an error that quotes its input may have.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl FromRow<'_, PgRow> for DeadLetter {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        let last_failed_at = row.try_get::<jiff_sqlx::Timestamp, _>("last_failed_at")?.into();
        Ok(Self {
            id: row.try_get("id")?,
            state: DeadLetterState::parse(&state).ok_or_else(|| sqlx::Error::Decode("an unknown state".into()))?,
            attempts: row.try_get("attempts")?,
            first_failed_at: row.try_get::<jiff_sqlx::Timestamp, _>("first_failed_at")?.into(),
            last_failed_at,
            note: row.try_get("note")?,
            payload_bytes: row.try_get("payload_bytes")?,
            letter: NewDeadLetter {
                pipeline: row.try_get("pipeline")?,
                source: row.try_get("source")?,
                group: row.try_get("group")?,
                stage: row.try_get("stage")?,
                sinks_done: row.try_get("sinks_done")?,
                class: row.try_get("class")?,
                error: row.try_get("error")?,
                sqlstate: row.try_get("sqlstate")?,
                http_status: row.try_get::<Option<i32>, _>("http_status")?.and_then(|status| status.try_into().ok()),
                killmail_id: row.try_get::<Option<i64>, _>("killmail_id")?.and_then(KillmailId::new),
                failed_at: last_failed_at,
                payload: row.try_get("payload")?,
            },
        })
    }
}
