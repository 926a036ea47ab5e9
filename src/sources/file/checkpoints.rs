//! Which records of which file are safe, and the checkpoints that say so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::ack::{Acknowledger, is_safe};
use broadside_engine::{Failure, LowWatermark, Message};
use tokio::time::Instant;

use crate::killmail::Kill;
use crate::store::{Error, Store};

/// Between two checkpoints of a file.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The files' acknowledger.
#[derive(Debug)]
pub(super) struct Checkpoints {
    store: Arc<dyn Store>,
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    /// `None`: without checkpoints.
    key: Option<String>,
    state: Mutex<State>,
    /// One writer at a time, so that an older checkpoint never replaces a newer one.
    saving: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    watermark: LowWatermark,
    /// What the store has.
    saved: Option<u64>,
    saved_at: Option<Instant>,
    read_to_end: bool,
}

impl State {
    fn is_complete(&self) -> bool {
        self.read_to_end && self.watermark.pending() == 0
    }
}

impl File {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checkpoints {
    /// For files with these keys.
    pub(super) fn new(store: Arc<dyn Store>, keys: Vec<Option<String>>) -> Self {
        let file = |key| File { key, state: Mutex::default(), saving: tokio::sync::Mutex::default() };
        Self { store, files: keys.into_iter().map(file).collect() }
    }

    /// The record up to which a file was safe at the last run; 0 for one that begins.
    pub(super) async fn load(&self, index: usize) -> Result<u64, Failure> {
        let file = &self.files[index];
        let Some(key) = &file.key else { return Ok(0) };
        let loaded = self.store.checkpoint(key).await.map_err(|error| match error {
            Error::Transient(_) => Failure::transient(format!("read the checkpoint: {error}")),
            _ => Failure::permanent(format!("read the checkpoint: {error}")),
        })?;
        // A checkpoint that makes no sense means reading from the start: more work, and nothing lost.
        let position = loaded.and_then(|text| text.parse().ok());
        file.state().saved = position;
        Ok(position.unwrap_or(0))
    }

    /// Records are about to be handed over.
    pub(super) fn track(&self, index: usize, positions: impl Iterator<Item = u64>) {
        let mut state = self.files[index].state();
        positions.for_each(|position| state.watermark.track(position));
    }

    /// No further record of this file will come; `whole` unless it broke off.
    pub(super) async fn read_to_end(&self, index: usize, whole: bool) {
        self.files[index].state().read_to_end = whole;
        self.save_some(index).await;
    }

    /// Whether nothing is left to do in any file: then no checkpoint is needed any more. Until then a file that is done keeps its own, so that it is
    /// passed over when the same files are read again after an interruption.
    fn is_complete(&self) -> bool {
        self.files.iter().all(|file| file.state().is_complete())
    }

    async fn save_some(&self, index: usize) {
        if self.is_complete() {
            self.save_all().await;
        } else {
            self.save(index).await;
        }
    }

    /// Writes what was not yet written.
    pub(super) async fn save_all(&self) {
        for index in 0..self.files.len() {
            self.save(index).await;
        }
    }

    async fn save(&self, index: usize) {
        let file = &self.files[index];
        let Some(key) = &file.key else { return };
        let _one = file.saving.lock().await;
        let is_complete = self.is_complete();
        let (saved, wanted) = {
            let state = file.state();
            (state.saved, if is_complete { None } else { state.watermark.reached().or(state.saved) })
        };
        if saved == wanted {
            return;
        }
        let text = wanted.map(|position| position.to_string());
        let written = self.store.set_checkpoint(key, text.as_deref()).await;
        let mut state = file.state();
        state.saved_at = Some(Instant::now());
        match written {
            Ok(()) => state.saved = wanted,
            // An old checkpoint only means that more is read again.
            Err(error) => tracing::warn!(%error, "failed to store the place in a file"),
        }
    }
}

#[async_trait]
impl Acknowledger<Kill> for Checkpoints {
    async fn acknowledge(&self, reference: u64, messages: &mut [Message<Kill>]) {
        let index = reference as usize;
        let Some(file) = self.files.get(index) else { return };
        let is_due = {
            let mut state = file.state();
            for message in messages.iter().filter(|message| is_safe(message.outcome())) {
                state.watermark.settle(message.position());
            }
            let now = Instant::now();
            let since = *state.saved_at.get_or_insert(now);
            state.is_complete() || now.duration_since(since) >= SAVE_EVERY
        };
        if is_due {
            self.save_some(index).await;
        }
    }
}
