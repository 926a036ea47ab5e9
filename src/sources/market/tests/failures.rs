//! Pages that cannot be read or stored: they are asked for again, and nothing else suffers.

use std::time::Duration;

use broadside::regions::State;

use super::esi::{Expires, Fault, id};
use super::world::{Fate, World};

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_is_asked_for_again_after_a_minute_and_the_others_are_stored_meanwhile() {
    let world = World::new(&[(1, &[3, 3, 3]), (2, &[2])]);
    world.esi.change(1, |region| region.fault(2, [Fault::Failed, Fault::Failed]));
    let mut world = world;
    world.start();
    world.until(1.0).await;
    let standing = world.standing(1);
    assert_eq!((standing.state, standing.failures, standing.last_sweep.is_none()), (State::Failing, 1, true));
    assert!(standing.reason.as_deref().is_some_and(|reason| reason.contains("page 2: HTTP 500")), "{standing:?}");
    assert_eq!((world.store.open(id(1)).len(), world.store.pages_of(id(1)).len()), (6, 2));
    assert!(world.is_in_step(2) && world.standing(2).failures == 0);
    world.calls(1);
    world.until(59.9).await;
    assert_eq!(world.calls(1), []);
    world.until(61.0).await;
    assert_eq!((world.calls(1), world.standing(1).failures), (vec![(2, 500)], 2));
    world.until(122.0).await;
    assert_eq!(world.calls(1), [(2, 200)]);
    let standing = world.standing(1);
    assert_eq!((standing.state, standing.reason, standing.failures), (State::Waiting, None, 0));
    let sweep = standing.last_sweep.expect("a sweep");
    assert_eq!((sweep.fetched, sweep.fresh, sweep.quality), (1, 2, "whole"));
    assert!(world.is_in_step(1));
    world.until(303.0).await;
    assert_eq!(world.calls(1), [(1, 304), (2, 304), (3, 304)], "as if nothing had been");
}

#[tokio::test(start_paused = true)]
async fn a_first_page_that_fails_is_tried_again_and_no_other_is_asked_for() {
    let mut world = World::new(&[(1, &[3, 3])]);
    world.esi.change(1, |region| region.fault(1, [Fault::Failed, Fault::Missing]));
    world.start();
    world.until(1.0).await;
    assert_eq!((world.calls(1), world.standing(1).state), (vec![(1, 500)], State::Failing));
    world.until(61.0).await;
    assert_eq!(world.calls(1), [(1, 404)]);
    assert!(world.standing(1).reason.is_some_and(|reason| reason.contains("404")));
    world.until(123.0).await;
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn when_many_pages_fail_the_rest_is_not_asked_for() {
    let mut world = World::new(&[(1, &[1; 60])]);
    world.esi.change(1, |region| (2..=60).for_each(|page| region.fault(page, [Fault::Failed])));
    world.start();
    world.until(1.0).await;
    let asked = world.calls(1).len();
    assert!(asked <= 1 + 10 + 14, "{asked} calls");
    assert!(world.standing(1).reason.is_some_and(|reason| reason.contains("more pages")));
    world.until(600.0).await;
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_no_list_fails_at_the_stage_and_is_asked_for_when_it_has_expired() {
    let mut world = World::new(&[(1, &[3, 3, 3])]);
    world.esi.change(1, |region| region.fault(2, [Fault::Body("<html>")]));
    world.start();
    world.until(1.0).await;
    let standing = world.standing(1);
    assert_eq!((standing.state, standing.failures), (State::Failing, 1));
    assert!(standing.reason.is_some_and(|reason| reason.contains("page 2: read a page of orders")));
    assert_eq!(world.store.open(id(1)).len(), 6);
    world.calls(1);
    world.until(301.9).await;
    assert_eq!(world.calls(1), [], "it said that it holds");
    world.until(304.0).await;
    assert_eq!(world.calls(1), [(1, 304), (2, 200), (3, 304)]);
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_no_list_and_does_not_say_how_long_it_holds_is_asked_for_after_a_minute() {
    let mut world = World::new(&[(1, &[3, 3, 3])]);
    world.esi.change(1, |region| {
        region.fault(2, [Fault::Body("[1, 2")]);
        region.expires_of.insert(2, Expires::Unsaid);
    });
    world.start();
    world.until(1.0).await;
    world.calls(1);
    world.until(62.0).await;
    assert_eq!(world.calls(1), [(2, 200)]);
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn entries_that_are_no_orders_make_a_sweep_incomplete_and_the_page_is_read_whole_again() {
    let mut world = World::new(&[(1, &[3, 0, 3])]);
    world.esi.change(1, |region| region.fault(2, [Fault::Body("[{\"order_id\": 7}, null]")]));
    world.start();
    world.until(1.0).await;
    let standing = world.standing(1);
    let sweep = standing.last_sweep.expect("a sweep");
    assert_eq!((sweep.quality, sweep.reason.as_deref()), ("incomplete", Some("2 entries are no orders")));
    assert_eq!((standing.state, standing.orders), (State::Waiting, 6));
    world.calls(1);
    world.until(303.0).await;
    assert_eq!(world.calls(1), [(1, 304), (2, 200), (3, 304)]);
    assert_eq!(world.standing(1).last_sweep.expect("a sweep").quality, "whole");
}

#[tokio::test(start_paused = true)]
async fn a_region_waits_for_as_long_as_esis_limits_say() {
    let mut world = World::new(&[(1, &[1; 30]), (2, &[2])]);
    world.esi.change(1, |region| region.fault(3, [Fault::Busy(Duration::from_secs(200))]));
    world.start();
    world.until(1.0).await;
    let standing = world.standing(1);
    assert_eq!(standing.state, State::Failing);
    let due = standing.next_due.expect("a time").duration_since(world.at(Duration::ZERO)).as_secs_f64();
    assert!((200.0..201.0).contains(&due), "{due}");
    assert!(standing.reason.is_some_and(|reason| reason.contains("no tokens are left")));
    let asked = world.calls(1).len();
    assert!(asked < 30, "the rest would fare no better: {asked}");
    world.until(199.9).await;
    assert_eq!(world.calls(1), []);
    assert!(world.is_in_step(2));
    world.until(202.0).await;
    assert!(world.is_in_step(1));

    // Less than `after_error` is not taken at its word.
    world.esi.change(1, |region| region.fault(1, [Fault::Busy(Duration::from_secs(3))]));
    world.until(303.0).await;
    world.calls(1);
    world.until(361.0).await;
    assert_eq!(world.calls(1), []);
    world.until(365.0).await;
    assert!(!world.calls(1).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_the_sink_fails_or_loses_is_tried_again() {
    for (fate, reason) in [(Fate::Fails, "told to fail"), (Fate::Dropped, "were dropped")] {
        let mut world = World::new(&[(1, &[3, 3, 3])]);
        world.gate.next(1, 3, fate);
        world.start();
        world.until(1.0).await;
        let standing = world.standing(1);
        assert_eq!(
            (standing.state, standing.failures, standing.last_sweep.is_none()),
            (State::Failing, 1, true),
            "{fate:?}"
        );
        assert!(standing.reason.as_deref().is_some_and(|said| said.contains(reason)), "{standing:?}");
        assert_eq!(world.store.open(id(1)).len(), 6);
        world.until(400.0).await;
        assert!(world.is_in_step(1), "{fate:?}: {:?}", world.standing(1));
        assert_eq!(world.standing(1).failures, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_sink_fails_or_loses_is_made_up_for() {
    for fate in [Fate::Fails, Fate::Dropped] {
        let mut world = World::new(&[(1, &[3, 3, 3])]);
        world.gate.next(1, 0, fate);
        world.start();
        world.until(1.0).await;
        let standing = world.standing(1);
        assert_eq!(
            (standing.state, standing.failures, standing.last_sweep.is_none()),
            (State::Failing, 1, true),
            "{fate:?}"
        );
        assert_eq!(world.store.swept(id(1)).expect("a row").swept_at, None);
        world.calls(1);
        world.until(62.0).await;
        assert_eq!(world.calls(1), [], "all pages are fresh");
        let sweep = world.standing(1).last_sweep.expect("a sweep");
        assert_eq!((sweep.fresh, sweep.fetched), (3, 0));
        assert!(world.store.swept(id(1)).expect("a row").swept_at.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_pages_wait_and_nothing_is_lost() {
    let mut world = World::new(&[(1, &[3, 3, 3]), (2, &[2])]);
    world.start();
    world.until(1.0).await;
    world.esi.change(1, |region| region.pages[0][0].volume_remain = 1);
    world.store.set_away(true);
    world.until(400.0).await;
    assert!(!world.is_in_step(1));
    assert_eq!((world.standing(1).state, world.standing(1).failures), (State::Sweeping, 0));
    world.store.set_away(false);
    world.until(402.0).await;
    assert!(world.is_in_step(1) && world.is_in_step(2));
    assert_eq!(world.standing(1).last_sweep.expect("a sweep").quality, "whole");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_at_the_start_is_waited_for() {
    let mut world = World::new(&[(1, &[3])]);
    world.store.set_away(true);
    world.start();
    world.until(100.0).await;
    assert_eq!(world.esi.calls(), []);
    world.store.set_away(false);
    world.until(102.0).await;
    assert!(world.is_in_step(1));
}
