//! Writes failed messages down as dead letters, before they are acknowledged.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{FailureHandler, Message, Topology};
use jiff::Timestamp;

use super::letter::Writer;
use super::{LETTER, Schedule};
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

/// What a pipeline's letters say of where they come from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Of the pipeline file.
    pub definition_hash: Option<String>,
    /// When they are tried again by themselves.
    pub schedule: Schedule,
}

impl Keeper {
    /// For the pipeline of this shape.
    #[must_use]
    pub fn new(resources: &Resources, topology: &Topology, origin: Origin) -> Self {
        let (store, recent) = (resources.store.clone(), resources.recent.clone());
        Self { store, recent, writer: Writer::new(topology, origin) }
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

    /// Letters that failed on their way again stay the same letters.
    async fn keep_again(&self, messages: &mut [(i64, &mut Message<Kill>)], now: Timestamp) {
        let letters: Vec<_> = messages.iter().map(|(id, message)| (*id, self.writer.letter(message, now))).collect();
        match self.again(&letters).await {
            Err(Error::Data { .. }) if letters.len() > 1 => {
                for ((id, message), letter) in messages.iter_mut().zip(&letters) {
                    let kept = self.again(std::slice::from_ref(letter)).await;
                    settle(message, kept.and_then(|there| is_there(*id, &there)));
                }
            }
            kept => {
                for (id, message) in messages {
                    settle(message, kept.clone().and_then(|there| is_there(*id, &there)));
                }
            }
        }
    }

    async fn again(&self, letters: &[(i64, NewDeadLetter)]) -> Result<Vec<i64>, Error> {
        let call = || self.store.dead_letters_failed_again(letters);
        retry::hold(self.store.health(), "keep dead letters", call).await
    }
}

fn is_there(id: i64, there: &[i64]) -> Result<(), Error> {
    let missing = || Error::Permanent(format!("find dead letter {id}"));
    there.binary_search(&id).map(drop).map_err(|_| missing())
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
        let (mut first, mut again) = (Vec::with_capacity(messages.len()), Vec::new());
        for message in messages {
            match message.metadata(LETTER).and_then(|id| id.parse().ok()) {
                Some(id) => again.push((id, message)),
                None => first.push(message),
            }
        }
        if !again.is_empty() {
            self.keep_again(&mut again, now).await;
        }
        if !first.is_empty() {
            self.keep(&mut first, now).await;
        }
    }
}
