//! [`Jobs`] in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use broadside::price::job::{Job, Market, Move, State};
use broadside::store::{Claim, Error, Jobs, To};

use super::MemoryStore;

/// Whether somebody has the claim.
#[derive(Debug, Default)]
pub(crate) struct Turnstile(Arc<AtomicBool>);

#[derive(Debug)]
struct Held(Arc<AtomicBool>);

#[allow(dead_code, reason = "each of those that share this file uses its own part")]
impl MemoryStore {
    /// As when another process has the job.
    pub(crate) fn set_claimed(&self, is_claimed: bool) {
        self.turnstile.0.store(is_claimed, Ordering::SeqCst);
    }

    /// Puts the job there.
    pub(crate) fn set_job(&self, job: Job) {
        *self.job.lock().expect("no panic while held") = job;
    }

    pub(crate) fn job(&self) -> Job {
        self.job.lock().expect("no panic while held").clone()
    }
}

#[async_trait]
impl Claim for Held {
    async fn is_held(&mut self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    async fn release(self: Box<Self>) {}
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Jobs for MemoryStore {
    async fn price_job(&self) -> Result<Job, Error> {
        self.answer(self.job())
    }

    async fn move_price_job(&self, change: &Move) -> Result<bool, Error> {
        self.answer(())?;
        let mut job = self.job.lock().expect("no panic while held");
        let applied = change.applied(&job);
        Ok(applied.map(|applied| *job = applied).is_some())
    }

    async fn save_price_progress(&self, epoch: i64, markets: &[Market]) -> Result<Option<State>, Error> {
        self.answer(())?;
        let mut job = self.job.lock().expect("no panic while held");
        if job.epoch != epoch {
            return Ok(None);
        }
        job.markets = markets.to_vec();
        Ok(Some(job.state))
    }

    async fn claim_price_job(&self, _to: To) -> Result<Option<Box<dyn Claim>>, Error> {
        self.answer(())?;
        let is_free = !self.turnstile.0.swap(true, Ordering::SeqCst);
        Ok(is_free.then(|| Box::new(Held(self.turnstile.0.clone())) as Box<dyn Claim>))
    }
}
