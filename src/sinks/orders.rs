//! `orders`: keeps the table of market orders as the pages have them.
//!
//! What a page brings that is not known to be stored is upserted, in the transaction that stores the pages' tags: so a tag is never ahead of its orders. At the end of a
//! sweep the orders that are gone are closed, and the prices of the types that were touched are computed anew. What is gone, the region's book knows.
//!
//! The store is asked again for as long as it is away or busy, so an outage holds the batch and, in time, the pollers. Whatever else fails, fails the pages, and
//! their region's poller asks for them again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use broadside_engine::{Batch, Failure, Message, Sink};
use jiff::{SignedDuration, Timestamp};
use metrics::{counter, gauge};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::books::{Books, Shelf};
use crate::duration::Span;
use crate::killmail::RegionId;
use crate::market::book::{Reckoning, Sheet};
use crate::market::{Ending, Page, Part};
use crate::regions::{Outcome, Regions};
use crate::resources::Resources;
use crate::store::{Error, Gone, Store, StoredPage, Swept, retry};

/// `sink.orders = {}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long after an order was closed its row is deleted; unless set, it is kept for ever.
    pub keep_closed: Option<Span>,
}

impl Config {
    /// Builds the sink.
    #[must_use]
    pub fn build(&self, resources: &Resources) -> Arc<dyn Sink<Page>> {
        let Resources { store, books, regions, .. } = resources.clone();
        Arc::new(Orders { store, books, regions, keep_closed: self.keep_closed, forget_at: Mutex::default() })
    }
}

/// Rows deleted at once: a fraction of a second's work.
const FORGET_AT_ONCE: u32 = 10_000;
const FORGET_EVERY: SignedDuration = SignedDuration::from_hours(1);
const FORGET_MORE: SignedDuration = SignedDuration::from_mins(1);

#[derive(Debug)]
struct Orders {
    store: Arc<dyn Store>,
    books: Arc<Books>,
    regions: Arc<Regions>,
    keep_closed: Option<Span>,
    /// When old rows are looked for again.
    forget_at: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl Sink<Page> for Orders {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Page>]) -> Result<(), Failure> {
        // By region, and within one in the order in which they came: an end comes after its pages.
        let mut by_region: BTreeMap<RegionId, Vec<&mut Message<Page>>> = BTreeMap::new();
        for message in messages {
            by_region.entry(message.payload.region).or_default().push(message);
        }
        for (region, messages) in by_region {
            let shelf = self.books.of(region);
            let _turn = shelf.writing.lock().await;
            if let Err(error) = self.region(region, &shelf, &messages).await {
                // Those of other regions are as good as they were.
                messages.into_iter().for_each(|message| message.fail(failure(error.clone())));
            }
        }
        Ok(())
    }
}

impl Orders {
    /// Pages up to an end together, then the end.
    async fn region(&self, region: RegionId, shelf: &Shelf, messages: &[&mut Message<Page>]) -> Result<(), Error> {
        // What is left of a sweep that was given up says nothing of the present one.
        let sweep = shelf.book().sweep();
        let of_this_sweep = messages.iter().filter(|message| message.payload.sweep == sweep);
        let pages: Vec<&Page> = of_this_sweep.map(|message| &message.payload).collect();
        for run in pages.split_inclusive(|page| matches!(page.part, Part::End(_))) {
            self.pages(region, shelf, run).await?;
            if let Some(Page { part: Part::End(ending), .. }) = run.last() {
                self.end(region, shelf, ending).await?;
            }
        }
        Ok(())
    }

    async fn pages(&self, region: RegionId, shelf: &Shelf, pages: &[&Page]) -> Result<(), Error> {
        let is_unread = |page: &&Page| matches!(page.part, Part::Orders { decoded: None, .. });
        if pages.iter().any(is_unread) {
            return Err(Error::Permanent("take a page that no stage has decoded".to_owned()));
        }
        let sheets: Vec<Sheet<'_>> = pages.iter().filter_map(|page| sheet(page)).collect();
        if !sheets.is_empty() {
            let picked = shelf.book().pick(&sheets);
            let stored: Vec<StoredPage> = sheets.iter().map(stored).collect();
            let now = Timestamp::now();
            let call = || self.store.store_orders(region, &picked.writes, &stored, now);
            let changes = retry::hold(self.store.health(), "store market orders", call).await?;
            shelf.book().stored(&sheets, &picked, &changes.types);
            self.regions.tally(region, |tally| {
                tally.new += changes.new;
                tally.changed += changes.changed;
            });
            count("new", changes.new);
            count("changed", changes.changed);
        }
        for page in pages {
            let Part::Unchanged { number, tag } = &page.part else { continue };
            if !shelf.book().unchanged(*number, tag) {
                let text = format!("take page {number} as it was: it is not known");
                return Err(Error::Permanent(text));
            }
        }
        Ok(())
    }

    async fn end(&self, region: RegionId, shelf: &Shelf, ending: &Ending) -> Result<(), Error> {
        let reckoning = shelf.book().reckon(ending);
        let gone: Vec<Gone> =
            reckoning.gone.iter().map(|&(order_id, last_seen_at)| Gone { order_id, last_seen_at }).collect();
        let swept = swept(region, ending, &reckoning);
        let call = || self.store.end_sweep(&swept, &gone);
        let types = retry::hold(self.store.health(), "end a sweep of market orders", call).await?;
        let touched = {
            let mut book = shelf.book();
            book.ended(&reckoning, ending);
            book.touch(&types);
            book.touched()
        };
        if touched.as_ref().is_none_or(|touched| !touched.is_empty()) {
            let call = || self.store.refresh_prices(region, touched.as_deref(), ending.swept_at);
            retry::hold(self.store.health(), "refresh market prices", call).await?;
            shelf.book().refreshed();
        }
        count("closed", gone.len() as u64);
        gauge!("broadside_market_orders", "region" => region.to_string()).set(reckoning.open as f64);
        let Reckoning { quality, reason, open, .. } = reckoning;
        self.regions.swept(region, Outcome { quality, reason, open: open as u64, closed: gone.len() as u64 });
        self.forget_closed(ending.swept_at).await
    }

    /// Deletes what was closed too long ago: a piece at a time, every minute while there is more, else every hour.
    async fn forget_closed(&self, now: Timestamp) -> Result<(), Error> {
        let forget_at = || self.forget_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(keep) = self.keep_closed.and_then(|keep| SignedDuration::try_from(keep.0).ok()) else { return Ok(()) };
        if forget_at().is_some_and(|at| now < at) {
            return Ok(());
        }
        let before = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
        let call = || self.store.forget_closed(before, FORGET_AT_ONCE);
        let forgotten = retry::hold(self.store.health(), "forget market orders", call).await?;
        count("forgotten", forgotten);
        let wait = if forgotten < u64::from(FORGET_AT_ONCE) { FORGET_EVERY } else { FORGET_MORE };
        *forget_at() = now.checked_add(wait).ok();
        Ok(())
    }
}

fn sheet(page: &Page) -> Option<Sheet<'_>> {
    match &page.part {
        Part::Orders { number, tag, decoded: Some(decoded), .. } => Some(Sheet { number: *number, tag, decoded }),
        _ => None,
    }
}

fn stored(sheet: &Sheet<'_>) -> StoredPage {
    StoredPage {
        number: sheet.number,
        tag: sheet.tag_to_keep(),
        orders: sheet.decoded.orders.iter().map(|order| order.order_id).collect(),
    }
}

fn swept(region: RegionId, ending: &Ending, reckoning: &Reckoning) -> Swept {
    Swept {
        region,
        name: ending.name.clone(),
        not_before: ending.not_before,
        swept_at: Some(ending.swept_at),
        sweep_seconds: ending.swept_at.duration_since(ending.started_at).as_secs_f64().max(0.0),
        pages: ending.pages,
        orders: reckoning.open as u64,
        quality: reckoning.quality,
    }
}

fn count(change: &'static str, orders: u64) {
    counter!("broadside_market_order_changes_total", "change" => change).increment(orders);
}

fn failure(error: Error) -> Failure {
    let text = format!("store market orders: {error}");
    match error {
        Error::Data { .. } => Failure::invalid(text),
        Error::Transient(_) => Failure::transient(text),
        Error::Permanent(_) => Failure::permanent(text),
    }
}
