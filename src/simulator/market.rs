//! The market of the simulator's ESI: regions with orders that change once a window, as ESI's caches do.
//!
//! All pages of a region change at the same moment; a sweep that is under way then mixes two windows, as it does at ESI.

mod book;
mod draw;
mod limit;
pub(super) mod routes;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::market::Order;
use book::{Book, Sheet};
use limit::Limit;

/// Windows that nobody looked at are made up for up to here.
const CATCH_UP_MAX: i64 = 20;
/// Regions that pilots trade in, with the orders that are open at the start. The small ones change in few windows.
const REGIONS: [(i64, usize); 5] =
    [(10_000_002, 2_500), (10_000_043, 1_100), (10_000_032, 400), (10_000_030, 40), (10_000_042, 15)];

/// The market to simulate.
#[derive(Debug, Clone)]
pub struct Market {
    /// How long an answer holds. Whole seconds, at least one.
    pub window: Duration,
    /// The share of a region's orders that differ in the next window: 0 to 1.
    pub change: f64,
    /// Regions, and how many orders are open in each at the start.
    pub regions: Vec<(i64, usize)>,
}

impl Default for Market {
    fn default() -> Self {
        Self { window: Duration::from_secs(10), change: 0.02, regions: REGIONS.to_vec() }
    }
}

/// Every region's orders, and the window that it is.
#[derive(Debug)]
pub(super) struct Markets {
    window: i64,
    change: f64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    books: BTreeMap<i64, Book>,
    /// When this window began, in seconds since 1970.
    began: i64,
    is_frozen: bool,
    limit: Limit,
    /// Pages that were answered, by status.
    answers: BTreeMap<u16, u64>,
}

/// What is answered to whoever asks for a page.
#[derive(Debug)]
pub(super) enum Found {
    Sheet { sheet: Sheet, pages: usize, modified: Timestamp, expires: Timestamp },
    NoPage,
    NoRegion,
}

impl Markets {
    pub(super) fn new(market: &Market, seed: u64) -> Self {
        let began = Timestamp::now().as_second();
        let books = market.regions.iter().zip(0..);
        let books = books.map(|((region, size), index)| (*region, Book::new(*region, index, *size, seed, began)));
        let inner = Inner {
            books: books.collect(),
            began,
            is_frozen: false,
            limit: Limit::default(),
            answers: BTreeMap::new(),
        };
        let window = i64::try_from(market.window.as_secs()).unwrap_or(i64::MAX / 4).max(1);
        Self { window, change: market.change.clamp(0.0, 1.0), inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In the window that it is now.
    fn current(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        let windows = (Timestamp::now().as_second() - inner.began) / self.window;
        inner.began += (windows - CATCH_UP_MAX).max(0) * self.window;
        for _ in 0..windows.min(CATCH_UP_MAX) {
            let next = inner.began + self.window;
            inner.turn(next, self.change);
        }
        inner
    }

    /// Begins the next window before its time.
    pub(super) fn turn(&self) {
        let mut inner = self.current();
        // The caches tell windows apart by whole seconds.
        let next = Timestamp::now().as_second().max(inner.began + 1);
        inner.turn(next, self.change);
    }

    pub(super) fn freeze(&self, is_frozen: bool) {
        self.current().is_frozen = is_frozen;
    }

    pub(super) fn orders(&self, region: i64) -> Vec<Order> {
        self.current().books.get(&region).map(|book| book.orders().to_vec()).unwrap_or_default()
    }

    pub(super) fn regions(&self) -> Vec<i64> {
        self.lock().books.keys().copied().collect()
    }

    pub(super) fn page(&self, region: i64, number: usize) -> Found {
        let mut inner = self.current();
        let (began, expires) = (inner.began, inner.began + self.window);
        let Some(book) = inner.books.get_mut(&region) else { return Found::NoRegion };
        let pages = book.pages();
        match book.sheet(number) {
            Some(sheet) => Found::Sheet { sheet, pages, modified: second(began), expires: second(expires) },
            None => Found::NoPage,
        }
    }

    /// What the next call may cost; else how many seconds there are to wait.
    pub(super) fn admit(&self) -> Result<(), u64> {
        self.lock().limit.admit(Instant::now())
    }

    /// Counts a call, and answers the tokens that are left.
    pub(super) fn spend(&self, tokens: u32, status: u16) -> u32 {
        let mut inner = self.lock();
        *inner.answers.entry(status).or_default() += 1;
        inner.limit.spend(tokens, Instant::now())
    }

    pub(super) fn answers(&self) -> BTreeMap<u16, u64> {
        self.lock().answers.clone()
    }
}

impl Inner {
    fn turn(&mut self, began: i64, change: f64) {
        self.began = began;
        if !self.is_frozen {
            self.books.values_mut().for_each(|book| book.turn(change, began));
        }
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// What a region is called; the real name where it is a real region that pilots trade in.
pub(super) fn name(region: i64) -> String {
    match region {
        10_000_002 => "The Forge".to_owned(),
        10_000_030 => "Heimatar".to_owned(),
        10_000_032 => "Sinq Laison".to_owned(),
        10_000_042 => "Metropolis".to_owned(),
        10_000_043 => "Domain".to_owned(),
        other => format!("Region {other}"),
    }
}
