//! Kills from files: history, or the output of another tool. Finite.
//!
//! What a file may hold, [`archive`] says; in which shape each kill is, `decode` finds out.
//!
//! A record beyond 8 MB becomes a message that has failed already, with its first 64 kB. What cannot be read (a gzip cut short) ends
//! that file at the last whole record; the other files are read all the same, and then the source fails with the names of those that were not read to their
//! end: everything good is on its way by then.
//!
//! Redelivers: the place up to which all is safe is kept as a checkpoint a file (by path, length and time of change), about once a second, and
//! a file goes on from there when it is read again. When all files were read to their ends without a failure left, their checkpoints are removed.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Demand, Factory, Failure, Flow, Source};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::archive::{self, Archive, Checkpoints, Record};
use crate::killmail::Kill;
use crate::resources::Resources;

pub use crate::archive::Progress;

/// What `[source.file]` takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The files, read one after the other.
    pub paths: Vec<PathBuf>,
    /// Keep the place in each file, to go on from there after an interruption.
    #[serde(default = "yes")]
    pub checkpoint: bool,
}

fn yes() -> bool {
    true
}

impl Default for Config {
    fn default() -> Self {
        Self { paths: Vec::new(), checkpoint: true }
    }
}

impl Config {
    /// What builds the source of the kills pipeline.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn build(&self, resources: &Resources) -> Result<Arc<dyn Factory<Kill>>, String> {
        Ok(Arc::new(self.open("kills", resources)?))
    }

    /// The same for any pipeline, with its [`Files::progress`] to be watched.
    ///
    /// # Errors
    /// A sentence that names the file that is not there.
    pub fn open(&self, pipeline: &str, resources: &Resources) -> Result<Files, String> {
        let mut places = Vec::new();
        let mut bytes_total = 0;
        for path in &self.paths {
            let place = Place::open(path).map_err(|error| format!("failed to open {}: {error}", path.display()))?;
            bytes_total += place.bytes;
            places.push(place);
        }
        let keys = places.iter().map(|place| (self.checkpoint && place.is_regular).then(|| place.key(pipeline)));
        let checkpoints = Arc::new(Checkpoints::new(resources.store.clone(), keys.collect(), None));
        let progress = Arc::new(Progress { bytes_total, ..Progress::default() });
        let work = Work { file: 0, record: 0, skip: None, broken: Vec::new() };
        Ok(Files { shared: Arc::new(Shared { places, checkpoints, progress, work: Mutex::new(work) }) })
    }
}

/// A file as it was found.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    canonical: PathBuf,
    is_regular: bool,
    bytes: u64,
    changed_at: u64,
}

impl Place {
    fn open(path: &PathBuf) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(std::io::Error::other("it is a folder"));
        }
        // Whether it may be read shows now, not in the middle of the run.
        let is_regular = metadata.is_file();
        if is_regular {
            std::fs::File::open(path)?;
        }
        let changed_at = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            path: path.clone(),
            canonical: path.canonicalize()?,
            is_regular,
            bytes: if is_regular { metadata.len() } else { 0 },
            changed_at: changed_at.as_secs(),
        })
    }

    fn key(&self, pipeline: &str) -> String {
        format!("backfill/{pipeline}/{}/{}/{}", self.canonical.display(), self.bytes, self.changed_at)
    }
}

/// Builds the source, again and again; what was handed over is not handed over again by the next incarnation.
#[derive(Debug)]
pub struct Files {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    places: Vec<Place>,
    checkpoints: Arc<Checkpoints>,
    progress: Arc<Progress>,
    work: Mutex<Work>,
}

/// Where reading stands.
#[derive(Debug)]
struct Work {
    file: usize,
    /// The last record handed over of this file.
    record: u64,
    /// What the checkpoint says of this file, once asked.
    skip: Option<u64>,
    /// Sentences on files that were not read to their end.
    broken: Vec<String>,
}

impl Shared {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a file behind the records that are safe, or that were handed over by an incarnation before.
    async fn open(&self, index: usize, handed_over: u64) -> Result<Archive, Failure> {
        let known = self.work().skip;
        let skip = match known {
            Some(skip) => skip,
            None => match self.checkpoints.load(index).await? {
                archive::Place::Record { position, .. } => position,
                archive::Place::Done { .. } => u64::MAX,
            },
        };
        self.work().skip = Some(skip);
        let (path, progress) = (self.places[index].path.clone(), self.progress.clone());
        let opened = tokio::task::spawn_blocking(move || Archive::open(&path, progress, skip.max(handed_over))).await;
        opened.map_err(|panic| Failure::permanent(format!("open a file: {panic}")))
    }

    fn hand_over(&self, index: usize, records: Vec<(u64, Record)>, demand: &mut Demand<Kill>) {
        let Some((last, _)) = records.last() else { return };
        let now = Timestamp::now();
        self.work().record = *last;
        self.progress.records.fetch_add(records.len() as u64, Ordering::Relaxed);
        self.checkpoints.track(index, records.iter().map(|(position, _)| *position));
        demand.reserve(records.len());
        for (position, record) in records {
            demand.push(record.message("file", now).with_position(index as u64, position));
        }
    }

    async fn end(&self, index: usize, end: Result<(), String>) {
        let is_whole = end.is_ok();
        {
            let mut work = self.work();
            work.broken.extend(end.err());
            work.file += 1;
            work.record = 0;
            work.skip = None;
        }
        self.checkpoints.read_to_end(index, is_whole).await;
    }
}

impl Files {
    /// To be watched while the pipeline runs.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.shared.progress.clone()
    }
}

#[async_trait]
impl Factory<Kill> for Files {
    async fn build(&self, index: usize) -> Result<Box<dyn Source<Kill>>, Failure> {
        Ok(Box::new(FileSource { shared: self.shared.clone(), reader: None, is_idle: index > 0 }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Kill>> {
        self.shared.checkpoints.clone()
    }
}

struct FileSource {
    shared: Arc<Shared>,
    reader: Option<Archive>,
    /// Files are read one after the other: the first producer reads them all.
    is_idle: bool,
}

#[async_trait]
impl Source<Kill> for FileSource {
    async fn pull(&mut self, demand: &mut Demand<Kill>) -> Result<Flow, Failure> {
        if self.is_idle {
            return Ok(Flow::Finished);
        }
        let (index, record) = {
            let work = self.shared.work();
            (work.file, work.record)
        };
        if index == self.shared.places.len() {
            let broken = self.shared.work().broken.join("; ");
            return if broken.is_empty() { Ok(Flow::Finished) } else { Err(Failure::permanent(broken)) };
        }
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => tokio::select! {
                biased;
                () = demand.interrupted() => return Ok(Flow::More),
                opened = self.shared.open(index, record) => opened?,
            },
        };
        let room = demand.room();
        let read = tokio::task::spawn_blocking(move || (reader.take(room), reader)).await;
        let (taken, reader) = read.map_err(|panic| Failure::permanent(format!("read a file: {panic}")))?;
        self.shared.hand_over(index, taken.records, demand);
        match taken.end {
            None => self.reader = Some(reader),
            Some(end) => self.shared.end(index, end).await,
        }
        Ok(Flow::More)
    }

    async fn close(&mut self) {
        self.shared.checkpoints.save_all().await;
    }
}
