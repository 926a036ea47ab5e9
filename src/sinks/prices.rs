//! `prices`: keeps what products cost.
//!
//! A batch is one transaction; after it, the stages of this process know the prices too. The store is asked again for as long as it is away or busy, so an outage holds the batch, and in time the job.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{Batch, Failure, Message, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::appraisal::Board;
use crate::price::{Product, Quote};
use crate::resources::Resources;
use crate::store::{Error, Store, retry};

/// `sink.prices = {}`: nothing to set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// Builds the sink.
    #[must_use]
    pub fn build(&self, resources: &Resources) -> Arc<dyn Sink<Product>> {
        Arc::new(Prices { store: resources.store.clone(), quotes: resources.quotes.clone() })
    }
}

#[derive(Debug)]
struct Prices {
    store: Arc<dyn Store>,
    /// What the stages of this process know.
    quotes: Arc<Board>,
}

#[async_trait]
impl Sink<Product> for Prices {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Product>]) -> Result<(), Failure> {
        let mut quotes: Vec<Quote> = Vec::with_capacity(messages.len());
        for message in messages.iter_mut() {
            match message.payload.quote {
                Some(quote) => quotes.push(quote),
                None => message.fail(Failure::permanent("store a price: nobody has asked for it")),
            }
        }
        let call = || self.store.store_quotes(&quotes);
        retry::hold(self.store.health(), "store prices", call).await.map_err(failure)?;
        self.quotes.put(&quotes);
        Ok(())
    }
}

fn failure(error: Error) -> Failure {
    let text = format!("store prices: {error}");
    match error {
        Error::Data { .. } => Failure::invalid(text),
        Error::Transient(_) => Failure::transient(text),
        Error::Permanent(_) => Failure::permanent(text),
    }
}
