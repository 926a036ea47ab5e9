//! The books of all regions: read by the market source, which asks only for what has changed, and kept by the `orders` sink.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::sync::Mutex;

use crate::killmail::RegionId;
use crate::market::book::Book;

/// One book a region. Whoever changes what is stored of a region holds its book meanwhile: so its pages are stored one after the other.
#[derive(Debug, Default)]
pub struct Books(std::sync::Mutex<HashMap<RegionId, Arc<Mutex<Book>>>>);

impl Books {
    /// A region's book; empty and not loaded when it is new.
    #[must_use]
    pub fn of(&self, region: RegionId) -> Arc<Mutex<Book>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(region).or_default().clone()
    }

    /// Lets go of a region's book.
    pub fn forget(&self, region: RegionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&region);
    }
}
