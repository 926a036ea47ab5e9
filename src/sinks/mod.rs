//! Sinks: what delivers batches of kills.
//!
//! To add one: a file here with `Config` (what `sink.<kind> = {…}` takes: `Deserialize`, `JsonSchema`, unknown fields refused) and
//! `Config::build`; then a line in each of the matches below, a row in the README, and one in `tests/components` to put it through the
//! contract suite. A sink undoes what it did when it fails; it does not retry.

pub mod blackhole;
pub mod database;
pub mod pubsub;

use std::sync::Arc;

use broadside_engine::Sink;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::killmail::Kill;
use crate::resources::Resources;

/// Exactly one kind of sink, as in `sink.database = {}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Config {
    /// Stores kills, each batch in one transaction.
    Database(database::Config),
    /// Hands kills to live readers of this process.
    Pubsub(pubsub::Config),
    /// Swallows them.
    Blackhole(blackhole::Config),
}

/// Every kind, as it is written in a pipeline file.
pub const NAMES: &[&str] = &["database", "pubsub", "blackhole"];

impl Config {
    /// The kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Pubsub(_) => "pubsub",
            Self::Blackhole(_) => "blackhole",
        }
    }

    /// The stages that must have worked on a kill before it comes here.
    #[must_use]
    pub fn needs(&self) -> &'static [&'static str] {
        match self {
            Self::Database(_) | Self::Pubsub(_) => &["decode"],
            Self::Blackhole(_) => &[],
        }
    }

    /// Builds it.
    #[must_use]
    pub fn build(&self, resources: &Resources) -> Arc<dyn Sink<Kill>> {
        match self {
            Self::Database(config) => config.build(resources),
            Self::Pubsub(config) => config.build(resources),
            Self::Blackhole(config) => config.build(),
        }
    }
}
