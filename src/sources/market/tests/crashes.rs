//! Pollers that panic, and processes that end in the middle of a sweep.

use std::time::Duration;

use broadside::regions::State;

use super::esi::{Call, Expires, Fault, id};
use super::world::World;

#[tokio::test(start_paused = true)]
async fn a_poller_that_panics_is_started_again_with_waits_that_double_and_the_others_go_on() {
    let mut world = World::new(&[(1, &[3, 3]), (2, &[2])]);
    world.esi.change(1, |region| region.fault(1, vec![Fault::Panic; 3]));
    world.start();
    world.until(0.5).await;
    let standing = world.standing(1);
    assert_eq!((standing.state, standing.restarts), (State::Restarting, 1));
    assert!(standing.reason.is_some_and(|reason| reason.contains("told to panic")));
    assert!(standing.next_due.is_some_and(|due| due > world.at(world.since())));
    assert!(world.is_in_step(2));
    world.until(20.0).await;
    let calls: Vec<_> = world.esi.calls().into_iter().filter(|call| (call.region, call.page) == (1, 1)).collect();
    let times: Vec<_> = calls.iter().map(|call| call.at.as_secs()).collect();
    assert_eq!(times, [0, 1, 3, 7]);
    let standing = world.standing(1);
    assert_eq!((standing.state, standing.restarts, standing.failures), (State::Waiting, 3, 0));
    assert!(world.is_in_step(1));
    assert_eq!((world.standing(2).restarts, world.pipeline().status().source_restarts), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_goes_on_panicking_rests_and_is_then_tried_again() {
    let mut world = World::new(&[(1, &[3, 3]), (2, &[2])]);
    world.esi.change(1, |region| region.fault(1, vec![Fault::Panic; 6]));
    world.start();
    world.until(60.0).await;
    let standing = world.standing(1);
    assert_eq!((standing.state, standing.restarts), (State::Restarting, 6));
    assert!(standing.reason.is_some_and(|reason| reason.contains("crashed 5 times in 600s")));
    world.calls(1);
    world.until(620.0).await;
    assert_eq!(world.calls(1), []);
    assert!(world.standing(2).last_sweep.is_some() && world.standing(2).restarts == 0);
    world.until(640.0).await;
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_middle_of_a_sweep_asks_for_no_page_before_it_has_expired() {
    for (later, is_settled) in [(0, true), (40, true), (600, true), (0, false), (40, false), (600, false)] {
        let mut world = World::new(&[(1, &[3, 3, 3, 3])]);
        world.gate.set_open(is_settled);
        world.esi.change(1, |region| {
            region.expires = Expires::In(Duration::from_secs(300));
            region.expires_of.insert(2, Expires::In(Duration::from_secs(300 + later)));
            region.takes = Duration::from_secs(1);
            region.fault(3, [Fault::Panic]);
        });
        // The second page is there when the third panics.
        world.config.concurrency = 3;
        world.start();
        world.until(10.0).await;
        assert_eq!(world.standing(1).restarts, 1);
        world.gate.set_open(true);
        world.until(1300.0).await;
        assert!(world.is_in_step(1), "{later}: {:?}", world.standing(1));
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_poller_that_panicked_do_no_harm_whenever_they_are_stored() {
    let mut world = World::new(&[(1, &[3, 3, 3, 3])]);
    world.esi.change(1, |region| region.fault(4, [Fault::Panic]));
    world.gate.set_open(false);
    world.start();
    world.until(100.0).await;
    assert_eq!(world.standing(1).restarts, 1);
    world.esi.change(1, |region| region.pages[0][0].volume_remain = 4);
    world.until(400.0).await;
    world.gate.set_open(true);
    world.until(402.0).await;
    assert!(world.is_in_step(1));
    world.until(1000.0).await;
    assert!(world.is_in_step(1));
    assert_eq!(world.standing(1).last_sweep.expect("a sweep").quality, "whole");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_in_the_middle_of_a_sweep_leaves_until_when_its_pages_rest() {
    for later in [0, 100] {
        let mut world = World::new(&[(1, &[3, 3, 3, 3]), (2, &[2])]);
        world.esi.change(1, |region| {
            region.takes = Duration::from_secs(10);
            region.expires = Expires::In(Duration::from_secs(300));
            region.expires_of.insert(2, Expires::In(Duration::from_secs(300 + later)));
        });
        world.config.concurrency = 3;
        world.start();
        world.until(25.0).await;
        let report = world.stop().await;
        assert_eq!((report.ledger.imbalance(), report.deadline_passed), (0, false));
        let rests = world.store.swept(id(1)).expect("a row").not_before;
        assert_eq!(rests.duration_since(world.at(Duration::ZERO)).as_secs(), 310 + if later > 0 { 110 } else { 10 });
        world.restart_stopped();
        world.until(1000.0).await;
        assert!(world.is_in_step(1) && world.is_in_step(2));
    }
}

#[tokio::test(start_paused = true)]
async fn at_any_moment_of_a_sweep_the_store_knows_until_when_the_pages_rest_that_were_answered() {
    let mut world = World::new(&[(1, &[1; 60])]);
    world.esi.change(1, |region| {
        region.takes = Duration::from_secs(1);
        // Each has a window of its own.
        let expires = |page: u32| Expires::In(Duration::from_secs(250 + u64::from(page) * 37 % 50));
        region.expires_of = (1..=60).map(|page| (page, expires(page))).collect();
    });
    world.start();
    // In the first sweep and at the beginning of the second, when the first page's answer is not there yet.
    for tenths in (11..60).chain(2900..3900) {
        world.until(f64::from(tenths) / 10.0 + 0.05).await;
        let expires = |call: Call| Some(call.at + Duration::from_secs(1) + call.holds?);
        let last = world.esi.calls().into_iter().filter_map(expires).max().expect("answers");
        let rests = world.store.swept(id(1)).expect("a row").not_before;
        assert!(rests >= world.at(last), "after {:?}: {rests}, a page until {}", world.since(), world.at(last));
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_before_the_only_page_is_stored_leaves_until_when_it_rests() {
    let mut world = World::new(&[(1, &[2])]);
    world.gate.set_open(false);
    world.start();
    world.until(1.0).await;
    let report = world.stop().await;
    assert!(report.deadline_passed);
    assert_eq!(world.store.open(id(1)), []);
    world.restart_stopped();
    world.until(299.0).await;
    assert_eq!(world.esi.calls().len(), 1);
    world.until(303.0).await;
    assert!(world.is_in_step(1));
}
