//! `GET /metrics`: the state of everything at this moment, as Prometheus text.

use axum::extract::State as Extract;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use metrics_exporter_prometheus::PrometheusHandle;

use super::State;
use super::health::{self, Reason};
use crate::telemetry;

pub(super) async fn render(Extract(state): Extract<State>) -> Response {
    state.pipelines.publish();
    metrics::gauge!("broadside_stream_connections").set(state.streams.open() as f64);
    // Each waits for the store, when it is away.
    let ((reasons, _), letters) = tokio::join!(health::reasons(&state), state.health.dead_letters());
    ready(reasons.is_empty(), !reasons.iter().any(Reason::is_of_store));
    for view in state.pipelines.views() {
        // Before its first letter there is nothing to count, and nothing that could be seen to grow.
        metrics::gauge!("broadside_dead_letters", "pipeline" => view.topology.name.clone(), "state" => "open").set(0.0);
    }
    for ((pipeline, letter_state), count) in letters.iter() {
        metrics::gauge!("broadside_dead_letters", "pipeline" => pipeline.clone(), "state" => *letter_state)
            .set(*count as f64);
    }
    text(&state.metrics)
}

/// While the worker starts.
pub(super) fn waiting(metrics: &PrometheusHandle, is_store: bool) -> Response {
    ready(false, !is_store);
    text(metrics)
}

fn ready(worker: bool, store: bool) {
    metrics::gauge!("broadside_ready").set(f64::from(u8::from(worker)));
    metrics::gauge!("broadside_store_ready").set(f64::from(u8::from(store)));
}

/// What is known so far, with what the process says of itself.
fn text(metrics: &PrometheusHandle) -> Response {
    metrics::gauge!("broadside_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    if let Some(bytes) = telemetry::resident_memory() {
        metrics::gauge!("broadside_memory_bytes").set(bytes as f64);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::render(metrics)).into_response()
}
