//! The code of a pipeline: what its topology's names stand for.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::message::Message;
use crate::sink::Sink;
use crate::source::Factory;
use crate::stage::Stage;

/// Which partition a payload belongs to: messages of one partition are worked on one group at a time, in order.
pub type PartitionBy<T> = Arc<dyn Fn(&T) -> u64 + Send + Sync>;

/// Bytes that a payload counts for against `batch_bytes`.
pub type SizeOf<T> = Arc<dyn Fn(&T) -> usize + Send + Sync>;

/// Sees failed messages before they are acknowledged.
///
/// It may [`rescue`](Message::rescue) a message, or keep it elsewhere and say so with
/// [`dead_letter`](Message::dead_letter). What it leaves as failed is acknowledged as failed, and so it is when it panics. While it waits (the
/// dead letters' store is away, say), its worker waits too, and backpressure reaches the source.
#[async_trait]
pub trait FailureHandler<T>: Send + Sync {
    /// Called with failed messages only, once for each.
    async fn handle(&self, messages: &mut [Message<T>]);
}

/// Leaves failures as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeaveFailed;

#[async_trait]
impl<T: Send> FailureHandler<T> for LeaveFailed {
    async fn handle(&self, _messages: &mut [Message<T>]) {}
}

/// The code behind a [`Topology`](crate::Topology), by the names that it uses.
pub struct Components<T> {
    /// Builds the source.
    pub source: Arc<dyn Factory<T>>,
    /// Stages by name. Processors that name the same stage share it.
    pub stages: HashMap<String, Arc<dyn Stage<T>>>,
    /// Sinks by the name of their batcher.
    pub sinks: HashMap<String, Arc<dyn Sink<T>>>,
    /// Sees what failed.
    pub failure_handler: Arc<dyn FailureHandler<T>>,
    /// By the name of the worker group (processor or batcher).
    pub partition_by: HashMap<String, PartitionBy<T>>,
    /// Needed when a batcher has `batch_bytes`.
    pub size_of: Option<SizeOf<T>>,
}

impl<T: Send + 'static> Components<T> {
    /// Only a source, yet.
    pub fn new(source: impl Factory<T> + 'static) -> Self {
        Self {
            source: Arc::new(source),
            stages: HashMap::new(),
            sinks: HashMap::new(),
            failure_handler: Arc::new(LeaveFailed),
            partition_by: HashMap::new(),
            size_of: None,
        }
    }

    /// Adds a stage under its name.
    #[must_use]
    pub fn stage(mut self, name: impl Into<String>, stage: impl Stage<T> + 'static) -> Self {
        self.stages.insert(name.into(), Arc::new(stage));
        self
    }

    /// Adds the sink of a batcher.
    #[must_use]
    pub fn sink(mut self, batcher: impl Into<String>, sink: impl Sink<T> + 'static) -> Self {
        self.sinks.insert(batcher.into(), Arc::new(sink));
        self
    }

    /// Sets who sees failures.
    #[must_use]
    pub fn failure_handler(mut self, handler: impl FailureHandler<T> + 'static) -> Self {
        self.failure_handler = Arc::new(handler);
        self
    }

    /// Orders the messages of a worker group by partition.
    #[must_use]
    pub fn partition_by(
        mut self,
        group: impl Into<String>,
        partition: impl Fn(&T) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.partition_by.insert(group.into(), Arc::new(partition));
        self
    }

    /// Says how many bytes a payload counts for.
    #[must_use]
    pub fn size_of(mut self, size: impl Fn(&T) -> usize + Send + Sync + 'static) -> Self {
        self.size_of = Some(Arc::new(size));
        self
    }
}

impl<T> std::fmt::Debug for Components<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Components")
            .field("stages", &self.stages.keys())
            .field("sinks", &self.sinks.keys())
            .finish_non_exhaustive()
    }
}
