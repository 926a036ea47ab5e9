//! `/api/profiles`: surveillance profiles, as the command `profiles` has them. URLs of targets are always masked here.
//!
//! Running workers take up a change within a second, this one like any other.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::body::Text;
use super::error::ApiError;
use crate::killmail::ProfileId;
use crate::profile::document::Written;
use crate::profile::{Document, schema};
use crate::store::{Error, NewProfile, StoredProfile, Which};

/// Profiles of an answer …
pub(super) const LIMIT: u32 = 100;
/// … and at most.
pub(super) const LIMIT_MAX: u32 = 1_000;

type Id = Result<Path<String>, PathRejection>;

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(default)]
    after: i64,
    limit: Option<u32>,
    owner: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Profiles")]
pub(super) struct Listed<'a> {
    profiles: Vec<Written<'a>>,
    more: bool,
    /// What `after` is to be for the next page.
    next: Option<ProfileId>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Stored {
    profile_id: ProfileId,
    warnings: Vec<&'static str>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Removed {
    profile_id: ProfileId,
}

pub(super) async fn list(
    Extract(state): Extract<State>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(page) = page.map_err(|_| ApiError::bad_request("after, limit and owner may be asked for, each once"))?;
    let limit = page.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::bad_request(format!("limit is a number from 1 to {LIMIT_MAX}")));
    }
    if page.owner.as_ref().is_some_and(|owner| owner.contains('\0')) {
        return Err(ApiError::bad_request("owner has a character that no owner has"));
    }
    let which = Which { after: page.after, owner: page.owner, limit: Some(limit + 1), ..Which::default() };
    let mut profiles = state.store.profiles(&which).await?;
    let more = profiles.len() > limit as usize;
    profiles.truncate(limit as usize);
    let next = profiles.last().filter(|_| more).map(|profile| profile.profile_id);
    let profiles = profiles.iter().map(StoredProfile::listed).collect();
    Ok(Json(Listed { profiles, more, next }).into_response())
}

pub(super) async fn schema() -> Json<Value> {
    Json(schema::schema())
}

pub(super) async fn one(Extract(state): Extract<State>, id: Id) -> Result<Response, ApiError> {
    Ok(Json(found(&state, known(id)?).await?.listed()).into_response())
}

pub(super) async fn add(Extract(state): Extract<State>, Text(text): Text) -> Result<Response, ApiError> {
    let document = read(&text)?;
    if let Some(id) = document.profile_id {
        let allowed = format!("no profile_id: PUT /api/profiles/{id} replaces a profile");
        return Err(refused(format!("at profile_id: found {id}; allowed: {allowed}")));
    }
    let warnings = warnings(&document);
    let id = store(&state, document).await?;
    let place = format!("/api/profiles/{id}");
    let body = Json(Stored { profile_id: id, warnings });
    Ok((StatusCode::CREATED, [(LOCATION, place)], body).into_response())
}

pub(super) async fn replace(
    Extract(state): Extract<State>,
    id: Id,
    Text(text): Text,
) -> Result<Json<Stored>, ApiError> {
    let id = known(id)?;
    let document = read(&text)?;
    if let Some(other) = document.profile_id.filter(|other| *other != id) {
        return Err(refused(format!("at profile_id: found {other}; allowed: {id}, as in the path, or none")));
    }
    let warnings = warnings(&document);
    store(&state, Document { profile_id: Some(id), ..document }).await?;
    Ok(Json(Stored { profile_id: id, warnings }))
}

pub(super) async fn remove(Extract(state): Extract<State>, id: Id) -> Result<Json<Removed>, ApiError> {
    let id = known(id)?;
    let removed = state.store.remove_profiles(&[id]).await?;
    if removed.is_empty() {
        return Err(missing());
    }
    tracing::info!(profile_id = %id, "a surveillance profile was removed");
    Ok(Json(Removed { profile_id: id }))
}

async fn found(state: &State, id: ProfileId) -> Result<StoredProfile, ApiError> {
    let which = Which { ids: vec![id], ..Which::default() };
    state.store.profiles(&which).await?.pop().ok_or_else(missing)
}

fn known(id: Id) -> Result<ProfileId, ApiError> {
    id.ok().and_then(|Path(id)| id.parse().ok()).and_then(ProfileId::new).ok_or_else(missing)
}

fn missing() -> ApiError {
    ApiError::not_found("there is no such profile")
}

/// A text that is no JSON is a bad request; JSON that is no profile is refused with the place of what is wrong.
fn read(text: &str) -> Result<Document, ApiError> {
    Document::parse(text).map_err(|problem| match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Err(error) => ApiError::bad_request(format!("the body is no JSON: {error}")),
        Ok(_) => refused(problem.to_string()),
    })
}

fn refused(message: String) -> ApiError {
    ApiError::unprocessable("invalid_profile", message)
}

fn warnings(document: &Document) -> Vec<&'static str> {
    let broad = "it looks as if nearly every kill matched it: `broadside profiles test` tells how many do";
    Vec::from_iter(document.filter.looks_broad().then_some(broad))
}

async fn store(state: &State, document: Document) -> Result<ProfileId, ApiError> {
    let new = NewProfile::from(document);
    match state.store.put_profiles(&[new]).await {
        Ok(ids) => {
            let id = ids.first().copied().ok_or_else(missing)?;
            tracing::info!(profile_id = %id, "a surveillance profile was stored");
            Ok(id)
        }
        // The one to be replaced is not there.
        Err(Error::Data { .. }) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}
