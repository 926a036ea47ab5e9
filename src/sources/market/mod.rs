//! Market orders of many regions, kept in step with ESI: one poller a region, all of them in one source.
//!
//! ```text
//! supervisor ─► poller of region 1 ─► sweep: page 1, then the others ─┐
//!            ─► poller of region 2 ─► …                               ├─► (bounded) ─► pull
//!            ─► …        all of them share 16 calls and the tokens ───┘
//! ```
//!
//! A **sweep** reads all pages of a region, each only when it has expired, and only if it has changed. Its pages go through the pipeline; when all of them are
//! safe, the end of the sweep follows, and the next one is due when the pages have expired. A page that fails, here or in the pipeline, is asked for again after
//! `after_error`; those that were read meanwhile are not.
//!
//! ESI promises a snapshot every five minutes for each page, not one for all of them: see [`crate::market::book`] for what is made of that.
//!
//! A poller that crashes is started again, within a budget; the others do not notice. Nothing here ends the pipeline: while ESI is away, the source waits.

mod acks;
mod ask;
mod calls;
mod list;
mod outside;
mod pace;
mod poller;
mod supervisor;
mod sweep;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::ack::Noop;
use broadside_engine::topology::RestartBudget;
use broadside_engine::{Acknowledger, Factory, Failure, Source};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::clients::address;
use crate::clients::esi::Esi;
use crate::duration::Span;
use crate::market::Page;
use crate::resources::Resources;

pub use list::Wanted;
use poller::Shared;
use supervisor::Supervisor;

/// More calls at once than these make ESI slower.
const CONCURRENCY_MAX: usize = 16;
const HOUR: Duration = Duration::from_secs(3600);

/// `[source.market]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Base address of ESI.
    pub url: String,
    /// `"all"`: every region that ESI names; or a list of ids and names.
    pub regions: Wanted,
    /// Pages asked for at once, of all regions together: 1 to 16.
    #[schemars(range(min = 1, max = 16))]
    pub concurrency: usize,
    /// Between the first sweeps of two regions.
    pub stagger: Span,
    /// From one sweep to the next when ESI does not say how long its pages hold.
    pub interval: Span,
    /// From one sweep to the next at least, whatever ESI says.
    pub interval_min: Span,
    /// After pages have expired, before they are asked for.
    pub margin: Span,
    /// After a sweep that failed.
    pub after_error: Span,
    /// How often a region's poller may crash …
    #[schemars(range(min = 1, max = 1000))]
    pub restarts: u32,
    /// … within this time; then it rests for as long.
    pub restarts_within: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "https://esi.evetech.net".to_owned(),
            regions: Wanted::All,
            concurrency: CONCURRENCY_MAX,
            stagger: Span::from_millis(100),
            interval: Span::from_secs(300),
            interval_min: Span::from_secs(30),
            margin: Span::from_secs(2),
            after_error: Span::from_secs(60),
            restarts: 5,
            restarts_within: Span::from_secs(600),
        }
    }
}

impl Config {
    /// The source of this pipeline: its name goes into metrics and onto the board.
    ///
    /// # Errors
    /// A sentence for the operator: a setting that cannot be, no address, no contact for a foreign host.
    pub fn open(&self, pipeline: &str, resources: &Resources) -> Result<Market, String> {
        self.check(resources.contact.as_deref())?;
        let esi = resources.esi.at(&self.url, resources.contact.as_deref()).map_err(|error| explain(&error))?;
        Ok(Market(Arc::new(Shared::new(self, pipeline, resources, Arc::new(esi)))))
    }

    /// Whether it can work, as far as can be told without asking ESI.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn check(&self, contact: Option<&str>) -> Result<(), String> {
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            return Err(format!("concurrency must be from 1 to {CONCURRENCY_MAX}: beyond that ESI gets slower"));
        }
        for (name, span) in [("interval", self.interval), ("interval_min", self.interval_min)] {
            if span.0 < Duration::from_secs(1) || span.0 > 24 * HOUR {
                return Err(format!("{name} must be from 1s to 1d"));
            }
        }
        for (name, span) in [("margin", self.margin), ("stagger", self.stagger)] {
            if span.0 > HOUR {
                return Err(format!("{name} must be at most 1h"));
            }
        }
        for (name, span) in [("after_error", self.after_error), ("restarts_within", self.restarts_within)] {
            if span.0 < Duration::from_secs(1) || span.0 > 24 * HOUR {
                return Err(format!("{name} must be from 1s to 1d"));
            }
        }
        if !(1..=1000).contains(&self.restarts) {
            return Err("restarts must be from 1 to 1000".to_owned());
        }
        Esi::check(&self.url, contact).map_err(|error| explain(&error))
    }

    fn budget(&self) -> RestartBudget {
        RestartBudget {
            restarts: self.restarts,
            within: self.restarts_within.0,
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(60),
        }
    }
}

fn explain(error: &address::Error) -> String {
    match error {
        address::Error::Missing => format!("failed to {error}: set ESI_URL"),
        address::Error::NoContact { .. } => format!("failed to {error}, or ESI_URL to an address of your own"),
        _ => format!("failed to {error}"),
    }
}

/// Builds the source, again and again.
#[derive(Debug)]
pub struct Market(Arc<Shared>);

#[async_trait]
impl Factory<Page> for Market {
    async fn build(&self, index: usize) -> Result<Box<dyn Source<Page>>, Failure> {
        if index > 0 {
            return Err(Failure::permanent("poll regions twice at once: one producer is all there can be"));
        }
        Ok(Box::new(Supervisor::new(self.0.clone())))
    }

    /// Every message has its sweep's own.
    fn acknowledger(&self) -> Arc<dyn Acknowledger<Page>> {
        Arc::new(Noop)
    }
}
