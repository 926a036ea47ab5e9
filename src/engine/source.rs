//! What reads from outside.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::ack::Acknowledger;
use crate::failure::Failure;
use crate::message::Message;

/// Whether a source has more to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Ask again. Nothing pushed is fine: the time to ask again has come.
    More,
    /// The end of a finite source: the pipeline drains and stops by itself.
    Finished,
}

/// One pull: how many messages there is room for, and where to put them.
///
/// What was pushed is safe with the engine even when the pull then fails or panics.
#[derive(Debug)]
pub struct Demand<T> {
    room: usize,
    messages: Vec<Message<T>>,
    interrupt: Arc<CancellationToken>,
    is_distrustful: bool,
}

impl<T> Demand<T> {
    pub(crate) fn new(room: usize, interrupt: Arc<CancellationToken>) -> Self {
        Self { room, messages: Vec::new(), interrupt, is_distrustful: false }
    }

    /// A demand outside a pipeline, to try a source by hand.
    #[must_use]
    pub fn of(room: usize) -> Self {
        Self::new(room, Arc::new(CancellationToken::new()))
    }

    /// A demand for a source inside this one, interrupted together with it. What that one pushes is handed on by the one around it.
    #[must_use]
    pub fn share(&self, room: usize) -> Self {
        Self::new(room, self.interrupt.clone())
    }

    /// The same as a probe after one that has failed.
    #[must_use]
    pub fn distrustful(mut self) -> Self {
        self.is_distrustful = true;
        self
    }

    /// Whether the breaker has tripped and the last probe failed: what has waited since says little of what the outside sends now. A source that can have it
    /// again may pass it over.
    #[must_use]
    pub fn is_distrustful(&self) -> bool {
        self.is_distrustful
    }

    /// How many more messages may be pushed.
    #[must_use]
    pub fn room(&self) -> usize {
        self.room.saturating_sub(self.messages.len())
    }

    /// Hands a message over. Pushing beyond [`room`](Self::room) breaks the source's contract:
    /// the engine then takes no further step until the rest of the pipeline has caught up.
    pub fn push(&mut self, message: Message<T>) {
        self.messages.push(message);
    }

    /// Takes the room for `capacity` messages at once, before a run of pushes.
    pub fn reserve(&mut self, capacity: usize) {
        self.messages.reserve(capacity.min(self.room));
    }

    /// Whether nothing has been pushed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Ready when the pipeline is paused or drains, or a limit has changed: return soon, with what there is.
    pub fn interrupted(&self) -> WaitForCancellationFutureOwned {
        CancellationToken::clone(&self.interrupt).cancelled_owned()
    }

    /// Whether [`interrupted`](Self::interrupted) is ready.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.is_cancelled()
    }

    /// What was pushed.
    #[must_use]
    pub fn into_messages(self) -> Vec<Message<T>> {
        self.messages
    }

    pub(crate) fn take(&mut self) -> Vec<Message<T>> {
        std::mem::take(&mut self.messages)
    }
}

/// Reads from outside when there is demand.
///
/// A pull is never cancelled while it may hold a message, except by the drain deadline; so it waits for input
/// together with [`Demand::interrupted`] and returns when that is ready. An error ends this incarnation: the factory
/// builds the next one, within the restart budget.
#[async_trait]
pub trait Source<T>: Send {
    /// Waits for input and pushes up to `demand.room()` messages: what is there now, rather than waiting to fill the room.
    ///
    /// # Errors
    /// The connection is lost for good, the file is unreadable: whatever a fresh start might mend.
    async fn pull(&mut self, demand: &mut Demand<T>) -> Result<Flow, Failure>;

    /// Called once when no further pull will come, after everything in flight is settled: store a last checkpoint, say goodbye.
    async fn close(&mut self) {}
}

/// Builds a source, and builds it again after a crash.
#[async_trait]
pub trait Factory<T>: Send + Sync {
    /// Builds incarnation after incarnation of producer `index`.
    ///
    /// # Errors
    /// As a failed pull: counted against the restart budget.
    async fn build(&self, index: usize) -> Result<Box<dyn Source<T>>, Failure>;

    /// Who hears of this source's settled messages. Asked once; it outlives the incarnations.
    fn acknowledger(&self) -> Arc<dyn Acknowledger<T>>;
}
