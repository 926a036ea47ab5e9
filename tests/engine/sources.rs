//! Sources: restart within a budget, giving up, the end of a finite source. Rules A5, A8.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::topology::{RestartBudget, Source as Shape};
use broadside_engine::{Acknowledger, Components, Demand, Factory, Failure, Flow, Message, Source, Topology};
use tokio::time::Instant;

use crate::kit::*;

/// One order of a script: a pull does what it says.
#[derive(Clone)]
enum Order {
    Give(u32),
    GiveThenFail(u32),
    GiveThenPanic(u32),
    Fail,
    Finish,
    Idle,
}

/// Follows one script through all incarnations and notes when each is built.
#[derive(Clone, Default)]
struct Script {
    orders: Arc<Mutex<Vec<Order>>>,
    built: Arc<Mutex<Vec<Instant>>>,
    closed: Arc<AtomicUsize>,
    settled_at_close: Arc<Mutex<Option<usize>>>,
    refuses_to_build: Arc<AtomicBool>,
    acks: Arc<Acks>,
}

impl Script {
    fn new(orders: impl IntoIterator<Item = Order>) -> Self {
        let mut orders: Vec<Order> = orders.into_iter().collect();
        orders.reverse();
        Self { orders: Arc::new(Mutex::new(orders)), ..Self::default() }
    }

    fn built(&self) -> Vec<Instant> {
        self.built.lock().unwrap().clone()
    }
}

#[async_trait]
impl Factory<u32> for Script {
    async fn build(&self, _: usize) -> Result<Box<dyn Source<u32>>, Failure> {
        self.built.lock().unwrap().push(Instant::now());
        if self.refuses_to_build.load(Ordering::Relaxed) {
            return Err(Failure::transient("no connection"));
        }
        Ok(Box::new(self.clone()))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<u32>> {
        self.acks.clone()
    }
}

#[async_trait]
impl Source<u32> for Script {
    async fn pull(&mut self, demand: &mut Demand<u32>) -> Result<Flow, Failure> {
        let order = self.orders.lock().unwrap().pop();
        match order {
            Some(Order::Give(payload)) => demand.push(Message::new(payload)),
            Some(Order::GiveThenFail(payload)) => {
                demand.push(Message::new(payload));
                return Err(Failure::transient("connection lost"));
            }
            Some(Order::GiveThenPanic(payload)) => {
                demand.push(Message::new(payload));
                panic!("told to panic");
            }
            Some(Order::Fail) => return Err(Failure::transient("connection lost")),
            Some(Order::Finish) => return Ok(Flow::Finished),
            Some(Order::Idle) | None => demand.interrupted().await,
        }
        Ok(Flow::More)
    }

    async fn close(&mut self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
        *self.settled_at_close.lock().unwrap() = Some(self.acks.settled().len());
    }
}

fn budget(restarts: u32) -> Topology {
    let restart =
        RestartBudget { restarts, within: Duration::from_secs(60), delay: millis(100), delay_max: millis(300) };
    Topology { source: Shape { restart, ..Shape::new("script") }, ..stepping() }
}

fn run(topology: Topology, script: &Script) -> (broadside_engine::Pipeline, Log) {
    let (stage, seen) = step();
    (start(topology, Components::new(script.clone()).stage("step", stage)), seen)
}

#[tokio::test(start_paused = true)]
async fn a_crashed_source_is_built_again_after_a_wait_that_doubles() {
    use Order::*;
    let script = Script::new([Fail, Fail, Fail, Fail, Give(1), Finish]);
    let (pipeline, mut seen) = run(budget(5), &script);
    let report = ended(&pipeline).await;
    assert_eq!((report.source_failure, seen.payloads()), (None, vec![1]));
    let built = script.built();
    let waits: Vec<u128> = built.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(waits, [100, 200, 300, 300]);
    assert_eq!(pipeline.status().source_restarts, 4);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_uses_up_its_budget_ends_the_pipeline_which_drains_and_says_why() {
    use Order::*;
    let script = Script::new([Give(1), Give(2), Fail, Fail, Fail, Give(3)]);
    let (pipeline, mut seen) = run(budget(2), &script);
    let report = ended(&pipeline).await;
    assert_eq!(report.source_failure.as_deref(), Some("connection lost"));
    assert_eq!(pipeline.status().source_failure.as_deref(), Some("connection lost"));
    assert_eq!((outcomes(&report), report.deadline_passed), ([2, 0, 0, 0, 0], false));
    assert_eq!(seen.payloads(), [1, 2]);
    assert_eq!(script.built().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_pushed_before_a_pull_failed_or_panicked_still_flows() {
    use Order::*;
    let script = Script::new([GiveThenFail(1), GiveThenPanic(2), Give(3), Finish]);
    let (pipeline, mut seen) = run(budget(5), &script);
    assert_eq!(outcomes(&ended(&pipeline).await), [3, 0, 0, 0, 0]);
    assert_eq!(seen.payloads(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_fails_counts_against_the_budget() {
    let script = Script::new([]);
    script.refuses_to_build.store(true, Ordering::Relaxed);
    let (pipeline, _) = run(budget(3), &script);
    assert_eq!(ended(&pipeline).await.source_failure.as_deref(), Some("no connection"));
    assert_eq!(script.built().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_finite_source_drains_the_pipeline_by_itself_and_is_closed_after_everything_is_settled() {
    use Order::*;
    let script = Script::new([Give(1), Give(2), Give(3), Finish]);
    let (stage, sink) = (step().0, step().0.delay(|_| millis(700)));
    let components = Components::new(script.clone()).stage("step", stage).sink("out", sink);
    let pipeline = start(stepping().batcher(out(2)), components);
    assert_eq!(outcomes(&ended(&pipeline).await), [3, 0, 0, 0, 0]);
    assert_eq!(script.closed.load(Ordering::Relaxed), 1);
    assert_eq!(*script.settled_at_close.lock().unwrap(), Some(3));
    assert_eq!(pipeline.status().state, broadside_engine::pipeline::State::Stopped);
}

#[tokio::test(start_paused = true)]
async fn every_producer_has_a_source_of_its_own_and_all_must_finish() {
    use Order::*;
    let script = Script::new([Give(1), Finish, Give(2), Give(3), Finish, Give(4), Finish]);
    let mut topology = budget(0);
    topology.source.concurrency = 3;
    let (pipeline, mut seen) = run(topology, &script);
    ended(&pipeline).await;
    let mut seen = seen.payloads();
    seen.sort_unstable();
    assert_eq!((seen, script.built().len()), (vec![1, 2, 3, 4], 3));
    assert_eq!(script.closed.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_drain_interrupts_an_idle_pull_and_a_wait_before_a_restart() {
    use Order::*;
    for orders in [vec![Idle], vec![Fail, Fail, Fail]] {
        let script = Script::new(orders);
        let (pipeline, _) = run(budget(50), &script);
        pass(millis(150)).await;
        let report = drained(&pipeline).await;
        assert!(report.took < millis(1) && !report.deadline_passed, "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_calls_back_an_idle_pull_even_after_a_resume_too_many() {
    use Order::*;
    let script = Script::new([Idle, Give(1)]);
    let (pipeline, mut seen) = run(budget(0), &script);
    settle_down().await;
    pipeline.resume();
    pipeline.pause();
    settle_down().await;
    pipeline.resume();
    assert_eq!(seen.next().await.payloads, [1]);
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_limit_calls_back_an_idle_pull() {
    use Order::*;
    let script = Script::new([Idle, Give(1), Idle, Give(2)]);
    let (pipeline, mut seen) = run(budget(0), &script);
    settle_down().await;
    pipeline.set_in_flight_max(1).unwrap();
    assert_eq!(seen.next().await.payloads, [1]);
    settle_down().await;
    pipeline.set_rate_limit(None).unwrap();
    assert_eq!(seen.next().await.payloads, [2]);
    drained(&pipeline).await;
}

/// A factory that never comes back.
struct Hanging;

#[async_trait]
impl Factory<u32> for Hanging {
    async fn build(&self, _: usize) -> Result<Box<dyn Source<u32>>, Failure> {
        std::future::pending().await
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<u32>> {
        Acks::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_source_that_is_being_built() {
    let pipeline = start(topology(), Components::new(Hanging));
    settle_down().await;
    let report = drained(&pipeline).await;
    assert!(report.took < millis(1) && !report.deadline_passed, "{report:?}");
}
