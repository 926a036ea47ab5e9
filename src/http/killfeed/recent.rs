//! `GET /api/kills/recent`: the newest events, for a page that starts.

use std::collections::VecDeque;

use axum::extract::State as Extract;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;

use super::super::State;
use super::super::error::ApiError;
use super::entry::{self, Described};
use super::query::{Pairs, only, pairs, single};
use crate::store::{Event, Scope, Store};

pub(in crate::http) const RECENT_MAX: u32 = 500;

/// What is answered.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "says what is written")]
pub(in crate::http) struct Recent {
    events: Vec<Described>,
}

/// The newest events, oldest first: `{"events":[…]}`.
pub(in crate::http) async fn recent(Extract(state): Extract<State>, query: Pairs) -> Result<Response, ApiError> {
    let pairs = pairs(query)?;
    only(&pairs, &["limit"])?;
    let limit = match single(&pairs, "limit")? {
        None => 100,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=RECENT_MAX).contains(limit))
            .ok_or_else(|| ApiError::bad_request(format!("limit is a number from 1 to {RECENT_MAX}")))?,
    };
    let events = newest(&*state.store, limit).await?;
    let events: Vec<String> = events.iter().map(entry::json).collect();
    let body = format!(r#"{{"events":[{}]}}"#, events.join(","));
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// The last `limit` events. Ids may have holes: looks further back until there are enough.
async fn newest(store: &dyn Store, limit: u32) -> Result<VecDeque<Event>, crate::store::Error> {
    let Some((least, greatest)) = store.event_range().await? else { return Ok(VecDeque::new()) };
    let mut found = VecDeque::new();
    let (mut upper, mut width) = (greatest + 1, i64::from(limit));
    while found.len() < limit as usize && upper > least {
        let lower = (upper - width).max(least);
        for event in between(store, lower, upper).await?.into_iter().rev() {
            if found.len() < limit as usize {
                found.push_front(event);
            }
        }
        (upper, width) = (lower, width.saturating_mul(4).min(1 << 40));
    }
    Ok(found)
}

/// Events from `lower` up to and without `upper`, the last [`RECENT_MAX`] of them at most.
async fn between(store: &dyn Store, lower: i64, upper: i64) -> Result<VecDeque<Event>, crate::store::Error> {
    let (mut found, mut after) = (VecDeque::new(), lower - 1);
    loop {
        let page = store.events_of(&Scope::all(), after, RECENT_MAX).await?;
        after = page.through;
        found.extend(page.events.into_iter().filter(|event| event.event_id < upper));
        let surplus = found.len().saturating_sub(RECENT_MAX as usize);
        found.drain(..surplus);
        if !page.more || after >= upper - 1 {
            return Ok(found);
        }
    }
}
