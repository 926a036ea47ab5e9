//! What a store keeps of alerts that are to be delivered.

use std::collections::{HashMap, HashSet};
use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Claim, Error};
use crate::killmail::{Kill, Killmail, KillmailId, ProfileId, SystemId, TargetId, TypeId};

/// Alerts that are to be delivered: rows that [`insert_kills`](super::Store::insert_kills) makes of [`Kill::alerts`], in the transaction that stores the kill, with ids in the
/// order of the events. A row is deleted when its alert was delivered, or never will be.
#[async_trait]
pub trait Alerts {
    /// Makes alerts of kills that are stored already.
    async fn add_alerts(&self, alerts: &[NewAlert]) -> Result<(), Error>;
    /// Alerts above this id, ascending; of one target, or of all. Every smaller id is visible, or never will be.
    async fn alerts_after(&self, after: i64, target: Option<TargetId>, limit: u32) -> Result<Vec<Alert>, Error>;
    /// Deletes alerts; those that are gone are passed over.
    async fn remove_alerts(&self, ids: &[i64]) -> Result<(), Error>;
    /// How many there are.
    async fn count_alerts(&self) -> Result<i64, Error>;
    /// What of these kills is told, in no order; those that are not stored are left out. With their payloads, which else are left empty.
    async fn told_kills(&self, kills: &[(KillmailId, Timestamp)], payloads: bool) -> Result<Vec<ToldKill>, Error>;

    /// The targets that are told nothing any more.
    async fn disabled_targets(&self) -> Result<Vec<DisabledTarget>, Error>;
    /// Notes that a target is told nothing any more.
    async fn disable_target(&self, target: &DisabledTarget) -> Result<(), Error>;
    /// The target is told again.
    async fn enable_target(&self, target: TargetId) -> Result<(), Error>;
    /// These profiles as they are now, in no order, as far as they are in use.
    async fn told_profiles(&self, profiles: &[ProfileId]) -> Result<Vec<ToldProfile>, Error>;

    /// Claims the delivery: one process at a time does it. `None`: somebody has it. A claim never outlives its process.
    async fn claim_alerts(&self) -> Result<Option<Box<dyn Claim>>, Error>;
}

/// An alert to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewAlert {
    /// Of its kill, where one was written.
    pub event_id: Option<i64>,
    pub killmail_id: KillmailId,
    pub killmail_time: Timestamp,
    pub profile_id: ProfileId,
    pub target: TargetId,
}

/// A row of `alerts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    pub alert_id: i64,
    pub of: NewAlert,
    pub created_at: Timestamp,
}

/// What of a kill is told. ISK cents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldKill {
    pub killmail_id: KillmailId,
    pub killmail_time: Timestamp,
    pub system_id: SystemId,
    pub ship_type_id: Option<TypeId>,
    pub attacker_count: i64,
    pub total_value: Option<i64>,
    pub destroyed_value: Option<i64>,
    pub dropped_value: Option<i64>,
    pub fitted_value: Option<i64>,
    pub module_tags: Vec<String>,
    pub labels: Vec<String>,
    /// Who brought it; empty without payload.
    pub source: String,
    /// As stored.
    pub payload: String,
}

/// What of a profile matters to those who deliver.
#[derive(Clone, PartialEq, Eq)]
pub struct ToldProfile {
    pub profile_id: ProfileId,
    pub name: String,
    /// JSON; its addresses are secrets.
    pub targets: String,
    pub updated_at: Timestamp,
}

impl fmt::Debug for ToldProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToldProfile").field("profile_id", &self.profile_id).finish_non_exhaustive()
    }
}

/// A row of `alert_targets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisabledTarget {
    pub target: TargetId,
    /// What of its URL may be shown.
    pub shown: String,
    pub reason: String,
    pub disabled_at: Timestamp,
}

/// Columns of `alerts` but its id.
pub(super) const NEW_ALERT: [&str; 6] =
    ["event_id", "killmail_id", "killmail_time", "profile_id", "target", "created_at"];

/// Which alerts a call makes of the kills that it writes: of new ones all, of others those of matches that were none before.
pub(super) fn of_kills(
    kills: &[&Kill],
    mails: &[&Killmail],
    writes: &[usize],
    is_new: impl Fn(i64) -> bool,
    new_matches: &HashSet<(i64, i64)>,
    events: &HashMap<i64, i64>,
) -> Vec<NewAlert> {
    let of = |at: usize| {
        let (killmail_id, killmail_time) = (mails[at].killmail_id, mails[at].killmail_time);
        let (id, notices) = (killmail_id.get(), kills[at].alerts.as_deref().unwrap_or_default());
        let all = is_new(id);
        let told = notices.iter().filter(move |to| all || new_matches.contains(&(id, to.profile_id.get())));
        let event_id = events.get(&id).copied();
        told.map(move |to| NewAlert {
            event_id,
            killmail_id,
            killmail_time,
            profile_id: to.profile_id,
            target: to.target,
        })
    };
    writes.iter().copied().flat_map(of).collect()
}

/// The ids of an alert's row.
pub(super) type Ids = (i64, Option<i64>, i64, i64, i64);

/// From a row; `None`: an id is none.
pub(super) fn alert(
    (alert_id, event_id, kill, profile, target): Ids,
    time: Timestamp,
    created_at: Timestamp,
) -> Option<Alert> {
    let of = NewAlert {
        event_id,
        killmail_id: KillmailId::new(kill)?,
        killmail_time: time,
        profile_id: ProfileId::new(profile)?,
        target: TargetId::new(target)?,
    };
    Some(Alert { alert_id, of, created_at })
}
