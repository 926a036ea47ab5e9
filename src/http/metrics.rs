//! `GET /metrics`: the state of everything at this moment, as Prometheus text.

use axum::extract::State as Extract;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use metrics_exporter_prometheus::PrometheusHandle;

use super::State;
use crate::telemetry;

pub(super) async fn render(Extract(state): Extract<State>) -> Response {
    state.pipelines.publish();
    metrics::gauge!("broadside_stream_connections").set(state.streams.open() as f64);
    for ((pipeline, letter_state), count) in state.health.dead_letters().await.iter() {
        metrics::gauge!("broadside_dead_letters", "pipeline" => pipeline.clone(), "state" => *letter_state)
            .set(*count as f64);
    }
    text(&state.metrics)
}

/// What is known so far, with what the process says of itself.
pub(super) fn text(metrics: &PrometheusHandle) -> Response {
    if let Some(bytes) = telemetry::resident_memory() {
        metrics::gauge!("broadside_memory_bytes").set(bytes as f64);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::render(metrics)).into_response()
}
