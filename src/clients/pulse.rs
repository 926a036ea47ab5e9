//! Signs of life of a live feed, for whoever must judge it from outside.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Shared by the feed that keeps it and those that look at it.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Mutex<Beat>>);

/// What a feed showed last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// Since when it is connected, if it is.
    pub connected_at: Option<Instant>,
    /// When the last byte came, of whatever meaning.
    pub heard_at: Option<Instant>,
    /// Why it is not connected.
    pub problem: Option<String>,
}

impl Pulse {
    /// What it showed last.
    #[must_use]
    pub fn beat(&self) -> Beat {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection stands.
    pub fn connected(&self, now: Instant) {
        self.update(|beat| *beat = Beat { connected_at: Some(now), heard_at: Some(now), problem: None });
    }

    /// Something came.
    pub fn heard(&self, now: Instant) {
        self.update(|beat| beat.heard_at = Some(now));
    }

    /// There is no connection, and why.
    pub fn lost(&self, problem: String) {
        self.update(|beat| (beat.connected_at, beat.problem) = (None, Some(problem)));
    }

    fn update(&self, change: impl FnOnce(&mut Beat)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
