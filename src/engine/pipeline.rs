//! A topology with its components, running.

use std::time::Duration;

use crate::components::Components;
use crate::message::Outcome;
use crate::topology::{Invalid, RateLimit, Topology};

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
    /// Waiting for room downstream.
    pub blocked: Duration,
    /// Messages that passed it.
    pub messages: u64,
    /// Messages that failed in it.
    pub failed: u64,
}

/// A pipeline at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    pub ledger: Ledger,
    pub groups: Vec<GroupStatus>,
    /// How many times the source was built again.
    pub source_restarts: u64,
    /// Why the source gave up, if it did.
    pub source_failure: Option<String>,
    pub in_flight_max: usize,
    pub rate_limit: Option<RateLimit>,
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
#[derive(Debug)]
pub struct Pipeline {
    topology: Topology,
}

#[allow(clippy::unimplemented, unused_variables)]
impl Pipeline {
    /// Starts every worker. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The topology is invalid, or names what the components lack.
    pub fn start<T: Send + 'static>(topology: Topology, components: Components<T>) -> Result<Self, StartError> {
        unimplemented!()
    }

    /// The shape it was started with.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        unimplemented!()
    }

    /// Writes counters and gauges to the `metrics` recorder: to be called before each scrape. Histograms are recorded as things happen.
    pub fn publish(&self) {
        unimplemented!()
    }

    /// Stops pulling; what is in flight goes on.
    pub fn pause(&self) {
        unimplemented!()
    }

    /// Pulls again.
    pub fn resume(&self) {
        unimplemented!()
    }

    /// Changes the number of workers of a processor or batcher.
    ///
    /// # Errors
    /// No such group, or zero workers.
    pub fn set_concurrency(&self, group: &str, workers: usize) -> Result<(), ControlError> {
        unimplemented!()
    }

    /// Changes, sets or lifts the rate limit, from now on.
    ///
    /// # Errors
    /// Zero messages or no time.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) -> Result<(), ControlError> {
        unimplemented!()
    }

    /// Changes the in-flight limit. A lower one takes hold as messages settle.
    ///
    /// # Errors
    /// Zero.
    pub fn set_in_flight_max(&self, limit: usize) -> Result<(), ControlError> {
        unimplemented!()
    }

    /// Begins the drain: no further pull, everything in flight is finished, within the topology's deadline. Returns at once; safe to repeat.
    pub fn drain(&self) {
        unimplemented!()
    }

    /// Waits until the pipeline has ended: by a drain, because a finite source finished, or because its source gave up.
    pub async fn finished(&self) -> Report {
        unimplemented!()
    }
}
