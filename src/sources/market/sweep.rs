//! One sweep: the pages of a region, each read only when it has expired and if it has changed, and then the end.

use std::collections::BTreeMap;
use std::time::Duration;

use broadside_engine::Failure;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use metrics::counter;
use tokio::time::Instant;

use super::acks::Acks;
use super::ask::{Asked, ask};
use super::outside::Trouble;
use super::poller::{Poller, Shared};
use crate::clients::esi::Paged;
use crate::killmail::RegionId;
use crate::market::{Ending, Page, Part, Quality, Tag};

/// Pages of one sweep that may fail, or be missing, before the rest is not asked for any more.
const FAILURES_MAX: usize = 10;
/// Calls at once of a region whose pages fail: they may take long to do so.
const CALLS_FAILING: usize = 2;
/// No region has so many pages.
const PAGES_MAX: u32 = 10_000;

/// A sweep that came to its end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) begun: Instant,
    /// When the first page was answered.
    pub(super) answered: Instant,
    /// How long reading took.
    pub(super) read: Duration,
    pub(super) pages: u32,
    pub(super) fetched: u32,
    pub(super) unchanged: u32,
    pub(super) fresh: u32,
    /// How long after `answered` the first page expires …
    pub(super) first_holds: Duration,
    /// … and the last to do so.
    pub(super) last_holds: Duration,
}

/// How a page stands in this sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Fetched,
    Unchanged,
    /// Not expired: not asked for.
    Fresh,
    /// Announced, and not there.
    Missing,
}

/// What is known of a page.
#[derive(Debug)]
struct Read {
    how: How,
    tag: Tag,
    /// Pages of the region, as this one has it.
    pages: Option<u32>,
    /// When it expires, if ESI says so: not to be asked for again before, whatever becomes of it.
    says: Option<Timestamp>,
}

/// What came of a sweep.
#[derive(Debug)]
pub(super) enum Came {
    Ended(Ended),
    /// Its pages expire too soon: it is better begun after that.
    Postponed(Duration),
    /// Pages could not be read or stored: it is to be tried again.
    Failed(Trouble),
}

/// What a poller remembers from sweep to sweep.
#[derive(Debug)]
pub(super) struct Memory {
    /// Pages that the region had at the last look; 0: unknown.
    pub(super) pages: u32,
    /// A sweep is put off once: pages that always expire soon would never be read.
    pub(super) may_postpone: bool,
    /// The last sweep failed.
    is_failing: bool,
    /// Until when a page holds, as ESI said: also of one that is not kept, because it could not be read, or was no more for a while.
    pub(super) said: BTreeMap<u32, Timestamp>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { pages: 0, may_postpone: true, is_failing: false, said: BTreeMap::new() }
    }
}

impl Memory {
    /// Notes what came of a sweep.
    pub(super) fn note(&mut self, came: &Came) {
        self.may_postpone = !matches!(came, Came::Postponed(_));
        self.is_failing = matches!(came, Came::Failed(_));
    }
}

/// A page is seldom longer on its way.
const ANSWERED_AFTER: Duration = Duration::from_secs(1);

/// One sweep under way.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    poller: &'a Poller,
    number: u64,
    begun: Instant,
    known: BTreeMap<u32, Tag>,
    memory: &'a mut Memory,
    acks: Acks,
    sent: usize,
    read: BTreeMap<u32, Read>,
    failures: Vec<Trouble>,
    /// Until when the region rests, as the store has it, should the process end before the sweep does.
    noted: Timestamp,
}

impl<'a> Sweep<'a> {
    pub(super) fn begin(poller: &'a Poller, memory: &'a mut Memory) -> Self {
        let now = poller.shared.now();
        memory.said.retain(|_, until| *until > now);
        let number = poller.shared.next_sweep();
        let shelf = poller.shared.books.of(poller.region);
        let known = {
            let mut book = shelf.book();
            book.begin(number);
            book.tags()
        };
        let (acks, begun) = (Acks::new(), Instant::now());
        let (read, failures) = (BTreeMap::new(), Vec::new());
        Self { poller, number, begun, known, memory, acks, sent: 0, read, failures, noted: Timestamp::MIN }
    }

    fn shared(&self) -> &'a Shared {
        &self.poller.shared
    }

    fn region(&self) -> RegionId {
        self.poller.region
    }

    /// Reads, waits until all is safe, and ends the sweep.
    ///
    /// # Errors
    /// The store refuses, for good.
    pub(super) async fn run(mut self) -> Result<Came, Failure> {
        let before = self.rests_until();
        // Should the process end before it knows what it was answered: as long as such a page holds.
        let asked = self.known.get(&1).filter(|tag| self.shared().until(tag.expires_at).is_zero()).cloned();
        if let Some(tag) = &asked {
            let until = self.shared().at(Instant::now() + ANSWERED_AFTER + self.rest_after(tag));
            self.rest(before.max(until)).await?;
        }
        let first = match self.page(1).await {
            Ok(read) => read,
            Err(trouble) => {
                if asked.is_some() {
                    self.rest(before).await?;
                }
                return Ok(Came::Failed(trouble));
            }
        };
        let answered = Instant::now();
        self.shared().connected.set(1.0);
        // A first page that is not asked for again says nothing, but may have done so to a sweep that failed.
        let known = Some(self.memory.pages).filter(|pages| *pages > 0);
        let pages = first.pages.or(known).unwrap_or_else(|| self.known_pages()).clamp(1, PAGES_MAX);
        self.memory.pages = pages;
        let (first_tag, first_how) = (first.tag.clone(), first.how);
        self.read.insert(1, first);
        let until = self.rests_until().max(first_tag.expires_at);
        if first_how != How::Fresh && until > self.noted {
            self.note_rest(until, &first_tag).await?;
        }
        let left = self.shared().until(first_tag.expires_at);
        let may_postpone = self.memory.may_postpone && first_how != How::Fresh;
        if may_postpone && self.is_better_later(pages, &first_tag, left) {
            self.acks.settled().await;
            return Ok(Came::Postponed(left + self.poller.shared.rules.margin));
        }
        // That the first is unchanged says nothing of the others.
        self.others(pages).await?;
        let read = self.begun.elapsed();
        Ok(match self.finish(answered, read).await {
            Ok(ended) => Came::Ended(ended),
            Err(trouble) => Came::Failed(trouble),
        })
    }

    /// Has the store know until when the region rests, should the process end in the middle of this: of pages that are as they were, nothing else is stored before the
    /// sweep ends, and of others only a little later. It rests as long as a page that is made now, so that this need not be said for each that is answered next.
    async fn note_rest(&mut self, until: Timestamp, page: &Tag) -> Result<(), Failure> {
        let until = until.max(self.shared().at(Instant::now() + self.rest_after(page)));
        self.rest(until).await
    }

    /// How long a page like this one holds, within reason.
    fn rest_after(&self, page: &Tag) -> Duration {
        self.holds(page).min(self.shared().rules.holds(None))
    }

    async fn rest(&mut self, until: Timestamp) -> Result<(), Failure> {
        let (store, region) = (&self.shared().store, self.region());
        self.shared().hold("note until when a region rests", || store.rest_region(region, until)).await?;
        self.noted = until;
        Ok(())
    }

    /// Until when the pages rest that are known.
    fn rests_until(&self) -> Timestamp {
        self.known.values().map(|tag| tag.expires_at).max().unwrap_or(Timestamp::MIN)
    }

    /// How long a page holds from when it is made.
    fn holds(&self, page: &Tag) -> Duration {
        let holds = page.last_modified.map(|made| after(made, page.expires_at)).filter(|holds| !holds.is_zero());
        self.shared().rules.holds(holds)
    }

    /// Whether the pages expire before all of them can be read.
    fn is_better_later(&self, pages: u32, first: &Tag, left: Duration) -> bool {
        let shared = self.shared();
        shared.rules.better_later(shared.estimate(pages - 1), left, self.holds(first))
    }

    fn known_pages(&self) -> u32 {
        self.memory.pages.max(self.known.last_key_value().map_or(1, |(number, _)| *number))
    }

    /// All pages after the first, a few at a time; and those that were added meanwhile.
    ///
    /// # Errors
    /// The store refuses, for good.
    async fn others(&mut self, pages: u32) -> Result<(), Failure> {
        let mut next = 2;
        let (mut last, mut hopeless) = (pages, 0);
        let calls_each = self.shared().calls_each;
        // One that fails leaves the calls to the others, and gets them back page by page.
        let mut calls = if self.memory.is_failing { CALLS_FAILING.min(calls_each) } else { calls_each };
        let mut asked = FuturesUnordered::new();
        loop {
            while next <= last && asked.len() < calls && hopeless < FAILURES_MAX {
                asked.push(self.ask(next));
                next += 1;
            }
            let Some((number, answer)) = asked.next().await else { break };
            match answer {
                Ok(answer) => {
                    calls = (calls + 1).min(calls_each);
                    let read = self.take(number, answer).await;
                    hopeless += usize::from(read.how == How::Missing);
                    last = last.max(read.pages.unwrap_or(0).min(PAGES_MAX));
                    self.memory.pages = last;
                    if read.tag.expires_at > self.noted && matches!(read.how, How::Fetched | How::Unchanged) {
                        self.note_rest(read.tag.expires_at, &read.tag).await?;
                    }
                    self.read.insert(number, read);
                }
                Err(trouble) => {
                    counter!("broadside_market_pages_total", "status" => "failed").increment(1);
                    calls = CALLS_FAILING.min(calls_each);
                    // No other would fare better.
                    let is_busy = matches!(trouble, Trouble::Busy(..));
                    hopeless += if is_busy { FAILURES_MAX } else { 1 };
                    self.failures.push(trouble);
                }
            }
        }
        Ok(())
    }

    fn ask(&self, number: u32) -> impl Future<Output = (u32, Result<Asked, Trouble>)> + use<'a> {
        ask(self.poller, number, self.known.get(&number).cloned(), self.memory.said.get(&number).copied())
    }

    async fn page(&mut self, number: u32) -> Result<Read, Trouble> {
        let (_, answer) = self.ask(number).await;
        match answer {
            Ok(Asked::Missing(text)) if number == 1 => Err(Trouble::Failed(text)),
            Ok(answer) => Ok(self.take(number, answer).await),
            Err(trouble) => {
                counter!("broadside_market_pages_total", "status" => "failed").increment(1);
                Err(trouble)
            }
        }
    }

    /// Sends a page on.
    async fn take(&mut self, number: u32, asked: Asked) -> Read {
        let (how, status) = match &asked {
            Asked::Fresh(_) => (How::Fresh, "fresh"),
            Asked::Missing(_) => (How::Missing, "404"),
            Asked::Answered { paged, .. } if paged.body.is_some() => (How::Fetched, "200"),
            Asked::Answered { .. } => (How::Unchanged, "304"),
        };
        counter!("broadside_market_pages_total", "status" => status).increment(1);
        match asked {
            Asked::Fresh(tag) => {
                self.shared().rests_until(self.region(), Some(tag.expires_at));
                self.send(Part::Unchanged { number, tag: tag.clone() }).await;
                Read { how, tag, pages: None, says: None }
            }
            Asked::Missing(_) => {
                let tag = Tag { etag: None, last_modified: None, expires_at: self.shared().now() };
                Read { how, tag, pages: None, says: None }
            }
            Asked::Answered { paged, expires_at } => {
                let Paged { body, etag, last_modified, pages, expires } = paged;
                self.shared().rests_until(self.region(), Some(expires_at));
                if expires.is_some() {
                    self.memory.said.insert(number, expires_at);
                }
                let known = self.known.get(&number);
                // A 304 may leave out what it has said before.
                let etag = etag.or_else(|| known.filter(|_| body.is_none()).and_then(|known| known.etag.clone()));
                let tag = Tag { etag, last_modified, expires_at };
                let part = match body {
                    Some(body) => Part::Orders { number, tag: tag.clone(), body, decoded: None },
                    None => Part::Unchanged { number, tag: tag.clone() },
                };
                self.send(part).await;
                Read { how, says: expires.map(|_| expires_at), tag, pages }
            }
        }
    }

    async fn send(&mut self, part: Part) {
        let page = Page { region: self.region(), sweep: self.number, part };
        self.sent += 1;
        // The receiver lives as long as whoever polls this.
        let _ = self.poller.out.send(self.acks.message(page)).await;
    }

    /// Waits until every page is safe; then sends the end, and waits for that.
    async fn finish(mut self, answered: Instant, read: Duration) -> Result<Ended, Trouble> {
        let settled = std::mem::replace(&mut self.acks, Acks::new()).settled().await;
        if settled.safe < self.sent {
            // Of those that were dropped, nobody says which they were.
            let is_dropped = settled.safe + settled.failed.len() < self.sent;
            let wait = self.held(|number| is_dropped || settled.failed.contains(number));
            let text = settled.failure.unwrap_or_else(|| "have every page stored: some were dropped".to_owned());
            return Err(Trouble::Busy(wait, text));
        }
        if let Some(trouble) = self.failures.first() {
            let more = self.failures.len() - 1;
            let also = if more == 0 { String::new() } else { format!(" (and {more} more pages)") };
            return Err(match trouble {
                Trouble::Busy(wait, text) => Trouble::Busy(*wait, format!("{text}{also}")),
                trouble => Trouble::Failed(format!("{trouble}{also}")),
            });
        }
        let ending = self.ending();
        let ended = self.ended(&ending, answered, read);
        self.sent = 0;
        self.send(Part::End(ending)).await;
        let settled = self.acks.settled().await;
        match settled.failure {
            Some(failure) => Err(Trouble::Failed(failure)),
            None if settled.safe == 0 => {
                Err(Trouble::Failed("have the end of the sweep stored: it was dropped".to_owned()))
            }
            None => Ok(ended),
        }
    }

    /// How long it is until none of these pages holds any more, as far as ESI says.
    fn held(&self, is_one: impl Fn(&u32) -> bool) -> Duration {
        let says = self.read.iter().filter(|(number, _)| is_one(number)).filter_map(|(_, read)| read.says).max();
        says.map_or(Duration::ZERO, |until| self.shared().until(until) + self.poller.shared.rules.margin)
    }

    fn ending(&self) -> Ending {
        let not_before = self.read.values().map(|read| read.tag.expires_at).max();
        let (now, quality) = (self.shared().now(), self.quality());
        let last = self.read.last_key_value().map_or(1, |(number, _)| *number);
        // Of pages that are missing, what was known is kept.
        let pages = if quality == Quality::Incomplete { last.max(self.known_pages()) } else { last };
        Ending {
            name: self.shared().regions.get(self.region()).and_then(|standing| standing.name),
            pages,
            started_at: self.shared().at(self.begun),
            swept_at: now,
            not_before: not_before.unwrap_or(now),
            quality,
        }
    }

    fn quality(&self) -> Quality {
        let reads = || self.read.values();
        if reads().any(|read| read.how == How::Missing) {
            return Quality::Incomplete;
        }
        // Those that do not say are taken to be of the same.
        let mut snapshots = reads().filter_map(|read| read.tag.last_modified);
        let first = snapshots.next();
        let is_one = snapshots.all(|snapshot| Some(snapshot) == first);
        let mut counts = reads().filter_map(|read| read.pages);
        let count = counts.next();
        let is_one = is_one && counts.all(|pages| Some(pages) == count);
        // Of two sweeps with the same pages, the first cannot have mixed two snapshots: the second would show what was missed.
        let is_same = reads().all(|read| read.how == How::Unchanged) && self.known.len() == self.read.len();
        if is_one || is_same { Quality::Whole } else { Quality::Mixed }
    }

    fn ended(&self, ending: &Ending, answered: Instant, read: Duration) -> Ended {
        let count = |how| self.read.values().filter(|read| read.how == how).count() as u32;
        let at = self.shared().at(answered);
        let holds = |tag: &Tag| after(at, tag.expires_at);
        let first_holds = self.read.get(&1).map(|read| holds(&read.tag)).unwrap_or_default();
        Ended {
            begun: self.begun,
            answered,
            read,
            pages: ending.pages,
            fetched: count(How::Fetched),
            unchanged: count(How::Unchanged),
            fresh: count(How::Fresh),
            first_holds,
            last_holds: self.read.values().map(|read| holds(&read.tag)).max().unwrap_or_default(),
        }
    }
}

fn after(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or_default()
}
