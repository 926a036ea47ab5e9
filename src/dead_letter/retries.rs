//! The replays of a worker: those that people order, one at a time, and between them the letters that are due to be tried again by themselves.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::replay::{Plan, Replay, Rerun, drive};
use super::reports::Reports;
use super::source::{Source, Way};
use crate::store::{DeadLetterState, Error, Store};

/// How often it is looked whether letters are due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Letters that are tried again in one go.
const AT_ONCE: u32 = 500;
/// Replays that are remembered after their end.
const REMEMBERED: usize = 8;

/// Why a replay is not ordered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("replay {0} is under way: one at a time")]
    Busy(u64),
    #[error("pipeline {0} does not run here")]
    Elsewhere(String),
}

/// Takes orders, and works on them where it is [told to](Self::work).
#[derive(Debug)]
pub struct Replays {
    store: Arc<dyn Store>,
    rerun: Arc<dyn Rerun>,
    /// The newest last: only that one may still be at work.
    known: Mutex<VecDeque<Arc<Replay>>>,
    ordered: Notify,
    next: AtomicU64,
}

impl Replays {
    /// None yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, rerun: Arc<dyn Rerun>) -> Self {
        Self { store, rerun, known: Mutex::default(), ordered: Notify::new(), next: AtomicU64::new(1) }
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Arc<Replay>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders a replay of these letters.
    ///
    /// # Errors
    /// Another one has not ended, or it is none for this worker.
    pub fn order(&self, plan: Plan, letters: Vec<(i64, String)>) -> Result<Arc<Replay>, Refused> {
        let here = self.rerun.pipelines();
        if let Some((_, pipeline)) = letters.iter().find(|(_, pipeline)| !here.contains(pipeline)) {
            return Err(Refused::Elsewhere(pipeline.clone()));
        }
        let mut known = self.known();
        if let Some(last) = known.back().filter(|last| !last.has_ended()) {
            return Err(Refused::Busy(last.id));
        }
        let replay = Arc::new(Replay::new(self.next.fetch_add(1, Ordering::Relaxed), plan, letters));
        known.push_back(replay.clone());
        while known.len() > REMEMBERED {
            known.pop_front();
        }
        drop(known);
        self.ordered.notify_one();
        Ok(replay)
    }

    /// One of the last replays.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<Replay>> {
        self.known().iter().find(|replay| replay.id == id).cloned()
    }

    fn waiting(&self) -> Option<Arc<Replay>> {
        self.known().back().filter(|last| !last.has_ended()).cloned()
    }

    /// Works on what is ordered and on what is due, until it is stopped: what is under way then is finished.
    pub async fn work(&self, stop: &CancellationToken) {
        let rerun = &*self.rerun;
        let mut look = tokio::time::interval(LOOK_EVERY);
        while !stop.is_cancelled() {
            if let Some(replay) = self.waiting() {
                let stopping = stop.clone();
                let ended = replay.run(&self.store, rerun);
                tokio::pin!(ended);
                tokio::select! {
                    () = &mut ended => {}
                    () = stopping.cancelled() => {
                        replay.stop();
                        ended.await;
                    }
                }
                continue;
            }
            tokio::select! {
                () = self.ordered.notified() => {}
                _ = look.tick() => self.retry_due(rerun, stop).await,
                () = stop.cancelled() => return,
            }
        }
    }

    /// Tries again what is due, pipeline by pipeline.
    async fn retry_due(&self, rerun: &dyn Rerun, stop: &CancellationToken) {
        for pipeline in rerun.pipelines() {
            match self.store.due_dead_letters(std::slice::from_ref(&pipeline), Timestamp::now(), AT_ONCE).await {
                Ok(ids) if ids.is_empty() => {}
                Ok(ids) => self.retry(rerun, &pipeline, ids, stop).await,
                // said by those who wait for the store
                Err(error) => tracing::debug!(%error, "which dead letters are due is not known"),
            }
        }
    }

    async fn retry(&self, rerun: &dyn Rerun, pipeline: &str, ids: Vec<i64>, stop: &CancellationToken) {
        let way = Way { from: vec![DeadLetterState::Open], ..Way::default() };
        let source = Source::new(self.store.clone(), ids, way, Arc::new(Reports::default()));
        let running = match rerun.start(pipeline, &source, None).await {
            Ok(running) => running,
            Err(error) => return tracing::warn!(pipeline, error, "dead letters are not tried again"),
        };
        drive(&running, &source, stop).await;
        if let Err(error) = source.release().await {
            log_release(&error);
        }
        let tally = source.tally();
        for (result, count) in [("replayed", tally.replayed), ("failed", tally.failed())] {
            metrics::counter!("broadside_dead_letter_retries_total", "result" => result).increment(count);
        }
        if tally.replayed + tally.failed() > 0 {
            tracing::info!(
                pipeline,
                replayed = tally.replayed,
                failed = tally.failed(),
                "dead letters were tried again"
            );
        }
    }
}

fn log_release(error: &Error) {
    tracing::warn!(%error, "dead letters stay on their way until their lease has passed");
}
