//! `sde import`: everything is fetched, read and checked before the database is touched, and then written in one transaction.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context;
use indicatif::HumanBytes;
use jiff::Timestamp;
use serde_json::json;

use super::fetch::{fetch, is_address};
use super::number;
use crate::cli::columns::align;
use crate::cli::opening::open_store;
use crate::cli::progress::{Progress, Unit};
use crate::cli::signals::Signals;
use crate::cli::text::clean;
use crate::cli::{Database, Usage, print};
use crate::clients::address;
use crate::settings::Settings;
use crate::statics::read::{Absent, Found};
use crate::statics::{KINDS, Statics};
use crate::store::Error;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The official zip of JSON lines, a folder of its files or of Fuzzwork's tables (CSV), or where either is published.
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
}

/// Imports, unless a signal comes first: then nothing has changed.
pub(super) async fn run(args: Args, database: &Database, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let summary = tokio::select! {
        done = import(&args, database, settings) => done?,
        caught = signals.next() => {
            eprintln!("broadside: interrupted: nothing was changed");
            return Ok(ExitCode::from(caught.exit_code()));
        }
    };
    print(&if args.json { summary.json() } else { summary.text() });
    Ok(ExitCode::SUCCESS)
}

async fn import(args: &Args, database: &Database, settings: &Settings) -> anyhow::Result<Summary> {
    let started = Instant::now();
    let (folder, path, source) = if is_address(&args.from) {
        let folder = tempfile::tempdir().context("failed to make a folder to download into")?;
        let path = fetch(&args.from, settings.contact.as_deref(), folder.path()).await?;
        (Some(folder), path, address::shown(&args.from))
    } else {
        (None, PathBuf::from(&args.from), args.from.clone())
    };
    let (statics, absent) = read(&path).await?;
    drop(folder);
    let store = open_store(&database.url, true).await?;
    let imported_at = Timestamp::now();
    let version = store.replace_statics(&statics, &source, imported_at).await;
    store.close().await;
    Ok(Summary {
        version: version.map_err(unchanged)?,
        source,
        imported_at,
        seconds: started.elapsed().as_secs_f64(),
        counts: statics.counts(),
        absent,
    })
}

/// What an import that did not come to its end says.
fn unchanged(error: Error) -> anyhow::Error {
    let why = if error.is_transient() { "; perhaps another import is under way: try again later" } else { "" };
    anyhow::anyhow!("failed to {error}: nothing was changed{why}")
}

/// Reads and checks all of it, on a thread that may wait.
async fn read(path: &Path) -> anyhow::Result<(Statics, Vec<Absent>)> {
    let path = path.to_owned();
    let wrong = |error: crate::statics::read::Problem| clean(&format!("failed to {error}"), false);
    let found = tokio::task::spawn_blocking(move || Found::at(&path)).await?;
    let found = found.map_err(|error| Usage(wrong(error)))?;
    let (total, absent) = (found.bytes(), found.absent().to_vec());
    let read = Arc::new(AtomicU64::new(0));
    let mut reading = tokio::task::spawn_blocking({
        let read = read.clone();
        move || found.read(&read)
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
    Ok((statics?.map_err(|error| anyhow::anyhow!(wrong(error)))?, absent))
}

impl Summary {
    fn text(&self) -> String {
        let mut rows = vec![["imported".to_owned(), String::new()]];
        rows.extend(KINDS.iter().zip(self.counts).map(|(kind, count)| [kind.replace('_', " "), number(count as u64)]));
        let mut text = align(&rows);
        for Absent { table, gives } in &self.absent {
            text.push_str(&format!("without {table}: {gives}\n"));
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
        });
        for (kind, count) in KINDS.iter().zip(self.counts) {
            object[*kind] = count.into();
        }
        object.to_string()
    }
}
