//! What an operator may set of the killfeed.

use std::time::Duration;

/// How long the log is kept, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Events that every client has passed are kept for so long, for readers without offsets.
    pub keep: Duration,
    /// Older events go, whoever still wants them …
    pub age_max: Duration,
    /// … and so do the oldest beyond so many. The newest event always stays.
    pub count_max: u64,
    /// A client that was not seen for so long is forgotten, and holds the log no more.
    pub clients_after: Duration,
    /// How often it is looked what may go.
    pub collect_every: Duration,
    /// Live streams and sockets that an address beyond this machine may have open at once.
    pub streams_per_address: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: Duration::from_hours(24),
            age_max: Duration::from_hours(24 * 30),
            count_max: 10_000_000,
            clients_after: Duration::from_hours(24 * 7),
            collect_every: Duration::from_secs(60),
            streams_per_address: 64,
        }
    }
}
