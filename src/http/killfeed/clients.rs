//! `GET /api/killfeed/clients`, `GET` and `DELETE /api/killfeed/clients/{id}`: who reads the killfeed, how far they are behind; one of them, and forgetting one.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};
use axum::http::HeaderMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::State;
use super::super::error::ApiError;
use super::poll::Offsets;
use super::poll::named;
use super::query::{self, Pairs, pairs, single};
use crate::store::{ClientId, FeedClient, LAG_MAX};

const LIMIT: u32 = 100;
pub(in crate::http) const LIMIT_MAX: u32 = 1_000;

type Id = Result<Path<String>, PathRejection>;

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct Clients {
    clients: Vec<Listed>,
    more: bool,
    /// What `after` is to be for the next page.
    next: Option<String>,
    /// No lag is counted further.
    lag_max: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Client")]
struct Listed {
    client_id: String,
    /// That it has an offset for.
    systems: i64,
    /// Events of its systems above its offsets.
    lag: i64,
    least_offset: i64,
    greatest_offset: i64,
    #[schemars(with = "Timestamp")]
    seen_at: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct Forgotten {
    client_id: String,
}

/// By name, in pages: `{"clients":[…],"more":false,"next":null}`. A lag is counted up to `lag_max`.
pub(in crate::http) async fn list(
    Extract(state): Extract<State>,
    headers: HeaderMap,
    query: Pairs,
) -> Result<Json<Clients>, ApiError> {
    // Who knows their names can move their offsets.
    state.access.check(&headers)?;
    let pairs = pairs(query)?;
    query::only(&pairs, &["after", "limit"])?;
    let limit = match single(&pairs, "limit")? {
        None => LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| ApiError::bad_request(format!("limit is a number from 1 to {LIMIT_MAX}")))?,
    };
    let after = single(&pairs, "after")?.map(named).transpose()?;
    let mut clients = state.store.clients(after.as_ref().map_or("", ClientId::as_str), limit + 1).await?;
    let more = clients.len() > limit as usize;
    clients.truncate(limit as usize);
    let next = clients.last().filter(|_| more).map(|client| client.client.clone());
    let clients = clients.into_iter().map(Listed::from).collect();
    Ok(Json(Clients { clients, more, next, lag_max: LAG_MAX }))
}

impl From<FeedClient> for Listed {
    fn from(client: FeedClient) -> Self {
        Self {
            client_id: client.client,
            systems: client.systems,
            lag: client.lag,
            least_offset: client.least,
            greatest_offset: client.greatest,
            seen_at: format!("{:.3}", client.seen_at),
        }
    }
}

/// One client's offsets: `{"client_id","offsets":{"30000142":17}}`.
pub(in crate::http) async fn one(
    Extract(state): Extract<State>,
    headers: HeaderMap,
    id: Id,
) -> Result<Json<Offsets>, ApiError> {
    state.access.check(&headers)?;
    let client = known(id)?;
    let offsets = state.store.offsets(&client).await?;
    if offsets.is_empty() {
        return Err(missing());
    }
    Ok(Json(Offsets { client_id: client.as_str().to_owned(), offsets }))
}

pub(in crate::http) async fn forget(Extract(state): Extract<State>, id: Id) -> Result<Json<Forgotten>, ApiError> {
    let client = known(id)?;
    if !state.store.forget_client(&client).await? {
        return Err(missing());
    }
    tracing::info!(%client, "a client of the killfeed was forgotten");
    Ok(Json(Forgotten { client_id: client.as_str().to_owned() }))
}

fn known(id: Id) -> Result<ClientId, ApiError> {
    let Ok(Path(id)) = id else { return Err(missing()) };
    named(&id)
}

fn missing() -> ApiError {
    ApiError::not_found("there is no such client")
}
