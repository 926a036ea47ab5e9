//! The write path of market orders: made-up ones into the store, a batch of pages a call, one call after the other.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};

use super::super::opening::open_store;
use super::super::print;
use super::super::progress::rate;
use super::Args;
use super::ceiling::{failed, scratch};
use super::usage::Used;
use crate::killmail::RegionId;
use crate::market::{Cents, Order, Range, Tag};
use crate::store::{Store, StoredPage};

/// Orders on a page, as at ESI.
const PAGE: usize = 1000;
/// Pages a call, as the sink `orders` has them at its most.
const PAGES: usize = 10;
/// No region of the game.
const REGION: i64 = 1;

pub(super) async fn orders(args: Args) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("broadside-bench-").tempdir();
    let folder = folder.context("failed to make a temporary folder")?;
    let file = || format!("sqlite://{}", folder.path().join("bench.db").display());
    let scratch = scratch(args.database.as_deref()).await?;
    let database = scratch.as_ref().map(|scratch| scratch.url().to_owned()).or(args.database).unwrap_or_else(file);
    let store = open_store(&database, true).await?;
    let measured = measure(&*store, made_up(args.orders as usize)?).await;
    store.close().await;
    if let Some(scratch) = scratch {
        scratch.remove().await.map_err(failed)?;
    }
    measured.map(|()| ExitCode::SUCCESS)
}

async fn measure(store: &dyn Store, mut orders: Vec<Order>) -> anyhow::Result<()> {
    let region = RegionId::new(REGION).context("the region's id is above 0")?;
    if !store.open_orders(region).await.map_err(failed)?.is_empty() {
        anyhow::bail!("the database has the orders of an earlier bench: another file is needed");
    }
    let used = Used::now();
    let started = Instant::now();
    print(&format!("{} made-up orders, {PAGES} pages of {PAGE} a call, one call at a time", orders.len()));
    let all: Vec<&Order> = orders.iter().collect();
    let first = write(store, region, &all, "first write").await?;
    write(store, region, &all, "the same again").await?;
    orders.iter_mut().step_by(50).for_each(|order| order.volume_remain -= 1);
    let changed: Vec<&Order> = orders.iter().step_by(50).collect();
    write(store, region, &changed, "2 % changed, given alone").await?;
    orders.iter_mut().step_by(50).for_each(|order| order.volume_remain -= 1);
    write(store, region, &orders.iter().collect::<Vec<_>>(), "2 % changed, given with the rest").await?;
    for name in ["prices of all types", "the same again"] {
        let began = Instant::now();
        let written = store.refresh_prices(region, None, Timestamp::now()).await.map_err(failed)?;
        print(&format!("{name}: {:.2} s, {written} written", began.elapsed().as_secs_f64()));
    }
    print(&used.line(started.elapsed()));
    if let Some(took) = store.orders_ceiling(region, &orders, PAGE * PAGES).await.map_err(failed)? {
        let (pace, share) = (rate(orders.len() as u64, took), took.as_secs_f64() / first.as_secs_f64());
        print(&format!(
            "ceiling: COPY of the same rows, encoded beforehand, in the same batches on one connection: {pace}; the first write reached {share:.2} of it"
        ));
    }
    Ok(())
}

/// Stores the orders with their pages; answers how long it took.
async fn write(store: &dyn Store, region: RegionId, orders: &[&Order], name: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let (mut new, mut changed) = (0, 0);
    for (call, orders) in orders.chunks(PAGE * PAGES).enumerate() {
        let now = Timestamp::now();
        let numbers = (call * PAGES + 1) as u32..;
        let pages: Vec<_> =
            numbers.zip(orders.chunks(PAGE)).map(|(number, orders)| page(number, orders, now)).collect();
        let changes = store.store_orders(region, orders, &pages, now).await.map_err(failed)?;
        (new, changed) = (new + changes.new, changed + changes.changed);
    }
    let took = began.elapsed();
    let pace = rate(orders.len() as u64, took);
    print(&format!("{name}: {:.2} s, {pace}; {new} new, {changed} changed", took.as_secs_f64()));
    Ok(took)
}

fn page(number: u32, orders: &[&Order], now: Timestamp) -> StoredPage {
    let tag = Tag { etag: Some(format!("\"{number:056x}\"")), last_modified: Some(now), expires_at: now };
    StoredPage { number, tag, orders: orders.iter().map(|order| order.order_id).collect() }
}

/// Orders as a large market has them: old and new ones on every page, 15,000 types, most of them to sell.
fn made_up(count: usize) -> anyhow::Result<Vec<Order>> {
    let placed: Timestamp = "2026-03-01T10:00:00Z".parse().context("failed to read a time")?;
    // A step that has no factor in common with the count goes round all of them.
    let step = (0x9E37_79B9_usize..).find(|step| gcd(*step, count) == 1).unwrap_or(1);
    let order = |place: usize| {
        let number = (place * step % count) as i64;
        let is_buy_order = number % 3 == 0;
        Order {
            order_id: 6_500_000_000 + number * 1_237,
            type_id: 18 + number * number % 15_013 * 5,
            location_id: if number % 10 == 0 { 1_035_466_617_946 } else { 60_003_760 },
            system_id: 30_000_142,
            volume_total: 1 + number % 1_000_000,
            volume_remain: 1000 + number % 900_000,
            min_volume: 1,
            price: Cents(1 + number * 7_919 % 1_000_000_007 * if number % 50 == 0 { 100 } else { 1 }),
            is_buy_order,
            duration: 90,
            issued: placed + SignedDuration::from_secs(number % 7_776_000),
            range: if is_buy_order { Range::Region } else { Range::Station },
        }
    };
    Ok((0..count).map(order).collect())
}

fn gcd(one: usize, other: usize) -> usize {
    if other == 0 { one } else { gcd(other, one % other) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_made_up_order_is_another_one() {
        for count in [1, 2, 1000, 12_345] {
            let ids: BTreeSet<_> = made_up(count).expect("orders").iter().map(|order| order.order_id).collect();
            assert_eq!(ids.len(), count);
        }
    }
}
