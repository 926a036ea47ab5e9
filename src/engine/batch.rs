//! What a sink is told about a batch.

use std::sync::Arc;

use crate::message::BatchKey;

/// Why a batch was emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trigger {
    /// It reached `batch_size`.
    Size,
    /// The next message would have broken `batch_bytes`.
    Bytes,
    /// `batch_timeout` after its first message.
    Timeout,
    /// A message in flush mode.
    Flush,
    /// The batcher held `capacity` messages in open batches alone.
    Capacity,
    /// A sink worker was idle (eager batchers).
    Eager,
    /// The pipeline drains.
    Drain,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Trigger; 7] =
        [Self::Size, Self::Bytes, Self::Timeout, Self::Flush, Self::Capacity, Self::Eager, Self::Drain];

    /// The label value used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Bytes => "bytes",
            Self::Timeout => "timeout",
            Self::Flush => "flush",
            Self::Capacity => "capacity",
            Self::Eager => "eager",
            Self::Drain => "drain",
        }
    }
}

/// A batch's head: everything but its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The batcher's name.
    pub batcher: Arc<str>,
    /// The key that all its messages share.
    pub key: BatchKey,
    /// The partition that all its messages share, when the batcher has `partition_by`.
    pub partition: Option<u64>,
    /// Messages it was emitted with.
    pub size: usize,
    /// Why it was emitted.
    pub trigger: Trigger,
}
