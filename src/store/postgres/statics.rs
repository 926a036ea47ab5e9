//! [`StaticData`] on PostgreSQL: a statement a table, its rows as arrays.

use std::sync::LazyLock;

use async_trait::async_trait;
use futures::TryStreamExt;
use jiff::Timestamp;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnection};

use super::lease::Lease;
use super::{Postgres, stamp};
use crate::killmail::KillmailId;
use crate::statics::Statics;
use crate::store::static_rows::{self, Cell, Kind, MEMBERS, NAMED, Row, SHEETS, SYSTEMS, Sheet};
use crate::store::{Error, Import, Origins, Queued, StaticData};

/// Who changes static data waits for whoever does so already; readers wait for nobody.
const TURN: &str = "LOCK TABLE eve_imports IN SHARE ROW EXCLUSIVE MODE";

static REPLACE: LazyLock<Vec<String>> =
    LazyLock::new(|| SHEETS.iter().map(|sheet| format!("{} {}", insert(sheet), sheet.overwriting())).collect());

static ADD: LazyLock<Vec<String>> =
    LazyLock::new(|| SHEETS.iter().map(|sheet| format!("{} ON CONFLICT DO NOTHING", insert(sheet))).collect());

static CLEAR: LazyLock<Vec<String>> = LazyLock::new(|| {
    let clear = |sheet: &Sheet| {
        format!("DELETE FROM {}{}", sheet.table, if sheet.has_source() { " WHERE source = 'import'" } else { "" })
    };
    SHEETS.iter().map(clear).collect()
});

const NOTE: &str = "INSERT INTO eve_imports
    (version, kind, source, imported_at, types, groups, categories, meta_groups, systems, constellations, regions)
    SELECT coalesce(max(version), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM eve_imports RETURNING version";

const TYPES: &str =
    "SELECT type_id, name, group_id, meta_group_id, on_market, published, mass, volume, (base_price * 100)::bigint,
    array_to_json(effects)::text, tech_level, meta_level, rig_size, heat_damage FROM eve_item_types";

fn insert(sheet: &Sheet) -> String {
    let array = |(number, (_, kind)): (usize, &(&str, Kind))| {
        let of = match kind {
            Kind::Whole | Kind::Money => "bigint",
            Kind::Real => "double precision",
            Kind::Flag => "boolean",
            // An array of arrays would need all of one length.
            Kind::Text | Kind::List => "text",
        };
        format!("${}::{of}[]", number + 1)
    };
    let value = |(name, kind): &(&str, Kind)| match kind {
        Kind::Money => format!("{name} * 0.01"),
        Kind::List => format!("{name}::bigint[]"),
        _ => (*name).to_owned(),
    };
    format!(
        "INSERT INTO {table} ({names}) SELECT {values} FROM unnest({arrays}) AS given ({names})",
        table = sheet.table,
        names = sheet.names().join(", "),
        values = sheet.columns.iter().map(value).collect::<Vec<_>>().join(", "),
        arrays = sheet.columns.iter().enumerate().map(array).collect::<Vec<_>>().join(", "),
    )
}

/// The rows' columns as arrays.
fn arguments(sheet: &Sheet, rows: &[Row<'_>]) -> Result<PgArguments, BoxDynError> {
    let mut to = PgArguments::default();
    for (at, (_, kind)) in sheet.columns.iter().enumerate() {
        let cells = rows.iter().map(|row| row[at]);
        match kind {
            Kind::Whole | Kind::Money => to.add(cells.map(whole).collect::<Vec<_>>())?,
            Kind::Real => {
                to.add(cells.map(|cell| if let Cell::Real(value) = cell { value } else { 0.0 }).collect::<Vec<_>>())?
            }
            Kind::Flag => {
                to.add(cells.map(|cell| if let Cell::Flag(value) = cell { value } else { None }).collect::<Vec<_>>())?
            }
            Kind::Text | Kind::List => to.add(cells.map(text).collect::<Vec<_>>())?,
        }
    }
    Ok(to)
}

fn whole(cell: Cell<'_>) -> Option<i64> {
    if let Cell::Whole(value) = cell { value } else { None }
}

fn text(cell: Cell<'_>) -> String {
    match cell {
        Cell::Text(text) => text.to_owned(),
        Cell::List(list) => format!("{{{}}}", list.iter().map(i64::to_string).collect::<Vec<_>>().join(",")),
        Cell::Whole(_) | Cell::Real(_) | Cell::Flag(_) => String::new(),
    }
}

/// Values for the statements of all sheets.
fn prepared(statics: &Statics, source: &str) -> Result<Vec<PgArguments>, Error> {
    let rows = static_rows::rows(statics, source);
    let unfit = |error| Error::Permanent(format!("bind the rows of static data: {error}"));
    SHEETS.iter().zip(&rows).map(|(sheet, rows)| arguments(sheet, rows).map_err(unfit)).collect()
}

async fn note(
    connection: &mut PgConnection,
    (kind, source): (&str, &str),
    counts: [i64; 7],
    now: Timestamp,
) -> Result<i64, Error> {
    let query = sqlx::query_scalar(NOTE).bind(kind).bind(source).bind(stamp(now));
    Ok(counts.into_iter().fold(query, |query, count| query.bind(count)).fetch_one(connection).await?)
}

async fn replace(
    connection: &mut PgConnection,
    over: Option<i64>,
    prepared: Vec<PgArguments>,
    (source, counts): (&str, [i64; 7]),
    now: Timestamp,
) -> Result<i64, Error> {
    sqlx::query(TURN).execute(&mut *connection).await?;
    if let Some(over) = over
        && over != sqlx::query_scalar::<_, i64>(static_rows::LAST_IMPORT).fetch_one(&mut *connection).await?
    {
        return Err(static_rows::overtaken());
    }
    for ((clear, fill), arguments) in CLEAR.iter().zip(&*REPLACE).zip(prepared) {
        sqlx::query(clear.as_str()).execute(&mut *connection).await?;
        sqlx::query_with(fill.as_str(), arguments).execute(&mut *connection).await?;
    }
    note(connection, ("import", source), counts, now).await
}

async fn import(
    store: &Postgres,
    over: Option<i64>,
    statics: &Statics,
    source: &str,
    now: Timestamp,
) -> Result<i64, Error> {
    let prepared = prepared(statics, "import")?;
    let counts = static_rows::signed(statics.counts());
    let call = async {
        let mut lease = Lease::begin(&store.writers).await?;
        let outcome = replace(&mut lease, over, prepared, (source, counts), now).await;
        lease.end(outcome).await
    };
    store.bounded(call).await.map_err(|error| error.while_doing("store static data"))
}

async fn add(connection: &mut PgConnection, prepared: Vec<PgArguments>, now: Timestamp) -> Result<Option<i64>, Error> {
    sqlx::query(TURN).execute(&mut *connection).await?;
    let mut counts = [0; 7];
    for (((sheet, sql), arguments), count) in SHEETS.iter().zip(&*ADD).zip(prepared).zip(&mut counts) {
        if sheet.has_source() {
            let done = sqlx::query_with(sql.as_str(), arguments).execute(&mut *connection).await?;
            *count = done.rows_affected() as i64;
        }
    }
    if counts == [0; 7] {
        return Ok(None);
    }
    note(connection, ("esi", ""), counts, now).await.map(Some)
}

/// One moment of all tables.
const ONE_MOMENT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";

async fn load(connection: &mut PgConnection) -> Result<(i64, Statics), Error> {
    sqlx::query(ONE_MOMENT).execute(&mut *connection).await?;
    let version = sqlx::query_scalar(static_rows::VERSION).fetch_one(&mut *connection).await?;
    Ok((version, all(connection).await?))
}

async fn origins(connection: &mut PgConnection) -> Result<Origins, Error> {
    sqlx::query(ONE_MOMENT).execute(&mut *connection).await?;
    let version = sqlx::query_scalar(static_rows::LAST_IMPORT).fetch_one(&mut *connection).await?;
    let told: Vec<_> = sqlx::query_as(static_rows::TOLD).fetch_all(&mut *connection).await?;
    Ok(static_rows::origins(version, all(connection).await?, &told))
}

async fn all(connection: &mut PgConnection) -> Result<Statics, Error> {
    let mut statics = Statics::default();
    {
        let mut rows = sqlx::query_as(TYPES).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            static_rows::add_type(&mut statics, row)?;
        }
    }
    for row in sqlx::query_as(SYSTEMS).fetch_all(&mut *connection).await? {
        static_rows::add_system(&mut statics, row);
    }
    for (table, sql) in MEMBERS {
        for row in sqlx::query_as(sql).fetch_all(&mut *connection).await? {
            static_rows::add_member(&mut statics, table, row);
        }
    }
    for (table, sql) in NAMED {
        for row in sqlx::query_as(sql).fetch_all(&mut *connection).await? {
            static_rows::add_named(&mut statics, table, row);
        }
    }
    Ok(statics)
}

async fn queue_untagged(
    store: &Postgres,
    after: Option<KillmailId>,
    limit: u32,
    due_at: Timestamp,
) -> Result<Queued, Error> {
    let after = after.map_or(0, KillmailId::get);
    let sql =
        "SELECT killmail_id, killmail_time, enrichment_status = 'partial' AND region_id IS NULL FROM killmails_enriched
        WHERE killmail_id > $1 ORDER BY killmail_id LIMIT $2";
    let query = sqlx::query_as(sql).bind(after).bind(i64::from(limit));
    let seen: Vec<(i64, jiff_sqlx::Timestamp, bool)> = query.fetch_all(&store.readers).await?;
    let is_last = seen.len() < limit as usize;
    let next = seen.last().filter(|_| !is_last).and_then(|(id, _, _)| KillmailId::new(*id));
    let lacking = seen.into_iter().filter(|(_, _, is_lacking)| *is_lacking);
    let (ids, times): (Vec<_>, Vec<_>) = lacking.map(|(id, time, _)| (id, time)).unzip();
    if ids.is_empty() {
        return Ok(Queued { queued: 0, next });
    }
    // The times, so that the months are found that hold them.
    let sql = "INSERT INTO refreshes (killmail_id, killmail_time, due_at)
        SELECT killmail_id, killmail_time, $3 FROM unnest($1::bigint[], $2::timestamptz[]) AS given (killmail_id, killmail_time)
        JOIN killmails_enriched USING (killmail_id, killmail_time) JOIN killmails_raw USING (killmail_id, killmail_time)
        WHERE enrichment_status = 'partial' AND region_id IS NULL AND form > 0 ORDER BY killmail_id ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(ids).bind(times).bind(stamp(due_at));
    let done = query.execute(&store.writers).await?;
    Ok(Queued { queued: u32::try_from(done.rows_affected()).unwrap_or(u32::MAX), next })
}

type LastRow = (i64, String, jiff_sqlx::Timestamp, i64, i64, i64, i64, i64, i64, i64);

async fn last(store: &Postgres) -> Result<Option<Import>, Error> {
    let row: Option<LastRow> = sqlx::query_as(static_rows::LAST).fetch_optional(&store.readers).await?;
    let Some((version, source, imported_at, a, b, c, d, e, f, g)) = row else { return Ok(None) };
    let added: (i64, i64) = sqlx::query_as(static_rows::ADDED).fetch_one(&store.readers).await?;
    Ok(Some(Import {
        version,
        source,
        imported_at: imported_at.into(),
        counts: static_rows::unsigned((a, b, c, d, e, f, g)),
        added: [added.0, added.1].map(i64::unsigned_abs),
    }))
}

#[async_trait]
impl StaticData for Postgres {
    async fn replace_statics(&self, statics: &Statics, source: &str, now: Timestamp) -> Result<i64, Error> {
        import(self, None, statics, source, now).await
    }

    async fn amend_statics(&self, over: i64, statics: &Statics, source: &str, now: Timestamp) -> Result<i64, Error> {
        import(self, Some(over), statics, source, now).await
    }

    async fn add_statics(&self, found: &Statics, now: Timestamp) -> Result<Option<i64>, Error> {
        let prepared = prepared(found, "esi")?;
        self.bounded(async {
            let mut lease = Lease::begin(&self.writers).await?;
            let outcome = add(&mut lease, prepared, now).await;
            lease.end(outcome).await
        })
        .await
    }

    async fn statics_version(&self) -> Result<i64, Error> {
        let query = sqlx::query_scalar(static_rows::VERSION).fetch_one(&self.readers);
        self.bounded(async { Ok(query.await?) }).await
    }

    async fn load_statics(&self) -> Result<(i64, Statics), Error> {
        self.bounded(async {
            let mut lease = Lease::begin(&self.readers).await?;
            let outcome = load(&mut lease).await;
            lease.end(outcome).await
        })
        .await
    }

    async fn load_origins(&self) -> Result<Origins, Error> {
        self.bounded(async {
            let mut lease = Lease::begin(&self.readers).await?;
            let outcome = origins(&mut lease).await;
            lease.end(outcome).await
        })
        .await
    }

    async fn queue_untagged(&self, after: Option<KillmailId>, limit: u32, due_at: Timestamp) -> Result<Queued, Error> {
        self.bounded(queue_untagged(self, after, limit, due_at)).await
    }

    async fn last_import(&self) -> Result<Option<Import>, Error> {
        self.bounded(last(self)).await
    }
}
