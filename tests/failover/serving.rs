//! Which feed's kills go on, and what is shown of it.

use std::time::Duration;

use broadside_engine::Demand;
use tokio::time::{Instant, advance};

use crate::world::{BEHIND, HEALTHY_FOR, SILENCE, SOON, World, aged, kill, name};

#[tokio::test(start_paused = true)]
async fn the_primarys_kills_go_on_and_the_fallbacks_copies_are_settled_once_those_are_stored() {
    let mut world = World::new().await;
    world.fallback(1).await;
    world.primary(1).await;
    let mut messages = world.run(SOON).await;
    assert_eq!(messages.iter().map(name).collect::<Vec<_>>(), ["primary 1"]);
    assert!(world.covered().is_empty(), "it is not stored yet");
    world.stored(messages.remove(0), true).await;
    assert!(world.names(SOON).await.is_empty());
    assert_eq!(world.covered(), [1]);
    assert_eq!((world.standing().state, world.standing().serving), ("serving", "primary"));
}

#[tokio::test(start_paused = true)]
async fn a_kill_that_the_primary_does_not_bring_goes_on_from_the_fallback_which_then_serves() {
    let mut world = World::new().await;
    world.fallback(1).await;
    assert!(world.names_with_pings(BEHIND - 10 * SOON).await.is_empty());
    assert_eq!(world.standing().state, "suspect");
    assert_eq!(world.names(15 * SOON).await, ["fallback 1"]);
    let standing = world.standing();
    assert_eq!((standing.state, standing.serving, standing.switches), ("switched", "fallback", 1));
    assert_eq!(standing.reason.as_deref(), Some("behind: a kill missing for 120s"));
    assert_eq!(standing.gap_messages, 1);
    world.fallback(2).await;
    assert_eq!(world.names(SOON).await, ["fallback 2"], "nothing waits for the primary any more");
}

#[tokio::test(start_paused = true)]
async fn what_the_primary_brought_and_lost_or_had_only_in_part_goes_on_from_the_fallback() {
    let mut world = World::new().await;
    for id in 1..=2 {
        world.primary(id).await;
        world.fallback(id).await;
    }
    let mut messages = world.run(SOON).await;
    assert_eq!(messages.len(), 2);
    world.failed(messages.remove(0)).await;
    world.stored(messages.remove(0), false).await;
    assert_eq!(world.names(SOON).await, ["fallback 1", "fallback 2"]);
    assert_eq!((world.standing().state, world.standing().gap_messages), ("serving", 0));
}

#[tokio::test(start_paused = true)]
async fn while_the_primary_is_away_and_just_after_the_fallbacks_kills_go_on_at_once_and_nothing_switches() {
    let mut world = World::new().await;
    world.fallback(1).await;
    assert!(world.names(SOON).await.is_empty());
    world.pulse.lost("read on".into());
    assert_eq!(world.names(SOON).await, ["fallback 1"]);
    world.fallback(2).await;
    assert_eq!(world.names(SOON).await, ["fallback 2"]);
    assert_eq!(world.standing().reason.as_deref(), Some("not connected: failed to read on"));
    world.pulse.connected(Instant::now());
    world.fallback(3).await;
    assert_eq!(world.names(SOON).await, ["fallback 3"], "it may be from before the connection");
    assert!(world.names_with_pings(2 * BEHIND).await.is_empty());
    assert_eq!((world.standing().state, world.standing().switches), ("serving", 0));
}

#[tokio::test(start_paused = true)]
async fn silence_switches_in_time_and_the_return_takes_kills_and_time() {
    let mut world = World::new().await;
    world.primary(1).await;
    world.names(SOON).await;
    world.fallback(2).await;
    assert!(world.names(SILENCE - 2 * SOON).await.is_empty());
    assert_eq!(world.names(3 * SOON).await, ["fallback 2"]);
    assert!(world.standing().reason.unwrap().starts_with("silent for 9"));
    world.names_with_pings(2 * HEALTHY_FOR).await;
    assert_eq!(world.standing().state, "switched", "it only says that it lives");
    world.pulse.lost("read on".into());
    world.names(SOON).await;
    world.pulse.connected(Instant::now());
    world.primary(3).await;
    assert_eq!(world.names(SOON).await, ["primary 3"]);
    assert_eq!((world.standing().state, world.standing().serving), ("returning", "fallback"));
    world.names_with_pings(HEALTHY_FOR + 10 * SOON).await;
    assert_eq!((world.standing().state, world.standing().serving), ("serving", "primary"));
    assert_eq!((world.standing().switches, world.standing().reason), (2, None));
}

#[tokio::test(start_paused = true)]
async fn time_in_which_the_pipeline_asks_for_nothing_is_neither_silence_nor_absence() {
    let mut world = World::new().await;
    world.fallback(1).await;
    assert!(world.names(SOON).await.is_empty());
    advance(10 * BEHIND).await;
    assert!(world.names(SOON).await.is_empty());
    assert_eq!((world.standing().state, world.standing().switches), ("serving", 0));
}

#[tokio::test(start_paused = true)]
async fn old_kills_corrections_and_what_shows_no_id_are_not_expected_of_the_primary() {
    let mut world = World::new().await;
    world.push_fallback(aged("fallback", 1, Duration::from_secs(3600))).await;
    let mut correction = kill("fallback", 2);
    correction.revises = true;
    world.push_fallback(correction).await;
    let mut rubbish = kill("fallback", 3);
    rubbish.raw = "<html>".into();
    world.push_fallback(rubbish).await;
    assert_eq!(world.run(SOON).await.len(), 3);
    world.names_with_pings(2 * BEHIND).await;
    assert_eq!(world.standing().state, "serving");
}

#[tokio::test(start_paused = true)]
async fn what_was_published_before_the_primary_was_there_goes_on_at_once_whenever_it_is_read() {
    let mut world = World::new().await;
    world.primary(1).await;
    world.push_fallback(aged("fallback", 2, Duration::from_secs(600))).await;
    assert_eq!(world.names(SOON).await, ["primary 1", "fallback 2"]);
    world.names_with_pings(2 * BEHIND).await;
    assert_eq!((world.standing().state, world.standing().switches), ("serving", 0));
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_always_has_something_does_not_keep_the_other_one_waiting() {
    let mut world = World::new().await;
    for id in 1..=900 {
        world.primary(id).await;
    }
    world.push_fallback(aged("fallback", 1000, Duration::from_secs(600))).await;
    let names = world.names(SOON).await;
    assert_eq!(names.len(), 901);
    assert!(names.iter().position(|name| name == "fallback 1000").unwrap() < 400);
}

#[tokio::test(start_paused = true)]
async fn while_probes_fail_what_the_primary_sent_long_ago_is_passed_over_and_comes_from_the_fallback() {
    let mut world = World::new().await;
    for id in 1..=30 {
        world.primary(id).await;
    }
    assert_eq!(world.pull(Demand::of(1)).await, ["primary 1"]);
    world.fallback(17).await;
    world.primary(31).await;
    let mut next = world.pull(Demand::of(1).distrustful()).await;
    next.extend(world.pull(Demand::of(1).distrustful()).await);
    next.sort_unstable();
    assert_eq!(next, ["fallback 17", "primary 31"]);
    world.primary(32).await;
    assert_eq!(world.pull(Demand::of(1).distrustful()).await, ["primary 32"], "its connection was just made");
}
