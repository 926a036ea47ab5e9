//! Telling a source what became of its messages.

use async_trait::async_trait;

use crate::message::{Message, Outcome};

/// Hears of settled messages, so that a source can move its checkpoint, delete a queue entry, answer a caller.
///
/// Called with messages of one reference at a time, in the order in which they were settled, each exactly once.
/// Each call is fenced: a panic here is counted and logged, and touches no other group.
/// Abandoned messages are never reported: to the outside they look as if the process had died.
///
/// There is nothing to configure on a message beforehand: what an acknowledger needs (payload, metadata, failure) it reads
/// off the message it is lent.
#[async_trait]
pub trait Acknowledger<T>: Send + Sync {
    /// `messages` are settled; [`Message::outcome`] says how.
    async fn acknowledge(&self, reference: u64, messages: &mut [Message<T>]);
}

/// Forgets. For sources that cannot redeliver.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noop;

#[async_trait]
impl<T: Send> Acknowledger<T> for Noop {
    async fn acknowledge(&self, _reference: u64, _messages: &mut [Message<T>]) {}
}

/// Whether this outcome lets a source forget the message.
#[must_use]
pub fn is_safe(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Failed | Outcome::Abandoned)
}
