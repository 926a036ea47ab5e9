//! A named step on messages.

use async_trait::async_trait;

use crate::message::Message;
use crate::worker::fence;

/// A step of a processor: decode, enrich, match.
///
/// It is lent a group of active messages (at most the processor's `max_demand`) and changes them in place: the payload, the
/// status ([`Message::fail`], [`Message::filter`], [`Message::finish`]), the batcher and batch key. What is no longer active
/// after the call leaves the flow; the rest goes to the next stage. Steps that wait on the outside do so for the whole group at
/// once. A panic fails every message of the group: a step on single messages is better made with [`each`].
#[async_trait]
pub trait Stage<T>: Send + Sync {
    /// Works on every message of the group.
    async fn process(&self, messages: &mut [Message<T>]);
}

/// A stage from a function on one message, each call fenced on its own: a panic fails that message alone.
///
/// ```
/// use broadside_engine::{stage, Failure, Message};
/// let even = stage::each(|message: &mut Message<u32>| {
///     if message.payload % 2 == 1 {
///         message.fail(Failure::invalid("odd"));
///     }
/// });
/// # let _: &dyn broadside_engine::Stage<u32> = &even;
/// ```
pub fn each<T, F>(step: F) -> Each<F>
where
    F: Fn(&mut Message<T>) + Send + Sync,
{
    Each(step)
}

/// See [`each`].
#[derive(Debug)]
pub struct Each<F>(F);

#[async_trait]
impl<T, F> Stage<T> for Each<F>
where
    T: Send,
    F: Fn(&mut Message<T>) + Send + Sync,
{
    async fn process(&self, messages: &mut [Message<T>]) {
        fence::each(messages, &self.0);
    }
}
