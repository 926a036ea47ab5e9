//! [`StaticData`] on SQLite: everything is bound before the one writer is taken, so that others wait for the writing alone.

use std::sync::LazyLock;

use async_trait::async_trait;
use futures::TryStreamExt;
use jiff::Timestamp;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};

use super::statements::{Insert, Prepared, Row, execute};
use super::{Sqlite, id_list, stamp};
use crate::killmail::KillmailId;
use crate::statics::Statics;
use crate::store::static_rows::{self, Cell, MEMBERS, NAMED, SHEETS, SYSTEMS};
use crate::store::{Error, Import, Origins, Queued, StaticData};

static REPLACE: LazyLock<Vec<Insert>> = LazyLock::new(|| {
    SHEETS.iter().map(|sheet| Insert::new(sheet.table, &sheet.names(), &sheet.overwriting())).collect()
});

static ADD: LazyLock<Vec<Insert>> = LazyLock::new(|| {
    SHEETS.iter().map(|sheet| Insert::new(sheet.table, &sheet.names(), "ON CONFLICT DO NOTHING")).collect()
});

static CLEAR: LazyLock<Vec<String>> = LazyLock::new(|| {
    let clear = |sheet: &static_rows::Sheet| {
        format!("DELETE FROM {}{}", sheet.table, if sheet.has_source() { " WHERE source = 'import'" } else { "" })
    };
    SHEETS.iter().map(clear).collect()
});

const NOTE: &str = "INSERT INTO eve_imports
    (version, kind, source, imported_at, types, groups, categories, meta_groups, systems, constellations, regions)
    SELECT coalesce(max(version), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM eve_imports RETURNING version";

const TYPES: &str = "SELECT type_id, name, group_id, meta_group_id, on_market, published, mass, volume, base_price, effects, tech_level,
    meta_level, rig_size, heat_damage FROM eve_item_types";

impl Row for static_rows::Row<'_> {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        self.iter().try_for_each(|cell| match *cell {
            Cell::Whole(value) => arguments.add(value),
            Cell::Real(value) => arguments.add(value),
            Cell::Flag(value) => arguments.add(value),
            Cell::Text(value) => arguments.add(value.to_owned()),
            Cell::List(value) => arguments.add(id_list(value.iter().copied())),
        })
    }
}

/// What to run, sheet by sheet.
fn prepared(inserts: &'static [Insert], statics: &Statics, source: &str) -> Result<Vec<Vec<Prepared>>, Error> {
    let rows = static_rows::rows(statics, source);
    inserts.iter().zip(&rows).map(|(insert, rows)| insert.prepare(rows)).collect()
}

async fn note(
    connection: &mut SqliteConnection,
    (kind, source): (&str, &str),
    counts: [i64; 7],
    now: Timestamp,
) -> Result<i64, Error> {
    let query = sqlx::query_scalar(NOTE).bind(kind).bind(source).bind(stamp(now));
    Ok(counts.into_iter().fold(query, |query, count| query.bind(count)).fetch_one(connection).await?)
}

async fn replace(
    store: &Sqlite,
    over: Option<i64>,
    statics: &Statics,
    source: &str,
    now: Timestamp,
) -> Result<i64, Error> {
    let prepared = prepared(&REPLACE, statics, "import")?;
    let mut transaction = store.writer.begin_with("BEGIN IMMEDIATE").await?;
    if let Some(over) = over
        && over != sqlx::query_scalar::<_, i64>(static_rows::LAST_IMPORT).fetch_one(&mut *transaction).await?
    {
        return Err(static_rows::overtaken());
    }
    for (clear, fill) in CLEAR.iter().zip(prepared) {
        sqlx::query(clear.as_str()).execute(&mut *transaction).await?;
        execute(&mut transaction, fill).await?;
    }
    let version = note(&mut transaction, ("import", source), static_rows::signed(statics.counts()), now).await?;
    transaction.commit().await?;
    Ok(version)
}

async fn add(store: &Sqlite, found: &Statics, now: Timestamp) -> Result<Option<i64>, Error> {
    let prepared = prepared(&ADD, found, "esi")?;
    let mut transaction = store.writer.begin_with("BEGIN IMMEDIATE").await?;
    let mut counts = [0; 7];
    for ((sheet, fill), count) in SHEETS.iter().zip(prepared).zip(&mut counts) {
        if sheet.has_source() {
            *count = execute(&mut transaction, fill).await? as i64;
        }
    }
    if counts == [0; 7] {
        transaction.rollback().await?;
        return Ok(None);
    }
    let version = note(&mut transaction, ("esi", ""), counts, now).await?;
    transaction.commit().await?;
    Ok(Some(version))
}

async fn load(store: &Sqlite) -> Result<(i64, Statics), Error> {
    // One moment of all tables.
    let mut reading = store.readers.begin().await?;
    let version = sqlx::query_scalar(static_rows::VERSION).fetch_one(&mut *reading).await?;
    Ok((version, all(&mut reading).await?))
}

async fn origins(store: &Sqlite) -> Result<Origins, Error> {
    let mut reading = store.readers.begin().await?;
    let version = sqlx::query_scalar(static_rows::LAST_IMPORT).fetch_one(&mut *reading).await?;
    let told: Vec<_> = sqlx::query_as(static_rows::TOLD).fetch_all(&mut *reading).await?;
    Ok(static_rows::origins(version, all(&mut reading).await?, &told))
}

async fn all(reading: &mut SqliteConnection) -> Result<Statics, Error> {
    let mut statics = Statics::default();
    {
        let mut rows = sqlx::query_as(TYPES).fetch(&mut *reading);
        while let Some(row) = rows.try_next().await? {
            static_rows::add_type(&mut statics, row)?;
        }
    }
    for row in sqlx::query_as(SYSTEMS).fetch_all(&mut *reading).await? {
        static_rows::add_system(&mut statics, row);
    }
    for (table, sql) in MEMBERS {
        for row in sqlx::query_as(sql).fetch_all(&mut *reading).await? {
            static_rows::add_member(&mut statics, table, row);
        }
    }
    for (table, sql) in NAMED {
        for row in sqlx::query_as(sql).fetch_all(&mut *reading).await? {
            static_rows::add_named(&mut statics, table, row);
        }
    }
    Ok(statics)
}

/// Kills are looked at by a reader, and the writer is taken for those alone that are to be queued.
async fn queue_untagged(
    store: &Sqlite,
    after: Option<KillmailId>,
    limit: u32,
    due_at: Timestamp,
) -> Result<Queued, Error> {
    let after = after.map_or(0, KillmailId::get);
    let sql = "SELECT killmail_id, enrichment_status = 'partial' AND region_id IS NULL FROM killmails_enriched
        WHERE killmail_id > ? ORDER BY killmail_id LIMIT ?";
    let seen: Vec<(i64, bool)> = sqlx::query_as(sql).bind(after).bind(limit).fetch_all(&store.readers).await?;
    let is_last = seen.len() < limit as usize;
    let next = seen.last().filter(|_| !is_last).and_then(|(id, _)| KillmailId::new(*id));
    let lacking = id_list(seen.iter().filter(|(_, is_lacking)| *is_lacking).map(|(id, _)| *id));
    if lacking == "[]" {
        return Ok(Queued { queued: 0, next });
    }
    let sql = "INSERT INTO refreshes (killmail_id, killmail_time, due_at)
        SELECT killmail_id, e.killmail_time, ?2 FROM killmails_enriched e JOIN killmails_raw r USING (killmail_id)
        WHERE killmail_id IN (SELECT value FROM json_each(?1)) AND enrichment_status = 'partial' AND region_id IS NULL AND form > 0
        ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql).bind(lacking).bind(stamp(due_at)).execute(&store.writer).await?;
    Ok(Queued { queued: u32::try_from(done.rows_affected()).unwrap_or(u32::MAX), next })
}

type LastRow = (i64, String, String, i64, i64, i64, i64, i64, i64, i64);

async fn last(store: &Sqlite) -> Result<Option<Import>, Error> {
    let row: Option<LastRow> = sqlx::query_as(static_rows::LAST).fetch_optional(&store.readers).await?;
    let Some((version, source, imported_at, a, b, c, d, e, f, g)) = row else { return Ok(None) };
    let added: (i64, i64) = sqlx::query_as(static_rows::ADDED).fetch_one(&store.readers).await?;
    let unreadable = |error| Error::Permanent(format!("read the time `{imported_at}`: {error}"));
    Ok(Some(Import {
        version,
        source,
        imported_at: imported_at.parse().map_err(unreadable)?,
        counts: static_rows::unsigned((a, b, c, d, e, f, g)),
        added: [added.0, added.1].map(i64::unsigned_abs),
    }))
}

#[async_trait]
impl StaticData for Sqlite {
    async fn replace_statics(&self, statics: &Statics, source: &str, now: Timestamp) -> Result<i64, Error> {
        self.bounded(replace(self, None, statics, source, now))
            .await
            .map_err(|error| error.while_doing("store static data"))
    }

    async fn amend_statics(&self, over: i64, statics: &Statics, source: &str, now: Timestamp) -> Result<i64, Error> {
        let amended = self.bounded(replace(self, Some(over), statics, source, now)).await;
        amended.map_err(|error| error.while_doing("store static data"))
    }

    async fn add_statics(&self, found: &Statics, now: Timestamp) -> Result<Option<i64>, Error> {
        self.bounded(add(self, found, now)).await
    }

    async fn statics_version(&self) -> Result<i64, Error> {
        let query = sqlx::query_scalar(static_rows::VERSION).fetch_one(&self.readers);
        self.bounded(async { Ok(query.await?) }).await
    }

    async fn load_statics(&self) -> Result<(i64, Statics), Error> {
        self.bounded(load(self)).await
    }

    async fn load_origins(&self) -> Result<Origins, Error> {
        self.bounded(origins(self)).await
    }

    async fn queue_untagged(&self, after: Option<KillmailId>, limit: u32, due_at: Timestamp) -> Result<Queued, Error> {
        self.bounded(queue_untagged(self, after, limit, due_at)).await
    }

    async fn last_import(&self) -> Result<Option<Import>, Error> {
        self.bounded(last(self)).await
    }
}
