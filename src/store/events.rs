//! The log of events, as its readers ask for it.

use crate::killmail::{KillmailId, Known, ProfileId, RegionId, SystemId};

/// One row of `killmail_events`, with what is stored of its kill.
#[derive(Debug, Clone)]
pub struct Event {
    pub event_id: i64,
    pub system_id: SystemId,
    pub killmail_id: KillmailId,
    /// The raw payload, as in `killmails_raw`.
    pub payload: String,
    /// Where the system is, as far as it was found out.
    pub region_id: Option<RegionId>,
    /// What is known of the kill, beside the payload.
    pub known: Known,
    /// Of the profiles that were asked for, those that match it.
    pub matches: Vec<ProfileId>,
}

/// Which events: those that any part names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// All events; the other parts then say no more than what is to be told of them.
    pub all: bool,
    /// With the id above which, at least, it is asked for: what is below need not be there.
    pub systems: Vec<(SystemId, i64)>,
    pub regions: Vec<RegionId>,
    pub profiles: Vec<ProfileId>,
}

impl Scope {
    /// Every event.
    #[must_use]
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Events of these systems: none, if none is given.
    #[must_use]
    pub fn of_systems(systems: &[SystemId]) -> Self {
        Self { systems: systems.iter().map(|system| (*system, 0)).collect(), ..Self::default() }
    }

    /// Whether the events can only be told by looking at each one's kill: there is no index of the log by region or profile.
    pub(super) fn must_look(&self) -> bool {
        let is_by_index = self.regions.is_empty() && self.profiles.is_empty();
        !self.all && !is_by_index
    }
}

/// Part of the log, as far as it is in a scope.
#[derive(Debug, Clone)]
pub struct Stretch {
    pub events: Vec<Event>,
    /// Everything of the scope up to this id is there, or was before.
    pub through: i64,
    /// The least id that is left, when there are events at all: what is below it was collected, or never was.
    pub least: Option<i64>,
    /// There may be more above `through`.
    pub more: bool,
}

/// Where a stretch ends that has these ids: `limit` of them were asked for, and all up to `end` looked at.
pub(super) fn reached(ids: &[i64], limit: u32, after: i64, end: i64) -> i64 {
    match ids.last() {
        Some(last) if ids.len() >= limit as usize => *last,
        _ => end.max(after),
    }
}

/// Rows that are looked at in one call when the log has no index for what is asked.
pub(super) const LOOK_MAX: i64 = 1000;
