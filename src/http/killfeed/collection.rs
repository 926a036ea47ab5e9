//! Keeps the log as short as it may be: forgets clients that were not seen, deletes events that nobody needs any more, and says what is left.
//!
//! One worker of a database does it, in transactions so short that nobody who stores kills waits for one.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::limits::Limits;
use crate::store::{Claim, Error, Rules, SEEN_EVERY, Store, keep_claim};

/// Events that are deleted in one go …
const EVENTS: u32 = 250;
/// … and how long everybody else has the database to themselves after it.
const BREATH: Duration = Duration::from_millis(10);
/// Clients that are read, or forgotten, in one go.
const CLIENTS: u32 = 50;

/// See the module.
pub(in crate::http) struct Collection {
    pub(in crate::http) store: Arc<dyn Store>,
    pub(in crate::http) settings: Settings,
    pub(in crate::http) limits: Arc<Limits>,
}

impl Collection {
    /// Works until `stop`.
    pub(in crate::http) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep()).await;
    }

    async fn keep(&self) {
        let mut every = tokio::time::interval(self.settings.collect_every.max(Duration::from_millis(10)));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut claim = None;
        loop {
            every.tick().await;
            self.limits.tidy();
            if let Err(error) = self.round(&mut claim).await {
                tracing::warn!(%error, "failed to collect the killfeed's log: the next round tries again");
            }
        }
    }

    /// Whoever has the claim keeps it: the figures of a log come from one worker.
    async fn round(&self, claim: &mut Option<Box<dyn Claim>>) -> Result<(), Error> {
        if !keep_claim(claim, || self.store.claim_collection()).await? {
            return Ok(());
        }
        self.forget().await?;
        self.collect().await?;
        self.tell().await
    }

    async fn forget(&self) -> Result<(), Error> {
        // Those who poll are noted no more often than that.
        let before = ago(self.settings.clients_after.saturating_add(SEEN_EVERY));
        loop {
            let some = self.store.forget_clients(before, CLIENTS).await?;
            if some > 0 {
                tracing::info!(clients = some, "forgot clients of the killfeed that were not seen for long");
                metrics::counter!("broadside_killfeed_clients_forgotten_total").increment(some);
            }
            if some < CLIENTS.into() {
                return Ok(());
            }
        }
    }

    async fn collect(&self) -> Result<(), Error> {
        let Settings { keep, age_max, count_max, .. } = self.settings;
        let rules = Rules { passed_before: ago(keep), made_before: ago(age_max), count_max };
        let of = self.store.collectable(&rules).await?;
        let (mut after, mut sum) = (0, 0);
        loop {
            let some = self.store.collect(&of, after, EVENTS).await?;
            for (reason, count) in [("passed", some.passed), ("age", some.aged), ("count", some.surplus)] {
                metrics::counter!("broadside_killfeed_collected_total", "reason" => reason).increment(count);
                sum += count;
            }
            let Some(next) = some.next else { break };
            after = next;
            tokio::time::sleep(BREATH).await;
        }
        let left = of.events.saturating_sub(i64::try_from(sum).unwrap_or(0)).max(0);
        metrics::gauge!("broadside_killfeed_events").set(left as f64);
        Ok(())
    }

    async fn tell(&self) -> Result<(), Error> {
        let (mut after, mut count, mut lag) = (String::new(), 0, 0);
        loop {
            let clients = self.store.clients(&after, CLIENTS).await?;
            count += clients.len();
            lag = clients.iter().map(|client| client.lag).fold(lag, i64::max);
            match clients.into_iter().next_back() {
                Some(last) if count % CLIENTS as usize == 0 => after = last.client,
                _ => break,
            }
            tokio::time::sleep(BREATH).await;
        }
        metrics::gauge!("broadside_killfeed_clients").set(count as f64);
        metrics::gauge!("broadside_killfeed_lag_events").set(lag as f64);
        Ok(())
    }
}

fn ago(time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_sub(time).unwrap_or(Timestamp::MIN)
}
