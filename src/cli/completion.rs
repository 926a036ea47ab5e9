//! Completes kills that were stored in part, when ESI has time for them.
//!
//! They wait in a queue in the store, which outlives the process. What is asked of ESI for them comes from the upper half of its limits, so that
//! live kills never wait for old ones. A kill whose detail comes by another way (the fallback's copy, a backfill) leaves the queue by itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;

use crate::clients::esi::{Ask, Esi};
use crate::killmail::{Kill, wire};
use crate::stages::detail::{Incomplete, complete};
use crate::store::{Error, Refresh, Store};

/// Between two looks into the queue.
const EVERY: Duration = Duration::from_secs(15);
/// Kills at a look.
const AT_ONCE: u32 = 50;
/// How long one may take: it can wait for its turn, and holds up nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// After the first failure; each further one doubles it …
const AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// … up to here.
const AGAIN_MOST: SignedDuration = SignedDuration::from_hours(12);
/// Some ten days: then it is given up.
const ATTEMPTS_MAX: u32 = 24;
/// Stored in the column `source`.
const SOURCE: &str = "esi";

/// Works off the queue until it is dropped.
pub(super) async fn complete_kills(store: Arc<dyn Store>, esi: Esi) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        match some(&*store, &esi).await {
            Ok(0) => {}
            Ok(completed) => tracing::info!(completed, "completed kills that were stored in part"),
            // It says so itself where it matters.
            Err(error) => tracing::debug!(%error, "the queue of kills to complete cannot be read now"),
        }
    }
}

async fn some(store: &dyn Store, esi: &Esi) -> Result<u32, Error> {
    let mut completed = 0;
    for refresh in store.due_refreshes(Timestamp::now(), AT_ONCE).await? {
        match one(store, esi, refresh).await? {
            Came::Complete => completed += 1,
            Came::Not => {}
            Came::Busy => break,
        }
    }
    Ok(completed)
}

/// What an attempt came to.
enum Came {
    Complete,
    Not,
    /// There was none: ESI has no time for old kills now.
    Busy,
}

async fn one(store: &dyn Store, esi: &Esi, refresh: Refresh) -> Result<Came, Error> {
    let Refresh { killmail_id, attempts, payload } = refresh;
    let mut kill = Kill::new(payload.into(), SOURCE, Timestamp::now(), true);
    kill.mail = wire::decode(&kill.raw).ok().map(Arc::new);
    let until = match complete(esi, &mut kill, Ask::background(PATIENCE)).await {
        Ok(_) => {
            store.insert_kills(&[&kill], false).await?;
            metrics::counter!("broadside_refreshes_total", "result" => "completed").increment(1);
            return Ok(Came::Complete);
        }
        Err(Incomplete::Busy(_)) => return Ok(Came::Busy),
        Err(Incomplete::Later(why)) if attempts < ATTEMPTS_MAX => {
            tracing::debug!(%killmail_id, "a kill stays partial: failed to {why}");
            let doubled = AGAIN_AFTER.saturating_mul(1 << attempts.min(16)).min(AGAIN_MOST);
            Some(Timestamp::now() + doubled)
        }
        Err(error) => {
            tracing::warn!(%killmail_id, "a kill stays partial for good: failed to {error}");
            None
        }
    };
    store.postpone_refresh(killmail_id, until).await?;
    let result = if until.is_some() { "postponed" } else { "given_up" };
    metrics::counter!("broadside_refreshes_total", "result" => result).increment(1);
    Ok(Came::Not)
}
