//! Our own market prices, as the market pipeline keeps them: read for the types that are needed, when their region was swept within a day.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::board::Board;
use super::keeper::Keeper;
use super::settings::Market;
use crate::killmail::TypeId;
use crate::price::{Quote, Source};
use crate::store::{Error, Store};

/// How long what was read is as good as new.
pub(super) const FRESH: Duration = Duration::from_secs(900);
/// Between two looks at when the region was swept.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Orders that were seen longer ago price nothing.
const SWEPT_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    store: Arc<dyn Store>,
    board: Arc<Board>,
    keeper: Keeper,
    market: Market,
    swept: Mutex<Option<(bool, Instant)>>,
}

impl Table {
    pub(super) fn new(store: Arc<dyn Store>, board: Arc<Board>, keeper: Keeper, market: Market) -> Self {
        Self { store, board, keeper, market, swept: Mutex::default() }
    }

    /// Where its quotes stand on the board.
    pub(super) fn side(&self) -> (Source, i64) {
        (Source::Market, self.market.region)
    }

    /// Puts on the board what it has of these types.
    pub(super) async fn read(&self, types: &[TypeId]) -> Result<(), Error> {
        let (source, market) = self.side();
        let Some(region) = self.market.region().filter(|_| !types.is_empty()) else { return Ok(()) };
        let mut lacking: Vec<TypeId> = types.to_vec();
        if self.is_swept().await? {
            let mut ids: Vec<i64> = types.iter().map(|id| id.get()).collect();
            ids.sort_unstable();
            let fetched_at = Timestamp::now();
            let prices = self.store.market_prices(region, &ids).await?;
            let quotes: Vec<Quote> = prices
                .iter()
                .filter_map(|price| {
                    let (type_id, cents) = (TypeId::new(price.type_id)?, self.market.price.of(price)?);
                    Some(Quote { type_id, source, market, price: cents, fetched_at })
                })
                .collect();
            self.board.put(&quotes);
            self.keeper.keep(&quotes);
            let found: std::collections::HashSet<TypeId> = quotes.iter().map(|quote| quote.type_id).collect();
            lacking.retain(|type_id| !found.contains(type_id));
        }
        self.board.put_none(source, market, lacking);
        Ok(())
    }

    async fn is_swept(&self) -> Result<bool, Error> {
        let known = *self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((is_swept, _)) = known.filter(|(_, at)| at.elapsed() < LOOK_EVERY) {
            return Ok(is_swept);
        }
        let since = Timestamp::now() - SWEPT_WITHIN;
        let regions = self.store.market_regions().await?;
        let ours = regions.iter().find(|swept| Some(swept.region) == self.market.region());
        let is_swept = ours.and_then(|swept| swept.swept_at).is_some_and(|at| at > since);
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = Some((is_swept, Instant::now()));
        Ok(is_swept)
    }
}
