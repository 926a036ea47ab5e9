//! One connection to the feed at a time, for ever.

use std::sync::Arc;
use std::time::Duration;

use eventsource_client::{BoxStream, Client, ClientBuilder, ReconnectOptions, SSE};
use futures::StreamExt;
use launchdarkly_sdk_transport::ByteStream;
use metrics::{Counter, Gauge};
use tokio::time::Instant;

use super::problem::{Problem, explanation};
use super::transport::{Transport, Watch};
use super::{Error, Subscription};
use crate::clients::address;
use crate::clients::backoff::Backoff;
use crate::clients::pulse::Pulse;

/// A connection that held this long was a good one, even if no kill came.
const GOOD_AFTER: Duration = Duration::from_secs(30);
/// Longer ids than this are not echoed.
const EVENT_ID_MAX: usize = 200;

/// One event as the feed sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `message` unless the feed named it.
    pub kind: String,
    /// All `data:` lines, joined by line feeds. Bytes that were no UTF-8 are U+FFFD.
    pub data: String,
}

/// What happens to a feed, for whoever counts.
#[derive(Debug, Clone)]
pub struct Gauges {
    /// 1 while connected.
    pub connected: Gauge,
    /// Frames of which only a part came: their kills are lost, for the service does not repeat them.
    pub cut_frames: Counter,
    /// Signs of life, for a `failover` around it.
    pub pulse: Pulse,
}

/// The stream of events across connections.
///
/// It reads from the socket only while [`next`](Self::next) is polled: a caller that stops asking stops the server.
pub struct Feed {
    url: String,
    name: String,
    http: reqwest::Client,
    idle_timeout: Duration,
    gauges: Gauges,
    state: State,
    backoff: Backoff,
    last_event_id: Option<String>,
}

enum State {
    Waiting(Instant),
    Open(Connection),
}

struct Connection {
    events: BoxStream<eventsource_client::Result<SSE>>,
    watch: Arc<Watch>,
    connected_at: Option<Instant>,
    has_delivered: bool,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("url", &self.name).finish_non_exhaustive()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.gauges.connected.set(0.0);
    }
}

impl Feed {
    /// Not connected yet: the first [`next`](Self::next) does that.
    ///
    /// # Errors
    /// The subscription cannot work.
    pub fn new(subscription: &Subscription, gauges: Gauges) -> Result<Self, Error> {
        let url = subscription.stream_url()?;
        let user_agent = crate::clients::user_agent(subscription.contact.as_deref());
        // A compressed stream holds events back, so none is asked for.
        let http = crate::clients::http(&url, &user_agent)
            .no_gzip()
            .build()
            .map_err(|e| address::Error::Http(e.to_string()))?;
        let name = address::shown(url.as_str());
        builder(url.as_str()).map_err(|error| address::Error::Bad { url: name.clone(), reason: error.to_string() })?;
        gauges.connected.set(0.0);
        Ok(Self {
            name,
            url: url.into(),
            http,
            idle_timeout: subscription.idle_timeout,
            gauges,
            state: State::Waiting(Instant::now()),
            backoff: Backoff::default(),
            last_event_id: None,
        })
    }

    /// The next event, however many connections it takes. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Event {
        // Time in which nobody asked does not count as the server's silence.
        let asked_at = Instant::now();
        loop {
            let step = match &mut self.state {
                State::Waiting(until) => {
                    tokio::time::sleep_until(*until).await;
                    self.state = State::Open(self.connect());
                    continue;
                }
                State::Open(connection) => connection.next(asked_at, self.idle_timeout).await,
            };
            match step {
                Ok(SSE::Connected(_)) => {
                    tracing::info!(url = %self.name, "connected to the feed");
                    self.gauges.connected.set(1.0);
                    self.gauges.pulse.connected(Instant::now());
                }
                Ok(SSE::Event(event)) => {
                    self.last_event_id = event.id.filter(|id| is_echoable(id));
                    return Event { kind: event.event_type, data: event.data };
                }
                Ok(SSE::Comment(_)) => {}
                Err(step) => self.disconnected(step).await,
            }
        }
    }

    /// Notes the wait before anything else, so that a dropped future cannot hurry the next attempt.
    async fn disconnected(&mut self, (problem, body): (Problem, Option<ByteStream>)) {
        if let State::Open(connection) = &self.state {
            let seen = connection.watch.seen();
            if let Some(retry) = seen.retry {
                self.backoff.set_base(retry);
            }
            if connection.was_good() {
                self.backoff.reset();
            }
            if connection.connected_at.is_some() && seen.ended_inside_frame {
                self.gauges.cut_frames.increment(1);
            }
        }
        let chance = rand::random();
        let least = problem.least_wait();
        let wait = self.backoff.next(chance).max(least + least.mul_f64(chance / 10.0));
        self.state = State::Waiting(Instant::now() + wait);
        self.gauges.connected.set(0.0);
        self.gauges.pulse.lost(problem.to_string());
        let said = match body {
            Some(body) => explanation(body).await,
            None => String::new(),
        };
        let said = if said.is_empty() { said } else { format!(" ({said})") };
        tracing::warn!(url = %self.name, ?wait, "failed to {problem}{said}; reconnecting");
    }

    fn connect(&self) -> Connection {
        let watch = Arc::new(Watch::new(self.gauges.pulse.clone()));
        let transport = Transport { http: self.http.clone(), watch: watch.clone() };
        let events = match builder(&self.url) {
            Ok(builder) => match &self.last_event_id {
                Some(id) => builder.last_event_id(id.clone()).build_with_transport(transport).stream(),
                None => builder.build_with_transport(transport).stream(),
            },
            Err(error) => Box::pin(futures::stream::iter([Err(error)])),
        };
        Connection { events, watch, connected_at: None, has_delivered: false }
    }
}

/// Reconnecting is ours: the client's own would neither see a bare `retry:` nor a `Retry-After`.
fn builder(url: &str) -> eventsource_client::Result<ClientBuilder> {
    let alone = ReconnectOptions::reconnect(false).retry_initial(false).build();
    Ok(ClientBuilder::for_url(url)?.redirect_limit(0).reconnect(alone))
}

/// Fit for a header.
fn is_echoable(id: &str) -> bool {
    !id.is_empty() && id.len() <= EVENT_ID_MAX && id.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

impl Connection {
    async fn next(&mut self, asked_at: Instant, idle_timeout: Duration) -> Result<SSE, (Problem, Option<ByteStream>)> {
        loop {
            // Until the head is there, the transport has its own, shorter bounds.
            let deadline = self.watch.seen().last_byte.max(asked_at) + idle_timeout;
            let event = tokio::select! {
                biased;
                event = self.events.next() => event,
                () = tokio::time::sleep_until(deadline), if self.connected_at.is_some() => {
                    if self.watch.seen().last_byte.max(asked_at) + idle_timeout <= deadline {
                        return Err((Problem::Silence(idle_timeout), None));
                    }
                    continue;
                }
            };
            let event = event.unwrap_or(Err(eventsource_client::Error::Eof)).map_err(Problem::of)?;
            match &event {
                SSE::Connected(_) => self.connected_at = Some(Instant::now()),
                // A greeting alone proves nothing: a server that breaks right after it must not be hurried.
                SSE::Event(event) if event.event_type != "connected" => self.has_delivered = true,
                _ => {}
            }
            return Ok(event);
        }
    }

    fn was_good(&self) -> bool {
        self.has_delivered || self.connected_at.is_some_and(|since| since.elapsed() >= GOOD_AFTER)
    }
}
