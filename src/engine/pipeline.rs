//! A topology with its components, running.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::book::Book;
use crate::components::Components;
use crate::message::Outcome;
use crate::pure::breaker::BreakerStatus;
use crate::pure::failure_share::Recent;
use crate::pure::latency::{Latencies, Recorder};
use crate::shared::AckCounts;
use crate::start::{self, GroupHandle};
use crate::telemetry::{self, Meter};
use crate::topology::{BreakerRules, Invalid, RateLimit, Topology};
use crate::worker::producer::Valve;

/// Why a pipeline cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Topology(Vec<Invalid>),
    #[error("processor `{processor}` names stage `{stage}`, and there is none")]
    MissingStage { processor: String, stage: String },
    #[error("batcher `{0}` has no sink")]
    MissingSink(String),
    #[error("batcher `{0}` has batch_bytes, and there is no size_of")]
    MissingSizeOf(String),
}

/// What a running pipeline is asked for that it does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    #[error("there is no worker group `{0}`")]
    UnknownGroup(String),
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Topology(Vec<Invalid>),
    #[error("`{0}` differs in more than numbers: that needs another pipeline")]
    Shape(String),
    #[error("batcher `{0}` has batch_bytes, and there is no size_of")]
    MissingSizeOf(String),
}

/// Where the messages of a pipeline are: `received = settled + in_flight`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Pulled from the source.
    pub received: u64,
    /// By outcome, in the order of [`Outcome::ALL`].
    pub settled: [u64; 5],
    /// Counted by permits, apart from the two above.
    pub in_flight: u64,
}

impl Ledger {
    /// Settled with this outcome.
    #[must_use]
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.settled[outcome as usize]
    }

    /// Settled in all.
    #[must_use]
    pub fn settled_total(&self) -> u64 {
        self.settled.iter().sum()
    }

    /// What does not add up: 0 unless the engine has a fault.
    #[must_use]
    pub fn imbalance(&self) -> i64 {
        self.received as i64 - self.settled_total() as i64 - self.in_flight as i64
    }
}

/// What a pipeline is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running,
    Paused,
    Draining,
    Stopped,
}

impl State {
    /// The word used in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

/// One worker group's figures since start. Times are summed over workers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupStatus {
    pub name: String,
    /// `producer`, `processor` or `batcher`.
    pub kind: &'static str,
    pub workers: usize,
    /// Messages waiting in its queue (for a batcher: and in its open and closed batches).
    pub queue_depth: usize,
    pub queue_capacity: usize,
    pub busy: Duration,
    /// Waiting for messages.
    pub starved: Duration,
    /// Waiting for room downstream; of a producer, also for a permit in flight.
    pub blocked: Duration,
    /// That part of `blocked` in which a producer waited for a permit: as much is in flight as may be.
    pub held: Duration,
    /// Of a producer: waiting for the rate limit.
    pub limited: Duration,
    /// That part of `busy` in which its code was at work itself; the rest it waited for something outside.
    pub computing: Duration,
    /// Groups of messages, or batches, that its workers took up.
    pub groups: u64,
    /// Messages that passed it.
    pub messages: u64,
    /// Messages that failed in it.
    pub failed: u64,
}

/// One stage's figures since start, summed over workers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StageStatus {
    /// The processor that it stands in.
    pub group: String,
    pub stage: String,
    /// In calls that have ended.
    pub spent: Duration,
    /// That part of it in which the stage was at work itself, rather than waiting for something.
    pub computing: Duration,
    pub messages: u64,
}

/// A pipeline at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    pub ledger: Ledger,
    pub groups: Vec<GroupStatus>,
    /// In the order in which messages pass them.
    pub stages: Vec<StageStatus>,
    /// The age of the oldest message that is not settled.
    pub oldest_unsettled: Option<Duration>,
    /// How many times the source was built again.
    pub source_restarts: u64,
    /// Why the source gave up, if it did.
    pub source_failure: Option<String>,
    /// Calls of acknowledgers that returned.
    pub acknowledgements: u64,
    /// Calls of acknowledgers that panicked.
    pub acknowledgements_panicked: u64,
    pub in_flight_max: usize,
    pub rate_limit: Option<RateLimit>,
    /// What slows a source of rubbish down, if anything does.
    pub breaker: Option<BreakerStatus>,
    /// Failures of the last five minutes.
    pub recent: Recent,
    /// Received → settled, of all that was settled since the start.
    pub latencies: Latencies,
}

/// How a pipeline ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// At the end: nothing in flight.
    pub ledger: Ledger,
    /// From the start of the drain to its end.
    pub took: Duration,
    /// The deadline passed: what was then in flight is abandoned.
    pub deadline_passed: bool,
    /// The source used up its restart budget.
    pub source_failure: Option<String>,
}

/// A running pipeline: the handle that watches and steers it. Dropping the handle does not stop it: [`Pipeline::drain`] does.
pub struct Pipeline {
    /// The shape as it is now.
    pub(crate) topology: Mutex<Arc<Topology>>,
    pub(crate) has_size_of: bool,
    pub(crate) book: Arc<Book>,
    pub(crate) acks: Arc<AckCounts>,
    pub(crate) latencies: Arc<Recorder>,
    pub(crate) producers: Arc<Meter>,
    pub(crate) groups: Vec<GroupHandle>,
    pub(crate) valve: Arc<Valve>,
    pub(crate) state: Arc<AtomicU8>,
    pub(crate) reported: watch::Receiver<Option<Report>>,
    /// Sees the pipeline to its end, whether or not anyone holds this handle.
    pub(crate) _end: JoinHandle<()>,
}

impl Pipeline {
    /// Starts every worker. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The topology is invalid, or names what the components lack.
    pub fn start<T: Send + 'static>(topology: Topology, components: Components<T>) -> Result<Self, StartError> {
        start::start(topology, components, None)
    }

    /// The same in the place of a pipeline that has ended: counters go on from where that one stood.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_after<T: Send + 'static>(
        before: Status,
        topology: Topology,
        components: Components<T>,
    ) -> Result<Self, StartError> {
        start::start(topology, components, Some(before))
    }

    /// The shape as it is now: its numbers can be changed.
    #[must_use]
    pub fn topology(&self) -> Arc<Topology> {
        self.shape().clone()
    }

    fn shape(&self) -> MutexGuard<'_, Arc<Topology>> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            s if s == State::Draining as u8 => State::Draining,
            s if s == State::Stopped as u8 => State::Stopped,
            _ if self.valve.drain.is_cancelled() => State::Draining,
            _ if self.valve.is_paused() => State::Paused,
            _ => State::Running,
        }
    }

    /// Where it stands: producers first, then the worker groups in the order in which messages pass them.
    #[must_use]
    pub fn status(&self) -> Status {
        let groups = self.groups.iter().map(|group| group.meter.status((group.depth)(), (group.capacity)()));
        Status {
            state: self.state(),
            ledger: self.book.ledger(),
            groups: std::iter::once(self.producers.status(0, 0)).chain(groups).collect(),
            stages: self.groups.iter().flat_map(|group| &group.stages).map(|stage| stage.status()).collect(),
            oldest_unsettled: self.book.oldest_unsettled(),
            source_restarts: self.valve.restarts.load(Ordering::Relaxed),
            source_failure: self.valve.failure(),
            acknowledgements: self.acks.ok.load(Ordering::Relaxed),
            acknowledgements_panicked: self.acks.panicked.load(Ordering::Relaxed),
            in_flight_max: self.book.limit(),
            rate_limit: self.shape().source.rate_limit,
            breaker: self.book.judge.breaker(),
            recent: self.book.judge.recent(),
            latencies: self.latencies.read(),
        }
    }

    /// Writes counters and gauges to the `metrics` recorder: to be called before each scrape. Histograms are recorded as things happen.
    pub fn publish(&self) {
        let topology = self.topology();
        telemetry::publish(&topology.name, &topology.source.name, &self.status());
    }

    /// Stops pulling; what is in flight goes on.
    pub fn pause(&self) {
        self.valve.pause();
    }

    /// Pulls again.
    pub fn resume(&self) {
        self.valve.resume();
    }

    /// Changes the number of workers of a processor, or of sink workers of a batcher. Those too many leave after their present group.
    ///
    /// # Errors
    /// No such group, or zero workers.
    pub fn set_concurrency(&self, group: &str, workers: usize) -> Result<(), ControlError> {
        if workers == 0 {
            return Err(ControlError::Zero("concurrency"));
        }
        let workers = workers.min(crate::topology::WORKERS_MAX);
        let mut shape = self.shape();
        let topology = Arc::make_mut(&mut shape);
        let processor = topology.processors.iter_mut().find(|p| p.name == group).map(|p| &mut p.concurrency);
        let batcher = topology.batchers.iter_mut().find(|b| b.name == group).map(|b| &mut b.concurrency);
        let Some(concurrency) = processor.or(batcher) else {
            return Err(ControlError::UnknownGroup(group.to_owned()));
        };
        *concurrency = workers;
        self.handles(group).for_each(|handle| handle.crew.resize(workers));
        Ok(())
    }

    fn handles(&self, group: &str) -> impl Iterator<Item = &GroupHandle> {
        self.groups.iter().filter(move |handle| &*handle.meter.name == group)
    }

    /// Takes over the numbers of a topology of the same shape, all that differ, in one step: of its worker groups concurrency, `max_demand`, capacity and what
    /// closes a batch; the limits; the breaker; the drain's deadline, unless the drain has begun. Nothing is lost or restarted, and partitions keep their order: what
    /// is beyond a lower number is worked off, and no more is taken until then.
    ///
    /// # Errors
    /// It is invalid, or differs in more than numbers: nothing is changed.
    pub fn tune(&self, to: &Topology) -> Result<(), ControlError> {
        to.validate().map_err(ControlError::Topology)?;
        let mut shape = self.shape();
        if let Some(part) = shape.differs_in_shape(to) {
            return Err(ControlError::Shape(part));
        }
        if let Some(batcher) = to.batchers.iter().find(|b| b.batch_bytes.is_some() && !self.has_size_of) {
            return Err(ControlError::MissingSizeOf(batcher.name.clone()));
        }
        for (from, to) in shape.processors.iter().zip(&to.processors).filter(|(from, to)| from != to) {
            for handle in self.handles(&from.name) {
                (handle.resize)(to.capacity, to.max_demand);
                handle.crew.resize(to.concurrency);
            }
        }
        for (from, to) in shape.batchers.iter().zip(&to.batchers).filter(|(from, to)| from != to) {
            for handle in self.handles(&from.name) {
                (handle.resize)(to.capacity, to.batch_size.min(to.capacity));
                handle.crew.resize(to.concurrency);
                handle.tuned.iter().for_each(|tuned| tuned.set(start::rules(to)));
            }
        }
        if shape.in_flight_max != to.in_flight_max {
            self.apply_in_flight_max(to.in_flight_max);
        }
        if shape.source.rate_limit != to.source.rate_limit {
            self.valve.set_limit(to.source.rate_limit);
        }
        self.valve.set_deadline(to.drain_deadline);
        if shape.breaker != to.breaker {
            self.book.judge.set_rules(to.breaker);
        }
        self.book.judge.set_alert_above(to.alert_above);
        *shape = Arc::new(to.clone());
        Ok(())
    }

    /// Changes, sets or lifts the rate limit, from now on, with a fresh allowance.
    ///
    /// # Errors
    /// Zero messages or no time.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) -> Result<(), ControlError> {
        if limit.is_some_and(|limit| limit.messages == 0) {
            return Err(ControlError::Zero("rate_limit messages"));
        }
        if limit.is_some_and(|limit| limit.per.is_zero()) {
            return Err(ControlError::Zero("rate_limit per"));
        }
        Arc::make_mut(&mut self.shape()).source.rate_limit = limit;
        self.valve.set_limit(limit);
        Ok(())
    }

    /// Changes the breaker's numbers, sets a breaker, or lifts it. One that has tripped stays so until its probes succeed by the new numbers.
    ///
    /// # Errors
    /// A number that is 0.
    pub fn set_breaker(&self, rules: Option<BreakerRules>) -> Result<(), ControlError> {
        if let Some(rules) = rules {
            let numbers = [("window", rules.window), ("run", rules.run), ("successes", rules.successes)];
            if let Some((name, _)) = numbers.into_iter().find(|(_, number)| *number == 0) {
                return Err(ControlError::Zero(name));
            }
            if rules.share <= 0.0 || rules.probe_every.is_zero() {
                return Err(ControlError::Zero(if rules.probe_every.is_zero() { "probe_every" } else { "share" }));
            }
        }
        Arc::make_mut(&mut self.shape()).breaker = rules;
        self.book.judge.set_rules(rules);
        Ok(())
    }

    /// Changes the share of failures above which the status raises its alert.
    pub fn set_alert_above(&self, share: Option<f64>) {
        Arc::make_mut(&mut self.shape()).alert_above = share;
        self.book.judge.set_alert_above(share);
    }

    /// Changes the in-flight limit. A lower one takes hold as messages settle.
    ///
    /// # Errors
    /// Zero.
    pub fn set_in_flight_max(&self, limit: usize) -> Result<(), ControlError> {
        if limit == 0 {
            return Err(ControlError::Zero("in_flight_max"));
        }
        Arc::make_mut(&mut self.shape()).in_flight_max = limit;
        self.apply_in_flight_max(limit);
        Ok(())
    }

    fn apply_in_flight_max(&self, limit: usize) {
        let lower = limit < self.book.limit();
        self.book.set_limit(limit);
        if lower {
            self.valve.call_back();
        }
    }

    /// Begins the drain: no further pull, everything in flight is finished, within the topology's deadline. Returns at once; safe to repeat.
    pub fn drain(&self) {
        self.valve.drain.cancel();
    }

    /// Waits until the pipeline has ended: by a drain, because a finite source finished, or because its source gave up.
    pub async fn finished(&self) -> Report {
        let mut reported = self.reported.clone();
        loop {
            if let Some(report) = &*reported.borrow_and_update() {
                return report.clone();
            }
            if reported.changed().await.is_err() {
                // the runtime ends before the pipeline does
                let source_failure = self.valve.failure();
                let ledger = self.book.ledger();
                return Report { ledger, took: Duration::ZERO, deadline_passed: true, source_failure };
            }
        }
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("topology", &self.topology()).field("status", &self.status()).finish()
    }
}
