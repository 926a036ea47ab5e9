//! `GET /api/killfeed/stream`: events as server-sent events, from a start on, for ever.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::State;
use super::super::error::ApiError;
use super::limits::Peer;
use super::query::{Pairs, pairs, systems};
use super::reader::{Item, Reader, Start};

const PING: Duration = Duration::from_secs(15);

pub(in crate::http) async fn stream(
    Extract(state): Extract<State>,
    peer: Peer,
    query: Pairs,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let pairs = pairs(query)?;
    let systems = systems(&pairs)?;
    let start = start(&pairs, &headers)?;
    let place = (state.limits.stream(peer)?, state.streams.enter()?);
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
}
