//! `/api/dead-letters/replay` and `/api/dead-letters/replays/{id}`: dead letters sent again by this worker.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

use super::State;
use super::body::Body;
use super::error::ApiError;
use crate::dead_letter::{Plan, REPLAYABLE, Refused, Replay, Replays, Selection, Snapshot, Told, choose};

/// Reports of an answer.
const REPORTS: usize = 200;

/// What an order may say.
const FIELDS: [&str; 16] = [
    "ids",
    "groups",
    "pipeline",
    "stage",
    "class",
    "killmail_id",
    "since",
    "until",
    "all",
    "dry_run",
    "diff",
    "from_start",
    "rate",
    "max",
    "stop_after_failures",
    "database",
];

/// Which letters, and how.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Ordered {
    #[serde(flatten)]
    which: Selection,
    #[serde(flatten)]
    plan: Plan,
    /// Only if this is the worker's database: its identity.
    database: Option<String>,
}

/// A replay, with some of its reports.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReplayShown")]
pub(super) struct Shown {
    #[serde(flatten)]
    snapshot: Snapshot,
    reports: Vec<Told>,
    /// What `after` is to be for the next ones.
    next: u64,
}

/// Which reports.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    #[serde(default)]
    after: u64,
}

type Id = Result<Path<String>, PathRejection>;

pub(super) async fn order(
    Extract(state): Extract<State>,
    Body(fields): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let Ordered { which, plan, database } = read(fields)?;
    let replays = here(&state)?;
    plan.check().map_err(ApiError::bad_request)?;
    let filter = which.filter(&REPLAYABLE, Timestamp::now());
    let filter = filter.map_err(|problem| ApiError::bad_request(problem.to_string()))?;
    if let Some(theirs) = database
        && theirs != state.store.database_identity().await?
    {
        return Err(ApiError::conflict("other_database", "this worker is on another database"));
    }
    let letters = choose(&*state.store, &filter, plan.max).await?;
    let replay = replays.order(plan, letters).map_err(|refused| refusal(&refused))?;
    tracing::info!(replay = replay.id, plan = ?replay.plan, "a replay of dead letters was ordered");
    let place = format!("/api/dead-letters/replays/{}", replay.id);
    Ok((StatusCode::ACCEPTED, [(LOCATION, place)], Json(replay.snapshot())).into_response())
}

/// A condition that is misspelt must not mean more letters than were meant.
fn read(fields: Map<String, Value>) -> Result<Ordered, ApiError> {
    if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        let known = FIELDS.join(", ");
        return Err(ApiError::bad_request(format!("the body has no {unknown:?}: it may have {known}")));
    }
    let read = serde_json::from_value(Value::Object(fields));
    read.map_err(|error| ApiError::bad_request(format!("the body cannot be read: {error}")))
}

fn refusal(refused: &Refused) -> ApiError {
    match refused {
        Refused::Busy(_) => ApiError::conflict("busy", refused.to_string()),
        Refused::Elsewhere(_) => ApiError::conflict("elsewhere", refused.to_string()),
    }
}

fn here(state: &State) -> Result<&Arc<Replays>, ApiError> {
    state.replays.as_ref().ok_or_else(|| ApiError::unavailable("no_replays", "this process replays no dead letters"))
}

fn known(state: &State, id: Id) -> Result<Arc<Replay>, ApiError> {
    let id = id.ok().and_then(|Path(id)| id.parse().ok());
    id.and_then(|id| here(state).ok()?.get(id)).ok_or_else(|| ApiError::not_found("there is no such replay"))
}

pub(super) async fn one(
    Extract(state): Extract<State>,
    id: Id,
    since: Result<Query<Since>, QueryRejection>,
) -> Result<Json<Shown>, ApiError> {
    let Query(Since { after }) = since.map_err(|_| ApiError::bad_request("after may be asked for: a number"))?;
    let replay = known(&state, id)?;
    // first where it stands: what is told after it has ended is then all there
    let snapshot = replay.snapshot();
    let (reports, next) = replay.reports.since(after, REPORTS);
    Ok(Json(Shown { snapshot, reports, next }))
}

pub(super) async fn stop(Extract(state): Extract<State>, id: Id) -> Result<Json<Snapshot>, ApiError> {
    let replay = known(&state, id)?;
    replay.stop();
    Ok(Json(replay.snapshot()))
}
