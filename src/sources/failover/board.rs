//! Where it is shown how both feeds stand: the page, the metrics, the log.

use std::sync::Arc;

use jiff::Timestamp;
use metrics::{Counter, Gauge};

use super::judge::{Judge, State};
use crate::feeds::{Feeds, Standing};

/// Of one pipeline.
#[derive(Debug, Clone)]
pub(super) struct Board {
    pipeline: String,
    primary: &'static str,
    fallback: &'static str,
    feeds: Arc<Feeds>,
    held: Gauge,
    gap: Counter,
    stale: Counter,
}

impl Board {
    pub(super) fn new(pipeline: &str, primary: &'static str, fallback: &'static str, feeds: Arc<Feeds>) -> Self {
        let labels = [("pipeline", pipeline.to_owned()), ("source", fallback.to_owned())];
        for source in [primary, fallback] {
            let labels = [("pipeline", pipeline.to_owned()), ("source", source.to_owned())];
            metrics::counter!("broadside_source_switches_total", &labels).increment(0);
        }
        Self {
            pipeline: pipeline.to_owned(),
            primary,
            fallback,
            feeds,
            held: metrics::gauge!("broadside_source_held", &labels),
            gap: metrics::counter!("broadside_source_gap_messages_total", &labels),
            stale: metrics::counter!("broadside_source_skipped_total", "pipeline" => pipeline.to_owned(), "source" => primary, "reason" => "stale"),
        }
    }

    fn serving(&self, state: State) -> &'static str {
        if state.is_primary() { self.primary } else { self.fallback }
    }

    /// Kills go on that the primary did not bring.
    pub(super) fn gap(&self, kills: u64) {
        self.gap.increment(kills);
        if kills > 0 {
            self.feeds.update(&self.pipeline, |standing| standing.gap_messages += kills);
        }
    }

    /// Messages of the primary are let go: the fallback has what was good among them.
    pub(super) fn stale(&self, messages: usize) {
        self.stale.increment(messages as u64);
    }

    pub(super) fn changed(&self, judge: &Judge, was_primary: bool) {
        let (pipeline, state) = (&self.pipeline, judge.state());
        let (serving, reason) = (self.serving(state), judge.reason().unwrap_or_default());
        if state.is_primary() == was_primary {
            tracing::info!(pipeline, serving, state = state.as_str(), reason, "the feed's state");
            return;
        }
        let labels = [("pipeline", pipeline.clone()), ("source", serving.to_owned())];
        metrics::counter!("broadside_source_switches_total", &labels).increment(1);
        self.feeds.update(pipeline, |standing| standing.switches += 1);
        if state.is_primary() {
            tracing::info!(pipeline, serving, "the primary feed serves again");
        } else {
            tracing::warn!(pipeline, serving, reason, "the fallback feed serves");
        }
    }

    pub(super) fn show(&self, judge: &Judge, held: usize) {
        let state = judge.state();
        self.held.set(held as f64);
        for any in State::ALL {
            let labels = [("pipeline", self.pipeline.clone()), ("state", any.as_str().to_owned())];
            metrics::gauge!("broadside_source_state", &labels).set(f64::from(any == state));
        }
        let fresh = || Standing {
            primary: Some(self.primary),
            fallback: self.fallback,
            serving: self.primary,
            state: "",
            reason: None,
            since: Timestamp::now(),
            switches: 0,
            held: 0,
            gap_messages: 0,
        };
        self.feeds.set(&self.pipeline, fresh, |standing| {
            if standing.state != state.as_str() {
                standing.since = Timestamp::now();
            }
            standing.serving = self.serving(state);
            standing.state = state.as_str();
            standing.reason = judge.reason().map(str::to_owned);
            standing.held = held;
        });
    }
}
