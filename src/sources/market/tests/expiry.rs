//! When pages are asked for again, whatever they say of when they expire.

use std::time::Duration;

use broadside::clients::esi::Tokens;
use broadside::duration::Span;
use broadside::regions::State;

use super::esi::{Call, Expires, Fault, Region};
use super::world::World;

/// Seconds at which page 1 of a region was asked for.
fn times(world: &World, region: i64) -> Vec<f64> {
    let calls = world.esi.calls().into_iter().filter(|call| (call.region, call.page) == (region, 1));
    calls.map(|call| (call.at.as_secs_f64() * 10.0).round() / 10.0).collect()
}

fn world(expires: Expires) -> World {
    let mut world = World::new(&[(1, &[2, 2])]);
    world.esi.change(1, |region| region.expires = expires);
    world.config.interval = Span::from_secs(200);
    world
}

#[tokio::test(start_paused = true)]
async fn pages_are_asked_for_two_seconds_after_they_have_expired() {
    let mut world = world(Expires::In(Duration::from_secs(100)));
    world.start();
    world.until(320.0).await;
    // The answers come after 50 ms.
    assert_eq!(times(&world, 1), [0.0, 102.1, 204.2, 306.3]);
}

#[tokio::test(start_paused = true)]
async fn a_margin_and_a_least_interval_of_ones_own_are_kept() {
    let mut world = world(Expires::In(Duration::from_secs(20)));
    (world.config.margin, world.config.interval_min) = (Span::from_secs(7), Span::from_secs(50));
    world.start();
    world.until(120.0).await;
    assert_eq!(times(&world, 1), [0.0, 57.1, 114.1]);
}

#[tokio::test(start_paused = true)]
async fn without_a_word_on_when_they_expire_pages_hold_for_the_default_interval() {
    let mut world = world(Expires::Unsaid);
    world.start();
    world.until(410.0).await;
    assert_eq!(times(&world, 1), [0.0, 202.1, 404.2]);
}

#[tokio::test(start_paused = true)]
async fn pages_that_have_expired_already_are_asked_for_every_half_minute() {
    let mut world = world(Expires::In(Duration::ZERO));
    world.start();
    world.until(100.0).await;
    assert_eq!(times(&world, 1), [0.0, 32.1, 64.1, 96.2]);
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn pages_that_hold_for_a_year_are_not_asked_for_and_nothing_overflows() {
    let mut world = world(Expires::In(Duration::from_secs(366 * 86_400)));
    world.start();
    world.until(86_400.0 * 9.0).await;
    assert_eq!(times(&world, 1), [0.0]);
    assert_eq!(world.standing(1).state, State::Waiting);
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_expires_a_little_later_is_waited_for() {
    let world = world(Expires::In(Duration::from_secs(100)));
    world.esi.change(1, |region| region.expires_of.insert(2, Expires::In(Duration::from_secs(130))));
    let mut world = world;
    world.start();
    world.until(140.0).await;
    assert_eq!(times(&world, 1), [0.0, 132.1]);
    assert_eq!(world.calls(1), [(1, 200), (1, 304), (2, 200), (2, 304)]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_expires_much_later_is_taken_as_it_was_until_then() {
    let mut world = world(Expires::In(Duration::from_secs(100)));
    world.esi.change(1, |region| region.expires_of.insert(2, Expires::In(Duration::from_secs(400))));
    world.start();
    world.until(170.0).await;
    assert_eq!(world.calls(1), [(1, 200), (1, 304), (2, 200)]);
    let sweep = world.standing(1).last_sweep.expect("a sweep");
    assert_eq!((sweep.unchanged, sweep.fresh, sweep.quality), (1, 1, "mixed"));
    assert!(world.is_in_step(1), "its orders are not taken for gone");
    world.until(660.0).await;
    assert!(world.calls(1).contains(&(2, 304)));
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn a_first_page_that_expires_later_than_the_others_is_not_asked_for_early() {
    let mut world = world(Expires::In(Duration::from_secs(60)));
    world.esi.change(1, |region| region.expires_of.insert(1, Expires::In(Duration::from_secs(300))));
    world.start();
    world.until(1300.0).await;
    assert_eq!(times(&world, 1), [0.0, 302.1, 604.1, 906.2, 1208.2]);
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_first_page_does_not_answer_for_the_others_whatever_its_date() {
    let mut world = world(Expires::Window(Duration::from_secs(300)));
    world.esi.change(1, |region| region.modified = Some(7));
    world.start();
    world.until(10.0).await;
    world.calls(1);
    world.esi.change(1, |region| region.pages[1][0].volume_remain = 5);
    world.until(303.0).await;
    assert_eq!(world.calls(1), [(1, 304), (2, 200)]);
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_first_page_does_not_answer_for_a_page_that_is_new() {
    let mut world = world(Expires::Window(Duration::from_secs(300)));
    world.esi.change(1, |region| region.modified = Some(7));
    world.start();
    world.until(10.0).await;
    world.calls(1);
    world.esi.change(1, |region| region.pages.push(vec![super::esi::order(9)]));
    world.until(303.0).await;
    assert_eq!(world.calls(1), [(1, 304), (2, 304), (3, 200)]);
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_due_waits_for_one_call_of_the_others_at_the_most() {
    let mut world = World::new(&[(1, &[2, 2]), (2, &[1; 60]), (3, &[1; 60]), (4, &[1; 60])]);
    world.esi.change(1, |region| region.expires = Expires::In(Duration::from_millis(301_500)));
    (2..=4).for_each(|region| world.esi.change(region, |region| region.takes = Duration::from_secs(1)));
    world.start();
    world.until(320.0).await;
    // It is due at 303.6, when sixteen pages of the others are under way, and 26 wait.
    assert_eq!(times(&world, 1), [0.0, 304.0]);
}

#[tokio::test(start_paused = true)]
async fn regions_whose_pages_fail_leave_the_calls_to_the_others() {
    let mut world = World::new(&[(1, &[2, 2]), (2, &[1; 40]), (3, &[1; 40])]);
    world.esi.change(1, |region| region.expires = Expires::In(Duration::from_secs(30)));
    for region in 2..=3 {
        world.esi.change(region, |region| {
            region.takes = Duration::from_secs(20);
            (2..=40).for_each(|page| region.fault(page, vec![Fault::Failed; 100]));
        });
    }
    world.start();
    world.until(1000.0).await;
    let times = times(&world, 1);
    let late = times.windows(2).filter(|pair| pair[0] > 100.0 && pair[1] - pair[0] > 32.2);
    assert_eq!(late.count(), 0, "{times:?}");
    (2..=3).for_each(|region| assert!(world.standing(region).failures > 2, "{:?}", world.standing(region)));

    // It gets them back when its pages are there again.
    world.esi.change(2, |region| region.faults.clear());
    world.until(2000.0).await;
    world.esi.take_calls();
    assert!(world.is_in_step(2), "{:?}", world.standing(2));
    assert_eq!(world.standing(2).failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_region_is_asked_for_as_soon_as_it_is_due_however_long_others_take() {
    let mut world = World::new(&[(1, &[2, 2]), (2, &[1; 40])]);
    world.esi.change(2, |region| region.takes = Duration::from_secs(20));
    world.start();
    world.until(1000.0).await;
    let expected = [0.0, 302.0, 602.0, 902.0];
    assert_eq!(times(&world, 1), expected);
    assert!(world.is_in_step(1) && world.is_in_step(2));
}

#[tokio::test(start_paused = true)]
async fn a_long_sweep_that_would_mix_two_snapshots_waits_for_the_next() {
    // 29 pages by 14 at once: three seconds a page, so some seven seconds.
    let mut world = World::new(&[(1, &[1; 29])]);
    world.esi.change(1, |region| {
        region.takes = Duration::from_secs(3);
        region.expires = Expires::Window(Duration::from_secs(60));
    });
    world.start();
    world.until(61.0).await;
    assert_eq!(world.standing(1).last_sweep.expect("a sweep").quality, "whole");
    world.stop().await;
    world.esi.take_calls();
    world.until(115.0).await;
    // Begun 5 s before the window's end, by a process that has not measured yet.
    world.restart_stopped();
    world.until(121.0).await;
    let calls = |world: &World| world.esi.take_calls().iter().map(|call: &Call| call.page).collect::<Vec<_>>();
    assert!(calls(&world).len() > 2, "it does not know better");
    world.until(179.0).await;
    assert!(world.is_in_step(1));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_is_put_off_once_and_not_for_ever() {
    let mut world = World::new(&[(1, &[1; 29])]);
    world.esi.change(1, |region| {
        region.takes = Duration::from_secs(3);
        // As of a snapshot that was made long ago, and always about to be renewed.
        (region.expires, region.modified) = (Expires::In(Duration::from_secs(4)), Some(-3000));
    });
    world.start();
    for place in 0..5 {
        world.esi.change(1, |region| region.pages[0][0].volume_remain = place);
        world.pass(60.0).await;
        assert!(world.is_in_step(1), "{:?}", world.standing(1));
    }
}

#[tokio::test(start_paused = true)]
async fn with_few_tokens_the_intervals_are_stretched_and_the_board_says_so() {
    let mut world = World::new(&[(1, &[1; 50]), (2, &[1; 10])]);
    for region in 1..=2 {
        // Every page differs each time.
        world.esi.change(region, |region| region.expires = Expires::In(Duration::from_secs(300)));
    }
    // 60 tokens in 5 minutes: a sweep of both costs at least that many.
    world.esi.set_tokens(Tokens { limit: 60, window: Duration::from_secs(300), remaining: 60 });
    world.start();
    world.until(3600.0).await;
    let tokens = world.resources.regions.tokens().expect("tokens");
    assert_eq!((tokens.limit, tokens.window_seconds, tokens.remaining), (60, 300.0, 60));
    assert!(tokens.stretch_others > 1.0, "{tokens:?}");
    let settled: Vec<Call> =
        world.esi.take_calls().into_iter().filter(|call| call.at > Duration::from_secs(600)).collect();
    let cost: usize = settled.iter().map(|call| if call.status == 304 { 1 } else { 2 }).sum();
    assert!(cost <= 3600 / 5 - 600 / 5, "{cost} tokens");
    assert!((1..=2).all(|region| settled.iter().any(|call| call.region == region)), "both are polled");

    world.esi.set_tokens(Tokens { limit: 60_000, window: Duration::from_secs(300), remaining: 60 });
    world.until(7200.0).await;
    assert_eq!(world.resources.regions.tokens().expect("tokens").stretch_others, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_region_without_orders_is_polled_too() {
    let world = World::running(&[(1, &[0])]);
    world.until(303.0).await;
    assert_eq!(world.calls(1), [(1, 200), (1, 304)]);
    assert_eq!(world.standing(1).last_sweep.expect("a sweep").quality, "whole");
    world.esi.change(1, |region| region.pages = Region::new(1, &[3]).pages);
    world.until(603.0).await;
    assert!(world.is_in_step(1));
}
