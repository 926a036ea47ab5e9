//! Prices: derived from open orders here, because the server's own arithmetic is either not exact or slow.

use std::sync::LazyLock;

use futures::TryStreamExt;
use jiff::Timestamp;
use sqlx::postgres::PgConnection;

use super::lease::Lease;
use super::{Postgres, stamp};
use crate::killmail::RegionId;
use crate::market::Price;
use crate::store::Error;
use crate::store::order_rows::{PRICE, PriceRow, Pricing, differing, price, price_row};

/// Who refreshes a region's prices waits for whoever is at it, then reads: prices computed from older orders never come to lie over newer ones.
const TURN: &str = "SELECT pg_advisory_xact_lock(hashtext('market_prices'), hashint8($1))";

const OFFERS: &str = "SELECT type_id, is_buy_order, (price * 100)::bigint, volume_remain FROM market_orders
    WHERE region_id = $1 AND closed_at IS NULL AND ($2::bigint[] IS NULL OR type_id = ANY ($2)) ORDER BY type_id";

const STORED: &str = "SELECT type_id, (best_bid * 100)::bigint, (best_ask * 100)::bigint, bid_volume, ask_volume, (bid_average * 100)::bigint,
        (ask_average * 100)::bigint, (bid_percentile * 100)::bigint, (ask_percentile * 100)::bigint, bid_orders, ask_orders
    FROM market_prices WHERE region_id = $1 AND ($2::bigint[] IS NULL OR type_id = ANY ($2)) ORDER BY type_id";

static WRITE: LazyLock<String> = LazyLock::new(|| {
    let arrays: Vec<_> = (3..3 + PRICE.len()).map(|number| format!("${number}::bigint[]")).collect();
    let is_money = |column: &str| ["best_", "_average", "_percentile"].iter().any(|part| column.contains(part));
    let value = |column: &str| if is_money(column) { format!("{column} * 0.01") } else { column.to_owned() };
    let set: Vec<_> = PRICE[1..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
    format!(
        "INSERT INTO market_prices (region_id, refreshed_at, {columns})
        SELECT $1, $2, {values} FROM unnest({arrays}) AS given ({columns})
        ON CONFLICT (region_id, type_id) DO UPDATE SET refreshed_at = excluded.refreshed_at, {set}",
        columns = PRICE.join(", "),
        values = PRICE.map(value).join(", "),
        arrays = arrays.join(", "),
        set = set.join(", "),
    )
});

pub(super) async fn refresh(
    store: &Postgres,
    region: RegionId,
    types: Option<&[i64]>,
    now: Timestamp,
) -> Result<u64, Error> {
    let mut lease = Lease::begin(&store.writers).await?;
    let outcome = renew(&mut lease, region, types, now).await;
    lease.end(outcome).await
}

async fn renew(
    connection: &mut PgConnection,
    region: RegionId,
    types: Option<&[i64]>,
    now: Timestamp,
) -> Result<u64, Error> {
    sqlx::query(TURN).bind(region.get()).execute(&mut *connection).await?;
    let computed = computed(connection, region, types).await?;
    let (writes, gone) = differing(&stored(connection, region, types).await?, computed);
    if !gone.is_empty() {
        let sql = "DELETE FROM market_prices WHERE region_id = $1 AND type_id = ANY ($2)";
        sqlx::query(sql).bind(region.get()).bind(&gone).execute(&mut *connection).await?;
    }
    if !writes.is_empty() {
        write(connection, region, &writes, now).await?;
    }
    Ok((writes.len() + gone.len()) as u64)
}

async fn computed(
    connection: &mut PgConnection,
    region: RegionId,
    types: Option<&[i64]>,
) -> Result<Vec<Price>, sqlx::Error> {
    let mut pricing = Pricing::default();
    let mut offers = sqlx::query_as(OFFERS).bind(region.get()).bind(types).fetch(connection);
    while let Some((type_id, is_buy_order, cents, volume)) = offers.try_next().await? {
        pricing.add(type_id, is_buy_order, cents, volume);
    }
    Ok(pricing.finish())
}

pub(super) async fn stored(
    connection: &mut PgConnection,
    region: RegionId,
    types: Option<&[i64]>,
) -> Result<Vec<Price>, Error> {
    let rows: Vec<PriceRow> = sqlx::query_as(STORED).bind(region.get()).bind(types).fetch_all(connection).await?;
    Ok(rows.into_iter().map(price).collect())
}

async fn write(
    connection: &mut PgConnection,
    region: RegionId,
    prices: &[Price],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let rows: Vec<PriceRow> = prices.iter().map(price_row).collect();
    fn column<T>(rows: &[PriceRow], value: impl Fn(&PriceRow) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let query = sqlx::query(WRITE.as_str())
        .bind(region.get())
        .bind(stamp(now))
        .bind(column(&rows, |row| row.0))
        .bind(column(&rows, |row| row.1))
        .bind(column(&rows, |row| row.2))
        .bind(column(&rows, |row| row.3))
        .bind(column(&rows, |row| row.4))
        .bind(column(&rows, |row| row.5))
        .bind(column(&rows, |row| row.6))
        .bind(column(&rows, |row| row.7))
        .bind(column(&rows, |row| row.8))
        .bind(column(&rows, |row| row.9))
        .bind(column(&rows, |row| row.10));
    query.execute(connection).await.map(drop)
}
