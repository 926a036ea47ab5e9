//! How a poller hears what became of its pages.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Message, ack};
use tokio::sync::Notify;

use crate::market::{Page, Part};

/// What became of pages, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Settled {
    pub(super) safe: usize,
    /// Pages that failed (0: the end of a sweep).
    pub(super) failed: Vec<u32>,
    /// Why the first of them did.
    pub(super) failure: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    settled: Mutex<Settled>,
    is_over: Notify,
}

/// Rides with each page. When the last copy is gone, every page was settled, or dropped unsettled. It never makes the pipeline wait: a poller listens only
/// when it has handed over its last page, and that may take until others were settled.
#[derive(Debug)]
struct Teller(Arc<Shared>);

#[async_trait]
impl Acknowledger<Page> for Teller {
    async fn acknowledge(&self, _reference: u64, messages: &mut [Message<Page>]) {
        let mut settled = self.0.settled.lock().unwrap_or_else(PoisonError::into_inner);
        for message in messages {
            if ack::is_safe(message.outcome()) {
                settled.safe += 1;
                continue;
            }
            settled.failed.push(match &message.payload.part {
                Part::Orders { number, .. } | Part::Unchanged { number, .. } => *number,
                Part::End(_) => 0,
            });
            let failure = || message.failure().map_or_else(|| "it failed".to_owned(), ToString::to_string);
            settled.failure.get_or_insert_with(failure);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.0.is_over.notify_one();
    }
}

/// Counts what becomes of pages.
#[derive(Debug)]
pub(super) struct Acks(Arc<Teller>);

impl Acks {
    pub(super) fn new() -> Self {
        Self(Arc::new(Teller(Arc::default())))
    }

    /// A message that this will hear of.
    pub(super) fn message(&self, page: Page) -> Message<Page> {
        Message::new(page).with_acknowledger(self.0.clone())
    }

    /// Waits until all pages are settled, or dropped.
    pub(super) async fn settled(self) -> Settled {
        let shared = self.0.0.clone();
        drop(self);
        shared.is_over.notified().await;
        std::mem::take(&mut shared.settled.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
