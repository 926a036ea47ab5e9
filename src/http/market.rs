//! `/api/market`: where each region stands, and regions added and removed while the worker runs.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::body::Body;
use super::error::ApiError;
use crate::killmail::RegionId;
use crate::regions::{Change, Refusal, Standing, Tokens, Which};

/// How long a change may wait for the source: it may have to ask ESI for a name.
pub(super) const CHANGE_MAX: Duration = Duration::from_secs(5);
const NOTE: &str = "this lasts until the worker is started again: for longer, change the regions of the pipeline file";

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Regions {
    regions: Vec<Standing>,
    tokens: Option<Tokens>,
    /// What keeps a pipeline from knowing its regions, by its name.
    trouble: BTreeMap<String, String>,
}

pub(super) async fn list(Extract(state): Extract<State>) -> Json<Regions> {
    let regions = &state.regions;
    Json(Regions { regions: regions.all(), tokens: regions.tokens(), trouble: regions.trouble() })
}

type Id = Result<Path<String>, PathRejection>;

pub(super) async fn one(Extract(state): Extract<State>, id: Id) -> Result<Json<Standing>, ApiError> {
    known(&state, id).map(Json)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Its id, also as text, or its name.
    #[schemars(with = "Named")]
    region: Value,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "says how a region may be named")]
enum Named {
    Id(RegionId),
    Text(#[schemars(regex(pattern = r"^([1-9][0-9]{0,17}|[A-Za-z][^\x00-\x1f\x7f-\x9f]{0,98})$"))] String),
}

/// What was changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Changed {
    region_id: RegionId,
    name: Option<String>,
    note: &'static str,
}

pub(super) async fn add(Extract(state): Extract<State>, Body(wanted): Body<Wanted>) -> Result<Response, ApiError> {
    let region = change(&state, Change::Add(which(&wanted.region)?)).await?;
    tracing::info!(%region, "a region was added");
    let name = state.regions.get(region).and_then(|standing| standing.name);
    Ok((StatusCode::CREATED, Json(Changed { region_id: region, name, note: NOTE })).into_response())
}

pub(super) async fn remove(Extract(state): Extract<State>, id: Id) -> Result<Json<Changed>, ApiError> {
    let standing = known(&state, id)?;
    let region = change(&state, Change::Remove(standing.region_id)).await?;
    tracing::info!(%region, "a region was removed");
    Ok(Json(Changed { region_id: region, name: standing.name, note: NOTE }))
}

fn known(state: &State, id: Id) -> Result<Standing, ApiError> {
    // Bytes that are no text are no id either.
    let region =
        id.ok().and_then(|Path(id)| id.parse().ok()).and_then(RegionId::new).and_then(|id| state.regions.get(id));
    region.ok_or_else(|| ApiError::not_found("no such region is polled: a region is named by its id here"))
}

/// An id, also as text, or a name.
fn which(region: &Value) -> Result<Which, ApiError> {
    let bad = || ApiError::bad_request("region must be an id such as 10000002, or a name");
    match region {
        Value::Number(id) => id.as_i64().and_then(RegionId::new).map(Which::Id).ok_or_else(bad),
        Value::String(text) => Which::parse(text).ok_or_else(bad),
        _ => Err(bad()),
    }
}

async fn change(state: &State, change: Change) -> Result<RegionId, ApiError> {
    match tokio::time::timeout(state.change_max, state.regions.change(change)).await {
        Ok(Ok(region)) => Ok(region),
        Ok(Err(Refusal::Busy)) => Err(ApiError::unavailable("busy", Refusal::Busy.to_string())),
        Ok(Err(Refusal::NoPipeline)) => Err(ApiError::conflict("no_pipeline", Refusal::NoPipeline.to_string())),
        Ok(Err(Refusal::Refused(why))) => Err(ApiError::conflict("refused", why)),
        Err(_) => {
            Err(ApiError::unavailable("timeout", "the change still waits: GET /api/market shows what comes of it"))
        }
    }
}
