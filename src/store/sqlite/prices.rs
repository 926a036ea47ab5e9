//! Prices, derived from open orders: read by a reader, so that the writer is only taken for what differs.

use std::sync::LazyLock;

use futures::TryStreamExt;
use jiff::Timestamp;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};

use super::statements::{self, Insert, Row};
use super::{Sqlite, id_list, integers, stamp};
use crate::killmail::RegionId;
use crate::market::Price;
use crate::store::Error;
use crate::store::order_rows::{PRICE, PriceRow, Pricing, differing, price, price_row};

/// A row a type, its orders as three JSON arrays in one order: a row of sqlx's costs ten times what SQLite needs for an order.
/// Two statements, as no index is used for `?2 IS NULL OR …`.
static OFFERS: LazyLock<[String; 2]> = LazyLock::new(|| {
    let all = "SELECT type_id, json_group_array(is_buy_order), json_group_array(price), json_group_array(volume_remain)
        FROM market_orders WHERE region_id = ?1 AND closed_at IS NULL";
    let some = format!("{all} AND type_id IN (SELECT value FROM json_each(?2))");
    [all.to_owned(), some].map(|sql| format!("{sql} GROUP BY type_id ORDER BY type_id"))
});

static STORED: LazyLock<[String; 2]> = LazyLock::new(|| {
    let all = format!("SELECT {} FROM market_prices WHERE region_id = ?1", PRICE.join(", "));
    let some = format!("{all} AND type_id IN (SELECT value FROM json_each(?2))");
    [all, some].map(|sql| format!("{sql} ORDER BY type_id"))
});

static WRITE: LazyLock<Insert> = LazyLock::new(|| {
    let columns: Vec<_> = PRICE.into_iter().chain(["region_id", "refreshed_at"]).collect();
    let set: Vec<_> = PRICE[1..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
    let tail = format!(
        "ON CONFLICT (region_id, type_id) DO UPDATE SET refreshed_at = excluded.refreshed_at, {}",
        set.join(", ")
    );
    Insert::new("market_prices", &columns, &tail)
});

/// A row of `market_prices`.
struct Refreshed<'a> {
    price: PriceRow,
    region: RegionId,
    at: &'a str,
}

impl Row for Refreshed<'_> {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        let row = &self.price;
        arguments.add(row.0)?;
        arguments.add(row.1)?;
        arguments.add(row.2)?;
        arguments.add(row.3)?;
        arguments.add(row.4)?;
        arguments.add(row.5)?;
        arguments.add(row.6)?;
        arguments.add(row.7)?;
        arguments.add(row.8)?;
        arguments.add(row.9)?;
        arguments.add(row.10)?;
        arguments.add(self.region.get())?;
        arguments.add(self.at)
    }
}

pub(super) async fn refresh(
    store: &Sqlite,
    region: RegionId,
    types: Option<&[i64]>,
    now: Timestamp,
) -> Result<u64, Error> {
    let (writes, gone) = {
        let mut reader = store.readers.acquire().await?;
        let computed = computed(&mut reader, region, types).await?;
        differing(&stored(&mut reader, region, types).await?, computed)
    };
    if writes.is_empty() && gone.is_empty() {
        return Ok(0);
    }
    let now = stamp(now);
    let rows: Vec<_> = writes.iter().map(|price| Refreshed { price: price_row(price), region, at: &now }).collect();
    let prepared = WRITE.prepare(&rows)?;
    let mut transaction = store.writer.begin_with("BEGIN IMMEDIATE").await?;
    let sql = "DELETE FROM market_prices WHERE region_id = ? AND type_id IN (SELECT value FROM json_each(?))";
    sqlx::query(sql).bind(region.get()).bind(id_list(gone.iter().copied())).execute(&mut *transaction).await?;
    statements::execute(&mut transaction, prepared).await?;
    transaction.commit().await?;
    Ok((writes.len() + gone.len()) as u64)
}

async fn computed(
    connection: &mut SqliteConnection,
    region: RegionId,
    types: Option<&[i64]>,
) -> Result<Vec<Price>, Error> {
    let types = types.map(|types| id_list(types.iter().copied()));
    let query = sqlx::query_as(OFFERS[usize::from(types.is_some())].as_str()).bind(region.get());
    let query = if types.is_some() { query.bind(types) } else { query };
    let mut pricing = Pricing::default();
    let mut rows = query.fetch(connection);
    while let Some((type_id, buys, cents, volumes)) = rows.try_next().await? {
        let [buys, cents, volumes]: [String; 3] = [buys, cents, volumes];
        let offers = integers(&buys)?.into_iter().zip(integers(&cents)?).zip(integers(&volumes)?);
        offers.for_each(|((buys, cents), volume)| pricing.add(type_id, buys != 0, cents, volume));
    }
    Ok(pricing.finish())
}

pub(super) async fn stored(
    connection: &mut SqliteConnection,
    region: RegionId,
    types: Option<&[i64]>,
) -> Result<Vec<Price>, Error> {
    let types = types.map(|types| id_list(types.iter().copied()));
    let query = sqlx::query_as(STORED[usize::from(types.is_some())].as_str()).bind(region.get());
    let query = if types.is_some() { query.bind(types) } else { query };
    let rows: Vec<PriceRow> = query.fetch_all(connection).await?;
    Ok(rows.into_iter().map(price).collect())
}
