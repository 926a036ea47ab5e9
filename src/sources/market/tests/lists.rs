//! Regions that are added and removed while the pipeline runs.

use std::time::Duration;

use broadside::regions::Refusal;

use super::esi::{Expires, Region, id};
use super::world::World;

fn refused(text: &str) -> Result<i64, Refusal> {
    Err(Refusal::Refused(text.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_region_is_added_by_its_id_or_its_name_and_polled_at_once() {
    let world = World::running(&[(1, &[2])]);
    world.esi.put(2, "The Forge", Region::new(2, &[3, 3]));
    world.esi.put(3, "Domain", Region::new(3, &[1]));
    world.pass(1.0).await;
    assert_eq!(
        (world.add("2").await, world.add(" the forge ").await, world.add("DOMAIN").await),
        (Ok(2), Ok(2), Ok(3))
    );
    world.pass(1.0).await;
    assert!(world.is_in_step(2) && world.is_in_step(3));
    assert_eq!(world.standing(2).name.as_deref(), Some("The Forge"));
    assert_eq!(world.calls(2), [(1, 200), (2, 200)], "there is one poller for it");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_region_is_refused() {
    let mut world = World::running(&[(1, &[2])]);
    world.pass(1.0).await;
    assert_eq!(world.add("99").await, refused("ESI knows no region 99"));
    assert_eq!(world.add("Nowhere").await, refused("ESI names no region \"Nowhere\""));
    assert_eq!(world.remove(99).await, refused("region 99 is not polled"));
    world.stop().await;
    assert_eq!(world.add("1").await, Err(Refusal::NoPipeline));
}

#[tokio::test(start_paused = true)]
async fn while_esi_is_away_a_region_that_cannot_be_looked_up_is_refused() {
    let world = World::new(&[(1, &[2])]);
    world.esi.set_away(true);
    let mut world = world;
    world.start();
    world.pass(1.0).await;
    assert_eq!(world.add("2").await, refused("reach ESI: it is away"));
    assert_eq!(world.remove(1).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_removed_is_asked_for_no_more_and_its_rows_stay() {
    let world = World::running(&[(1, &[2]), (2, &[3, 3])]);
    world.pass(1.0).await;
    assert_eq!(world.remove(2).await, Ok(2));
    assert_eq!(world.remove(2).await, refused("region 2 is not polled"));
    world.calls(2);
    world.until(1000.0).await;
    assert_eq!(world.calls(2), []);
    assert_eq!(world.resources.regions.get(id(2)), None);
    assert_eq!(world.store.open(id(2)).len(), 6);
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_added_again_is_not_asked_for_before_its_pages_have_expired() {
    let world = World::running(&[(1, &[2]), (2, &[3, 3])]);
    world.pass(1.0).await;
    assert_eq!(world.remove(2).await, Ok(2));
    assert_eq!(world.add("2").await, Ok(2));
    world.pass(1.0).await;
    assert_eq!(world.calls(2), [(1, 200), (2, 200)]);
    world.until(303.0).await;
    assert_eq!(world.calls(2), [(1, 304), (2, 304)]);
    assert!(world.is_in_step(2));
}

/// Removed at this time (seconds) of its first sweep, in which each call takes two, and added again at once, or later; meanwhile pages may not be settled.
async fn removed_in_the_middle(pages: &[usize], at: f64, again: f64, is_settled: bool) {
    let mut world = World::new(&[(2, pages)]);
    world.esi.change(2, |region| {
        region.takes = Duration::from_secs(2);
        region.expires = Expires::In(Duration::from_secs(300));
    });
    world.config.concurrency = 3;
    world.gate.set_open(is_settled);
    world.start();
    world.until(at).await;
    assert_eq!(world.remove(2).await, Ok(2));
    world.until(again).await;
    assert_eq!(world.add("2").await, Ok(2));
    world.pass(1.0).await;
    world.esi.change(2, |region| region.pages[0][0].volume_remain = 9);
    world.gate.set_open(true);
    world.until(again + 700.0).await;
    assert!(world.is_in_step(2), "removed at {at}, added at {again}: {:?}", world.standing(2));
    assert_eq!(world.standing(2).failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_removed_in_the_middle_of_its_sweep_can_be_added_again() {
    for at in [1.0, 3.0, 5.0, 7.0, 9.0] {
        for again in [at, at + 1.0, at + 400.0] {
            for is_settled in [true, false] {
                removed_in_the_middle(&[3, 3, 3, 3], at, again, is_settled).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_of_one_page_that_is_removed_before_that_is_stored_can_be_added_again() {
    for is_settled in [true, false] {
        removed_in_the_middle(&[3], 2.5, 2.5, is_settled).await;
    }
}

#[tokio::test(start_paused = true)]
async fn more_changes_than_can_wait_are_refused_and_none_is_left_unanswered() {
    let world = World::running(&[(1, &[2])]);
    world.pass(1.0).await;
    let changes = (0..100).map(|_| world.add("1"));
    let answers = futures::future::join_all(changes).await;
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(1)).count(), 64);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(1) | Err(Refusal::Busy))));
}
