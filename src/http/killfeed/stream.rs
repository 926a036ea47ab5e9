//! `GET /api/killfeed/stream`: server-sent events, from a start on, for ever.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::super::State;
use super::super::error::ApiError;
use super::Place;
use super::feed::Feed;
use super::limits::Peer;
use super::query::{self, Pairs, pairs};
use super::reader::Item;
use crate::store::Commit;

const PING: Duration = Duration::from_secs(15);

pub(in crate::http) async fn stream(
    Extract(state): Extract<State>,
    peer: Peer,
    query: Pairs,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let pairs = pairs(query)?;
    query::only(&pairs, &["systems", "regions", "profiles", "last_event_id", "client_id", "commit", "from"])?;
    let (topics, start) = (query::topics(&pairs)?, query::start(&pairs, &headers)?);
    let client = query::client(&pairs, Commit::Explicit)?;
    if client.is_some() {
        // It makes offsets, and may move them.
        state.access.check(&headers)?;
    }
    let place = state.streams.enter(&state.limits, peer)?;
    let mut feed = Feed::open(&state.tail, client);
    feed.follow(&topics, start).await?;
    let sending = Sending { feed, closing: state.streams.closing.clone(), _place: place };
    let frames = futures::stream::unfold(sending, |mut sending| async move {
        let frame = sending.frame().await?;
        Some((Ok::<_, Infallible>(frame), sending))
    });
    let kind = (CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Tells a proxy (nginx) to pass events on as they come.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(([kind, unbuffered], Body::from_stream(frames)).into_response())
}

struct Sending {
    feed: Feed,
    closing: CancellationToken,
    _place: Place,
}

impl Sending {
    /// The next piece of the stream; `None` when the worker stops.
    async fn frame(&mut self) -> Option<Bytes> {
        let next = tokio::time::timeout(PING, self.feed.next());
        match self.closing.run_until_cancelled(next).await? {
            Ok(Item::Event(entry, _)) => {
                metrics::counter!("broadside_stream_events_total").increment(1);
                Some(entry.frame.clone())
            }
            Ok(Item::Gap { oldest }) => Some(format!("event: gap\ndata: {{\"oldest\":{oldest}}}\n\n").into()),
            Err(_) => {
                self.feed.tick().await;
                Some(ping(self.feed.position()))
            }
        }
    }
}

/// A comment, with the id that a browser is to resume from: where little happens, the last event may be long gone by then.
fn ping(position: Option<i64>) -> Bytes {
    match position {
        Some(id) => format!(": ping\nid: {id}\n\n").into(),
        None => Bytes::from_static(b": ping\n\n"),
    }
}
