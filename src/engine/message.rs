//! One unit in flight: payload, metadata, acknowledgement, status.
//!
//! The engine owns every message and *lends* it to user code (`&mut`), so a callback cannot lose one by
//! forgetting to return it. Failure is data on the message, never control flow between workers.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::ack::Acknowledger;
use crate::failure::Failure;

/// Groups messages that belong in one batch. A sink sees one key per batch.
///
/// An integer, because a key is computed per message on the hot path: use an id (a region, a month, a tenant).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct BatchKey(pub u64);

/// How a message takes part in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchMode {
    /// Wait for the batch to fill, to time out, or (eager batchers) for an idle sink worker.
    #[default]
    Bulk,
    /// Emit the batch at the end of the delivery that brought this message.
    Flush,
}

/// Where a message stands. Everything but [`Status::Active`] takes it out of the flow at the end of the current call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// On its way.
    #[default]
    Active,
    /// A stage or sink said that nothing more needs to happen: settled as successful without going on.
    Finished,
    /// A stage said that this message is of no interest (a duplicate, say): settled as filtered.
    Filtered,
    /// Failed; [`Message::failure`] says why.
    Failed,
    /// Failed, and kept elsewhere by the failure handler.
    DeadLettered,
}

/// How a message was settled. Every message is settled with exactly one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    Successful,
    Failed,
    DeadLettered,
    Filtered,
    /// Dropped unsettled: a worker crashed, or the drain deadline passed. Never acknowledged.
    Abandoned,
}

impl Outcome {
    /// Every outcome, in the order of the ledger.
    pub const ALL: [Outcome; 5] = [Self::Successful, Self::Failed, Self::DeadLettered, Self::Filtered, Self::Abandoned];

    /// The label value used in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::DeadLettered => "dead_lettered",
            Self::Filtered => "filtered",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Rarely used parts, boxed so that a plain message stays small.
struct Extra<T> {
    metadata: BTreeMap<&'static str, String>,
    batcher: Option<Arc<str>>,
    acknowledger: Option<Arc<dyn Acknowledger<T>>>,
}

/// A payload on its way through a pipeline.
///
/// ```
/// use broadside_engine::Message;
/// let mut message = Message::new(7_u32).with_position(0, 41);
/// message.payload += 1;
/// assert_eq!((message.payload, message.position()), (8, 41));
/// ```
pub struct Message<T> {
    /// The record itself.
    pub payload: T,
    failure: Option<Box<Failure>>,
    extra: Option<Box<Extra<T>>>,
    received_at: Option<Instant>,
    reference: u64,
    position: u64,
    key: BatchKey,
    delivered: u64,
    mode: BatchMode,
    status: Status,
    acknowledged: bool,
    acknowledge_now: bool,
    is_probe: bool,
    begin: u16,
}

impl<T> Message<T> {
    /// A message that its pipeline's own acknowledger will hear of, with reference and position 0.
    #[must_use]
    pub fn new(payload: T) -> Self {
        Self {
            payload,
            failure: None,
            extra: None,
            received_at: None,
            reference: 0,
            position: 0,
            key: BatchKey::default(),
            delivered: 0,
            mode: BatchMode::Bulk,
            status: Status::Active,
            acknowledged: false,
            acknowledge_now: false,
            is_probe: false,
            begin: 0,
        }
    }

    /// Where the source found it: `reference` groups acknowledgements (a partition, a file, a feed),
    /// `position` is what the acknowledger needs to know this one (an offset, a sequence number, a row id).
    #[must_use]
    pub fn with_position(mut self, reference: u64, position: u64) -> Self {
        self.reference = reference;
        self.position = position;
        self
    }

    /// Settles this message with its own acknowledger in place of the pipeline's.
    #[must_use]
    pub fn with_acknowledger(mut self, acknowledger: Arc<dyn Acknowledger<T>>) -> Self {
        self.extra().acknowledger = Some(acknowledger);
        self
    }

    fn extra(&mut self) -> &mut Extra<T> {
        self.extra
            .get_or_insert_with(|| Box::new(Extra { metadata: BTreeMap::new(), batcher: None, acknowledger: None }))
    }

    /// The group of acknowledgements that this message belongs to.
    #[must_use]
    pub fn reference(&self) -> u64 {
        self.reference
    }

    /// Its place within the reference.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// When the pipeline received it; `None` before that.
    #[must_use]
    pub fn received_at(&self) -> Option<Instant> {
        self.received_at
    }

    /// A note that travels with the message.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.extra.as_ref()?.metadata.get(key).map(String::as_str)
    }

    /// Adds a note that travels with the message.
    pub fn put_metadata(&mut self, key: &'static str, value: impl Into<String>) {
        self.extra().metadata.insert(key, value.into());
    }

    /// Sends the message to the batcher of this name; without it, it goes to the first batcher of the topology.
    /// A name that is not a batcher fed by processors fails the message.
    pub fn put_batcher(&mut self, name: impl Into<Arc<str>>) {
        self.extra().batcher = Some(name.into());
    }

    /// The batcher asked for with [`put_batcher`](Self::put_batcher).
    #[must_use]
    pub fn batcher(&self) -> Option<&str> {
        self.extra.as_ref()?.batcher.as_deref()
    }

    /// Batches hold messages of one key.
    pub fn put_batch_key(&mut self, key: BatchKey) {
        self.key = key;
    }

    /// The batch key, 0 unless set.
    #[must_use]
    pub fn batch_key(&self) -> BatchKey {
        self.key
    }

    /// Bulk or flush.
    pub fn put_batch_mode(&mut self, mode: BatchMode) {
        self.mode = mode;
    }

    /// Bulk unless set.
    #[must_use]
    pub fn batch_mode(&self) -> BatchMode {
        self.mode
    }

    /// Fails the message. The first failure stays: a later one would hide the cause.
    pub fn fail(&mut self, failure: Failure) {
        if self.status != Status::Failed {
            self.status = Status::Failed;
            self.failure = Some(Box::new(failure));
        }
    }

    /// Takes the message out as of no interest.
    pub fn filter(&mut self) {
        if self.status == Status::Active {
            self.status = Status::Filtered;
        }
    }

    /// Settles the message as successful without sending it on.
    pub fn finish(&mut self) {
        if self.status == Status::Active {
            self.status = Status::Finished;
        }
    }

    /// For failure handlers: what failed is fixed or does not matter; settled as successful.
    pub fn rescue(&mut self) {
        if self.status == Status::Failed {
            self.status = Status::Finished;
        }
    }

    /// For failure handlers: the message is safe elsewhere; settled as dead-lettered.
    pub fn dead_letter(&mut self) {
        if self.status == Status::Failed {
            self.status = Status::DeadLettered;
        }
    }

    /// Where the message stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether it is still on its way.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// Why it failed; stays after a rescue, so that an acknowledger can tell.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_deref()
    }

    pub(crate) fn failure_mut(&mut self) -> Option<&mut Failure> {
        self.failure.as_deref_mut()
    }

    /// Acknowledges at the end of the present call, by the status it then has, and never again.
    /// The message goes on and is counted as settled at its end.
    pub fn acknowledge_now(&mut self) {
        self.acknowledge_now = true;
    }

    pub(crate) fn take_acknowledge_now(&mut self) -> bool {
        std::mem::take(&mut self.acknowledge_now) && !self.acknowledged
    }

    pub(crate) fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    pub(crate) fn set_acknowledged(&mut self) {
        self.acknowledged = true;
    }

    pub(crate) fn acknowledger(&self) -> Option<&Arc<dyn Acknowledger<T>>> {
        self.extra.as_ref()?.acknowledger.as_ref()
    }

    pub(crate) fn stamp(&mut self, now: Instant) {
        self.received_at = Some(now);
    }

    /// Whether the batcher with this index (order of the topology) has already delivered the message.
    #[must_use]
    pub fn delivered(&self) -> Delivered {
        Delivered(self.delivered)
    }

    /// Marks a sink as already having this message (a replay of dead letters does): it will be passed over.
    #[must_use]
    pub fn with_delivered(mut self, delivered: Delivered) -> Self {
        self.delivered = delivered.0;
        self
    }

    /// Passes over the first so many stages of the topology, counted through all processors (a replay that goes on where it failed does):
    /// see [`Topology::begin_at`](crate::Topology::begin_at).
    #[must_use]
    pub fn with_begin(mut self, stages: usize) -> Self {
        self.begin = u16::try_from(stages).unwrap_or(u16::MAX);
        self
    }

    /// Whether it passes over this stage.
    pub(crate) fn passes_over(&self, stage: usize) -> bool {
        stage < usize::from(self.begin)
    }

    /// Sent by a breaker that has tripped.
    pub(crate) fn is_probe(&self) -> bool {
        self.is_probe
    }

    pub(crate) fn set_probe(&mut self) {
        self.is_probe = true;
    }

    pub(crate) fn set_delivered(&mut self, batcher: usize) {
        self.delivered |= 1 << batcher;
    }

    /// The outcome that its status means now.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.status {
            Status::Active | Status::Finished => Outcome::Successful,
            Status::Filtered => Outcome::Filtered,
            Status::Failed => Outcome::Failed,
            Status::DeadLettered => Outcome::DeadLettered,
        }
    }
}

/// The batchers (by their index in the topology, at most 64) whose sinks already have a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivered(u64);

impl Delivered {
    /// Adds a batcher.
    #[must_use]
    pub fn with(self, batcher: usize) -> Self {
        Self(self.0 | 1 << batcher)
    }

    /// Whether this batcher's sink has the message.
    #[must_use]
    pub fn contains(self, batcher: usize) -> bool {
        self.0 >> batcher & 1 == 1
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Message<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("payload", &self.payload)
            .field("status", &self.status)
            .field("failure", &self.failure)
            .field("reference", &self.reference)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
