//! Market orders: one transaction a call. Its rows are prepared before the writer is taken, on the assumption that all of them are new; only when some
//! are not, they are prepared again to be compared with what is there.

use std::sync::LazyLock;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, Row as _};

use super::statements::{self, Insert, Prepared, Row};
use super::{Sqlite, id_list, integers, prices, stamp, time};
use crate::killmail::RegionId;
use crate::market::{Order, Price, Tag};
use crate::store::order_rows::{ORDER, addressed, latest, quality, types};
use crate::store::{Error, Gone, OrderChanges, Orders, StoredPage, Swept};

static INSERT: LazyLock<Insert> = LazyLock::new(|| insert("ON CONFLICT DO NOTHING"));

/// Of those that are there, writes what differs.
static UPDATE: LazyLock<Insert> = LazyLock::new(|| {
    let told: Vec<_> = ORDER[1..].iter().copied().chain(["region_id"]).collect();
    let set: Vec<_> = told.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    let differs: Vec<_> = told.iter().map(|column| format!("old.{column} <> excluded.{column}")).collect();
    let tail = format!(
        "ON CONFLICT (order_id) DO UPDATE SET {}, last_seen_at = excluded.last_seen_at, closed_at = NULL
         WHERE old.closed_at IS NOT NULL OR {}",
        set.join(", "),
        differs.join(" OR ")
    );
    insert(&tail)
});

fn insert(tail: &str) -> Insert {
    let columns: Vec<_> = ORDER.into_iter().chain(["region_id", "first_seen_at", "last_seen_at"]).collect();
    Insert::new("market_orders AS old", &columns, tail)
}

const PAGE: &str =
    "INSERT INTO etags (region_id, url, etag, page, last_modified, expires_at, order_ids) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (url) DO UPDATE SET region_id = excluded.region_id, etag = excluded.etag, page = excluded.page,
        last_modified = excluded.last_modified, expires_at = excluded.expires_at, order_ids = excluded.order_ids";

/// ?1: a JSON array of `[order_id, last_seen_at]`. The plus keeps SQLite from going through the region's orders and, for each, through the array.
const CLOSE: &str = "UPDATE market_orders SET closed_at = ?2, last_seen_at = coalesce(seen, last_seen_at)
    FROM (SELECT value ->> 0 AS id, value ->> 1 AS seen FROM json_each(?1))
    WHERE order_id = id AND +region_id = ?3 AND closed_at IS NULL";

const SWEPT: &str =
    "INSERT INTO market_regions AS old (region_id, name, not_before, swept_at, sweep_seconds, pages, orders, quality)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (region_id) DO UPDATE SET name = coalesce(excluded.name, old.name), not_before = excluded.not_before,
        swept_at = excluded.swept_at, sweep_seconds = excluded.sweep_seconds, pages = excluded.pages, orders = excluded.orders,
        quality = excluded.quality";

/// A row of `market_orders` as it is when it is new.
struct Seen<'a> {
    order: &'a Order,
    region: RegionId,
    at: &'a str,
}

impl Row for Seen<'_> {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        let order = self.order;
        arguments.add(order.order_id)?;
        arguments.add(order.type_id)?;
        arguments.add(order.location_id)?;
        arguments.add(order.system_id)?;
        arguments.add(order.volume_total)?;
        arguments.add(order.volume_remain)?;
        arguments.add(order.min_volume)?;
        arguments.add(order.price.0)?;
        arguments.add(order.is_buy_order)?;
        arguments.add(order.duration)?;
        arguments.add(order.issued.to_string())?;
        arguments.add(order.range.to_string())?;
        arguments.add(self.region.get())?;
        arguments.add(self.at)?;
        arguments.add(self.at)
    }
}

async fn store(
    store: &Sqlite,
    region: RegionId,
    rows: &[Seen<'_>],
    prepared: Vec<Prepared>,
    pages: &[StoredPage],
) -> Result<(u64, u64), Error> {
    let mut transaction = store.writer.begin_with("BEGIN IMMEDIATE").await?;
    let new = statements::execute(&mut transaction, prepared).await?;
    let mut changed = 0;
    if new < rows.len() as u64 {
        changed = statements::execute(&mut transaction, UPDATE.prepare(rows)?).await?;
    }
    for (url, page) in addressed(region, pages) {
        let query = sqlx::query(PAGE)
            .bind(region.get())
            .bind(url)
            .bind(page.tag.etag.as_deref())
            .bind(page.number)
            .bind(page.tag.last_modified.map(stamp))
            .bind(stamp(page.tag.expires_at))
            .bind(id_list(page.orders.iter().copied()));
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok((new, changed))
}

async fn end(store: &Sqlite, swept: &Swept, gone: &[Gone]) -> Result<Vec<i64>, Error> {
    let region = swept.region.get();
    let row = |gone: &Gone| (gone.order_id, gone.last_seen_at.map(stamp));
    let rows = serde_json::to_string(&gone.iter().map(row).collect::<Vec<_>>());
    let rows = rows.map_err(|error| Error::Permanent(format!("bind the rows of orders: {error}")))?;
    let mut transaction = store.writer.begin_with("BEGIN IMMEDIATE").await?;
    let close = sqlx::query(CLOSE).bind(rows).bind(swept.swept_at.map(stamp)).bind(region);
    close.execute(&mut *transaction).await?;
    let types = types_of(&mut transaction, gone).await?;
    let forget = sqlx::query("DELETE FROM etags WHERE region_id = ? AND page > ?").bind(region).bind(swept.pages);
    forget.execute(&mut *transaction).await?;
    let query = sqlx::query(SWEPT)
        .bind(region)
        .bind(&swept.name)
        .bind(stamp(swept.not_before))
        .bind(swept.swept_at.map(stamp))
        .bind(swept.sweep_seconds)
        .bind(swept.pages)
        .bind(i64::try_from(swept.orders).unwrap_or(i64::MAX))
        .bind(swept.quality.as_str());
    query.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(types)
}

async fn types_of(connection: &mut SqliteConnection, gone: &[Gone]) -> Result<Vec<i64>, sqlx::Error> {
    let sql = "SELECT DISTINCT type_id FROM market_orders WHERE order_id IN (SELECT value FROM json_each(?)) ORDER BY type_id";
    sqlx::query_scalar(sql).bind(id_list(gone.iter().map(|gone| gone.order_id))).fetch_all(connection).await
}

type PageRow = (u32, Option<String>, Option<String>, String, String);

fn page((number, etag, last_modified, expires_at, orders): PageRow) -> Result<StoredPage, Error> {
    let last_modified = last_modified.as_deref().map(time).transpose()?;
    Ok(StoredPage {
        number,
        tag: Tag { etag, last_modified, expires_at: time(&expires_at)? },
        orders: integers(&orders)?,
    })
}

fn swept(row: &sqlx::sqlite::SqliteRow) -> Result<Option<Swept>, Error> {
    let Some(region) = RegionId::new(row.try_get("region_id")?) else { return Ok(None) };
    Ok(Some(Swept {
        region,
        name: row.try_get("name")?,
        not_before: time(row.try_get("not_before")?)?,
        swept_at: row.try_get::<Option<&str>, _>("swept_at")?.map(time).transpose()?,
        sweep_seconds: row.try_get("sweep_seconds")?,
        pages: row.try_get("pages")?,
        orders: row.try_get::<i64, _>("orders")?.unsigned_abs(),
        quality: quality(row.try_get("quality")?),
    }))
}

#[async_trait]
impl Orders for Sqlite {
    async fn market_pages(&self, region: RegionId) -> Result<Vec<StoredPage>, Error> {
        let sql =
            "SELECT page, etag, last_modified, expires_at, order_ids FROM etags WHERE region_id = ? ORDER BY page";
        let query = sqlx::query_as(sql).bind(region.get()).fetch_all(&self.readers);
        let rows: Vec<PageRow> = self.bounded(async { Ok(query.await?) }).await?;
        rows.into_iter().map(page).collect()
    }

    async fn open_orders(&self, region: RegionId) -> Result<Vec<i64>, Error> {
        let sql = "SELECT order_id FROM market_orders WHERE region_id = ? AND closed_at IS NULL ORDER BY order_id";
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
        let orders = latest(orders)?;
        let now = stamp(now);
        let rows: Vec<_> = orders.iter().map(|order| Seen { order, region, at: &now }).collect();
        let prepared = INSERT.prepare(&rows)?;
        let (new, changed) = self.bounded(store(self, region, &rows, prepared, pages)).await?;
        Ok(OrderChanges { new, changed, types: types(&orders) })
    }

    async fn end_sweep(&self, swept: &Swept, gone: &[Gone]) -> Result<Vec<i64>, Error> {
        self.bounded(end(self, swept, gone)).await
    }

    async fn rest_region(&self, region: RegionId, not_before: Timestamp) -> Result<(), Error> {
        let sql = "INSERT INTO market_regions (region_id, not_before) VALUES (?, ?)
            ON CONFLICT (region_id) DO UPDATE SET not_before = excluded.not_before";
        let query = sqlx::query(sql).bind(region.get()).bind(stamp(not_before)).execute(&self.writer);
        self.bounded(async { Ok(query.await.map(drop)?) }).await
    }

    async fn market_regions(&self) -> Result<Vec<Swept>, Error> {
        let query = sqlx::query("SELECT * FROM market_regions ORDER BY region_id").fetch_all(&self.readers);
        let rows = self.bounded(async { Ok(query.await?) }).await?;
        rows.iter().filter_map(|row| swept(row).transpose()).collect()
    }

    async fn refresh_prices(&self, region: RegionId, types: Option<&[i64]>, now: Timestamp) -> Result<u64, Error> {
        self.bounded(prices::refresh(self, region, types, now)).await
    }

    async fn market_prices(&self, region: RegionId, types: &[i64]) -> Result<Vec<Price>, Error> {
        self.bounded(async { prices::stored(&mut *self.readers.acquire().await?, region, Some(types)).await }).await
    }

    async fn forget_closed(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        let sql = "DELETE FROM market_orders WHERE order_id IN (SELECT order_id FROM market_orders WHERE closed_at < ? LIMIT ?)";
        let query = sqlx::query(sql).bind(stamp(before)).bind(limit).execute(&self.writer);
        self.bounded(async { Ok(query.await?.rows_affected()) }).await
    }
}
