//! How far each file is settled: low watermarks in memory, and their checkpoints in the store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Failure, LowWatermark, Message, ack};
use tokio::time::Instant;

use crate::killmail::Kill;
use crate::store::{self, Store};

/// How often checkpoints are written: what a crash repeats is this long at most.
const SAVE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Mark {
    name: String,
    watermark: LowWatermark,
    /// The last line that the store knows.
    saved: u64,
    /// Everything is read: once nothing is pending, the checkpoint is forgotten.
    read_through: bool,
    forgotten: bool,
}

/// The marks of all files; hears of settled lines.
#[derive(Debug)]
pub(super) struct Marks {
    marks: Mutex<Vec<Mark>>,
    store: Option<Arc<dyn Store>>,
    saved_at: Mutex<Option<Instant>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file as it is now: a changed one is another.
fn name(pipeline: &str, path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let data = std::fs::metadata(path).ok();
    let length = data.as_ref().map_or(0, std::fs::Metadata::len);
    let modified = data.and_then(|data| data.modified().ok()?.duration_since(UNIX_EPOCH).ok());
    format!("backfill/{pipeline}/{}/{length}/{}", full.display(), modified.unwrap_or_default().as_millis())
}

impl Marks {
    pub(super) fn new(pipeline: &str, paths: &[PathBuf], store: Option<Arc<dyn Store>>) -> Self {
        let mark = |path: &PathBuf| Mark {
            name: name(pipeline, path),
            watermark: LowWatermark::new(),
            saved: 0,
            read_through: false,
            forgotten: false,
        };
        Self { marks: Mutex::new(paths.iter().map(mark).collect()), store, saved_at: Mutex::new(None) }
    }

    /// The line up to which a file is settled: from memory, else from the store.
    pub(super) async fn reached(&self, file: usize) -> Result<u64, Failure> {
        let (name, known) = {
            let marks = lock(&self.marks);
            (marks[file].name.clone(), marks[file].watermark.reached())
        };
        let Some(store) = &self.store else { return Ok(known.unwrap_or(0)) };
        if let Some(reached) = known {
            return Ok(reached);
        }
        let saved = store.checkpoint(&name).await.map_err(|error| Failure::transient(error.to_string()))?;
        Ok(saved.and_then(|line| line.parse().ok()).unwrap_or(0))
    }

    /// Lines are handed out.
    pub(super) fn track(&self, file: usize, lines: impl Iterator<Item = u64>) {
        let mark = &mut lock(&self.marks)[file];
        lines.for_each(|line| mark.watermark.track(line));
    }

    /// A file is read to its end.
    pub(super) async fn read_through(&self, file: usize) {
        lock(&self.marks)[file].read_through = true;
        self.save().await;
    }

    /// Writes what the store does not know yet.
    pub(super) async fn save(&self) {
        let Some(store) = &self.store else { return };
        *lock(&self.saved_at) = Some(Instant::now());
        let changes: Vec<_> = lock(&self.marks).iter_mut().filter_map(Mark::change).collect();
        for (name, line) in changes {
            let value = line.map(|line| line.to_string());
            if let Err(error) = save_one(store.as_ref(), &name, value.as_deref()).await {
                // the kills themselves are stored: only the next run repeats a little
                tracing::warn!(%error, checkpoint = %name, "failed to save a checkpoint");
            }
        }
    }

    fn is_due(&self) -> bool {
        lock(&self.saved_at).is_none_or(|at| at.elapsed() >= SAVE_EVERY)
    }
}

async fn save_one(store: &dyn Store, name: &str, value: Option<&str>) -> Result<(), store::Error> {
    store.set_checkpoint(name, value).await
}

impl Mark {
    /// What to write: the line reached, or `None` to forget a file that is through.
    fn change(&mut self) -> Option<(String, Option<u64>)> {
        if self.forgotten {
            return None;
        }
        if self.read_through && self.watermark.pending() == 0 {
            self.forgotten = true;
            return Some((self.name.clone(), None));
        }
        let reached = self.watermark.reached().filter(|reached| *reached > self.saved)?;
        self.saved = reached;
        Some((self.name.clone(), Some(reached)))
    }
}

#[async_trait]
impl Acknowledger<Kill> for Marks {
    /// A failed line holds its file's mark: the next run reads it again.
    async fn acknowledge(&self, reference: u64, messages: &mut [Message<Kill>]) {
        let through = {
            let mut marks = lock(&self.marks);
            let Some(mark) = usize::try_from(reference).ok().and_then(|file| marks.get_mut(file)) else { return };
            for message in messages.iter().filter(|message| ack::is_safe(message.outcome())) {
                mark.watermark.settle(message.position());
            }
            mark.read_through && mark.watermark.pending() == 0
        };
        if through || self.is_due() {
            self.save().await;
        }
    }
}
