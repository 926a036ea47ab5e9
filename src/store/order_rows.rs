//! Orders and prices as rows: what the engines share. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Error, StoredPage};
use crate::killmail::RegionId;
use crate::market::price::{Offer, Side};
use crate::market::{self, Cents, Order, Price, Quality};

/// Columns of `market_orders` that an order brings; the region, the times and `closed_at` are the store's own.
pub(super) const ORDER: [&str; 12] = [
    "order_id",
    "type_id",
    "location_id",
    "system_id",
    "volume_total",
    "volume_remain",
    "min_volume",
    "price",
    "is_buy_order",
    "duration",
    "issued",
    "range",
];

/// Columns of `market_prices` between its key's region and `refreshed_at`.
pub(super) const PRICE: [&str; 11] = [
    "type_id",
    "best_bid",
    "best_ask",
    "bid_volume",
    "ask_volume",
    "bid_average",
    "ask_average",
    "bid_percentile",
    "ask_percentile",
    "bid_orders",
    "ask_orders",
];

/// A row of [`PRICE`], money in cents.
pub(super) type PriceRow =
    (i64, Option<i64>, Option<i64>, i64, i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>, i64, i64);

/// No database keeps times before our era alike.
const ISSUED_MIN: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// Of each order the last copy, ascending by id: all who write orders do it in this order, so that nobody waits in a circle.
///
/// # Errors
/// An order that cannot be kept.
pub(super) fn latest<'a>(orders: &[&'a Order]) -> Result<Vec<&'a Order>, Error> {
    if let Some(order) = orders.iter().find(|order| order.issued < ISSUED_MIN) {
        let text = format!("the order {} was issued at {}, which is before the year 1", order.order_id, order.issued);
        return Err(Error::column("issued", text, None));
    }
    if orders.is_sorted_by(|one, other| one.order_id < other.order_id) {
        return Ok(orders.to_vec());
    }
    let by_id: BTreeMap<i64, &Order> = orders.iter().map(|order| (order.order_id, *order)).collect();
    Ok(by_id.into_values().collect())
}

/// Their types, each once, ascending.
pub(super) fn types(orders: &[&Order]) -> Vec<i64> {
    let mut types: Vec<i64> = orders.iter().map(|order| order.type_id).collect();
    types.sort_unstable();
    types.dedup();
    types
}

/// Of each page the last copy with its address, in one order for all as well.
pub(super) fn addressed(region: RegionId, pages: &[StoredPage]) -> Vec<(String, &StoredPage)> {
    let by_url: BTreeMap<_, _> = pages.iter().map(|page| (market::route(region, page.number), page)).collect();
    by_url.into_iter().collect()
}

/// From the word in the table, which has a rule for it.
pub(super) fn quality(word: &str) -> Quality {
    let all = [Quality::Whole, Quality::Mixed];
    all.into_iter().find(|quality| quality.as_str() == word).unwrap_or(Quality::Incomplete)
}

/// Prices of offers that come type by type.
#[derive(Debug, Default)]
pub(super) struct Pricing {
    type_id: i64,
    offers: Vec<Offer>,
    prices: Vec<Price>,
}

impl Pricing {
    pub(super) fn add(&mut self, type_id: i64, is_buy_order: bool, cents: i64, volume_remain: i64) {
        if type_id != self.type_id {
            self.settle();
            self.type_id = type_id;
        }
        self.offers.push(Offer { is_buy_order, price: Cents(cents), volume_remain });
    }

    fn settle(&mut self) {
        self.prices.extend(Price::of(self.type_id, &self.offers));
        self.offers.clear();
    }

    /// Ascending by type, as the offers came.
    pub(super) fn finish(mut self) -> Vec<Price> {
        self.settle();
        self.prices
    }
}

/// What to write, and which types to delete, so that what is stored becomes as computed.
pub(super) fn differing(stored: &[Price], computed: Vec<Price>) -> (Vec<Price>, Vec<i64>) {
    let stored: BTreeMap<i64, &Price> = stored.iter().map(|price| (price.type_id, price)).collect();
    let is_left = |type_id: i64| computed.binary_search_by_key(&type_id, |price| price.type_id).is_ok();
    let gone = stored.keys().copied().filter(|type_id| !is_left(*type_id)).collect();
    let is_new = |price: &Price| stored.get(&price.type_id).is_none_or(|old| *old != price);
    (computed.into_iter().filter(is_new).collect(), gone)
}

pub(super) fn price_row(price: &Price) -> PriceRow {
    let (bid, ask) = (price.bid.as_ref(), price.ask.as_ref());
    let money = |side: Option<&Side>, of: fn(&Side) -> Cents| side.map(|side| of(side).0);
    let (best, average, percentile) =
        (|side: &Side| side.best, |side: &Side| side.average, |side: &Side| side.percentile);
    (
        price.type_id,
        money(bid, best),
        money(ask, best),
        bid.map_or(0, |side| side.volume),
        ask.map_or(0, |side| side.volume),
        money(bid, average),
        money(ask, average),
        money(bid, percentile),
        money(ask, percentile),
        bid.map_or(0, |side| side.orders),
        ask.map_or(0, |side| side.orders),
    )
}

pub(super) fn price(row: PriceRow) -> Price {
    let (type_id, best_bid, best_ask, bid_volume, ask_volume, bid, ask, bid_best, ask_best, bids, asks) = row;
    let side = |best: Option<i64>, volume, average: Option<i64>, percentile: Option<i64>, orders| {
        let (best, average, percentile) = (Cents(best?), Cents(average?), Cents(percentile?));
        Some(Side { best, volume, average, percentile, orders })
    };
    Price {
        type_id,
        bid: side(best_bid, bid_volume, bid, bid_best, bids),
        ask: side(best_ask, ask_volume, ask, ask_best, asks),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prices(offers: &[(i64, bool, i64, i64)]) -> Vec<Price> {
        let mut sorted = offers.to_vec();
        sorted.sort_unstable_by_key(|offer| offer.0);
        let mut pricing = Pricing::default();
        sorted.into_iter().for_each(|(type_id, buys, cents, units)| pricing.add(type_id, buys, cents, units));
        pricing.finish()
    }

    proptest! {
        #[test]
        fn offers_of_a_type_make_its_price_and_a_row_keeps_it(
            offers in prop::collection::vec((1_i64..6, any::<bool>(), 1_i64..1000, 0_i64..1000), 0..40),
        ) {
            let computed = prices(&offers);
            for price in &computed {
                let of_type = offers.iter().filter(|offer| offer.0 == price.type_id);
                let of_type: Vec<_> = of_type
                    .map(|&(_, is_buy_order, cents, volume_remain)| Offer { is_buy_order, price: Cents(cents), volume_remain })
                    .collect();
                prop_assert_eq!(Price::of(price.type_id, &of_type), Some(*price));
                prop_assert_eq!(super::price(price_row(price)), *price);
            }
            let mut types: Vec<_> = offers.iter().map(|offer| offer.0).collect();
            types.sort_unstable();
            types.dedup();
            prop_assert_eq!(computed.iter().map(|price| price.type_id).collect::<Vec<_>>(), types);
        }

        #[test]
        fn what_differs_makes_the_stored_prices_the_computed_ones(
            before in prop::collection::vec((1_i64..6, any::<bool>(), 1_i64..3, 1_i64..3), 0..8),
            after in prop::collection::vec((1_i64..6, any::<bool>(), 1_i64..3, 1_i64..3), 0..8),
        ) {
            let (before, after) = (prices(&before), prices(&after));
            let (writes, gone) = differing(&before, after.clone());
            let mut stored: BTreeMap<_, _> = before.iter().map(|price| (price.type_id, *price)).collect();
            for price in writes {
                prop_assert_ne!(stored.insert(price.type_id, price), Some(price));
            }
            for type_id in gone {
                prop_assert!(stored.remove(&type_id).is_some());
            }
            prop_assert_eq!(stored.into_values().collect::<Vec<_>>(), after);
        }
    }
}
