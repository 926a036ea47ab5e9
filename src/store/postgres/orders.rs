//! Market orders: one transaction a call, whose rows travel as one array a column.
//!
//! Everybody writes orders first, ascending by id, then pages by their address, then the region's row: so nobody waits in a circle.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnection, PgPool};

use super::error::is_taken;
use super::lease::Lease;
use super::{Postgres, ceiling, prices, stamp};
use crate::killmail::RegionId;
use crate::market::{Order, Price, Range, Tag};
use crate::store::order_rows::{ORDER, addressed, latest, quality, types};
use crate::store::{Error, Gone, OrderChanges, Orders, StoredPage, Swept};

/// Types of the arrays of [`ORDER`]. Money comes in cents, the range as its place among the words of the last array.
const TYPES: [&str; 12] = [
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "boolean",
    "integer",
    "timestamptz",
    "integer",
];

/// The given orders as rows. $1: the region, $2: now, $3: how many. Reading arrays by place takes half as long as `unnest` of them all.
static GIVEN: LazyLock<String> = LazyLock::new(|| {
    let value = |(place, (column, kind)): (usize, (&str, &str))| {
        let value = format!("(${}::{kind}[])[i]", place + 4);
        match column {
            "price" => format!("{value} * 0.01 AS price"),
            "range" => format!("($16::text[])[{value}] AS range"),
            column => format!("{value} AS {column}"),
        }
    };
    let values: Vec<_> = ORDER.into_iter().zip(TYPES).enumerate().map(value).collect();
    format!("(SELECT {} FROM generate_series(1, $3::integer) i) AS given", values.join(", "))
});

/// Stores orders that are not there. In PostgreSQL a row costs a fifth more with ON CONFLICT, though it meets none: so the first attempt is without.
/// (OFFSET 0: one look by the key each; the planner must not turn that into a scan of the table.)
static INSERT: LazyLock<[String; 2]> = LazyLock::new(|| {
    let insert = format!(
        "INSERT INTO market_orders (region_id, first_seen_at, last_seen_at, {}) SELECT $1, $2, $2, given.* FROM {} WHERE NOT EXISTS
            (SELECT FROM market_orders old WHERE old.order_id = given.order_id OFFSET 0)",
        ORDER.join(", "),
        *GIVEN
    );
    let patient = format!("{insert} ON CONFLICT DO NOTHING");
    [insert, patient]
});

/// Writes orders that are there and differ. ON CONFLICT alone would lock, which is to write, those that do not: they are left out before. (The inner OFFSET 0: the
/// look is by the key; region and type would else be looked up in the other index, which without statistics seems as good and holds hundreds of rows for a type.)
static UPDATE: LazyLock<String> = LazyLock::new(|| {
    let list = |prefix: &str| ORDER[1..].iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>().join(", ");
    let set: Vec<_> = ORDER[1..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
    format!(
        "INSERT INTO market_orders AS old (region_id, first_seen_at, last_seen_at, {columns})
        SELECT $1, $2, $2, given.* FROM {given} WHERE NOT EXISTS (
            SELECT FROM (SELECT * FROM market_orders same WHERE same.order_id = given.order_id OFFSET 0) AS same
            WHERE closed_at IS NULL AND (same.region_id, {same}) = ($1, {told}))
        ON CONFLICT (order_id) DO UPDATE SET region_id = excluded.region_id, last_seen_at = excluded.last_seen_at, closed_at = NULL, {set}
        WHERE old.closed_at IS NOT NULL OR (old.region_id, {old}) <> (excluded.region_id, {excluded})",
        columns = ORDER.join(", "),
        given = *GIVEN,
        same = list("same."),
        told = list("given."),
        old = list("old."),
        excluded = list("excluded."),
        set = set.join(", "),
    )
});

/// Ids of all pages come in one array, with each page's first and last place in it: an array of arrays would need all of one length.
const PAGES: &str =
    "INSERT INTO etags (region_id, url, etag, page, last_modified, expires_at, order_ids)
    SELECT $1, url, etag, page, last_modified, expires_at, ($9::bigint[])[first:last]
    FROM unnest($2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::integer[], $8::integer[])
        AS given (url, etag, page, last_modified, expires_at, first, last)
    ON CONFLICT (url) DO UPDATE SET region_id = excluded.region_id, etag = excluded.etag, page = excluded.page,
        last_modified = excluded.last_modified, expires_at = excluded.expires_at, order_ids = excluded.order_ids";

/// In one order for all. Only these are closed then: an order that comes in between would be locked out of turn.
const LOCK: &str =
    "SELECT order_id FROM market_orders WHERE order_id = ANY ($1) AND region_id = $2 AND closed_at IS NULL
    ORDER BY order_id FOR UPDATE";

const CLOSE: &str =
    "UPDATE market_orders SET closed_at = $2, last_seen_at = coalesce($3, last_seen_at) WHERE order_id = ANY ($1)";

const FORGET: &str = "DELETE FROM etags WHERE url = ANY
    (ARRAY(SELECT url FROM etags WHERE region_id = $1 AND page > $2 ORDER BY url FOR UPDATE))";

/// In the order of ids, as everybody locks orders; and only what is closed still when its turn comes.
const FORGET_CLOSED: &str = "DELETE FROM market_orders WHERE order_id = ANY
    (ARRAY(SELECT order_id FROM (SELECT order_id FROM market_orders WHERE closed_at < $1 LIMIT $2) old ORDER BY order_id))
    AND closed_at < $1";

const SWEPT: &str =
    "INSERT INTO market_regions AS old (region_id, name, not_before, swept_at, sweep_seconds, pages, orders, quality)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (region_id) DO UPDATE SET name = coalesce(excluded.name, old.name), not_before = excluded.not_before,
        swept_at = excluded.swept_at, sweep_seconds = excluded.sweep_seconds, pages = excluded.pages, orders = excluded.orders,
        quality = excluded.quality";

/// Orders and pages to store, encoded before any connection is taken.
struct Call<'a> {
    region: RegionId,
    count: u64,
    orders: PgArguments,
    pages: &'a [StoredPage],
}

impl Call<'_> {
    /// Answers how many orders were new, and how many of the others differed. `None`: another worker stored one of them in between.
    async fn attempt(&self, pool: &PgPool, insert: &'static str) -> Result<Option<(u64, u64)>, Error> {
        let mut lease = Lease::begin(pool).await?;
        let new = if self.count == 0 { Ok(0) } else { self.run(&mut lease, insert).await };
        if new.as_ref().is_err_and(is_taken) {
            return lease.end(Ok(None)).await;
        }
        let outcome = match new {
            Ok(new) => self.go_on(&mut lease, new).await,
            Err(error) => Err(error.into()),
        };
        lease.end(outcome).await
    }

    async fn go_on(&self, connection: &mut PgConnection, new: u64) -> Result<Option<(u64, u64)>, Error> {
        let changed = if new == self.count { 0 } else { self.run(connection, UPDATE.as_str()).await? };
        if !self.pages.is_empty() {
            store_pages(connection, self.region, self.pages).await?;
        }
        Ok(Some((new, changed)))
    }

    /// Answers how many rows were written.
    async fn run(&self, connection: &mut PgConnection, sql: &'static str) -> Result<u64, sqlx::Error> {
        let done = sqlx::query_with(sql, self.orders.clone()).execute(connection).await?;
        Ok(done.rows_affected())
    }
}

/// Values for [`GIVEN`].
fn arguments(region: RegionId, orders: &[&Order], now: Timestamp) -> Result<PgArguments, BoxDynError> {
    fn column<T>(orders: &[&Order], value: impl Fn(&Order) -> T) -> Vec<T> {
        orders.iter().map(|order| value(order)).collect()
    }
    let mut ranges: Vec<Range> = column(orders, |order| order.range);
    ranges.sort_unstable();
    ranges.dedup();
    let place = |range: Range| ranges.partition_point(|other| *other < range) as i32 + 1;
    let mut to = PgArguments::default();
    to.add(region.get())?;
    to.add(stamp(now))?;
    to.add(i32::try_from(orders.len())?)?;
    to.add(column(orders, |order| order.order_id))?;
    to.add(column(orders, |order| order.type_id))?;
    to.add(column(orders, |order| order.location_id))?;
    to.add(column(orders, |order| order.system_id))?;
    to.add(column(orders, |order| order.volume_total))?;
    to.add(column(orders, |order| order.volume_remain))?;
    to.add(column(orders, |order| order.min_volume))?;
    to.add(column(orders, |order| order.price.0))?;
    to.add(column(orders, |order| order.is_buy_order))?;
    to.add(column(orders, |order| order.duration))?;
    to.add(column(orders, |order| stamp(order.issued)))?;
    to.add(column(orders, |order| place(order.range)))?;
    to.add(ranges.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(to)
}

async fn store_pages(connection: &mut PgConnection, region: RegionId, pages: &[StoredPage]) -> Result<(), sqlx::Error> {
    let pages = addressed(region, pages);
    let (mut first, mut last, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for (_, page) in &pages {
        first.push(ids.len() as i32 + 1);
        ids.extend_from_slice(&page.orders);
        last.push(ids.len() as i32);
    }
    fn column<'p, T>(pages: &'p [(String, &StoredPage)], value: impl Fn(&'p StoredPage) -> T) -> Vec<T> {
        pages.iter().map(|(_, page)| value(page)).collect()
    }
    let query = sqlx::query(PAGES)
        .bind(region.get())
        .bind(pages.iter().map(|(url, _)| url.as_str()).collect::<Vec<_>>())
        .bind(column(&pages, |page| page.tag.etag.as_deref()))
        .bind(column(&pages, |page| i64::from(page.number)))
        .bind(column(&pages, |page| page.tag.last_modified.map(stamp)))
        .bind(column(&pages, |page| stamp(page.tag.expires_at)))
        .bind(first)
        .bind(last)
        .bind(ids);
    query.execute(connection).await.map(drop)
}

/// Closes what is gone; answers its types.
async fn close(connection: &mut PgConnection, swept: &Swept, gone: &[Gone]) -> Result<Vec<i64>, sqlx::Error> {
    let (region, all) = (swept.region.get(), gone.iter().map(|gone| gone.order_id).collect::<Vec<_>>());
    let open: Vec<i64> = sqlx::query_scalar(LOCK).bind(&all).bind(region).fetch_all(&mut *connection).await?;
    // They were seen last at the ends of a few sweeps.
    let mut by_time: BTreeMap<Option<Timestamp>, Vec<i64>> = BTreeMap::new();
    for gone in gone.iter().filter(|gone| open.binary_search(&gone.order_id).is_ok()) {
        by_time.entry(gone.last_seen_at).or_default().push(gone.order_id);
    }
    for (seen, ids) in by_time {
        let query = sqlx::query(CLOSE).bind(ids).bind(swept.swept_at.map(stamp)).bind(seen.map(stamp));
        query.execute(&mut *connection).await?;
    }
    let sql = "SELECT DISTINCT type_id FROM market_orders WHERE order_id = ANY ($1) ORDER BY type_id";
    sqlx::query_scalar(sql).bind(all).fetch_all(connection).await
}

async fn end(connection: &mut PgConnection, swept: &Swept, gone: &[Gone]) -> Result<Vec<i64>, Error> {
    let region = swept.region.get();
    let types = if gone.is_empty() { Vec::new() } else { close(connection, swept, gone).await? };
    sqlx::query(FORGET).bind(region).bind(i64::from(swept.pages)).execute(&mut *connection).await?;
    let row = sqlx::query(SWEPT)
        .bind(region)
        .bind(&swept.name)
        .bind(stamp(swept.not_before))
        .bind(swept.swept_at.map(stamp))
        .bind(swept.sweep_seconds)
        .bind(i64::from(swept.pages))
        .bind(i64::try_from(swept.orders).unwrap_or(i64::MAX))
        .bind(swept.quality.as_str());
    row.execute(connection).await?;
    Ok(types)
}

type PageRow = (i32, Option<String>, Option<jiff_sqlx::Timestamp>, jiff_sqlx::Timestamp, Vec<i64>);

fn page((number, etag, last_modified, expires_at, orders): PageRow) -> StoredPage {
    let tag = Tag { etag, last_modified: last_modified.map(Into::into), expires_at: expires_at.into() };
    StoredPage { number: number.unsigned_abs(), tag, orders }
}

type RegionRow = (i64, Option<String>, jiff_sqlx::Timestamp, Option<jiff_sqlx::Timestamp>, f64, i64, i64, String);

fn swept((region, name, not_before, swept_at, sweep_seconds, pages, orders, word): RegionRow) -> Option<Swept> {
    Some(Swept {
        region: RegionId::new(region)?,
        name,
        not_before: not_before.into(),
        swept_at: swept_at.map(Into::into),
        sweep_seconds,
        pages: u32::try_from(pages).unwrap_or(u32::MAX),
        orders: orders.unsigned_abs(),
        quality: quality(&word),
    })
}

#[async_trait]
impl Orders for Postgres {
    async fn market_pages(&self, region: RegionId) -> Result<Vec<StoredPage>, Error> {
        let sql =
            "SELECT page, etag, last_modified, expires_at, order_ids FROM etags WHERE region_id = $1 ORDER BY page";
        let query = sqlx::query_as(sql).bind(region.get()).fetch_all(&self.readers);
        let rows: Vec<PageRow> = self.bounded(async { Ok(query.await?) }).await?;
        Ok(rows.into_iter().map(page).collect())
    }

    async fn open_orders(&self, region: RegionId) -> Result<Vec<i64>, Error> {
        let sql = "SELECT order_id FROM market_orders WHERE region_id = $1 AND closed_at IS NULL ORDER BY order_id";
        let query = sqlx::query_scalar(sql).bind(region.get()).fetch_all(&self.readers);
        self.bounded(async { Ok(query.await?) }).await
    }

    async fn store_orders(
        &self,
        region: RegionId,
        orders: &[&Order],
        pages: &[StoredPage],
        now: Timestamp,
    ) -> Result<OrderChanges, Error> {
        let latest = latest(orders)?;
        let unfit = |error| Error::Permanent(format!("bind the rows of orders: {error}"));
        let orders = arguments(region, &latest, now).map_err(unfit)?;
        let call = Call { region, count: latest.len() as u64, orders, pages };
        let attempts = async {
            let [insert, patient] = &*INSERT;
            match call.attempt(&self.writers, insert).await? {
                None => call.attempt(&self.writers, patient).await,
                stored => Ok(stored),
            }
        };
        let (new, changed) = self.bounded(attempts).await?.unwrap_or_default();
        Ok(OrderChanges { new, changed, types: types(&latest) })
    }

    async fn end_sweep(&self, swept: &Swept, gone: &[Gone]) -> Result<Vec<i64>, Error> {
        self.bounded(async {
            let mut lease = Lease::begin(&self.writers).await?;
            let outcome = end(&mut lease, swept, gone).await;
            lease.end(outcome).await
        })
        .await
    }

    async fn rest_region(&self, region: RegionId, not_before: Timestamp) -> Result<(), Error> {
        let sql = "INSERT INTO market_regions (region_id, not_before) VALUES ($1, $2)
            ON CONFLICT (region_id) DO UPDATE SET not_before = excluded.not_before";
        let query = sqlx::query(sql).bind(region.get()).bind(stamp(not_before)).execute(&self.writers);
        self.bounded(async { Ok(query.await.map(drop)?) }).await
    }

    async fn market_regions(&self) -> Result<Vec<Swept>, Error> {
        let sql = "SELECT region_id, name, not_before, swept_at, sweep_seconds, pages, orders, quality
            FROM market_regions ORDER BY region_id";
        let query = sqlx::query_as(sql).fetch_all(&self.readers);
        let rows: Vec<RegionRow> = self.bounded(async { Ok(query.await?) }).await?;
        Ok(rows.into_iter().filter_map(swept).collect())
    }

    async fn refresh_prices(&self, region: RegionId, types: Option<&[i64]>, now: Timestamp) -> Result<u64, Error> {
        self.bounded(prices::refresh(self, region, types, now)).await
    }

    async fn market_prices(&self, region: RegionId, types: &[i64]) -> Result<Vec<Price>, Error> {
        self.bounded(async { prices::stored(&mut *self.readers.acquire().await?, region, Some(types)).await }).await
    }

    async fn forget_closed(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        let query = sqlx::query(FORGET_CLOSED).bind(stamp(before)).bind(i64::from(limit)).execute(&self.writers);
        self.bounded(async { Ok(query.await?.rows_affected()) }).await
    }

    async fn orders_ceiling(
        &self,
        region: RegionId,
        orders: &[Order],
        batch: usize,
    ) -> Result<Option<Duration>, Error> {
        ceiling::copy_orders_alone(self, region, orders, batch).await
    }
}
