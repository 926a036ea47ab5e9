//! The products of the price cache job: one message a type and market, in order, while the job is being processed; nothing otherwise.
//!
//! ```text
//!  wishes (start, resume) ─► begin: claim, lists ─► hand out lots ─► quote ─► prices ─► acknowledged ─► counted in order
//!  the store (pause, stop) ─► seen a few times a second ─► nothing more is handed out                        │
//!                                                        progress is written a few times a second ◄──────────┘
//! ```
//!
//! Who works on the job has its claim, which ends with the process. A claim that is lost (the database was away) is taken again, unless somebody else has taken
//! the job on meanwhile: then this run is over, and writes nothing any more. What is handed out comes back when it is not wanted, so a pause takes effect after the
//! request that is under way.

mod acks;
mod begin;
mod run;
mod source;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Factory, Failure, Source};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use crate::clients::janice::JITA;
use crate::duration::Span;
use crate::killmail::TypeId;
use crate::price::Product;
use crate::price_job::PriceJob;
use crate::resources::Resources;
use crate::statics;
use crate::store::Store;
use acks::Complaints;
use run::Run;
use source::Prices;

const MARKETS_MAX: usize = 20;
const EVERY_MIN: Duration = Duration::from_secs(60);

/// `[source.prices]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Janice's markets, one after the other: 2 is Jita 4-4, 115 Amarr.
    #[schemars(length(min = 1, max = 20))]
    pub markets: Vec<i64>,
    /// Ids of the types to be priced; unless given, all published types that are on the market, which needs static data.
    pub types: Vec<i64>,
    /// Starts by itself this long after the last run was completed; unless given, it does not.
    pub every: Option<Span>,
    /// Goes on by itself, at start, with a run that the end of a worker interrupted.
    pub resume: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { markets: vec![JITA], types: Vec::new(), every: None, resume: false }
    }
}

impl Config {
    /// The source of this pipeline.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn open(&self, pipeline: &str, resources: &Resources) -> Result<Opened, String> {
        self.check()?;
        let Resources { store, price_job, statics, .. } = resources.clone();
        // Who asks before the first pull waits for it.
        price_job.serve(true);
        Ok(Opened(Arc::new(Shared {
            config: self.clone(),
            pipeline: pipeline.to_owned(),
            store,
            board: price_job,
            statics,
            run: Mutex::default(),
            saving: tokio::sync::Mutex::default(),
            complaints: Mutex::new(Complaints::new(Instant::now())),
        })))
    }

    /// Whether it can work.
    ///
    /// # Errors
    /// A sentence for the operator that names the setting.
    pub fn check(&self) -> Result<(), String> {
        if self.markets.is_empty() || self.markets.len() > MARKETS_MAX {
            return Err(format!("markets must name from 1 to {MARKETS_MAX} of Janice's markets"));
        }
        if self.markets.iter().any(|market| *market < 1) {
            return Err("markets must be ids of Janice's markets: 2 is Jita 4-4".to_owned());
        }
        if self.markets.iter().collect::<BTreeSet<_>>().len() < self.markets.len() {
            return Err("markets names one twice".to_owned());
        }
        if self.types.iter().any(|id| TypeId::new(*id).is_none()) {
            return Err("types must be ids of types: 34 is Tritanium".to_owned());
        }
        if self.every.is_some_and(|every| every.0 < EVERY_MIN) {
            return Err("every must be at least 1m: it counts from the end of a run".to_owned());
        }
        Ok(())
    }

    /// What is to be priced, ascending.
    fn types(&self, statics: &statics::Statics) -> Vec<TypeId> {
        let mut types: Vec<TypeId> = if self.types.is_empty() {
            let on_market = statics.types.values().filter(|known| known.is_published && known.is_on_market);
            on_market.map(|known| known.type_id).collect()
        } else {
            self.types.iter().filter_map(|id| TypeId::new(*id)).collect()
        };
        types.sort_unstable();
        types.dedup();
        types
    }
}

/// What the incarnations of the source and its acknowledger share.
#[derive(Debug)]
struct Shared {
    config: Config,
    pipeline: String,
    store: Arc<dyn Store>,
    board: Arc<PriceJob>,
    statics: Arc<statics::Shelf>,
    /// What is being worked on, paused for a moment too.
    run: Mutex<Option<Run>>,
    /// One write at a time, so that none overtakes a later one.
    saving: tokio::sync::Mutex<()>,
    complaints: Mutex<Complaints>,
}

impl Shared {
    fn run(&self) -> MutexGuard<'_, Option<Run>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes the run, if there is one.
    fn with_run<R>(&self, with: impl FnOnce(&mut Run) -> R) -> Option<R> {
        self.run().as_mut().map(with)
    }

    fn complaints(&self) -> MutexGuard<'_, Complaints> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Builds the source, again and again.
#[derive(Debug)]
pub struct Opened(Arc<Shared>);

#[async_trait]
impl Factory<Product> for Opened {
    async fn build(&self, index: usize) -> Result<Box<dyn Source<Product>>, Failure> {
        if index > 0 {
            return Err(Failure::permanent("work on the price job twice at once: one producer is all there can be"));
        }
        Ok(Box::new(Prices::new(self.0.clone())))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Product>> {
        Arc::new(acks::Acks(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markets_and_types_are_checked() {
        type Change = fn(&mut Config);
        let with = |change: Change| {
            let mut config = Config::default();
            change(&mut config);
            config.check()
        };
        assert_eq!(with(|_| {}), Ok(()));
        let wrong: [(Change, &str); 5] = [
            (|config| config.markets.clear(), "from 1 to 20"),
            (|config| config.markets = vec![2, 0], "ids of Janice's markets"),
            (|config| config.markets = vec![2, 2], "twice"),
            (|config| config.types = vec![-1], "ids of types"),
            (|config| config.every = Some(Span::from_secs(1)), "at least 1m"),
        ];
        for (change, part) in wrong {
            let error = with(change).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn types_are_taken_once_and_in_order() {
        let config = Config { types: vec![35, 34, 35], ..Config::default() };
        let types = config.types(&statics::Statics::default());
        assert_eq!(types.iter().map(|id| id.get()).collect::<Vec<_>>(), [34, 35]);
    }
}
