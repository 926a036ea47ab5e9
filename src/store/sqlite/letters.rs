//! [`Letters`] on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, QueryBuilder, Row};

use super::letter_groups::{self, time};
use super::{Sqlite, id_list, stamp};
use crate::killmail::KillmailId;
use crate::store::Claim;
use crate::store::jobs::To;
use crate::store::letters::{bounded, counted, enough, lengthened};
use crate::store::{
    Attempt, DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterState, DeadLetterStats, Error, Expired, Expiry,
    Fingerprint, GroupFilter, GroupNote, Letters, NewDeadLetter, Settled, fingerprint,
};

const INSERT: &str = r#"INSERT INTO dead_letters (pipeline, source, position, "group", stage, sinks_done, class, error, sqlstate, http_status,
        killmail_id, last_failed_at, payload, definition_hash, program_version, progress, retry_at, fingerprint, error_text,
        attempts, first_failed_at, history)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22) RETURNING id"#;

/// What is short of a letter.
pub(super) const COLUMNS: &str = r#"d.id, d.pipeline, d.source, d.position, d.state, d."group", d.stage, d.sinks_done, d.class, d.error, d.sqlstate,
    d.http_status, d.killmail_id, d.attempts, d.first_failed_at, d.last_failed_at, d.note, d.payload_bytes, d.fingerprint, d.error_text,
    d.definition_hash, d.program_version, d.retry_at, d.held_until, d.settled_at, d.payload_original IS NOT NULL AS is_edited"#;
const LONG: &str = ", d.payload, d.history, d.progress, d.payload_original";
pub(super) const NOT_LONG: &str = ", x'' AS payload, '[]' AS history, NULL AS progress, NULL AS payload_original";

const LAPSED: &str =
    "SELECT EXISTS (SELECT 1 FROM dead_letters WHERE state = 'retrying' AND (held_until IS NULL OR held_until < ?))";
const REOPEN: &str = "UPDATE dead_letters SET state = 'open', held_until = NULL
    WHERE state = 'retrying' AND (held_until IS NULL OR held_until < ?)";

const CLAIM: &str = "UPDATE dead_letters SET state = 'retrying', held_until = ?1
    WHERE id IN (SELECT value FROM json_each(?2)) AND state IN (SELECT value FROM json_each(?3)) RETURNING id";

const RENEW: &str = "UPDATE dead_letters SET held_until = ?1
    WHERE id IN (SELECT value FROM json_each(?2)) AND state = 'retrying' RETURNING id";

const SETTLE: &str = "UPDATE dead_letters SET state = ?1, note = coalesce(?2, note), held_until = NULL,
        retry_at = iif(?1 = 'open', retry_at, NULL), settled_at = iif(?1 = 'open', NULL, ?5)
    WHERE id IN (SELECT value FROM json_each(?3)) AND state IN (SELECT value FROM json_each(?4)) RETURNING id";

const FAILED_AGAIN: &str = r#"UPDATE dead_letters SET state = iif(settled_at IS NULL, 'open', state), held_until = NULL, attempts = attempts + 1,
        "group" = ?2, stage = ?3, sinks_done = ?4, class = ?5, error = ?6, sqlstate = ?7, http_status = ?8,
        killmail_id = coalesce(?9, killmail_id), last_failed_at = ?10, definition_hash = ?11, program_version = ?12, progress = ?13,
        retry_at = iif(settled_at IS NULL, ?14, NULL), fingerprint = ?15, error_text = ?16, history = ?17
    WHERE id = ?1"#;

const DUE: &str = "SELECT id FROM dead_letters WHERE retry_at <= ?1 AND state = 'open'
    AND (?2 = '[]' OR pipeline IN (SELECT value FROM json_each(?2))) ORDER BY retry_at, id LIMIT ?3";

const EDIT: &str =
    "UPDATE dead_letters SET payload_original = coalesce(payload_original, payload), payload = ?2, progress = NULL
    WHERE id = ?1 AND state = 'open'";

const IS_HERE: &str =
    "SELECT EXISTS (SELECT 1 FROM dead_letters WHERE fingerprint = ? AND last_failed_at = ? AND payload = ?)";

/// Each state by itself: so they come by the index.
const OLDEST: &str = "SELECT id, state, pipeline, fingerprint, payload_bytes FROM (
        SELECT * FROM (SELECT * FROM dead_letters WHERE state = ?1 AND (?3 IS NULL OR settled_at < ?3) ORDER BY settled_at, last_failed_at LIMIT ?4)
        UNION ALL
        SELECT * FROM (SELECT * FROM dead_letters WHERE state = ?2 AND (?3 IS NULL OR settled_at < ?3) ORDER BY settled_at, last_failed_at LIMIT ?4))
    ORDER BY settled_at, last_failed_at LIMIT ?4";

impl Sqlite {
    /// Opens what nobody has any more.
    async fn reopen(&self) -> Result<(), Error> {
        let now = stamp(Timestamp::now());
        let lapsed: bool = sqlx::query_scalar(LAPSED).bind(&now).fetch_one(&self.readers).await?;
        if lapsed {
            sqlx::query(REOPEN).bind(&now).execute(&self.writer).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Letters for Sqlite {
    async fn add_dead_letters(&self, letters: &[NewDeadLetter]) -> Result<Vec<i64>, Error> {
        self.bounded(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let mut ids = Vec::with_capacity(letters.len());
            for letter in letters {
                let past = (1, letter.failed_at, &[Attempt::from(letter)][..]);
                ids.push(insert(&mut transaction, letter, &fingerprint(letter), past).await?);
            }
            transaction.commit().await?;
            Ok(ids)
        })
        .await
    }

    async fn import_dead_letters(&self, letters: &[DeadLetter]) -> Result<Vec<Option<i64>>, Error> {
        self.bounded(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let mut ids = Vec::with_capacity(letters.len());
            for DeadLetter { letter, attempts, first_failed_at, history, .. } in letters {
                let of = fingerprint(letter);
                let here = sqlx::query_scalar(IS_HERE).bind(&of.hash).bind(stamp(letter.failed_at));
                let is_here: bool = here.bind(&letter.payload[..]).fetch_one(&mut *transaction).await?;
                let past = (*attempts, *first_failed_at, &history[..]);
                ids.push(if is_here { None } else { Some(insert(&mut transaction, letter, &of, past).await?) });
            }
            transaction.commit().await?;
            Ok(ids)
        })
        .await
    }

    async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, Error> {
        self.bounded(async {
            self.reopen().await?;
            let mut query = QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(if filter.payload { LONG } else { NOT_LONG });
            // Chosen by themselves, so that nothing long is read of those that are left out.
            query.push(" FROM dead_letters d WHERE d.id IN (SELECT id FROM dead_letters");
            conditions(&mut query, filter);
            query.push(") ORDER BY d.id");
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
        let sums =
            "SELECT state, count(*), sum(payload_bytes) FROM dead_letters INDEXED BY dead_letters_age GROUP BY state";
        let oldest =
            "SELECT last_failed_at FROM dead_letters WHERE state = 'open' ORDER BY settled_at, last_failed_at LIMIT 1";
        self.bounded(async {
            self.reopen().await?;
            let rows: Vec<(String, i64, i64)> = sqlx::query_as(sums).fetch_all(&self.readers).await?;
            let oldest: Option<String> = sqlx::query_scalar(oldest).fetch_optional(&self.readers).await?;
            let oldest_open = oldest.as_deref().map(super::time).transpose()?;
            let known = |(state, count, bytes): (String, _, _)| Some((DeadLetterState::parse(&state)?, count, bytes));
            Ok(DeadLetterStats { states: rows.into_iter().filter_map(known).collect(), oldest_open })
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
        self.bounded(letter_groups::set(&self.writer, fingerprint, said, now)).await
    }

    async fn claim_dead_letters(
        &self,
        ids: &[i64],
        from: &[DeadLetterState],
        until: Timestamp,
    ) -> Result<Vec<i64>, Error> {
        let query = sqlx::query_scalar(CLAIM).bind(stamp(until)).bind(id_list(ids.iter().copied())).bind(states(from));
        self.bounded(async {
            self.reopen().await?;
            Ok(ascending(query.fetch_all(&self.writer).await?))
        })
        .await
    }

    async fn renew_dead_letters(&self, ids: &[i64], until: Timestamp) -> Result<Vec<i64>, Error> {
        let query = sqlx::query_scalar(RENEW).bind(stamp(until)).bind(id_list(ids.iter().copied()));
        self.bounded(async { Ok(ascending(query.fetch_all(&self.writer).await?)) }).await
    }

    async fn settle_dead_letters(
        &self,
        ids: &[i64],
        from: &[DeadLetterState],
        to: Settled<'_>,
    ) -> Result<Vec<i64>, Error> {
        let query = sqlx::query_scalar(SETTLE)
            .bind(to.state().as_str())
            .bind(to.note())
            .bind(id_list(ids.iter().copied()))
            .bind(states(from))
            .bind(stamp(Timestamp::now()));
        self.bounded(async {
            self.reopen().await?;
            Ok(ascending(query.fetch_all(&self.writer).await?))
        })
        .await
    }

    async fn due_dead_letters(&self, pipelines: &[String], now: Timestamp, limit: u32) -> Result<Vec<i64>, Error> {
        let query = sqlx::query_scalar(DUE).bind(stamp(now)).bind(names(pipelines)).bind(limit);
        self.bounded(async {
            self.reopen().await?;
            Ok(query.fetch_all(&self.readers).await?)
        })
        .await
    }

    async fn dead_letters_failed_again(&self, again: &[(i64, NewDeadLetter)]) -> Result<Vec<i64>, Error> {
        self.bounded(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let mut there = Vec::with_capacity(again.len());
            for (id, letter) in again {
                if failed_again(&mut transaction, *id, letter).await? {
                    there.push(*id);
                }
            }
            transaction.commit().await?;
            Ok(ascending(there))
        })
        .await
    }

    async fn edit_dead_letter(&self, id: i64, payload: &[u8]) -> Result<bool, Error> {
        let query = sqlx::query(EDIT).bind(id).bind(payload);
        self.bounded(async {
            self.reopen().await?;
            Ok(query.execute(&self.writer).await?.rows_affected() == 1)
        })
        .await
    }

    async fn expire_dead_letters(&self, rule: &Expiry, limit: u32) -> Result<Vec<Expired>, Error> {
        self.bounded(async {
            self.reopen().await?;
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let (states, before) = match rule {
                Expiry::Settled { before } => (["replayed", "discarded"], Some(stamp(*before))),
                Expiry::SettledBytes(_) => (["replayed", "discarded"], None),
                Expiry::OpenBytes(_) => (["open", ""], None),
            };
            let oldest = sqlx::query_as(OLDEST).bind(states[0]).bind(states[1]).bind(before).bind(limit);
            let mut rows: Vec<(i64, String, String, String, i64)> = oldest.fetch_all(&mut *transaction).await?;
            if let Expiry::SettledBytes(bytes) | Expiry::OpenBytes(bytes) = rule {
                rows.truncate(enough(rows.iter().map(|row| row.4), *bytes));
            }
            let ids = id_list(rows.iter().map(|row| row.0));
            let delete = "DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))";
            sqlx::query(delete).bind(ids).execute(&mut *transaction).await?;
            transaction.commit().await?;
            let expired = |(_, state, pipeline, fingerprint, bytes): (_, String, _, _, _)| {
                Some(Expired { state: DeadLetterState::parse(&state)?, pipeline, fingerprint, bytes })
            };
            Ok(rows.into_iter().filter_map(expired).collect())
        })
        .await
    }

    async fn fingerprint_dead_letters(&self, limit: u32) -> Result<u64, Error> {
        self.bounded(letter_groups::fingerprint_some(&self.writer, limit)).await
    }

    async fn claim_dead_letter_upkeep(&self) -> Result<Option<Box<dyn Claim>>, Error> {
        self.letters_keepers.claim(To::Work)
    }

    async fn database_identity(&self) -> Result<String, Error> {
        let sql = "SELECT coalesce((SELECT value FROM checkpoints WHERE name = 'database'), ''),
            coalesce((SELECT file FROM pragma_database_list WHERE name = 'main'), '')";
        let query = sqlx::query_as(sql).fetch_one(&self.readers);
        let (made, file): (String, String) = self.bounded(async { Ok(query.await?) }).await?;
        Ok(format!("{made}-{:x}", place(&file)))
    }
}

/// The file itself, whatever it is called: a copy is another.
#[cfg(unix)]
fn place(file: &str) -> u64 {
    std::fs::metadata(file).map_or(0, |file| std::os::unix::fs::MetadataExt::ino(&file))
}

#[cfg(not(unix))]
fn place(_file: &str) -> u64 {
    0
}

fn conditions(query: &mut QueryBuilder<sqlx::Sqlite>, filter: &DeadLetterFilter) {
    query.push(" WHERE id > ").push_bind(filter.after);
    let lists = [
        ("id", (!filter.ids.is_empty()).then(|| id_list(filter.ids.iter().copied()))),
        ("fingerprint", (!filter.groups.is_empty()).then(|| names(&filter.groups))),
        ("state", (!filter.states.is_empty()).then(|| states(&filter.states))),
    ];
    for (column, list) in lists {
        if let Some(list) = list {
            query.push(format!(" AND {column} IN (SELECT value FROM json_each(")).push_bind(list).push("))");
        }
    }
    let texts = [
        ("pipeline =", filter.pipeline.clone()),
        ("stage =", filter.stage.clone()),
        ("class =", filter.class.clone()),
        ("last_failed_at >=", filter.since.map(stamp)),
        ("last_failed_at <", filter.until.map(stamp)),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(format!(" AND {condition} ")).push_bind(value);
        }
    }
    if let Some(id) = filter.killmail_id {
        query.push(" AND killmail_id = ").push_bind(id.get());
    }
    query.push(" ORDER BY id LIMIT ").push_bind(filter.limit.map_or(-1, i64::from));
}

async fn insert(
    connection: &mut SqliteConnection,
    letter: &NewDeadLetter,
    of: &Fingerprint,
    (attempts, first_failed_at, history): (i64, Timestamp, &[Attempt]),
) -> Result<i64, Error> {
    let query = sqlx::query_scalar(INSERT)
        .bind(&letter.pipeline)
        .bind(&letter.source)
        .bind(&letter.position)
        .bind(&letter.group)
        .bind(&letter.stage)
        .bind(names(&letter.sinks_done))
        .bind(&letter.class)
        .bind(bounded(&letter.error))
        .bind(&letter.sqlstate)
        .bind(letter.http_status)
        .bind(letter.killmail_id.map(KillmailId::get))
        .bind(stamp(letter.failed_at))
        .bind(&letter.payload[..])
        .bind(&letter.definition_hash)
        .bind(&letter.program_version)
        .bind(&letter.progress)
        .bind(letter.retry_at.map(stamp))
        .bind(&of.hash)
        .bind(&of.text)
        .bind(attempts)
        .bind(stamp(first_failed_at))
        .bind(names(history));
    Ok(query.fetch_one(connection).await?)
}

async fn failed_again(connection: &mut SqliteConnection, id: i64, letter: &NewDeadLetter) -> Result<bool, Error> {
    let past = sqlx::query_scalar("SELECT history FROM dead_letters WHERE id = ?").bind(id);
    let Some(past): Option<String> = past.fetch_optional(&mut *connection).await? else { return Ok(false) };
    let history = lengthened(serde_json::from_str(&past).unwrap_or_default(), Attempt::from(letter));
    let of = fingerprint(letter);
    let query = sqlx::query(FAILED_AGAIN)
        .bind(id)
        .bind(&letter.group)
        .bind(&letter.stage)
        .bind(names(&letter.sinks_done))
        .bind(&letter.class)
        .bind(bounded(&letter.error))
        .bind(&letter.sqlstate)
        .bind(letter.http_status)
        .bind(letter.killmail_id.map(KillmailId::get))
        .bind(stamp(letter.failed_at))
        .bind(&letter.definition_hash)
        .bind(&letter.program_version)
        .bind(&letter.progress)
        .bind(letter.retry_at.map(stamp))
        .bind(&of.hash)
        .bind(&of.text)
        .bind(names(&history));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// A JSON array.
pub(super) fn names<S: serde::Serialize>(names: &[S]) -> String {
    serde_json::to_string(names).expect("texts serialize")
}

fn states(states: &[DeadLetterState]) -> String {
    names(&states.iter().map(|state| state.as_str()).collect::<Vec<_>>())
}

fn ascending(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids
}

impl FromRow<'_, SqliteRow> for DeadLetter {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        let sinks_done: String = row.try_get("sinks_done")?;
        let history: String = row.try_get("history")?;
        let last_failed_at = time(row.try_get("last_failed_at")?)?;
        let perhaps = |column| row.try_get::<Option<String>, _>(column)?.map(time).transpose();
        Ok(Self {
            id: row.try_get("id")?,
            state: DeadLetterState::parse(&state).ok_or_else(|| sqlx::Error::Decode("an unknown state".into()))?,
            attempts: row.try_get("attempts")?,
            first_failed_at: time(row.try_get("first_failed_at")?)?,
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
                sinks_done: serde_json::from_str(&sinks_done).map_err(|error| sqlx::Error::Decode(error.into()))?,
                class: row.try_get("class")?,
                error: row.try_get("error")?,
                sqlstate: row.try_get("sqlstate")?,
                http_status: row.try_get("http_status")?,
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
