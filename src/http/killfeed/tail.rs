//! One reader of the newest events for all who follow them: the store is asked once, however many listen.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::inbox::Inboxes;
use crate::hub::Hub;
use crate::store::{Error, Scope, Store, Stretch};

/// Events read at once.
const PAGE: u32 = 128;
/// Other workers on the same database say nothing here: look by oneself.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two reads: a burst becomes a few pages, not a read an event.
const SPACING: Duration = Duration::from_millis(10);
const RETRY: Duration = Duration::from_secs(1);
/// Live readers that may ask the store by themselves at the same time.
const READS: usize = 8;

/// Reads new events from the store, in order, and hands them round. Rests while nobody follows any.
///
/// Relies on the store never showing an event while one with a smaller id may still appear.
#[derive(Debug)]
pub(in crate::http) struct Tail {
    pub(super) store: Arc<dyn Store>,
    pub(super) inboxes: Arc<Inboxes>,
    /// Bounds what readers that catch up ask of the store.
    pub(super) reads: Semaphore,
    page: u32,
}

impl Tail {
    pub(in crate::http) fn new(store: Arc<dyn Store>) -> Self {
        Self::sized(store, Inboxes::default(), PAGE)
    }

    pub(super) fn sized(store: Arc<dyn Store>, inboxes: Inboxes, page: u32) -> Self {
        Self { store, inboxes: Arc::new(inboxes), reads: Semaphore::new(READS), page }
    }

    /// Works until `stop`.
    pub(in crate::http) async fn run(self: Arc<Self>, hub: Arc<Hub>, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow(&hub)).await;
    }

    async fn follow(&self, hub: &Hub) {
        let mut published = hub.subscribe();
        loop {
            self.inboxes.entered().await;
            let mut failing = false;
            while !self.inboxes.rest() {
                let read_at = Instant::now();
                match self.step().await {
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

    /// Reads once, and hands round what it read. Answers whether there may be more at once.
    pub(super) async fn step(&self) -> Result<bool, Error> {
        let read = self.read().await?;
        read.iter().for_each(|stretch| self.hand_round(stretch));
        Ok(read.is_none_or(|stretch| stretch.more))
    }

    /// What is above the position. Without a position it takes the end of the store.
    pub(super) async fn read(&self) -> Result<Option<Stretch>, Error> {
        let Some((after, profiles)) = self.inboxes.begin() else {
            let range = self.store.event_range().await?;
            self.inboxes.start(range.map_or(0, |(_, greatest)| greatest));
            return Ok(None);
        };
        let scope = Scope { profiles, ..Scope::all() };
        self.store.events_of(&scope, after, self.page).await.map(Some)
    }

    pub(super) fn hand_round(&self, stretch: &Stretch) {
        let entries = self.inboxes.render(&stretch.events);
        self.inboxes.hand_round(&entries, stretch.through);
    }
}
