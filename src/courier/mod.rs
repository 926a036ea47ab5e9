//! Delivers alerts: tells the targets of surveillance profiles of the kills that they match.
//!
//! ```text
//! sink `database` ── the kill and its alerts, one transaction ──► table `alerts` ──► Courier ──► one Line a target ──► webhook
//!      ▲ who is to be told: Desk                                       ▲                 │            (order, waits, digests)
//! sink `webhook` ── rings ────────────────────────────────────────────┴─ deleted ◄──────┴─ delivered, expired, withdrawn, or kept as a dead letter
//! ```
//!
//! The table is an outbox: a row is deleted only when its alert has come to its end, so that a process that is killed at any time loses none; it may tell one twice, the one that was under
//! way at each target, which the key of its message gives away. A slow or dead target never holds up a kill, nor another target.
//!
//! One courier at a time works on a database: a claim, as that of the price cache job. Others wait for it, a few seconds each time.

mod delivery;
pub mod desk;
mod discord;
pub mod line;
pub mod message;
mod rounds;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use delivery::Letters;
pub use desk::Desk;
pub use settings::Settings;

use crate::clients::address;
use crate::clients::webhook::Webhook;
use crate::statics::Shelf;
use crate::store::{Claim, Store};
use crate::surveillance::Surveillance;
use delivery::Deliverer;
use rounds::Rounds;

/// How long one that has no claim waits before it asks for it again.
const CLAIM_AGAIN: Duration = Duration::from_secs(5);

/// What a courier is made of.
#[derive(Debug)]
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub surveillance: Arc<Surveillance>,
    pub shelf: Arc<Shelf>,
    pub desk: Arc<Desk>,
    /// An address for the User-Agent.
    pub contact: Option<String>,
    /// What refused alerts are kept as; `None`: they are not.
    pub letters: Option<Letters>,
    /// How long the requests under way may take to end when it is stopped.
    pub drain_deadline: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct Courier {
    deliverer: Arc<Deliverer>,
    desk: Arc<Desk>,
    settings: Settings,
    drain_deadline: Duration,
}

impl Courier {
    /// Not at work yet.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn new(settings: Settings, parts: Parts) -> Result<Self, address::Error> {
        let Parts { store, surveillance, shelf, desk, contact, letters, drain_deadline } = parts;
        let client = Webhook::new(contact.as_deref(), settings.timeout.0)?;
        let deliverer = Arc::new(Deliverer { store, surveillance, shelf, client, letters });
        Ok(Self { deliverer, desk, settings, drain_deadline })
    }

    /// Delivers until it is stopped: then it finishes the requests under way, and leaves the rest in the table.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match stop.run_until_cancelled(self.claim()).await {
                Some(claim) => {
                    let mut rounds =
                        Rounds::new(self.deliverer.clone(), self.desk.clone(), self.settings, self.drain_deadline);
                    rounds.make(claim, &stop).await;
                }
                None => return,
            }
        }
    }

    async fn claim(&self) -> Box<dyn Claim> {
        loop {
            match self.deliverer.store.claim_alerts().await {
                Ok(Some(claim)) => return claim,
                Ok(None) => tracing::debug!("another process delivers alerts"),
                Err(error) => tracing::debug!(%error, "the delivery of alerts cannot be claimed now"),
            }
            tokio::time::sleep(CLAIM_AGAIN).await;
        }
    }
}
