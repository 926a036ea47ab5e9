//! What a pipeline tells about itself: figures by worker group, the ledger, and the metrics it publishes. Rules A10, A11.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broadside_engine::pipeline::State;
use broadside_engine::topology::{Processor, RateLimit};
use broadside_engine::{Components, Failure, Topology};
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, SharedString, Unit};

use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn times_say_who_is_busy_who_starves_and_who_is_blocked() {
    let (pusher, source) = source();
    let (slow, _) = step();
    let (fast, _) = step();
    let work = |name: &str| Processor {
        concurrency: 1,
        max_demand: 1,
        capacity: 1,
        stages: vec![name.to_owned()],
        ..Processor::new(name)
    };
    let topology = Topology { processors: vec![work("fast"), work("slow")], ..topology() };
    let components = Components::new(source).stage("fast", fast).stage("slow", slow.delay(|_| Duration::from_secs(1)));
    let pipeline = start(topology, components);
    pass(Duration::from_secs(5)).await;
    push(&pusher, 0..20).await;
    pass(Duration::from_secs(10)).await;
    let status = pipeline.status();
    let names: Vec<_> = status.groups.iter().map(|g| (g.name.as_str(), g.kind, g.workers)).collect();
    assert_eq!(names, [("push", "producer", 1), ("fast", "processor", 1), ("slow", "processor", 1)]);
    let seconds = |d: Duration| d.as_secs_f64().round();
    let [producer, fast, slow] = &status.groups[..] else { panic!("three groups") };
    assert_eq!((seconds(slow.busy), seconds(slow.starved), seconds(slow.blocked)), (10.0, 5.0, 0.0));
    assert_eq!((seconds(fast.busy), seconds(fast.starved), seconds(fast.blocked)), (0.0, 5.0, 10.0));
    assert_eq!((seconds(producer.starved), seconds(producer.blocked)), (5.0, 10.0));
    assert_eq!((slow.queue_depth, slow.queue_capacity), (1, 1));
    for group in &status.groups {
        assert_eq!(seconds(group.busy + group.starved + group.blocked), 15.0, "{group:?}");
    }
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn messages_and_failures_are_counted_where_they_happen() {
    let (pusher, source) = source();
    let ((stage, _), (sink, _)) = (step(), step());
    let fail = |m: &mut Record, below: u32| {
        if m.payload < below {
            m.fail(Failure::invalid("small"));
        }
    };
    let components = Components::new(source)
        .stage("step", stage.each(move |m| fail(m, 2)))
        .sink("out", sink.each(move |m| fail(m, 5)));
    push(&pusher, 0..10).await;
    pusher.finish();
    let pipeline = start(stepping().batcher(out(4)), components);
    ended(&pipeline).await;
    let status = pipeline.status();
    let counts: Vec<_> = status.groups.iter().map(|g| (g.messages, g.failed, g.queue_depth, g.workers)).collect();
    assert_eq!(counts, [(10, 0, 0, 0), (10, 2, 0, 0), (8, 3, 0, 0)]);
    assert_eq!(status.state, State::Stopped);
    assert_eq!((status.ledger.received, status.ledger.settled), (10, [5, 5, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn the_ledger_balances_at_every_moment() {
    let (pusher, source) = source();
    let ((stage, _), (sink, _)) = (step(), step());
    let components = Components::new(source)
        .stage("step", stage.delay(|group| millis(u64::from(group[0].payload % 5))))
        .sink("out", sink.delay(|batch| millis(u64::from(batch[0].payload % 11))));
    push(&pusher, 0..1_000).await;
    pusher.finish();
    let pipeline = start(stepping().batcher(out(7)), components);
    while pipeline.status().state != State::Stopped {
        assert_eq!(pipeline.status().ledger.imbalance(), 0);
        pass(millis(1)).await;
    }
    assert_eq!(pipeline.status().ledger.settled_total(), 1_000);
}

/// Keeps the last value of every counter and gauge.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<BTreeMap<String, f64>>>);

struct Cell(Recorder, String);

impl Recorder {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels: Vec<String> = key.labels().map(|l| format!("{}={}", l.key(), l.value())).collect();
        Arc::new(Cell(self.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }
}

impl Cell {
    fn update(&self, change: impl Fn(f64) -> f64) {
        let mut values = self.0.0.lock().unwrap();
        let value = values.entry(self.1.clone()).or_default();
        *value = change(*value);
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.update(|v| v + value as f64);
    }

    fn absolute(&self, value: u64) {
        self.update(|_| value as f64);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.update(|v| v + value);
    }

    fn decrement(&self, value: f64) {
        self.update(|v| v - value);
    }

    fn set(&self, value: f64) {
        self.update(|_| value);
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn publish_writes_the_figures_under_their_names() {
    let (pusher, source) = source();
    let (sink, _) = step();
    push(&pusher, 0..10).await;
    pusher.finish();
    let recorder = Recorder::default();
    let local = metrics::set_default_local_recorder(&recorder);
    let pipeline = start(topology().batcher(out(4)), Components::new(source).sink("out", sink));
    ended(&pipeline).await;
    pipeline.publish();
    drop(local);
    let values = recorder.0.lock().unwrap();
    for (name, value) in [
        ("broadside_source_received_total{pipeline=test,source=push}", 10.0),
        ("broadside_messages_settled_total{pipeline=test,outcome=successful}", 10.0),
        ("broadside_messages_settled_total{pipeline=test,outcome=abandoned}", 0.0),
        ("broadside_in_flight{pipeline=test}", 0.0),
        ("broadside_ledger_imbalance{pipeline=test}", 0.0),
        ("broadside_pipeline_state{pipeline=test,state=stopped}", 1.0),
        ("broadside_acknowledgements_total{pipeline=test,result=ok}", 3.0),
        ("broadside_queue_capacity{pipeline=test,group=work}", 1000.0),
        ("broadside_worker_messages_total{pipeline=test,group=out}", 10.0),
        ("broadside_batches_total{pipeline=test,batcher=out,trigger=size}", 2.0),
        ("broadside_batches_total{pipeline=test,batcher=out,trigger=drain}", 1.0),
    ] {
        assert_eq!(values.get(name), Some(&value), "{name} in {:#?}", values.keys());
    }
}

#[tokio::test(start_paused = true)]
async fn a_producer_says_what_it_waits_for() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (stage, _) = step();
    let rate_limit = Some(RateLimit { messages: 10, per: Duration::from_secs(10) });
    let mut topology = Topology { in_flight_max: 10, ..stepping() };
    topology.source.rate_limit = rate_limit;
    let pipeline = start(topology, Components::new(source).stage("step", stage.gate(&gate)));
    let waited = || {
        let producer = pipeline.status().groups[0].clone();
        let [starved, blocked, held, limited] =
            [producer.starved, producer.blocked, producer.held, producer.limited].map(|d| d.as_secs_f64().round());
        (starved, blocked, held, limited)
    };
    pass(Duration::from_secs(3)).await;
    assert_eq!(waited(), (3.0, 0.0, 0.0, 0.0), "for the source");
    push(&pusher, 0..100).await;
    pass(Duration::from_secs(20)).await;
    assert_eq!(waited(), (3.0, 20.0, 20.0, 0.0), "for something in flight to settle");
    gate.add_permits(100);
    pass(Duration::from_secs(30)).await;
    assert_eq!(waited(), (3.0, 20.0, 20.0, 30.0), "for the rate limit");
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn the_age_of_the_oldest_message_and_the_time_of_each_stage_are_known() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (stage, _) = step();
    let work = Processor { max_demand: 2, ..step_processor() };
    let topology = Topology { processors: vec![work], ..topology() };
    let pipeline = start(topology, Components::new(source).stage("step", stage.gate(&gate)));
    assert_eq!(pipeline.status().oldest_unsettled, None);
    settle_down().await;
    push(&pusher, 0..2).await;
    pass(Duration::from_secs(5)).await;
    push(&pusher, 2..4).await;
    pass(Duration::from_secs(7)).await;
    let age = || pipeline.status().oldest_unsettled.map(|age| age.as_secs_f64().round());
    assert_eq!(age(), Some(12.0));
    gate.add_permits(1);
    pass(Duration::from_secs(1)).await;
    assert_eq!(age(), Some(8.0), "the older pull is settled");
    gate.add_permits(1);
    settle_down().await;
    assert_eq!(age(), None);
    let stage = pipeline.status().stages[0].clone();
    assert_eq!((stage.group.as_str(), stage.stage.as_str(), stage.messages), ("work", "step", 4));
    assert_eq!(
        (stage.spent.as_secs_f64().round(), stage.computing),
        (13.0, Duration::ZERO),
        "it waited, and did no work"
    );
    assert_eq!(pipeline.status().groups[1].groups, 2);
    drained(&pipeline).await;
}
