//! A courier on a store in memory.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use broadside::courier::desk::target_id;
use broadside::courier::settings::Rate;
use broadside::courier::{Courier, Desk, Letters, Parts, Settings};
use broadside::duration::Span;
use broadside::killmail::{KillmailId, ProfileId, SystemId, TargetId};
use broadside::store::{NewAlert, ToldKill, ToldProfile};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::memory_store::MemoryStore;
use crate::receiver::Receiver;

/// How long a target may take to answer: longer than anything here takes, but for what is never answered.
pub(crate) const TIMEOUT: Span = Span::from_secs(60);

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) receiver: Receiver,
    pub(crate) desk: Arc<Desk>,
    pub(crate) settings: Settings,
    now: Timestamp,
}

pub(crate) struct Working {
    pub(crate) task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Working {
    /// Stops it, and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(100), self.task).await.expect("it stops").unwrap();
    }

    /// The same, with the time over that a target has to answer.
    pub(crate) async fn stop_late(self) {
        self.stop.cancel();
        tokio::time::pause();
        tokio::time::advance(TIMEOUT.0).await;
        tokio::time::resume();
        self.stop().await;
    }

    /// Ends it as a killed process does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

pub(crate) fn target(url: &str) -> TargetId {
    target_id(url).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        let one = NonZeroU32::MIN;
        let settings = Settings {
            timeout: TIMEOUT,
            rate_limit: Some(Rate { messages: one, per: Span::from_millis(1) }),
            ..Settings::default()
        };
        let receiver = Receiver::start().await;
        Self { store: Arc::default(), receiver, desk: Arc::default(), settings, now: Timestamp::now() }
    }

    pub(crate) fn start(&self) -> Working {
        let letters = Letters {
            pipeline: "kills".to_owned(),
            batcher: "alerts".to_owned(),
            others: vec!["db_insert".to_owned()],
        };
        let parts = Parts {
            store: self.store.clone(),
            surveillance: Arc::default(),
            shelf: Arc::default(),
            desk: self.desk.clone(),
            contact: None,
            letters: Some(letters),
            drain_deadline: Duration::from_secs(100),
        };
        let (courier, stop) = (Courier::new(self.settings, parts).unwrap(), CancellationToken::new());
        Working { task: tokio::spawn(courier.run(stop.clone())), stop }
    }

    /// A profile that tells this hook.
    pub(crate) fn profile(&self, id: i64, hook: &str, updated_at: Timestamp) {
        let targets = json!([{ "url": self.receiver.url(hook), "format": "json" }]).to_string();
        let profile_id = ProfileId::new(id).unwrap();
        self.store.put_told_profile(ToldProfile { profile_id, name: format!("profile {id}"), targets, updated_at });
    }

    /// Alerts of these kills, of a profile that tells this hook; answers the ids of their rows.
    pub(crate) fn alerts(&self, profile: i64, hook: &str, kills: impl IntoIterator<Item = i64>) -> Vec<i64> {
        self.profile(profile, hook, self.now - SignedDuration::from_hours(1));
        let ids = kills.into_iter().map(|kill| self.alert(profile, hook, kill, self.now, self.now)).collect();
        self.desk.ring();
        ids
    }

    pub(crate) fn alert(&self, profile: i64, hook: &str, kill: i64, killed_at: Timestamp, made_at: Timestamp) -> i64 {
        let killmail_id = KillmailId::new(kill).unwrap();
        let payload = json!({
            "killmail_id": kill, "killmail_time": killed_at.to_string(), "solar_system_id": 30_000_142,
            "victim": { "damage_taken": 1, "ship_type_id": 587 }, "attackers": [],
        });
        self.store.put_told_kill(ToldKill {
            killmail_id,
            killmail_time: killed_at,
            system_id: SystemId::new(30_000_142).unwrap(),
            ship_type_id: None,
            attacker_count: 1,
            total_value: Some(100),
            destroyed_value: None,
            dropped_value: None,
            fitted_value: None,
            module_tags: Vec::new(),
            labels: Vec::new(),
            source: "file".to_owned(),
            payload: payload.to_string(),
        });
        let of = NewAlert {
            event_id: Some(kill * 10),
            killmail_id,
            killmail_time: killed_at,
            profile_id: ProfileId::new(profile).unwrap(),
            target: target(&self.receiver.url(hook)),
        };
        self.store.put_alert(of, made_at)
    }

    /// Until nothing waits in the table.
    pub(crate) async fn emptied(&self) {
        let emptied = async {
            while !self.store.waiting_alerts().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let left = tokio::time::timeout(Duration::from_secs(100), emptied).await;
        assert!(left.is_ok(), "{:?} are left", self.store.waiting_alerts());
    }
}
