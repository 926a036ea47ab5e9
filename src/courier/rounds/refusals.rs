//! Targets that have refused too often: when one is told nothing any more, and when it is told again.

use std::collections::HashSet;

use jiff::Timestamp;
use metrics::gauge;

use super::{Done, Rounds};
use crate::courier::desk::target_id;
use crate::killmail::TargetId;
use crate::profile::document::Target;
use crate::store::retry::hold;
use crate::store::{DisabledTarget, Error};

impl Rounds {
    /// Tells a target nothing any more.
    pub(super) fn disable(&mut self, target: TargetId, shown: String, reason: String) {
        let failures = self.settings.failures_max;
        tracing::warn!(
            target = shown,
            reason,
            "a target is told nothing any more: it has refused {failures} alerts in a row; writing a profile anew that has it puts it to use again"
        );
        let disabled = DisabledTarget { target, shown, reason, disabled_at: Timestamp::now() };
        let store = self.deliverer.store.clone();
        let note = disabled.clone();
        self.disabled.insert(target, disabled);
        self.unnoted.insert(target);
        self.show_disabled();
        self.crew.spawn(async move {
            let noted = hold(store.health(), "note a disabled target", || store.disable_target(&note)).await;
            Done::Noted(note.target, noted)
        });
    }

    pub(super) fn show_disabled(&self) {
        gauge!("broadside_alert_targets_disabled").set(self.disabled.len() as f64);
    }

    /// Whether a profile that has this disabled target was written anew since, or somebody has put the target to use again.
    pub(super) async fn is_told_again(&mut self, target: TargetId) -> Result<bool, Error> {
        let (Some(line), Some(disabled)) = (self.lines.get_mut(&target), self.disabled.get(&target)) else {
            return Ok(false);
        };
        let profiles: HashSet<_> = line.profiles().collect();
        if profiles.is_empty() {
            return Ok(false);
        }
        let store = &self.deliverer.store;
        let is_noted =
            || async { Ok::<_, Error>(store.disabled_targets().await?.iter().any(|noted| noted.target == target)) };
        let is_enabled = !self.unnoted.contains(&target) && !is_noted().await?;
        let has_it = |targets: &str| {
            let targets: Vec<Target> = serde_json::from_str(targets).unwrap_or_default();
            targets.iter().any(|one| target_id(&one.url) == Some(target))
        };
        let profiles = store.told_profiles(&profiles.into_iter().collect::<Vec<_>>()).await?;
        let is_newer = |at: Timestamp| at > disabled.disabled_at;
        let is_rewritten = profiles.iter().any(|profile| is_newer(profile.updated_at) && has_it(&profile.targets));
        if !is_enabled && !is_rewritten {
            return Ok(false);
        }
        store.enable_target(target).await?;
        tracing::info!(target = disabled.shown, "a target is told of matches again");
        line.forgive();
        self.disabled.remove(&target);
        self.show_disabled();
        Ok(true)
    }
}
