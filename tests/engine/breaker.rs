//! The breaker: trips within its bound, lets a trickle through, and is closed again by what succeeds. Begin at a stage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use broadside_engine::topology::{BreakerRules, Processor, Topology};
use broadside_engine::{Components, Failure, Message, Outcome, Pipeline, stage};

use crate::kit::*;

const RULES: BreakerRules =
    BreakerRules { window: 200, share: 0.5, run: 100, probe_every: Duration::from_secs(1), successes: 10 };

/// Ten messages at a time, so that what is under way when it trips is a small number.
fn guarded(rules: BreakerRules) -> Topology {
    let work = Processor { max_demand: 10, capacity: 10, ..step_processor() };
    Topology { processors: vec![work], breaker: Some(rules), in_flight_max: 20, ..stepping() }
}

/// A stage that fails everything for as long as the switch says so.
fn rubbish() -> (Arc<AtomicBool>, Step, Log) {
    let (is_rubbish, (stage, log)) = (Arc::new(AtomicBool::new(true)), step());
    let switch = is_rubbish.clone();
    let stage = stage.each(move |message| {
        if switch.load(Ordering::SeqCst) {
            message.fail(Failure::invalid("rubbish"));
        }
    });
    (is_rubbish, stage, log)
}

#[tokio::test(start_paused = true)]
async fn rubbish_trips_it_after_a_run_and_then_one_message_a_second_passes() {
    let (pusher, source) = source();
    let (_, stage, mut seen) = rubbish();
    push(&pusher, 0..10_000).await;
    let pipeline = start(guarded(RULES), Components::new(source).stage("step", stage));
    pass(millis(900)).await;
    let until_tripped = seen.payloads().len();
    assert!((100..=120).contains(&until_tripped), "{until_tripped}: the run, and what was in flight");
    let breaker = pipeline.status().breaker.unwrap();
    assert!(breaker.open && breaker.trips == 1, "{breaker:?}");
    pass(Duration::from_secs(60)).await;
    let probes = seen.payloads().len();
    assert!((59..=61).contains(&probes), "{probes}");
    assert_eq!(pipeline.status().breaker.unwrap().probes, probes as u64);
    drained(&pipeline).await;
    // One that takes its place starts afresh, but its counter goes on.
    let ((_pusher, source), (stage, _)) = (crate::kit::source(), step());
    let components = Components::new(source).stage("step", stage);
    let next = Pipeline::start_after(pipeline.status(), guarded(RULES), components).unwrap();
    let breaker = next.status().breaker.unwrap();
    assert!(!breaker.open && breaker.trips == 1, "{breaker:?}");
    drained(&next).await;
}

#[tokio::test(start_paused = true)]
async fn ten_good_probes_in_a_row_let_everything_through_again() {
    let (pusher, source) = source();
    let (is_rubbish, stage, mut seen) = rubbish();
    push(&pusher, 0..2_000).await;
    let pipeline = start(guarded(RULES), Components::new(source).stage("step", stage));
    pass(Duration::from_secs(5)).await;
    is_rubbish.store(false, Ordering::SeqCst);
    seen.rest();
    pass(Duration::from_secs(9)).await;
    assert!(pipeline.status().breaker.unwrap().open);
    assert!(seen.payloads().len() <= 10);
    pass(Duration::from_secs(2)).await;
    assert!(!pipeline.status().breaker.unwrap().open);
    pusher.finish();
    let report = ended(&pipeline).await;
    assert_eq!(report.ledger.received, 2_000);
    assert!(report.ledger.outcome(Outcome::Failed) < 130, "{:?}", report.ledger);
}

#[tokio::test(start_paused = true)]
async fn a_pull_under_way_is_called_back_when_it_trips() {
    let (pusher, source) = source();
    let (_, stage, mut seen) = rubbish();
    let pipeline = start(guarded(RULES), Components::new(source).stage("step", stage));
    push(&pusher, 0..100).await;
    settle_down().await;
    assert!(pipeline.status().breaker.unwrap().open);
    seen.rest();
    // the pull waits with room for ten: they must not all come at once
    push(&pusher, 0..10).await;
    pass(millis(1_500)).await;
    assert_eq!(seen.payloads().len(), 1);
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_in_a_sink_is_the_only_one() {
    let (pusher, source) = source();
    let (is_rubbish, stage, mut seen) = rubbish();
    let gate = gate(0);
    let (sink, mut delivered) = step();
    let topology = guarded(RULES).batcher(broadside_engine::topology::Batcher { eager: true, ..out(10) });
    push(&pusher, 0..1_000).await;
    let components = Components::new(source).stage("step", stage).sink("out", sink.gate(&gate));
    let pipeline = start(topology, components);
    pass(millis(500)).await;
    is_rubbish.store(false, Ordering::SeqCst);
    seen.rest();
    pass(Duration::from_secs(100)).await;
    assert_eq!(seen.payloads().len(), 1);
    gate.add_permits(100_000);
    pass(Duration::from_secs(11)).await;
    assert!(!pipeline.status().breaker.unwrap().open);
    assert!(!delivered.payloads().is_empty());
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_filtered_counts_for_nothing_and_a_lost_probe_frees_its_place() {
    let (pusher, source) = source();
    let (stage, mut seen) = step();
    // every third fails, the others are filtered: a run of failures
    let stage = stage.each(|message| match message.payload % 3 {
        0 => message.fail(Failure::invalid("rubbish")),
        _ => message.filter(),
    });
    push(&pusher, 0..10_000).await;
    let pipeline = start(guarded(RULES), Components::new(source).stage("step", stage));
    pass(millis(900)).await;
    let until_tripped = seen.payloads().len();
    assert!((298..=320).contains(&until_tripped), "{until_tripped}");
    pass(Duration::from_secs(30)).await;
    assert!(seen.payloads().len() >= 29);
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn its_numbers_change_while_it_runs_and_without_it_everything_passes() {
    let (pusher, source) = source();
    let (_, stage, mut seen) = rubbish();
    let pipeline = start(guarded(RULES), Components::new(source).stage("step", stage));
    pipeline.set_breaker(Some(BreakerRules { run: 20, ..RULES })).unwrap();
    assert!(pipeline.set_breaker(Some(BreakerRules { run: 0, ..RULES })).is_err());
    push(&pusher, 0..1_000).await;
    pass(millis(500)).await;
    assert!((20..=40).contains(&seen.payloads().len()));
    pipeline.set_breaker(None).unwrap();
    settle_down().await;
    assert_eq!(pipeline.status().ledger.received, 1_000);
    assert_eq!(pipeline.status().breaker, None);
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn a_tripped_pipeline_drains_at_once() {
    let (pusher, source) = source();
    let (_, stage, _seen) = rubbish();
    push(&pusher, 0..1_000).await;
    let pipeline = start(guarded(RULES), Components::new(source).stage("step", stage));
    pass(millis(100)).await;
    assert!(drained(&pipeline).await.took < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_alert_is_raised_at_more_failures_than_the_share() {
    let (pusher, source) = source();
    let (stage, _seen) = step();
    let stage = stage.each(|message| {
        if message.payload % 50 == 0 {
            message.fail(Failure::invalid("rubbish"));
        }
    });
    let topology = Topology { alert_above: Some(0.01), ..stepping() };
    let pipeline = start(topology, Components::new(source).stage("step", stage));
    push(&pusher, 0..100).await;
    settle_down().await;
    let recent = pipeline.status().recent;
    assert_eq!((recent.messages, recent.failed, recent.alert), (100, 2, true));
    pipeline.set_alert_above(Some(0.05));
    assert!(!pipeline.status().recent.alert);
    pass(Duration::from_secs(301)).await;
    assert_eq!(pipeline.status().recent.messages, 0);
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_begins_at_its_stage_among_others_that_begin_at_the_first() {
    let (pusher, source) = source();
    let add = |what: u32| stage::each(move |message: &mut Message<u32>| message.payload = message.payload * 10 + what);
    let group = |name: &str, stages: [&str; 2]| Processor {
        concurrency: 1,
        stages: stages.map(str::to_owned).into(),
        ..Processor::new(name)
    };
    let topology = Topology { processors: vec![group("front", ["a", "b"]), group("back", ["c", "d"])], ..topology() };
    let topology = topology.batcher(out(5));
    let begins = ["a", "b", "c", "d", "out"].map(|at| topology.begin_at(at).unwrap());
    assert_eq!((begins, topology.begin_at("nothing")), ([0, 1, 2, 3, 4], None));
    let (sink, mut delivered) = step();
    let stages = Components::new(source).stage("a", add(1)).stage("b", add(2)).stage("c", add(3)).stage("d", add(4));
    let pipeline = start(topology, stages.sink("out", sink));
    for begin in [2, 0, 4, 1, 3] {
        pusher.push(Message::new(9).with_begin(begin)).await;
    }
    // in the order in which they came
    assert_eq!(delivered.next().await.payloads, [934, 91_234, 9, 9234, 94]);
    drained(&pipeline).await;
}
