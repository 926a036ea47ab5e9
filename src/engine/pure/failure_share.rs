//! The share of failures among the messages of the last five minutes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How far it looks back.
pub(crate) const SPAN: Duration = Duration::from_secs(300);
/// Messages are counted together for so long.
const STEP: Duration = Duration::from_secs(5);
/// Fewer messages than this tell nothing.
pub(crate) const LEAST: u64 = 100;

/// Counts by steps of time; what is older than [`SPAN`] is forgotten.
#[derive(Debug, Default)]
pub(crate) struct FailureShare {
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Step {
    since: Instant,
    messages: u64,
    failed: u64,
}

/// Failures of late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recent {
    /// Messages that succeeded or failed within the last five minutes.
    pub messages: u64,
    /// Those that failed.
    pub failed: u64,
    /// There were at least a hundred, and more of them failed than `alert_above` allows.
    pub alert: bool,
}

impl Recent {
    /// From 0 to 1; 0 where there is nothing.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.messages == 0 { 0.0 } else { self.failed as f64 / self.messages as f64 }
    }
}

impl FailureShare {
    pub(crate) fn add(&mut self, messages: u64, failed: u64, now: Instant) {
        match self.steps.back_mut() {
            Some(step) if now.saturating_duration_since(step.since) < STEP => {
                step.messages += messages;
                step.failed += failed;
            }
            _ => {
                self.forget(now);
                self.steps.push_back(Step { since: now, messages, failed });
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.steps.front().is_some_and(|step| now.saturating_duration_since(step.since) >= SPAN) {
            self.steps.pop_front();
        }
    }

    /// What the last five minutes brought.
    pub(crate) fn recent(&mut self, alert_above: Option<f64>, now: Instant) -> Recent {
        self.forget(now);
        let messages = self.steps.iter().map(|step| step.messages).sum();
        let failed = self.steps.iter().map(|step| step.failed).sum();
        let recent = Recent { messages, failed, alert: false };
        let alert = messages >= LEAST && alert_above.is_some_and(|above| recent.ratio() > above);
        Recent { alert, ..recent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_needs_a_hundred_messages_and_more_failures_than_allowed() {
        let (mut share, now) = (FailureShare::default(), Instant::now());
        share.add(99, 50, now);
        assert_eq!(share.recent(Some(0.01), now), Recent { messages: 99, failed: 50, alert: false });
        share.add(1, 0, now + Duration::from_secs(1));
        assert!(share.recent(Some(0.01), now).alert);
        assert!(!share.recent(Some(0.5), now).alert);
        assert!(!share.recent(None, now).alert);
    }

    #[test]
    fn what_is_older_than_five_minutes_is_forgotten_step_by_step() {
        let (mut share, start) = (FailureShare::default(), Instant::now());
        for second in 0..600 {
            share.add(1, u64::from(second < 300), start + Duration::from_secs(second));
        }
        let end = start + Duration::from_secs(600);
        let recent = share.recent(Some(0.5), end);
        assert!((295..=300).contains(&recent.messages) && recent.failed == 0, "{recent:?}");
        assert_eq!(share.recent(None, end + SPAN).messages, 0);
        assert!(share.steps.len() <= 61);
    }
}
