//! Killmails as plain values: what the kills pipeline carries.

pub mod findings;
pub mod ids;
mod known;
pub mod model;
mod plain;
pub mod progress;
pub mod sample;
pub mod wire;

use std::sync::Arc;

use bytes::Bytes;

pub use findings::{Measures, Tagged, VALUE_LABELS, Worth, value_label};
pub use ids::{
    AllianceId, CategoryId, CharacterId, ConstellationId, CorporationId, FactionId, GroupId, KillmailHash, KillmailId,
    MetaGroupId, ProfileId, RegionId, SystemId, TargetId, TypeId,
};
pub use known::{Known, Values};
pub use model::{Attacker, Form, Item, Killmail, Participant, Position, Victim, Zkb};
pub use plain::is_plain;

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
    /// The kill as a package, when a stage has put it together from several sources: stored in the place of `raw`.
    pub whole: Option<Bytes>,
    /// What `tag` found.
    pub tagged: Option<Arc<Tagged>>,
    /// What `price` found.
    pub worth: Option<Arc<Worth>>,
    /// The surveillance profiles that match it, sorted; `None`: no stage has looked.
    pub matches: Option<Arc<[ProfileId]>>,
    /// Who is to be told of it when it is stored; `None`: nobody has looked.
    pub alerts: Option<Arc<[Notice]>>,
    /// The source says that this copy takes the place of an earlier one of the same form: a correction.
    pub revises: bool,
    /// A stage could not complete it now: the store notes that it is to be completed later.
    pub refresh: bool,
    /// The id of its row in `killmail_events`, once stored.
    pub event_id: Option<i64>,
}

/// That a profile's target is to be told of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Notice {
    pub profile_id: ProfileId,
    pub target: TargetId,
}

impl Kill {
    /// Fresh from a source.
    #[must_use]
    pub fn new(raw: Bytes, source: &'static str, received_at: jiff::Timestamp, redelivers: bool) -> Self {
        Self {
            raw,
            source,
            received_at,
            redelivers,
            mail: None,
            whole: None,
            tagged: None,
            worth: None,
            matches: None,
            alerts: None,
            revises: false,
            refresh: false,
            event_id: None,
        }
    }

    /// The bytes that say most of it: what is stored.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.whole.as_ref().unwrap_or(&self.raw)
    }

    /// The solar system, as a partition: 0 before `decode`.
    #[must_use]
    pub fn system_partition(&self) -> u64 {
        self.mail.as_ref().map_or(0, |mail| mail.solar_system_id.get().unsigned_abs())
    }
}
