//! The live killfeed: `GET /api/killfeed/stream` and `/ws`, and `GET /api/kills/recent` for a page that starts.
//!
//! What a stream promises: every event after its start, once, with ids that only rise, however fast the reader is. Sinks work in parallel and what they
//! say may come in any order, so no event goes out by way of the hub: [`Tail`] reads them from the store, in order, when the hub says that there is something,
//! and hands them round ([`inbox`]) to those who follow one of their topics. Each [`reader`] knows what it has handed out, and reads from the store what did
//! not come to it: all there is from its start to the moment at which it joins, and whatever was more than its inbox holds.
//!
//! A client with offsets that move by themselves is another thing: it takes its events from the store as a poll does ([`taker`]).

mod clients;
mod collection;
mod entry;
mod feed;
mod inbox;
mod limits;
mod poll;
mod query;
mod reader;
#[cfg(test)]
mod reader_tests;
mod recent;
mod settings;
mod stream;
mod tail;
mod taker;
mod topic;
mod ws;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::error::ApiError;

pub(super) use self::clients::{Clients, Forgotten, LIMIT_MAX as CLIENTS_MAX, forget, list as clients, one as client};
pub(super) use self::collection::Collection;
pub(super) use self::entry::Described as Event;
pub(super) use self::limits::{Limits, Peer};
pub(super) use self::poll::{Done, LIMIT as POLL_DEFAULT, LIMIT_MAX as POLL_MAX, Offsets, Polled, commit, next, poll};
pub(super) use self::query::TOPICS_MAX;
pub(super) use self::recent::{RECENT_MAX, Recent, recent};
pub use self::settings::Settings;
pub(super) use self::stream::stream;
pub(super) use self::tail::Tail;
pub(super) use self::ws::ws;

/// Live streams and sockets open at once.
pub(super) const CONNECTIONS_MAX: usize = 5000;

/// The places for live streams and sockets, and the word that ends them.
#[derive(Debug)]
pub(super) struct Streams {
    places: Arc<Semaphore>,
    places_max: usize,
    closing: CancellationToken,
    /// What serves a socket is no part of its connection's task.
    sockets: TaskTracker,
}

/// One stream's place: among all, and among those of its address.
#[derive(Debug)]
struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_address: limits::Stream,
}

impl Streams {
    pub(super) fn new(places_max: usize) -> Self {
        let (places, sockets) = (Arc::new(Semaphore::new(places_max)), TaskTracker::new());
        Self { places, places_max, closing: CancellationToken::new(), sockets }
    }

    pub(super) fn open(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    /// Ends every stream and socket, at the latest when what it answers is dropped.
    pub(super) fn closing(&self) -> DropGuard {
        self.closing.clone().drop_guard()
    }

    /// Waits until the last socket is gone.
    pub(super) async fn left(&self) {
        self.sockets.close();
        self.sockets.wait().await;
    }

    fn enter(&self, limits: &Arc<Limits>, peer: Peer) -> Result<Place, ApiError> {
        let of_address = limits.stream(peer)?;
        let of_all = self.places.clone().try_acquire_owned().map_err(|_| {
            metrics::counter!("broadside_stream_refused_total").increment(1);
            ApiError::unavailable("too_many_streams", format!("{} live streams are open", self.places_max))
        })?;
        Ok(Place { _of_all: of_all, _of_address: of_address })
    }
}
