//! The example of `docs/components.md`: a source, a stage and a sink, and the pipeline that they make. The blocks there are parts of this file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use broadside_engine::source::{Demand, Factory, Flow};
use broadside_engine::testing::contract;
use broadside_engine::topology::{self, Topology};
use broadside_engine::{
    Acknowledger, Batch, Components, Failure, LowWatermark, Message, Outcome, Pipeline, Sink, Source, Stage, ack, stage,
};

/// A line of a file. The engine only carries it.
#[derive(Clone)]
struct Line {
    text: String,
    amount: Option<i64>,
}

/// Reads lines from where it was left.
struct Lines {
    file: Arc<Vec<String>>,
    next: u64,
    checkpoint: Arc<Checkpoint>,
}

#[async_trait]
impl Source<Line> for Lines {
    async fn pull(&mut self, demand: &mut Demand<Line>) -> Result<Flow, Failure> {
        while demand.room() > 0 {
            let Some(text) = self.file.get(self.next as usize) else { return Ok(Flow::Finished) };
            let line = Line { text: text.clone(), amount: None };
            self.checkpoint.lock().track(self.next);
            demand.push(Message::new(line).with_position(0, self.next));
            self.next += 1;
        }
        Ok(Flow::More)
    }
}

/// Below it every line is safe. It hears how lines were settled, in any order.
#[derive(Default)]
struct Checkpoint(Mutex<LowWatermark>);

impl Checkpoint {
    fn lock(&self) -> MutexGuard<'_, LowWatermark> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Acknowledger<Line> for Checkpoint {
    async fn acknowledge(&self, _reference: u64, messages: &mut [Message<Line>]) {
        for message in messages.iter().filter(|message| ack::is_safe(message.outcome())) {
            // A real one stores what this answers.
            self.lock().settle(message.position());
        }
    }
}

/// Builds the source, and builds it again after a crash.
struct File {
    lines: Arc<Vec<String>>,
    checkpoint: Arc<Checkpoint>,
}

#[async_trait]
impl Factory<Line> for File {
    async fn build(&self, _index: usize) -> Result<Box<dyn Source<Line>>, Failure> {
        let next = self.checkpoint.lock().reached().map_or(0, |reached| reached + 1);
        Ok(Box::new(Lines { file: self.lines.clone(), next, checkpoint: self.checkpoint.clone() }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Line>> {
        self.checkpoint.clone()
    }
}

/// Reads the amount. A line that holds none fails by itself, and touches no other.
fn read_amount() -> impl Stage<Line> {
    stage::each(|message: &mut Message<Line>| {
        let text = message.payload.text.trim();
        if text.is_empty() {
            message.filter();
            return;
        }
        match text.parse() {
            Ok(amount) => message.payload.amount = Some(amount),
            Err(_) => message.fail(Failure::invalid("read the amount: it is no number")),
        }
    })
}

/// Keeps amounts by their text, so that a line that comes twice is kept once.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<BTreeMap<String, i64>>>);

#[async_trait]
impl Sink<Line> for Ledger {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Line>]) -> Result<(), Failure> {
        let amounts =
            messages.iter().filter_map(|message| Some((message.payload.text.clone(), message.payload.amount?)));
        let amounts: Vec<(String, i64)> = amounts.collect();
        // All or nothing: a refusal leaves nothing behind, and the engine looks for the line that it was for.
        if amounts.iter().any(|(_, amount)| *amount < 0) {
            return Err(Failure::invalid("keep the amounts: one is below 0"));
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(amounts);
        Ok(())
    }
}

#[tokio::test]
async fn the_pipeline_of_the_example_settles_every_line() {
    let text = ["10", "", "ten", "32", "-5", "7"].map(str::to_owned);
    let (ledger, checkpoint) = (Ledger::default(), Arc::new(Checkpoint::default()));
    let file = File { lines: Arc::new(text.to_vec()), checkpoint: checkpoint.clone() };
    // The shape: what runs how often, and what may wait between.
    let topology = Topology::new("amounts", topology::Source::new("lines"))
        .processor(topology::Processor { stages: vec!["read".into()], ..topology::Processor::new("parse") })
        .batcher(topology::Batcher { batch_size: 100, eager: true, ..topology::Batcher::new("keep") });
    // The code, by the names of the shape.
    let components = Components::new(file).stage("read", read_amount()).sink("keep", ledger.clone());
    let pipeline = Pipeline::start(topology, components).unwrap();
    // The file has an end, and so has the pipeline. One that has none is ended with `drain`.
    let report = pipeline.finished().await;
    assert_eq!(report.ledger.imbalance(), 0);
    let outcomes =
        [Outcome::Successful, Outcome::Filtered, Outcome::Failed].map(|outcome| report.ledger.outcome(outcome));
    assert_eq!(outcomes, [3, 1, 2]);
    assert_eq!(ledger.0.lock().unwrap().values().sum::<i64>(), 49);
    // Line 2 failed: a restart begins there. With dead letters it would be kept, and so be safe.
    assert_eq!(checkpoint.lock().reached(), Some(1));
}

#[tokio::test]
async fn the_components_of_the_example_keep_the_contracts() {
    let lines: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let line = |text: &String| Line { text: text.clone(), amount: text.parse().ok() };
    let file = File { lines: Arc::new(lines.clone()), checkpoint: Arc::default() };
    assert_eq!(contract::source(&file, |line| line.text.clone()).await, lines);
    contract::stage(&read_amount(), || lines.iter().map(line).collect(), |message| message.payload.amount).await;
    contract::sink(&Ledger::default(), || lines.iter().map(line).collect()).await;
}
