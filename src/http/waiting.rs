//! What is answered while the worker starts: while the database is being opened, or waited for, and while what it works with is loaded. It is alive, not ready,
//! has metrics, and nothing else.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Extract;
use axum::response::Response;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;

use super::error::{self, ApiError};
use super::{guard, health, metrics};
use crate::store::Health;

/// What a worker that starts is waiting for.
#[derive(Debug, Clone)]
pub enum Waiting {
    /// The database, which knows whether its opening has failed.
    Store(Arc<Health>),
    /// What it works with: static data, profiles. A million of these take ten seconds and more.
    Loading,
}

pub(super) fn router(waiting: Waiting, metrics: PrometheusHandle) -> Router {
    let is_store = matches!(waiting, Waiting::Store(_));
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(ready).with_state(waiting))
        .route("/metrics", get(async move || metrics::waiting(&metrics, is_store)))
        .fallback(not_yet)
        .method_not_allowed_fallback(error::no_method)
        .layer(axum::middleware::from_fn(guard::guard))
}

/// The cause stays in the log: it may name hosts and paths.
async fn ready(Extract(waiting): Extract<Waiting>) -> Response {
    let verdict = |what, why: String| health::verdict(vec![health::Reason::new(what, why)], Vec::new());
    let store = match waiting {
        Waiting::Store(store) => store,
        Waiting::Loading => return verdict("starting", "static data and profiles are being loaded".to_owned()),
    };
    match store.trouble() {
        Some(trouble) => verdict(
            "store",
            format!("the database has been away since {:.0}, and is waited for: the log says why", trouble.since),
        ),
        None => verdict("store", "the database is being opened".to_owned()),
    }
}

async fn not_yet() -> ApiError {
    ApiError::unavailable("starting", "the worker is still starting: /readyz says why")
}
