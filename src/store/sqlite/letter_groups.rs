//! Groups of dead letters in SQLite: one query over an index that holds all that is counted.

use jiff::{Timestamp, ToSpan};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{FromRow, QueryBuilder, Row};

use super::letters::{COLUMNS, NOT_LONG, names};
use super::stamp;
use crate::store::{
    DeadLetter, DeadLetterGroup, Error, GroupFilter, GroupNote, GroupState, NewDeadLetter, TREND_HOURS, fingerprint,
};

/// The whole of it, but for the fingerprints that may be asked for.
const COUNTED: &str = "WITH counted AS MATERIALIZED (
    SELECT fingerprint, count(*) AS total, sum(state IN ('open', 'retrying')) AS open, min(first_failed_at) AS first_at, max(last_failed_at) AS last_at
    FROM dead_letters INDEXED BY dead_letters_group";

const CHOSEN: &str = " GROUP BY fingerprint), chosen AS MATERIALIZED (
    SELECT c.*, g.state AS said, g.fixed_in, g.changed_at, g.note AS group_note, coalesce(g.changed_at < c.last_at, 0) AS failed_since,
        (SELECT id FROM dead_letters s WHERE s.fingerprint = c.fingerprint ORDER BY last_failed_at DESC LIMIT 1) AS sample
    FROM counted c LEFT JOIN dead_letter_groups g USING (fingerprint)";

/// By hour, each a stretch of the index.
const TREND: &str = ", (SELECT json_group_array((SELECT count(*) FROM dead_letters t WHERE t.fingerprint = chosen.fingerprint
    AND t.last_failed_at >= json_extract(value, '$[0]') AND t.last_failed_at < json_extract(value, '$[1]'))) FROM json_each(";

const SET: &str =
    "INSERT INTO dead_letter_groups (fingerprint, state, fixed_in, changed_at, note) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (fingerprint) DO UPDATE SET state = excluded.state, fixed_in = excluded.fixed_in, changed_at = excluded.changed_at,
        note = excluded.note";

pub(super) async fn list(
    pool: &SqlitePool,
    filter: &GroupFilter,
    now: Timestamp,
) -> Result<Vec<DeadLetterGroup>, Error> {
    let mut query = QueryBuilder::new(COUNTED);
    if !filter.fingerprints.is_empty() {
        let list = names(&filter.fingerprints);
        query.push(" WHERE fingerprint IN (SELECT value FROM json_each(").push_bind(list).push("))");
    }
    query.push(CHOSEN);
    query.push(if filter.settled { " WHERE 1" } else { " WHERE c.open > 0" });
    if !filter.states.is_empty() {
        let states: Vec<_> = filter.states.iter().map(|state| state.as_str()).collect();
        query.push(
            " AND CASE WHEN g.state = 'fixed' AND g.changed_at < c.last_at THEN 'regressed' ELSE coalesce(g.state, 'open') END
                IN (SELECT value FROM json_each(",
        );
        query.push_bind(names(&states)).push("))");
    }
    query.push(
        "), limited AS MATERIALIZED (SELECT chosen.* FROM chosen JOIN dead_letters d ON d.id = chosen.sample WHERE 1",
    );
    for (column, value) in [("pipeline", &filter.pipeline), ("stage", &filter.stage), ("class", &filter.class)] {
        if let Some(value) = value {
            query.push(format!(" AND d.{column} = ")).push_bind(value.clone());
        }
    }
    query.push(" ORDER BY last_at DESC, chosen.fingerprint LIMIT ").push_bind(filter.limit.map_or(-1, i64::from));
    query.push(
        ") SELECT chosen.total, chosen.open, chosen.first_at, chosen.last_at, chosen.said, chosen.fixed_in, chosen.changed_at,
            chosen.group_note, chosen.failed_since",
    );
    query.push(TREND).push_bind(hours(now)?).push(")) AS trend, ").push(COLUMNS).push(NOT_LONG);
    query.push(" FROM limited chosen JOIN dead_letters d ON d.id = chosen.sample ORDER BY chosen.last_at DESC, chosen.fingerprint");
    Ok(query.build_query_as().fetch_all(pool).await?)
}

/// The last hours, each from and to: whole ones by the clock.
fn hours(now: Timestamp) -> Result<String, Error> {
    let out_of_range = |error: jiff::Error| Error::Permanent(format!("count by hours: {error}"));
    let this_hour = now.round(jiff::TimestampRound::new().smallest(jiff::Unit::Hour).mode(jiff::RoundMode::Floor));
    let this_hour = this_hour.map_err(out_of_range)?;
    let mut hours = Vec::with_capacity(TREND_HOURS);
    for back in (0..TREND_HOURS as i64).rev() {
        let begins = this_hour.checked_sub(back.hours()).map_err(out_of_range)?;
        hours.push([stamp(begins), stamp(begins.checked_add(1.hour()).map_err(out_of_range)?)]);
    }
    Ok(names(&hours))
}

pub(super) async fn set(pool: &SqlitePool, fingerprint: &str, said: &GroupNote, now: Timestamp) -> Result<bool, Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let there = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM dead_letters WHERE fingerprint = ?)");
    let there: bool = there.bind(fingerprint).fetch_one(&mut *transaction).await?;
    if there {
        let query = match said.said.stored() {
            Some((state, fixed_in)) => {
                let query = sqlx::query(SET).bind(fingerprint).bind(state).bind(fixed_in);
                query.bind(stamp(now)).bind(&said.note)
            }
            None => sqlx::query("DELETE FROM dead_letter_groups WHERE fingerprint = ?").bind(fingerprint),
        };
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(there)
}

/// See [`Letters::fingerprint_dead_letters`](crate::store::Letters::fingerprint_dead_letters).
pub(super) async fn fingerprint_some(pool: &SqlitePool, limit: u32) -> Result<u64, Error> {
    type Columns = (i64, String, String, String, String, Option<String>, Option<u16>);
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let sql = "SELECT id, pipeline, stage, class, error, sqlstate, http_status FROM dead_letters WHERE fingerprint = '' LIMIT ?";
    let rows: Vec<Columns> = sqlx::query_as(sql).bind(limit).fetch_all(&mut *transaction).await?;
    let count = rows.len() as u64;
    for (id, pipeline, stage, class, error, sqlstate, http_status) in rows {
        let letter = NewDeadLetter { pipeline, stage, class, error, sqlstate, http_status, ..NewDeadLetter::default() };
        let of = fingerprint(&letter);
        let sql = "UPDATE dead_letters SET fingerprint = ?, error_text = ? WHERE id = ?";
        sqlx::query(sql).bind(of.hash).bind(of.text).bind(id).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(count)
}

/// A time of a row.
pub(super) fn time(text: String) -> Result<Timestamp, sqlx::Error> {
    text.parse().map_err(|error: jiff::Error| sqlx::Error::Decode(error.into()))
}

impl FromRow<'_, SqliteRow> for DeadLetterGroup {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let sample = DeadLetter::from_row(row)?;
        let trend: String = row.try_get("trend")?;
        let said: Option<String> = row.try_get("said")?;
        Ok(Self {
            fingerprint: sample.fingerprint.clone(),
            state: GroupState::of(said.as_deref(), row.try_get("failed_since")?),
            fixed_in: row.try_get("fixed_in")?,
            changed_at: row.try_get::<Option<String>, _>("changed_at")?.map(time).transpose()?,
            note: row.try_get("group_note")?,
            open: row.try_get("open")?,
            total: row.try_get("total")?,
            first_failed_at: time(row.try_get("first_at")?)?,
            last_failed_at: time(row.try_get("last_at")?)?,
            trend: serde_json::from_str(&trend).map_err(|error| sqlx::Error::Decode(error.into()))?,
            sample,
        })
    }
}
