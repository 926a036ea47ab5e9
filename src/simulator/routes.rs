//! The simulator's routes: two streams, numbered files, killmails, and two signs of health.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Config;
use super::client::Client;
use super::faults::{Dice, Faults};
use super::publisher::Audience;
use super::supply::Published;

/// Streams at a time, as upstream.
const CONNECTIONS_MAX: usize = 100;
const IDS_MAX: usize = 100;

/// What a request sees.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    config: Arc<Config>,
    faults: Arc<Faults>,
    audience: Arc<Audience>,
    stop: CancellationToken,
}

impl Shared {
    pub(super) fn new(config: &Config, audience: Arc<Audience>, stop: CancellationToken) -> Self {
        let faults = Arc::new(config.faults.clone());
        Self { config: Arc::new(config.clone()), faults, audience, stop }
    }
}

pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/api/v1/kills/stream", get(async |shared, query| open(&shared, &query, false)))
        .route("/api/v1/kills/stream/enhanced", get(async |shared, query| open(&shared, &query, true)))
        .route("/r2z2/ephemeral/{file}", get(file))
        .route("/esi/killmails/{id}/{hash}", get(killmail))
        .route("/esi/killmails/{id}/{hash}/", get(killmail))
        .route("/health", get(async || Json(json!({"healthy": true, "timestamp": jiff::Timestamp::now()}))))
        .route("/ping", get(async || "pong"))
        .with_state(shared)
}

/// Until stopped; the streams end by themselves then.
pub(super) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let listener = listener.tap_io(|connection| {
        // Without it, small frames would wait for one another. Failing costs only that.
        let _ = connection.set_nodelay(true);
    });
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "the simulator stopped listening");
    }
}

fn open(State(shared): &State<Shared>, Query(query): &Query<HashMap<String, String>>, enhanced: bool) -> Response {
    let connection = shared.audience.ledger().connect();
    let filters = match Filters::parse(query) {
        Ok(filters) => filters,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, "invalid_parameters", &message),
    };
    let refused = connection <= u64::from(shared.faults.refusals);
    if refused || shared.audience.len() >= CONNECTIONS_MAX {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "connection_limit_reached", "too many connections");
    }
    let admitted = connection - u64::from(shared.faults.refusals);
    let (history, kills) = shared.audience.join();
    let client = Client {
        enhanced,
        filters,
        faults: shared.faults.clone(),
        to_be_cut: admitted <= u64::from(shared.faults.cuts),
        quiet_after: if enhanced { shared.config.heartbeat_every } else { shared.config.ping_every },
        kills,
        audience: shared.audience.clone(),
        dice: Dice::new(shared.config.seed ^ connection),
        stop: shared.stop.clone(),
    };
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(client.stream(&history))).into_response()
}

async fn file(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    let shelf = shared.audience.shelf();
    match name.strip_suffix(".json") {
        Some("sequence") => Json(json!({"sequence": shelf.newest()})).into_response(),
        Some(number) => match number.parse().ok().and_then(|number| shelf.file(number)) {
            Some(package) => as_json(package),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(Deserialize)]
struct Package<'a> {
    hash: &'a str,
    #[serde(borrow)]
    esi: &'a RawValue,
}

async fn killmail(State(shared): State<Shared>, Path((id, hash)): Path<(i64, String)>) -> Response {
    let refuse = |status: StatusCode, error| (status, Json(json!({"error": error}))).into_response();
    let Some(package) = shared.audience.shelf().killmail(id) else {
        return refuse(StatusCode::NOT_FOUND, "Killmail not found");
    };
    match serde_json::from_slice::<Package<'_>>(&package) {
        Ok(known) if known.hash == hash => as_json(Bytes::copy_from_slice(known.esi.get().as_bytes())),
        _ => refuse(StatusCode::UNPROCESSABLE_ENTITY, "Invalid killmail_id and/or killmail_hash"),
    }
}

/// Neither a file nor a killmail ever changes.
fn as_json(body: Bytes) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=86400")];
    (headers, body).into_response()
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, Json(json!({"error": {"type": kind, "message": message}}))).into_response()
}

/// The query of a stream.
#[derive(Debug, Default)]
pub(super) struct Filters {
    systems: HashSet<i64>,
    characters: HashSet<i64>,
    min_value: Option<f64>,
    pub(super) preload_days: u32,
}

impl Filters {
    fn parse(query: &HashMap<String, String>) -> Result<Self, String> {
        let ids = |name: &str| -> Result<HashSet<i64>, String> {
            let text = query.get(name).map_or("", String::as_str);
            let ids: Result<HashSet<i64>, _> =
                text.split(',').filter(|id| !id.is_empty()).map(|id| id.trim().parse()).collect();
            let ids = ids.map_err(|_| format!("{name} must be integers"))?;
            if ids.len() > IDS_MAX { Err(format!("{name}: at most {IDS_MAX} entries")) } else { Ok(ids) }
        };
        let min_value = query.get("min_value").map(|text| text.parse()).transpose();
        let days = query.get("preload_days").map_or(Ok(0), |text| text.parse::<u32>());
        Ok(Self {
            systems: ids("system_ids")?,
            characters: ids("character_ids")?,
            min_value: min_value.map_err(|_| "min_value must be a number")?,
            preload_days: days.map_err(|_| "preload_days must be a number from 0")?.min(90),
        })
    }

    pub(super) fn view(&self) -> Value {
        json!({
            "system_ids": self.systems, "character_ids": self.characters,
            "min_value": self.min_value, "preload_days": self.preload_days,
        })
    }

    /// Upstream's rules: the basic stream looks at systems alone; the other one at value and (character or system).
    pub(super) fn accept(&self, kill: &Published, enhanced: bool) -> bool {
        let in_system = self.systems.contains(&kill.system_id);
        if !enhanced {
            return self.systems.is_empty() || in_system;
        }
        if self.min_value.is_none() && self.characters.is_empty() {
            return self.systems.is_empty() || in_system;
        }
        let body: Value = serde_json::from_slice(&kill.json).unwrap_or_default();
        let value = body["zkb"]["totalValue"].as_f64().unwrap_or_default();
        let anyone = self.systems.is_empty() && self.characters.is_empty();
        self.min_value.is_none_or(|least| value >= least) && (anyone || in_system || self.has_character(&body))
    }

    fn has_character(&self, body: &Value) -> bool {
        let attackers = body["attackers"].as_array().into_iter().flatten();
        let mut people = attackers.chain([&body["victim"]]).filter_map(|person| person["character_id"].as_i64());
        people.any(|id| self.characters.contains(&id))
    }
}
