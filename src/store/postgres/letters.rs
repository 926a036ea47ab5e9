//! [`Letters`] on PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow, QueryBuilder, Row as _};

use super::lease::Lease;
use super::{Postgres, jobs, letter_groups, stamp};
use crate::killmail::KillmailId;
use crate::store::Claim;
use crate::store::jobs::To;
use crate::store::letters::{bounded, counted, enough, lengthened};
use crate::store::{
    Attempt, DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterState, DeadLetterStats, Error, Expired, Expiry,
    Fingerprint, GroupFilter, GroupNote, Letters, NewDeadLetter, Settled, fingerprint,
};

/// In their order, and so with ascending ids. A list in a list does not pass: sinks come as JSON.
const INSERT: &str = r#"INSERT INTO dead_letters (pipeline, source, position, "group", stage, sinks_done, class, error, sqlstate, http_status,
        killmail_id, last_failed_at, payload, definition_hash, program_version, progress, retry_at, fingerprint, error_text,
        attempts, first_failed_at, history)
    SELECT pipeline, source, position, its_group, stage, ARRAY (SELECT json_array_elements_text(sinks::json)), class, error, sqlstate, http_status,
        killmail_id, last_failed_at, payload, definition_hash, program_version, progress, retry_at, fingerprint, error_text,
        attempts, first_failed_at, history
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::integer[],
        $11::bigint[], $12::timestamptz[], $13::bytea[], $14::text[], $15::text[], $16::text[], $17::timestamptz[], $18::text[], $19::text[],
        $20::bigint[], $21::timestamptz[], $22::text[]) WITH ORDINALITY AS given (pipeline, source, position, its_group, stage, sinks, class, error,
        sqlstate, http_status, killmail_id, last_failed_at, payload, definition_hash, program_version, progress, retry_at, fingerprint,
        error_text, attempts, first_failed_at, history, place)
    ORDER BY place RETURNING id"#;

/// What is short of a letter.
pub(super) const COLUMNS: &str = r#"d.id, d.pipeline, d.source, d.position, d.state, d."group", d.stage, d.sinks_done, d.class, d.error, d.sqlstate,
    d.http_status, d.killmail_id, d.attempts, d.first_failed_at, d.last_failed_at, d.note, d.payload_bytes, d.fingerprint, d.error_text,
    d.definition_hash, d.program_version, d.retry_at, d.held_until, d.settled_at, d.payload_original IS NOT NULL AS is_edited"#;
const LONG: &str = ", d.payload, d.history, d.progress, d.payload_original";
pub(super) const NOT_LONG: &str =
    ", ''::bytea AS payload, '[]' AS history, NULL::text AS progress, NULL::bytea AS payload_original";

const LAPSED: &str =
    "SELECT EXISTS (SELECT 1 FROM dead_letters WHERE state = 'retrying' AND (held_until IS NULL OR held_until < $1))";
/// What others hold just now is left to them.
const REOPEN: &str = "UPDATE dead_letters SET state = 'open', held_until = NULL WHERE id IN
    (SELECT id FROM dead_letters WHERE state = 'retrying' AND (held_until IS NULL OR held_until < $1) ORDER BY id FOR UPDATE SKIP LOCKED)";

/// Two that move the same letters take them in one order.
const LOCK: &str = "SELECT id FROM dead_letters WHERE id = ANY ($1) ORDER BY id FOR UPDATE";

const CLAIM: &str = "UPDATE dead_letters SET state = 'retrying', held_until = $2
    WHERE id = ANY ($1) AND state = ANY ($3) RETURNING id";

const RENEW: &str = "UPDATE dead_letters SET held_until = $2 WHERE id = ANY ($1) AND state = 'retrying' RETURNING id";

const SETTLE: &str = "UPDATE dead_letters SET state = $2, note = coalesce($4, note), held_until = NULL,
        retry_at = CASE WHEN $2 = 'open' THEN retry_at END, settled_at = CASE WHEN $2 <> 'open' THEN $5 END
    WHERE id = ANY ($1) AND state = ANY ($3) RETURNING id";

const FAILED_AGAIN: &str = r#"UPDATE dead_letters SET state = CASE WHEN settled_at IS NULL THEN 'open' ELSE state END, held_until = NULL,
        attempts = attempts + 1, "group" = $2, stage = $3, sinks_done = $4, class = $5, error = $6, sqlstate = $7, http_status = $8,
        killmail_id = coalesce($9, killmail_id), last_failed_at = $10, definition_hash = $11, program_version = $12, progress = $13,
        retry_at = CASE WHEN settled_at IS NULL THEN $14::timestamptz END, fingerprint = $15, error_text = $16, history = $17
    WHERE id = $1"#;

const DUE: &str =
    "SELECT id FROM dead_letters WHERE retry_at <= $1 AND state = 'open' AND ($2::text[] = '{}' OR pipeline = ANY ($2))
    ORDER BY retry_at, id LIMIT $3";

const EDIT: &str =
    "UPDATE dead_letters SET payload_original = coalesce(payload_original, payload), payload = $2, progress = NULL
    WHERE id = $1 AND state = 'open'";

const IS_HERE: &str =
    "SELECT EXISTS (SELECT 1 FROM dead_letters WHERE fingerprint = $1 AND last_failed_at = $2 AND payload = $3)";

/// Each state by itself: so they come by the index.
const OLDEST: &str = "SELECT id, state, pipeline, fingerprint, payload_bytes FROM unnest($1::text[]) AS wanted (its) CROSS JOIN LATERAL (
        SELECT id, state, pipeline, fingerprint, payload_bytes, settled_at, last_failed_at FROM dead_letters
        WHERE state = its AND ($2::timestamptz IS NULL OR settled_at < $2) ORDER BY settled_at, last_failed_at LIMIT $3) AS d
    ORDER BY settled_at, last_failed_at LIMIT $3";

/// Locks of one database do not meet those of another. `letters` in ASCII.
const UPKEEP: i64 = 30_510_787_797_545_587;

impl Postgres {
    /// Opens what nobody has any more.
    async fn reopen(&self) -> Result<(), Error> {
        let now = stamp(Timestamp::now());
        let lapsed: bool = sqlx::query_scalar(LAPSED).bind(now).fetch_one(&self.readers).await?;
        if lapsed {
            sqlx::query(REOPEN).bind(now).execute(&self.writers).await?;
        }
        Ok(())
    }

    /// Moves letters in one order; the statement answers their ids.
    async fn moved<'q>(
        &self,
        ids: &'q [i64],
        query: sqlx::query::QueryScalar<'q, sqlx::Postgres, i64, sqlx::postgres::PgArguments>,
    ) -> Result<Vec<i64>, Error> {
        let mut transaction = self.writers.begin().await?;
        sqlx::query(LOCK).bind(ids).execute(&mut *transaction).await?;
        let mut moved: Vec<i64> = query.fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        moved.sort_unstable();
        Ok(moved)
    }
}

#[async_trait]
impl Letters for Postgres {
    async fn add_dead_letters(&self, letters: &[NewDeadLetter]) -> Result<Vec<i64>, Error> {
        self.bounded(async {
            let mut lease = Lease::begin(&self.writers).await?;
            let rows: Vec<_> = letters.iter().map(Row::first).collect();
            let added = insert(&mut lease, &rows).await;
            lease.end(added).await
        })
        .await
    }

    async fn import_dead_letters(&self, letters: &[DeadLetter]) -> Result<Vec<Option<i64>>, Error> {
        self.bounded(async {
            let mut lease = Lease::begin(&self.writers).await?;
            let added = async {
                let mut ids = Vec::with_capacity(letters.len());
                for kept in letters {
                    let row = Row::imported(kept);
                    let here = sqlx::query_scalar(IS_HERE).bind(&row.of.hash).bind(stamp(kept.letter.failed_at));
                    let is_here: bool = here.bind(&kept.letter.payload[..]).fetch_one(&mut **lease).await?;
                    ids.push(if is_here { None } else { insert(&mut lease, &[row]).await?.pop() });
                }
                Ok(ids)
            };
            let added = added.await;
            lease.end(added).await
        })
        .await
    }

    async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, Error> {
        self.bounded(async {
            self.reopen().await?;
            let mut query = QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(if filter.payload { LONG } else { NOT_LONG }).push(" FROM dead_letters d");
            conditions(&mut query, filter);
            Ok(query.build_query_as().fetch_all(&self.readers).await?)
        })
        .await
    }

    async fn dead_letter_ids(&self, filter: &DeadLetterFilter) -> Result<Vec<(i64, String)>, Error> {
        self.bounded(async {
            self.reopen().await?;
            let mut query = QueryBuilder::new("SELECT id, pipeline FROM dead_letters");
            conditions(&mut query, filter);
            Ok(query.build_query_as().fetch_all(&self.readers).await?)
        })
        .await
    }

    async fn dead_letter_counts(&self) -> Result<Vec<(String, DeadLetterState, i64)>, Error> {
        let sql =
            "SELECT pipeline, state, count(*) FROM dead_letters GROUP BY state, pipeline ORDER BY pipeline, state";
        self.bounded(async {
            self.reopen().await?;
            Ok(counted(sqlx::query_as(sql).fetch_all(&self.readers).await?))
        })
        .await
    }

    async fn dead_letter_stats(&self) -> Result<DeadLetterStats, Error> {
        let sums = "SELECT state, count(*), sum(payload_bytes)::bigint FROM dead_letters GROUP BY state ORDER BY state";
        let oldest =
            "SELECT last_failed_at FROM dead_letters WHERE state = 'open' ORDER BY settled_at, last_failed_at LIMIT 1";
        self.bounded(async {
            self.reopen().await?;
            let rows: Vec<(String, i64, i64)> = sqlx::query_as(sums).fetch_all(&self.readers).await?;
            let oldest: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(oldest).fetch_optional(&self.readers).await?;
            let known = |(state, count, bytes): (String, _, _)| Some((DeadLetterState::parse(&state)?, count, bytes));
            let states = rows.into_iter().filter_map(known).collect();
            Ok(DeadLetterStats { states, oldest_open: oldest.map(jiff_sqlx::Timestamp::to_jiff) })
        })
        .await
    }

    async fn dead_letter_groups(&self, filter: &GroupFilter, now: Timestamp) -> Result<Vec<DeadLetterGroup>, Error> {
        self.bounded(async {
            self.reopen().await?;
            letter_groups::list(&self.readers, filter, now).await
        })
        .await
    }

    async fn set_dead_letter_group(&self, fingerprint: &str, said: &GroupNote, now: Timestamp) -> Result<bool, Error> {
        self.bounded(letter_groups::set(&self.writers, fingerprint, said, now)).await
    }

    async fn claim_dead_letters(
        &self,
        ids: &[i64],
        from: &[DeadLetterState],
        until: Timestamp,
    ) -> Result<Vec<i64>, Error> {
        let query = sqlx::query_scalar(CLAIM).bind(ids).bind(stamp(until)).bind(words(from));
        self.bounded(async {
            self.reopen().await?;
            self.moved(ids, query).await
        })
        .await
    }

    async fn renew_dead_letters(&self, ids: &[i64], until: Timestamp) -> Result<Vec<i64>, Error> {
        let query = sqlx::query_scalar(RENEW).bind(ids).bind(stamp(until));
        self.bounded(self.moved(ids, query)).await
    }

    async fn settle_dead_letters(
        &self,
        ids: &[i64],
        from: &[DeadLetterState],
        to: Settled<'_>,
    ) -> Result<Vec<i64>, Error> {
        let query = sqlx::query_scalar(SETTLE)
            .bind(ids)
            .bind(to.state().as_str())
            .bind(words(from))
            .bind(to.note().map(text))
            .bind(stamp(Timestamp::now()));
        self.bounded(async {
            self.reopen().await?;
            self.moved(ids, query).await
        })
        .await
    }

    async fn due_dead_letters(&self, pipelines: &[String], now: Timestamp, limit: u32) -> Result<Vec<i64>, Error> {
        let query = sqlx::query_scalar(DUE).bind(stamp(now)).bind(pipelines).bind(i64::from(limit));
        self.bounded(async {
            self.reopen().await?;
            Ok(query.fetch_all(&self.readers).await?)
        })
        .await
    }

    async fn dead_letters_failed_again(&self, again: &[(i64, NewDeadLetter)]) -> Result<Vec<i64>, Error> {
        let ids: Vec<i64> = again.iter().map(|(id, _)| *id).collect();
        self.bounded(async {
            let mut lease = Lease::begin(&self.writers).await?;
            let kept = async {
                sqlx::query(LOCK).bind(&ids).execute(&mut **lease).await?;
                let mut there = Vec::with_capacity(again.len());
                for (id, letter) in again {
                    if failed_again(&mut lease, *id, letter).await? {
                        there.push(*id);
                    }
                }
                there.sort_unstable();
                Ok(there)
            };
            let kept = kept.await;
            lease.end(kept).await
        })
        .await
    }

    async fn edit_dead_letter(&self, id: i64, payload: &[u8]) -> Result<bool, Error> {
        let query = sqlx::query(EDIT).bind(id).bind(payload);
        self.bounded(async {
            self.reopen().await?;
            Ok(query.execute(&self.writers).await?.rows_affected() == 1)
        })
        .await
    }

    async fn expire_dead_letters(&self, rule: &Expiry, limit: u32) -> Result<Vec<Expired>, Error> {
        self.bounded(async {
            self.reopen().await?;
            let (states, before) = match rule {
                Expiry::Settled { before } => (&["replayed", "discarded"][..], Some(stamp(*before))),
                Expiry::SettledBytes(_) => (&["replayed", "discarded"][..], None),
                Expiry::OpenBytes(_) => (&["open"][..], None),
            };
            let oldest = sqlx::query_as(OLDEST).bind(states).bind(before).bind(i64::from(limit));
            let mut rows: Vec<(i64, String, String, String, i64)> = oldest.fetch_all(&self.readers).await?;
            if let Expiry::SettledBytes(bytes) | Expiry::OpenBytes(bytes) = rule {
                rows.truncate(enough(rows.iter().map(|row| row.4), *bytes));
            }
            let ids: Vec<i64> = rows.iter().map(|row| row.0).collect();
            // What somebody has moved meanwhile stays.
            let delete = "DELETE FROM dead_letters WHERE id = ANY ($1) AND state = ANY ($2) RETURNING id";
            let gone = self.moved(&ids, sqlx::query_scalar(delete).bind(&ids).bind(states)).await?;
            rows.retain(|row| gone.binary_search(&row.0).is_ok());
            let expired = |(_, state, pipeline, fingerprint, bytes): (_, String, _, _, _)| {
                Some(Expired { state: DeadLetterState::parse(&state)?, pipeline, fingerprint, bytes })
            };
            Ok(rows.into_iter().filter_map(expired).collect())
        })
        .await
    }

    async fn fingerprint_dead_letters(&self, limit: u32) -> Result<u64, Error> {
        self.bounded(letter_groups::fingerprint_some(&self.writers, limit)).await
    }

    async fn claim_dead_letter_upkeep(&self) -> Result<Option<Box<dyn Claim>>, Error> {
        let held = self.bounded(jobs::claim(self, UPKEEP, To::Work)).await?;
        Ok(held.map(|held| Box::new(held) as Box<dyn Claim>))
    }

    async fn database_identity(&self) -> Result<String, Error> {
        let sql = "SELECT coalesce((SELECT value FROM checkpoints WHERE name = 'database'), ''),
            (SELECT oid::bigint FROM pg_database WHERE datname = current_database())";
        let query = sqlx::query_as(sql).fetch_one(&self.readers);
        let (made, oid): (String, i64) = self.bounded(async { Ok(query.await?) }).await?;
        Ok(format!("{made}-{oid:x}"))
    }
}

fn conditions(query: &mut QueryBuilder<sqlx::Postgres>, filter: &DeadLetterFilter) {
    query.push(" WHERE id > ").push_bind(filter.after);
    if !filter.ids.is_empty() {
        query.push(" AND id = ANY (").push_bind(filter.ids.clone()).push(")");
    }
    let states = (!filter.states.is_empty()).then(|| words(&filter.states));
    let groups = (!filter.groups.is_empty()).then(|| filter.groups.clone());
    for (column, list) in [("fingerprint", groups), ("state", states)] {
        if let Some(list) = list {
            query.push(format!(" AND {column} = ANY (")).push_bind(list).push(")");
        }
    }
    for (column, value) in [("pipeline", &filter.pipeline), ("stage", &filter.stage), ("class", &filter.class)] {
        if let Some(value) = value {
            query.push(format!(" AND {column} = ")).push_bind(text(value));
        }
    }
    for (condition, time) in [(">=", filter.since), ("<", filter.until)] {
        if let Some(time) = time {
            query.push(format!(" AND last_failed_at {condition} ")).push_bind(stamp(time));
        }
    }
    if let Some(id) = filter.killmail_id {
        query.push(" AND killmail_id = ").push_bind(id.get());
    }
    query.push(" ORDER BY id LIMIT ").push_bind(filter.limit.map(i64::from));
}

/// A letter with its group and its past.
struct Row<'a> {
    letter: &'a NewDeadLetter,
    of: Fingerprint,
    attempts: i64,
    first_failed_at: Timestamp,
    history: String,
}

impl<'a> Row<'a> {
    fn first(letter: &'a NewDeadLetter) -> Self {
        let history = json(&[Attempt::from(letter)]);
        Self { letter, of: fingerprint(letter), attempts: 1, first_failed_at: letter.failed_at, history }
    }

    fn imported(kept: &'a DeadLetter) -> Self {
        let DeadLetter { letter, attempts, first_failed_at, history, .. } = kept;
        let (of, history) = (fingerprint(letter), json(history));
        Self { letter, of, attempts: *attempts, first_failed_at: *first_failed_at, history }
    }
}

async fn insert(connection: &mut PgConnection, rows: &[Row<'_>]) -> Result<Vec<i64>, Error> {
    let words = |of: fn(&NewDeadLetter) -> &str| rows.iter().map(|row| text(of(row.letter))).collect::<Vec<_>>();
    let perhaps = |of: fn(&NewDeadLetter) -> Option<&String>| {
        rows.iter().map(|row| of(row.letter).map(|word| text(word))).collect::<Vec<_>>()
    };
    let sinks = |row: &Row<'_>| serde_json::to_string(&row.letter.sinks_done).expect("texts serialize");
    let query = sqlx::query_scalar(INSERT)
        .bind(words(|letter| &letter.pipeline))
        .bind(words(|letter| &letter.source))
        .bind(perhaps(|letter| letter.position.as_ref()))
        .bind(words(|letter| &letter.group))
        .bind(words(|letter| &letter.stage))
        .bind(rows.iter().map(sinks).collect::<Vec<_>>())
        .bind(words(|letter| &letter.class))
        .bind(words(|letter| bounded(&letter.error)))
        .bind(perhaps(|letter| letter.sqlstate.as_ref()))
        .bind(rows.iter().map(|row| row.letter.http_status.map(i32::from)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.letter.killmail_id.map(KillmailId::get)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| stamp(row.letter.failed_at)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &row.letter.payload[..]).collect::<Vec<_>>())
        .bind(perhaps(|letter| letter.definition_hash.as_ref()))
        .bind(perhaps(|letter| letter.program_version.as_ref()))
        .bind(perhaps(|letter| letter.progress.as_ref()))
        .bind(rows.iter().map(|row| row.letter.retry_at.map(stamp)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.of.hash.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.of.text.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.attempts).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| stamp(row.first_failed_at)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.history.as_str()).collect::<Vec<_>>());
    Ok(query.fetch_all(connection).await?)
}

async fn failed_again(connection: &mut PgConnection, id: i64, letter: &NewDeadLetter) -> Result<bool, Error> {
    let past = sqlx::query_scalar("SELECT history FROM dead_letters WHERE id = $1").bind(id);
    let Some(past): Option<String> = past.fetch_optional(&mut *connection).await? else { return Ok(false) };
    let history = lengthened(serde_json::from_str(&past).unwrap_or_default(), Attempt::from(letter));
    let of = fingerprint(letter);
    let query = sqlx::query(FAILED_AGAIN)
        .bind(id)
        .bind(text(&letter.group))
        .bind(text(&letter.stage))
        .bind(&letter.sinks_done)
        .bind(text(&letter.class))
        .bind(text(bounded(&letter.error)))
        .bind(&letter.sqlstate)
        .bind(letter.http_status.map(i32::from))
        .bind(letter.killmail_id.map(KillmailId::get))
        .bind(stamp(letter.failed_at))
        .bind(&letter.definition_hash)
        .bind(&letter.program_version)
        .bind(&letter.progress)
        .bind(letter.retry_at.map(stamp))
        .bind(&of.hash)
        .bind(&of.text)
        .bind(json(&history));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

fn json(history: &[Attempt]) -> String {
    serde_json::to_string(history).expect("texts serialize")
}

pub(super) fn words(states: &[DeadLetterState]) -> Vec<String> {
    states.iter().map(|state| state.as_str().to_owned()).collect()
}

/// PostgreSQL's texts hold every character but the zero, which an error that quotes its input may have.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl FromRow<'_, PgRow> for DeadLetter {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        let history: String = row.try_get("history")?;
        let time = |column| row.try_get::<jiff_sqlx::Timestamp, _>(column).map(jiff_sqlx::Timestamp::to_jiff);
        let perhaps = |column| {
            let time = row.try_get::<Option<jiff_sqlx::Timestamp>, _>(column);
            time.map(|time| time.map(jiff_sqlx::Timestamp::to_jiff))
        };
        let last_failed_at = time("last_failed_at")?;
        Ok(Self {
            id: row.try_get("id")?,
            state: DeadLetterState::parse(&state).ok_or_else(|| sqlx::Error::Decode("an unknown state".into()))?,
            attempts: row.try_get("attempts")?,
            first_failed_at: time("first_failed_at")?,
            last_failed_at,
            settled_at: perhaps("settled_at")?,
            held_until: perhaps("held_until")?,
            note: row.try_get("note")?,
            fingerprint: row.try_get("fingerprint")?,
            error_text: row.try_get("error_text")?,
            payload_bytes: row.try_get("payload_bytes")?,
            is_edited: row.try_get("is_edited")?,
            history: serde_json::from_str(&history).unwrap_or_default(),
            original: row.try_get("payload_original")?,
            letter: NewDeadLetter {
                pipeline: row.try_get("pipeline")?,
                source: row.try_get("source")?,
                position: row.try_get("position")?,
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
                definition_hash: row.try_get("definition_hash")?,
                program_version: row.try_get("program_version")?,
                progress: row.try_get("progress")?,
                retry_at: perhaps("retry_at")?,
            },
        })
    }
}
