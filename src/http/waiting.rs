//! What is answered while the database is being opened, or waited for: alive, not ready, the metrics, and nothing else.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Extract;
use axum::response::Response;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use super::error::{self, ApiError};
use super::{guard, health, metrics};
use crate::store::Health;

/// `store` knows whether its opening has failed.
pub(super) fn router(store: Arc<Health>, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(ready).with_state(store))
        .route("/metrics", get(async move || metrics::text(&metrics)))
        .fallback(not_yet)
        .method_not_allowed_fallback(error::no_method)
        .layer(axum::middleware::from_fn(guard::guard))
}

/// The cause stays in the log: it may name hosts and paths.
async fn ready(Extract(store): Extract<Arc<Health>>) -> Response {
    let why = match store.trouble() {
        Some(trouble) => {
            format!("the database has been away since {:.0}, and is waited for: the log says why", trouble.since)
        }
        None => "the database is being opened".to_owned(),
    };
    health::verdict(&[json!({"what": "store", "why": why})])
}

async fn not_yet() -> ApiError {
    ApiError::unavailable("starting", "the worker has not opened its database yet: /readyz says why")
}
