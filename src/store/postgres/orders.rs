//! Market orders.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Postgres;
use crate::killmail::RegionId;
use crate::market::{Order, Price};
use crate::store::{Error, Gone, OrderChanges, Orders, StoredPage, Swept};

fn not_yet<T>() -> Result<T, Error> {
    Err(Error::Permanent("keep market orders: this build cannot yet".to_owned()))
}

#[async_trait]
impl Orders for Postgres {
    async fn market_pages(&self, _region: RegionId) -> Result<Vec<StoredPage>, Error> {
        not_yet()
    }

    async fn open_orders(&self, _region: RegionId) -> Result<Vec<i64>, Error> {
        not_yet()
    }

    async fn store_orders(
        &self,
        _region: RegionId,
        _orders: &[&Order],
        _pages: &[StoredPage],
        _now: Timestamp,
    ) -> Result<OrderChanges, Error> {
        not_yet()
    }

    async fn end_sweep(&self, _swept: &Swept, _gone: &[Gone]) -> Result<Vec<i64>, Error> {
        not_yet()
    }

    async fn rest_region(&self, _region: RegionId, _not_before: Timestamp) -> Result<(), Error> {
        not_yet()
    }

    async fn market_regions(&self) -> Result<Vec<Swept>, Error> {
        not_yet()
    }

    async fn refresh_prices(&self, _region: RegionId, _types: Option<&[i64]>, _now: Timestamp) -> Result<u64, Error> {
        not_yet()
    }

    async fn market_prices(&self, _region: RegionId, _types: &[i64]) -> Result<Vec<Price>, Error> {
        not_yet()
    }
}
