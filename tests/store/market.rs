//! What every store promises of markets: see [`crate::contract`].

use std::collections::BTreeMap;

use broadside::killmail::RegionId;
use broadside::market::price::Offer;
use broadside::market::{Cents, Order, Price, Quality, Range, Tag};
use broadside::store::{Error, Gone, OrderChanges, StoredPage, Swept};
use jiff::{SignedDuration, Timestamp};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::contract::{Look, Shared};

pub(crate) fn region(id: i64) -> RegionId {
    RegionId::new(id).unwrap()
}

/// So many seconds into a day.
pub(crate) fn at(second: i64) -> Timestamp {
    "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

pub(crate) fn order(id: i64) -> Order {
    Order {
        order_id: id,
        type_id: 34 + id % 3,
        location_id: 1_035_466_617_946,
        system_id: 30_000_142,
        volume_total: 100,
        volume_remain: 60,
        min_volume: 1,
        price: Cents(485),
        is_buy_order: id % 2 == 0,
        duration: 90,
        issued: "2026-03-01T10:00:00Z".parse().unwrap(),
        range: Range::Jumps(5),
    }
}

fn page(number: u32, etag: &str, orders: &[i64]) -> StoredPage {
    let tag = Tag { etag: Some(etag.to_owned()), last_modified: Some(at(-60)), expires_at: at(300) };
    StoredPage { number, tag, orders: orders.to_vec() }
}

pub(crate) fn swept(id: i64, pages: u32) -> Swept {
    Swept {
        region: region(id),
        name: Some("The Forge".to_owned()),
        not_before: at(300),
        swept_at: Some(at(20)),
        sweep_seconds: 1.5,
        pages,
        orders: 7,
        quality: Quality::Whole,
    }
}

async fn store_at(store: &Shared, orders: &[Order], now: Timestamp) -> (u64, u64) {
    let changes = store.store_orders(region(1), &orders.iter().collect::<Vec<_>>(), &[], now).await.unwrap();
    (changes.new, changes.changed)
}

async fn close(store: &Shared, id: i64, last_seen_at: Option<Timestamp>) -> Vec<i64> {
    store.end_sweep(&swept(1, 9), &[Gone { order_id: id, last_seen_at }]).await.unwrap()
}

const TIMES: &str = "SELECT order_id, first_seen_at, last_seen_at, closed_at FROM market_orders ORDER BY order_id";

pub(crate) async fn an_order_is_stored_whole(store: &Shared, look: &dyn Look) {
    let orders = [order(7_000_000_002), Order { range: Range::SolarSystem, ..order(7_000_000_001) }];
    let changes = store.store_orders(region(10_000_002), &[&orders[0], &orders[1]], &[], at(0)).await.unwrap();
    assert_eq!(changes, OrderChanges { new: 2, changed: 0, types: vec![34, 36] });
    let sql = "SELECT order_id, region_id, type_id, location_id, system_id, volume_total, volume_remain, min_volume, price, is_buy_order,
        duration, issued, range, first_seen_at, last_seen_at, closed_at FROM market_orders ORDER BY order_id";
    let same = "1035466617946|30000142|100|60|1|485";
    let seen = "2026-03-01T12:00:00.000Z|2026-03-01T12:00:00.000Z|NULL";
    let expected = [
        format!("7000000001|10000002|36|{same}|0|90|2026-03-01T10:00:00Z|solarsystem|{seen}"),
        format!("7000000002|10000002|34|{same}|1|90|2026-03-01T10:00:00Z|5|{seen}"),
    ];
    assert_eq!(look.rows(sql).await, expected);
    assert_eq!(store.open_orders(region(10_000_002)).await.unwrap(), [7_000_000_001, 7_000_000_002]);
    assert!(store.open_orders(region(1)).await.unwrap().is_empty());
}

pub(crate) async fn money_is_exact_at_its_extremes(store: &Shared, look: &dyn Look) {
    let prices = [1, i64::MAX, 9_200_000_000_000_000_001, 0, -1];
    let orders: Vec<_> =
        (1..).zip(prices).map(|(id, cents)| Order { price: Cents(cents), type_id: id, ..order(id * 2) }).collect();
    store_at(store, &orders, at(0)).await;
    let odd = "SELECT order_id FROM market_orders WHERE order_id NOT IN (2, 4, 6, 8, 10)";
    assert!(look.rows(odd).await.is_empty());
    store.refresh_prices(region(1), None, at(1)).await.unwrap();
    let found = store.market_prices(region(1), &[1, 2, 3, 4, 5]).await.unwrap();
    let best: Vec<_> = found.iter().filter_map(|price| Some(price.bid?.best.0)).collect();
    assert_eq!(best, prices);
    let all = look.rows("SELECT price FROM market_orders WHERE order_id = 4").await;
    assert_eq!(all, [i64::MAX.to_string()]);
}

pub(crate) async fn only_what_differs_is_written(store: &Shared, look: &dyn Look) {
    let orders: Vec<_> = (1..=5).map(order).collect();
    assert_eq!(store_at(store, &orders, at(0)).await, (5, 0));
    assert_eq!(store_at(store, &orders, at(1)).await, (0, 0));
    let repriced =
        [Order { price: Cents(486), ..order(2) }, order(3), Order { volume_remain: 59, ..order(4) }, order(6)];
    assert_eq!(store_at(store, &repriced, at(2)).await, (1, 2));
    let row = |id, first, last| format!("{id}|{:.3}|{:.3}|NULL", at(first), at(last));
    let expected = [row(1, 0, 0), row(2, 0, 2), row(3, 0, 0), row(4, 0, 2), row(5, 0, 0), row(6, 2, 2)];
    assert_eq!(look.rows(TIMES).await, expected);
    assert_eq!(
        look.rows("SELECT price FROM market_orders WHERE order_id IN (2, 3) ORDER BY order_id").await,
        ["486", "485"]
    );
}

pub(crate) async fn whatever_of_an_order_changes_is_written(store: &Shared, _: &dyn Look) {
    store_at(store, &[order(1)], at(0)).await;
    let changed = [
        Order { type_id: 40, ..order(1) },
        Order { location_id: 60_003_760, ..order(1) },
        Order { system_id: 30_000_144, ..order(1) },
        Order { volume_total: 101, ..order(1) },
        Order { volume_remain: 0, ..order(1) },
        Order { min_volume: 2, ..order(1) },
        Order { price: Cents(1), ..order(1) },
        Order { is_buy_order: true, ..order(1) },
        Order { duration: 365, ..order(1) },
        Order { issued: at(0), ..order(1) },
        Order { range: Range::Region, ..order(1) },
    ];
    for changed in changed {
        assert_eq!(store_at(store, std::slice::from_ref(&changed), at(1)).await, (0, 1), "{changed:?}");
        assert_eq!(store_at(store, std::slice::from_ref(&changed), at(2)).await, (0, 0), "{changed:?}");
    }
}

pub(crate) async fn of_an_order_given_twice_the_last_copy_holds(store: &Shared, look: &dyn Look) {
    let (old, new) = (Order { price: Cents(9), ..order(1) }, order(1));
    assert_eq!(store_at(store, &[order(5), old.clone(), order(2), new], at(0)).await, (3, 0));
    let price = "SELECT price FROM market_orders WHERE order_id = 1";
    assert_eq!(look.rows(price).await, ["485"]);
    assert_eq!(store_at(store, &[order(1), old], at(1)).await, (0, 1));
    assert_eq!(look.rows(price).await, ["9"]);
}

pub(crate) async fn a_closed_order_is_opened_again_and_keeps_when_it_was_first_seen(store: &Shared, look: &dyn Look) {
    store_at(store, &[order(1), order(2)], at(0)).await;
    assert_eq!(close(store, 1, None).await, [35]);
    assert_eq!(close(store, 2, Some(at(10))).await, [36]);
    let row = |id, last, closed: &str| format!("{id}|{:.3}|{:.3}|{closed}", at(0), at(last));
    let closed = format!("{:.3}", at(20));
    assert_eq!(look.rows(TIMES).await, [row(1, 0, &closed), row(2, 10, &closed)]);
    assert!(store.open_orders(region(1)).await.unwrap().is_empty());
    assert_eq!(store_at(store, &[order(1)], at(30)).await, (0, 1), "as it was, but open");
    assert_eq!(look.rows(TIMES).await, [row(1, 30, "NULL"), row(2, 10, &closed)]);
    assert_eq!(store.open_orders(region(1)).await.unwrap(), [1]);
}

pub(crate) async fn closing_again_changes_nothing_and_names_the_types_again(store: &Shared, look: &dyn Look) {
    store_at(store, &[order(1)], at(0)).await;
    close(store, 1, Some(at(10))).await;
    let before = look.rows(TIMES).await;
    let later = Swept { swept_at: Some(at(50)), ..swept(1, 9) };
    let gone = [Gone { order_id: 1, last_seen_at: Some(at(40)) }, Gone { order_id: 99, last_seen_at: None }];
    assert_eq!(store.end_sweep(&later, &gone).await.unwrap(), [35]);
    assert_eq!(look.rows(TIMES).await, before);
}

pub(crate) async fn only_orders_that_were_closed_before_then_are_forgotten(store: &Shared, look: &dyn Look) {
    store_at(store, &[order(1), order(2), order(3), order(4)], at(0)).await;
    let end = async |second: i64, id: i64| {
        let swept = Swept { swept_at: Some(at(second)), ..swept(1, 1) };
        store.end_sweep(&swept, &[Gone { order_id: id, last_seen_at: None }]).await.unwrap();
    };
    end(10, 1).await;
    end(20, 2).await;
    end(30, 3).await;
    assert_eq!(store.forget_closed(at(10), 5).await.unwrap(), 0, "closed then, not before");
    assert_eq!(store.forget_closed(at(25), 1).await.unwrap(), 1, "no more than asked for");
    assert_eq!(store.forget_closed(at(25), 5).await.unwrap(), 1);
    assert_eq!(look.rows("SELECT order_id FROM market_orders ORDER BY order_id").await, ["3", "4"]);
    assert_eq!(store_at(store, &[order(1)], at(40)).await, (1, 0), "one that comes back is new");
}

pub(crate) async fn an_order_that_moved_belongs_to_the_region_that_had_it_last(store: &Shared, look: &dyn Look) {
    store_at(store, &[order(1)], at(0)).await;
    let changes = store.store_orders(region(2), &[&order(1)], &[], at(1)).await.unwrap();
    assert_eq!((changes.new, changes.changed), (0, 1));
    assert!(store.open_orders(region(1)).await.unwrap().is_empty());
    assert_eq!(store.open_orders(region(2)).await.unwrap(), [1]);
    assert_eq!(close(store, 1, None).await, [35], "its type's price changed here");
    assert_eq!(look.rows(TIMES).await, [format!("1|{:.3}|{:.3}|NULL", at(0), at(1))], "but it is not closed there");
}

pub(crate) async fn large_calls_of_orders_are_stored_whole(store: &Shared, look: &dyn Look) {
    let orders: Vec<_> = (1..=12_345).rev().map(order).collect();
    assert_eq!(store_at(store, &orders, at(0)).await, (12_345, 0));
    let sum = "SELECT count(*), sum(order_id) FROM market_orders";
    let cast = look.rows(sum).await.concat();
    assert_eq!(cast.split('|').next(), Some("12345"));
    assert_eq!(store.open_orders(region(1)).await.unwrap(), (1..=12_345).collect::<Vec<_>>());
    let gone: Vec<_> = (1..=12_000).map(|order_id| Gone { order_id, last_seen_at: None }).collect();
    assert_eq!(store.end_sweep(&swept(1, 1), &gone).await.unwrap(), [34, 35, 36]);
    assert_eq!(store.open_orders(region(1)).await.unwrap(), (12_001..=12_345).collect::<Vec<_>>());
}

pub(crate) async fn an_impossible_time_names_its_column_and_its_order(store: &Shared, look: &dyn Look) {
    let old = Order { issued: "-005000-01-01T00:00:00Z".parse().unwrap(), ..order(77) };
    let answer = store.store_orders(region(1), &[&order(1), &old], &[page(1, "a", &[1, 77])], at(0)).await;
    let Err(Error::Data { column, message, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(column.as_deref(), Some("issued"));
    assert!(message.contains("77"), "{message}");
    assert_eq!(look.rows("SELECT count(*) FROM market_orders").await, ["0"]);
    assert!(store.market_pages(region(1)).await.unwrap().is_empty());
}

pub(crate) async fn pages_come_back_as_stored_and_vanish_when_there_are_fewer(store: &Shared, _: &dyn Look) {
    let bare = StoredPage {
        tag: Tag { etag: None, last_modified: None, expires_at: at(1) + SignedDuration::from_millis(5) },
        ..page(2, "", &[])
    };
    let pages = [page(11, "\"c\"", &[9, 7, 8]), bare, page(1, "W/\"a\"", &[3, 1, 2])];
    store.store_orders(region(1), &[], &pages, at(0)).await.unwrap();
    store.store_orders(region(2), &[], &[page(1, "other", &[4])], at(0)).await.unwrap();
    let sorted = [pages[2].clone(), pages[1].clone(), pages[0].clone()];
    assert_eq!(store.market_pages(region(1)).await.unwrap(), sorted);
    let again = [page(1, "old", &[6]), page(1, "new", &[i64::MAX, 5])];
    store.store_orders(region(1), &[&order(5)], &again, at(0)).await.unwrap();
    store.end_sweep(&swept(1, 2), &[]).await.unwrap();
    assert_eq!(store.market_pages(region(1)).await.unwrap(), [again[1].clone(), pages[1].clone()]);
    assert_eq!(store.market_pages(region(2)).await.unwrap(), [page(1, "other", &[4])]);
}

pub(crate) async fn nothing_to_store_is_stored(store: &Shared, _: &dyn Look) {
    assert_eq!(store.store_orders(region(1), &[], &[], at(0)).await, Ok(OrderChanges::default()));
    assert_eq!(store.refresh_prices(region(1), None, at(0)).await, Ok(0));
    assert_eq!(store.refresh_prices(region(1), Some(&[]), at(0)).await, Ok(0));
    assert!(store.market_prices(region(1), &[]).await.unwrap().is_empty());
}

pub(crate) async fn a_region_rests_before_its_first_sweep_and_after(store: &Shared, _: &dyn Look) {
    assert!(store.market_regions().await.unwrap().is_empty());
    store.rest_region(region(5), at(1)).await.unwrap();
    let begun = Swept {
        name: None,
        not_before: at(1),
        swept_at: None,
        sweep_seconds: 0.0,
        orders: 0,
        quality: Quality::Incomplete,
        ..swept(5, 0)
    };
    assert_eq!(store.market_regions().await.unwrap(), [begun]);
    for quality in [Quality::Mixed, Quality::Incomplete, Quality::Whole] {
        let ended = Swept { quality, ..swept(5, 3) };
        store.end_sweep(&ended, &[]).await.unwrap();
        assert_eq!(store.market_regions().await.unwrap(), [ended]);
    }
    store.rest_region(region(5), at(900)).await.unwrap();
    store.end_sweep(&Swept { name: None, ..swept(3, 1) }, &[]).await.unwrap();
    let rested = Swept { not_before: at(900), ..swept(5, 3) };
    assert_eq!(store.market_regions().await.unwrap(), [Swept { name: None, ..swept(3, 1) }, rested]);
    store.end_sweep(&Swept { name: None, ..swept(5, 1) }, &[]).await.unwrap();
    assert_eq!(store.market_regions().await.unwrap()[1], swept(5, 1), "a name that is known stays");
}

/// Prices by type, as [`Price::of`] has them.
fn prices(orders: &BTreeMap<i64, Order>) -> Vec<Price> {
    let mut books: BTreeMap<i64, Vec<Offer>> = BTreeMap::new();
    for order in orders.values() {
        let Order { is_buy_order, price, volume_remain, .. } = *order;
        books.entry(order.type_id).or_default().push(Offer { is_buy_order, price, volume_remain });
    }
    books.iter().filter_map(|(type_id, offers)| Price::of(*type_id, offers)).collect()
}

pub(crate) async fn prices_are_those_of_the_open_orders(store: &Shared, look: &dyn Look) {
    let change = (1..40_i64, 1..8_i64, proptest::bool::ANY, 1..1000_i64, 0..50_i64, 0..4_u8);
    let books = proptest::collection::vec(proptest::collection::vec(change, 0..40), 1..4);
    let mut runner = TestRunner::deterministic();
    for round in 1..=12_i64 {
        let mut open: BTreeMap<i64, Order> = BTreeMap::new();
        let region = region(round);
        for (sweep, changes) in (1..).zip(books.new_tree(&mut runner).unwrap().current()) {
            let before = open.clone();
            for (id, type_id, is_buy_order, cents, volume_remain, kind) in changes {
                let id = round * 1000 + id;
                let new = Order { type_id, is_buy_order, price: Cents(cents), volume_remain, ..order(id) };
                match kind {
                    0 => drop(open.remove(&id)),
                    _ => drop(open.insert(id, new)),
                }
            }
            let written = store.store_orders(region, &open.values().collect::<Vec<_>>(), &[], at(sweep)).await.unwrap();
            let left = before.keys().filter(|id| !open.contains_key(id));
            let gone: Vec<_> = left.map(|&order_id| Gone { order_id, last_seen_at: None }).collect();
            let closed = store.end_sweep(&Swept { region, ..swept(1, 1) }, &gone).await.unwrap();
            let moved = before.values().map(|order| order.type_id);
            let types: std::collections::BTreeSet<_> = written.types.into_iter().chain(closed).chain(moved).collect();
            let types: Vec<_> = types.into_iter().collect();
            store.refresh_prices(region, (round % 2 == 0).then_some(&types), at(sweep)).await.unwrap();
            let expected = prices(&open);
            let all: Vec<_> = (0..10).collect();
            assert_eq!(store.market_prices(region, &all).await.unwrap(), expected);
            assert_eq!(store.refresh_prices(region, None, at(99)).await, Ok(0), "as they were");
        }
    }
    assert!(
        look.rows(&format!("SELECT type_id FROM market_prices WHERE refreshed_at >= '{:.3}'", at(99))).await.is_empty()
    );
}

pub(crate) async fn a_price_is_kept_column_by_column_and_goes_with_its_orders(store: &Shared, look: &dyn Look) {
    let bid = |id, cents, units| Order {
        type_id: 34,
        is_buy_order: true,
        price: Cents(cents),
        volume_remain: units,
        ..order(id)
    };
    let ask = |id, cents, units| Order { is_buy_order: false, ..bid(id, cents, units) };
    let other = Order { type_id: 35, ..ask(9, 1, 1) };
    store_at(store, &[bid(1, 100, 99), bid(2, 200, 1), ask(3, 300, 10), other], at(0)).await;
    assert_eq!(store.refresh_prices(region(1), None, at(5)).await, Ok(2));
    let sql = "SELECT type_id, best_bid, best_ask, bid_volume, ask_volume, bid_average, ask_average, bid_percentile, ask_percentile,
        bid_orders, ask_orders, refreshed_at FROM market_prices ORDER BY type_id";
    let expected = [
        format!("34|200|300|100|10|101|300|120|300|2|1|{:.3}", at(5)),
        format!("35|NULL|1|0|1|NULL|1|NULL|1|0|1|{:.3}", at(5)),
    ];
    assert_eq!(look.rows(sql).await, expected);
    close(store, 9, None).await;
    assert_eq!(store.refresh_prices(region(1), Some(&[34]), at(6)).await, Ok(0), "only of the types that are named");
    assert_eq!(look.rows(sql).await, expected);
    assert_eq!(store.refresh_prices(region(1), Some(&[35]), at(7)).await, Ok(1));
    assert_eq!(look.rows(sql).await, expected[..1]);
    assert_eq!(store.refresh_prices(region(2), None, at(8)).await, Ok(0), "of another region");
    assert_eq!(store.market_prices(region(2), &[34]).await, Ok(vec![]));
    close(store, 3, None).await;
    store_at(store, &[bid(1, 100, 98)], at(8)).await;
    assert_eq!(store.refresh_prices(region(1), None, at(8)).await, Ok(1));
    assert_eq!(look.rows(sql).await, [format!("34|200|NULL|99|0|101|NULL|120|NULL|2|0|{:.3}", at(8))]);
}

pub(crate) async fn workers_at_once_on_the_same_orders_lose_nothing(store: &Shared, look: &dyn Look) {
    let tasks = (0..6_i64).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut new = 0;
            for round in 0..6 {
                let mut orders: Vec<_> =
                    (1..=300).map(|id| Order { volume_remain: worker * 10 + round, ..order(id) }).collect();
                orders.rotate_left((worker * 50) as usize);
                if worker % 2 == 0 {
                    orders.reverse();
                }
                let mut pages: Vec<_> = (1..=12).map(|number| page(number, &format!("{worker}"), &[round])).collect();
                pages.rotate_left(worker as usize);
                let orders: Vec<_> = orders.iter().collect();
                new += store.store_orders(region(1), &orders, &pages, at(round)).await.unwrap().new;
                let gone = (1..=300).rev().map(|order_id| Gone { order_id, last_seen_at: None });
                store.end_sweep(&swept(1, 6), &gone.collect::<Vec<_>>()).await.unwrap();
                store.refresh_prices(region(1), None, at(round)).await.unwrap();
            }
            new
        })
    });
    let mut new = 0;
    for task in tasks.collect::<Vec<_>>() {
        new += task.await.unwrap();
    }
    assert_eq!(new, 300, "each order is new exactly once");
    assert_eq!(look.rows("SELECT count(*) FROM market_orders").await, ["300"]);
    store.refresh_prices(region(1), None, at(0)).await.unwrap();
    let open = store.open_orders(region(1)).await.unwrap().len();
    let priced: i64 = store
        .market_prices(region(1), &[34, 35, 36])
        .await
        .unwrap()
        .iter()
        .map(|price| price.bid.map_or(0, |side| side.orders) + price.ask.map_or(0, |side| side.orders))
        .sum();
    assert_eq!(priced, open as i64);
}
