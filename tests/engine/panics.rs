//! Panics of user code are fenced, each where it happens. Rules A2, A5.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use broadside_engine::topology::{Batcher, Processor};
use broadside_engine::{
    Acknowledger, Class, Components, Demand, Factory, Failure, Flow, Message, Source, Topology, stage,
};

use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_stage_on_groups_fails_its_group_and_the_worker_goes_on() {
    let (pusher, source) = source();
    let (stage, mut groups) = step();
    let stage = stage.each(|m| assert!(m.payload != 1, "told to panic"));
    let work = Processor { max_demand: 3, ..step_processor() };
    let (handler, failures) = failures();
    let components = Components::new(source).stage("step", stage).failure_handler(handler);
    push(&pusher, 0..6).await;
    pusher.finish();
    let pipeline = start(Topology { processors: vec![work], ..topology() }, components);
    assert_eq!(outcomes(&ended(&pipeline).await), [3, 3, 0, 0, 0]);
    assert_eq!(groups.rest().len(), 2);
    let failures = failures.lock().unwrap();
    assert_eq!(failures.iter().map(|f| f.0).collect::<Vec<_>>(), [0, 1, 2]);
    let failure = &failures[0].1;
    assert_eq!((failure.class, failure.error.as_str()), (Class::Panic, "panicked: told to panic"));
    assert_eq!((failure.group.as_deref(), failure.stage.as_deref()), (Some("work"), Some("step")));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_stage_on_single_messages_fails_that_message_alone() {
    let (pusher, source) = source();
    let odd = stage::each(|m: &mut Record| assert!(m.payload.is_multiple_of(2), "odd"));
    push(&pusher, 0..9).await;
    pusher.finish();
    let pipeline = start(stepping(), Components::new(source).stage("step", odd));
    assert_eq!(outcomes(&ended(&pipeline).await), [5, 4, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_sink_fails_its_batch_whole_and_the_next_batch_is_delivered() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let sink = sink.each(|m| assert!(m.payload != 1, "told to panic"));
    let (handler, failures) = failures();
    let components = Components::new(source).sink("out", sink).failure_handler(handler);
    push(&pusher, 0..8).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(topology().batcher(out(4)), components)).await), [4, 4, 0, 0, 0]);
    assert_eq!(delivered.rest().len(), 2, "a panic does not split a batch");
    let failures = failures.lock().unwrap();
    assert!(failures.iter().all(|(_, f)| f.class == Class::Panic && f.stage.as_deref() == Some("out")), "{failures:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_processors_partition_by_fails_that_message_before_any_stage() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    let (handler, failures) = failures();
    let components = Components::new(source)
        .stage("step", stage)
        .failure_handler(handler)
        .partition_by("work", |payload| u64::from(100 / (payload - 3).max(1) + u32::from(*payload == 3)));
    push(&pusher, 3..6).await;
    pusher.push(Message::new(0)).await; // 0 - 3 overflows
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(stepping(), components)).await), [3, 1, 0, 0, 0]);
    let mut seen = seen.payloads();
    seen.sort_unstable();
    assert_eq!(seen, [3, 4, 5]);
    let failures = failures.lock().unwrap();
    assert_eq!((failures[0].0, failures[0].1.class), (0, Class::Panic));
    assert_eq!(failures[0].1.group.as_deref(), Some("work"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_batchers_partition_by_or_size_of_fails_that_message_alone() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let (handler, failures) = failures();
    let batcher = Batcher { batch_bytes: Some(1_000), ..out(100) };
    let components = Components::new(source)
        .sink("out", sink)
        .failure_handler(handler)
        .partition_by("out", |payload| if *payload == 1 { panic!("no partition") } else { 0 })
        .size_of(|payload| if *payload == 2 { panic!("no size") } else { 1 });
    push(&pusher, 0..5).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(topology().batcher(batcher), components)).await), [3, 2, 0, 0, 0]);
    assert_eq!(delivered.payloads(), [0, 3, 4]);
    let mut failed: Vec<_> = failures.lock().unwrap().iter().map(|(m, f)| (*m, f.error.clone())).collect();
    failed.sort();
    assert_eq!(failed, [(1, "panicked: no partition".to_owned()), (2, "panicked: no size".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_acknowledger_touches_no_other_reference_and_is_counted() {
    let (pusher, source) = source();
    let acks = Acks::panicking_on(2);
    let components = Components::new(source.with_acknowledger(acks.clone()));
    for payload in 0..4 {
        pusher.push(Message::new(payload).with_position(u64::from(payload), 0)).await;
    }
    pusher.finish();
    let pipeline = start(topology(), components);
    assert_eq!(outcomes(&ended(&pipeline).await), [4, 0, 0, 0, 0]);
    let heard: Vec<u32> = acks.settled().iter().map(|(payload, _)| *payload).collect();
    assert_eq!(heard, [0, 1, 3]);
    let status = pipeline.status();
    assert_eq!((status.acknowledgements, status.acknowledgements_panicked), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_failure_handler_leaves_its_messages_failed() {
    let (pusher, source) = source();
    let acks = Acks::new();
    let fail = stage::each(|m: &mut Record| {
        if m.payload == 1 {
            m.fail(Failure::invalid("one"))
        }
    });
    let components = Components::new(source.with_acknowledger(acks.clone()))
        .stage("step", fail)
        .failure_handler(Handler(|_: &mut [Record]| panic!("told to panic")));
    push(&pusher, 0..3).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(stepping(), components)).await), [2, 1, 0, 0, 0]);
    assert_eq!(acks.settled().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_pull_costs_one_restart() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    let pipeline = start(stepping(), Components::new(source).stage("step", stage));
    push(&pusher, [1]).await;
    pusher.panic().await;
    push(&pusher, [2]).await;
    assert_eq!((seen.next().await.payloads, seen.next().await.payloads), (vec![1], vec![2]));
    assert_eq!(pipeline.status().source_restarts, 1);
    assert_eq!(drained(&pipeline).await.source_failure, None);
}

/// Panics while it builds, the first two times.
struct Clumsy(AtomicUsize);

struct Empty;

#[async_trait]
impl Source<u32> for Empty {
    async fn pull(&mut self, _: &mut Demand<u32>) -> Result<Flow, Failure> {
        Ok(Flow::Finished)
    }
}

#[async_trait]
impl Factory<u32> for Clumsy {
    async fn build(&self, _: usize) -> Result<Box<dyn Source<u32>>, Failure> {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) >= 2, "told to panic");
        Ok(Box::new(Empty))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<u32>> {
        Acks::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_source_is_built_costs_one_restart() {
    let pipeline = start(topology(), Components::new(Clumsy(AtomicUsize::new(0))));
    assert_eq!(ended(&pipeline).await.source_failure, None);
    assert_eq!(pipeline.status().source_restarts, 2);
}

/// A payload whose drop panics: user code that no fence surrounds, so it takes the worker with it.
#[derive(Clone)]
struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.0 || std::thread::panicking(), "told to panic");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_crashes_leaves_its_messages_abandoned_and_starts_again() {
    let (pusher, source) = broadside_engine::testing::push_source(10);
    let filter = stage::each(|m: &mut Message<Bomb>| {
        if m.payload.0 {
            m.filter()
        }
    });
    for armed in [true, false, false] {
        pusher.push(Message::new(Bomb(armed))).await;
    }
    let pipeline =
        broadside_engine::Pipeline::start(stepping(), Components::new(source).stage("step", filter)).unwrap();
    settle_down().await;
    let ledger = pipeline.status().ledger;
    assert_eq!((ledger.received, ledger.settled, ledger.in_flight), (3, [0, 0, 0, 1, 2], 0));
    pusher.push(Message::new(Bomb(false))).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&pipeline).await), [1, 0, 0, 1, 2]);
}
