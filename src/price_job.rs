//! The price cache job as this process knows it: what its worker is at, for status and page; what operators ask for; and whether the stage is to go on.
//!
//! The job itself is in the store, and each change of it is made there, if nobody else was faster. Whoever asks for a start or a resumption needs somebody to do the
//! work: the source of a prices pipeline, which [`serve`](PriceJob::serve)s. All else can be done from any process; the worker that is at it obeys in time.

mod board;

use std::time::Duration;

use jiff::Timestamp;
use metrics::gauge;
use tokio::sync::oneshot;

pub use board::{PriceJob, Width};

use crate::price::job::{Action, Illegal, Job, Move, Outlook, State, Status};
use crate::store::{Error, Store, To};

/// Others may be faster a few times; not for ever.
const ATTEMPTS: usize = 5;
/// Said of a job whose worker ended without a word.
const GONE: &str = "the worker that was at it is gone";

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Illegal(#[from] Illegal),
    #[error("no prices pipeline runs here")]
    NoPipeline,
    #[error("another process is at the job")]
    Elsewhere,
    #[error("the job changed meanwhile: ask again")]
    Busy,
    /// Something that it needs is not there.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Store(#[from] Error),
}

/// A start or a resumption that waits for the source, and who is told what came of it.
#[derive(Debug)]
pub struct Wish {
    pub action: Action,
    pub tell: oneshot::Sender<Result<(), Refusal>>,
}

/// The job as it is kept. One that should be running, and that nobody is at, is paused first.
///
/// # Errors
/// The store's.
pub async fn look(store: &dyn Store) -> Result<Job, Error> {
    let job = store.price_job().await?;
    if !job.state.is_running() {
        return Ok(job);
    }
    let Some(claim) = store.claim_price_job(To::Look).await? else { return Ok(job) };
    let job = pause_abandoned(store).await;
    claim.release().await;
    job
}

/// The same for whoever has a claim: then nobody else is at it.
///
/// # Errors
/// The store's.
pub async fn pause_abandoned(store: &dyn Store) -> Result<Job, Error> {
    loop {
        let job = store.price_job().await?;
        if !job.state.is_running() {
            return Ok(job);
        }
        let pause = Move::of(&job, State::Paused, Timestamp::now()).because(GONE);
        if store.move_price_job(&pause).await? {
            tracing::warn!(state = %job.state, "the price job was interrupted: it is paused, and can be resumed");
        }
    }
}

/// Pauses, stops or resets the job in the store, wherever it is being worked on.
///
/// # Errors
/// It is not legal now, or the store's.
pub async fn change(store: &dyn Store, action: Action) -> Result<Job, Refusal> {
    for _ in 0..ATTEMPTS {
        let job = look(store).await?;
        let mut change = Move::of(&job, job.state.after(action)?, Timestamp::now());
        // What the run that ends here still has to say is not asked for any more.
        if matches!(action, Action::Stop | Action::Reset) {
            change = change.taking_over();
        }
        if action == Action::Reset {
            change = change.with_markets(Vec::new());
        }
        if store.move_price_job(&change).await? {
            return Ok(change.applied(&job).unwrap_or(job));
        }
    }
    Err(Refusal::Busy)
}

impl PriceJob {
    /// The job as it stands: from memory while this process is at it.
    ///
    /// # Errors
    /// The store's.
    pub async fn status(&self, store: &dyn Store) -> Result<Status, Error> {
        if let Some(status) = self.live() {
            return Ok(status);
        }
        let job = look(store).await?;
        Ok(Status::new(&job, &Outlook::of(&job)))
    }

    /// Does what an operator asks for, and answers how the job stands then.
    ///
    /// # Errors
    /// It is not legal now, or cannot be done here.
    pub async fn act(&self, store: &dyn Store, action: Action) -> Result<Status, Refusal> {
        if matches!(action, Action::Start | Action::Resume) {
            self.wish(action).await?;
        } else {
            let job = change(store, action).await?;
            self.changed(&job);
        }
        tracing::info!(%action, "the price job was told");
        let status = self.status(store).await?;
        publish(&status);
        Ok(status)
    }
}

/// Tells the metrics how the job stands, as this process knows it.
pub fn publish(status: &Status) {
    for state in State::ALL {
        let is_it = status.state == state.as_str();
        gauge!("broadside_price_job_state", "state" => state.as_str()).set(f64::from(u8::from(is_it)));
    }
    for market in &status.markets {
        let id = market.market_id.to_string();
        let progress = if market.total == 0 { 1.0 } else { market.completed as f64 / market.total as f64 };
        gauge!("broadside_price_job_progress_ratio", "market" => id.clone()).set(progress);
        if let Some(eta) = market.eta_minutes {
            gauge!("broadside_price_job_eta_seconds", "market" => id).set(eta * 60.0);
        }
    }
}

/// How long a start or a resumption may wait for the source.
pub const WISH_MAX: Duration = Duration::from_secs(8);
