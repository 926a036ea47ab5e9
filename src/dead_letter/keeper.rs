//! Writes failed messages down as dead letters, before they are acknowledged.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{FailureHandler, Message, Topology};
use jiff::Timestamp;

use super::LETTER;
use super::letter::Writer;
use crate::killmail::Kill;
use crate::recent::RecentKills;
use crate::resources::Resources;
use crate::store::{Error, NewDeadLetter, Store, retry};

/// The failure handler of a pipeline with dead letters.
///
/// While the store is away it waits, and so do its worker and, in time, the source: a failure is never lost to an outage. What
/// cannot be written for good stays failed, and its acknowledger hears so.
#[derive(Debug)]
pub struct Keeper {
    store: Arc<dyn Store>,
    recent: Arc<RecentKills>,
    writer: Writer,
}

impl Keeper {
    /// For the pipeline of this shape.
    #[must_use]
    pub fn new(resources: &Resources, topology: &Topology) -> Self {
        let (store, recent) = (resources.store.clone(), resources.recent.clone());
        Self { store, recent, writer: Writer::new(topology) }
    }

    /// One transaction for all; when one of them is refused, one for each.
    async fn keep(&self, messages: &mut [&mut Message<Kill>], now: Timestamp) {
        let letters: Vec<_> = messages.iter().map(|message| self.writer.letter(message, now)).collect();
        match self.add(&letters).await {
            Ok(()) => messages.iter_mut().for_each(|message| message.dead_letter()),
            Err(Error::Data { .. }) if letters.len() > 1 => {
                for (message, letter) in messages.iter_mut().zip(&letters) {
                    settle(message, self.add(std::slice::from_ref(letter)).await);
                }
            }
            Err(error) => messages.iter_mut().for_each(|message| settle(message, Err(error.clone()))),
        }
    }

    async fn add(&self, letters: &[NewDeadLetter]) -> Result<(), Error> {
        let call = || self.store.add_dead_letters(letters);
        retry::hold(self.store.health(), "keep dead letters", call).await.map(drop)
    }

    /// A letter that failed on its way again stays the same letter.
    async fn failed_again(&self, message: &mut Message<Kill>, id: i64, now: Timestamp) {
        let letter = self.writer.letter(message, now);
        let call = || self.store.dead_letter_failed_again(id, &letter);
        settle(message, retry::hold(self.store.health(), "keep dead letters", call).await);
    }
}

fn settle(message: &mut Message<Kill>, kept: Result<(), Error>) {
    match kept {
        Ok(()) => message.dead_letter(),
        Err(error) => {
            let cause = message.failure().map(ToString::to_string);
            tracing::error!(%error, cause, position = message.position(), "failed to keep a dead letter");
        }
    }
}

#[async_trait]
impl FailureHandler<Kill> for Keeper {
    async fn handle(&self, messages: &mut [Message<Kill>]) {
        let now = Timestamp::now();
        // A good copy that comes later is not a duplicate of one that failed.
        let ids = messages.iter().filter_map(|message| Some(message.payload.mail.as_ref()?.killmail_id));
        self.recent.forget(ids);
        let mut first = Vec::with_capacity(messages.len());
        for message in messages {
            match message.metadata(LETTER).and_then(|id| id.parse().ok()) {
                Some(id) => self.failed_again(message, id, now).await,
                None => first.push(message),
            }
        }
        if !first.is_empty() {
            self.keep(&mut first, now).await;
        }
    }
}
