//! The rate limit: bounded in every window, changeable, passed by nothing. Rule A7.

use std::time::Duration;

use broadside_engine::testing::test_message;
use broadside_engine::topology::{RateLimit, Source};
use broadside_engine::{Components, Topology};
use tokio::time::Instant;

use crate::kit::*;

const TEN_A_SECOND: RateLimit = RateLimit { messages: 10, per: Duration::from_secs(1) };

fn limited(limit: Option<RateLimit>) -> Topology {
    Topology { source: Source { rate_limit: limit, ..Source::new("push") }, ..stepping() }
}

/// No more than the allowance at once and its share of the time, in any window.
fn assert_within(arrivals: &[Instant], limit: RateLimit) {
    for (first, start) in arrivals.iter().enumerate() {
        for (last, end) in arrivals.iter().enumerate().skip(first) {
            let share = f64::from(limit.messages) * (*end - *start).as_secs_f64() / limit.per.as_secs_f64();
            let (passed, most) = (last - first + 1, f64::from(limit.messages) + share + 1.0);
            assert!(passed as f64 <= most, "{passed} within {:?}, at most {most}", *end - *start);
        }
    }
}

fn arrivals(log: &mut Log) -> Vec<Instant> {
    log.rest().iter().flat_map(|seen| seen.payloads.iter().map(|_| seen.at)).collect()
}

#[tokio::test(start_paused = true)]
async fn no_window_sees_more_than_the_allowance_and_its_share() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    push(&pusher, 0..100).await;
    pusher.finish();
    let started = Instant::now();
    ended(&start(limited(Some(TEN_A_SECOND)), Components::new(source).stage("step", stage))).await;
    let arrivals = arrivals(&mut seen);
    assert_eq!(arrivals.len(), 100);
    assert_within(&arrivals, TEN_A_SECOND);
    assert!(started.elapsed() >= Duration::from_secs(9) && started.elapsed() < Duration::from_millis(9_200));
}

#[tokio::test(start_paused = true)]
async fn a_burst_after_a_silence_is_bounded_too() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    let pipeline = start(limited(Some(TEN_A_SECOND)), Components::new(source).stage("step", stage));
    // a pull waits with its share of the allowance while the allowance is refilled
    settle_down().await;
    for silence in [30_000, 500, 900] {
        pass(millis(silence)).await;
        push(&pusher, 0..25).await;
    }
    pusher.finish();
    ended(&pipeline).await;
    assert_within(&arrivals(&mut seen), TEN_A_SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_a_pull_does_not_use_is_not_lost() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    let pipeline = start(limited(Some(TEN_A_SECOND)), Components::new(source).stage("step", stage));
    for payload in 0..10 {
        push(&pusher, [payload]).await;
        settle_down().await;
    }
    assert_eq!(seen.payloads().len(), 10);
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn the_limit_changes_at_once_and_can_be_lifted() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    let slow = RateLimit { messages: 1, per: Duration::from_secs(60) };
    let pipeline = start(limited(Some(slow)), Components::new(source).stage("step", stage));
    push(&pusher, 0..200).await;
    pass(millis(1_000)).await;
    assert_eq!(seen.payloads().len(), 1);
    pipeline.set_rate_limit(Some(TEN_A_SECOND)).unwrap();
    pass(millis(1_050)).await;
    let after = arrivals(&mut seen);
    assert!((19..=21).contains(&after.len()), "{}", after.len());
    assert_within(&after, TEN_A_SECOND);
    assert_eq!(pipeline.status().rate_limit, Some(TEN_A_SECOND));
    pipeline.set_rate_limit(None).unwrap();
    settle_down().await;
    assert_eq!(seen.payloads().len(), 200 - 1 - after.len());
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_can_be_set_on_a_pipeline_that_had_none() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    let pipeline = start(limited(None), Components::new(source).stage("step", stage));
    settle_down().await;
    pipeline.set_rate_limit(Some(TEN_A_SECOND)).unwrap();
    let started = Instant::now();
    push(&pusher, 0..60).await;
    pusher.finish();
    ended(&pipeline).await;
    assert_eq!(seen.payloads().len(), 60);
    // the pull under way keeps what it was allowed; what it brought is counted against the new limit
    assert!(started.elapsed() >= Duration::from_millis(4_900), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn test_messages_are_subject_to_it() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    let limit = RateLimit { messages: 1, per: Duration::from_secs(5) };
    let pipeline = start(limited(Some(limit)), Components::new(source).stage("step", stage));
    for payload in 0..4 {
        soon(test_message(&pusher, payload)).await;
    }
    let arrivals = arrivals(&mut seen);
    assert_within(&arrivals, limit);
    assert!(arrivals[3] - arrivals[0] >= Duration::from_secs(10));
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn several_producers_share_it() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    let mut topology = limited(Some(TEN_A_SECOND));
    topology.source.concurrency = 4;
    let pipeline = start(topology, Components::new(source).stage("step", stage));
    for _ in 0..5 {
        push(&pusher, 0..20).await;
        pass(millis(1_500)).await;
    }
    pusher.finish();
    ended(&pipeline).await;
    let arrivals = arrivals(&mut seen);
    assert_eq!(arrivals.len(), 100);
    let took = arrivals[99] - arrivals[0];
    assert!(took >= millis(8_900), "{took:?}");
}
