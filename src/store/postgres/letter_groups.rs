//! Groups of dead letters in PostgreSQL: one query over an index that holds all that is counted.

use jiff::Timestamp;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{FromRow, QueryBuilder, Row};

use super::letters::{COLUMNS, NOT_LONG};
use super::stamp;
use crate::store::{
    DeadLetter, DeadLetterGroup, Error, GroupFilter, GroupNote, GroupState, NewDeadLetter, fingerprint,
};

const COUNTED: &str = "WITH counted AS MATERIALIZED (
    SELECT fingerprint, count(*) AS total, count(*) FILTER (WHERE state IN ('open', 'retrying')) AS open, min(first_failed_at) AS first_at,
        max(last_failed_at) AS last_at
    FROM dead_letters";

const CHOSEN: &str = " GROUP BY fingerprint), limited AS MATERIALIZED (
    SELECT c.*, g.state AS said, g.fixed_in, g.changed_at, g.note AS group_note, coalesce(g.changed_at < c.last_at, false) AS failed_since, sample
    FROM counted c LEFT JOIN dead_letter_groups g USING (fingerprint) CROSS JOIN LATERAL (SELECT id AS sample, pipeline, stage, class
        FROM dead_letters s WHERE s.fingerprint = c.fingerprint ORDER BY last_failed_at DESC LIMIT 1) AS d";

/// By hour, each a stretch of the index.
const TREND: &str = ", ARRAY (SELECT (SELECT count(*) FROM dead_letters t WHERE t.fingerprint = c.fingerprint
        AND t.last_failed_at >= hour AND t.last_failed_at < hour + interval '1 hour')
    FROM (SELECT date_trunc('hour', now.at) - back * interval '1 hour' AS hour FROM generate_series(23, 0, -1) AS back) AS hours
    ORDER BY hour) AS trend";

const SET: &str =
    "INSERT INTO dead_letter_groups (fingerprint, state, fixed_in, changed_at, note) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (fingerprint) DO UPDATE SET state = excluded.state, fixed_in = excluded.fixed_in, changed_at = excluded.changed_at,
        note = excluded.note";

pub(super) async fn list(pool: &PgPool, filter: &GroupFilter, now: Timestamp) -> Result<Vec<DeadLetterGroup>, Error> {
    let mut query = QueryBuilder::new(COUNTED);
    if !filter.fingerprints.is_empty() {
        query.push(" WHERE fingerprint = ANY (").push_bind(filter.fingerprints.clone()).push(")");
    }
    query.push(CHOSEN);
    query.push(if filter.settled { " WHERE true" } else { " WHERE c.open > 0" });
    if !filter.states.is_empty() {
        let states: Vec<_> = filter.states.iter().map(|state| state.as_str()).collect();
        query.push(
            " AND CASE WHEN g.state = 'fixed' AND g.changed_at < c.last_at THEN 'regressed' ELSE coalesce(g.state, 'open') END = ANY (",
        );
        query.push_bind(states).push(")");
    }
    for (column, value) in [("pipeline", &filter.pipeline), ("stage", &filter.stage), ("class", &filter.class)] {
        if let Some(value) = value {
            query.push(format!(" AND d.{column} = ")).push_bind(value.clone());
        }
    }
    query.push(" ORDER BY last_at DESC, c.fingerprint LIMIT ").push_bind(filter.limit.map(i64::from));
    query.push(
        ") SELECT c.total, c.open, c.first_at, c.last_at, c.said, c.fixed_in, c.changed_at, c.group_note, c.failed_since",
    );
    query
        .push(TREND)
        .push(", ")
        .push(COLUMNS)
        .push(NOT_LONG)
        .push(" FROM limited c JOIN dead_letters d ON d.id = c.sample");
    query.push(" CROSS JOIN (SELECT ").push_bind(stamp(now)).push("::timestamptz AS at) AS now");
    query.push(" ORDER BY c.last_at DESC, c.fingerprint");
    Ok(query.build_query_as().fetch_all(pool).await?)
}

pub(super) async fn set(pool: &PgPool, fingerprint: &str, said: &GroupNote, now: Timestamp) -> Result<bool, Error> {
    let there = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM dead_letters WHERE fingerprint = $1)");
    let there: bool = there.bind(fingerprint).fetch_one(pool).await?;
    if there {
        let query = match said.said.stored() {
            Some((state, fixed_in)) => {
                let query = sqlx::query(SET).bind(fingerprint).bind(state).bind(fixed_in);
                query.bind(stamp(now)).bind(&said.note)
            }
            None => sqlx::query("DELETE FROM dead_letter_groups WHERE fingerprint = $1").bind(fingerprint),
        };
        query.execute(pool).await?;
    }
    Ok(there)
}

/// See [`Letters::fingerprint_dead_letters`](crate::store::Letters::fingerprint_dead_letters).
pub(super) async fn fingerprint_some(pool: &PgPool, limit: u32) -> Result<u64, Error> {
    type Columns = (i64, String, String, String, String, Option<String>, Option<i32>);
    let sql = "SELECT id, pipeline, stage, class, error, sqlstate, http_status FROM dead_letters WHERE fingerprint = ''
        ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED";
    let mut transaction = pool.begin().await?;
    let rows: Vec<Columns> = sqlx::query_as(sql).bind(i64::from(limit)).fetch_all(&mut *transaction).await?;
    let (mut ids, mut hashes, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for (id, pipeline, stage, class, error, sqlstate, http_status) in rows {
        let http_status = http_status.and_then(|status| status.try_into().ok());
        let letter = NewDeadLetter { pipeline, stage, class, error, sqlstate, http_status, ..NewDeadLetter::default() };
        let of = fingerprint(&letter);
        ids.push(id);
        hashes.push(of.hash);
        texts.push(of.text);
    }
    let sql = "UPDATE dead_letters d SET fingerprint = hash, error_text = given.text
        FROM unnest($1::bigint[], $2::text[], $3::text[]) AS given (id, hash, text) WHERE d.id = given.id";
    sqlx::query(sql).bind(&ids).bind(hashes).bind(texts).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(ids.len() as u64)
}

impl FromRow<'_, PgRow> for DeadLetterGroup {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let sample = DeadLetter::from_row(row)?;
        let said: Option<String> = row.try_get("said")?;
        let time = |column| row.try_get::<jiff_sqlx::Timestamp, _>(column).map(jiff_sqlx::Timestamp::to_jiff);
        Ok(Self {
            fingerprint: sample.fingerprint.clone(),
            state: GroupState::of(said.as_deref(), row.try_get("failed_since")?),
            fixed_in: row.try_get("fixed_in")?,
            changed_at: row
                .try_get::<Option<jiff_sqlx::Timestamp>, _>("changed_at")?
                .map(jiff_sqlx::Timestamp::to_jiff),
            note: row.try_get("group_note")?,
            open: row.try_get("open")?,
            total: row.try_get("total")?,
            first_failed_at: time("first_at")?,
            last_failed_at: time("last_at")?,
            trend: row.try_get("trend")?,
            sample,
        })
    }
}
