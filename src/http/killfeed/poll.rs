//! `GET /api/killfeed`, `GET /api/killfeed/next`, `POST /api/killfeed/commit`: a client asks for what is new in its systems, and the server knows how far it is.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::super::State;
use super::super::body::Body;
use super::super::error::ApiError;
use super::entry::{Described, json as entry};
use super::limits::Peer;
use super::query::{Pairs, client, pairs, single, systems};
use crate::killmail::SystemId;
use crate::store::{Ask, ClientId, Commit, Error, Event, Follow, Handed};

pub(in crate::http) const LIMIT: u32 = 100;
pub(in crate::http) const LIMIT_MAX: u32 = 1_000;
/// Payloads of an answer. One that has more events to give says so.
const BYTES_MAX: usize = 8 << 20;
/// Offsets of one commit.
const OFFSETS_MAX: usize = 1_000;
/// Events that are written out before others have their turn.
const TURN: usize = 32;
/// In an answer of `next`, whose body is an event: what an answer of a poll says as `gap`.
const GAP: HeaderName = HeaderName::from_static("x-killfeed-gap");

/// What a poll answers. It is written event by event, in this form.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "says what is written")]
pub(in crate::http) struct Polled {
    events: Vec<Described>,
    /// There are more.
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Gap")]
    gap: Option<Gap>,
}

/// Events above the client's offsets were collected unread.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "says what is written")]
struct Gap {
    /// The oldest that is still there.
    oldest: i64,
}

/// All that is new, up to a limit: `{"events":[…],"more":false}`, with `"gap":{"oldest":N}` when events above the client's offsets are gone.
pub(in crate::http) async fn poll(
    Extract(state): Extract<State>,
    peer: Peer,
    headers: HeaderMap,
    query: Pairs,
) -> Result<Response, ApiError> {
    counted("poll", hand_out(&state, peer, &headers, query, &["limit"]).await, async |handed| {
        let gap = handed.gap.map_or_else(String::new, |oldest| format!(r#","gap":{{"oldest":{oldest}}}"#));
        let body = format!(r#"{{"events":[{}],"more":{}{gap}}}"#, written(&handed.events).await, handed.more);
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    })
    .await
}

/// The oldest that is new, as it is; 204: there is none.
pub(in crate::http) async fn next(
    Extract(state): Extract<State>,
    peer: Peer,
    headers: HeaderMap,
    query: Pairs,
) -> Result<Response, ApiError> {
    counted("next", hand_out(&state, peer, &headers, query, &[]).await, async |handed| {
        let mut response = match handed.events.first() {
            Some(event) => ([(CONTENT_TYPE, "application/json")], entry(event)).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        };
        response.headers_mut().extend(handed.gap.map(|oldest| (GAP, HeaderValue::from(oldest))));
        response
    })
    .await
}

/// What a client is done with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Done {
    #[schemars(regex(pattern = "^[A-Za-z0-9._:-]{1,100}$"))]
    client_id: String,
    /// The last event of each system: its id.
    #[schemars(schema_with = "done")]
    offsets: BTreeMap<String, i64>,
}

fn done(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": OFFSETS_MAX,
        "propertyNames": {"pattern": "^[1-9][0-9]{0,17}$"},
        "additionalProperties": {"type": "integer", "format": "int64", "minimum": 0},
    })
}

/// Where a client is.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct Offsets {
    pub(super) client_id: String,
    /// The id of the last event that it is done with, by system.
    #[schemars(with = "BTreeMap<String, i64>")]
    pub(super) offsets: BTreeMap<SystemId, i64>,
}

/// Moves offsets forward; answers where they are.
pub(in crate::http) async fn commit(
    Extract(state): Extract<State>,
    peer: Peer,
    Body(done): Body<Done>,
) -> Result<Json<Offsets>, ApiError> {
    let moved = move_offsets(&state, peer, &done).await;
    count("commit", moved.as_ref().map_or_else(ApiError::outcome, |_| "moved"));
    Ok(Json(Offsets { client_id: done.client_id, offsets: moved? }))
}

async fn move_offsets(state: &State, peer: Peer, done: &Done) -> Result<BTreeMap<SystemId, i64>, ApiError> {
    state.limits.poll(peer)?;
    let client = named(&done.client_id)?;
    if done.offsets.is_empty() || done.offsets.len() > OFFSETS_MAX {
        return Err(ApiError::bad_request(format!("offsets name 1 to {OFFSETS_MAX} systems")));
    }
    let offset = |(system, event): (&String, &i64)| {
        let system = system.parse().ok().and_then(SystemId::new);
        system.zip(Some(*event).filter(|event| *event >= 0))
    };
    let offsets: Option<BTreeMap<SystemId, i64>> = done.offsets.iter().map(offset).collect();
    let Some(mut offsets) = offsets else {
        return Err(ApiError::bad_request("offsets are the ids of events, numbers from 0, by the ids of systems"));
    };
    let before = state.store.commit_offsets(&client, &offsets, Timestamp::now()).await.map_err(refused)?;
    for (system, event) in before {
        offsets.entry(system).and_modify(|offset| *offset = event.max(*offset));
    }
    Ok(offsets)
}

/// Asks the store. These parameters may be given beside those of every poll.
async fn hand_out(
    state: &State,
    peer: Peer,
    headers: &HeaderMap,
    query: Pairs,
    also: &[&str],
) -> Result<Handed, ApiError> {
    state.limits.poll(peer)?;
    // It reads, and moves offsets: whoever may not change anything may not do that either.
    state.access.check(headers)?;
    let ask = asked(&pairs(query)?, also)?;
    state.store.hand_out(&ask).await.map_err(refused)
}

fn asked(pairs: &[(String, String)], also: &[&str]) -> Result<Ask, ApiError> {
    let known =
        |name: &str| ["client_id", "systems", "systems[]", "commit", "from"].contains(&name) || also.contains(&name);
    // A misspelt `commit` would move what should stay.
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !known(name)) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(ApiError::bad_request(format!("{name} is no parameter of this")));
    }
    let client = client(pairs, Commit::Auto)?.ok_or_else(|| ApiError::bad_request("client_id is missing"))?;
    let systems = systems(pairs)?;
    if systems.is_empty() {
        return Err(ApiError::bad_request("systems are missing: a poll names its systems"));
    }
    let limit = match single(pairs, "limit")? {
        None if also.is_empty() => 1,
        None => LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| ApiError::bad_request(format!("limit is a number from 1 to {LIMIT_MAX}")))?,
    };
    let follow = Follow { client: client.id, systems, begin: client.begin, now: Timestamp::now() };
    Ok(Ask { follow, limit, bytes_max: BYTES_MAX, commit: client.commit })
}

/// A client's name in a path or a body.
pub(super) fn named(text: &str) -> Result<ClientId, ApiError> {
    ClientId::parse(text).ok_or_else(|| {
        ApiError::bad_request(format!("client_id is 1 to {} characters of A-Z a-z 0-9 . _ : -", ClientId::LENGTH_MAX))
    })
}

/// An id beyond every event is the client's mistake; all else is the store's.
pub(super) fn refused(error: Error) -> ApiError {
    match error {
        Error::Data { column: Some(column), message, .. } => ApiError::bad_request(format!("{column}: {message}")),
        error => error.into(),
    }
}

/// Counts what became of it, and answers.
async fn counted(
    route: &'static str,
    handed: Result<Handed, ApiError>,
    answer: impl AsyncFnOnce(Handed) -> Response,
) -> Result<Response, ApiError> {
    let outcome = match &handed {
        Ok(handed) if handed.events.is_empty() => "empty",
        Ok(_) => "events",
        Err(error) => error.outcome(),
    };
    count(route, outcome);
    Ok(answer(handed?).await)
}

fn count(route: &'static str, outcome: &'static str) {
    metrics::counter!("broadside_killfeed_polls_total", "route" => route, "outcome" => outcome).increment(1);
}

/// Events as JSON, with commas between them.
async fn written(events: &[Event]) -> String {
    let mut text = String::new();
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        if at % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        text.push_str(&entry(event));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Begin;

    fn query(text: &[(&str, &str)]) -> Vec<(String, String)> {
        text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_poll_names_its_client_and_its_systems_and_the_rest_has_defaults() {
        let least = query(&[("client_id", "map"), ("systems", "2,1")]);
        let ask = asked(&least, &["limit"]).expect("enough");
        assert_eq!((ask.limit, ask.commit, ask.follow.begin), (100, Commit::Auto, Begin::Now));
        assert_eq!(ask.follow.systems.iter().map(|id| id.get()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(asked(&least, &[]).expect("enough").limit, 1);
        let all = [("limit", "1000"), ("commit", "explicit"), ("from", "7")];
        let ask = asked(&[least, query(&all)].concat(), &["limit"]).expect("fine");
        assert_eq!((ask.limit, ask.commit, ask.follow.begin), (1000, Commit::Explicit, Begin::After(7)));
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_name() {
        for (name, value) in [
            ("client_id", ""),
            ("client_id", "a/b"),
            ("systems", ""),
            ("systems[]", "x"),
            ("limit", "0"),
            ("limit", "1001"),
            ("limit", "many"),
            ("commit", "Auto"),
            ("from", "later"),
            ("from", "-1"),
            ("comit", "explicit"),
            ("last_event_id", "7"),
        ] {
            let mut given = vec![("client_id", "map"), ("systems", "1")];
            given.retain(|(other, _)| *other != name);
            let error = asked(&query(&[&given[..], &[(name, value)]].concat()), &["limit"]).expect_err(name);
            assert!(format!("{error:?}").contains(name.trim_end_matches("[]")), "{name}={value}: {error:?}");
        }
        for missing in ["client_id", "systems"] {
            let mut given = vec![("client_id", "map"), ("systems", "1")];
            given.retain(|(name, _)| *name != missing);
            let error = asked(&query(&given), &["limit"]).expect_err(missing);
            assert!(format!("{error:?}").contains(missing), "{error:?}");
        }
        for twice in ["client_id", "limit", "commit", "from"] {
            let given = [("client_id", "map"), ("systems", "1"), (twice, "1"), (twice, "1")];
            let error = asked(&query(&given), &["limit"]).expect_err(twice);
            assert!(format!("{error:?}").contains(twice), "{error:?}");
        }
        assert!(asked(&query(&[("client_id", "map"), ("systems", "1"), ("limit", "5")]), &[]).is_err());
    }
}
