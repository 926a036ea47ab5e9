//! Which records of which parts of a backfill (files, days) are safe, and the checkpoints that say so.
//!
//! A checkpoint is `POSITION VERSION`: all records up to there are safe, in this version of the part; or `done UNIXTIME`. Parts that are done keep theirs until
//! all are, so that they are passed over when the same parts are read again after an interruption; then every checkpoint is removed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::ack::{Acknowledger, is_safe};
use broadside_engine::{Failure, LowWatermark, Message};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::killmail::Kill;
use crate::store::{Store, retry};

/// Between two checkpoints of a part.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Up to where a part was safe at the last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Up to this position, in this version of it; 0 for one that begins.
    Record { position: u64, version: String },
    /// To its end, since then.
    Done { since: Timestamp },
}

impl Place {
    const START: Self = Self::Record { position: 0, version: String::new() };

    /// What makes no sense means reading from the start: more work, and nothing lost.
    fn parse(text: &str) -> Self {
        let (first, second) = text.split_once(' ').unwrap_or((text, ""));
        if first == "done" {
            let since = second.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
            return since.map_or(Self::START, |since| Self::Done { since });
        }
        let position = first.parse().map(|position| Self::Record { position, version: second.to_owned() });
        position.unwrap_or(Self::START)
    }

    fn text(&self) -> String {
        match self {
            Self::Record { position, version } => format!("{position} {version}").trim_end().to_owned(),
            Self::Done { since } => format!("done {}", since.as_second()),
        }
    }
}

/// Hears that every record of a part is safe.
#[async_trait]
pub trait Settled: Send + Sync + std::fmt::Debug {
    /// Called once for each part that was read to its end, after its checkpoint.
    async fn settled(&self, part: usize);
}

/// The parts' acknowledger: a message's reference is its part, its position that of its record.
#[derive(Debug)]
pub struct Checkpoints {
    store: Arc<dyn Store>,
    parts: Vec<Part>,
    settled: Option<Arc<dyn Settled>>,
}

#[derive(Debug)]
struct Part {
    /// `None`: without checkpoints.
    key: Option<String>,
    state: Mutex<State>,
    /// One writer at a time, so that an older checkpoint never replaces a newer one.
    saving: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    watermark: LowWatermark,
    version: String,
    /// What the store has.
    saved: Option<Place>,
    saved_at: Option<Instant>,
    read_to_end: bool,
    is_told: bool,
}

impl State {
    fn is_complete(&self) -> bool {
        self.read_to_end && self.watermark.pending() == 0
    }

    /// What the store should have, while other parts are not complete.
    fn place(&self) -> Option<Place> {
        match &self.saved {
            Some(Place::Done { .. }) => self.saved.clone(),
            _ if self.is_complete() => Some(Place::Done { since: Timestamp::now() }),
            saved => match self.watermark.reached() {
                Some(position) => Some(Place::Record { position, version: self.version.clone() }),
                None => saved.clone(),
            },
        }
    }
}

impl Part {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checkpoints {
    /// For parts with these keys. `settled` hears of each that is done.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, keys: Vec<Option<String>>, settled: Option<Arc<dyn Settled>>) -> Self {
        let part = |key| Part { key, state: Mutex::default(), saving: tokio::sync::Mutex::default() };
        Self { store, parts: keys.into_iter().map(part).collect(), settled }
    }

    /// Up to where a part was safe at the last run. Waits for a store that is away; may be dropped.
    ///
    /// # Errors
    /// The store cannot say.
    pub async fn load(&self, index: usize) -> Result<Place, Failure> {
        let part = &self.parts[index];
        let Some(key) = &part.key else { return Ok(Place::START) };
        let ask = || self.store.checkpoint(key);
        let loaded = retry::hold(self.store.health(), "tell how far a backfill has come", ask).await;
        let loaded = loaded.map_err(|error| Failure::permanent(format!("read the checkpoint: {error}")))?;
        let place = loaded.as_deref().map(Place::parse);
        part.state().saved = place.clone();
        Ok(place.unwrap_or(Place::START))
    }

    /// This version of the part is read, from its start or from where it was safe.
    pub fn begin(&self, index: usize, version: &str) {
        let mut state = self.parts[index].state();
        version.clone_into(&mut state.version);
        if matches!(&state.saved, Some(Place::Done { .. })) {
            // It was done too long ago to count.
            state.saved = Some(Place::START);
        }
    }

    /// Records are about to be handed over.
    pub fn track(&self, index: usize, positions: impl Iterator<Item = u64>) {
        let mut state = self.parts[index].state();
        positions.for_each(|position| state.watermark.track(position));
    }

    /// No further record of this part will come; `whole` unless it broke off.
    pub async fn read_to_end(&self, index: usize, whole: bool) {
        self.parts[index].state().read_to_end = whole;
        self.save_some(index).await;
    }

    /// Whether nothing is left to do in any part.
    fn is_complete(&self) -> bool {
        self.parts.iter().all(|part| part.state().is_complete())
    }

    async fn save_some(&self, index: usize) {
        if self.is_complete() {
            self.save_all().await;
        } else {
            self.save(index).await;
        }
        self.tell(index).await;
    }

    /// Writes what was not yet written.
    pub async fn save_all(&self) {
        for index in 0..self.parts.len() {
            self.save(index).await;
        }
    }

    async fn save(&self, index: usize) {
        let part = &self.parts[index];
        let Some(key) = &part.key else { return };
        let _one = part.saving.lock().await;
        let is_complete = self.is_complete();
        let (saved, wanted) = {
            let state = part.state();
            (state.saved.clone(), if is_complete { None } else { state.place() })
        };
        if saved == wanted {
            return;
        }
        let text = wanted.as_ref().map(Place::text);
        let written = self.store.set_checkpoint(key, text.as_deref()).await;
        let mut state = part.state();
        state.saved_at = Some(Instant::now());
        match written {
            Ok(()) => state.saved = wanted,
            // An old checkpoint only means that more is read again.
            Err(error) => tracing::warn!(%error, "failed to store how far a backfill has come"),
        }
    }

    async fn tell(&self, index: usize) {
        let Some(settled) = &self.settled else { return };
        let is_news = {
            let mut state = self.parts[index].state();
            state.is_complete() && !std::mem::replace(&mut state.is_told, true)
        };
        if is_news {
            settled.settled(index).await;
        }
    }
}

#[async_trait]
impl Acknowledger<Kill> for Checkpoints {
    async fn acknowledge(&self, reference: u64, messages: &mut [Message<Kill>]) {
        let index = reference as usize;
        let Some(part) = self.parts.get(index) else { return };
        let is_due = {
            let mut state = part.state();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_were_written_and_nonsense_is_the_start() {
        let since = Timestamp::from_second(1_700_000_000).expect("a time");
        for place in [
            Place::Record { position: 7, version: String::new() },
            Place::Record { position: 7, version: "12-34".to_owned() },
            Place::Done { since },
        ] {
            assert_eq!(Place::parse(&place.text()), place);
        }
        for nonsense in ["", "x", "done", "done soon", "-1", "7.5 x"] {
            assert_eq!(Place::parse(nonsense), Place::START, "{nonsense}");
        }
    }
}
