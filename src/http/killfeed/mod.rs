//! The live killfeed: `GET /api/killfeed/stream`, and `GET /api/kills/recent` for a page that starts.
//!
//! What a stream promises: every event after its start, once, with ids that only rise, however fast the reader is. Sinks work in parallel and the
//! hub's messages may pass one another, so no event goes out by way of the hub: [`Tail`] reads them from the store, in order, when the
//! hub says that there is something, and each stream's [`Reader`] checks that what it got joins on to what it has, and fills from the store what does not.

mod clients;
mod collection;
mod entry;
mod limits;
mod poll;
mod query;
mod reader;
mod recent;
mod settings;
mod stream;
mod tail;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;

pub(super) use self::clients::{forget, list as clients, one as client};
pub(super) use self::collection::Collection;
pub(super) use self::limits::{Limits, Peer};
pub(super) use self::poll::{commit, next, poll};
pub(super) use self::recent::recent;
pub use self::settings::Settings;
pub(super) use self::stream::stream;
pub(super) use self::tail::Tail;

/// Live streams open at once.
pub(super) const CONNECTIONS_MAX: usize = 2000;

/// The places for live streams, and the word that ends them.
#[derive(Debug)]
pub(super) struct Streams {
    places: Arc<Semaphore>,
    places_max: usize,
    closing: CancellationToken,
}

impl Streams {
    pub(super) fn new(places_max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places_max)), places_max, closing: CancellationToken::new() }
    }

    pub(super) fn open(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    /// Ends every stream.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            metrics::counter!("broadside_stream_refused_total").increment(1);
            ApiError::unavailable("too_many_streams", format!("{} live streams are open", self.places_max))
        })
    }
}
