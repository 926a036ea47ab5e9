//! A region's orders, how they change, and their pages.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::draw::{Draw, tick};
use crate::market::{Cents, Order, wire};

/// Orders on a page.
const PAGE: usize = 1_000;
/// Ids of a region start so far after those of the one before.
const IDS: i64 = 40_000_000;

/// A page as it is sent.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Sheet {
    pub(in crate::simulator) body: Bytes,
    /// With its quotes.
    pub(in crate::simulator) etag: String,
}

#[derive(Debug)]
pub(super) struct Book {
    random: StdRng,
    draw: Draw,
    orders: Vec<Order>,
    /// Of `orders` as they are; empty until somebody asks.
    sheets: Vec<Sheet>,
}

impl Book {
    /// The `index` keeps the ids of regions apart.
    pub(super) fn new(region: i64, index: i64, size: usize, seed: u64, now: i64) -> Self {
        let mut random = StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ region.unsigned_abs());
        let mut draw = Draw::new(region, 6_000_000_000 + index * IDS);
        let orders = (0..size).map(|_| {
            let age = random.random_range(0..80 * 86_400);
            draw.order(&mut random, now - age)
        });
        let orders = orders.collect();
        Self { random, draw, orders, sheets: Vec::new() }
    }

    pub(super) fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// An empty region has a page too.
    pub(super) fn pages(&self) -> usize {
        self.orders.len().div_ceil(PAGE).max(1)
    }

    /// A page, from 1.
    pub(super) fn sheet(&mut self, number: usize) -> Option<Sheet> {
        if self.sheets.is_empty() {
            self.sheets =
                (0..self.pages()).map(|page| sheet(self.orders.chunks(PAGE).nth(page).unwrap_or(&[]))).collect();
        }
        self.sheets.get(number.checked_sub(1)?).cloned()
    }

    /// The next window: of this share of the orders, six in ten are traded, two get another price, two end; about as many are new.
    pub(super) fn turn(&mut self, share: f64, now: i64) {
        let wanted = self.orders.len() as f64 * share;
        // A fraction of an order is one in some windows.
        let count = wanted as usize + usize::from(self.random.random::<f64>() < wanted.fract());
        if count == 0 {
            return;
        }
        let chosen = rand::seq::index::sample(&mut self.random, self.orders.len(), count.min(self.orders.len()));
        let mut gone = Vec::new();
        for index in chosen {
            if !self.change(index, now) {
                gone.push(index);
            }
        }
        gone.sort_unstable_by(|a, b| b.cmp(a));
        for index in &gone {
            self.orders.remove(*index);
        }
        for _ in 0..self.random.random_range(0..=2 * gone.len()) {
            let order = self.draw.order(&mut self.random, now);
            let place = self.random.random_range(0..=self.orders.len());
            self.orders.insert(place, order);
        }
        self.sheets.clear();
    }

    /// Whether the order is still there.
    fn change(&mut self, index: usize, now: i64) -> bool {
        let order = &mut self.orders[index];
        match self.random.random_range(0..10) {
            0..6 => {
                order.volume_remain -= self.random.random_range(1..=order.volume_remain);
                order.volume_remain > 0
            }
            6..8 => {
                let before = order.price;
                let factor = self.random.random_range(0.9..1.1);
                order.price = tick(before.0 as f64 * factor);
                if order.price == before {
                    order.price = Cents(before.0 + 1);
                }
                order.issued = super::second(now);
                true
            }
            _ => false,
        }
    }
}

fn sheet(orders: &[Order]) -> Sheet {
    let lines: Vec<String> = orders.iter().map(wire::encode).collect();
    let body = format!("[{}]", lines.join(","));
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    Sheet { etag: format!("\"{:016x}\"", hasher.finish()), body: body.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const NOW: i64 = 1_767_225_600;

    fn by_id(book: &Book) -> BTreeMap<i64, Order> {
        book.orders().iter().map(|order| (order.order_id, order.clone())).collect()
    }

    #[test]
    fn two_windows_differ_by_the_share_that_was_asked_for() {
        let mut book = Book::new(10_000_002, 0, 2_000, 7, NOW);
        for window in 1..=20 {
            let before = by_id(&book);
            book.turn(0.02, NOW + window);
            let after = by_id(&book);
            assert_eq!(after.len(), book.orders().len(), "an id is one order's");
            let touched = before.iter().filter(|(id, order)| after.get(id) != Some(order)).count();
            assert!((before.len() / 50).abs_diff(touched) <= 1, "{touched} of {}", before.len());
            assert!(after.values().all(|o| o.volume_remain > 0 && o.volume_remain <= o.volume_total && o.price.0 > 0));
        }
    }

    #[test]
    fn a_small_region_is_as_it_was_in_many_windows() {
        let mut book = Book::new(10_000_042, 0, 15, 7, NOW);
        let changed = (0..100).filter(|window| {
            let before = book.sheet(1).map(|sheet| sheet.etag);
            book.turn(0.02, NOW + window);
            before != book.sheet(1).map(|sheet| sheet.etag)
        });
        assert!((10..60).contains(&changed.count()));
    }

    #[test]
    fn the_same_seed_gives_the_same_orders() {
        let orders = |seed| {
            let mut book = Book::new(10_000_002, 0, 100, seed, NOW);
            book.turn(0.5, NOW + 10);
            book.orders().to_vec()
        };
        assert_eq!(orders(3), orders(3));
        assert_ne!(orders(3), orders(4));
    }

    #[test]
    fn an_order_is_written_with_two_decimals_and_ids_of_regions_are_apart() {
        let book = Book::new(10_000_002, 1, 1, 7, NOW);
        let order = Order { price: Cents(450), ..book.orders()[0].clone() };
        assert!(wire::encode(&order).contains("\"price\":4.50,"), "{}", wire::encode(&order));
        assert!((6_040_000_000..6_080_000_000).contains(&order.order_id));
    }
}
