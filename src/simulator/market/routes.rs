//! The routes of the market, with ESI's headers: what a page's tag is, how long it holds, what a call has cost.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Found, Markets, limit, name};

/// Ids that one request may ask about.
const IDS_MAX: usize = 1_000;
const DAY: &str = "public, max-age=86400";

pub(in crate::simulator) fn router(markets: Arc<Markets>) -> Router {
    let limited = from_fn_with_state(markets.clone(), limited);
    let orders = Router::new()
        .route("/esi/markets/{region}/orders", get(orders))
        .route("/esi/markets/{region}/orders/", get(orders))
        .route_layer(limited);
    Router::new()
        .route("/esi/universe/regions", get(regions))
        .route("/esi/universe/regions/", get(regions))
        .route("/esi/universe/regions/{region}", get(region))
        .route("/esi/universe/names", post(names))
        .route("/esi/universe/names/", post(names))
        .route("/esi/universe/ids", post(ids))
        .route("/esi/universe/ids/", post(ids))
        .merge(orders)
        .with_state(markets)
}

/// A call costs two tokens, one when nothing is new, five when it was wrong; what is refused for want of tokens costs nothing.
async fn limited(State(markets): State<Arc<Markets>>, request: Request, next: Next) -> Response {
    let mut response = match markets.admit() {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
            response.headers_mut().insert(header::RETRY_AFTER, wait.into());
            response
        }
    };
    let cost = match response.status().as_u16() {
        429 | 500.. => 0,
        400.. => 5,
        300.. => 1,
        _ => 2,
    };
    let left = markets.spend(cost, response.status().as_u16());
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-ratelimit-group"), HeaderValue::from_static("market-order"));
    let limit = HeaderValue::from_str(&format!("{}/15m", limit::TOKENS));
    headers.extend(limit.map(|limit| (HeaderName::from_static("x-ratelimit-limit"), limit)));
    headers.insert(HeaderName::from_static("x-ratelimit-remaining"), left.into());
    headers.insert(HeaderName::from_static("x-ratelimit-used"), cost.into());
    response
}

#[derive(Deserialize)]
struct Wanted {
    order_type: Option<String>,
    page: Option<usize>,
}

async fn orders(
    State(markets): State<Arc<Markets>>,
    Path(region): Path<i64>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    // Which side is asked for makes no difference, as at ESI; but it has to be said.
    if !matches!(wanted.order_type.as_deref(), Some("all" | "buy" | "sell")) {
        return refuse(StatusCode::BAD_REQUEST, "order_type must be one of buy, sell, all");
    }
    match markets.page(region, wanted.page.unwrap_or(1)) {
        Found::NoRegion => refuse(StatusCode::NOT_FOUND, "Region not found!"),
        Found::NoPage => refuse(StatusCode::NOT_FOUND, "Requested page does not exist!"),
        Found::Sheet { sheet, pages, modified, expires } => {
            let head = [
                (header::CONTENT_TYPE, "application/json".to_owned()),
                (header::CACHE_CONTROL, "public".to_owned()),
                (header::ETAG, sheet.etag.clone()),
                (header::LAST_MODIFIED, date(modified)),
                (header::EXPIRES, date(expires)),
                (HeaderName::from_static("x-pages"), pages.to_string()),
            ];
            let tags = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
            if tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == sheet.etag) {
                return (StatusCode::NOT_MODIFIED, head).into_response();
            }
            (head, sheet.body).into_response()
        }
    }
}

async fn regions(State(markets): State<Arc<Markets>>) -> Response {
    daily(json!(markets.regions()))
}

async fn region(State(markets): State<Arc<Markets>>, Path(region): Path<i64>) -> Response {
    if !markets.regions().contains(&region) {
        return refuse(StatusCode::NOT_FOUND, "Region not found!");
    }
    daily(json!({"region_id": region, "name": name(region), "constellations": []}))
}

/// All or nothing, as at ESI: one id that nobody knows, and none is answered.
async fn names(State(markets): State<Arc<Markets>>, Json(ids): Json<Vec<i64>>) -> Response {
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    if ids.is_empty() || ids.len() > IDS_MAX || once.len() < ids.len() {
        return refuse(StatusCode::BAD_REQUEST, "Between 1 and 1000 unique ids are needed");
    }
    let known = markets.regions();
    if !ids.iter().all(|id| known.contains(id)) {
        return refuse(StatusCode::NOT_FOUND, "Ensure all IDs are valid before resolving.");
    }
    let named = ids.iter().map(|id| json!({"category": "region", "id": id, "name": name(*id)}));
    Json(named.collect::<Vec<_>>()).into_response()
}

/// What nobody knows is left out.
async fn ids(State(markets): State<Arc<Markets>>, Json(names): Json<Vec<String>>) -> Response {
    let known = markets.regions().into_iter().map(|id| (id, name(id)));
    let found = known.filter(|(_, name)| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)));
    let found: Vec<Value> = found.map(|(id, name)| json!({"id": id, "name": name})).collect();
    Json(if found.is_empty() { json!({}) } else { json!({"regions": found}) }).into_response()
}

fn daily(body: Value) -> Response {
    let expires = Timestamp::from_second(Timestamp::now().as_second() + 86_400).unwrap_or(Timestamp::MAX);
    ([(header::CACHE_CONTROL, DAY.to_owned()), (header::EXPIRES, date(expires))], Json(body)).into_response()
}

fn date(time: Timestamp) -> String {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}
