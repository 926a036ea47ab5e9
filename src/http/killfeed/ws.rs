//! `GET /api/killfeed/ws`: events over a WebSocket, of topics that come and go.
//!
//! | the client sends | it gets |
//! |---|---|
//! | `{"subscribe":["system:30000142"]}`, also with `"last_event_id":N` to start after an event, or `{"unsubscribe":[…]}`, or both | `{"event":"subscribed","topics":[…]}`: all of them from now on; with `event_id`, after which the new ones begin |
//! | what cannot be read | `{"event":"error","message"}`: nothing has changed |
//! | | `{"event":"killmail","topic","event_id","system_id","killmail"}`, once for each event, with the narrowest of its topics |
//! | | `{"event":"gap","oldest"}`: events were collected before they could be sent |

use std::time::Duration;

use axum::extract::State as Extract;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::super::State;
use super::super::error::ApiError;
use super::Place;
use super::feed::{Feed, Refused};
use super::limits::Peer;
use super::query::{self, Pairs, TOPICS_MAX, pairs};
use super::reader::{Item, Start};
use super::topic::Topic;
use crate::store::Commit;

/// The largest message that is read: a thousand topics have 20 kB.
const MESSAGE_MAX: usize = 64 << 10;
/// A message that is larger than this is read in pieces.
const READ_BUFFER: usize = 4 << 10;
const PING: Duration = Duration::from_secs(15);
/// Pings without an answer before a socket is given up.
const UNANSWERED_MAX: u32 = 3;
/// For the last word.
const FAREWELL: Duration = Duration::from_secs(1);

pub(in crate::http) async fn ws(
    Extract(state): Extract<State>,
    peer: Peer,
    query: Pairs,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let pairs = pairs(query)?;
    query::only(&pairs, &["client_id", "commit", "from"])?;
    let client = query::client(&pairs, Commit::Explicit)?;
    // No rule of the browser's keeps a page of another site from reading a socket.
    state.access.check_site(&headers)?;
    if client.is_some() {
        state.access.check(&headers)?;
    }
    let upgrade = upgrade.map_err(|why| ApiError::bad_request(format!("this is for WebSockets: {why}")))?;
    let place = state.streams.enter(&state.limits, peer)?;
    let talk = Talk {
        feed: Feed::open(&state.tail, client),
        closing: state.streams.closing.clone(),
        unanswered: 0,
        _place: place,
    };
    let upgrade = upgrade.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX);
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let sockets = state.streams.sockets.clone();
    Ok(upgrade.on_upgrade(move |socket| sockets.track_future(talk.run(socket))))
}

/// What a client may say.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    unsubscribe: Vec<String>,
    last_event_id: Option<i64>,
}

/// Why a socket ends. What the other side does not tell it is told, if it still listens.
enum Ended {
    /// The other side is gone, says nothing, or takes nothing.
    Gone,
    Told(u16, &'static str),
}

struct Talk {
    feed: Feed,
    closing: CancellationToken,
    unanswered: u32,
    _place: Place,
}

impl Talk {
    async fn run(mut self, mut socket: WebSocket) {
        let Err(ended) = self.talk(&mut socket).await;
        if let Ended::Told(code, reason) = ended {
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            let _ = timeout(FAREWELL, socket.send(Message::Close(Some(frame)))).await;
        }
    }

    async fn talk(&mut self, socket: &mut WebSocket) -> Result<std::convert::Infallible, Ended> {
        let closing = self.closing.clone();
        let mut pings = interval_at(Instant::now() + PING, PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = closing.cancelled() => return Err(Ended::Told(close_code::AWAY, "the worker is being stopped")),
                received = socket.recv() => {
                    self.unanswered = 0;
                    if let Some(answer) = self.hear(received).await? {
                        self.send(socket, answer).await?;
                    }
                }
                item = self.feed.next() => self.send(socket, told(&item)).await?,
                _ = pings.tick() => {
                    if self.unanswered == UNANSWERED_MAX {
                        return Err(Ended::Gone);
                    }
                    self.unanswered += 1;
                    self.feed.tick().await;
                    // So that what is followed does not fall behind where nothing happens.
                    self.feed.position();
                    self.send(socket, Message::Ping(Default::default())).await?;
                }
            }
        }
    }

    async fn send(&mut self, socket: &mut WebSocket, message: Message) -> Result<(), Ended> {
        match self.closing.run_until_cancelled(socket.send(message)).await {
            None => Err(Ended::Told(close_code::AWAY, "the worker is being stopped")),
            Some(sent) => sent.map_err(|_| Ended::Gone),
        }
    }

    /// What came, and what is answered.
    async fn hear(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<Option<Message>, Ended> {
        let answer = match received {
            None | Some(Ok(Message::Close(_))) => return Err(Ended::Gone),
            Some(Err(error)) => {
                tracing::debug!(%error, "a socket of the killfeed broke off");
                return Err(Ended::Told(close_code::POLICY, "this is no message, or it is larger than 64 KiB"));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(None),
            Some(Ok(Message::Binary(_))) => Err("messages are text".to_owned()),
            Some(Ok(Message::Text(text))) => self.change(&text).await,
        };
        let answer = answer.unwrap_or_else(|message| json!({"event": "error", "message": message}).to_string());
        Ok(Some(Message::Text(answer.into())))
    }

    /// Changes the topics as asked, all or nothing; answers which are followed then, or why nothing has changed.
    async fn change(&mut self, text: &str) -> Result<String, String> {
        let wish: Wish = serde_json::from_str(text).map_err(|error| format!("cannot read the message: {error}"))?;
        if wish.subscribe.is_empty() && wish.unsubscribe.is_empty() {
            return Err("it names no topic to subscribe or unsubscribe".to_owned());
        }
        let (add, remove) = (topics(&wish.subscribe)?, topics(&wish.unsubscribe)?);
        let mut all = self.feed.topics();
        all.retain(|topic| !remove.contains(topic));
        all.extend(&add);
        all.sort_unstable();
        all.dedup();
        if all.len() > TOPICS_MAX {
            return Err(format!("at most {TOPICS_MAX} topics"));
        }
        let start = match wish.last_event_id {
            None => Start::Now,
            Some(id @ 0..) => Start::After(id),
            Some(_) => return Err("last_event_id is not the id of an event: a number from 0".to_owned()),
        };
        let mut after = None;
        if !add.is_empty() {
            after = self.feed.follow(&add, start).await.map_err(|error| error.to_string())?;
        }
        self.feed.leave(&remove);
        let topics: Vec<String> = self.feed.topics().iter().map(Topic::to_string).collect();
        let mut answer = json!({"event": "subscribed", "topics": topics});
        if let Some(after) = after {
            answer["event_id"] = after.into();
        }
        Ok(answer.to_string())
    }
}

fn topics(names: &[String]) -> Result<Vec<Topic>, String> {
    let parse = |name: &String| {
        let shown: String = name.chars().take(40).collect();
        Topic::parse(name).ok_or_else(|| format!("{shown:?} is no topic: all, system:ID, region:ID or profile:ID"))
    };
    names.iter().map(parse).collect()
}

fn told(item: &Item) -> Message {
    match item {
        Item::Event(entry, topic) => {
            metrics::counter!("broadside_stream_events_total").increment(1);
            Message::Text(entry.message(*topic))
        }
        Item::Gap { oldest } => Message::Text(json!({"event": "gap", "oldest": oldest}).to_string().into()),
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotSystems => Self::bad_request(refused.to_string()),
            Refused::Store(error) => super::poll::refused(error),
        }
    }
}
