//! `quote`: asks Janice what products cost, a group of them in one request.
//!
//! A request that fails is repeated a few times before its products fail; a pause that Janice asks for is waited for; a refused key ends the run. What the job does not
//! want any more (it was paused, say) is not asked for, and goes back to the source: an answer that is under way is taken.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::{Failure, Message, Stage};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::appraisal::Key;
use crate::clients::address;
use crate::clients::janice::{Choice, Error, Janice, LINES_MAX, Pricing, Variant};
use crate::clients::retry::Plan;
use crate::clients::service;
use crate::killmail::TypeId;
use crate::market::Cents;
use crate::price::{Product, Quote, Source};
use crate::price_job::PriceJob;
use crate::resources::Resources;

const PLAN: Plan = Plan { attempts: 4, first_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(5) };

/// `{ quote = { key = "${JANICE_API_KEY:-}" } }`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Base address of Janice.
    pub url: String,
    /// Its key; without one, the job cannot be started.
    pub key: Key,
    /// Which price counts: `buy`, `split`, `sell`.
    pub pricing: Pricing,
    /// How it is reckoned: `immediate`, `top5percent`.
    pub variant: Variant,
}

impl Default for Config {
    fn default() -> Self {
        let url = "https://janice.e-351.com/api/rest/v2".to_owned();
        Self { url, key: Key::default(), pricing: Pricing::default(), variant: Variant::default() }
    }
}

impl Config {
    /// The stage. What keeps it from asking, the job's board knows.
    pub fn build(&self, resources: &Resources) -> Ask {
        let Self { pricing, variant, .. } = *self;
        let janice = self.janice(resources);
        resources.price_job.set_obstacle(janice.as_ref().err().cloned());
        Ask { janice: janice.ok(), pricing, variant, board: resources.price_job.clone() }
    }

    fn janice(&self, resources: &Resources) -> Result<Janice, String> {
        if self.key.reveal().is_empty() {
            return Err("Janice wants a key: set JANICE_API_KEY".to_owned());
        }
        resources.janice.at(&self.url, self.key.reveal(), resources.contact.as_deref()).map_err(|error| explain(&error))
    }

    /// Whether it can ask. Without a key it never will, and needs nothing.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self, contact: Option<&str>) -> Result<(), String> {
        let contact = if self.key.reveal().is_empty() { Some("none needed") } else { contact };
        address::base(&self.url, contact).map(drop).map_err(|error| explain(&error))
    }
}

fn explain(error: &address::Error) -> String {
    match error {
        address::Error::Missing => format!("failed to {error}: set JANICE_URL"),
        _ => format!("failed to {error}"),
    }
}

/// The stage.
#[derive(Debug)]
pub struct Ask {
    janice: Option<Janice>,
    pricing: Pricing,
    variant: Variant,
    board: Arc<PriceJob>,
}

/// Why there is no answer.
enum Without {
    /// The run does not want it any more.
    Unwanted,
    /// It cannot go on.
    Broken(String),
    Failed(Error),
}

#[async_trait]
impl Stage<Product> for Ask {
    async fn process(&self, messages: &mut [Message<Product>]) {
        let mut lots: BTreeMap<(u64, i64), Vec<&mut Message<Product>>> = BTreeMap::new();
        for message in messages {
            let Product { run, market, .. } = message.payload;
            lots.entry((run, market)).or_default().push(message);
        }
        for ((run, market), mut messages) in lots {
            for lot in messages.chunks_mut(LINES_MAX) {
                self.quote(run, market, lot).await;
            }
        }
    }
}

impl Ask {
    async fn quote(&self, run: u64, market: i64, messages: &mut [&mut Message<Product>]) {
        let types: Vec<TypeId> = messages.iter().map(|message| message.payload.type_id).collect();
        let prices = self.prices(run, market, &types).await;
        let fetched_at = Timestamp::now();
        for message in messages {
            match &prices {
                Ok(prices) => price(message, prices, fetched_at),
                Err(Without::Failed(error)) => message.fail(Failure::transient(error.to_string())),
                Err(Without::Unwanted | Without::Broken(_)) => message.filter(),
            }
        }
        if let Err(Without::Broken(why)) = prices {
            self.board.break_off(run, why);
        }
    }

    async fn prices(&self, run: u64, market: i64, types: &[TypeId]) -> Result<HashMap<TypeId, Option<Cents>>, Without> {
        let Some(janice) = &self.janice else {
            return Err(Without::Broken(self.board.obstacle().unwrap_or_default()));
        };
        let choice = Choice { market, pricing: self.pricing, variant: self.variant };
        let mut waits = PLAN.waits();
        while self.board.is_wanted(run) {
            let error = match janice.prices(choice, types).await {
                Ok(prices) => return Ok(prices),
                Err(error @ Error::KeyRefused { .. }) => return Err(Without::Broken(format!("failed to {error}"))),
                Err(error) => error,
            };
            let wait = match &error {
                // The service says when, so this is no attempt.
                Error::Paused { retry_in } => *retry_in,
                _ if !may_mend(&error) => return Err(Without::Failed(error)),
                _ => match (waits.next(), &error) {
                    (None, _) => return Err(Without::Failed(error)),
                    (Some(wait), Error::Service(service::Error::Open { retry_in, .. })) => wait.max(*retry_in),
                    (Some(wait), _) => wait,
                },
            };
            tracing::warn!(market, products = types.len(), %error, ?wait, "prices are asked for again");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.board.unwanted(run) => {}
            }
        }
        Err(Without::Unwanted)
    }
}

fn may_mend(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => *status >= 500 || *status == 408,
        Error::Service(service::Error::TooLarge { .. }) => false,
        Error::Service(_) | Error::Unusable(_) | Error::Paused { .. } => true,
        Error::KeyRefused { .. } => false,
    }
}

fn price(message: &mut Message<Product>, prices: &HashMap<TypeId, Option<Cents>>, fetched_at: Timestamp) {
    let Product { type_id, market, .. } = message.payload;
    match prices.get(&type_id) {
        Some(Some(price)) => {
            let quote = Quote { type_id, source: Source::Janice, market, price: *price, fetched_at };
            message.payload.quote = Some(quote);
        }
        Some(None) => message.fail(Failure::permanent("price it: nobody trades it there")),
        None => message.fail(Failure::permanent("price it: Janice's answer leaves it out")),
    }
}
