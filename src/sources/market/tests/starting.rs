//! Who begins when, and what a second start costs.

use std::sync::Arc;
use std::time::Duration;

use broadside::market::Quality;
use broadside::regions::State;
use broadside::store::Swept;
use broadside_engine::Factory;
use broadside_engine::testing::contract;
use jiff::Timestamp;

use super::esi::{LIST_HOLDS, Region, id};
use super::world::World;
use super::{Market, Wanted};

const FORGE: i64 = 10_000_002;
const DOMAIN: i64 = 10_000_043;

/// A region as a process before may have left it; it may be asked at once.
fn left(region: i64, pages: u32) -> Swept {
    Swept {
        region: id(region),
        name: Some(format!("Region {region}")),
        not_before: Timestamp::UNIX_EPOCH,
        swept_at: Some(Timestamp::UNIX_EPOCH),
        sweep_seconds: 1.0,
        pages,
        orders: 0,
        quality: Quality::Whole,
    }
}

/// Regions by their first calls, with the milliseconds at which those were made.
fn beginnings(world: &World) -> Vec<(i64, u128)> {
    let calls = world.esi.calls();
    let first = calls.iter().filter(|call| call.page == 1);
    first.map(|call| (call.region, call.at.as_millis())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_region_is_read_whole_and_its_rows_are_esis_orders() {
    let world = World::running(&[(FORGE, &[3, 3, 2])]);
    world.pass(1.0).await;
    assert_eq!(world.calls(FORGE), [(1, 200), (2, 200), (3, 200)]);
    assert!(world.is_in_step(FORGE));
    let standing = world.standing(FORGE);
    assert_eq!((standing.state, standing.pages, standing.orders), (State::Waiting, 3, 8));
    assert_eq!(standing.next_due, Some(world.at(Duration::from_secs(302))));
    let sweep = standing.last_sweep.expect("a sweep");
    assert_eq!((sweep.fetched, sweep.unchanged, sweep.fresh, sweep.new, sweep.quality), (3, 0, 0, 8, "whole"));
}

#[tokio::test(start_paused = true)]
async fn the_region_with_the_most_pages_begins_and_the_others_follow_a_tenth_of_a_second_apart() {
    let mut world = World::new(&[(1, &[1; 5]), (2, &[1; 50]), (3, &[1]), (4, &[1; 7])]);
    world.config.regions = Wanted::All;
    [(1, 5), (2, 50), (3, 1), (4, 7)]
        .into_iter()
        .for_each(|(region, pages)| world.store.set_swept(left(region, pages)));
    world.start();
    world.pass(1.0).await;
    assert_eq!(beginnings(&world), [(2, 0), (4, 100), (1, 200), (3, 300)]);
}

#[tokio::test(start_paused = true)]
async fn on_a_fresh_start_the_hubs_begin() {
    let regions = [1, FORGE, 10_000_030, 10_000_032, 10_000_042, DOMAIN].map(|region| (region, &[2_usize][..]));
    let mut world = World::new(&regions);
    world.config.regions = Wanted::All;
    world.start();
    world.pass(1.0).await;
    let order: Vec<_> = beginnings(&world).into_iter().map(|(region, _)| region).collect();
    assert_eq!(order, [FORGE, DOMAIN, 10_000_032, 10_000_030, 10_000_042, 1]);
    assert_eq!(world.standing(1).name.as_deref(), Some("Region 1"));
}

#[tokio::test(start_paused = true)]
async fn sixteen_calls_are_under_way_at_the_most_and_none_of_the_regions_takes_them_all() {
    let mut world = World::new(&[(1, &[1; 60]), (2, &[1; 60]), (3, &[1; 60]), (4, &[1])]);
    (1..=4).for_each(|region| world.esi.change(region, |region| region.takes = Duration::from_secs(1)));
    world.start();
    world.pass(60.0).await;
    let (all, of_each) = world.esi.most();
    assert_eq!((all, of_each[&1]), (16, 14));
    assert!(of_each.values().all(|most| *most <= 14), "{of_each:?}");
    assert!((1..=4).all(|region| world.is_in_step(region)));

    let mut world = World::new(&[(1, &[1; 60]), (2, &[1])]);
    world.config.concurrency = 3;
    world.esi.change(1, |region| region.takes = Duration::from_secs(1));
    world.start();
    world.pass(5.0).await;
    assert_eq!(world.esi.most().1[&1], 1, "a third");
    assert!(world.is_in_step(2), "a large region does not hold up a small one");
    assert!(!world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_of_what_has_not_changed_costs_no_bodies_and_writes_no_rows() {
    let world = World::running(&[(FORGE, &[3, 3, 2])]);
    world.pass(1.0).await;
    world.calls(FORGE);
    world.until(301.9).await;
    assert_eq!(world.calls(FORGE), []);
    world.until(303.0).await;
    assert_eq!(world.calls(FORGE), [(1, 304), (2, 304), (3, 304)]);
    let sweep = world.standing(FORGE).last_sweep.expect("a sweep");
    assert_eq!((sweep.fetched, sweep.unchanged, sweep.quality, sweep.closed), (0, 3, "whole", 0));
    assert_eq!((sweep.share_unchanged, world.store.orders_written()), (1.0, 8));
    assert!(world.is_in_step(FORGE));
}

#[tokio::test(start_paused = true)]
async fn a_second_start_asks_for_nothing_before_the_pages_have_expired_and_then_only_whether_they_have_changed() {
    let mut world = World::running(&[(FORGE, &[3, 3, 2]), (DOMAIN, &[1])]);
    world.until(10.0).await;
    world.restart().await;
    world.esi.take_calls();
    world.until(301.9).await;
    assert_eq!(world.esi.take_calls(), []);
    assert_eq!(world.standing(FORGE).orders, 8, "the board knows what is stored");
    world.until(303.0).await;
    let calls = world.esi.take_calls();
    assert!(calls.iter().all(|call| call.is_tagged && call.status == 304), "{calls:?}");
    assert_eq!((calls.len(), world.store.orders_written()), (4, 9));
    assert!(world.is_in_step(FORGE) && world.is_in_step(DOMAIN));

    world.stop().await;
    world.until(1000.0).await;
    world.restart_stopped();
    world.pass(1.0).await;
    assert_eq!(world.calls(FORGE), [(1, 304), (2, 304), (3, 304)], "long after, at once");
}

#[tokio::test(start_paused = true)]
async fn while_esi_is_away_a_start_begins_with_what_the_store_knows() {
    let mut world = World::new(&[(1, &[2]), (2, &[2])]);
    world.config.regions = Wanted::All;
    world.esi.set_away(true);
    world.store.set_swept(left(2, 1));
    world.start();
    world.pass(1.0).await;
    assert!(world.is_in_step(2) && !world.is_in_step(1));
    assert!(world.trouble().expect("a trouble").contains("failed to learn which regions there are: reach ESI"));
    world.esi.set_away(false);
    world.pass(5.0).await;
    assert!(world.is_in_step(1));
    assert_eq!(world.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn a_first_start_waits_for_esi_and_says_so() {
    let mut world = World::new(&[(1, &[2]), (2, &[2])]);
    world.config.regions = Wanted::All;
    world.esi.set_away(true);
    world.start();
    world.until(34.0).await;
    assert_eq!((world.esi.lists(), world.esi.calls().len()), (3, 0), "at 0, 5 and 15 s");
    assert!(world.trouble().is_some());
    world.esi.set_away(false);
    world.until(36.0).await;
    assert!(world.is_in_step(1) && world.is_in_step(2));
    assert_eq!(world.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_unknown_is_said_and_looked_for_again_while_the_others_are_polled() {
    let mut world = World::new(&[(1, &[2]), (2, &[1]), (3, &[1])]);
    world.esi.put(3, "Domain", Region::new(3, &[1]));
    let named = |name: &str| broadside::regions::Which::parse(name).expect("a name");
    world.config.regions = Wanted::Some(vec![named("1"), named("The Forrge"), named("Domain")]);
    world.start();
    world.pass(1.0).await;
    assert!(world.is_in_step(1) && world.is_in_step(3));
    assert!(world.trouble().expect("a trouble").contains("ESI names no region \"The Forrge\""));
    world.esi.put(2, "The Forrge", Region::new(2, &[1]));
    world.pass(600.0).await;
    assert!(world.is_in_step(2));
    assert_eq!(world.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_appears_later_is_found_within_a_day() {
    let mut world = World::new(&[(1, &[2])]);
    world.config.regions = Wanted::All;
    world.start();
    world.pass(1.0).await;
    world.esi.put(2, "New", Region::new(2, &[1]));
    world.pass(24.0 * 3600.0).await;
    assert!(world.is_in_step(2));
}

#[tokio::test(start_paused = true)]
async fn the_list_of_regions_is_not_asked_for_before_it_expires_not_even_by_the_next_process() {
    let mut world = World::new(&[(1, &[2]), (2, &[1])]);
    world.config.regions = Wanted::All;
    world.start();
    world.pass(1.0).await;
    world.restart().await;
    world.pass(1.0).await;
    assert_eq!(world.add("2").await, Ok(2));
    assert_eq!(world.esi.lists(), 1);
    world.until(LIST_HOLDS.as_secs_f64() + 1.0).await;
    assert_eq!(world.add("Region 2").await, Ok(2));
    assert_eq!(world.esi.lists(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_contract_of_sources_as_far_as_that_fits_one_without_end() {
    let world = World::new(&[(1, &[2])]);
    let factory = Market(Arc::new(world.shared()));
    contract::source_is_interruptible(&factory).await;
    assert!(factory.build(1).await.is_err(), "there is one producer");
    assert!(factory.build(0).await.is_ok());
}
