//! How `eventsource-client` reaches the network: reqwest underneath, [`Frames`] in between, and a watch over both.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use launchdarkly_sdk_transport::{ByteStream, HttpTransport, Request, Response, ResponseFuture, TransportError};
use sync_wrapper::{SyncFuture, SyncStream};
use tokio::time::Instant;

use crate::clients::frames::Frames;
use crate::clients::pulse::Pulse;

/// Frames beyond this come cut. The largest kill there can be, 10,000 attackers with names, is about 4 MB; a batch holds 50 kills.
const FRAME_MAX: usize = 16 * 1024 * 1024;
/// How long the answer's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What went over the wire, as far as the parser does not tell.
#[derive(Debug)]
pub(super) struct Watch {
    seen: Mutex<Seen>,
    pulse: Pulse,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// When the last byte came, of whatever meaning.
    pub(super) last_byte: Instant,
    /// The server's `retry:`.
    pub(super) retry: Option<Duration>,
    /// The stream ended inside a frame.
    pub(super) ended_inside_frame: bool,
}

impl Watch {
    pub(super) fn new(pulse: Pulse) -> Self {
        let seen = Seen { last_byte: Instant::now(), retry: None, ended_inside_frame: false };
        Self { seen: Mutex::new(seen), pulse }
    }

    pub(super) fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Made anew for each connection, so that its watch tells of that connection alone.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) watch: Arc<Watch>,
}

/// The head did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("get an answer within {HEAD_TIMEOUT:?}")]
struct NoAnswer;

/// The answer is a page, not a stream (a proxy's, say).
#[derive(Debug, thiserror::Error)]
#[error("get an event stream: the answer is {0:?}")]
struct NotAStream(String);

impl HttpTransport for Transport {
    fn request(&self, request: Request<Option<Bytes>>) -> ResponseFuture {
        let Self { http, watch } = self.clone();
        let (head, _) = request.into_parts();
        let request = http.request(head.method, head.uri.to_string()).headers(head.headers);
        Box::pin(SyncFuture::new(async move {
            let answer = tokio::time::timeout(HEAD_TIMEOUT, request.send()).await;
            let answer = answer.map_err(|_| TransportError::new(NoAnswer))?.map_err(TransportError::new)?;
            respond(answer, watch)
        }))
    }
}

/// Only a success is cut into frames: the text of a refusal goes through as it is.
fn respond(answer: reqwest::Response, watch: Arc<Watch>) -> Result<Response<ByteStream>, TransportError> {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let kind = headers.get("content-type").map(|kind| String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase());
    let body = answer.bytes_stream().map(|chunk| chunk.map_err(TransportError::new));
    let body: ByteStream = match kind {
        _ if !status.is_success() => Box::pin(SyncStream::new(body)),
        Some(kind) if !kind.starts_with("text/event-stream") => {
            return Err(TransportError::new(NotAStream(super::super::printable(&kind))));
        }
        _ => Box::pin(SyncStream::new(Box::pin(frames(body, watch, FRAME_MAX)))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// One item a frame, read from the socket only as they are asked for.
fn frames(
    body: impl Stream<Item = Result<Bytes, TransportError>> + Unpin,
    watch: Arc<Watch>,
    frame_max: usize,
) -> impl Stream<Item = Result<Bytes, TransportError>> {
    watch.update(|seen| seen.last_byte = Instant::now());
    stream::try_unfold((body, Bytes::new(), Frames::new(frame_max)), move |(mut body, mut chunk, mut frames)| {
        let watch = watch.clone();
        async move {
            loop {
                if let Some(frame) = frames.take(&mut chunk).map_err(TransportError::new)? {
                    if frame.cut {
                        tracing::error!(bytes = frame.bytes.len(), "a frame is too large: only its beginning is kept");
                    }
                    watch.update(|seen| seen.retry = frames.retry());
                    return Ok(Some((frame.bytes, (body, chunk, frames))));
                }
                let next = body.next().await;
                let now = Instant::now();
                if matches!(next, Some(Ok(_))) {
                    watch.pulse.heard(now);
                }
                watch.update(|seen| {
                    seen.last_byte = now;
                    seen.retry = frames.retry();
                    seen.ended_inside_frame = !matches!(next, Some(Ok(_))) && frames.is_inside_frame();
                });
                match next {
                    Some(bytes) => chunk = bytes?,
                    None => return Ok(None),
                }
            }
        }
    })
}
