//! In-flight permits: the bound that nothing passes by. Rule A9.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::topology::Processor;
use broadside_engine::{Acknowledger, Components, Demand, Factory, Failure, Flow, Message, Source, Topology};

use crate::kit::*;

fn limited(limit: usize) -> Topology {
    Topology { in_flight_max: limit, ..topology() }.batcher(out(10))
}

#[tokio::test(start_paused = true)]
async fn a_stalled_sink_holds_the_source_at_the_limit_until_it_recovers() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (sink, _delivered) = step();
    let pipeline = start(limited(30), Components::new(source).sink("out", sink.gate(&gate)));
    push(&pusher, 0..500).await;
    for _ in 0..100 {
        assert!(pipeline.status().ledger.in_flight <= 30);
        tokio::task::yield_now().await;
    }
    pass(millis(60_000)).await;
    let ledger = pipeline.status().ledger;
    assert_eq!((ledger.received, ledger.in_flight, ledger.imbalance()), (30, 30, 0));
    assert_eq!(pusher.waiting(), 470);
    gate.add_permits(1_000);
    pusher.finish();
    assert_eq!(outcomes(&ended(&pipeline).await), [500, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_higher_limit_lets_more_in_at_once() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (sink, _delivered) = step();
    let pipeline = start(limited(20), Components::new(source).sink("out", sink.gate(&gate)));
    push(&pusher, 0..500).await;
    settle_down().await;
    pipeline.set_in_flight_max(70).unwrap();
    settle_down().await;
    assert_eq!(pipeline.status().ledger.in_flight, 70);
    assert_eq!(pipeline.status().in_flight_max, 70);
    gate.add_permits(1_000);
    assert_eq!(drained(&pipeline).await.ledger.received, pipeline.status().ledger.settled_total());
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_takes_hold_as_messages_settle() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (sink, mut delivered) = step();
    let pipeline = start(limited(50), Components::new(source).sink("out", sink.gate(&gate)));
    push(&pusher, 0..500).await;
    settle_down().await;
    pipeline.set_in_flight_max(15).unwrap();
    let mut most = 50;
    for _ in 0..20 {
        delivered.next().await;
        gate.add_permits(1);
        settle_down().await;
        let in_flight = pipeline.status().ledger.in_flight;
        assert!(in_flight <= most, "{in_flight} in flight after {most}");
        most = in_flight.max(15);
    }
    assert_eq!(most, 15);
    pipeline.set_in_flight_max(40).unwrap();
    gate.add_permits(1_000);
    pusher.finish();
    assert_eq!(outcomes(&ended(&pipeline).await), [500, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_can_change_often_without_losing_a_permit() {
    let (pusher, source) = source();
    let (sink, _delivered) = step();
    let sink = sink.delay(|batch| millis(u64::from(batch[0].payload % 7)));
    let pipeline = start(limited(50), Components::new(source).sink("out", sink));
    push(&pusher, 0..2_000).await;
    for round in 0_usize..200 {
        pipeline.set_in_flight_max(10 + round * 37 % 90).unwrap();
        pass(millis(2)).await;
    }
    pipeline.set_in_flight_max(33).unwrap();
    pusher.finish();
    assert_eq!(outcomes(&ended(&pipeline).await), [2_000, 0, 0, 0, 0]);
}

/// Pushes more than it is asked for.
struct Greedy {
    left: u32,
    each: u32,
}

#[async_trait]
impl Source<u32> for Greedy {
    async fn pull(&mut self, demand: &mut Demand<u32>) -> Result<Flow, Failure> {
        for _ in 0..self.each.min(self.left) {
            self.left -= 1;
            demand.push(Message::new(self.left));
        }
        Ok(if self.left == 0 { Flow::Finished } else { Flow::More })
    }
}

struct GreedyFactory;

#[async_trait]
impl Factory<u32> for GreedyFactory {
    async fn build(&self, _: usize) -> Result<Box<dyn Source<u32>>, Failure> {
        Ok(Box::new(Greedy { left: 200, each: 50 }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<u32>> {
        Acks::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_pushes_more_than_the_limit_waits_and_loses_nothing() {
    let work = Processor { max_demand: 4, capacity: 8, ..step_processor() };
    let topology = Topology { processors: vec![work], in_flight_max: 5, ..topology() };
    let (stage, _) = step();
    let pipeline = start(topology, Components::new(GreedyFactory).stage("step", stage.delay(|_| millis(1))));
    let report = ended(&pipeline).await;
    assert!(!report.deadline_passed);
    assert_eq!(outcomes(&report), [200, 0, 0, 0, 0]);
    // the debt of each pull is paid before the next
    pipeline.set_in_flight_max(5).unwrap();
}
