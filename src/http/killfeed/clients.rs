//! `GET /api/killfeed/clients`, `GET` and `DELETE /api/killfeed/clients/{id}`: who reads the killfeed, how far they are behind; one of them, and forgetting one.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::super::State;
use super::super::error::ApiError;
use super::poll::named;
use super::query::{Pairs, pairs, single};
use crate::store::{ClientId, FeedClient, LAG_MAX};

const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

type Id = Result<Path<String>, PathRejection>;

/// By name, in pages: `{"clients":[…],"more":false,"next":null}`. A lag is counted up to `lag_max`.
pub(in crate::http) async fn list(
    Extract(state): Extract<State>,
    headers: HeaderMap,
    query: Pairs,
) -> Result<Json<Value>, ApiError> {
    // Who knows their names can move their offsets.
    state.access.check(&headers)?;
    let pairs = pairs(query)?;
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !["after", "limit"].contains(&name.as_str())) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(ApiError::bad_request(format!("{name} is no parameter of this: after and limit are")));
    }
    let limit = match single(&pairs, "limit")? {
        None => LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| ApiError::bad_request(format!("limit is a number from 1 to {LIMIT_MAX}")))?,
    };
    let mut clients = state.store.clients(single(&pairs, "after")?.unwrap_or_default(), limit + 1).await?;
    let more = clients.len() > limit as usize;
    clients.truncate(limit as usize);
    let next = clients.last().filter(|_| more).map(|client| client.client.clone());
    let clients: Vec<Value> = clients.iter().map(listed).collect();
    Ok(Json(json!({"clients": clients, "more": more, "next": next, "lag_max": LAG_MAX})))
}

fn listed(client: &FeedClient) -> Value {
    json!({
        "client_id": client.client,
        "systems": client.systems,
        "lag": client.lag,
        "least_offset": client.least,
        "greatest_offset": client.greatest,
        "seen_at": format!("{:.3}", client.seen_at),
    })
}

/// One client's offsets: `{"client_id","offsets":{"30000142":17}}`.
pub(in crate::http) async fn one(
    Extract(state): Extract<State>,
    headers: HeaderMap,
    id: Id,
) -> Result<Json<Value>, ApiError> {
    state.access.check(&headers)?;
    let client = known(id)?;
    let offsets = state.store.offsets(&client).await?;
    if offsets.is_empty() {
        return Err(missing());
    }
    Ok(Json(json!({"client_id": client.as_str(), "offsets": offsets})))
}

pub(in crate::http) async fn forget(Extract(state): Extract<State>, id: Id) -> Result<Json<Value>, ApiError> {
    let client = known(id)?;
    if !state.store.forget_client(&client).await? {
        return Err(missing());
    }
    tracing::info!(%client, "a client of the killfeed was forgotten");
    Ok(Json(json!({"client_id": client.as_str()})))
}

fn known(id: Id) -> Result<ClientId, ApiError> {
    let Ok(Path(id)) = id else { return Err(missing()) };
    named(&id)
}

fn missing() -> ApiError {
    ApiError::not_found("there is no such client")
}
