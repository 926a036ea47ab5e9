//! Opening the database: once, or until it is there.
//!
//! A worker waits for a database that is away: it would only be started again, and again. A command that somebody has just typed says
//! what is wrong and ends. What no waiting mends (a wrong password, a database that does not exist) ends both.

use std::sync::Arc;

use super::signals::Signals;
use crate::store::{self, Error, Health, Options, Store};

/// Opens the database, and brings its tables up to date or refuses when they are not.
pub(super) async fn open_store(url: &str, migrate: bool) -> anyhow::Result<Arc<dyn Store>> {
    judge(open(url, migrate).await, migrate).await
}

/// The same, trying again for as long as the database is away. It is logged at once and then every half minute, and `health` knows of it.
pub(super) async fn wait_for_store(url: &str, migrate: bool, health: &Health) -> anyhow::Result<Arc<dyn Store>> {
    judge(store::retry::hold(health, "be opened", || open(url, migrate)).await, migrate).await
}

/// What comes of the work, unless a signal comes first: nothing has been received then, so there is nothing to drain.
pub(super) async fn unless_signalled<T>(signals: &mut Signals, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        caught = signals.next() => {
            tracing::info!(signal = caught.name(), "ended before the worker had begun: nothing was received");
            None
        }
        done = work => Some(done),
    }
}

/// Opened, with the migrations that were done or, without `migrate`, that are missing.
type Opened = (Arc<dyn Store>, Vec<String>);

async fn open(url: &str, migrate: bool) -> Result<Opened, Error> {
    let store = store::connect(url, &Options::default()).await?;
    let steps = if migrate { store.migrate().await } else { store.pending_migrations().await };
    match steps {
        Ok(steps) => Ok((store, steps)),
        Err(error) => {
            store.close().await;
            Err(error)
        }
    }
}

async fn judge(opened: Result<Opened, Error>, migrated: bool) -> anyhow::Result<Arc<dyn Store>> {
    let (store, steps) = opened.map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    if migrated {
        steps.iter().for_each(|step| tracing::info!(step, "migrated the database"));
    } else if let Some(step) = steps.first() {
        store.close().await;
        anyhow::bail!("the database lacks migration {step}: run `broadside migrate`");
    }
    Ok(store)
}
