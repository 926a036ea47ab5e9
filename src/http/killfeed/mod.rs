//! The live killfeed: `GET /api/killfeed/stream`, and `GET /api/kills/recent` for a page that starts.
//!
//! What a stream promises: every event after its start, once, with ids that only rise, however fast the reader is. Sinks work in parallel and the
//! hub's messages may pass one another, so no event goes out by way of the hub: [`Tail`] reads them from the store, in order, when the
//! hub says that there is something, and each stream's [`Reader`] checks that what it got joins on to what it has, and fills from the store what does not.

mod reader;
mod tail;

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use self::reader::{Item, Reader, Start};
use super::State;
use super::error::ApiError;
use crate::killmail::{SystemId, wire};
use crate::store::{Event, Store};

pub(super) use self::tail::Tail;

/// Live streams open at once.
pub(super) const CONNECTIONS_MAX: usize = 2000;
const SYSTEMS_MAX: usize = 1000;
const RECENT_MAX: u32 = 500;
const PING: Duration = Duration::from_secs(15);

/// An event as it goes out.
#[derive(Debug)]
struct Entry {
    event_id: i64,
    system_id: SystemId,
    /// `{"event_id","system_id","killmail"}`, on one line.
    data: String,
}

impl Entry {
    /// Renders a stored event: the same JSON for every feed's form. A payload that cannot be decoded, which the store should not hold, goes
    /// out as it is.
    fn of(event: Event) -> Self {
        let Event { event_id, system_id, payload, .. } = event;
        let killmail = match wire::decode(payload.as_bytes()) {
            Ok(mail) => serde_json::to_string(&mail).expect("a killmail has string keys only"),
            Err(_) => serde_json::from_str::<serde_json::Value>(&payload).unwrap_or_default().to_string(),
        };
        let data = format!(r#"{{"event_id":{event_id},"system_id":{system_id},"killmail":{killmail}}}"#);
        Self { event_id, system_id, data }
    }
}

/// The places for live streams, and the word that ends them.
#[derive(Debug)]
pub(super) struct Streams {
    places: Arc<Semaphore>,
    places_max: usize,
    closing: CancellationToken,
}

impl Streams {
    pub(super) fn new(places_max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places_max)), places_max, closing: CancellationToken::new() }
    }

    pub(super) fn open(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    /// Ends every stream.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            metrics::counter!("broadside_stream_refused_total").increment(1);
            ApiError::unavailable("too_many_streams", format!("{} live streams are open", self.places_max))
        })
    }
}

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

pub(super) async fn stream(
    Extract(state): Extract<State>,
    query: Pairs,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let pairs = pairs(query)?;
    let systems = systems(&pairs)?;
    let start = start(&pairs, &headers)?;
    let place = state.streams.enter()?;
    let reader = Reader::open(state.store.clone(), state.tail.clone(), systems, start).await?;
    let closing = state.streams.closing.clone();
    let events = futures::stream::unfold((reader, place, closing), |(mut reader, place, closing)| async move {
        let item = closing.run_until_cancelled(reader.next()).await.flatten()?;
        Some((Ok::<_, Infallible>(frame(&item)), (reader, place, closing)))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(PING).text("ping"));
    // Tells a proxy (nginx) to pass events on as they come.
    Ok(([(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))], sse).into_response())
}

fn frame(item: &Item) -> SseEvent {
    match item {
        Item::Gap { oldest } => SseEvent::default().event("gap").data(json!({"oldest": oldest}).to_string()),
        Item::Event(entry) => {
            metrics::counter!("broadside_stream_events_total").increment(1);
            SseEvent::default().event("killmail").id(entry.event_id.to_string()).data(&entry.data)
        }
    }
}

/// The newest events, oldest first: `{"events":[…]}`.
pub(super) async fn recent(Extract(state): Extract<State>, query: Pairs) -> Result<Response, ApiError> {
    let pairs = pairs(query)?;
    let limit = match pairs.iter().find(|(name, _)| name == "limit") {
        None => 100,
        Some((_, text)) => text
            .parse()
            .ok()
            .filter(|limit| (1..=RECENT_MAX).contains(limit))
            .ok_or_else(|| ApiError::bad_request(format!("limit is a number from 1 to {RECENT_MAX}")))?,
    };
    let events = newest(&*state.store, limit).await?;
    let events: Vec<String> = events.into_iter().map(|event| Entry::of(event).data).collect();
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
        let page = store.events_after(after, &[], RECENT_MAX).await?;
        let full = page.len() == RECENT_MAX as usize;
        after = page.last().map_or(after, |event| event.event_id);
        found.extend(page.into_iter().filter(|event| event.event_id < upper));
        let surplus = found.len().saturating_sub(RECENT_MAX as usize);
        found.drain(..surplus);
        if !full || after >= upper - 1 {
            return Ok(found);
        }
    }
}

fn pairs(query: Pairs) -> Result<Vec<(String, String)>, ApiError> {
    query.map(|Query(pairs)| pairs).map_err(|_| ApiError::bad_request("the query cannot be read"))
}

/// `systems=1,2`, `systems[]=1&systems[]=2`, or both. None given: all.
fn systems(pairs: &[(String, String)]) -> Result<Vec<SystemId>, ApiError> {
    let (mut given, mut found) = (false, BTreeSet::new());
    for (_, value) in pairs.iter().filter(|(name, _)| name == "systems" || name == "systems[]") {
        given = true;
        for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let id = part.parse().ok().and_then(SystemId::new);
            found.insert(id.ok_or_else(|| ApiError::bad_request("systems are numbers above 0"))?);
            if found.len() > SYSTEMS_MAX {
                return Err(ApiError::bad_request(format!("at most {SYSTEMS_MAX} systems")));
            }
        }
    }
    if given && found.is_empty() {
        return Err(ApiError::bad_request("systems names no system: leave it out for all of them"));
    }
    Ok(found.into_iter().collect())
}

/// The header first: a browser that reconnects sends it, and repeats the query it once started with.
fn start(pairs: &[(String, String)], headers: &HeaderMap) -> Result<Start, ApiError> {
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let query = pairs.iter().find(|(name, _)| name == "last_event_id").map(|(_, value)| value.as_str());
    match header.filter(|text| !text.is_empty()).or(query).filter(|text| !text.is_empty()) {
        None => Ok(Start::Now),
        Some(text) => match text.parse() {
            Ok(id @ 0..) => Ok(Start::After(id)),
            _ => Err(ApiError::bad_request("the last event id is a number from 0")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &[(&str, &str)]) -> Vec<(String, String)> {
        text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn systems_are_read_in_both_spellings_and_once_each() {
        let found = systems(&query(&[("systems", "3, 1"), ("systems[]", "2"), ("systems[]", "3")])).expect("numbers");
        assert_eq!(found.iter().map(|id| id.get()).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(systems(&query(&[("other", "x")])).expect("all").is_empty());
        for bad in ["x", "0", "-1", "1;2", ""] {
            assert!(systems(&query(&[("systems", bad)])).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn more_than_a_thousand_systems_are_refused() {
        let list = |n: i64| (1..=n).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(systems(&query(&[("systems", &list(1000))])).expect("a thousand").len(), 1000);
        assert!(systems(&query(&[("systems", &list(1001))])).is_err());
    }

    #[test]
    fn the_header_says_where_to_start_before_the_query_does() {
        let mut headers = HeaderMap::new();
        assert_eq!(start(&[], &headers).expect("now"), Start::Now);
        let asked = query(&[("last_event_id", "7")]);
        assert_eq!(start(&asked, &headers).expect("a number"), Start::After(7));
        headers.insert("last-event-id", HeaderValue::from_static("9"));
        assert_eq!(start(&asked, &headers).expect("a number"), Start::After(9));
        for bad in ["-1", "x", "1e3", "99999999999999999999"] {
            assert!(start(&query(&[("last_event_id", bad)]), &HeaderMap::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_entry_is_one_line_whatever_the_payload_looks_like() {
        let event = |payload: &str| Event {
            event_id: 5,
            system_id: SystemId::new(30_000_142).expect("positive"),
            killmail_id: crate::killmail::KillmailId::new(1).expect("positive"),
            payload: payload.to_owned(),
        };
        for payload in ["{\n  \"a\": \"x\\n\"\r\n}", "not JSON", ""] {
            let entry = Entry::of(event(payload));
            assert!(!entry.data.contains(['\n', '\r']), "{:?}", entry.data);
            assert!(entry.data.starts_with(r#"{"event_id":5,"system_id":30000142,"killmail":"#));
            serde_json::from_str::<serde_json::Value>(&entry.data).expect("an object");
        }
    }
}
