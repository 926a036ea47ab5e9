//! Processors: groups, demand, queues, stages in order, routing. Rules A1, A2, A9.

use broadside_engine::topology::{Batcher, Processor};
use broadside_engine::{Components, Failure, Topology, stage};

use crate::kit::*;

fn processor(name: &str, stages: &[&str]) -> Processor {
    let stages = stages.iter().map(|s| (*s).to_owned()).collect();
    Processor { concurrency: 1, stages, ..Processor::new(name) }
}

#[tokio::test(start_paused = true)]
async fn messages_pass_every_processor_and_its_stages_in_order() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let topology = Topology { processors: Vec::new(), ..topology() }
        .processor(processor("first", &["one", "two"]))
        .processor(Processor { concurrency: 4, ..processor("second", &["three"]) })
        .processor(processor("third", &["one"]))
        .batcher(out(1));
    let digit = |digit: u32| stage::each(move |m: &mut Record| m.payload = m.payload * 10 + digit);
    let components = Components::new(source)
        .stage("one", digit(1))
        .stage("two", digit(2))
        .stage("three", digit(3))
        .sink("out", sink);
    let pipeline = start(topology, components);
    push(&pusher, [5]).await;
    assert_eq!(delivered.next().await.payloads, [51_231]);
    assert_eq!(outcomes(&drained(&pipeline).await), [1, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_takes_at_most_max_demand_and_the_demand_is_exact() {
    let (pusher, source) = source();
    let (stage, mut groups) = step();
    push(&pusher, 0..100).await;
    pusher.finish();
    let work = Processor { max_demand: 7, capacity: 50, ..step_processor() };
    let topology = Topology { processors: vec![work], ..topology() };
    let pipeline = start(topology, Components::new(source).stage("step", stage));
    ended(&pipeline).await;
    let sizes: Vec<usize> = groups.rest().iter().map(|seen| seen.payloads.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 100);
    assert_eq!(sizes.iter().max(), Some(&7), "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn small_groups_are_taken_together_up_to_max_demand() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (stage, mut groups) = step();
    let work = Processor { max_demand: 10, capacity: 100, ..step_processor() };
    let pipeline = start(
        Topology { processors: vec![work], ..topology() },
        Components::new(source).stage("step", stage.gate(&gate)),
    );
    push(&pusher, [0]).await;
    groups.next().await;
    for payload in 1..=25 {
        push(&pusher, [payload]).await;
        settle_down().await;
    }
    gate.add_permits(10);
    drained(&pipeline).await;
    let sizes: Vec<usize> = groups.rest().iter().map(|seen| seen.payloads.len()).collect();
    assert_eq!(sizes, [10, 10, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_holds_exactly_its_capacity_and_backpressure_reaches_the_source() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (stage, mut groups) = step();
    let first = Processor { max_demand: 4, capacity: 8, ..processor("first", &[]) };
    let second = Processor { max_demand: 3, capacity: 10, ..processor("second", &["step"]) };
    let topology = Topology { processors: vec![first, second], ..topology() };
    let pipeline = start(topology, Components::new(source).stage("step", stage.gate(&gate)));
    push(&pusher, 0..100).await;
    groups.next().await;
    settle_down().await;
    let status = pipeline.status();
    let depths: Vec<_> = status.groups[1..].iter().map(|g| (g.queue_depth, g.queue_capacity)).collect();
    // second: 3 in the worker's hands; first: a group of up to 4 waits in its worker's hands for room
    assert!(depths[0] == (8, 8) && depths[1].0 <= 10 && depths[1].0 > 7, "{depths:?}");
    assert!(pusher.waiting() >= 100 - 8 - 4 - 10 - 3, "{} wait outside", pusher.waiting());
    gate.add_permits(1000);
    pusher.finish();
    assert_eq!(ended(&pipeline).await.ledger.received, 100);
}

#[tokio::test(start_paused = true)]
async fn what_a_stage_fails_filters_or_finishes_leaves_the_flow() {
    let (pusher, source) = source();
    let ((after, mut seen_after), (sink, mut delivered)) = (step(), step());
    let topology = Topology { processors: vec![processor("work", &["judge", "after"])], ..topology() }.batcher(out(4));
    let acks = Acks::new();
    let judge = |m: &mut Record| match m.payload {
        1 => m.fail(Failure::invalid("one")),
        2 => m.filter(),
        3 => m.finish(),
        _ => {}
    };
    let components = Components::new(source.with_acknowledger(acks.clone()))
        .stage("judge", stage::each(judge))
        .stage("after", after)
        .sink("out", sink);
    push(&pusher, 0..8).await;
    pusher.finish();
    let report = ended(&start(topology, components)).await;
    assert_eq!(outcomes(&report), [6, 1, 0, 1, 0]);
    assert_eq!(seen_after.payloads(), [0, 4, 5, 6, 7]);
    assert_eq!(delivered.payloads(), [0, 4, 5, 6, 7]);
    assert_eq!(acks.settled().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn messages_go_to_the_batcher_they_name_and_else_to_the_first() {
    let (pusher, source) = source();
    let ((first, mut in_first), (second, mut in_second)) = (step(), step());
    let topology = stepping().batcher(out(10)).batcher(Batcher::new("other"));
    let route = |m: &mut Record| match m.payload {
        1 => m.put_batcher("other"),
        2 => m.put_batcher("out"),
        _ => {}
    };
    let components = Components::new(source).stage("step", stage::each(route)).sink("out", first).sink("other", second);
    push(&pusher, 0..4).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(topology, components)).await), [4, 0, 0, 0, 0]);
    let mut in_first = in_first.payloads();
    in_first.sort_unstable();
    assert_eq!((in_first, in_second.payloads()), (vec![0, 2, 3], vec![1]));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_batcher_and_one_that_only_another_feeds_fail_the_message() {
    let (pusher, source) = source();
    let ((first, mut in_first), (second, mut in_second)) = (step(), step());
    let topology = stepping().batcher(out(10)).batcher(Batcher { after: Some("out".into()), ..Batcher::new("next") });
    let route = |m: &mut Record| match m.payload {
        1 => m.put_batcher("nowhere"),
        2 => m.put_batcher("next"),
        _ => {}
    };
    let (handler, failures) = failures();
    let components = Components::new(source)
        .stage("step", stage::each(route))
        .sink("out", first)
        .sink("next", second)
        .failure_handler(handler);
    push(&pusher, 0..3).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(topology, components)).await), [1, 2, 0, 0, 0]);
    assert_eq!((in_first.payloads(), in_second.payloads()), (vec![0], vec![0]));
    let failures = failures.lock().unwrap();
    assert!(failures.iter().any(|(m, f)| *m == 1 && f.error.contains("`nowhere`")), "{failures:?}");
    assert!(failures.iter().any(|(m, f)| *m == 2 && f.error.contains("`next`")), "{failures:?}");
    assert!(failures.iter().all(|(_, f)| f.group.as_deref() == Some("work")), "{failures:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_of_a_message_stays() {
    let (pusher, source) = source();
    let (handler, failures) = failures();
    let fail_twice = |m: &mut Record| {
        m.fail(Failure::invalid("first"));
        m.fail(Failure::invalid("second"));
        m.filter();
        m.finish();
    };
    let components = Components::new(source).stage("step", stage::each(fail_twice)).failure_handler(handler);
    push(&pusher, [0]).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(stepping(), components)).await), [0, 1, 0, 0, 0]);
    assert_eq!(failures.lock().unwrap()[0].1.error, "first");
}
