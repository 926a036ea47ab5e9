//! Reads the orders of a page: the first stage of every market pipeline.
//!
//! A page that is no list fails as invalid, and is asked for again by its region's poller. An entry that is no order is left out and counted: the sweep is then not
//! whole, so nothing that is missing from it is taken for gone.

use broadside_engine::stage::{self, Stage};
use broadside_engine::{Failure, Message};
use bytes::Bytes;
use metrics::{Counter, counter};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::market::{Page, Part, wire};

/// Nothing to set: the format is ESI's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// The stage of this pipeline.
    pub fn build(&self, pipeline: &str) -> impl Stage<Page> + use<> {
        let refused = counter!("broadside_market_refused_orders_total", "pipeline" => pipeline.to_owned());
        stage::each(move |message: &mut Message<Page>| decode(message, &refused))
    }
}

fn decode(message: &mut Message<Page>, refused: &Counter) {
    let region = message.payload.region;
    let Part::Orders { number, body, decoded, .. } = &mut message.payload.part else { return };
    match wire::decode(body) {
        Ok(read) => {
            if let Some(first) = &read.first_refusal {
                refused.increment(read.refused as u64);
                tracing::warn!(%region, page = *number, entries = read.refused, first, "entries of a page are no orders");
            }
            *decoded = Some(read);
            // It can be asked for again, so nobody needs the bytes any more.
            *body = Bytes::new();
        }
        Err(error) => {
            let error = format!("page {number}: {error}");
            message.fail(Failure::invalid(error));
        }
    }
}
