//! The books of all regions: read by the market source, which asks only for what has changed, and kept by the `orders` sink.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::killmail::RegionId;
use crate::market::book::Book;

/// A region's book, and the turn to write.
#[derive(Debug, Default)]
pub struct Shelf {
    book: Mutex<Book>,
    /// Held by a sink for as long as it changes what is stored of the region, so that its pages are stored one after the other.
    pub writing: tokio::sync::Mutex<()>,
}

impl Shelf {
    /// The book, for a moment.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One book a region.
#[derive(Debug, Default)]
pub struct Books(Mutex<HashMap<RegionId, Arc<Shelf>>>);

impl Books {
    /// A region's; its book is empty and not loaded when it is new.
    #[must_use]
    pub fn of(&self, region: RegionId) -> Arc<Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(region).or_default().clone()
    }

    /// Lets go of a region's.
    pub fn forget(&self, region: RegionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&region);
    }
}
