//! Market orders on a server: what many workers do at once, what is written at all, what finds its way by an index.

use broadside::market::{Cents, Order};
use broadside::store::{Error, Gone, Swept};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::queries::plan;
use super::{all_wait_or_have_ended, open};
use crate::contract::Look;
use crate::market::{at, order, region, swept};

/// Who wrote or locked each row last.
const WRITERS: &str = "SELECT order_id, xmin, xmax FROM market_orders ORDER BY order_id";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_as_it_was_is_not_even_locked() {
    let open = open().await;
    let orders: Vec<_> = (1..=50).map(order).collect();
    let orders: Vec<_> = orders.iter().collect();
    open.store.store_orders(region(1), &orders, &[], at(0)).await.unwrap();
    let before = open.rows(WRITERS).await;
    let new = order(99);
    let changes = open.store.store_orders(region(1), &[orders.as_slice(), &[&new]].concat(), &[], at(1)).await.unwrap();
    assert_eq!((changes.new, changes.changed), (1, 0));
    assert_eq!(open.rows(WRITERS).await[..50], before);
}

/// The first holds its new orders when the second comes with some of them: it waits, fails on the key, and tries again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_are_new_to_two_workers_at_once_are_new_to_one() {
    let open = open().await;
    let mut held = open.connection().await;
    let hold =
        "BEGIN; INSERT INTO market_orders SELECT id, 1, 34, 1, 1, 1, 1, 1, 1, false, 1, now(), 'region', now(), now()
        FROM generate_series(3, 4) id";
    sqlx::Executor::execute(&mut held, sqlx::raw_sql(hold)).await.unwrap();
    let store = open.another().await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let writer = tokio::spawn(async move {
        let orders: Vec<_> = (1..=5).map(order).collect();
        let changes = store.store_orders(region(1), &orders.iter().collect::<Vec<_>>(), &[], at(0)).await.unwrap();
        tell.send((changes.new, changes.changed)).unwrap();
    });
    all_wait_or_have_ended(&open, std::slice::from_ref(&writer)).await;
    assert!(!writer.is_finished());
    sqlx::Executor::execute(&mut held, "COMMIT").await.unwrap();
    writer.await.unwrap();
    assert_eq!(told.await.unwrap(), (3, 2));
    assert_eq!(open.rows("SELECT count(*), count(DISTINCT price) FROM market_orders").await, ["5|1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_with_parts_of_the_same_book_never_wait_in_a_circle() {
    let open = open().await;
    let stores = [open.store.clone(), open.another().await, open.another().await];
    let tasks = (0..9_usize).map(|task| {
        let store = stores[task % 3].clone();
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(task as u64);
            let mut new = 0;
            for round in 0..25 {
                // New ones come with every round, mixed with those that are there.
                let mut ids: Vec<i64> = (0..40).map(|_| random.random_range(1..=(round + 1) * 20)).collect();
                ids.shuffle(&mut random);
                let price = |random: &mut StdRng| Cents(random.random_range(1..4));
                let orders: Vec<_> = ids.iter().map(|&id| Order { price: price(&mut random), ..order(id) }).collect();
                let orders: Vec<_> = orders.iter().collect();
                new += store.store_orders(region(1), &orders, &[], at(round)).await.unwrap().new;
                let gone: Vec<_> = ids[..10].iter().map(|&order_id| Gone { order_id, last_seen_at: None }).collect();
                store.end_sweep(&Swept { region: region(1), ..swept(1, 1) }, &gone).await.unwrap();
            }
            new
        })
    });
    let mut new = 0;
    for task in tasks.collect::<Vec<_>>() {
        new += task.await.unwrap();
    }
    assert_eq!(open.rows("SELECT count(*) FROM market_orders").await, [new.to_string()], "each is new to one of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_order_is_named_and_nothing_of_its_call_is_left() {
    let open = open().await;
    open.execute("ALTER TABLE market_orders ADD CONSTRAINT not_seven CHECK (order_id <> 7)").await;
    let answer = open.store.store_orders(region(1), &[&order(6), &order(7)], &[], at(0)).await;
    let Err(Error::Data { message, constraint, killmail_ids, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!((constraint.as_deref(), killmail_ids), (Some("not_seven"), vec![]));
    assert!(message.contains("order 7"), "{message}");
    assert_eq!(open.rows("SELECT count(*) FROM market_orders").await, ["0"]);
    assert_eq!(open.store.store_orders(region(1), &[&order(6)], &[], at(0)).await.map(|changes| changes.new), Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_type_costs_in_a_region_is_found_by_an_index() {
    let open = open().await;
    for id in 1..=4 {
        let orders: Vec<_> = (0..3000).map(|n| Order { type_id: n % 300, ..order(id * 10_000 + n) }).collect();
        open.store.store_orders(region(id), &orders.iter().collect::<Vec<_>>(), &[], at(0)).await.unwrap();
        open.store.refresh_prices(region(id), None, at(0)).await.unwrap();
    }
    open.execute("ANALYZE").await;
    for sql in [
        "SELECT * FROM market_orders WHERE region_id = 2 AND type_id = 34 AND closed_at IS NULL ORDER BY price",
        "SELECT * FROM market_orders WHERE order_id = 20034",
        "SELECT * FROM market_prices WHERE region_id = 2 AND type_id = 34",
    ] {
        let nodes = plan(&open, sql).await;
        assert!(nodes.iter().all(|(kind, _, _)| kind != "Seq Scan"), "{sql}: {nodes:?}");
    }
}
