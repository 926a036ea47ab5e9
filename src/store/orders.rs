//! What a store keeps of markets.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Error;
use crate::killmail::RegionId;
use crate::market::{Order, Price, Quality, Tag};

/// A page as it was last stored: its tag, and which orders stood on it. Kept so that a restart need not fetch what has not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPage {
    /// From 1.
    pub number: u32,
    pub tag: Tag,
    /// Ids, in the order of the page.
    pub orders: Vec<i64>,
}

/// What storing orders changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderChanges {
    /// Rows that were not there.
    pub new: u64,
    /// Rows that differed, reopened ones included.
    pub changed: u64,
    /// Types of the orders that were given, each once, ascending: their prices may have changed. Of all of them, so that a call that is repeated
    /// because its answer was lost names them again.
    pub types: Vec<i64>,
}

/// An order that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    pub order_id: i64,
    /// `None`: not seen since this process began, so the row's own holds.
    pub last_seen_at: Option<Timestamp>,
}

/// A row of `market_regions`: the last sweep of a region that came to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Swept {
    pub region: RegionId,
    pub name: Option<String>,
    /// None of its pages is to be asked for before.
    pub not_before: Timestamp,
    /// `None`: its first sweep has begun and not ended yet.
    pub swept_at: Option<Timestamp>,
    pub sweep_seconds: f64,
    pub pages: u32,
    /// Open orders.
    pub orders: u64,
    pub quality: Quality,
}

/// Markets in the store. Times are stored to the millisecond at least, as the engine's other tables have them.
#[async_trait]
pub trait Orders {
    /// The pages of a region, ascending.
    async fn market_pages(&self, region: RegionId) -> Result<Vec<StoredPage>, Error>;
    /// Ids of the open orders of a region, ascending.
    async fn open_orders(&self, region: RegionId) -> Result<Vec<i64>, Error>;
    /// Stores orders of a region by their ids, and pages with their tags, in one transaction: `first_seen_at` stays, a row that is as it was is not
    /// written, a closed one is opened again. Of an order that stands in `orders` twice, the last holds.
    ///
    /// Safe to repeat, and with other workers at the same time.
    async fn store_orders(
        &self,
        region: RegionId,
        orders: &[&Order],
        pages: &[StoredPage],
        now: Timestamp,
    ) -> Result<OrderChanges, Error>;
    /// Ends a sweep in one transaction: closes what is gone (as of `swept_at`) and still of this region, forgets pages above `pages`, and writes the
    /// region's row, whose name stays when none is given. Answers the types of the orders that are gone, each once, ascending; when it is repeated, again.
    async fn end_sweep(&self, swept: &Swept, gone: &[Gone]) -> Result<Vec<i64>, Error>;
    /// Notes that none of a region's pages is to be asked for before; its row is made when there is none.
    async fn rest_region(&self, region: RegionId, not_before: Timestamp) -> Result<(), Error>;
    /// Regions that have a row, by id.
    async fn market_regions(&self) -> Result<Vec<Swept>, Error>;
    /// Computes [`Price`]s of a region from its open orders and writes those that differ; a type without open orders has none. `types`: only these, ascending;
    /// `None`: all. Answers how many rows were written or deleted.
    async fn refresh_prices(&self, region: RegionId, types: Option<&[i64]>, now: Timestamp) -> Result<u64, Error>;
    /// The prices of these types in a region, ascending by type; types without one are left out.
    async fn market_prices(&self, region: RegionId, types: &[i64]) -> Result<Vec<Price>, Error>;
    /// Deletes up to `limit` orders that were closed before then; answers how many.
    async fn forget_closed(&self, before: Timestamp, limit: u32) -> Result<u64, Error>;
    /// **Empties the table of orders**, and answers how long the engine's bulk path alone takes to fill it with these in such batches: what `bench` compares with.
    /// `None` where there is no such path.
    async fn orders_ceiling(
        &self,
        _region: RegionId,
        _orders: &[Order],
        _batch: usize,
    ) -> Result<Option<std::time::Duration>, Error> {
        Ok(None)
    }
}
