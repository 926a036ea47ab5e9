//! What a type costs in a region, derived from its open orders.
//!
//! * `best_bid`, `best_ask`: the dearest order to buy, the cheapest to sell.
//! * `…_volume`: units left, summed.
//! * `…_average`: the price of a unit, weighted by the units left: Σ price·units / Σ units.
//! * `…_percentile`: the same over the best 5 % of the volume alone, which a few units at an odd price cannot move: orders are taken from the best on, the last
//!   of them in part, until ⌈volume / 20⌉ units are counted.
//!
//! Averages are rounded to the nearest cent, halves up.

use super::Cents;

/// One side of a type in a region: all its orders to buy, or all to sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    pub best: Cents,
    pub volume: i64,
    pub average: Cents,
    pub percentile: Cents,
    pub orders: i64,
}

/// A type in a region. A side without orders is `None`; one of them is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    pub type_id: i64,
    /// Orders to buy.
    pub bid: Option<Side>,
    /// Orders to sell.
    pub ask: Option<Side>,
}

/// What of an order a price needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub is_buy_order: bool,
    pub price: Cents,
    pub volume_remain: i64,
}

/// The share of the volume that the percentile looks at: a twentieth.
const SHARE: i128 = 20;

impl Price {
    /// From all open orders of one type in one region, in any order; `None` of none.
    #[must_use]
    pub fn of(type_id: i64, offers: &[Offer]) -> Option<Self> {
        let side = |is_buy_order: bool| Side::of(offers.iter().filter(|offer| offer.is_buy_order == is_buy_order));
        let (bid, ask) = (side(true), side(false));
        (bid.is_some() || ask.is_some()).then_some(Self { type_id, bid, ask })
    }
}

impl Side {
    fn of<'a>(offers: impl Iterator<Item = &'a Offer>) -> Option<Self> {
        let mut offers: Vec<&Offer> = offers.collect();
        offers.sort_by_key(|offer| if offer.is_buy_order { -offer.price.0 } else { offer.price.0 });
        let best = offers.first()?.price;
        let volume: i128 = offers.iter().map(|offer| units(offer)).sum();
        Some(Self {
            best,
            volume: i64::try_from(volume).unwrap_or(i64::MAX),
            average: average(&offers, volume).unwrap_or(best),
            percentile: average(&offers, (volume + SHARE - 1) / SHARE).unwrap_or(best),
            orders: offers.len() as i64,
        })
    }
}

fn units(offer: &Offer) -> i128 {
    i128::from(offer.volume_remain.max(0))
}

/// Of the first so many units; `None` of no units.
fn average(offers: &[&Offer], count: i128) -> Option<Cents> {
    let (mut left, mut sum) = (count, 0_i128);
    for offer in offers {
        let taken = units(offer).min(left);
        sum += taken * i128::from(offer.price.0);
        left -= taken;
    }
    let counted = count - left;
    // Halves up, for prices below zero too, of which there are none.
    (counted > 0).then(|| Cents(i64::try_from((sum * 2 + counted).div_euclid(counted * 2)).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(price: i64, volume_remain: i64) -> Offer {
        Offer { is_buy_order: false, price: Cents(price), volume_remain }
    }

    #[test]
    fn the_best_twentieth_of_the_volume_makes_the_percentile() {
        let price = Price::of(34, &[ask(1_000, 99), ask(100, 1), ask(500, 100)]).expect("orders");
        let side = price.ask.expect("orders to sell");
        assert_eq!((price.type_id, price.bid), (34, None));
        assert_eq!((side.best, side.volume, side.orders), (Cents(100), 200, 3));
        // 1 unit at 100 and 9 at 500.
        assert_eq!(side.percentile, Cents(460));
        // (99 · 1000 + 1 · 100 + 100 · 500) / 200 = 745.5
        assert_eq!(side.average, Cents(746));
    }

    #[test]
    fn buyers_are_counted_from_the_dearest_on() {
        let bid = |price, units| Offer { is_buy_order: true, ..ask(price, units) };
        let side = Price::of(34, &[bid(1, 19), bid(9, 1)]).and_then(|price| price.bid).expect("orders to buy");
        assert_eq!((side.best, side.percentile, side.volume), (Cents(9), Cents(9), 20));
    }

    #[test]
    fn no_orders_have_no_price_and_no_units_the_best() {
        assert_eq!(Price::of(34, &[]), None);
        let side = Price::of(34, &[ask(7, 0)]).and_then(|price| price.ask).expect("an order");
        assert_eq!((side.best, side.average, side.percentile, side.volume), (Cents(7), Cents(7), Cents(7), 0));
    }

    proptest! {
        #[test]
        fn averages_lie_between_the_least_and_the_greatest_and_the_percentile_nearer_the_best(
            offers in prop::collection::vec((1_i64..1_000_000_000_000, 1_i64..2_000_000_000), 1..30),
        ) {
            let offers: Vec<Offer> = offers.into_iter().map(|(price, units)| ask(price, units)).collect();
            let side = Price::of(1, &offers).and_then(|price| price.ask).expect("orders");
            let most = offers.iter().map(|offer| offer.price).max().expect("orders");
            prop_assert!(side.best <= side.percentile && side.percentile <= side.average && side.average <= most);
        }
    }
}
