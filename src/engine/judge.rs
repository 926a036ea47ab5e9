//! What the outcomes of messages say of their source: the breaker and the share of failures, live.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use crate::message::{Message, Outcome};
use crate::pure::breaker::{Admission, Breaker, BreakerStatus, Change};
use crate::pure::failure_share::{FailureShare, Recent};
use crate::topology::BreakerRules;

/// Hears of every settled message, and says what may be pulled.
#[derive(Debug)]
pub(crate) struct Judge {
    pipeline: Arc<str>,
    counts: Mutex<Counts>,
    /// A copy, for the hot path.
    tripped: AtomicBool,
    /// The breaker has tripped, or was restored; a probe has settled.
    changed: Notify,
}

#[derive(Debug)]
struct Counts {
    breaker: Option<Breaker>,
    share: FailureShare,
    alert_above: Option<f64>,
}

/// The right to pull: everything there is room for, or one message as a probe. A probe that is not sent is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'j> {
    probe: Option<&'j Judge>,
}

impl Pass<'_> {
    pub(crate) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Whether it is for a probe, and the last one did not succeed.
    pub(crate) fn is_distrustful(&self) -> bool {
        let successes = |judge: &Judge| judge.counts().breaker.as_ref().map_or(1, Breaker::successes);
        self.probe.is_some_and(|judge| successes(judge) == 0)
    }

    /// How many of `wanted` messages it is good for.
    pub(crate) fn most(&self, wanted: usize) -> usize {
        if self.probe.is_some() { wanted.min(1) } else { wanted }
    }

    /// The first of what was pulled is the probe.
    pub(crate) fn send<T>(mut self, pulled: &mut [Message<T>], now: Instant) {
        if let Some(first) = pulled.first_mut()
            && let Some(judge) = self.probe.take()
        {
            first.set_probe();
            judge.counts().breaker.iter_mut().for_each(|breaker| breaker.sent(now));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(judge) = self.probe {
            judge.counts().breaker.iter_mut().for_each(|breaker| breaker.give_back(Instant::now()));
            judge.changed.notify_waiters();
        }
    }
}

impl Judge {
    pub(crate) fn new(pipeline: Arc<str>, breaker: Option<Breaker>, alert_above: Option<f64>) -> Self {
        let counts = Counts { breaker, share: FailureShare::default(), alert_above };
        Self { pipeline, counts: Mutex::new(counts), tripped: AtomicBool::new(false), changed: Notify::new() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when the breaker trips, or changes otherwise, after this call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(crate) fn is_tripped(&self) -> bool {
        self.tripped.load(Ordering::Acquire)
    }

    /// Waits until something may be pulled, if nobody is faster.
    pub(crate) async fn turn(&self) {
        loop {
            let changed = self.changed();
            let looked = match &self.counts().breaker {
                Some(breaker) => breaker.look(Instant::now()),
                None => return,
            };
            match looked {
                Admission::All | Admission::Probe => return,
                Admission::Wait(None) => changed.await,
                Admission::Wait(Some(wait)) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }

    /// The right to pull now, if there is one.
    pub(crate) fn admit(&self) -> Option<Pass<'_>> {
        if !self.is_tripped() {
            return Some(Pass { probe: None });
        }
        match self.counts().breaker.as_mut().map_or(Admission::All, |breaker| breaker.admit(Instant::now())) {
            Admission::All => Some(Pass { probe: None }),
            Admission::Probe => Some(Pass { probe: Some(self) }),
            Admission::Wait(_) => None,
        }
    }

    /// These messages are settled, in this order.
    pub(crate) fn settled<T>(&self, messages: &[Message<T>]) {
        let now = Instant::now();
        let mut change = None;
        let mut counts = self.counts();
        let (mut counted, mut failed) = (0, 0);
        let Counts { breaker, share, .. } = &mut *counts;
        for message in messages {
            let verdict = verdict(message.outcome());
            counted += u64::from(verdict.is_some());
            failed += u64::from(verdict == Some(true));
            let Some(breaker) = breaker else { continue };
            let changed = match verdict {
                _ if message.is_probe() => breaker.probe_settled(verdict),
                Some(failed) => breaker.settled(failed, now),
                None => None,
            };
            change = changed.or(change);
        }
        if counted > 0 {
            share.add(counted, failed, now);
        }
        let had_probe = breaker.as_ref().is_some_and(|b| b.is_tripped()) && messages.iter().any(Message::is_probe);
        self.tripped.store(breaker.as_ref().is_some_and(Breaker::is_tripped), Ordering::Release);
        drop(counts);
        if change.is_some() || had_probe {
            self.changed.notify_waiters();
        }
        self.tell(change);
    }

    /// A probe was lost with the worker that had it.
    pub(crate) fn abandoned<T>(&self, messages: &[Message<T>]) {
        if messages.iter().any(Message::is_probe) {
            self.counts().breaker.iter_mut().for_each(|breaker| drop(breaker.probe_settled(None)));
            self.changed.notify_waiters();
        }
    }

    fn tell(&self, change: Option<Change>) {
        match change {
            Some(Change::Tripped(why)) => tracing::error!(
                pipeline = %self.pipeline,
                why,
                "the breaker has tripped: the source is slowed to a trickle of probes"
            ),
            Some(Change::Restored) => {
                tracing::info!(pipeline = %self.pipeline, "the breaker is closed again: the probes succeeded")
            }
            None => {}
        }
    }

    /// Other rules, or none: then nothing is held back any more.
    pub(crate) fn set_rules(&self, rules: Option<BreakerRules>) {
        let mut counts = self.counts();
        match (&mut counts.breaker, rules) {
            (Some(breaker), Some(rules)) => breaker.set_rules(rules),
            (breaker, rules) => *breaker = rules.map(Breaker::new),
        }
        self.tripped.store(counts.breaker.as_ref().is_some_and(Breaker::is_tripped), Ordering::Release);
        drop(counts);
        self.changed.notify_waiters();
    }

    pub(crate) fn set_alert_above(&self, share: Option<f64>) {
        self.counts().alert_above = share;
    }

    pub(crate) fn breaker(&self) -> Option<BreakerStatus> {
        self.counts().breaker.as_ref().map(|breaker| breaker.status(Instant::now()))
    }

    pub(crate) fn recent(&self) -> Recent {
        let mut counts = self.counts();
        let alert_above = counts.alert_above;
        counts.share.recent(alert_above, Instant::now())
    }
}

/// Whether it failed; `None`: that says nothing of the source.
fn verdict(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::Successful => Some(false),
        Outcome::Failed | Outcome::DeadLettered => Some(true),
        Outcome::Filtered | Outcome::Abandoned => None,
    }
}
