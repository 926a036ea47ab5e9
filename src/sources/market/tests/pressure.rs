//! A pipeline that does not settle what it has: pollers wait, and go on when it does.

use std::time::Duration;

use super::esi::Fault;
use super::world::{IN_FLIGHT, World};

/// Pages that may be read and not settled: in the pipeline, on the way to it, and in the hands of calls.
const HELD_MAX: usize = IN_FLIGHT + 8 + 2 * 16;

#[tokio::test(start_paused = true)]
async fn what_is_read_and_not_settled_is_bounded_and_all_of_it_goes_on_in_the_end() {
    for workers in 1..=4 {
        let mut world = World::new(&[(1, &[1; 200]), (2, &[1; 100]), (3, &[2])]);
        world.sink_workers = workers;
        world.gate.set_open(false);
        world.start();
        world.until(250.0).await;
        let held = world.esi.calls().len();
        assert!((IN_FLIGHT..=HELD_MAX).contains(&held), "{held} pages are held");
        world.gate.set_open(true);
        world.until(290.0).await;
        assert!(
            (1..=3).all(|region| world.is_in_step(region)),
            "with {workers} workers: {:?}",
            world.resources.regions.all()
        );
        assert!((1..=3).all(|region| world.standing(region).last_sweep.is_some()));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stuck_when_a_poller_crashes_or_is_removed_while_its_pages_are_not_settled() {
    for workers in 1..=3 {
        let mut world = World::new(&[(1, &[1; 100]), (2, &[1; 100]), (3, &[1; 100])]);
        world.sink_workers = workers;
        world.esi.change(1, |region| region.fault(20, [Fault::Panic]));
        world.gate.set_open(false);
        world.start();
        world.until(10.0).await;
        let changes = async {
            assert_eq!(world.remove(2).await, Ok(2));
            assert_eq!(world.add("2").await, Ok(2));
        };
        // A source that is not asked for anything makes no changes either.
        let opening = async {
            world.until(100.0).await;
            world.gate.set_open(true);
        };
        tokio::join!(changes, opening);
        world.until(1000.0).await;
        assert!((1..=3).all(|region| world.is_in_step(region)), "with {workers} workers");
        let report = world.stop().await;
        assert_eq!((report.ledger.imbalance(), report.deadline_passed), (0, false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_is_paused_asks_for_nothing_more_than_it_can_hold_and_goes_on() {
    let mut world = World::new(&[(1, &[1; 200]), (2, &[2])]);
    world.esi.change(1, |region| region.takes = Duration::from_secs(1));
    world.start();
    world.until(3.5).await;
    world.pipeline().pause();
    world.until(100.0).await;
    assert!(world.esi.calls().len() <= 4 * 14 + HELD_MAX, "{} calls", world.esi.calls().len());
    assert!(!world.is_in_step(1));
    world.pipeline().resume();
    world.until(130.0).await;
    assert!(world.is_in_step(1) && world.is_in_step(2), "{:?}", world.standing(1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_in_the_middle_of_sweeps_settles_everything_in_time() {
    for at in [0.01, 0.06, 0.5, 3.0, 10.0] {
        let mut world = World::new(&[(1, &[1; 200]), (2, &[1; 20]), (3, &[2])]);
        world.esi.change(1, |region| region.takes = Duration::from_secs(1));
        world.start();
        world.until(at).await;
        let report = world.stop().await;
        assert_eq!((report.ledger.imbalance(), report.deadline_passed), (0, false), "at {at}");
        assert!(report.took < Duration::from_secs(2), "at {at}: {:?}", report.took);
        world.restart_stopped();
        world.until(1000.0).await;
        assert!((1..=3).all(|region| world.is_in_step(region)), "at {at}: {:?}", world.resources.regions.all());
    }
}
