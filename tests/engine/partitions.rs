//! Order within a partition, and no more than its share for a slow one. Rule A6.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use broadside_engine::topology::{Batcher, Processor};
use broadside_engine::{Components, Topology};

use crate::kit::*;

fn by_seven(payload: &u32) -> u64 {
    u64::from(payload % 7)
}

/// Checks that each partition's payloads ascend.
fn assert_in_order(delivered: &[u32], partition: impl Fn(&u32) -> u64) {
    let mut last: BTreeMap<u64, u32> = BTreeMap::new();
    for payload in delivered {
        if let Some(before) = last.insert(partition(payload), *payload) {
            assert!(before < *payload, "{payload} after {before}");
        }
    }
}

fn two_processors_and_a_batcher() -> Topology {
    let work = |name: &str| Processor {
        concurrency: 8,
        max_demand: 5,
        capacity: 60,
        stages: vec![name.to_owned()],
        ..Processor::new(name)
    };
    let batcher = Batcher { concurrency: 4, batch_timeout: millis(20), capacity: 50, ..out(6) };
    Topology { processors: vec![work("first"), work("second")], ..topology() }.batcher(batcher)
}

fn ordered(source: broadside_engine::testing::PushSource<u32>) -> (Components<u32>, Log) {
    let ((first, _), (second, _), (sink, delivered)) = (step(), step(), step());
    // every group takes a different time
    let components = Components::new(source)
        .stage("first", first.delay(|group| millis(u64::from(group[0].payload * 37 % 23))))
        .stage("second", second.delay(|group| millis(u64::from(group[0].payload * 29 % 17))))
        .sink("out", sink.delay(|group| millis(u64::from(group[0].payload * 31 % 19))))
        .partition_by("first", by_seven)
        .partition_by("second", by_seven)
        .partition_by("out", by_seven);
    (components, delivered)
}

#[tokio::test(start_paused = true)]
async fn partitions_keep_their_order_through_processors_and_batchers_with_many_workers() {
    let (pusher, source) = source();
    let (components, mut delivered) = ordered(source);
    push(&pusher, 0..2_000).await;
    pusher.finish();
    let report = ended(&start(two_processors_and_a_batcher(), components)).await;
    assert_eq!(outcomes(&report), [2_000, 0, 0, 0, 0]);
    let batches = delivered.rest();
    for seen in &batches {
        let partition = seen.batch().partition;
        assert!(seen.payloads.iter().all(|p| Some(by_seven(p)) == partition), "one partition a batch: {seen:?}");
    }
    let delivered: Vec<u32> = batches.into_iter().flat_map(|seen| seen.payloads).collect();
    assert_eq!(delivered.len(), 2_000);
    assert_in_order(&delivered, by_seven);
}

#[tokio::test(start_paused = true)]
async fn partitions_keep_their_order_while_workers_come_and_go() {
    let (pusher, source) = source();
    let (components, mut delivered) = ordered(source);
    push(&pusher, 0..3_000).await;
    pusher.finish();
    let pipeline = start(two_processors_and_a_batcher(), components);
    for round in 0_usize.. {
        if matches!(pipeline.status().state, broadside_engine::pipeline::State::Stopped) {
            break;
        }
        for (n, group) in ["first", "second", "out"].into_iter().enumerate() {
            pipeline.set_concurrency(group, 1 + (round * 5 + n * 3) % 9).unwrap();
        }
        pass(millis(7)).await;
    }
    assert_eq!(outcomes(&ended(&pipeline).await), [3_000, 0, 0, 0, 0]);
    let delivered = delivered.payloads();
    assert_eq!(delivered.len(), 3_000);
    assert_in_order(&delivered, by_seven);
}

#[tokio::test(start_paused = true)]
async fn one_partition_is_never_worked_on_twice_at_once() {
    let (pusher, source) = source();
    let ((stage, _), (sink, _)) = (step(), step());
    static WORKING: AtomicUsize = AtomicUsize::new(0);
    static DELIVERING: AtomicUsize = AtomicUsize::new(0);
    let stage = stage
        .delay(|_| {
            assert_eq!(WORKING.fetch_add(1, Ordering::Relaxed), 0, "two workers on one partition");
            millis(5)
        })
        .each(|_| WORKING.store(0, Ordering::Relaxed));
    let sink = sink
        .delay(|_| {
            assert_eq!(DELIVERING.fetch_add(1, Ordering::Relaxed), 0, "two sink workers on one partition");
            millis(5)
        })
        .each(|_| DELIVERING.store(0, Ordering::Relaxed));
    let work = Processor { concurrency: 8, max_demand: 3, ..step_processor() };
    let topology = Topology { processors: vec![work], ..topology() }.batcher(Batcher { concurrency: 5, ..out(2) });
    let components = Components::new(source)
        .stage("step", stage)
        .sink("out", sink)
        .partition_by("work", |_| 1)
        .partition_by("out", |_| 1);
    push(&pusher, 0..100).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(topology, components)).await), [100, 0, 0, 0, 0]);
}

/// Broadway: two partitions, 100 messages each; the slow one takes 100 ms a message, `max_demand` 4; after a second 15 of the fast one
/// are done. Here the fast one is not held up at all.
#[tokio::test(start_paused = true)]
async fn a_slow_partition_does_not_starve_the_others() {
    let (pusher, source) = source();
    let (stage, mut done) = step();
    let stage = stage.delay(|group| millis(100) * group.iter().filter(|m| m.payload % 2 == 0).count() as u32);
    let work = Processor { concurrency: 2, max_demand: 4, capacity: 200, ..step_processor() };
    let components =
        Components::new(source).stage("step", stage).partition_by("work", |payload| u64::from(payload % 2));
    push(&pusher, 0..200).await;
    let pipeline = start(Topology { processors: vec![work], ..topology() }, components);
    pass(millis(1_000)).await;
    let taken = done.payloads();
    let fast = taken.iter().filter(|payload| **payload % 2 == 1).count();
    assert_eq!(fast, 100);
    assert!(taken.len() - fast >= 8, "{} slow ones", taken.len() - fast);
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_partition_of_a_batcher_takes_one_sink_worker_and_no_more() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let sink = sink.delay(|batch| if batch[0].payload % 4 == 0 { millis(10_000) } else { millis(0) });
    let batcher = Batcher { concurrency: 2, capacity: 500, batch_timeout: millis(10), ..out(10) };
    let components = Components::new(source).sink("out", sink).partition_by("out", |payload| u64::from(payload % 4));
    push(&pusher, 0..400).await;
    let pipeline = start(topology().batcher(batcher), components);
    pass(millis(1_000)).await;
    let fast = delivered.payloads().iter().filter(|payload| **payload % 4 != 0).count();
    assert_eq!(fast, 300);
    pipeline.drain();
    // ten batches of ten seconds each need longer than the deadline of thirty
    assert!(ended(&pipeline).await.deadline_passed);
}
