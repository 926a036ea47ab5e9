//! What delivers batches.

use async_trait::async_trait;

use crate::batch::Batch;
use crate::failure::Failure;
use crate::message::Message;

/// Delivers a batch to the outside.
///
/// All or nothing: `Ok` means that every message still active is safe, `Err` that none is.
/// An error of class [`Invalid`](crate::Class::Invalid) on more than one message makes the engine split the batch and deliver the halves, until the bad
/// messages stand alone; so a sink only has to undo what it did. A transient outage is not an error here: hold the batch
/// and try again (the store does), and backpressure reaches the source.
///
/// A sink may also settle single messages itself ([`Message::fail`], [`Message::filter`], [`Message::finish`]) and return `Ok`
/// for the rest.
#[async_trait]
pub trait Sink<T>: Send + Sync {
    /// Delivers `messages`, which are never empty.
    ///
    /// # Errors
    /// The failure that every message of the batch then has.
    async fn deliver(&self, batch: &Batch, messages: &mut [Message<T>]) -> Result<(), Failure>;

    /// Called once, when the last batch is settled.
    async fn close(&self) {}
}
