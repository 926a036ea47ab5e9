//! Alerts that are to be delivered, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use broadside::killmail::{KillmailId, ProfileId, TargetId};
use broadside::store::{Alert, Alerts, Claim, DisabledTarget, Error, NewAlert, ToldKill, ToldProfile};
use jiff::Timestamp;

use super::MemoryStore;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    last: i64,
    alerts: BTreeMap<i64, Alert>,
    kills: HashMap<KillmailId, ToldKill>,
    disabled: HashMap<TargetId, DisabledTarget>,
    profiles: HashMap<ProfileId, ToldProfile>,
    claim: Arc<AtomicBool>,
}

#[allow(dead_code, reason = "each of those that share this file uses its own part")]
impl MemoryStore {
    fn outbox(&self) -> std::sync::MutexGuard<'_, Outbox> {
        self.outbox.lock().expect("no panic while held")
    }

    /// Adds an alert that was made then; answers its id.
    pub(crate) fn put_alert(&self, of: NewAlert, created_at: Timestamp) -> i64 {
        let mut outbox = self.outbox();
        outbox.last += 1;
        let alert_id = outbox.last;
        outbox.alerts.insert(alert_id, Alert { alert_id, of, created_at });
        alert_id
    }

    /// What is told of a kill.
    pub(crate) fn put_told_kill(&self, kill: ToldKill) {
        self.outbox().kills.insert(kill.killmail_id, kill);
    }

    /// A profile is written.
    pub(crate) fn put_told_profile(&self, profile: ToldProfile) {
        self.outbox().profiles.insert(profile.profile_id, profile);
    }

    /// A profile is gone.
    pub(crate) fn remove_told_profile(&self, id: ProfileId) {
        self.outbox().profiles.remove(&id);
    }

    /// Ids of the alerts that wait.
    pub(crate) fn waiting_alerts(&self) -> Vec<i64> {
        self.outbox().alerts.keys().copied().collect()
    }
}

#[derive(Debug)]
pub(super) struct Held(pub(super) Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Claim for Held {
    async fn is_held(&mut self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    async fn release(self: Box<Self>) {}
}

#[async_trait]
impl Alerts for MemoryStore {
    async fn add_alerts(&self, alerts: &[NewAlert]) -> Result<(), Error> {
        self.answer(())?;
        let now = Timestamp::now();
        for alert in alerts {
            self.put_alert(*alert, now);
        }
        Ok(())
    }

    async fn alerts_after(&self, after: i64, target: Option<TargetId>, limit: u32) -> Result<Vec<Alert>, Error> {
        let outbox = self.outbox();
        let above = outbox.alerts.range(after + 1..).map(|(_, alert)| *alert);
        let of = above.filter(|alert| target.is_none_or(|target| alert.of.target == target));
        self.answer(of.take(limit as usize).collect())
    }

    async fn remove_alerts(&self, ids: &[i64]) -> Result<(), Error> {
        self.answer(())?;
        self.outbox().alerts.retain(|id, _| !ids.contains(id));
        Ok(())
    }

    async fn count_alerts(&self) -> Result<i64, Error> {
        self.answer(self.outbox().alerts.len() as i64)
    }

    async fn told_kills(&self, kills: &[(KillmailId, Timestamp)], _payloads: bool) -> Result<Vec<ToldKill>, Error> {
        let outbox = self.outbox();
        self.answer(kills.iter().filter_map(|(id, _)| outbox.kills.get(id).cloned()).collect())
    }

    async fn disabled_targets(&self) -> Result<Vec<DisabledTarget>, Error> {
        self.answer(self.outbox().disabled.values().cloned().collect())
    }

    async fn disable_target(&self, target: &DisabledTarget) -> Result<(), Error> {
        self.answer(())?;
        self.outbox().disabled.insert(target.target, target.clone());
        Ok(())
    }

    async fn enable_target(&self, target: TargetId) -> Result<(), Error> {
        self.answer(())?;
        self.outbox().disabled.remove(&target);
        Ok(())
    }

    async fn told_profiles(&self, profiles: &[ProfileId]) -> Result<Vec<ToldProfile>, Error> {
        let outbox = self.outbox();
        self.answer(profiles.iter().filter_map(|id| outbox.profiles.get(id).cloned()).collect())
    }

    async fn claim_alerts(&self) -> Result<Option<Box<dyn Claim>>, Error> {
        self.answer(())?;
        let claim = self.outbox().claim.clone();
        let is_free = !claim.swap(true, Ordering::SeqCst);
        Ok(is_free.then(|| Box::new(Held(claim)) as Box<dyn Claim>))
    }
}
