//! What can be changed while a pipeline runs: pause and resume, numbers of workers, limits.

use broadside_engine::Components;
use broadside_engine::Topology;
use broadside_engine::pipeline::{ControlError, State};
use broadside_engine::topology::{Batcher, Processor, RateLimit};

use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn a_pause_stops_pulling_and_what_is_in_flight_goes_on() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    let pipeline = start(stepping(), Components::new(source).stage("step", stage.delay(|_| millis(500))));
    push(&pusher, 0..3).await;
    settle_down().await;
    pipeline.pause();
    assert_eq!(pipeline.status().state, State::Paused);
    push(&pusher, 3..9).await;
    pass(millis(10_000)).await;
    assert_eq!((seen.payloads(), pusher.waiting()), (vec![0, 1, 2], 6));
    assert_eq!(pipeline.status().ledger.settled_total(), 3);
    pipeline.resume();
    assert_eq!(pipeline.status().state, State::Running);
    assert_eq!(seen.next().await.payloads, [3, 4, 5, 6, 7, 8]);
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_waits_for_room_pulls_no_more_once_paused() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (stage, mut seen) = step();
    let work = Processor { max_demand: 2, capacity: 2, ..step_processor() };
    let topology = Topology { processors: vec![work], ..topology() };
    let pipeline = start(topology, Components::new(source).stage("step", stage.gate(&gate)));
    push(&pusher, 0..20).await;
    seen.next().await;
    settle_down().await;
    pipeline.pause();
    let waiting = pusher.waiting();
    gate.add_permits(100);
    pass(millis(1_000)).await;
    assert_eq!((pusher.waiting(), pipeline.status().ledger.in_flight), (waiting, 0));
    pipeline.resume();
    pusher.finish();
    assert_eq!(ended(&pipeline).await.ledger.received, 20);
}

#[tokio::test(start_paused = true)]
async fn pausing_and_resuming_often_loses_nothing() {
    let (pusher, source) = source();
    let (stage, _) = step();
    let pipeline = start(stepping(), Components::new(source).stage("step", stage.delay(|_| millis(3))));
    for round in 0..50 {
        push(&pusher, round * 10..(round + 1) * 10).await;
        pipeline.pause();
        pipeline.pause();
        if round % 3 == 0 {
            pass(millis(2)).await;
        }
        pipeline.resume();
        pipeline.resume();
    }
    pusher.finish();
    assert_eq!(outcomes(&ended(&pipeline).await), [500, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn workers_are_added_at_once_and_leave_after_their_group() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (stage, mut seen) = step();
    let work = Processor { max_demand: 1, ..step_processor() };
    let topology = Topology { processors: vec![work], ..topology() };
    let pipeline = start(topology, Components::new(source).stage("step", stage.gate(&gate)));
    push(&pusher, 0..50).await;
    settle_down().await;
    assert_eq!(seen.rest().len(), 1);
    pipeline.set_concurrency("work", 5).unwrap();
    settle_down().await;
    assert_eq!((seen.rest().len(), pipeline.status().groups[1].workers), (4, 5));
    pipeline.set_concurrency("work", 2).unwrap();
    settle_down().await;
    assert_eq!(pipeline.status().groups[1].workers, 5, "each is at work on a message");
    gate.add_permits(5);
    settle_down().await;
    assert_eq!((seen.rest().len(), pipeline.status().groups[1].workers), (2, 2));
    gate.add_permits(100);
    assert_eq!(drained(&pipeline).await.ledger.received, 50);
}

#[tokio::test(start_paused = true)]
async fn sink_workers_come_and_go_too() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (sink, mut delivered) = step();
    let batcher = Batcher { concurrency: 3, ..out(1) };
    let pipeline = start(topology().batcher(batcher), Components::new(source).sink("out", sink.gate(&gate)));
    settle_down().await;
    pipeline.set_concurrency("out", 1).unwrap();
    settle_down().await;
    assert_eq!(pipeline.status().groups[2].workers, 1);
    push(&pusher, 0..20).await;
    settle_down().await;
    assert_eq!(delivered.rest().len(), 1);
    pipeline.set_concurrency("out", 4).unwrap();
    settle_down().await;
    assert_eq!(delivered.rest().len(), 3);
    gate.add_permits(100);
    assert_eq!(outcomes(&drained(&pipeline).await), [20, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_worker_that_left_is_not_waited_for() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (sink, mut delivered) = step();
    let batcher = Batcher { concurrency: 3, eager: true, ..out(100) };
    let pipeline = start(topology().batcher(batcher), Components::new(source).sink("out", sink.gate(&gate)));
    settle_down().await;
    pipeline.set_concurrency("out", 1).unwrap();
    settle_down().await;
    for payload in 0..6 {
        push(&pusher, [payload]).await;
        settle_down().await;
    }
    gate.add_permits(100);
    drained(&pipeline).await;
    let batches: Vec<_> = delivered.rest().into_iter().map(|seen| seen.payloads).collect();
    assert_eq!(batches, [vec![0], vec![1, 2, 3, 4, 5]], "the eager batch grows while the only worker is busy");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_set_is_refused() {
    let (_pusher, source) = source();
    let pipeline = start(topology(), Components::new(source));
    let unknown = ControlError::UnknownGroup("nobody".into());
    assert_eq!(pipeline.set_concurrency("nobody", 1), Err(unknown));
    assert_eq!(pipeline.set_concurrency("work", 0).unwrap_err().to_string(), "concurrency must be at least 1");
    assert_eq!(pipeline.set_in_flight_max(0), Err(ControlError::Zero("in_flight_max")));
    let limit = |messages, per| Some(RateLimit { messages, per: millis(per) });
    assert_eq!(pipeline.set_rate_limit(limit(0, 1)), Err(ControlError::Zero("rate_limit messages")));
    assert_eq!(pipeline.set_rate_limit(limit(1, 0)), Err(ControlError::Zero("rate_limit per")));
    drained(&pipeline).await;
}
