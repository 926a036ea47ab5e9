//! How a poller hears what became of its pages.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Message, ack};
use tokio::sync::mpsc;

use crate::market::{Page, Part};

/// Settlements on their way to a poller.
const WAITING_MAX: usize = 64;

/// Rides with each page. When the last copy is gone, every page was settled, or dropped unsettled.
#[derive(Debug)]
struct Teller(mpsc::Sender<Told>);

/// What became of one page: its number (0: the end of a sweep), and why it failed if it did.
type Told = (u32, Option<String>);

#[async_trait]
impl Acknowledger<Page> for Teller {
    async fn acknowledge(&self, _reference: u64, messages: &mut [Message<Page>]) {
        for message in messages {
            let failure = (!ack::is_safe(message.outcome()))
                .then(|| message.failure().map_or_else(|| "it failed".to_owned(), ToString::to_string));
            let number = match &message.payload.part {
                Part::Orders { number, .. } | Part::Unchanged { number, .. } => *number,
                Part::End(_) => 0,
            };
            // The poller may have given up.
            let _ = self.0.send((number, failure)).await;
        }
    }
}

/// What became of pages, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Settled {
    pub(super) safe: usize,
    /// Pages that failed.
    pub(super) failed: Vec<u32>,
    /// Why the first of them did.
    pub(super) failure: Option<String>,
}

/// Counts what becomes of pages.
#[derive(Debug)]
pub(super) struct Acks {
    teller: Arc<Teller>,
    told: mpsc::Receiver<Told>,
}

impl Acks {
    pub(super) fn new() -> Self {
        let (tell, told) = mpsc::channel(WAITING_MAX);
        Self { teller: Arc::new(Teller(tell)), told }
    }

    /// A message that this will hear of.
    pub(super) fn message(&self, page: Page) -> Message<Page> {
        Message::new(page).with_acknowledger(self.teller.clone())
    }

    /// Waits until all pages are settled, or dropped.
    pub(super) async fn settled(self) -> Settled {
        let Self { teller, mut told } = self;
        drop(teller);
        let mut settled = Settled::default();
        while let Some((number, failure)) = told.recv().await {
            match failure {
                None => settled.safe += 1,
                Some(failure) => {
                    settled.failed.push(number);
                    settled.failure.get_or_insert(failure);
                }
            }
        }
        settled
    }
}
