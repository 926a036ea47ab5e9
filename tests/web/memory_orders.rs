//! Markets in memory, by the rules that every store keeps.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use async_trait::async_trait;
use broadside::killmail::RegionId;
use broadside::market::price::Offer;
use broadside::market::{Order, Price, Quality};
use broadside::store::{Error, Gone, OrderChanges, Orders, StoredPage, Swept};
use jiff::Timestamp;

use super::MemoryStore;

/// A row of `market_orders`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) region: RegionId,
    pub(crate) order: Order,
    pub(crate) first_seen_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(crate) struct Markets {
    rows: BTreeMap<i64, Row>,
    pages: BTreeMap<(RegionId, u32), StoredPage>,
    regions: BTreeMap<RegionId, Swept>,
    prices: BTreeMap<(RegionId, i64), Price>,
    /// Rows that were written, ever.
    written: u64,
}

#[allow(dead_code, reason = "each of those that share this file uses its own part")]
impl MemoryStore {
    fn markets(&self) -> MutexGuard<'_, Markets> {
        self.markets.lock().expect("no panic while held")
    }

    /// All rows of a region, closed ones too, by id.
    pub(crate) fn order_rows(&self, region: RegionId) -> Vec<Row> {
        self.markets().rows.values().filter(|row| row.region == region).cloned().collect()
    }

    /// Open orders of a region, by id.
    pub(crate) fn open(&self, region: RegionId) -> Vec<Order> {
        let rows = self.order_rows(region).into_iter();
        rows.filter(|row| row.closed_at.is_none()).map(|row| row.order).collect()
    }

    /// Its pages.
    pub(crate) fn pages_of(&self, region: RegionId) -> Vec<StoredPage> {
        self.markets().pages.values_of(region)
    }

    /// Its row of `market_regions`.
    pub(crate) fn swept(&self, region: RegionId) -> Option<Swept> {
        self.markets().regions.get(&region).cloned()
    }

    /// Puts a row of `market_regions` there.
    pub(crate) fn set_swept(&self, swept: Swept) {
        self.markets().regions.insert(swept.region, swept);
    }

    /// How many rows of orders were written, ever.
    pub(crate) fn orders_written(&self) -> u64 {
        self.markets().written
    }
}

trait ByRegion {
    fn values_of(&self, region: RegionId) -> Vec<StoredPage>;
}

impl ByRegion for BTreeMap<(RegionId, u32), StoredPage> {
    fn values_of(&self, region: RegionId) -> Vec<StoredPage> {
        self.range((region, 0)..=(region, u32::MAX)).map(|(_, page)| page.clone()).collect()
    }
}

impl Markets {
    /// Whether it is new, and whether it was written.
    fn store(&mut self, region: RegionId, order: &Order, now: Timestamp) -> (bool, bool) {
        let old = self.rows.get(&order.order_id);
        let is_same = old.is_some_and(|row| row.closed_at.is_none() && row.region == region && row.order == *order);
        let (is_new, first_seen_at) = (old.is_none(), old.map_or(now, |row| row.first_seen_at));
        if !is_same {
            let row = Row { region, order: order.clone(), first_seen_at, last_seen_at: now, closed_at: None };
            self.rows.insert(order.order_id, row);
            self.written += 1;
        }
        (is_new, !is_same)
    }

    fn price(&self, region: RegionId, type_id: i64) -> Option<Price> {
        let open = self.rows.values().filter(|row| row.region == region && row.closed_at.is_none());
        let offers: Vec<Offer> = open
            .filter(|row| row.order.type_id == type_id)
            .map(|row| Offer {
                is_buy_order: row.order.is_buy_order,
                price: row.order.price,
                volume_remain: row.order.volume_remain,
            })
            .collect();
        Price::of(type_id, &offers)
    }
}

fn sorted(types: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut types: Vec<i64> = types.collect();
    types.sort_unstable();
    types.dedup();
    types
}

#[async_trait]
impl Orders for MemoryStore {
    async fn market_pages(&self, region: RegionId) -> Result<Vec<StoredPage>, Error> {
        self.answer(self.pages_of(region))
    }

    async fn open_orders(&self, region: RegionId) -> Result<Vec<i64>, Error> {
        self.answer(self.open(region).iter().map(|order| order.order_id).collect())
    }

    async fn store_orders(
        &self,
        region: RegionId,
        orders: &[&Order],
        pages: &[StoredPage],
        now: Timestamp,
    ) -> Result<OrderChanges, Error> {
        self.answer(())?;
        let mut markets = self.markets();
        let mut changes =
            OrderChanges { types: sorted(orders.iter().map(|order| order.type_id)), ..Default::default() };
        for order in orders {
            let (is_new, is_written) = markets.store(region, order, now);
            changes.new += u64::from(is_new);
            changes.changed += u64::from(is_written && !is_new);
        }
        for page in pages {
            markets.pages.insert((region, page.number), page.clone());
        }
        Ok(changes)
    }

    async fn end_sweep(&self, swept: &Swept, gone: &[Gone]) -> Result<Vec<i64>, Error> {
        self.answer(())?;
        let mut markets = self.markets();
        let mut types = Vec::new();
        for gone in gone {
            let Some(row) = markets.rows.get_mut(&gone.order_id) else { continue };
            types.push(row.order.type_id);
            if row.region == swept.region && row.closed_at.is_none() {
                row.closed_at = swept.swept_at;
                row.last_seen_at = gone.last_seen_at.unwrap_or(row.last_seen_at);
            }
        }
        markets.pages.retain(|(region, number), _| *region != swept.region || *number <= swept.pages);
        let name = markets.regions.get(&swept.region).and_then(|old| old.name.clone());
        let swept = Swept { name: swept.name.clone().or(name), ..swept.clone() };
        markets.regions.insert(swept.region, swept);
        Ok(sorted(types.into_iter()))
    }

    async fn rest_region(&self, region: RegionId, not_before: Timestamp) -> Result<(), Error> {
        self.answer(())?;
        let new = Swept {
            region,
            name: None,
            not_before,
            swept_at: None,
            sweep_seconds: 0.0,
            pages: 0,
            orders: 0,
            quality: Quality::Incomplete,
        };
        self.markets().regions.entry(region).or_insert(new).not_before = not_before;
        Ok(())
    }

    async fn market_regions(&self) -> Result<Vec<Swept>, Error> {
        self.answer(self.markets().regions.values().cloned().collect())
    }

    async fn refresh_prices(&self, region: RegionId, types: Option<&[i64]>, _now: Timestamp) -> Result<u64, Error> {
        self.answer(())?;
        let mut markets = self.markets();
        let all = || {
            let rows = markets.rows.values().filter(|row| row.region == region).map(|row| row.order.type_id);
            let prices = markets.prices.keys().filter(|(of, _)| *of == region).map(|(_, type_id)| *type_id);
            sorted(rows.chain(prices))
        };
        let types = types.map_or_else(all, <[i64]>::to_vec);
        let mut written = 0;
        for type_id in types {
            let price = markets.price(region, type_id);
            let old = match price {
                Some(price) => markets.prices.insert((region, type_id), price),
                None => markets.prices.remove(&(region, type_id)),
            };
            written += u64::from(old != price);
        }
        Ok(written)
    }

    async fn forget_closed(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        let mut markets = self.markets();
        let is_old = |row: &Row| row.closed_at.is_some_and(|at| at < before);
        let old: Vec<i64> =
            markets.rows.iter().filter(|(_, row)| is_old(row)).map(|(id, _)| *id).take(limit as usize).collect();
        markets.rows.retain(|id, _| !old.contains(id));
        Ok(old.len() as u64)
    }

    async fn market_prices(&self, region: RegionId, types: &[i64]) -> Result<Vec<Price>, Error> {
        let markets = self.markets();
        self.answer(types.iter().filter_map(|type_id| markets.prices.get(&(region, *type_id)).copied()).collect())
    }
}
