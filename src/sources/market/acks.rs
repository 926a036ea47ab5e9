//! How a poller hears what became of its pages.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Message, ack};
use tokio::sync::oneshot;

use crate::market::{Page, Part};

/// Rides with each page. When the last copy is gone, every page was settled, or dropped unsettled.
///
/// It never waits: the poller that it tells may itself be waiting for room in the pipeline.
#[derive(Debug)]
struct Teller {
    settled: Mutex<Settled>,
    tell: Option<oneshot::Sender<Settled>>,
}

#[async_trait]
impl Acknowledger<Page> for Teller {
    async fn acknowledge(&self, _reference: u64, messages: &mut [Message<Page>]) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
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
        let settled = std::mem::take(self.settled.get_mut().unwrap_or_else(PoisonError::into_inner));
        if let Some(tell) = self.tell.take() {
            // The poller may have given up.
            let _ = tell.send(settled);
        }
    }
}

/// What became of pages, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Settled {
    pub(super) safe: usize,
    /// Pages that failed; 0: the end of a sweep.
    pub(super) failed: Vec<u32>,
    /// Why the first of them did.
    pub(super) failure: Option<String>,
}

/// Counts what becomes of pages.
#[derive(Debug)]
pub(super) struct Acks {
    teller: Arc<Teller>,
    told: oneshot::Receiver<Settled>,
}

impl Acks {
    pub(super) fn new() -> Self {
        let (tell, told) = oneshot::channel();
        Self { teller: Arc::new(Teller { settled: Mutex::default(), tell: Some(tell) }), told }
    }

    /// A message that this will hear of.
    pub(super) fn message(&self, page: Page) -> Message<Page> {
        Message::new(page).with_acknowledger(self.teller.clone())
    }

    /// Waits until all pages are settled, or dropped.
    pub(super) async fn settled(self) -> Settled {
        let Self { teller, told } = self;
        drop(teller);
        told.await.unwrap_or_default()
    }
}
