//! Says what a kill is worth: hull and every stack, by the prices of Janice, of MutaMarket for abyssal modules, of our own market, of ESI's averages, or of the
//! static data, in that order ([`crate::appraisal`]; the sums and their rules: [`crate::price::worth`]).
//!
//! All kills of a group are priced at once. What is known already costs microseconds; for the rest the group waits, `max_wait` at most: then the next source
//! serves, and the kill is marked to be priced again later. No trouble of a price service ever fails a kill. A kill in the feed's form, which has no items, keeps
//! what zKillboard says of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use broadside_engine::{Message, Stage};
use metrics::{Counter, counter};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use crate::appraisal::{Appraiser, Delay, Janice, Market, Mutamarket, Parts, Settings, Want};
use crate::clients::address;
use crate::duration::Span;
use crate::killmail::{Form, Kill};
use crate::price::Source;
use crate::price::worth::{Tally, needed, worth};
use crate::resources::Resources;
use crate::statics::{Shelf, Statics};

/// What `price` may be told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a kill waits for its prices at most, from when it comes here.
    pub max_wait: Span,
    /// How long types wait for each other, to be asked for together.
    pub gather: Span,
    /// The first to be asked. Without its `key` it is not.
    pub janice: Janice,
    /// For abyssal modules.
    pub mutamarket: Mutamarket,
    /// Our own market prices.
    pub market: Market,
    /// ESI's base address, for its average prices; empty: it is not asked.
    pub esi: String,
    /// How long the prices of a day are kept, for kills of that day: two days at least, whatever is said. Kills of a day before get today's.
    pub keep: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_wait: Span::from_secs(2),
            gather: Span::from_millis(5),
            janice: Janice::default(),
            mutamarket: Mutamarket::default(),
            market: Market::default(),
            esi: "https://esi.evetech.net".to_owned(),
            keep: Span::from_secs(90 * 24 * 3600),
        }
    }
}

impl Config {
    /// Whether the services may be called where they are to be. MutaMarket is done without where nobody says whom it may write to: its address is set by
    /// default, and who runs everything on one machine has no need of a contact.
    ///
    /// # Errors
    /// An address cannot be used.
    pub fn check(&self, contact: Option<&str>) -> Result<(), address::Error> {
        let janice = self.janice.is_wanted().then_some(&self.janice.url);
        let wanted = janice.into_iter().chain([&self.esi]).filter(|url| !url.trim().is_empty());
        wanted.map(|url| address::base(url, contact)).try_for_each(|base| base.map(drop))?;
        match address::base(&self.mutamarket.url, contact) {
            Err(error @ address::Error::Bad { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// What it does without, for the operator.
    #[must_use]
    pub fn lacks(&self) -> Option<String> {
        let is_lacking = !self.janice.is_wanted();
        is_lacking.then(|| "`price` does without Janice: its key is not set (JANICE_API_KEY).".to_owned())
    }

    /// Whom it asks.
    #[must_use]
    pub fn appraiser(&self, resources: &Resources) -> Appraiser {
        let parts = Parts {
            store: resources.store.clone(),
            shelf: resources.statics.clone(),
            board: resources.quotes.clone(),
            esi: resources.esi.clone(),
            janice: resources.janice.clone(),
            contact: resources.contact.clone(),
            keeps: resources.keeps,
        };
        let settings = Settings {
            gather: self.gather,
            patience: self.max_wait,
            janice: self.janice.clone(),
            mutamarket: self.mutamarket.clone(),
            market: self.market.clone(),
            esi: self.esi.clone(),
        };
        resources.appraisers.at(&settings, &parts)
    }

    /// The stage.
    pub fn build(&self, pipeline: &str, resources: &Resources) -> impl Stage<Kill> + use<> {
        Pricing {
            appraiser: self.appraiser(resources),
            shelf: resources.statics.clone(),
            max_wait: self.max_wait,
            counts: Counts::new(pipeline),
            has_warned: AtomicBool::new(false),
        }
    }
}

struct Pricing {
    appraiser: Appraiser,
    shelf: Arc<Shelf>,
    max_wait: Span,
    counts: Counts,
    /// That nothing was imported is said once.
    has_warned: AtomicBool,
}

/// In the order of a tally.
struct Counts {
    sources: Vec<Counter>,
    late: Counter,
}

impl Counts {
    fn new(pipeline: &str) -> Self {
        let names = Source::ALL.into_iter().map(Source::as_str).chain(["rule", "none"]);
        let source = |name| counter!("broadside_prices_total", "pipeline" => pipeline.to_owned(), "source" => name);
        let late = counter!("broadside_price_late_total", "pipeline" => pipeline.to_owned());
        Self { sources: names.map(source).collect(), late }
    }

    fn add(&self, tally: &Tally) {
        for (counter, (_, count)) in self.sources.iter().zip(tally.counts()).filter(|(_, (_, count))| *count > 0) {
            counter.increment(count.into());
        }
    }
}

#[async_trait]
impl Stage<Kill> for Pricing {
    async fn process(&self, messages: &mut [Message<Kill>]) {
        let deadline = Instant::now() + self.max_wait.0;
        let statics = self.shelf.current();
        if statics.is_empty() && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "without static data SKINs and abyssal modules are priced as other types (broadside sde import)"
            );
        }
        let kills = messages.iter_mut().map(|message| &mut message.payload);
        for (tally, delay) in price(&self.appraiser, &statics, kills, deadline).await {
            self.counts.add(&tally);
            self.counts.late.increment(delay.is_some().into());
        }
    }
}

/// Whether a kill can be priced: one in the feed's form has no items.
#[must_use]
pub fn want(kill: &Kill, statics: &Statics) -> Option<Want> {
    let mail = kill.mail.as_ref().filter(|mail| mail.form > Form::Feed)?;
    Some(Want { types: needed(mail, statics), day: Appraiser::day(mail.killmail_time) })
}

/// Prices those kills that can be priced, all at once, by the deadline. Those whose prices may be better later are marked to be priced again. Answers for each that was
/// priced who gave its prices, and why they may be better later.
pub async fn price<'a>(
    appraiser: &Appraiser,
    statics: &Arc<Statics>,
    kills: impl Iterator<Item = &'a mut Kill>,
    deadline: Instant,
) -> Vec<(Tally, Option<Delay>)> {
    let (mut wanting, mut wants) = (Vec::new(), Vec::new());
    for kill in kills {
        if let Some(want) = want(kill, statics) {
            wanting.push(kill);
            wants.push(want);
        }
    }
    let prices = appraiser.appraise(statics, &wants, deadline).await;
    let mut outcomes = Vec::with_capacity(wants.len());
    for (kill, want) in wanting.into_iter().zip(&wants) {
        let Some(mail) = &kill.mail else { continue };
        let (worth, tally) = worth(mail, statics, |type_id| prices.of(want.day, type_id));
        let delay = prices.delay(want);
        kill.worth = Some(Arc::new(worth));
        kill.refresh |= delay.is_some();
        outcomes.push((tally, delay));
    }
    outcomes
}
