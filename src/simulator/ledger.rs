//! What the simulator published and handed over.

use std::sync::{Mutex, PoisonError};

/// Numbers so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kills published, whoever listened.
    pub published: u64,
    /// Kills handed to clients whole and unspoilt: once for each client and each repeat.
    pub delivered: u64,
    /// Kills handed to clients as broken JSON.
    pub spoilt: u64,
    /// Requests for a stream, refused ones included.
    pub connections: u64,
    /// Clients disconnected because they had fallen too far behind.
    pub dropped_clients: u64,
}

#[derive(Debug, Default)]
struct Book {
    counts: Counts,
    published: Vec<i64>,
    delivered: Vec<i64>,
}

/// Ids only when asked to: a simulator may run for days.
#[derive(Debug)]
pub(super) struct Ledger {
    record: bool,
    book: Mutex<Book>,
}

impl Ledger {
    pub(super) fn new(record: bool) -> Self {
        Self { record, book: Mutex::default() }
    }

    fn book<R>(&self, use_it: impl FnOnce(&mut Book) -> R) -> R {
        use_it(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn publish(&self, id: i64) {
        self.book(|book| {
            book.counts.published += 1;
            if self.record {
                book.published.push(id);
            }
        });
    }

    pub(super) fn deliver(&self, id: i64) {
        self.book(|book| {
            book.counts.delivered += 1;
            if self.record {
                book.delivered.push(id);
            }
        });
    }

    pub(super) fn spoil(&self) {
        self.book(|book| book.counts.spoilt += 1);
    }

    /// Answers which connection this is, from 1.
    pub(super) fn connect(&self) -> u64 {
        self.book(|book| {
            book.counts.connections += 1;
            book.counts.connections
        })
    }

    pub(super) fn drop_client(&self) {
        self.book(|book| book.counts.dropped_clients += 1);
    }

    pub(super) fn counts(&self) -> Counts {
        self.book(|book| book.counts)
    }

    pub(super) fn published(&self) -> Vec<i64> {
        self.book(|book| book.published.clone())
    }

    pub(super) fn delivered(&self) -> Vec<i64> {
        self.book(|book| book.delivered.clone())
    }
}
