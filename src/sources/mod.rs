//! Sources: what reads from outside: kills, pages of market orders, or products to be priced.
//!
//! To add one: a file here with `Config` (what `[source.<kind>]` takes: `Deserialize`, `JsonSchema`, unknown fields
//! refused) and `Config::build`, which answers the engine's factory; then a line in each of the matches below, a row in the README,
//! and one in `tests/components` to put it through the contract suite. A source neither spawns tasks nor decodes: it hands over raw bytes.

pub mod failover;
pub mod file;
pub mod generator;
pub mod history;
pub mod market;
pub mod pair;
pub mod prices;
pub mod redisq;
pub mod wanderer;
pub mod zkillboard;

use std::sync::Arc;

use broadside_engine::Factory;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::killmail::Kill;
use crate::market::Page;
use crate::price::Product;
use crate::record::{Record, Typed};
use crate::resources::Resources;

/// What builds a source, by what it brings.
pub type Built = Typed<Arc<dyn Factory<Kill>>, Arc<dyn Factory<Page>>, Arc<dyn Factory<Product>>>;

/// Exactly one kind of source, as in `[source.wanderer]`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Config {
    /// Live kills from a wanderer-kills service.
    Wanderer(wanderer::Config),
    /// Every kill that zKillboard processes, from its numbered files.
    Zkillboard(zkillboard::Config),
    /// Kills from a queue as zKillboard's RedisQ was.
    Redisq(redisq::Config),
    /// Two feeds as one: a primary, and a fallback that closes its gaps.
    Failover(pair::Config),
    /// Kills from files: finite.
    File(file::Config),
    /// Made-up kills from a seed: for trying things out.
    Generator(generator::Config),
    /// Market orders of many regions from ESI.
    Market(market::Config),
    /// Products of the price cache job.
    Prices(prices::Config),
}

/// Every kind, as it is written in a pipeline file.
pub const NAMES: &[&str] = &["wanderer", "zkillboard", "redisq", "failover", "file", "generator", "market", "prices"];

impl Config {
    /// The kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Wanderer(_) => "wanderer",
            Self::Zkillboard(_) => "zkillboard",
            Self::Redisq(_) => "redisq",
            Self::Failover(_) => "failover",
            Self::File(_) => "file",
            Self::Generator(_) => "generator",
            Self::Market(_) => "market",
            Self::Prices(_) => "prices",
        }
    }

    /// What it brings.
    #[must_use]
    pub fn record(&self) -> Record {
        match self {
            Self::Market(_) => Record::Pages,
            Self::Prices(_) => Record::Products,
            _ => Record::Kills,
        }
    }

    /// Where its kills come from, for one that stands for others.
    #[must_use]
    pub fn feeds(&self) -> Option<String> {
        match self {
            Self::Failover(config) => Some(pair::feeds(config)),
            _ => None,
        }
    }

    /// Whether it can hand out a message again that failed, or that was in flight in a crash.
    #[must_use]
    pub fn redelivers(&self) -> bool {
        matches!(self, Self::File(_) | Self::Zkillboard(_) | Self::Failover(_) | Self::Market(_) | Self::Prices(_))
    }

    /// Whether it reads from a service as things happen, for ever: what a file holds is there whatever becomes of it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    /// Builds what builds it.
    ///
    /// # Errors
    /// A sentence for the operator: something that it needs is not set, or cannot be.
    pub fn build(&self, pipeline: &str, resources: &Resources) -> Result<Built, String> {
        Ok(Built::Kills(match self {
            Self::Wanderer(config) => {
                let factory = config.factory(pipeline, resources.contact.as_deref());
                Arc::new(factory.map_err(|error| format!("failed to {error}"))?)
            }
            Self::Zkillboard(config) => Arc::new(config.open(pipeline, resources)?),
            Self::Redisq(config) => Arc::new(config.open(pipeline, resources)?),
            Self::Failover(config) => pair::build(config, pipeline, resources)?,
            Self::File(config) => Arc::new(config.open(pipeline, resources)?),
            Self::Generator(config) => config.build(resources)?,
            Self::Market(config) => return Ok(Built::Pages(Arc::new(config.open(pipeline, resources)?))),
            Self::Prices(config) => return Ok(Built::Products(Arc::new(config.open(pipeline, resources)?))),
        }))
    }

    /// Whether it has what it needs from its surroundings, without opening anything.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn check(&self, pipeline: &str, contact: Option<&str>) -> Result<(), String> {
        match self {
            Self::Wanderer(config) => {
                config.factory(pipeline, contact).map(drop).map_err(|error| format!("failed to {error}"))
            }
            Self::Zkillboard(config) => config.check(contact),
            Self::Redisq(config) => config.check(contact),
            Self::Failover(config) => pair::check(config, pipeline, contact),
            Self::Market(config) => config.check(contact),
            Self::Prices(config) => config.check(),
            // Whether files are there shows when it is built.
            Self::File(_) | Self::Generator(_) => Ok(()),
        }
    }

    /// What is wrong with its settings whatever the surroundings are: an address that is not set yet is not.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn validate(&self, pipeline: &str) -> Result<(), String> {
        match self {
            Self::Wanderer(config) if config.url.trim().is_empty() => {
                let config = wanderer::Config { url: "http://localhost".to_owned(), ..config.clone() };
                Self::Wanderer(config).check(pipeline, None)
            }
            _ => self.check(pipeline, Some("check")),
        }
    }
}
