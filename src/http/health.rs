//! `GET /livez` and `GET /readyz`.
//!
//! Alive: the process answers. Ready: every pipeline runs, its source has not given up, its ledger balances, nobody waits for the store, and it has
//! answered within the last second. What is asked of the store is asked once for all callers and kept for a moment, so that
//! probes and pages cannot load it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use broadside_engine::pipeline::State as PipelineState;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{PipelineView, State};
use crate::store::Store;

const KEPT: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// What is not ready when the store is not.
const STORE: &str = "store";

/// Dead letters by pipeline and state.
pub(super) type DeadLetters = Arc<BTreeMap<(String, &'static str), i64>>;

/// Asks the store how it is, at most once a second.
#[derive(Debug)]
pub(super) struct Probe {
    store: Arc<dyn Store>,
    ping: Mutex<Option<(Instant, Result<(), String>)>>,
    letters: Mutex<Option<(Instant, DeadLetters)>>,
}

impl Probe {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, ping: Mutex::default(), letters: Mutex::default() }
    }

    /// Why the store is not well, if it is not: writes that are held count before a ping that comes through.
    async fn store(&self) -> Result<(), String> {
        if let Some(trouble) = self.store.health().trouble() {
            return Err(format!("calls have been held since {:.0}", trouble.since));
        }
        let mut kept = self.ping.lock().await;
        if let Some((at, answer)) = &*kept
            && at.elapsed() < KEPT
        {
            return answer.clone();
        }
        let answer = match tokio::time::timeout(ANSWER_MAX, self.store.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "failed to ping the store");
                Err("the store answers with an error".to_owned())
            }
            Err(_) => Err(format!("the store has not answered for {} s", ANSWER_MAX.as_secs())),
        };
        *kept = Some((Instant::now(), answer.clone()));
        answer
    }

    /// Dead letters: the last figures known when the store does not answer.
    pub(super) async fn dead_letters(&self) -> DeadLetters {
        let mut kept = self.letters.lock().await;
        if let Some((at, counts)) = &*kept
            && at.elapsed() < KEPT
        {
            return counts.clone();
        }
        let mut counts = kept.as_ref().map(|(_, counts)| counts.clone()).unwrap_or_default();
        let begun = Instant::now();
        if let Ok(Ok(fresh)) = tokio::time::timeout(ANSWER_MAX, self.store.dead_letter_counts()).await {
            // A state that has emptied since goes to 0: a gauge would otherwise stay where it was.
            let mut next: BTreeMap<_, _> = counts.keys().map(|key| (key.clone(), 0)).collect();
            next.extend(fresh.into_iter().map(|(pipeline, state, count)| ((pipeline, state.as_str()), count)));
            counts = Arc::new(next);
        }
        // Of a million letters the count takes its time: it is not the store's main work.
        *kept = Some((Instant::now() + begun.elapsed() * 20, counts.clone()));
        counts
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Live {
    alive: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Verdict {
    ready: bool,
    not_ready: Vec<Reason>,
    /// What does not speak against being ready, and should be looked at.
    details: Vec<Reason>,
}

/// What speaks against being ready.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Reason {
    what: String,
    why: String,
}

impl Reason {
    pub(super) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }

    pub(super) fn is_of_store(&self) -> bool {
        self.what == STORE
    }
}

pub(super) async fn live() -> Json<Live> {
    Json(Live { alive: true })
}

pub(super) async fn ready(Extract(state): Extract<State>) -> Response {
    let (against, besides) = reasons(&state).await;
    verdict(against, besides)
}

/// What speaks against being ready, now, and what does not but should be looked at.
pub(super) async fn reasons(state: &State) -> (Vec<Reason>, Vec<Reason>) {
    let mut reasons: Vec<Reason> =
        state.readiness.reasons().into_iter().map(|(what, why)| Reason::new(what, why)).collect();
    let mut views = state.pipelines.views();
    if views.iter().any(|view| view.status.ledger.imbalance() != 0) {
        // Figures read while messages move may be torn: a fault is still there at a second look.
        views = state.pipelines.views();
    }
    let mut details = Vec::new();
    for view in &views {
        let what = format!("pipeline {}", view.topology.name);
        details.extend(besides(view).into_iter().map(|why| Reason::new(&what, why)));
        reasons.extend(against(view).into_iter().map(|why| Reason::new(&what, why)));
    }
    if let Err(why) = state.health.store().await {
        reasons.push(Reason::new(STORE, why));
    }
    (reasons, details)
}

/// Ready when nothing speaks against it.
pub(super) fn verdict(not_ready: Vec<Reason>, details: Vec<Reason>) -> Response {
    let ready = not_ready.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Verdict { ready, not_ready, details })).into_response()
}

/// What somebody should look at, although the pipeline does what it can.
fn besides(view: &PipelineView) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(breaker) = view.status.breaker.filter(|breaker| breaker.open) {
        let time = breaker.open_for.unwrap_or_default().as_secs();
        found.push(format!(
            "its breaker has tripped: for {time} s only probes have been read, and {} of them succeeded in a row",
            breaker.successes
        ));
    }
    let recent = view.status.recent;
    if recent.alert {
        let percent = 100.0 * recent.ratio();
        found.push(format!(
            "{percent:.1} % of its messages failed within five minutes ({} of {})",
            recent.failed, recent.messages
        ));
    }
    found
}

fn against(view: &PipelineView) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(failure) = &view.status.source_failure {
        found.push(format!("its source gave up: {failure}"));
    }
    if view.status.state != PipelineState::Running {
        found.push(format!("it is {}", view.status.state.as_str()));
    }
    match view.status.ledger.imbalance() {
        0 => {}
        off => found.push(format!("its ledger is off by {off}")),
    }
    found
}
