//! A pipeline file, mirrored as it is written. Defaults are here; whether it all fits together is `resolve`'s business.

use broadside_engine::topology::BreakerRules;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::duration::Span;
use crate::{sinks, sources, stages};

/// A pipeline file of Broadside; its name, without `.toml`, is the pipeline's.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Broadside pipeline")]
pub struct File {
    /// Whether `run` starts it when no pipeline is named.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Where messages come from: exactly one kind, as in `[source.wanderer]`.
    pub source: sources::Config,
    /// In the order in which messages pass them.
    #[schemars(length(min = 1))]
    pub processor: Vec<Processor>,
    /// The first is where messages go; each further one comes `after` another. None: the last processor settles.
    #[serde(default)]
    pub batcher: Vec<Batcher>,
    #[serde(default)]
    pub dead_letters: DeadLetters,
    #[serde(default)]
    pub limits: Limits,
}

/// A group of workers that run stages on messages.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Processor {
    /// Unique among processors and batchers; a label in metrics.
    #[schemars(regex(pattern = r"^[a-z0-9_-]+$"))]
    pub name: String,
    /// Workers.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: usize,
    /// The most messages a worker takes at once.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_demand: usize,
    /// The most messages that wait in its queue; by default ten times `max_demand`, and at least 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub capacity: Option<usize>,
    /// Messages of one partition are worked on one at a time, in order.
    pub partition_by: Option<PartitionBy>,
    /// What is done to each message, in order.
    #[schemars(length(min = 1))]
    pub stages: Vec<stages::Config>,
}

/// A worker that groups messages into batches, and the workers that hand them to a sink.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batcher {
    /// Unique among processors and batchers; a label in metrics.
    #[schemars(regex(pattern = r"^[a-z0-9_-]+$"))]
    pub name: String,
    /// The batcher whose sink must have a message before it comes here.
    pub after: Option<String>,
    /// Messages that fill a batch.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 100_000))]
    pub batch_size: usize,
    /// A batch leaves at this age, full or not.
    #[serde(default = "second")]
    pub batch_timeout: Span,
    /// A batch holds at most this many bytes of raw messages.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub batch_bytes: Option<usize>,
    /// A batch leaves as soon as a sink worker is idle, and grows only while all are busy.
    #[serde(default)]
    pub eager: bool,
    /// Batches delivered at the same time.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: usize,
    /// The most messages that wait in its queue; by default ten times `batch_size`, and at least 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub capacity: Option<usize>,
    /// Batches of one partition are delivered one at a time, in order.
    pub partition_by: Option<PartitionBy>,
    /// Where batches go: exactly one kind, as in `sink.database = {}`.
    pub sink: sinks::Config,
}

/// What divides messages into partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartitionBy {
    /// The solar system of the kill.
    SolarSystem,
    /// The region of the page.
    Region,
}

/// What becomes of messages that fail.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetters {
    /// Whether they are kept in the database. Without it a failed message is only counted and logged.
    pub enabled: bool,
    /// After so long a letter that failed for a passing reason is tried again by itself; each further wait is twice as long.
    pub retry_every: Span,
    /// Attempts, the first one included, after which a letter waits for a person. 1: none is tried again by itself.
    #[schemars(range(min = 1, max = 1000))]
    pub attempts_max: u32,
    /// Share of failures among the messages of the last five minutes (a hundred at least) above which an alert is raised: in metrics and in what `/readyz` says.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alert_above: f64,
    /// When the source is slowed to a trickle because what it brings fails. Of a live source of kills only: not of files, a backfill or a replay.
    pub breaker: Breaker,
}

/// When a source whose messages fail is slowed to a trickle, and when it is trusted again.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Whether there is one.
    pub enabled: bool,
    /// It looks at the last so many messages that succeeded or failed; what is filtered does not count.
    #[schemars(range(min = 1, max = 100_000))]
    pub window: usize,
    /// It trips when this share of a full window has failed, …
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
    /// … or so many messages in a row.
    #[schemars(range(min = 1, max = 100_000))]
    pub run: usize,
    /// Then at most one message in this time is read, as a probe; never two at once.
    pub probe_every: Span,
    /// So many probes in a row must succeed before everything is read again.
    #[schemars(range(min = 1, max = 1000))]
    pub successes: usize,
}

impl Default for Breaker {
    fn default() -> Self {
        let BreakerRules { window, share, run, probe_every, successes } = BreakerRules::default();
        Self { enabled: true, window, share, run, probe_every: Span(probe_every), successes }
    }
}

impl Breaker {
    /// The engine's rules; `None`: it is off.
    #[must_use]
    pub fn rules(&self) -> Option<BreakerRules> {
        let Self { window, share, run, probe_every, successes, .. } = *self;
        self.enabled.then_some(BreakerRules { window, share, run, probe_every: probe_every.0, successes })
    }
}

impl Default for DeadLetters {
    fn default() -> Self {
        let (retry_every, breaker) = (Span::from_secs(600), Breaker::default());
        Self { enabled: true, retry_every, attempts_max: 3, alert_above: 0.01, breaker }
    }
}

/// Bounds of the whole pipeline.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most messages pulled from the source and not yet settled. All memory of the pipeline is bounded by it.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub in_flight_max: usize,
    /// Nothing passes the source faster than this.
    pub rate_limit: Option<RateLimit>,
    /// How long a drain may take before what is left is abandoned.
    pub drain_deadline: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight_max: 5000, rate_limit: None, drain_deadline: Span::from_secs(30) }
    }
}

/// So many messages in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    #[schemars(range(min = 1, max = 10_000_000))]
    pub messages: u32,
    #[serde(default = "second")]
    pub per: Span,
}

pub(super) fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

fn hundred() -> usize {
    100
}

fn second() -> Span {
    Span::from_secs(1)
}
