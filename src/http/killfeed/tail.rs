//! One reader of the newest events for all live streams: the store is asked once, however many listen.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, broadcast};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use crate::hub::{Hub, Topic};
use crate::store::{Error, Store};

/// Events read at once, and the most in one batch.
const PAGE: u32 = 128;
/// JSON in one batch, unless a single event is larger.
const BATCH_BYTES: usize = 1 << 20;
/// Batches kept for slow streams: up to 4,096 events, 32 MB.
const BATCHES: usize = 32;
/// Other workers on the same database say nothing here: look by oneself.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two reads: a burst becomes a few pages, not a read an event.
const SPACING: Duration = Duration::from_millis(20);
const RETRY: Duration = Duration::from_secs(1);
/// Streams that may read the store by themselves at the same time.
const READS: usize = 8;

/// Events that follow one another: everything above `after`, up to and with `through`.
///
/// Both ends are in it so that a stream can see for itself whether a batch joins on to what it has.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) after: i64,
    pub(super) through: i64,
    pub(super) events: Vec<Arc<Entry>>,
}

/// Reads new events from the store, in order, and hands them to the streams. Rests while there are none.
///
/// Relies on the store never showing an event while one with a smaller id may still appear.
#[derive(Debug)]
pub(in crate::http) struct Tail {
    store: Arc<dyn Store>,
    batches: broadcast::Sender<Arc<Batch>>,
    joined: Notify,
    /// Bounds what streams that catch up ask of the store.
    pub(super) reads: Semaphore,
    page: u32,
}

impl Tail {
    pub(in crate::http) fn new(store: Arc<dyn Store>) -> Self {
        Self::sized(store, PAGE, BATCHES)
    }

    pub(super) fn sized(store: Arc<dyn Store>, page: u32, batches: usize) -> Self {
        let (batches, _) = broadcast::channel(batches);
        Self { store, batches, joined: Notify::new(), reads: Semaphore::new(READS), page }
    }

    /// Batches from now on. What is in the store already has to be read from there, after this call.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Batch>> {
        let batches = self.batches.subscribe();
        self.joined.notify_one();
        batches
    }

    /// Works until `stop`.
    pub(in crate::http) async fn run(self: Arc<Self>, hub: Arc<Hub>, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow(&hub)).await;
    }

    async fn follow(&self, hub: &Arc<Hub>) {
        loop {
            self.joined.notified().await;
            let mut published = hub.subscribe([Topic::All], 1);
            let (mut position, mut failing) = (None, false);
            while self.batches.receiver_count() > 0 {
                let read_at = Instant::now();
                match self.step(&mut position).await {
                    Ok(true) => {}
                    Ok(false) => {
                        failing = false;
                        let _ = tokio::time::timeout(LOOK_EVERY, published.recv()).await;
                        tokio::time::sleep_until(read_at + SPACING).await;
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut failing, true) {
                            tracing::warn!(%error, "failed to read new events; trying again every second");
                        }
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        }
    }

    /// Reads once. Without a position it takes the end of the store, and says so in an empty batch.
    /// Answers whether there may be more at once.
    pub(super) async fn step(&self, position: &mut Option<i64>) -> Result<bool, Error> {
        let Some(after) = *position else {
            let end = self.store.event_range().await?.map_or(0, |(_, greatest)| greatest);
            *position = Some(end);
            self.send(Batch { after: end, through: end, events: Vec::new() });
            return Ok(true);
        };
        let events = self.store.events_after(after, &[], self.page).await?;
        let more = events.len() == self.page as usize;
        let mut batch = Batch { after, through: after, events: Vec::new() };
        let mut bytes = 0;
        for entry in events.into_iter().map(Entry::of) {
            if bytes + entry.data.len() > BATCH_BYTES && !batch.events.is_empty() {
                let through = batch.through;
                self.send(std::mem::replace(&mut batch, Batch { after: through, through, events: Vec::new() }));
                bytes = 0;
            }
            bytes += entry.data.len();
            batch.through = entry.event_id;
            batch.events.push(Arc::new(entry));
        }
        *position = Some(batch.through);
        if !batch.events.is_empty() {
            self.send(batch);
        }
        Ok(more)
    }

    fn send(&self, batch: Batch) {
        // Nobody listens any more: the next who does starts from the store.
        let _ = self.batches.send(Arc::new(batch));
    }
}
