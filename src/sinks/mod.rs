//! Sinks: what delivers batches of kills, of pages of market orders, or of products that were priced.
//!
//! To add one: a file here with `Config` (what `sink.<kind> = {…}` takes: `Deserialize`, `JsonSchema`, unknown fields refused) and
//! `Config::build`; then a line in each of the matches below, a row in the README, and one in `tests/components` to put it through the
//! contract suite. A sink undoes what it did when it fails; it does not retry.

pub mod blackhole;
pub mod database;
pub mod orders;
pub mod prices;
pub mod pubsub;
pub mod webhook;

use std::sync::Arc;

use broadside_engine::Sink;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::killmail::Kill;
use crate::market::Page;
use crate::price::Product;
use crate::record::{Record, Typed};
use crate::resources::Resources;

/// A sink, by what it takes.
pub type Built = Typed<Arc<dyn Sink<Kill>>, Arc<dyn Sink<Page>>, Arc<dyn Sink<Product>>>;

/// Exactly one kind of sink, as in `sink.database = {}`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Config {
    /// Stores kills, each batch in one transaction.
    Database(database::Config),
    /// Hands kills to live readers of this process.
    Pubsub(pubsub::Config),
    /// Tells the targets of surveillance profiles.
    Webhook(webhook::Config),
    /// Keeps the market orders of the database as the pages have them.
    Orders(orders::Config),
    /// Keeps what products cost.
    Prices(prices::Config),
    /// Swallows them.
    Blackhole(blackhole::Config),
}

/// Every kind, as it is written in a pipeline file.
pub const NAMES: &[&str] = &["database", "pubsub", "webhook", "orders", "prices", "blackhole"];

impl Config {
    /// The kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Pubsub(_) => "pubsub",
            Self::Webhook(_) => "webhook",
            Self::Orders(_) => "orders",
            Self::Prices(_) => "prices",
            Self::Blackhole(_) => "blackhole",
        }
    }

    /// What it takes; `None`: anything.
    #[must_use]
    pub fn record(&self) -> Option<Record> {
        match self {
            Self::Database(_) | Self::Pubsub(_) | Self::Webhook(_) => Some(Record::Kills),
            Self::Orders(_) => Some(Record::Pages),
            Self::Prices(_) => Some(Record::Products),
            Self::Blackhole(_) => None,
        }
    }

    /// The stages that must have worked on a message before it comes here.
    #[must_use]
    pub fn needs(&self) -> &'static [&'static str] {
        match self {
            Self::Database(_) | Self::Pubsub(_) => &["decode"],
            Self::Webhook(_) => &["match"],
            Self::Orders(_) => &["decode_orders"],
            Self::Prices(_) => &["quote"],
            Self::Blackhole(_) => &[],
        }
    }

    /// What stands in its place where kills are only tried out: it notes what the sink would do, and does nothing.
    #[must_use]
    pub fn rehearse(&self, resources: &Resources) -> Arc<dyn Sink<Kill>> {
        match self {
            Self::Database(config) => config.rehearse(resources),
            Self::Webhook(config) => config.rehearse(resources),
            // Nothing that stays.
            _ => blackhole::Config::default().build(),
        }
    }

    /// Builds it; one that takes anything, for `record`s.
    #[must_use]
    pub fn build(&self, record: Record, resources: &Resources) -> Built {
        match self {
            Self::Database(config) => Built::Kills(config.build(resources)),
            Self::Pubsub(config) => Built::Kills(config.build(resources)),
            Self::Webhook(config) => Built::Kills(config.build(resources)),
            Self::Orders(config) => Built::Pages(config.build(resources)),
            Self::Prices(config) => Built::Products(config.build(resources)),
            Self::Blackhole(config) => match record {
                Record::Kills => Built::Kills(config.build()),
                Record::Pages => Built::Pages(config.build()),
                Record::Products => Built::Products(config.build()),
            },
        }
    }
}
