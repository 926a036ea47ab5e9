//! Whose price holds, and what is asked once only.

use std::collections::BTreeSet;
use std::time::Duration;

use broadside::duration::Span;
use broadside::killmail::{Kill, RegionId};
use broadside::market::{Cents, Order, Quality, Range};
use broadside::price::Source;
use broadside::store::{Orders, Swept};
use broadside_engine::testing::contract;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::world::{World, kill, one, run, until};

const PATIENT: Span = Span::from_secs(20);

async fn sell(world: &World, type_id: i64, cents: i64, swept_at: Timestamp) {
    let region = RegionId::new(10_000_002).unwrap();
    let order = Order {
        order_id: type_id,
        type_id,
        location_id: 60_003_760,
        system_id: 30_000_142,
        volume_total: 10,
        volume_remain: 10,
        min_volume: 1,
        price: Cents(cents),
        is_buy_order: false,
        duration: 90,
        issued: swept_at,
        range: Range::Region,
    };
    world.store.store_orders(region, &[&order], &[], swept_at).await.unwrap();
    world.store.refresh_prices(region, None, swept_at).await.unwrap();
    world.store.set_swept(Swept {
        region,
        name: None,
        not_before: swept_at,
        swept_at: Some(swept_at),
        sweep_seconds: 1.0,
        pages: 1,
        orders: 1,
        quality: Quality::Whole,
    });
}

#[tokio::test(start_paused = true)]
async fn the_first_source_that_has_a_price_gives_it() {
    let world = World::new(1_000).await;
    sell(&world, 110, 777, Timestamp::now()).await;
    let stage = world.stage(PATIENT);
    // Janice: 103, 2. Our market: 110. ESI: 120 (n = 6). Base: 30. A SKIN by rule. Nobody: 70, which is published and not on the market; 999,999, which no one knows.
    let outcome = one(&stage, kill(103, &[2, 110, 120, 30, 91_000, 70, 999_990])).await;
    let total = 103 * 101 + 2 * 101 + 777 + 625 + 500 + 1;
    assert_eq!(outcome, (Some(total), "janice:2,market:1,esi:1,base:1,rule:1,none:2".to_owned(), false));
    assert_eq!((world.asked("/markets/prices"), world.asked("/modules")), (1, 0));
    let janice = world.asked("/pricer");
    let again = one(&stage, kill(103, &[2, 110, 120, 30, 91_000, 70, 999_990])).await;
    assert_eq!((again, world.asked("/pricer")), (outcome, janice), "all is known now");
}

#[tokio::test(start_paused = true)]
async fn a_market_that_was_not_swept_within_a_day_prices_nothing() {
    let world = World::new(200).await;
    sell(&world, 110, 777, Timestamp::now() - SignedDuration::from_hours(25)).await;
    assert_eq!(one(&world.stage(PATIENT), kill(110, &[])).await, (Some(0), "none:1".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn without_a_key_janice_is_not_asked_and_nothing_is_to_be_priced_again() {
    let world = World::new(200).await;
    let mut config = world.config(PATIENT);
    config.janice.key = " ".into();
    let stage = config.build("test", &world.resources);
    assert_eq!(one(&stage, kill(2, &[20])).await, (Some(125), "esi:1,none:1".to_owned(), false));
    assert_eq!(world.asked("/pricer"), 0);
}

#[tokio::test(start_paused = true)]
async fn without_static_data_types_are_priced_all_the_same() {
    let world = World::new(200).await;
    world.resources.statics.put(broadside::statics::Statics::default());
    let stage = world.stage(PATIENT);
    assert_eq!(one(&stage, kill(2, &[20, 30])).await, (Some(202 + 125), "janice:1,esi:1,none:1".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn many_who_need_the_same_share_one_call() {
    let world = World::new(100).await;
    let stage = world.stage(PATIENT);
    let runs = (0..40).map(|n| run(&stage, vec![kill(2, &[3, 4 + n % 3]), kill(12, &[13])]));
    for messages in join_all(runs).await {
        assert!(messages.iter().all(|message| !message.payload.refresh));
    }
    assert_eq!(world.asked("/pricer"), 1);
    let asked = &world.requests("/pricer")[0];
    let lines: BTreeSet<i64> = asked.body.lines().map(|line| line.parse().unwrap()).collect();
    assert!(lines.len() == asked.body.lines().count() && lines.is_superset(&(1..=100).collect()), "each once");
}

#[tokio::test(start_paused = true)]
async fn a_restart_finds_the_prices_of_before() {
    let world = World::new(300).await;
    let before = one(&world.stage(PATIENT), kill(103, &[20, 2])).await;
    until("the prices are stored", || {
        let quotes = world.store.quotes();
        let of = |source| quotes.iter().filter(|quote| quote.source == source).count();
        of(Source::Janice) == 248 && of(Source::Esi) == 200
    })
    .await;
    let asked = (world.asked("/pricer"), world.asked("/markets/prices"));
    let world = world.restarted();
    world.janice(|_| crate::server::Reply::new(500, "no"));
    assert_eq!(one(&world.stage(PATIENT), kill(103, &[2])).await.1, "janice:2");
    // That Janice has no line of 20 was not kept: only prices are.
    assert_eq!((world.asked("/pricer"), world.asked("/markets/prices")), asked);
    let after = one(&world.stage(PATIENT), kill(103, &[20, 2])).await;
    assert_eq!((after.0, after.1, after.2), (before.0, before.1, true));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_fails_no_kill() {
    let world = World::new(300).await;
    world.store.set_away(true);
    assert_eq!(one(&world.stage(PATIENT), kill(103, &[20, 2])).await.1, "janice:2,esi:1");
}

#[tokio::test(start_paused = true)]
async fn a_kill_without_its_items_keeps_what_the_feed_says() {
    let world = World::new(10).await;
    let sample = broadside::killmail::sample::Sampler::new(1).next(Timestamp::now());
    let mut poor = Kill::new(sample.feed_json().into(), "test", Timestamp::now(), true);
    poor.mail = Some(std::sync::Arc::new(broadside::killmail::wire::decode(&poor.raw).unwrap()));
    let undecoded = Kill::new("{}".into(), "test", Timestamp::now(), true);
    let messages = run(&world.stage(PATIENT), vec![poor, undecoded]).await;
    assert!(messages.iter().all(|message| message.payload.worth.is_none() && !message.payload.refresh));
    assert_eq!(world.asked("/pricer"), 0);
}

#[tokio::test(start_paused = true)]
async fn price_keeps_the_contract() {
    let world = World::new(500).await;
    let stage = world.stage(Span(Duration::from_secs(20)));
    let kills = || (1..40).map(|n| kill(n, &[n * 3, n * 7, n * 10])).collect();
    contract::stage(&stage, kills, |message| (message.payload.worth.clone(), message.payload.refresh)).await;
}
