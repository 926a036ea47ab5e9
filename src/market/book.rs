//! What is known of a region's open orders, and the rules of a sweep.
//!
//! ```text
//! begin ─► for each page, in whatever order they come:  pick ─► (store) ─► stored     a page with orders
//!                                                        unchanged                    a page that is as it was
//!       ─► reckon ─► (store) ─► ended
//! ```
//!
//! * What is stored already, by its digest, is not stored again. Of an order on two pages of a sweep the copy of the newer snapshot holds.
//! * A sweep is **whole** when its pages are of one snapshot, or all as they were in the sweep before, and no order stood on two of them. Else it is **mixed**: an order may
//!   have moved from a page that was yet to be read to one that had been. It is **incomplete** when a page or an entry could not be read.
//! * An order is gone when it was missing from two whole sweeps, or from four that were not incomplete. Each sighting starts the count anew.
//! * An unchanged page cannot say again what it has. If another page of the sweep has one of its orders too, it is read whole in the next sweep: its tag is given up.

#[cfg(test)]
mod simulation;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;

use super::wire::Decoded;
use super::{Ending, Order, Quality, Tag};

/// Missing from so many whole sweeps, an order is gone …
const WHOLE_MISSES: u8 = 2;
/// … or from so many of any kind but incomplete ones.
const MISSES: u8 = 4;
/// Ends of sweeps that are remembered: no order that is missing can have been seen longer ago.
const SWEEPS_KEPT: usize = 16;

/// A page with its orders, to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Sheet<'a> {
    pub number: u32,
    pub tag: &'a Tag,
    pub decoded: &'a Decoded,
}

impl Sheet<'_> {
    /// The tag as it is kept: a page with entries that could not be read is read whole again.
    #[must_use]
    pub fn tag_to_keep(&self) -> Tag {
        Tag { etag: self.tag.etag.clone().filter(|_| self.decoded.refused == 0), ..self.tag.clone() }
    }
}

/// What of some pages is to be stored.
#[derive(Debug)]
pub struct Picked<'a> {
    /// Orders that are not known to be stored as they are; ascending by id.
    pub writes: Vec<&'a Order>,
    /// Of every order on the pages.
    sightings: Vec<Sighting>,
}

#[derive(Debug, Clone, Copy)]
struct Sighting {
    order_id: i64,
    digest: u64,
    modified: u32,
    page: u32,
}

/// What a sweep's end means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reckoning {
    pub quality: Quality,
    /// Why it is not whole.
    pub reason: Option<String>,
    /// Orders that are gone, with the end of the last sweep that saw them, if that is known; ascending.
    pub gone: Vec<(i64, Option<Timestamp>)>,
    /// Orders that are open then.
    pub open: usize,
}

/// A region's open orders.
#[derive(Debug, Default)]
pub struct Book {
    is_loaded: bool,
    pages: BTreeMap<u32, Kept>,
    orders: HashMap<i64, Entry>,
    sweep: u64,
    /// Pages of this sweep that were noted.
    noted: BTreeSet<u32>,
    /// Pages of this sweep that share an order with another.
    overlapping: BTreeSet<u32>,
    /// Unchanged pages among them.
    doubtful: BTreeSet<u32>,
    ends: VecDeque<(u64, Timestamp)>,
    /// Types whose prices may have changed; `None`: all of them.
    touched: Option<BTreeSet<i64>>,
}

#[derive(Debug)]
struct Kept {
    tag: Tag,
    orders: Vec<i64>,
    refused: usize,
    /// In this process's latest sweep that noted it.
    sweep: u64,
}

/// Of an open order; 0 stands for unknown in each.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    digest: u64,
    /// The sweep that saw it last …
    sweep: u32,
    /// … on a page whose snapshot was made then (seconds since 1970).
    modified: u32,
    /// On that page.
    page: u32,
    whole_misses: u8,
    misses: u8,
}

impl Book {
    /// Whether [`load`](Self::load) was called.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// Takes what is stored: the ids of open orders, and pages with their tags and orders.
    pub fn load(&mut self, open: &[i64], pages: impl IntoIterator<Item = (u32, Tag, Vec<i64>)>) {
        let kept = |(number, tag, orders)| (number, Kept { tag, orders, refused: 0, sweep: 0 });
        *self = Self {
            is_loaded: true,
            pages: pages.into_iter().map(kept).collect(),
            orders: open.iter().map(|id| (*id, Entry::default())).collect(),
            sweep: self.sweep,
            ..Self::default()
        };
    }

    /// Begins a sweep, whose number no other of this process has; what was left of one before is forgotten.
    pub fn begin(&mut self, sweep: u64) {
        self.sweep = sweep;
        self.noted.clear();
        self.overlapping.clear();
        self.doubtful.clear();
    }

    /// The sweep under way, or the last one.
    #[must_use]
    pub fn sweep(&self) -> u64 {
        self.sweep
    }

    /// The tags of the pages that are known.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<u32, Tag> {
        self.pages.iter().map(|(number, kept)| (*number, kept.tag.clone())).collect()
    }

    /// Open orders, as far as is known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether no order is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// What of these pages is to be stored.
    #[must_use]
    pub fn pick<'a>(&self, sheets: &[Sheet<'a>]) -> Picked<'a> {
        let mut sheets = sheets.to_vec();
        sheets.sort_by_key(|sheet| (modified(sheet.tag), sheet.number));
        let count = sheets.iter().map(|sheet| sheet.decoded.orders.len()).sum();
        let (mut latest, mut sightings) = (HashMap::with_capacity(count), Vec::with_capacity(count));
        for sheet in &sheets {
            let modified = modified(sheet.tag);
            for order in &sheet.decoded.orders {
                let digest = order.digest();
                sightings.push(Sighting { order_id: order.order_id, digest, modified, page: sheet.number });
                let newer =
                    self.orders.get(&order.order_id).is_some_and(|entry| self.is_newer(entry, modified, sheet.number));
                if !newer {
                    latest.insert(order.order_id, (order, digest));
                }
            }
        }
        let is_stored = |id: i64, digest: u64| self.orders.get(&id).is_some_and(|entry| entry.digest == digest);
        let unknown = latest.into_iter().filter(|(id, (_, digest))| !is_stored(*id, *digest));
        let mut writes: Vec<&Order> = unknown.map(|(_, (order, _))| order).collect();
        writes.sort_unstable_by_key(|order| order.order_id);
        Picked { writes, sightings }
    }

    /// Whether another page of this sweep has a newer copy of the order.
    fn is_newer(&self, entry: &Entry, modified: u32, page: u32) -> bool {
        entry.sweep == self.sweep as u32 && entry.page != page && entry.modified > modified
    }

    /// These pages are safe.
    pub fn stored(&mut self, sheets: &[Sheet<'_>], picked: &Picked<'_>, types: &[i64]) {
        if let Some(touched) = &mut self.touched {
            touched.extend(types);
        }
        for sighting in &picked.sightings {
            self.see(*sighting);
        }
        for sheet in sheets {
            let orders = sheet.decoded.orders.iter().map(|order| order.order_id).collect();
            let kept = Kept { tag: sheet.tag_to_keep(), orders, refused: sheet.decoded.refused, sweep: self.sweep };
            self.pages.insert(sheet.number, kept);
            self.noted.insert(sheet.number);
        }
    }

    fn see(&mut self, sighting: Sighting) {
        let sweep = self.sweep as u32;
        let entry = self.orders.entry(sighting.order_id).or_default();
        let is_elsewhere = entry.sweep == sweep && entry.page != sighting.page;
        let holds = !is_elsewhere || entry.modified <= sighting.modified;
        let other = entry.page;
        if holds {
            let Sighting { digest, modified, page, .. } = sighting;
            *entry = Entry { digest, sweep, modified, page, whole_misses: 0, misses: 0 };
        }
        if is_elsewhere {
            self.overlap(other, sighting.page);
        }
    }

    /// An order stands on both pages, of which the first was noted before.
    fn overlap(&mut self, first: u32, second: u32) {
        self.overlapping.extend([first, second]);
    }

    /// A page is as it was; `false`: it is not known, and has to be read whole.
    pub fn unchanged(&mut self, number: u32, tag: &Tag) -> bool {
        let Some(mut kept) = self.pages.remove(&number) else { return false };
        let (sweep, modified) = (self.sweep as u32, modified(tag));
        let mut is_doubtful = false;
        for id in &kept.orders {
            // One that another page has brought since, in another form, or that was closed: then this page is no witness of its form.
            let entry = self.orders.entry(*id).or_default();
            if entry.sweep == sweep && entry.page != number {
                self.overlapping.extend([entry.page, number]);
                is_doubtful = true;
                continue;
            }
            *entry = Entry { sweep, modified, page: number, whole_misses: 0, misses: 0, ..*entry };
        }
        kept.tag = Tag { etag: kept.tag.etag.take(), ..tag.clone() };
        if is_doubtful {
            self.doubtful.insert(number);
        }
        kept.sweep = self.sweep;
        self.pages.insert(number, kept);
        self.noted.insert(number);
        true
    }

    /// What the end of the sweep means.
    #[must_use]
    pub fn reckon(&self, ending: &Ending) -> Reckoning {
        let (quality, reason) = self.quality(ending);
        let mut gone: Vec<_> = self.missing().filter_map(|(id, entry)| self.gone(id, entry, quality)).collect();
        gone.sort_unstable();
        Reckoning { quality, reason, open: self.orders.len() - gone.len(), gone }
    }

    fn missing(&self) -> impl Iterator<Item = (i64, &Entry)> {
        let sweep = self.sweep as u32;
        self.orders.iter().filter(move |(_, entry)| entry.sweep != sweep).map(|(id, entry)| (*id, entry))
    }

    fn gone(&self, id: i64, entry: &Entry, quality: Quality) -> Option<(i64, Option<Timestamp>)> {
        let Entry { whole_misses, misses, sweep, .. } = missed(*entry, quality);
        let seen_at = self.ends.iter().find(|(end, _)| *end as u32 == sweep && sweep != 0).map(|(_, at)| *at);
        (whole_misses >= WHOLE_MISSES || misses >= MISSES).then_some((id, seen_at))
    }

    fn quality(&self, ending: &Ending) -> (Quality, Option<String>) {
        let refused: usize = self.pages.values().map(|kept| kept.refused).sum();
        let absent = (1..=ending.pages).filter(|number| !self.noted.contains(number)).count();
        if refused > 0 {
            return (Quality::Incomplete, Some(format!("{refused} entries are no orders")));
        }
        if absent > 0 || ending.quality == Quality::Incomplete {
            return (Quality::Incomplete, Some(format!("{} of {} pages are missing", absent.max(1), ending.pages)));
        }
        if !self.overlapping.is_empty() {
            return (Quality::Mixed, Some(format!("{} pages share orders", self.overlapping.len())));
        }
        match ending.quality {
            Quality::Mixed => (Quality::Mixed, Some("its pages are of several snapshots".to_owned())),
            quality => (quality, None),
        }
    }

    /// The end of the sweep is safe.
    pub fn ended(&mut self, reckoning: &Reckoning, ending: &Ending) {
        for (id, _) in &reckoning.gone {
            self.orders.remove(id);
        }
        let sweep = self.sweep as u32;
        for entry in self.orders.values_mut().filter(|entry| entry.sweep != sweep) {
            *entry = missed(*entry, reckoning.quality);
        }
        self.pages.retain(|number, _| *number <= ending.pages);
        for number in std::mem::take(&mut self.doubtful) {
            if let Some(kept) = self.pages.get_mut(&number) {
                kept.tag.etag = None;
            }
        }
        self.ends.push_back((self.sweep, ending.swept_at));
        while self.ends.len() > SWEEPS_KEPT {
            self.ends.pop_front();
        }
    }

    /// Types whose prices may have changed since [`refreshed`](Self::refreshed), ascending; `None`: all may have.
    #[must_use]
    pub fn touched(&self) -> Option<Vec<i64>> {
        self.touched.as_ref().map(|touched| touched.iter().copied().collect())
    }

    /// Prices of these types changed too.
    pub fn touch(&mut self, types: &[i64]) {
        if let Some(touched) = &mut self.touched {
            touched.extend(types);
        }
    }

    /// Prices are as the orders are.
    pub fn refreshed(&mut self) {
        self.touched = Some(BTreeSet::new());
    }
}

fn missed(entry: Entry, quality: Quality) -> Entry {
    match quality {
        Quality::Whole => Entry {
            whole_misses: entry.whole_misses.saturating_add(1),
            misses: entry.misses.saturating_add(1),
            ..entry
        },
        Quality::Mixed => Entry { misses: entry.misses.saturating_add(1), ..entry },
        Quality::Incomplete => entry,
    }
}

/// Seconds since 1970: ESI's snapshots are told apart by whole seconds. 0: unknown.
fn modified(tag: &Tag) -> u32 {
    tag.last_modified.map_or(0, |at| u32::try_from(at.as_second()).unwrap_or(0))
}
