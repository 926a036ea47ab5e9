//! Who hears what became of messages: of the fallback's its own acknowledger, of the primary's the failover.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Message, Outcome};

use super::hold::{Brought, Fate};
use crate::killmail::{Form, Kill, KillmailId};

/// Hears of the primary's messages, whose position is the kill's id: it can hand out nothing again, so its own acknowledger is not asked.
pub(super) struct Acks {
    fallback: Arc<dyn Acknowledger<Kill>>,
    brought: Mutex<Brought>,
}

impl std::fmt::Debug for Acks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acks").field("brought", &self.brought).finish_non_exhaustive()
    }
}

impl Acks {
    pub(super) fn new(fallback: Arc<dyn Acknowledger<Kill>>) -> Self {
        Self { fallback, brought: Mutex::default() }
    }

    pub(super) fn brought(&self) -> MutexGuard<'_, Brought> {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message of the fallback on its way into the pipeline.
    pub(super) fn of_fallback(&self, message: Message<Kill>) -> Message<Kill> {
        message.with_acknowledger(self.fallback.clone())
    }

    /// Settles messages of the fallback that never entered the pipeline, because the primary's copies are safe.
    pub(super) async fn cover(&self, messages: Vec<Message<Kill>>) {
        let mut rest = messages;
        while let Some(reference) = rest.first().map(Message::reference) {
            let (mut group, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|m| m.reference() == reference);
            self.fallback.acknowledge(reference, &mut group).await;
            rest = others;
        }
    }
}

/// What the outcome means for the fallback's copy. A filtered one says nothing: it was a copy itself.
fn fate(message: &Message<Kill>) -> Option<Fate> {
    match message.outcome() {
        Outcome::Filtered => None,
        Outcome::Successful if message.payload.mail.as_ref().is_some_and(|mail| mail.form > Form::Feed) => {
            Some(Fate::Safe)
        }
        _ => Some(Fate::Lacking),
    }
}

#[async_trait]
impl Acknowledger<Kill> for Acks {
    async fn acknowledge(&self, _reference: u64, messages: &mut [Message<Kill>]) {
        let mut brought = self.brought();
        for message in messages.iter() {
            let id = i64::try_from(message.position()).ok().and_then(KillmailId::new);
            if let (Some(id), Some(fate)) = (id, fate(message)) {
                brought.settle(id, fate);
            }
        }
    }
}
