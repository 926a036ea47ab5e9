//! Pauses that ESI has asked for, so that they outlive the process: whoever starts again in the middle of one must not ask either.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Esi;

/// Until when what is not to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pauses {
    /// Every route.
    pub all: Option<Timestamp>,
    /// Single routes, by their path without ids.
    pub routes: BTreeMap<String, Timestamp>,
}

impl Esi {
    /// The pauses as they are now.
    #[must_use]
    pub fn pauses(&self) -> Pauses {
        let (now, time) = (Instant::now(), Timestamp::now());
        let at = |until: Instant| time.checked_add(SignedDuration::try_from(until - now).unwrap_or_default()).ok();
        let (all, routes) = self.limits().pauses(now);
        let routes = routes.into_iter().filter_map(|(route, until)| Some((route, at(until)?)));
        Pauses { all: all.and_then(at), routes: routes.collect() }
    }

    /// Keeps pauses that were asked for before this process began.
    pub fn keep_pauses(&self, pauses: &Pauses) {
        let (now, time) = (Instant::now(), Timestamp::now());
        let left =
            |until: &Timestamp| Duration::try_from(until.duration_since(time)).ok().filter(|left| !left.is_zero());
        let at = |until: &Timestamp| left(until).map(|left| now + left);
        let routes = pauses.routes.iter().filter_map(|(route, until)| Some((route.as_str(), at(until)?)));
        self.limits().keep_pauses(pauses.all.as_ref().and_then(at), routes);
    }

    /// Waits until a pause begins or grows.
    pub async fn paused(&self) {
        self.0.paused.notified().await;
    }
}
