//! `GET /`: the page, and its scripts and style under `/assets/`. All of it is in the binary.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    body: &'static str,
    tag: OnceLock<String>,
}

impl Asset {
    const fn new(name: &'static str, content_type: &'static str, body: &'static str) -> Self {
        Self { name, content_type, body, tag: OnceLock::new() }
    }
}

static PAGE: Asset = Asset::new("", "text/html; charset=utf-8", include_str!("page/index.html"));
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
static ASSETS: [Asset; 12] = [
    Asset::new("base.js", SCRIPT, include_str!("page/base.js")),
    Asset::new("flow.js", SCRIPT, include_str!("page/flow.js")),
    Asset::new("charts.js", SCRIPT, include_str!("page/charts.js")),
    Asset::new("letters.js", SCRIPT, include_str!("page/letters.js")),
    Asset::new("replay.js", SCRIPT, include_str!("page/replay.js")),
    Asset::new("kills.js", SCRIPT, include_str!("page/kills.js")),
    Asset::new("prices.js", SCRIPT, include_str!("page/prices.js")),
    Asset::new("market.js", SCRIPT, include_str!("page/market.js")),
    Asset::new("page.css", STYLE, include_str!("page/page.css")),
    // The charts: uPlot as it was published.
    Asset::new("uplot.js", SCRIPT, include_str!("page/uplot/uplot.js")),
    Asset::new("uplot.css", STYLE, include_str!("page/uplot/uplot.css")),
    Asset::new("uplot-license.txt", "text/plain; charset=utf-8", include_str!("page/uplot/LICENSE")),
];

/// Those under `/assets/`.
pub(super) fn names() -> Vec<&'static str> {
    ASSETS.iter().map(|asset| asset.name).collect()
}

pub(super) async fn page(headers: HeaderMap) -> Response {
    answer(&PAGE, &headers)
}

pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => Ok(answer(asset, &headers)),
        None => Err(ApiError::not_found("there is no such asset")),
    }
}

/// Browsers keep it, and ask each time whether it is still the same: a new build shows at once.
fn answer(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let tag = asset.tag.get_or_init(|| {
        let mut hasher = DefaultHasher::new();
        asset.body.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    });
    let kept = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let head = [(CONTENT_TYPE, asset.content_type), (ETAG, tag.as_str()), (CACHE_CONTROL, "no-cache")];
    if kept.is_some_and(|kept| kept.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, asset.body).into_response()
}
