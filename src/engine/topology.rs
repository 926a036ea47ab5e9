//! The validated shape of a pipeline: names and numbers, no code.

use std::collections::HashSet;
use std::time::Duration;

/// Messages allowed per span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many; at least 1.
    pub messages: u32,
    /// In how long; more than zero.
    pub per: Duration,
}

/// How often a source may crash before the pipeline gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartBudget {
    /// Restarts allowed …
    pub restarts: u32,
    /// … within this time.
    pub within: Duration,
    /// Wait before the first restart; doubles with each further one in the window, up to `delay_max`.
    pub delay: Duration,
    /// The longest wait.
    pub delay_max: Duration,
}

impl Default for RestartBudget {
    fn default() -> Self {
        Self {
            restarts: 10,
            within: Duration::from_secs(60),
            delay: Duration::from_millis(100),
            delay_max: Duration::from_secs(10),
        }
    }
}

/// When a source whose messages fail is slowed to a trickle, and when it is trusted again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerRules {
    /// It looks at the last so many messages that succeeded or failed; what is filtered does not count.
    pub window: usize,
    /// It trips when this share of a full window has failed, …
    pub share: f64,
    /// … or so many messages in a row.
    pub run: usize,
    /// Then one message at a time is pulled, at most one in so long, each a probe.
    pub probe_every: Duration,
    /// So many probes in a row must succeed before everything is pulled again.
    pub successes: usize,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { window: 200, share: 0.5, run: 100, probe_every: Duration::from_secs(1), successes: 10 }
    }
}

/// The source's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in metrics and logs.
    pub name: String,
    /// Producers, each with a source of its own.
    pub concurrency: usize,
    /// Shared by all producers; nothing passes by it.
    pub rate_limit: Option<RateLimit>,
    /// What a crash costs.
    pub restart: RestartBudget,
}

impl Source {
    /// One producer, no rate limit, the default restart budget.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), concurrency: 1, rate_limit: None, restart: RestartBudget::default() }
    }
}

/// A group of workers that run stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processor {
    /// Its name, unique among the worker groups.
    pub name: String,
    /// Workers.
    pub concurrency: usize,
    /// The most messages that a worker takes at once.
    pub max_demand: usize,
    /// The most messages that wait in its queue.
    pub capacity: usize,
    /// Names of its stages, in order.
    pub stages: Vec<String>,
}

impl Processor {
    /// Two workers, groups of 100, a queue of 1,000.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), concurrency: 2, max_demand: 100, capacity: 1000, stages: Vec::new() }
    }
}

/// A worker that groups messages, and the sink workers behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batcher {
    /// Its name, unique among the worker groups.
    pub name: String,
    /// The batcher whose committed messages come here; `None`: processors feed it.
    pub after: Option<String>,
    /// Messages that fill a batch.
    pub batch_size: usize,
    /// A ceiling on the sum of message sizes (see `Components::size_of`); only a single larger message breaks it.
    pub batch_bytes: Option<usize>,
    /// The age at which an open batch is emitted, counted from its first message.
    pub batch_timeout: Duration,
    /// Emit as soon as a sink worker is idle.
    pub eager: bool,
    /// Sink workers.
    pub concurrency: usize,
    /// The most messages that wait in its queue, and again in its open and closed batches.
    pub capacity: usize,
}

impl Batcher {
    /// Batches of 100 or 1 s, one sink worker, a queue of 1,000.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            after: None,
            batch_size: 100,
            batch_bytes: None,
            batch_timeout: Duration::from_secs(1),
            eager: false,
            concurrency: 1,
            capacity: 1000,
        }
    }
}

/// The shape of a pipeline.
///
/// ```
/// use broadside_engine::topology::{Batcher, Processor, Source, Topology};
/// let topology = Topology::new("kills", Source::new("feed"))
///     .processor(Processor::new("parse"))
///     .batcher(Batcher::new("db"))
///     .batcher(Batcher { after: Some("db".into()), ..Batcher::new("publish") });
/// assert!(topology.validate().is_ok());
/// assert_eq!(topology.chain("db"), ["db", "publish"]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// The pipeline's name.
    pub name: String,
    /// Where messages come from.
    pub source: Source,
    /// In the order in which messages pass them.
    pub processors: Vec<Processor>,
    /// In any order; none: the last processor settles.
    pub batchers: Vec<Batcher>,
    /// The most messages pulled and not yet settled.
    pub in_flight_max: usize,
    /// How long a drain may take.
    pub drain_deadline: Duration,
    /// What slows a source of rubbish down; `None`: nothing does.
    pub breaker: Option<BreakerRules>,
    /// The share of failures of the last five minutes above which the status raises its alert.
    pub alert_above: Option<f64>,
}

/// A shape that cannot work, or would defeat itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("a pipeline needs at least one processor")]
    NoProcessor,
    #[error("at most {max} {what}")]
    TooMany { what: &'static str, max: usize },
    #[error("two worker groups are called `{0}`")]
    Duplicate(String),
    #[error("`{group}`: {field} must be at least {least}")]
    TooSmall { group: String, field: &'static str, least: usize },
    #[error("`{group}`: capacity {capacity} is below {field} {value}, so a full group could never pass")]
    Capacity { group: String, capacity: usize, field: &'static str, value: usize },
    #[error("`{batcher}`: after = \"{after}\", and there is no batcher of that name")]
    UnknownAfter { batcher: String, after: String },
    #[error("`{0}` comes after itself")]
    Circle(String),
    #[error("`{second}` and `{first}` both come after `{after}`: chain them, `{second}` after `{first}`")]
    Fork { first: String, second: String, after: String },
    #[error(
        "in_flight_max {limit} is below {needed}, which `{batcher}` needs to fill its batches: they would all wait for the timeout"
    )]
    InFlight { limit: usize, batcher: String, needed: usize },
}

/// Batchers of one pipeline: bits of [`Delivered`](crate::message::Delivered).
pub const BATCHERS_MAX: usize = 64;
pub(crate) const WORKERS_MAX: usize = 1024;

impl Topology {
    /// A pipeline without processors yet: 5,000 in flight, 30 s to drain.
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        Self {
            name: name.into(),
            source,
            processors: Vec::new(),
            batchers: Vec::new(),
            in_flight_max: 5000,
            drain_deadline: Duration::from_secs(30),
            breaker: None,
            alert_above: None,
        }
    }

    /// Adds a processor after those there are.
    #[must_use]
    pub fn processor(mut self, processor: Processor) -> Self {
        self.processors.push(processor);
        self
    }

    /// Adds a batcher.
    #[must_use]
    pub fn batcher(mut self, batcher: Batcher) -> Self {
        self.batchers.push(batcher);
        self
    }

    /// The index of a batcher.
    #[must_use]
    pub fn batcher_index(&self, name: &str) -> Option<usize> {
        self.batchers.iter().position(|b| b.name == name)
    }

    /// Every stage, in the order in which messages pass them.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.processors.iter().flat_map(|processor| processor.stages.iter().map(String::as_str))
    }

    /// Where a message begins that is to pass over what stands before this stage or batcher: see [`Message::with_begin`](crate::Message::with_begin).
    #[must_use]
    pub fn begin_at(&self, stage_or_batcher: &str) -> Option<usize> {
        let stage = self.stages().position(|stage| stage == stage_or_batcher);
        stage.or_else(|| self.batcher_index(stage_or_batcher).map(|_| self.stages().count()))
    }

    /// The batcher that comes after this one.
    #[must_use]
    pub fn successor(&self, name: &str) -> Option<usize> {
        self.batchers.iter().position(|b| b.after.as_deref() == Some(name))
    }

    /// The batchers that a message passes which starts at this one.
    #[must_use]
    pub fn chain(&self, name: &str) -> Vec<&str> {
        let mut chain: Vec<&str> = Vec::new();
        let mut next = self.batcher_index(name);
        while let Some(index) = next {
            let name = self.batchers[index].name.as_str();
            if chain.contains(&name) {
                break;
            }
            chain.push(name);
            next = self.successor(name);
        }
        chain
    }

    /// The most messages that can wait or be worked on, were there no in-flight limit.
    #[must_use]
    pub fn worst_case_in_flight(&self) -> usize {
        let processors: usize = self.processors.iter().map(|p| p.capacity + p.concurrency * p.max_demand).sum();
        let batchers: usize = self.batchers.iter().map(|b| 2 * b.capacity + (1 + b.concurrency) * b.batch_size).sum();
        processors + batchers
    }

    /// What differs from `other` in more than numbers: the first name in which they part; `None` when [`Pipeline::tune`](crate::Pipeline::tune) can lead from one to the other.
    #[must_use]
    pub fn differs_in_shape(&self, other: &Self) -> Option<String> {
        let bare = |source: &Source| Source { rate_limit: None, ..source.clone() };
        let names = |topology: &Self| -> Vec<(String, Option<String>, Vec<String>)> {
            let processors = topology.processors.iter().map(|p| (p.name.clone(), None, p.stages.clone()));
            let batchers = topology.batchers.iter().map(|b| (b.name.clone(), b.after.clone(), Vec::new()));
            processors.chain(batchers).collect()
        };
        if self.name != other.name || self.processors.len() != other.processors.len() {
            return Some(other.name.clone());
        }
        if bare(&self.source) != bare(&other.source) {
            return Some(other.source.name.clone());
        }
        let (ours, theirs) = (names(self), names(other));
        let parted = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs).map(|(_, theirs)| theirs.0.clone());
        parted.or_else(|| (ours.len() != theirs.len()).then(|| other.name.clone()))
    }

    /// Every reason why this shape cannot work or would defeat itself.
    ///
    /// # Errors
    /// All of them, in the order of the topology.
    pub fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut found = Vec::new();
        if self.processors.is_empty() {
            found.push(Invalid::NoProcessor);
        }
        if self.batchers.len() > BATCHERS_MAX {
            found.push(Invalid::TooMany { what: "batchers", max: BATCHERS_MAX });
        }
        self.validate_names(&mut found);
        self.validate_numbers(&mut found);
        self.validate_chains(&mut found);
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    fn validate_names(&self, found: &mut Vec<Invalid>) {
        let mut seen = HashSet::new();
        let names = self.processors.iter().map(|p| &p.name).chain(self.batchers.iter().map(|b| &b.name));
        for name in names {
            if !seen.insert(name) {
                found.push(Invalid::Duplicate(name.clone()));
            }
        }
    }

    fn validate_numbers(&self, found: &mut Vec<Invalid>) {
        let mut least = |group: &str, field, value: usize| {
            if value == 0 {
                found.push(Invalid::TooSmall { group: group.to_owned(), field, least: 1 });
            }
        };
        let source = &self.source;
        least(&source.name, "concurrency", source.concurrency);
        if let Some(limit) = source.rate_limit {
            least(&source.name, "rate_limit messages", limit.messages as usize);
            least(&source.name, "rate_limit per", limit.per.as_nanos().min(1) as usize);
        }
        for p in &self.processors {
            least(&p.name, "concurrency", p.concurrency);
            least(&p.name, "max_demand", p.max_demand);
        }
        for b in &self.batchers {
            least(&b.name, "concurrency", b.concurrency);
            least(&b.name, "batch_size", b.batch_size);
            least(&b.name, "batch_timeout", b.batch_timeout.as_nanos().min(1) as usize);
            if let Some(bytes) = b.batch_bytes {
                least(&b.name, "batch_bytes", bytes);
            }
        }
        least(&self.name, "in_flight_max", self.in_flight_max);
        if let Some(breaker) = self.breaker {
            least(&self.name, "breaker window", breaker.window);
            least(&self.name, "breaker share", usize::from(breaker.share > 0.0));
            least(&self.name, "breaker run", breaker.run);
            least(&self.name, "breaker probe_every", breaker.probe_every.as_nanos().min(1) as usize);
            least(&self.name, "breaker successes", breaker.successes);
        }
        let workers = self.processors.iter().map(|p| p.concurrency).chain(self.batchers.iter().map(|b| b.concurrency));
        if workers.chain([source.concurrency]).any(|w| w > WORKERS_MAX) {
            found.push(Invalid::TooMany { what: "workers in a group", max: WORKERS_MAX });
        }
        for p in self.processors.iter().filter(|p| p.capacity < p.max_demand) {
            let (group, capacity, field, value) = (p.name.clone(), p.capacity, "max_demand", p.max_demand);
            found.push(Invalid::Capacity { group, capacity, field, value });
        }
        for b in self.batchers.iter().filter(|b| b.capacity < b.batch_size) {
            let (group, capacity, field, value) = (b.name.clone(), b.capacity, "batch_size", b.batch_size);
            found.push(Invalid::Capacity { group, capacity, field, value });
        }
    }

    fn validate_chains(&self, found: &mut Vec<Invalid>) {
        for (index, b) in self.batchers.iter().enumerate() {
            let Some(after) = &b.after else {
                if b.batch_size > self.in_flight_max {
                    let (limit, batcher, needed) = (self.in_flight_max, b.name.clone(), b.batch_size);
                    found.push(Invalid::InFlight { limit, batcher, needed });
                }
                continue;
            };
            if self.batcher_index(after).is_none() {
                found.push(Invalid::UnknownAfter { batcher: b.name.clone(), after: after.clone() });
            }
            if let Some(first) = self.batchers[..index].iter().find(|o| o.after.as_ref() == Some(after)) {
                let (first, second) = (first.name.clone(), b.name.clone());
                found.push(Invalid::Fork { first, second, after: after.clone() });
            }
            if self.is_circular(index) {
                found.push(Invalid::Circle(b.name.clone()));
            }
        }
    }

    fn is_circular(&self, start: usize) -> bool {
        let mut at = start;
        for _ in 0..self.batchers.len() {
            match self.batchers[at].after.as_deref().and_then(|a| self.batcher_index(a)) {
                None => return false,
                Some(next) if next == start => return true,
                Some(next) => at = next,
            }
        }
        false
    }
}
