//! Killmails as plain values: what the kills pipeline carries.

pub mod ids;
pub mod model;
pub mod sample;
pub mod wire;

use std::sync::Arc;

use bytes::Bytes;

pub use ids::{AllianceId, CharacterId, CorporationId, FactionId, KillmailHash, KillmailId, SystemId, TypeId};
pub use model::{Attacker, Form, Item, Killmail, Participant, Position, Victim, Zkb};

/// The payload of the kills pipeline: the bytes that came in, and what became of them so far.
#[derive(Debug, Clone)]
pub struct Kill {
    /// As received, kept until the message is settled: a dead letter holds these, not what a stage made of them.
    pub raw: Bytes,
    /// Name of the feed or file kind that brought it: `wanderer`, `file`, …
    pub source: &'static str,
    /// When the source had it in hand.
    pub received_at: jiff::Timestamp,
    /// Whether the source can hand it out again after a crash.
    pub redelivers: bool,
    /// What `decode` made of the bytes.
    pub mail: Option<Arc<Killmail>>,
    /// The id of its row in `killmail_events`, once stored.
    pub event_id: Option<i64>,
}

impl Kill {
    /// Fresh from a source.
    #[must_use]
    pub fn new(raw: Bytes, source: &'static str, received_at: jiff::Timestamp, redelivers: bool) -> Self {
        Self { raw, source, received_at, redelivers, mail: None, event_id: None }
    }

    /// The solar system, as a partition: 0 before `decode`.
    #[must_use]
    pub fn system_partition(&self) -> u64 {
        self.mail.as_ref().map_or(0, |mail| mail.solar_system_id.get().unsigned_abs())
    }
}
