//! The drain: in order, everything in flight, within a deadline. Rule A8.

use std::time::Duration;

use broadside_engine::pipeline::State;
use broadside_engine::topology::{Batcher, Processor};
use broadside_engine::{Components, Topology, Trigger};

use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn a_drain_flushes_partial_batches_and_settles_all() {
    let (pusher, source) = source();
    let acks = Acks::new();
    let (sink, mut delivered) = step();
    let components = Components::new(source.with_acknowledger(acks.clone())).sink("out", sink);
    let pipeline = start(topology().batcher(out(100)), components);
    push(&pusher, 0..7).await;
    settle_down().await;
    assert_eq!(pipeline.status().ledger.in_flight, 7);
    let report = drained(&pipeline).await;
    assert_eq!((outcomes(&report), report.deadline_passed), ([7, 0, 0, 0, 0], false));
    let batch = delivered.next().await;
    assert_eq!((batch.batch().trigger, batch.payloads.len()), (Trigger::Drain, 7));
    assert_eq!(acks.settled().len(), 7);
    assert_eq!(pipeline.status().state, State::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_drain_pulls_no_more() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (stage, mut seen) = step();
    let work = Processor { max_demand: 5, capacity: 5, ..step_processor() };
    let topology = Topology { processors: vec![work], ..topology() };
    let pipeline = start(topology, Components::new(source).stage("step", stage.gate(&gate)));
    push(&pusher, 0..100).await;
    seen.next().await;
    settle_down().await;
    let waiting = pusher.waiting();
    pipeline.drain();
    assert_eq!(pipeline.status().state, State::Draining);
    gate.add_permits(100);
    let report = ended(&pipeline).await;
    assert_eq!((pusher.waiting(), report.ledger.received), (waiting, 100 - waiting as u64));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_at_the_deadline_is_abandoned_and_never_acknowledged() {
    let (pusher, source) = source();
    let acks = Acks::new();
    let gate = gate(1);
    let (sink, mut delivered) = step();
    let topology = Topology { drain_deadline: Duration::from_secs(3), ..topology() }.batcher(out(2));
    let components = Components::new(source.with_acknowledger(acks.clone())).sink("out", sink.gate(&gate));
    let pipeline = start(topology, components);
    push(&pusher, 0..9).await;
    delivered.next().await;
    settle_down().await;
    let report = drained(&pipeline).await;
    assert!(report.deadline_passed);
    assert_eq!(outcomes(&report), [2, 0, 0, 0, 7]);
    assert!(report.took >= Duration::from_secs(3) && report.took < Duration::from_secs(5), "{:?}", report.took);
    assert_eq!(acks.settled().len(), 2);
    // user code that was left behind changes nothing any more
    gate.add_permits(100);
    settle_down().await;
    assert_eq!((acks.settled().len(), pipeline.status().ledger), (2, report.ledger));
}

/// On real threads and time, because the paused clock waits for code that blocks its thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn user_code_that_does_not_return_is_left_behind_with_its_messages_abandoned() {
    let (pusher, source) = source();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let (stage, mut seen) = step();
    let stage = stage.all(move |_| {
        let _ = released.lock().unwrap().recv();
        Ok(())
    });
    let topology = Topology { drain_deadline: millis(20), ..stepping() };
    let pipeline = start(topology, Components::new(source).stage("step", stage));
    push(&pusher, 0..3).await;
    let taken = seen.next().await.payloads.len() as u64;
    let report = drained(&pipeline).await;
    assert!(report.deadline_passed);
    assert_eq!(report.ledger.received, report.ledger.settled[4]);
    assert!(report.ledger.received >= taken);
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn a_paused_pipeline_drains() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let pipeline = start(topology().batcher(out(100)), Components::new(source).sink("out", sink));
    push(&pusher, 0..3).await;
    settle_down().await;
    pipeline.pause();
    push(&pusher, 3..6).await;
    let report = drained(&pipeline).await;
    assert_eq!((outcomes(&report), delivered.payloads()), ([3, 0, 0, 0, 0], vec![0, 1, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_drain_may_be_called_again_and_everyone_who_waits_gets_the_report() {
    let (pusher, source) = source();
    let (stage, _) = step();
    let pipeline = start(stepping(), Components::new(source).stage("step", stage.delay(|_| millis(400))));
    push(&pusher, 0..3).await;
    settle_down().await;
    pipeline.drain();
    pipeline.drain();
    let (first, second) = soon(async { tokio::join!(pipeline.finished(), pipeline.finished()) }).await;
    assert_eq!(first, second);
    pipeline.drain();
    assert_eq!(ended(&pipeline).await, first);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_does_not_stop_the_pipeline() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    drop(start(topology().batcher(out(2)), Components::new(source).sink("out", sink)));
    push(&pusher, 0..2).await;
    assert_eq!(delivered.next().await.payloads, [0, 1]);
    push(&pusher, [2]).await;
    pusher.finish();
    assert_eq!(delivered.next().await.payloads, [2]);
}

#[tokio::test(start_paused = true)]
async fn every_batcher_of_the_pipeline_is_drained() {
    let (pusher, source) = source();
    let ((one, mut in_one), (two, mut in_two)) = (step(), step());
    let (stage, _) = step();
    let topology = stepping().batcher(out(100)).batcher(Batcher { eager: true, ..Batcher::new("two") });
    let components = Components::new(source)
        .stage(
            "step",
            stage.each(|m| {
                if m.payload % 2 == 1 {
                    m.put_batcher("two")
                }
            }),
        )
        .sink("out", one.delay(|_| millis(900)))
        .sink("two", two.delay(|_| millis(300)));
    push(&pusher, 0..10).await;
    let pipeline = start(topology, components);
    settle_down().await;
    assert_eq!(outcomes(&drained(&pipeline).await), [10, 0, 0, 0, 0]);
    assert_eq!((in_one.payloads().len(), in_two.payloads().len()), (5, 5));
}
