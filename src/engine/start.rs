//! Wires the workers of a topology together and starts them.

use std::sync::atomic::{AtomicU8, AtomicUsize};
use std::sync::{Arc, Mutex};

use metrics::{counter, histogram};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::batch::Trigger;
use crate::book::Book;
use crate::components::Components;
use crate::judge::Judge;
use crate::pipeline::{Ledger, Pipeline, StartError, Status};
use crate::pure::accumulator::Rules;
use crate::pure::breaker::Breaker;
use crate::pure::latency::Recorder;
use crate::shared::{AckCounts, Shared};
use crate::sink::Sink;
use crate::telemetry::{Meter, StageMeter};
use crate::topology::{self, Topology};
use crate::worker::batch_processor::BatchProcessor;
use crate::worker::batcher::{Batcher, Hatch, Tuned};
use crate::worker::crew::{Crew, Run};
use crate::worker::drain::{Drain, Section};
use crate::worker::processor::{Exit, Named, Processor};
use crate::worker::producer::{Producer, Valve};
use crate::worker::queue::Queue;

/// What a pipeline's handle needs to know of a worker group, whatever its payload type.
pub(crate) struct GroupHandle {
    pub(crate) meter: Arc<Meter>,
    /// The crew whose size can be changed: processors' workers, sink workers.
    pub(crate) crew: Arc<Crew>,
    pub(crate) depth: Box<dyn Fn() -> usize + Send + Sync>,
    pub(crate) capacity: Box<dyn Fn() -> usize + Send + Sync>,
    /// Changes its queue: how many may wait, how many a worker takes at once.
    pub(crate) resize: Box<dyn Fn(usize, usize) + Send + Sync>,
    /// Of a batcher.
    pub(crate) tuned: Option<Arc<Tuned>>,
    /// Of a processor.
    pub(crate) stages: Vec<Arc<StageMeter>>,
}

struct Start<T> {
    topology: Topology,
    components: Components<T>,
    shared: Arc<Shared<T>>,
    /// Where one of this name stood that has ended.
    before: Option<Status>,
    abort: CancellationToken,
    groups: Vec<GroupHandle>,
    sections: Vec<Section<T>>,
    sinks: Vec<(Arc<str>, Arc<dyn Sink<T>>)>,
}

/// Starts every worker, those nearest the sinks first.
pub(crate) fn start<T: Send + 'static>(
    topology: Topology,
    components: Components<T>,
    before: Option<Status>,
) -> Result<Pipeline, StartError> {
    check(&topology, &components)?;
    let ledger = before.as_ref().map_or_else(Ledger::default, |before| before.ledger);
    let pipeline: Arc<str> = topology.name.as_str().into();
    let trips = before.as_ref().and_then(|before| before.breaker.as_ref()).map_or(0, |breaker| breaker.trips);
    let breaker = topology.breaker.map(|rules| Breaker::new(rules).after(trips));
    let judge = Judge::new(pipeline.clone(), breaker, topology.alert_above);
    let book = Arc::new(Book::new(topology.in_flight_max, ledger, judge));
    let shared = Arc::new(Shared {
        pipeline: pipeline.clone(),
        book,
        acknowledger: components.source.acknowledger(),
        failure_handler: components.failure_handler.clone(),
        acks: Arc::new(AckCounts::after(before.as_ref())),
        end_to_end: histogram!("broadside_end_to_end_seconds", "pipeline" => topology.name.clone()),
        latencies: Arc::new(Recorder::after(before.as_ref().map(|before| &before.latencies))),
    });
    let (groups, sections, sinks) = (Vec::new(), Vec::new(), Vec::new());
    let abort = CancellationToken::new();
    let mut start = Start { topology, components, shared, before, abort, groups, sections, sinks };
    let roots = start.batchers();
    let first = start.processors(roots);
    Ok(start.producers(first))
}

fn check<T>(topology: &Topology, components: &Components<T>) -> Result<(), StartError> {
    topology.validate().map_err(StartError::Topology)?;
    for processor in &topology.processors {
        for stage in &processor.stages {
            if !components.stages.contains_key(stage) {
                let (processor, stage) = (processor.name.clone(), stage.clone());
                return Err(StartError::MissingStage { processor, stage });
            }
        }
    }
    for batcher in &topology.batchers {
        if !components.sinks.contains_key(&batcher.name) {
            return Err(StartError::MissingSink(batcher.name.clone()));
        }
        if batcher.batch_bytes.is_some() && components.size_of.is_none() {
            return Err(StartError::MissingSizeOf(batcher.name.clone()));
        }
    }
    Ok(())
}

impl<T: Send + 'static> Start<T> {
    fn queue(&self, name: &str, capacity: usize, max: usize, partitioned: bool) -> Arc<Queue<T>> {
        let partition_by = if partitioned { self.components.partition_by.get(name).cloned() } else { None };
        Arc::new(Queue::new(capacity, max, partition_by, self.shared.book.clone()))
    }

    /// Starts batchers and sink workers, the end of each chain first; answers the queues that processors feed.
    fn batchers(&mut self) -> Vec<(Arc<str>, Arc<Queue<T>>)> {
        let mut roots = Vec::new();
        let mut started: Vec<(GroupHandle, Section<T>)> = Vec::new();
        let names: Vec<String> =
            self.topology.batchers.iter().filter(|b| b.after.is_none()).map(|b| b.name.clone()).collect();
        for root in names {
            let chain: Vec<usize> =
                self.topology.chain(&root).iter().filter_map(|name| self.topology.batcher_index(name)).collect();
            let mut next = None;
            let mut sections = Vec::new();
            for index in chain.into_iter().rev() {
                let (group, section) = self.batcher(index, next.take());
                next = Some(section.queue.clone());
                sections.push((group, section));
            }
            started.extend(sections.into_iter().rev());
            roots.extend(next.map(|queue| (Arc::from(root), queue)));
        }
        for (group, section) in started {
            self.groups.push(group);
            self.sections.push(section);
        }
        roots
    }

    fn batcher(&mut self, index: usize, next: Option<Arc<Queue<T>>>) -> (GroupHandle, Section<T>) {
        let shape = self.topology.batchers[index].clone();
        let (pipeline, name): (_, Arc<str>) = (self.topology.name.clone(), shape.name.as_str().into());
        let sink = self.components.sinks[&shape.name].clone();
        self.sinks.push((name.clone(), sink.clone()));
        let queue = self.queue(&shape.name, shape.capacity, shape.batch_size.min(shape.capacity), false);
        let hatch = Arc::new(Hatch::new());
        let meter = Meter::after(name.clone(), "batcher", self.before.as_ref());
        let tuned = Arc::new(Tuned::new(rules(&shape)));
        let held = Arc::new(AtomicUsize::new(0));
        let batcher = Arc::new(Batcher {
            name: name.clone(),
            shared: self.shared.clone(),
            queue: queue.clone(),
            tuned: tuned.clone(),
            partition_by: self.components.partition_by.get(&shape.name).cloned(),
            size_of: self.components.size_of.clone(),
            hatch: hatch.clone(),
            // the sink workers' times say more of a batcher than its own
            meter: Meter::new(name.clone(), "batcher"),
            sizes: histogram!("broadside_batch_size", "pipeline" => pipeline.clone(), "batcher" => shape.name.clone()),
            emitted: Trigger::ALL.map(|trigger| {
                counter!(
                    "broadside_batches_total",
                    "pipeline" => pipeline.clone(), "batcher" => shape.name.clone(), "trigger" => trigger.as_str()
                )
            }),
            held: held.clone(),
        });
        let processor = Arc::new(BatchProcessor {
            name: name.clone(),
            index,
            shared: self.shared.clone(),
            hatch,
            sink,
            next,
            meter: meter.clone(),
            seconds: histogram!("broadside_batch_seconds", "pipeline" => pipeline, "batcher" => shape.name.clone()),
        });
        let run: Run = Arc::new(move |place| Box::pin(batcher.clone().run(place)));
        let batcher = Arc::new(Crew::start(1, self.abort.clone(), run));
        let run: Run = Arc::new(move |place| Box::pin(processor.clone().run(place)));
        let crew = Arc::new(Crew::start(shape.concurrency, self.abort.clone(), run));
        let waiting = queue.clone();
        let depth = Box::new(move || waiting.len() + held.load(std::sync::atomic::Ordering::Relaxed));
        let (asked, resized) = (queue.clone(), queue.clone());
        let group = GroupHandle {
            meter,
            crew: crew.clone(),
            depth,
            capacity: Box::new(move || 2 * asked.capacity()),
            resize: Box::new(move |capacity, max| resized.resize(capacity, max)),
            tuned: Some(tuned),
            stages: Vec::new(),
        };
        (group, Section { name, queue, crews: vec![batcher, crew] })
    }

    /// Starts the processors, the last first; answers the first one's queue.
    fn processors(&mut self, roots: Vec<(Arc<str>, Arc<Queue<T>>)>) -> Arc<Queue<T>> {
        let mut exit = if roots.is_empty() { Exit::Settle } else { Exit::Batchers(roots) };
        let mut first = None;
        let mut after = self.topology.stages().count();
        for shape in self.topology.processors.clone().into_iter().rev() {
            after -= shape.stages.len();
            let queue = self.processor(&shape, after, exit);
            exit = Exit::Processor(queue.clone());
            first = Some(queue);
        }
        // the topology is validated: there is a processor
        first.unwrap_or_else(|| self.queue("", 1, 1, false))
    }

    /// `before`: how many stages messages have passed when they come here.
    fn processor(&mut self, shape: &topology::Processor, before: usize, exit: Exit<T>) -> Arc<Queue<T>> {
        let name: Arc<str> = shape.name.as_str().into();
        let queue = self.queue(&shape.name, shape.capacity, shape.max_demand, true);
        let meter = Meter::after(name.clone(), "processor", self.before.as_ref());
        let indexed = shape.stages.iter().zip(before..);
        let stages: Vec<Named<T>> = indexed.map(|(stage, index)| self.stage(&shape.name, stage, index)).collect();
        let meters = stages.iter().map(|stage| stage.meter.clone()).collect();
        let processor = Arc::new(Processor {
            name: name.clone(),
            shared: self.shared.clone(),
            queue: queue.clone(),
            stages,
            exit,
            meter: meter.clone(),
        });
        let run: Run = Arc::new(move |place| Box::pin(processor.clone().run(place)));
        let crew = Arc::new(Crew::start(shape.concurrency, self.abort.clone(), run));
        let (waiting, asked, resized) = (queue.clone(), queue.clone(), queue.clone());
        let group = GroupHandle {
            meter,
            crew: crew.clone(),
            depth: Box::new(move || waiting.len()),
            capacity: Box::new(move || asked.capacity()),
            resize: Box::new(move |capacity, max| resized.resize(capacity, max)),
            tuned: None,
            stages: meters,
        };
        self.groups.insert(0, group);
        self.sections.insert(0, Section { name, queue: queue.clone(), crews: vec![crew] });
        queue
    }

    fn stage(&self, processor: &str, name: &str, index: usize) -> Named<T> {
        let meter = StageMeter::after(processor, name, self.before.as_ref());
        let seconds = histogram!(
            "broadside_stage_seconds", "pipeline" => self.topology.name.clone(), "stage" => name.to_owned()
        );
        Named { name: name.into(), index, stage: self.components.stages[name].clone(), seconds, meter }
    }

    /// Starts the producers and the task that sees the pipeline to its end.
    fn producers(self, first: Arc<Queue<T>>) -> Pipeline {
        let source = &self.topology.source;
        let name: Arc<str> = source.name.as_str().into();
        let meter = Meter::after(name.clone(), "producer", self.before.as_ref());
        let restarts = self.before.as_ref().map_or(0, |before| before.source_restarts);
        let valve = Arc::new(Valve::new(source.rate_limit, self.topology.drain_deadline, restarts));
        let mut producers = JoinSet::new();
        for index in 0..source.concurrency {
            let producer = Producer {
                index,
                name: name.clone(),
                shared: self.shared.clone(),
                factory: self.components.source.clone(),
                queue: first.clone(),
                valve: valve.clone(),
                meter: meter.clone(),
                restart: source.restart,
            };
            producers.spawn(producer.run());
        }
        let state = Arc::new(AtomicU8::new(0));
        let (report, reported) = watch::channel(None);
        let drain = Drain {
            shared: self.shared.clone(),
            source: name,
            producers,
            sections: self.sections,
            sinks: self.sinks,
            valve: valve.clone(),
            abort: self.abort,
            state: state.clone(),
            report,
        };
        Pipeline {
            has_size_of: self.components.size_of.is_some(),
            topology: Mutex::new(Arc::new(self.topology)),
            book: self.shared.book.clone(),
            acks: self.shared.acks.clone(),
            latencies: self.shared.latencies.clone(),
            producers: meter,
            groups: self.groups,
            valve,
            state,
            reported,
            _end: tokio::spawn(drain.run()),
        }
    }
}

pub(crate) fn rules(shape: &topology::Batcher) -> Rules {
    let topology::Batcher { batch_size: size, batch_bytes: bytes, batch_timeout: timeout, eager, .. } = *shape;
    Rules { size, bytes, timeout, eager }
}
