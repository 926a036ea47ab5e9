//! What the tests build pipelines from: recording stages and sinks with gates, and waits that fail when nothing more can happen.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::pipeline::Report;
use broadside_engine::testing::{PushSource, Pusher, push_source};
use broadside_engine::topology::{Batcher, Processor, Source, Topology};
use broadside_engine::{
    Acknowledger, Batch, Components, Failure, FailureHandler, Message, Outcome, Pipeline, Sink, Stage,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

pub(crate) type Record = Message<u32>;

/// Waits on a paused clock: an hour passes only when nothing else can happen.
pub(crate) async fn soon<R>(event: impl Future<Output = R>) -> R {
    tokio::time::timeout(Duration::from_secs(3600), event).await.expect("it happens within an hour of the paused clock")
}

/// Lets every task run until all wait.
pub(crate) async fn settle_down() {
    // the paused clock moves only when every task waits
    pass(Duration::from_nanos(1)).await;
}

/// Lets so much of the paused clock go by, with everything that is due meanwhile, each at its time. No time passes for real.
pub(crate) async fn pass(time: Duration) {
    // it panics on a clock that runs
    tokio::time::advance(Duration::ZERO).await;
    let nothing = std::future::pending::<()>();
    assert!(tokio::time::timeout(time, nothing).await.is_err());
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn gate(permits: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(permits))
}

/// A source with room for everything that a test pushes.
pub(crate) fn source() -> (Pusher<u32>, PushSource<u32>) {
    push_source(100_000)
}

pub(crate) async fn push(pusher: &Pusher<u32>, payloads: impl IntoIterator<Item = u32>) {
    for payload in payloads {
        pusher.push(Message::new(payload).with_position(0, u64::from(payload))).await;
    }
}

/// One processor `work` without stages.
pub(crate) fn topology() -> Topology {
    Topology::new("test", Source::new("push")).processor(Processor { concurrency: 1, ..Processor::new("work") })
}

/// One processor `work` with the stage `step`.
pub(crate) fn stepping() -> Topology {
    Topology::new("test", Source::new("push")).processor(step_processor())
}

pub(crate) fn step_processor() -> Processor {
    Processor { concurrency: 1, stages: vec!["step".into()], ..Processor::new("work") }
}

/// A batcher `out` that waits a minute for `size` messages.
pub(crate) fn out(size: usize) -> Batcher {
    Batcher { batch_size: size, batch_timeout: Duration::from_secs(60), ..Batcher::new("out") }
}

/// Drains and checks that the ledger adds up.
pub(crate) async fn drained(pipeline: &Pipeline) -> Report {
    pipeline.drain();
    ended(pipeline).await
}

/// Waits for the end and checks that the ledger adds up.
pub(crate) async fn ended(pipeline: &Pipeline) -> Report {
    let report = soon(pipeline.finished()).await;
    assert_eq!(report.ledger.imbalance(), 0, "{:?}", report.ledger);
    assert_eq!(report.ledger.in_flight, 0, "{:?}", report.ledger);
    report
}

/// The outcomes in the order of the ledger: successful, failed, dead-lettered, filtered, abandoned.
pub(crate) fn outcomes(report: &Report) -> [u64; 5] {
    Outcome::ALL.map(|outcome| report.ledger.outcome(outcome))
}

/// What a sink or stage was given at once.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) payloads: Vec<u32>,
    pub(crate) at: Instant,
    /// Of a sink only.
    pub(crate) batch: Option<Batch>,
}

impl Seen {
    pub(crate) fn batch(&self) -> &Batch {
        self.batch.as_ref().expect("seen by a sink")
    }
}

/// Everything seen so far, and a wait for the next.
pub(crate) struct Log {
    arrivals: mpsc::UnboundedReceiver<Seen>,
}

impl Log {
    pub(crate) async fn next(&mut self) -> Seen {
        soon(self.arrivals.recv()).await.expect("the component is alive")
    }

    pub(crate) fn try_next(&mut self) -> Option<Seen> {
        self.arrivals.try_recv().ok()
    }

    pub(crate) fn rest(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.try_next()).collect()
    }

    /// All payloads not looked at yet, in order.
    pub(crate) fn payloads(&mut self) -> Vec<u32> {
        self.rest().into_iter().flat_map(|seen| seen.payloads).collect()
    }
}

type Act = Box<dyn Fn(&mut [Record]) -> Result<(), Failure> + Send + Sync>;
type Delay = Box<dyn Fn(&[Record]) -> Duration + Send + Sync>;

/// A stage or sink: notes what it is given, waits for its gate, takes its time, then acts.
pub(crate) struct Step {
    seen: mpsc::UnboundedSender<Seen>,
    gate: Option<Arc<Semaphore>>,
    delay: Delay,
    act: Act,
}

pub(crate) fn step() -> (Step, Log) {
    let (seen, arrivals) = mpsc::unbounded_channel();
    let step = Step { seen, gate: None, delay: Box::new(|_| Duration::ZERO), act: Box::new(|_| Ok(())) };
    (step, Log { arrivals })
}

impl Step {
    /// Takes one permit for each call, for good.
    pub(crate) fn gate(mut self, gate: &Arc<Semaphore>) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    pub(crate) fn delay(mut self, delay: impl Fn(&[Record]) -> Duration + Send + Sync + 'static) -> Self {
        self.delay = Box::new(delay);
        self
    }

    pub(crate) fn each(self, act: impl Fn(&mut Record) + Send + Sync + 'static) -> Self {
        self.all(move |messages| {
            messages.iter_mut().for_each(&act);
            Ok(())
        })
    }

    pub(crate) fn all(mut self, act: impl Fn(&mut [Record]) -> Result<(), Failure> + Send + Sync + 'static) -> Self {
        self.act = Box::new(act);
        self
    }

    async fn work(&self, messages: &mut [Record], batch: Option<&Batch>) -> Result<(), Failure> {
        let payloads = messages.iter().map(|m| m.payload).collect();
        let _ = self.seen.send(Seen { payloads, at: Instant::now(), batch: batch.cloned() });
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("the gate stays").forget();
        }
        let delay = (self.delay)(messages);
        if !delay.is_zero() {
            pass(delay).await;
        }
        (self.act)(messages)
    }
}

#[async_trait]
impl Stage<u32> for Step {
    async fn process(&self, messages: &mut [Record]) {
        self.work(messages, None).await.expect("a stage fails by its messages");
    }
}

#[async_trait]
impl Sink<u32> for Step {
    async fn deliver(&self, batch: &Batch, messages: &mut [Record]) -> Result<(), Failure> {
        self.work(messages, Some(batch)).await
    }
}

/// A failure handler from a function.
pub(crate) struct Handler<F>(pub(crate) F);

#[async_trait]
impl<F: Fn(&mut [Record]) + Send + Sync> FailureHandler<u32> for Handler<F> {
    async fn handle(&self, messages: &mut [Record]) {
        self.0(messages);
    }
}

/// One call of an acknowledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) reference: u64,
    pub(crate) settled: Vec<(u32, Outcome)>,
}

/// Notes every call, and may panic on one.
#[derive(Default)]
pub(crate) struct Acks {
    calls: Mutex<Vec<Ack>>,
    panics_on: Option<u32>,
}

impl Acks {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn panicking_on(payload: u32) -> Arc<Self> {
        Arc::new(Self { panics_on: Some(payload), ..Self::default() })
    }

    pub(crate) fn calls(&self) -> Vec<Ack> {
        self.calls.lock().unwrap().clone()
    }

    /// Every message acknowledged so far, with its outcome.
    pub(crate) fn settled(&self) -> Vec<(u32, Outcome)> {
        self.calls().into_iter().flat_map(|call| call.settled).collect()
    }
}

#[async_trait]
impl Acknowledger<u32> for Acks {
    async fn acknowledge(&self, reference: u64, messages: &mut [Record]) {
        let settled: Vec<_> = messages.iter().map(|m| (m.payload, m.outcome())).collect();
        assert!(settled.iter().all(|(payload, _)| Some(*payload) != self.panics_on), "told to panic");
        self.calls.lock().unwrap().push(Ack { reference, settled });
    }
}

pub(crate) fn start(topology: Topology, components: Components<u32>) -> Pipeline {
    Pipeline::start(topology, components).unwrap()
}

/// Every failure that a handler saw, with the message's payload.
pub(crate) type Failures = Arc<Mutex<Vec<(u32, Failure)>>>;

/// A handler that notes what it sees and leaves it failed.
pub(crate) fn failures() -> (Handler<impl Fn(&mut [Record]) + Send + Sync>, Failures) {
    let failures = Failures::default();
    let notes = failures.clone();
    let note = move |messages: &mut [Record]| {
        let seen = messages.iter().map(|m| (m.payload, m.failure().expect("it failed").clone()));
        notes.lock().unwrap().extend(seen);
    };
    (Handler(note), failures)
}
