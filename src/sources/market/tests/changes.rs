//! What changes between sweeps, and in the middle of one, and what becomes of it in the store.

use std::time::Duration;

use broadside::memory_store::Row;

use super::esi::{Fault, id, order};
use super::world::World;

/// Windows of five minutes, each swept two seconds in: lets so many of them end.
async fn windows(world: &World, count: u32) {
    for _ in 0..count {
        let into = world.since().as_secs_f64() % 300.0;
        world.pass(300.0 - into + 10.0).await;
    }
}

fn row(world: &World, order_id: i64) -> Row {
    let rows = world.store.order_rows(id(1));
    rows.into_iter().find(|row| row.order.order_id == order_id).expect("a row")
}

#[tokio::test(start_paused = true)]
async fn only_what_has_changed_is_written() {
    let world = World::running(&[(1, &[3, 3, 3])]);
    world.pass(1.0).await;
    world.esi.change(1, |region| {
        region.pages[1][0].volume_remain = 7;
        region.pages[1][2] = order(5000);
    });
    windows(&world, 1).await;
    assert_eq!(world.calls(1), [(1, 200), (1, 304), (2, 200), (2, 200), (3, 200), (3, 304)]);
    let sweep = world.standing(1).last_sweep.expect("a sweep");
    assert_eq!((sweep.new, sweep.changed, sweep.closed, world.store.orders_written()), (1, 1, 0, 11));
}

#[tokio::test(start_paused = true)]
async fn an_order_is_gone_when_two_sweeps_in_a_row_lack_it_and_one_that_comes_back_is_open_again() {
    let world = World::running(&[(1, &[3, 3])]);
    world.pass(1.0).await;
    let lost = world.esi.change(1, |region| region.pages[1].pop().expect("an order"));
    let before = row(&world, lost.order_id);
    windows(&world, 1).await;
    assert_eq!((row(&world, lost.order_id).closed_at, world.standing(1).orders), (None, 6));
    windows(&world, 1).await;
    let closed = row(&world, lost.order_id);
    assert_eq!((closed.closed_at.is_some(), world.standing(1).orders), (true, 5));
    assert_eq!(closed.first_seen_at, before.first_seen_at);
    assert!(closed.last_seen_at < world.at(Duration::from_secs(2)), "seen for the last time in the first sweep");
    assert!(world.is_in_step(1));
    world.esi.change(1, |region| region.pages[0].push(lost.clone()));
    windows(&world, 1).await;
    let again = row(&world, lost.order_id);
    assert_eq!((again.closed_at, again.first_seen_at), (None, closed.first_seen_at));
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn an_order_that_one_sweep_lacks_stays_open() {
    let world = World::running(&[(1, &[3, 3])]);
    world.pass(1.0).await;
    for _ in 0..3 {
        let lost = world.esi.change(1, |region| region.pages[1].pop().expect("an order"));
        windows(&world, 1).await;
        world.esi.change(1, |region| region.pages[1].push(lost));
        windows(&world, 1).await;
    }
    assert!(world.store.order_rows(id(1)).iter().all(|row| row.closed_at.is_none()));
    assert_eq!(world.store.orders_written(), 6);
}

#[tokio::test(start_paused = true)]
async fn what_goes_while_the_process_is_down_is_closed_by_the_next() {
    let mut world = World::running(&[(1, &[3, 3])]);
    world.pass(1.0).await;
    world.stop().await;
    world.esi.change(1, |region| region.pages[1].clear());
    world.until(2000.0).await;
    world.restart_stopped();
    world.pass(1.0).await;
    assert_eq!(world.store.open(id(1)).len(), 6);
    windows(&world, 1).await;
    assert!(world.is_in_step(1));
    assert_eq!(world.store.open(id(1)).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_order_on_two_pages_is_stored_once_and_nothing_is_closed_by_that_sweep() {
    let world = World::running(&[(1, &[3, 3])]);
    world.pass(1.0).await;
    world.esi.change(1, |region| {
        let twice = region.pages[0][2].clone();
        region.pages[1].push(twice);
        region.pages[0].remove(0);
    });
    windows(&world, 2).await;
    let sweep = world.standing(1).last_sweep.expect("a sweep");
    assert_eq!((sweep.quality, sweep.reason.as_deref()), ("mixed", Some("2 pages share orders")));
    assert_eq!((sweep.closed, world.store.open(id(1)).len()), (0, 6));
    world.esi.change(1, |region| region.pages[1].truncate(3));
    windows(&world, 2).await;
    assert!(world.is_in_step(1), "it is gone when two that are whole lack it");
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_added_in_the_middle_of_a_sweep_are_read_by_it() {
    let world = World::running(&[(1, &[3, 3, 3])]);
    world.esi.change(1, |region| region.takes = Duration::from_millis(500));
    world.pass(0.7).await;
    world.esi.change(1, |region| region.pages.push(vec![order(5000)]));
    world.pass(3.0).await;
    assert_eq!(world.calls(1), [(1, 200), (2, 200), (3, 200), (4, 200)]);
    let standing = world.standing(1);
    assert_eq!((standing.pages, standing.last_sweep.expect("a sweep").quality), (4, "mixed"));
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_goes_in_the_middle_of_a_sweep_makes_it_incomplete_and_closes_nothing() {
    let world = World::running(&[(1, &[3, 3, 3])]);
    world.pass(1.0).await;
    world.calls(1);
    for _ in 0..3 {
        world.esi.change(1, |region| region.fault(3, [Fault::Missing]));
        windows(&world, 1).await;
        let sweep = world.standing(1).last_sweep.expect("a sweep");
        assert_eq!((sweep.quality, sweep.closed), ("incomplete", 0));
        assert_eq!(sweep.reason.as_deref(), Some("1 of 3 pages are missing"));
    }
    assert_eq!((world.store.open(id(1)).len(), world.store.pages_of(id(1)).len()), (9, 3));
    world.calls(1);
    windows(&world, 1).await;
    assert_eq!(world.calls(1), [(1, 304), (2, 304), (3, 304)], "its tag was kept");
    assert_eq!(world.standing(1).failures, 0, "that is no failure");
}

#[tokio::test(start_paused = true)]
async fn a_region_that_shrinks_forgets_its_last_pages_and_closes_their_orders() {
    let world = World::running(&[(1, &[3, 3, 3])]);
    world.pass(1.0).await;
    world.esi.change(1, |region| region.pages.truncate(1));
    windows(&world, 1).await;
    assert_eq!((world.store.open(id(1)).len(), world.store.pages_of(id(1)).len()), (9, 1));
    windows(&world, 1).await;
    assert!(world.is_in_step(1));
    assert_eq!(world.standing(1).pages, 1);
    world.calls(1);
    windows(&world, 1).await;
    assert_eq!(world.calls(1), [(1, 304)]);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_grows_and_shrinks_while_it_is_read_comes_into_step_when_it_rests() {
    let world = World::running(&[(1, &[3, 3, 3, 3])]);
    world.pass(1.0).await;
    for round in 0..12 {
        world.esi.change(1, |region| match round % 3 {
            0 => region.pages.push((0..3).map(|place| order(6000 + round * 10 + place)).collect()),
            1 => region.announced = Some(region.pages.len() as u32 + 1),
            _ => {
                region.announced = None;
                region.pages.remove(1);
            }
        });
        windows(&world, 1).await;
    }
    world.esi.change(1, |region| region.announced = None);
    windows(&world, 2).await;
    assert!(world.is_in_step(1), "{:?}", world.standing(1));
}
