//! `sde import`: everything is fetched, read and checked before the database is changed, and then written in one transaction.
//!
//! One table alone takes the place of what there is of it. After an import, kills that were stored without static data are queued to be completed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context;
use indicatif::HumanBytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use super::fetch::{fetch, is_address};
use super::number;
use crate::cli::columns::align;
use crate::cli::opening::open_store;
use crate::cli::progress::{Progress, Unit};
use crate::cli::signals::Signals;
use crate::cli::statics::queue_untagged;
use crate::cli::text::clean;
use crate::cli::{Database, Usage, print};
use crate::clients::address;
use crate::settings::Settings;
use crate::statics::read::{Absent, Alone, Found, Problem};
use crate::statics::{KINDS, Statics};
use crate::store::{Error, Origins, Store};

/// Kills that are queued here are due once the workers have taken up the new static data, which they look for every two seconds.
const TAKEN_UP: SignedDuration = SignedDuration::from_secs(15);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The official zip of JSON lines, a folder of its files or of Fuzzwork's tables (CSV), or where either is published. One file of such a folder
    /// takes the place of what an earlier import brought of it.
    #[arg(value_name = "FILE, DIR or URL")]
    pub from: String,
    /// The summary as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What was done.
struct Summary {
    version: i64,
    source: String,
    imported_at: Timestamp,
    seconds: f64,
    counts: [usize; 7],
    absent: Vec<Absent>,
    alone: Option<Alone>,
    queued: u64,
}

/// Imports, unless a signal comes first: then nothing has changed.
pub(super) async fn run(args: Args, database: &Database, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let done = tokio::select! {
        done = import(&args, database, settings) => done?,
        caught = signals.next() => {
            eprintln!("broadside: interrupted: nothing was changed");
            return Ok(ExitCode::from(caught.exit_code()));
        }
    };
    let (store, mut summary) = done;
    let queued = tokio::select! {
        queued = queue(&*store, &mut summary.queued) => queued.map(|()| ExitCode::SUCCESS),
        caught = signals.next() => {
            eprintln!("broadside: interrupted: the static data are imported; to queue all kills that were stored without them, import again");
            Ok(ExitCode::from(caught.exit_code()))
        }
    };
    store.close().await;
    print(&if args.json { summary.json() } else { summary.text() });
    queued
}

async fn import(args: &Args, database: &Database, settings: &Settings) -> anyhow::Result<(Arc<dyn Store>, Summary)> {
    let started = Instant::now();
    let from = From::fetched(&args.from, settings.contact.as_deref()).await?;
    let found = from.found().await?;
    // Where all of it is read, a database is opened when that went well.
    let whole = if found.alone().is_some() { None } else { Some(from.read(&found, Origins::default()).await?) };
    let store = open_store(&database.url, true).await?;
    let imported_at = Timestamp::now();
    match put(&*store, &from, &found, whole, imported_at).await {
        Ok((version, counts)) => {
            let seconds = started.elapsed().as_secs_f64();
            let (absent, alone) = (found.absent().to_vec(), found.alone());
            let summary =
                Summary { version, source: from.shown, imported_at, seconds, counts, absent, alone, queued: 0 };
            Ok((store, summary))
        }
        Err(error) => {
            store.close().await;
            Err(error)
        }
    }
}

/// Stores all of it, or one table over what is there; answers the version and how many there are of each kind.
async fn put(
    store: &dyn Store,
    from: &From,
    found: &Arc<Found>,
    whole: Option<Statics>,
    now: Timestamp,
) -> anyhow::Result<(i64, [usize; 7])> {
    let (version, statics) = match whole {
        Some(statics) => (store.replace_statics(&statics, &from.shown, now).await, statics),
        None => {
            let origins = store.load_origins().await.map_err(unchanged)?;
            let over = origins.version;
            let statics = from.read(found, origins).await?;
            (store.amend_statics(over, &statics, &from.shown, now).await, statics)
        }
    };
    Ok((version.map_err(unchanged)?, statics.counts()))
}

/// Queues the kills that can be completed now.
async fn queue(store: &dyn Store, queued: &mut u64) -> anyhow::Result<()> {
    let why = "these are imported: to queue the kills, import them again";
    let done = queue_untagged(store, Timestamp::now() + TAKEN_UP, queued).await;
    done.map_err(|error| {
        anyhow::anyhow!("failed to queue the kills that were stored without static data: {error}; {why}")
    })
}

/// What an import that did not come to its end says.
fn unchanged(error: Error) -> anyhow::Error {
    let why = if error.is_transient() { "; perhaps another import is under way: try again later" } else { "" };
    anyhow::anyhow!("failed to {error}: nothing was changed{why}")
}

/// Where the files are.
struct From {
    path: PathBuf,
    /// Fit to be told: of an address without password and query.
    shown: String,
    /// What was downloaded goes with it.
    folder: Option<TempDir>,
}

impl From {
    async fn fetched(text: &str, contact: Option<&str>) -> anyhow::Result<Self> {
        if !is_address(text) {
            return Ok(Self { path: PathBuf::from(text), shown: text.to_owned(), folder: None });
        }
        let folder = tempfile::tempdir().context("failed to make a folder to download into")?;
        let path = fetch(text, contact, folder.path()).await?;
        Ok(Self { path, shown: address::shown(text), folder: Some(folder) })
    }

    /// What is wrong, and where: nobody knows of the folder that was downloaded into.
    fn wrong(&self, problem: Problem) -> String {
        let problem = if self.folder.is_some() { problem.of_place(&self.path, &self.shown) } else { problem };
        clean(&format!("failed to {problem}"), false)
    }

    async fn found(&self) -> anyhow::Result<Arc<Found>> {
        let path = self.path.clone();
        let found = tokio::task::spawn_blocking(move || Found::at(&path)).await?;
        Ok(Arc::new(found.map_err(|problem| Usage(self.wrong(problem)))?))
    }

    /// Reads and checks all of it, on a thread that may wait.
    async fn read(&self, found: &Arc<Found>, origins: Origins) -> anyhow::Result<Statics> {
        let (total, read) = (found.bytes(), Arc::new(AtomicU64::new(0)));
        let mut reading = tokio::task::spawn_blocking({
            let (found, read) = (found.clone(), read.clone());
            move || found.read_over(origins.imported, origins.told, &read)
        });
        let mut progress = Progress::new(Some((total, Unit::Bytes)));
        let mut every = tokio::time::interval(progress.every());
        let statics = loop {
            tokio::select! {
                statics = &mut reading => break statics,
                _ = every.tick() => {
                    let read = read.load(Ordering::Relaxed);
                    progress.show(read, &format!("reading: {} of {}", HumanBytes(read), HumanBytes(total)));
                }
            }
        };
        progress.finish();
        statics?.map_err(|problem| anyhow::anyhow!(self.wrong(problem)))
    }
}

impl Summary {
    fn text(&self) -> String {
        let mut rows = vec![["imported".to_owned(), String::new()]];
        rows.extend(KINDS.iter().zip(self.counts).map(|(kind, count)| [kind.replace('_', " "), number(count as u64)]));
        let mut text = align(&rows);
        for Absent { table, gives } in &self.absent {
            text.push_str(&format!("without {table}: {gives}\n"));
        }
        if let Some(Alone { table, gives }) = self.alone {
            text.push_str(&format!("replaced by {table} alone: {gives}; the rest is as it was\n"));
        }
        if self.queued > 0 {
            let queued = number(self.queued);
            text.push_str(&format!("{queued} kills that were stored without static data will be completed\n"));
        }
        let source = clean(&self.source, false);
        text.push_str(&format!("version {} from {source} in {:.1} s", self.version, self.seconds));
        text
    }

    fn json(&self) -> String {
        let mut object = json!({
            "version": self.version,
            "source": self.source,
            "imported_at": self.imported_at.to_string(),
            "seconds": self.seconds,
            "absent": self.absent.iter().map(|absent| absent.table).collect::<Vec<_>>(),
            "alone": self.alone.map(|alone| alone.table),
            "queued": self.queued,
        });
        for (kind, count) in KINDS.iter().zip(self.counts) {
            object[*kind] = count.into();
        }
        object.to_string()
    }
}
