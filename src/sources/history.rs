//! Days of history, one after the other: for `backfill --day`. Finite.
//!
//! Hands over what the store lacks of each day; see [`history`](crate::history). A day that is not published is said and passed over; so is one that cannot be had,
//! but two of these in a row end the reading: then something is wrong with the service. The source fails at its end with the names of the days that were not to be had.
//!
//! Redelivers: how far a day has come is kept as a checkpoint. When every kill of a day is safe, its files leave the spool; and when all days are,
//! their checkpoints are removed. Until then the same command passes over the days that were done within the last 24 hours.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Demand, Factory, Failure, Flow, Source};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::archive::{Checkpoints, Place, Record, Settled};
use crate::clients::history::{Archivist, History};
use crate::history::{Counts, Day, Error, Spool};
use crate::killmail::Kill;
use crate::resources::Resources;
use crate::store::Store;

/// How long a day that was done is passed over by the same command.
const DONE_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Days in a row that cannot be had.
const AWAY_MAX: usize = 2;

/// Which days, and from where.
#[derive(Debug, Clone)]
pub struct Config {
    pub archivist: Archivist,
    /// Base URL of the service.
    pub base: String,
    /// Ascending.
    pub days: Vec<Date>,
    /// The folder for what is being read.
    pub spool: PathBuf,
}

impl Config {
    /// What builds the source, with its [`Days::progress`] to be watched.
    ///
    /// # Errors
    /// A sentence: the service cannot be called.
    pub fn open(&self, pipeline: &str, resources: &Resources) -> Result<Days, String> {
        let history = History::new(self.archivist, &self.base, resources.contact.as_deref());
        let history = history.map_err(|error| format!("failed to {error}"))?;
        let spool = Spool::new(&self.spool);
        let key = |day: &Date| Some(format!("backfill/{pipeline}/{}/{day}/{}", self.archivist.name(), self.base));
        let keys = self.days.iter().map(key).collect();
        let files = Files { spool: spool.clone(), archivist: self.archivist, days: self.days.clone() };
        let checkpoints = Checkpoints::new(resources.store.clone(), keys, Some(Arc::new(files.clone())));
        Ok(Days {
            shared: Arc::new(Shared {
                history,
                spool,
                store: resources.store.clone(),
                days: self.days.clone(),
                checkpoints: Arc::new(checkpoints),
                progress: Arc::new(Progress::new(files)),
                work: Mutex::default(),
            }),
        })
    }

    /// Removes the spool's folder if nothing is left in it: when the pipeline has ended, well or badly.
    pub async fn clean_up(&self) {
        Spool::new(&self.spool).close().await;
    }
}

/// How far the reading has come; shared with whoever shows it.
#[derive(Debug)]
pub struct Progress {
    /// All of them.
    pub days: u64,
    /// Read to their end, or given up.
    pub days_over: AtomicU64,
    /// Of those, days that an interrupted run had done.
    pub days_before: AtomicU64,
    present: Mutex<Present>,
    files: Files,
}

/// What is being read.
#[derive(Debug, Clone, Default)]
pub struct Present {
    /// `None` between days.
    pub day: Option<Date>,
    /// Of this day. `None` while it is fetched.
    pub counts: Option<Counts>,
    /// Of the days before it.
    pub total: Counts,
}

impl Progress {
    fn new(files: Files) -> Self {
        Self {
            days: files.days.len() as u64,
            days_over: AtomicU64::new(0),
            days_before: AtomicU64::new(0),
            present: Mutex::default(),
            files,
        }
    }

    /// What is being read, and what has been.
    #[must_use]
    pub fn present(&self) -> Present {
        self.lock().clone()
    }

    /// Bytes that have come of a day that is being fetched.
    #[must_use]
    pub fn arrived(&self, day: Date) -> u64 {
        self.files.spool.arrived(self.files.archivist, day)
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, day: Date) {
        let mut present = self.lock();
        (present.day, present.counts) = (Some(day), None);
    }

    fn at(&self, counts: Counts) {
        self.lock().counts = Some(counts);
    }

    fn end(&self) {
        let mut present = self.lock();
        let counts = present.counts.take().unwrap_or_default();
        present.total.kills += counts.kills;
        present.total.read += counts.read;
        present.total.stored += counts.stored;
        present.total.missing += counts.missing;
        present.day = None;
        self.days_over.fetch_add(1, Ordering::Relaxed);
    }
}

/// The days' files in the spool; takes out those of days that are done.
#[derive(Debug, Clone)]
struct Files {
    spool: Spool,
    archivist: Archivist,
    days: Vec<Date>,
}

#[async_trait]
impl Settled for Files {
    async fn settled(&self, day: usize) {
        self.spool.settled(self.archivist, self.days[day]).await;
    }
}

/// Builds the source, again and again; what was handed over is not handed over again by the next incarnation.
#[derive(Debug)]
pub struct Days {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    history: History,
    spool: Spool,
    store: Arc<dyn Store>,
    days: Vec<Date>,
    checkpoints: Arc<Checkpoints>,
    progress: Arc<Progress>,
    work: Mutex<Work>,
}

/// Where reading stands.
#[derive(Debug, Default)]
struct Work {
    /// The index of the present day.
    day: usize,
    /// The last record handed over of it, and of which version.
    record: u64,
    version: String,
    unpublished: Vec<Date>,
    broken: Vec<String>,
    /// Days in a row that could not be had.
    away: usize,
}

impl Work {
    fn verdict(&self) -> Result<Flow, Failure> {
        let mut sentences = Vec::new();
        if !self.unpublished.is_empty() {
            let days: Vec<_> = self.unpublished.iter().map(ToString::to_string).collect();
            sentences.push(format!("not published: {}", days.join(", ")));
        }
        sentences.extend(self.broken.iter().cloned());
        if sentences.is_empty() { Ok(Flow::Finished) } else { Err(Failure::permanent(sentences.join("; "))) }
    }
}

impl Shared {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets the day and goes behind what is safe of it. `None`: there is nothing to read, and the next day has its turn.
    async fn open(&self, index: usize) -> Result<Option<Day>, Failure> {
        let date = self.days[index];
        self.progress.begin(date);
        let place = self.checkpoints.load(index).await?;
        if let Place::Done { since } = &place
            && Timestamp::now().duration_since(*since) < DONE_FOR
        {
            self.progress.days_before.fetch_add(1, Ordering::Relaxed);
            self.end(index, true).await;
            return Ok(None);
        }
        match Day::open(&self.history, &self.store, &self.spool, date).await {
            Ok(mut day) => {
                let mut work = self.work();
                work.away = 0;
                let handed_over = if work.version == day.version() { work.record } else { 0 };
                day.skip(match place {
                    Place::Record { position, version } if version == day.version() => position.max(handed_over),
                    _ => handed_over,
                });
                day.version().clone_into(&mut work.version);
                self.checkpoints.begin(index, day.version());
                self.progress.at(day.counts());
                Ok(Some(day))
            }
            Err(error) if error.is_of_the_day() => {
                self.pass_over(index, &error).await?;
                Ok(None)
            }
            Err(error) => Err(Failure::permanent(error.to_string())),
        }
    }

    async fn pass_over(&self, index: usize, error: &Error) -> Result<(), Failure> {
        let date = self.days[index];
        tracing::warn!("failed to {error}: {date} is passed over");
        {
            let mut work = self.work();
            if error.is_not_published() {
                work.unpublished.push(date);
            } else {
                work.broken.push(format!("{date}: failed to {error}"));
                work.away += 1;
                if work.away == AWAY_MAX {
                    return work.verdict().map(drop);
                }
            }
        }
        self.end(index, false).await;
        Ok(())
    }

    fn hand_over(&self, index: usize, records: Vec<(u64, Record)>, demand: &mut Demand<Kill>) {
        let Some((last, _)) = records.last() else { return };
        let now = Timestamp::now();
        self.work().record = *last;
        self.checkpoints.track(index, records.iter().map(|(position, _)| *position));
        demand.reserve(records.len());
        for (position, record) in records {
            demand.push(record.message("history", now).with_position(index as u64, position));
        }
    }

    async fn end(&self, index: usize, is_whole: bool) {
        {
            let mut work = self.work();
            work.day = index + 1;
            work.record = 0;
            work.version.clear();
        }
        self.progress.end();
        self.checkpoints.read_to_end(index, is_whole).await;
    }
}

impl Days {
    /// To be watched while the pipeline runs.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.shared.progress.clone()
    }
}

#[async_trait]
impl Factory<Kill> for Days {
    async fn build(&self, index: usize) -> Result<Box<dyn Source<Kill>>, Failure> {
        Ok(Box::new(HistorySource { shared: self.shared.clone(), day: None, is_idle: index > 0 }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Kill>> {
        self.shared.checkpoints.clone()
    }
}

struct HistorySource {
    shared: Arc<Shared>,
    day: Option<Day>,
    /// Days are read one after the other: the first producer reads them all.
    is_idle: bool,
}

#[async_trait]
impl Source<Kill> for HistorySource {
    async fn pull(&mut self, demand: &mut Demand<Kill>) -> Result<Flow, Failure> {
        if self.is_idle {
            return Ok(Flow::Finished);
        }
        let shared = &*self.shared;
        let index = shared.work().day;
        if index == shared.days.len() {
            return shared.work().verdict();
        }
        let mut day = match self.day.take() {
            Some(day) => day,
            None => tokio::select! {
                biased;
                () = demand.interrupted() => return Ok(Flow::More),
                opened = shared.open(index) => match opened? {
                    Some(day) => day,
                    None => return Ok(Flow::More),
                },
            },
        };
        match day.next(demand.room()).await {
            Ok(Some(records)) => {
                shared.hand_over(index, records, demand);
                shared.progress.at(day.counts());
                self.day = Some(day);
            }
            Ok(None) => {
                shared.progress.at(day.counts());
                shared.end(index, true).await;
            }
            Err(error) => {
                shared.work().broken.push(error.to_string());
                shared.end(index, false).await;
            }
        }
        Ok(Flow::More)
    }

    async fn close(&mut self) {
        self.shared.checkpoints.save_all().await;
    }
}
