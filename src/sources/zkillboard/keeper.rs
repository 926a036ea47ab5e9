//! The source's acknowledger, which keeps the mark in the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::ack::{Acknowledger, is_safe};
use broadside_engine::{Failure, Message};
use tokio::time::Instant;

use super::marks::{Mark, Marks};
use crate::killmail::Kill;
use crate::store::{Error, Store};

/// Between two writes.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Between two writes that only say that time went by.
const SAVE_TIME_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

/// One for all incarnations.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Arc<dyn Store>,
    key: String,
    marks: Mutex<Marks>,
    saved: Mutex<Saved>,
    /// One writer at a time, so that an older mark never replaces a newer one.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Saved {
    mark: Option<Mark>,
    tried_at: Option<Instant>,
    has_failed: bool,
}

impl Keeper {
    pub(super) fn new(store: Arc<dyn Store>, key: String) -> Self {
        Self { store, key, marks: Mutex::default(), saved: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// The checkpoint's.
    pub(super) fn name(&self) -> &str {
        &self.key
    }

    pub(super) fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saved(&self) -> MutexGuard<'_, Saved> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new incarnation, and where it begins.
    pub(super) async fn begin(&self) -> Result<(u64, Option<Mark>), Failure> {
        if !self.marks().is_known()
            && let Some(mark) = self.load().await?
        {
            self.saved().mark = Some(mark.clone());
            self.marks().resume(mark);
        }
        Ok(self.marks().begin())
    }

    async fn load(&self) -> Result<Option<Mark>, Failure> {
        let stored = self.store.checkpoint(&self.key).await.map_err(|error| match error {
            Error::Transient(_) => Failure::transient(format!("read the checkpoint: {error}")),
            _ => Failure::permanent(format!("read the checkpoint: {error}")),
        })?;
        let Some(text) = stored else { return Ok(None) };
        let mark = Mark::from_json(&text);
        if let Err(error) = &mark {
            let name = &self.key;
            tracing::error!(%error, name, "the checkpoint cannot be read: beginning with the newest kill");
        }
        Ok(mark.ok())
    }

    /// When the mark is worth writing; `None`: nothing has changed.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let mark = self.marks().mark()?;
        let saved = self.saved();
        let is_new = saved.mark.as_ref().is_none_or(|saved| {
            let same_time = Mark { at: saved.at, ..mark.clone() };
            same_time != *saved || mark.at.duration_since(saved.at) >= SAVE_TIME_EVERY
        });
        is_new.then(|| saved.tried_at.map_or_else(Instant::now, |tried_at| tried_at + SAVE_EVERY))
    }

    /// Writes the mark, if it has changed. Dropping this writes it whole or not at all.
    pub(super) async fn save(&self) {
        let _one = self.writing.lock().await;
        let Some(mark) = self.marks().mark() else { return };
        {
            let mut saved = self.saved();
            saved.tried_at = Some(Instant::now());
            if saved.mark.as_ref() == Some(&mark) {
                return;
            }
        }
        let written = self.store.set_checkpoint(&self.key, Some(&mark.to_json())).await;
        let mut saved = self.saved();
        match written {
            Ok(()) => {
                saved.mark = Some(mark);
                saved.has_failed = false;
            }
            // An old mark only means that more is read again. Said once.
            Err(error) if !std::mem::replace(&mut saved.has_failed, true) => {
                tracing::warn!(%error, name = self.key, "failed to store the place in the numbered files");
            }
            Err(_) => {}
        }
    }
}

#[async_trait]
impl Acknowledger<Kill> for Keeper {
    async fn acknowledge(&self, reference: u64, messages: &mut [Message<Kill>]) {
        {
            let mut marks = self.marks();
            // Of an earlier incarnation: it is handed over again by the present one.
            if !marks.is_current(reference) {
                return;
            }
            for message in messages.iter() {
                marks.settle(message.position(), is_safe(message.outcome()));
            }
        }
        if self.due_at().is_some_and(|due| due <= Instant::now()) {
            self.save().await;
        }
    }
}
