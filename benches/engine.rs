//! What the engine carries, beside a hand-written tokio pipeline of the same shape in the same run.
//!
//! `cargo bench --bench engine [-- SECONDS]`. First throughput: no-op with a batcher (2 workers, batches of 100) in groups of 10,
//! 100 and 1,000. The hand-written pipeline has bounded channels and the same groups, and neither acknowledges nor counts. Then
//! latency: 1,000 messages a second, one at a time, from the moment a message is emitted to the sink that handles it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use broadside_engine::topology::{Batcher, Processor, Source as Shape};
use broadside_engine::{
    Acknowledger, Batch, Components, Demand, Factory, Failure, Flow, Message, Pipeline, Sink, Source, Topology, stage,
};
use hdrhistogram::Histogram;

/// Counts, as an acknowledger.
#[derive(Default)]
struct Counter(AtomicU64);

#[async_trait]
impl Acknowledger<u64> for Counter {
    async fn acknowledge(&self, _reference: u64, messages: &mut [Message<u64>]) {
        self.0.fetch_add(messages.len() as u64, Ordering::Relaxed);
    }
}

struct Numbers {
    stop: Arc<AtomicBool>,
    counter: Arc<Counter>,
}

struct Counting(Arc<AtomicBool>, u64);

#[async_trait]
impl Factory<u64> for Numbers {
    async fn build(&self, _index: usize) -> Result<Box<dyn Source<u64>>, Failure> {
        Ok(Box::new(Counting(self.stop.clone(), 0)))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<u64>> {
        self.counter.clone()
    }
}

#[async_trait]
impl Source<u64> for Counting {
    async fn pull(&mut self, demand: &mut Demand<u64>) -> Result<Flow, Failure> {
        if self.0.load(Ordering::Relaxed) {
            return Ok(Flow::Finished);
        }
        let room = demand.room();
        demand.reserve(room);
        for _ in 0..room {
            self.1 += 1;
            demand.push(Message::new(self.1));
        }
        Ok(Flow::More)
    }
}

/// Emits a message each millisecond, counted from the start, so that a late tick is followed by an early one.
struct Paced {
    next: tokio::time::Instant,
    left: usize,
}

/// Builds the paced source once.
struct PacedFactory(usize);

#[async_trait]
impl Factory<Instant> for PacedFactory {
    async fn build(&self, _index: usize) -> Result<Box<dyn Source<Instant>>, Failure> {
        Ok(Box::new(Paced { next: tokio::time::Instant::now(), left: self.0 }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Instant>> {
        Arc::new(broadside_engine::ack::Noop)
    }
}

#[async_trait]
impl Source<Instant> for Paced {
    async fn pull(&mut self, demand: &mut Demand<Instant>) -> Result<Flow, Failure> {
        tokio::time::sleep_until(self.next).await;
        self.next += Duration::from_millis(1);
        self.left -= 1;
        demand.push(Message::new(Instant::now()));
        Ok(if self.left == 0 { Flow::Finished } else { Flow::More })
    }
}

/// Records the age of each message.
struct Clock(Arc<Mutex<Histogram<u64>>>);

#[async_trait]
impl Sink<Instant> for Clock {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Instant>]) -> Result<(), Failure> {
        let mut ages = self.0.lock().expect("no holder panics");
        for message in messages {
            ages.saturating_record(message.payload.elapsed().as_nanos() as u64);
        }
        Ok(())
    }
}

/// Nanoseconds from emit to handler.
async fn latency(span: Duration) -> Histogram<u64> {
    let ages = Arc::new(Mutex::new(Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")));
    let topology = Topology::new("latency", Shape::new("paced"))
        .processor(Processor {
            concurrency: 10,
            max_demand: 10,
            stages: vec!["no-op".into()],
            ..Processor::new("work")
        })
        .batcher(Batcher { batch_size: 1, batch_timeout: Duration::from_millis(200), ..Batcher::new("batch") });
    let no_op = stage::each(|message: &mut Message<Instant>| {
        std::hint::black_box(message);
    });
    let messages = usize::try_from(span.as_millis()).expect("a short span");
    let components = Components::new(PacedFactory(messages)).stage("no-op", no_op).sink("batch", Clock(ages.clone()));
    let report = Pipeline::start(topology, components).expect("the topology is valid").finished().await;
    assert_eq!(report.ledger.settled_total(), messages as u64);
    let ages = ages.lock().expect("no holder panics");
    ages.clone()
}

/// Resident memory, in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

struct Nothing;

#[async_trait]
impl Sink<u64> for Nothing {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<u64>]) -> Result<(), Failure> {
        std::hint::black_box(messages);
        Ok(())
    }
}

/// Messages a second through the engine.
async fn engine(max_demand: usize, span: Duration) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let counter = Arc::new(Counter::default());
    let source = Numbers { stop: stop.clone(), counter: counter.clone() };
    let topology = Topology { in_flight_max: 20_000, ..Topology::new("bench", Shape::new("numbers")) }
        .processor(Processor {
            max_demand,
            capacity: 10 * max_demand,
            stages: vec!["no-op".into()],
            ..Processor::new("work")
        })
        .batcher(Batcher { batch_timeout: Duration::from_millis(200), ..Batcher::new("batch") });
    let no_op = stage::each(|message: &mut Message<u64>| {
        std::hint::black_box(message);
    });
    let components = Components::new(source).stage("no-op", no_op).sink("batch", Nothing);
    let started = Instant::now();
    let pipeline = Pipeline::start(topology, components).expect("the topology is valid");
    tokio::time::sleep(span).await;
    stop.store(true, Ordering::Relaxed);
    let report = pipeline.finished().await;
    let took = started.elapsed().as_secs_f64();
    assert_eq!(report.ledger.imbalance(), 0);
    assert_eq!(report.ledger.settled_total(), counter.0.load(Ordering::Relaxed));
    report.ledger.received as f64 / took
}

/// Messages a second through bounded tokio channels: a producer, 2 workers, a batcher, a sink.
async fn by_hand(group: usize, span: Duration) -> f64 {
    let (to_worker, from_producer) = async_channel::bounded::<Vec<u64>>(10);
    let (to_batcher, mut from_worker) = tokio::sync::mpsc::channel::<Vec<u64>>(10);
    let (to_sink, mut from_batcher) = tokio::sync::mpsc::channel::<Vec<u64>>(2);
    let started = Instant::now();
    let producer = tokio::spawn(async move {
        let mut next = 0;
        while started.elapsed() < span {
            let numbers: Vec<u64> = (next..next + group as u64).collect();
            next += group as u64;
            if to_worker.send(numbers).await.is_err() {
                return;
            }
        }
    });
    for _ in 0..2 {
        let (input, output) = (from_producer.clone(), to_batcher.clone());
        tokio::spawn(async move {
            while let Ok(mut numbers) = input.recv().await {
                numbers.iter_mut().for_each(|number| {
                    std::hint::black_box(number);
                });
                if output.send(numbers).await.is_err() {
                    return;
                }
            }
        });
    }
    drop((from_producer, to_batcher));
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(100);
        while let Some(numbers) = from_worker.recv().await {
            for number in numbers {
                batch.push(number);
                if batch.len() == 100
                    && to_sink.send(std::mem::replace(&mut batch, Vec::with_capacity(100))).await.is_err()
                {
                    return;
                }
            }
        }
        let _ = to_sink.send(batch).await;
    });
    let mut count = 0;
    while let Some(batch) = from_batcher.recv().await {
        count += std::hint::black_box(batch).len();
    }
    producer.await.expect("the producer ends");
    count as f64 / started.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args().filter_map(|arg| arg.parse::<f64>().ok()).next().unwrap_or(3.0);
    let span = Duration::from_secs_f64(seconds);
    println!("{:<34} {:>12} {:>12} {:>7}", "no-op with a batcher of 100", "engine/s", "by hand/s", "ratio");
    for group in [10, 100, 1000] {
        // alternating, so that a change of the machine's speed meets both
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            ours.push(engine(group, span).await);
            theirs.push(by_hand(group, span).await);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!("{:<34} {ours:>12.0} {theirs:>12.0} {:>7.2}", format!("groups of {group}, 2 workers"), ours / theirs);
    }
    let ages = latency(span * 3).await;
    println!(
        "emit to handler at 1,000/s: p50 {:.1} µs, p90 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs",
        micros(&ages, 0.5),
        micros(&ages, 0.9),
        micros(&ages, 0.99),
        micros(&ages, 0.999)
    );
    println!("resident: {:.1} MB", resident());
}

fn micros(ages: &Histogram<u64>, quantile: f64) -> f64 {
    ages.value_at_quantile(quantile) as f64 / 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
