//! The rows are ESI's orders, and a second start costs next to nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::world::{REGIONS, World, id, prices, until};

const ALL: &str = "regions = \"all\"";

fn regions() -> Vec<i64> {
    REGIONS.iter().map(|(region, _)| *region).collect()
}

#[tokio::test]
async fn after_windows_of_changes_the_open_rows_are_esis_orders_and_the_prices_those_of_the_rows() {
    let world = World::new(0.05).await;
    let worker = world.start(ALL).await;
    until("orders were closed", async || world.times().await.iter().any(|(.., closed)| closed.is_some())).await;
    world.simulator.freeze_orders(true);
    world.in_step(&regions()).await;
    for region in regions() {
        let expected = prices(&world.orders(region));
        let types: Vec<i64> = (0..100_000).collect();
        until("the prices are those of the rows", async || {
            worker.store.market_prices(id(region), &types).await.unwrap() == expected
        })
        .await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_second_start_on_a_book_that_has_not_changed_takes_no_bodies_and_writes_no_rows() {
    let world = World::new(0.0).await;
    let worker = world.start(ALL).await;
    worker.swept(&regions(), Timestamp::UNIX_EPOCH).await;
    worker.stop().await;
    world.in_step(&regions()).await;
    let (first, times) = (world.simulator.market_answers(), world.times().await);
    assert_eq!(first.get(&200), Some(&6));

    let worker = world.start(ALL).await;
    worker.swept(&regions(), Timestamp::UNIX_EPOCH).await;
    let sweeps: Vec<_> = regions().into_iter().filter_map(|region| worker.standing(region)?.last_sweep).collect();
    assert!(sweeps.iter().all(|sweep| sweep.fetched == 0), "{sweeps:?}");
    worker.stop().await;
    let second = world.simulator.market_answers();
    assert_eq!(second.get(&200), Some(&6));
    let unchanged = |answers: &BTreeMap<u16, u64>| answers.get(&304).copied().unwrap_or(0);
    assert!(unchanged(&second) >= unchanged(&first) + 6, "{second:?} {sweeps:?}");
    assert_eq!(world.times().await, times);
}
