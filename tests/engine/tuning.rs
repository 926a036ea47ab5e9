//! Numbers that change while a pipeline works: nothing is lost, nothing comes twice, partitions keep their order, bounds hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broadside_engine::pipeline::{ControlError, State};
use broadside_engine::topology::{Batcher, Processor, RateLimit};
use broadside_engine::{Components, Outcome, Pipeline, Topology};

use crate::kit::*;

/// A small generator: the same numbers at each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// The same shape with other numbers.
    fn numbers(&mut self, of: &Topology) -> Topology {
        let mut topology = of.clone();
        for processor in &mut topology.processors {
            processor.concurrency = 1 + self.below(6);
            processor.max_demand = 1 + self.below(40);
            processor.capacity = processor.max_demand + self.below(80);
        }
        for batcher in &mut topology.batchers {
            batcher.concurrency = 1 + self.below(4);
            batcher.batch_size = 1 + self.below(40);
            batcher.capacity = batcher.batch_size + self.below(60);
            batcher.batch_timeout = millis(1 + self.below(30) as u64);
            batcher.eager = self.below(2) == 0;
            batcher.batch_bytes = (self.below(3) == 0).then(|| 1 + self.below(60));
        }
        topology.in_flight_max = 40 + self.below(200);
        let messages = 1 + self.below(3_000) as u32;
        topology.source.rate_limit = (self.below(3) > 0).then_some(RateLimit { messages, per: millis(1_000) });
        topology.drain_deadline = Duration::from_secs(60 + self.below(60) as u64);
        topology
    }
}

const PARTITIONS: u32 = 7;

/// Two processors and two batchers, all with partitions but the first batcher.
fn long() -> Topology {
    let second = Processor { stages: vec!["slow".into()], ..Processor::new("second") };
    let after = Batcher { after: Some("out".into()), ..Batcher::new("last") };
    stepping().processor(second).batcher(out(10)).batcher(after)
}

/// What the last sink has seen, by partition.
type Delivered = Arc<Mutex<BTreeMap<u32, Vec<u32>>>>;

fn components(source: broadside_engine::testing::PushSource<u32>, pause: Duration) -> (Components<u32>, Delivered) {
    let delivered = Delivered::default();
    let notes = delivered.clone();
    let ((first, _), (slow, _), (sink, _), (last, _)) = (step(), step(), step(), step());
    let last = last.all(move |messages| {
        let mut notes = notes.lock().unwrap();
        messages.iter().for_each(|m| notes.entry(m.payload % PARTITIONS).or_default().push(m.payload));
        Ok(())
    });
    let some = move |payload: u32| pause * (payload % 5);
    let components = Components::new(source)
        .stage("step", first.delay(move |group| some(group[0].payload)))
        .stage("slow", slow.delay(move |group| some(group[0].payload + 1)))
        .sink("out", sink.delay(move |batch| some(batch[0].payload + 2)))
        .sink("last", last.delay(move |batch| some(batch[0].payload + 3)))
        .size_of(|payload| *payload as usize % 9);
    let by = |payload: &u32| u64::from(payload % PARTITIONS);
    let groups = ["work", "second", "out", "last"];
    (groups.into_iter().fold(components, |components, group| components.partition_by(group, by)), delivered)
}

fn assert_whole(delivered: &Delivered, messages: u32) {
    let delivered = delivered.lock().unwrap();
    for partition in 0..PARTITIONS {
        let expected: Vec<u32> = (0..messages).filter(|payload| payload % PARTITIONS == partition).collect();
        assert!(delivered[&partition] == expected, "partition {partition} lost, repeated or disordered something");
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_that_change_all_the_time_lose_nothing_and_keep_the_order_of_partitions() {
    for seed in 0..8 {
        let (pusher, source) = source();
        let (components, delivered) = components(source, millis(1));
        let (mut draw, topology) = (Draw(seed), long());
        push(&pusher, 0..4_000).await;
        pusher.finish();
        let pipeline = start(topology.clone(), components);
        let mut changes = 0;
        while pipeline.status().state != State::Stopped {
            let to = draw.numbers(&topology);
            pipeline.tune(&to).unwrap();
            assert_eq!(*pipeline.topology(), to);
            pass(millis(draw.below(20) as u64)).await;
            let status = pipeline.status();
            assert_eq!(status.ledger.imbalance(), 0);
            changes += 1;
            assert!(changes < 100_000, "seed {seed} stands still: {status:?}");
        }
        assert!(changes > 50, "{changes} changes say little");
        assert_eq!(outcomes(&ended(&pipeline).await), [4_000, 0, 0, 0, 0]);
        assert_whole(&delivered, 4_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_same_holds_when_threads_race() {
    let (pusher, source) = source();
    let (components, delivered) = components(source, Duration::ZERO);
    let (mut draw, topology) = (Draw(99), long());
    push(&pusher, 0..60_000).await;
    pusher.finish();
    let pipeline = Arc::new(start(topology.clone(), components));
    let tuned = pipeline.clone();
    let tuning = tokio::spawn(async move {
        while tuned.status().state != State::Stopped {
            let to = draw.numbers(&topology);
            let unlimited = Topology { source: topology.source.clone(), ..to };
            tuned.tune(&unlimited).unwrap();
            tokio::task::yield_now().await;
        }
    });
    let report = tokio::time::timeout(Duration::from_secs(60), pipeline.finished()).await.expect("it ends");
    tuning.await.unwrap();
    assert_eq!(outcomes(&report), [60_000, 0, 0, 0, 0]);
    assert_whole(&delivered, 60_000);
}

/// One processor that lets nothing through until its gate is opened.
fn shut() -> (Topology, Components<u32>, broadside_engine::testing::Pusher<u32>, Arc<tokio::sync::Semaphore>, Log) {
    let (pusher, source) = source();
    let gate = gate(0);
    let (stage, seen) = step();
    let topology =
        Topology { processors: vec![Processor { max_demand: 10, capacity: 100, ..step_processor() }], ..topology() };
    (topology, Components::new(source).stage("step", stage.gate(&gate)), pusher, gate, seen)
}

fn depth(pipeline: &Pipeline) -> (usize, usize) {
    let status = pipeline.status();
    (status.groups[1].queue_depth, status.groups[1].queue_capacity)
}

#[tokio::test(start_paused = true)]
async fn a_longer_queue_fills_at_once_and_a_shorter_one_takes_nothing_until_it_has_emptied() {
    let (topology, components, pusher, gate, mut seen) = shut();
    let pipeline = start(topology.clone(), components);
    push(&pusher, 0..1_000).await;
    settle_down().await;
    assert_eq!(depth(&pipeline), (100, 100));
    let with = |capacity, max_demand| {
        let mut to = topology.clone();
        (to.processors[0].capacity, to.processors[0].max_demand) = (capacity, max_demand);
        to
    };
    pipeline.tune(&with(300, 10)).unwrap();
    settle_down().await;
    assert_eq!(depth(&pipeline), (300, 300));
    pipeline.tune(&with(50, 5)).unwrap();
    gate.add_permits(50);
    settle_down().await;
    assert_eq!(depth(&pipeline), (50, 50), "what was beyond is worked off, and no more is pulled");
    assert_eq!(seen.rest().last().map(|seen| seen.payloads.len()), Some(5), "a worker takes no more than it may");
    assert_eq!(pusher.waiting(), 1_000 - 310, "pulled: what was worked on and what waited then");
    pipeline.tune(&with(50, 50)).unwrap();
    gate.add_permits(100);
    settle_down().await;
    assert_eq!(seen.rest().iter().map(|seen| seen.payloads.len()).max(), Some(50));
    gate.add_permits(1_000);
    assert_eq!(drained(&pipeline).await.ledger.imbalance(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_waits_for_more_room_than_there_will_ever_be_goes_on_in_parts() {
    let (pusher, source) = source();
    let gate = gate(0);
    let ((first, _), (stage, mut seen)) = (step(), step());
    let second = Processor { stages: vec!["shut".into()], ..Processor::new("second") };
    let mut topology = stepping().processor(Processor { concurrency: 1, capacity: 100, ..second });
    let components = Components::new(source).stage("step", first).stage("shut", stage.gate(&gate));
    push(&pusher, 0..1_000).await;
    let pipeline = start(topology.clone(), components);
    settle_down().await;
    // groups of 100 wait for room for 100
    (topology.processors[1].capacity, topology.processors[1].max_demand) = (20, 20);
    pipeline.tune(&topology).unwrap();
    gate.add_permits(1_000);
    pusher.finish();
    assert_eq!(outcomes(&ended(&pipeline).await), [1_000, 0, 0, 0, 0]);
    assert_eq!(seen.payloads(), (0..1_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_closes_a_batch_holds_for_the_open_one_too() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let topology = topology().batcher(out(100));
    let components = Components::new(source).sink("out", sink).size_of(|payload| *payload as usize);
    let pipeline = start(topology.clone(), components);
    let with = |change: fn(&mut Batcher)| {
        let mut to = topology.clone();
        change(&mut to.batchers[0]);
        to
    };
    push(&pusher, 0..5).await;
    settle_down().await;
    assert_eq!(delivered.rest().len(), 0);
    pipeline.tune(&with(|b| b.batch_size = 5)).unwrap();
    settle_down().await;
    assert_eq!(delivered.payloads(), [0, 1, 2, 3, 4], "it is full by the new size");
    pipeline.tune(&topology).unwrap();
    push(&pusher, 5..8).await;
    pass(Duration::from_secs(10)).await;
    pipeline.tune(&with(|b| b.batch_timeout = Duration::from_secs(11))).unwrap();
    pass(millis(999)).await;
    assert_eq!(delivered.rest().len(), 0);
    pass(millis(2)).await;
    assert_eq!(delivered.payloads(), [5, 6, 7], "its age counts from its first message");
    pipeline.tune(&topology).unwrap();
    push(&pusher, 8..9).await;
    settle_down().await;
    pipeline.tune(&with(|b| b.eager = true)).unwrap();
    settle_down().await;
    assert_eq!(delivered.payloads(), [8], "a sink worker is idle");
    pipeline.tune(&topology).unwrap();
    push(&pusher, 9..11).await;
    settle_down().await;
    pipeline.tune(&with(|b| b.batch_bytes = Some(25))).unwrap();
    push(&pusher, 11..14).await;
    settle_down().await;
    let batches: Vec<_> = delivered.rest().into_iter().map(|seen| seen.payloads).collect();
    assert_eq!(batches, [vec![9, 10], vec![11, 12]], "what nobody has measured goes as it is; then bytes count");
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn a_batcher_whose_room_shrinks_below_what_it_holds_lets_go_of_it() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let mut topology = topology().batcher(out(100));
    let pipeline = start(topology.clone(), Components::new(source).sink("out", sink));
    push(&pusher, 0..90).await;
    settle_down().await;
    assert_eq!(delivered.rest().len(), 0);
    (topology.batchers[0].batch_size, topology.batchers[0].capacity) = (95, 95);
    pipeline.tune(&topology).unwrap();
    settle_down().await;
    assert_eq!(delivered.rest().len(), 0, "it is not full yet");
    (topology.batchers[0].batch_size, topology.batchers[0].capacity) = (80, 80);
    pipeline.tune(&topology).unwrap();
    settle_down().await;
    assert_eq!(delivered.payloads().len(), 90);
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn the_drains_deadline_can_be_changed_before_it_begins() {
    let (topology, components, pusher, _gate, _) = shut();
    let pipeline = start(topology.clone(), components);
    push(&pusher, 0..7).await;
    settle_down().await;
    pipeline.tune(&Topology { drain_deadline: Duration::from_secs(3), ..topology }).unwrap();
    let report = drained(&pipeline).await;
    assert_eq!((report.deadline_passed, report.took.as_secs()), (true, 3));
    assert_eq!(report.ledger.outcome(Outcome::Abandoned), 7);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_number_or_no_good_one_changes_nothing() {
    let (_pusher, source) = source();
    let (sink, _) = step();
    let topology = topology().batcher(out(10));
    let pipeline = start(topology.clone(), Components::new(source).sink("out", sink));
    let refused = |change: fn(&mut Topology)| {
        let mut to = Topology { in_flight_max: 77, ..topology.clone() };
        change(&mut to);
        let error = pipeline.tune(&to).unwrap_err();
        assert_eq!((&*pipeline.topology(), pipeline.status().in_flight_max), (&topology, 5_000), "{error}");
        error
    };
    assert_eq!(refused(|to| to.processors[0].stages.push("x".into())), ControlError::Shape("work".into()));
    assert_eq!(refused(|to| to.processors.push(Processor::new("y"))), ControlError::Shape("test".into()));
    assert_eq!(refused(|to| to.batchers[0].name = "z".into()), ControlError::Shape("z".into()));
    assert_eq!(refused(|to| to.batchers.clear()), ControlError::Shape("test".into()));
    assert_eq!(refused(|to| to.source.concurrency = 2), ControlError::Shape("push".into()));
    assert_eq!(refused(|to| to.batchers[0].batch_bytes = Some(1)), ControlError::MissingSizeOf("out".into()));
    assert!(
        matches!(refused(|to| to.processors[0].concurrency = 0), ControlError::Topology(found) if found.len() == 1)
    );
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_takes_anothers_place_goes_on_counting() {
    let run = async |before: Option<Pipeline>, payloads: std::ops::Range<u32>| {
        let (pusher, source) = source();
        let (stage, _) = step();
        let components = Components::new(source).stage("step", stage.delay(|_| millis(1_000)));
        push(&pusher, payloads).await;
        pusher.finish();
        let pipeline = match before {
            None => start(stepping(), components),
            Some(before) => Pipeline::start_after(before.status(), stepping(), components).unwrap(),
        };
        ended(&pipeline).await;
        pipeline
    };
    let first = run(None, 0..10).await;
    let second = run(Some(first), 0..5).await;
    let status = second.status();
    assert_eq!((status.ledger.received, status.ledger.settled), (15, [15, 0, 0, 0, 0]));
    assert_eq!((status.groups[1].messages, status.groups[1].groups), (15, 2));
    assert_eq!(status.groups[1].busy, Duration::from_secs(2));
    assert_eq!((status.stages[0].messages, status.stages[0].spent), (15, Duration::from_secs(2)));
    assert_eq!(status.acknowledgements, 2);
}
