//! Kills from zKillboard's numbered files: every kill in its package, in the order of processing.
//!
//! Redelivers: the place up to which everything is safe is kept as a checkpoint (`zkillboard/<pipeline>`: the next number, numbers that were not
//! there yet, days to be read from the history), and reading resumes from it. Files are kept for a day, so a shorter absence costs nothing; after a
//! longer one the days in between are left to the daily history, and reading goes on with the first file that is there. Without a checkpoint it begins with the newest.
//!
//! For this source there is no error either, only waiting: what to ask for when, the client's [`Course`] decides. A file that cannot be read for minutes, while
//! others can, is handed over as it is (or as a note that names it), to end as a dead letter; a number without a file for an hour is a gap.

mod days;
mod keeper;
mod marks;
mod reader;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Factory, Failure, Source};
use jiff::{SignedDuration, Timestamp};
use metrics::{Counter, Gauge, counter, gauge};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::clients::address;
use crate::clients::zkillboard::{self as client, Client, Course, Start};
use crate::duration::Span;
use crate::history::Spool;
use crate::killmail::Kill;
use crate::resources::Resources;
use crate::store::Store;

use days::Days;
use keeper::Keeper;
use marks::Mark;
use reader::Reader;

/// The name in metrics, and in the column `source`.
pub(super) const NAME: &str = "zkillboard";

/// `[source.zkillboard]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Base address of the numbered files.
    pub url: String,
    /// How long the service keeps them: after a longer absence the days in between are read from its history.
    pub kept: Span,
    /// Folder for days of the history while they are read: `broadside-spool-<pipeline>` unless set.
    pub spool: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: client::URL.to_owned(), kept: Span::from_secs(24 * 3600), spool: None }
    }
}

impl Config {
    /// The source of this pipeline: its name goes into the metrics and the checkpoint's name.
    ///
    /// # Errors
    /// A sentence for the operator: no address, no contact for a foreign host.
    pub fn open(&self, pipeline: &str, resources: &Resources) -> Result<Zkillboard, String> {
        let client = self.client(resources.contact.as_deref())?;
        let keeper = Arc::new(Keeper::new(resources.store.clone(), format!("{NAME}/{pipeline}")));
        let figures = Figures::new(pipeline);
        let folder = self.spool.clone().unwrap_or_else(|| format!("broadside-spool-{pipeline}").into());
        let (store, spool) = (resources.store.clone(), Spool::new(folder));
        Ok(Zkillboard { client, keeper, store, spool, figures, kept: self.kept.0 })
    }

    /// Whether it can work, as far as can be told without asking the service.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn check(&self, contact: Option<&str>) -> Result<(), String> {
        self.client(contact).map(drop)
    }

    fn client(&self, contact: Option<&str>) -> Result<Client, String> {
        if self.kept.0 < Duration::from_secs(60) {
            return Err(format!("failed to use kept = \"{}\": files are there for a minute at least", self.kept));
        }
        Client::new(&self.url, contact).map_err(|error| match error {
            address::Error::Missing => format!("failed to {error}: set ZKILLBOARD_URL"),
            address::Error::NoContact { .. } => {
                format!("failed to {error}, or ZKILLBOARD_URL to an address of your own")
            }
            _ => format!("failed to {error}"),
        })
    }
}

#[derive(Debug, Clone)]
struct Figures {
    pipeline: String,
    connected: Gauge,
    sequence: Gauge,
}

impl Figures {
    fn new(pipeline: &str) -> Self {
        let labels = [("pipeline", pipeline.to_owned()), ("source", NAME.to_owned())];
        Self {
            pipeline: pipeline.to_owned(),
            connected: gauge!("broadside_source_connected", &labels),
            sequence: gauge!("broadside_zkillboard_sequence", "pipeline" => pipeline.to_owned()),
        }
    }

    fn skipped(&self, reason: &'static str) -> Counter {
        let pipeline = self.pipeline.clone();
        counter!("broadside_source_skipped_total", "pipeline" => pipeline, "source" => NAME, "reason" => reason)
    }
}

/// Builds the source, again and again: each incarnation resumes from what is safe.
#[derive(Debug)]
pub struct Zkillboard {
    client: Client,
    keeper: Arc<Keeper>,
    store: Arc<dyn Store>,
    spool: Spool,
    figures: Figures,
    kept: Duration,
}

#[async_trait]
impl Factory<Kill> for Zkillboard {
    async fn build(&self, index: usize) -> Result<Box<dyn Source<Kill>>, Failure> {
        if index > 0 {
            return Err(Failure::permanent("read the numbered files twice at once: one producer is all there can be"));
        }
        let (incarnation, mark) = self.keeper.begin().await?;
        let start = mark.as_ref().map_or_else(Start::default, |mark| self.start(mark));
        let mut days = Days::new(self.client.history(), self.store.clone(), self.spool.clone());
        days.add(mark.iter().flat_map(|mark| mark.days.iter().copied()), Instant::now());
        days.forget_leftovers();
        Ok(Box::new(Reader {
            client: self.client.clone(),
            keeper: self.keeper.clone(),
            figures: self.figures.clone(),
            incarnation,
            course: Course::new(&start, Instant::now()),
            known_changes: None,
            at: mark.as_ref().map(|mark| mark.at),
            mark,
            days,
            flight: None,
            troubles: 0,
            is_closed: false,
            has_warned: false,
        }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Kill>> {
        self.keeper.clone()
    }
}

impl Zkillboard {
    fn start(&self, mark: &Mark) -> Start {
        let age = Timestamp::now().duration_since(mark.at);
        let is_stale = SignedDuration::try_from(self.kept).is_ok_and(|kept| age > kept);
        tracing::info!(sequence = mark.sequence, at = %mark.at, is_stale, "resuming from the checkpoint");
        Start { next: Some(mark.sequence), missing: mark.missing.to_vec(), updates: mark.updates.to_vec(), is_stale }
    }
}
