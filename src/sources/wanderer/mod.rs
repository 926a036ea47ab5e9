//! Live killmails from a wanderer-kills service.
//!
//! The service sends each kill at least once (in fact mostly twice), in any order, and only to those who are connected: it
//! cannot hand out anything again. Its form of a kill has names, but neither items nor factions. Connections are kept by
//! the client, which reconnects by itself: for this source there is no error, only silence.
//!
//! While the breaker has tripped and probes fail, what has piled up in buffers would be tried one message a second, for hours. So of what waits, that which
//! cannot be decoded is then passed over and counted, up to the first kill or to the newest message: a probe tells what the feed sends now, and no kill is lost.

pub mod events;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Demand, Factory, Failure, Flow, Message, Source, ack};
use bytes::Bytes;
use futures::FutureExt;
use metrics::Counter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use crate::clients::pulse::Pulse;
use crate::clients::wanderer::{Event, Feed, Gauges, Subscription};
use crate::duration::Span;
use crate::killmail::{Kill, wire};

use events::Content;

/// The name in metrics, and in the column `source`.
pub(super) const NAME: &str = "wanderer";

/// Passing over takes no longer than this in one pull.
const PASSING_MAX: Duration = Duration::from_millis(250);
/// Nothing more for this long: there is nothing left to pass over.
const QUIET_AFTER: Duration = Duration::from_millis(20);

/// `[source.wanderer]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Base address of the service, such as `http://127.0.0.1:4004`.
    pub url: String,
    /// Which of its two streams. `enhanced` applies every filter; `basic` only `system_ids`.
    pub stream: Stream,
    /// Only kills in these systems (at most 100); none given: everywhere.
    #[schemars(length(max = 100))]
    pub system_ids: Vec<i64>,
    /// Only kills with these characters (at most 100).
    #[schemars(length(max = 100))]
    pub character_ids: Vec<i64>,
    /// Only kills worth at least this many ISK.
    #[schemars(range(min = 0))]
    pub min_value: Option<f64>,
    /// Days of history to ask for on each connection (at most 90).
    #[schemars(range(max = 90))]
    pub preload_days: u32,
    /// A connection without a single byte for this long is made anew.
    pub idle_timeout: Span,
}

/// The two streams of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Plain kills, and a comment every 10 s of silence.
    #[default]
    Basic,
    /// Named events, history in batches, a heartbeat every 30 s.
    Enhanced,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            stream: Stream::Basic,
            system_ids: Vec::new(),
            character_ids: Vec::new(),
            min_value: None,
            preload_days: 0,
            idle_timeout: Span::from_secs(45),
        }
    }
}

impl Config {
    /// The source of this pipeline (its name goes into the metrics).
    ///
    /// # Errors
    /// A sentence for the operator: no address, a filter beyond what the service takes, no contact for a foreign host.
    pub fn factory(&self, pipeline: &str, contact: Option<&str>) -> Result<Wanderer, String> {
        if self.idle_timeout.0 < Duration::from_secs(1) {
            return Err(format!(
                "use an idle_timeout of {}: less than 1s would reconnect all the time",
                self.idle_timeout
            ));
        }
        let subscription = Subscription {
            url: self.url.clone(),
            enhanced: self.stream == Stream::Enhanced,
            system_ids: self.system_ids.clone(),
            character_ids: self.character_ids.clone(),
            min_value: self.min_value,
            preload_days: self.preload_days,
            idle_timeout: self.idle_timeout.0,
            contact: contact.map(str::to_owned),
        };
        subscription.check().map_err(|error| error.to_string())?;
        let labels = [("pipeline", pipeline.to_owned()), ("source", NAME.to_owned())];
        let gauges = Gauges {
            connected: metrics::gauge!("broadside_source_connected", &labels),
            cut_frames: metrics::counter!("broadside_source_cut_frames_total", &labels),
            pulse: Pulse::default(),
        };
        let [pipeline, source] = labels;
        let skipped =
            metrics::counter!("broadside_source_skipped_total", &[pipeline, source, ("reason", "undecodable".into())]);
        Ok(Wanderer { subscription, gauges, skipped })
    }
}

/// Builds the source.
#[derive(Debug)]
pub struct Wanderer {
    subscription: Subscription,
    gauges: Gauges,
    skipped: Counter,
}

impl Wanderer {
    /// Signs of life of the feed.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.gauges.pulse.clone()
    }
}

#[async_trait]
impl Factory<Kill> for Wanderer {
    async fn build(&self, _index: usize) -> Result<Box<dyn Source<Kill>>, Failure> {
        let feed = Feed::new(&self.subscription, self.gauges.clone());
        let feed = feed.map_err(|error| Failure::permanent(error.to_string()))?;
        Ok(Box::new(Reader { feed: Some(feed), ready: VecDeque::new(), skipped: self.skipped.clone(), passed: 0 }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Kill>> {
        Arc::new(ack::Noop)
    }
}

/// Takes from the socket what there is demand for. Beyond it, it holds the rest of one batch frame at most.
struct Reader {
    /// `None` once closed.
    feed: Option<Feed>,
    ready: VecDeque<Bytes>,
    skipped: Counter,
    /// Messages passed over since probes began to fail.
    passed: u64,
}

#[async_trait]
impl Source<Kill> for Reader {
    async fn pull(&mut self, demand: &mut Demand<Kill>) -> Result<Flow, Failure> {
        if demand.is_distrustful() {
            self.pass_over(demand).await;
        } else if self.passed > 0 {
            tracing::info!(passed_over = self.passed, "a probe succeeded: nothing is passed over any more");
            self.passed = 0;
        }
        let Some(feed) = &mut self.feed else { return Ok(Flow::Finished) };
        loop {
            hand_over(&mut self.ready, demand);
            if demand.room() == 0 {
                return Ok(Flow::More);
            }
            let event = if demand.is_empty() {
                tokio::select! {
                    biased;
                    () = demand.interrupted() => None,
                    event = feed.next() => Some(event),
                }
            } else {
                already_there(feed).await
            };
            match event {
                Some(event) => self.ready.extend(bodies(event)),
                None => return Ok(Flow::More),
            }
        }
    }

    async fn close(&mut self) {
        self.feed = None;
    }
}

impl Reader {
    /// Passes over what cannot be decoded as long as more waits behind it.
    async fn pass_over(&mut self, demand: &Demand<Kill>) {
        let Some(feed) = &mut self.feed else { return };
        let until = Instant::now() + PASSING_MAX;
        let mut passed = 0;
        while Instant::now() < until && !demand.is_interrupted() {
            match self.ready.front() {
                Some(first) if wire::decode(first).is_ok() => break,
                Some(_) if self.ready.len() > 1 => {
                    self.ready.pop_front();
                    passed += 1;
                }
                _ => match timeout(QUIET_AFTER, feed.next()).await {
                    Ok(event) => self.ready.extend(bodies(event)),
                    Err(_) => break,
                },
            }
        }
        if passed > 0 && self.passed == 0 {
            tracing::warn!(
                "passing over what cannot be decoded and has waited: probes fail, and what the feed sends now is to be tried"
            );
        }
        self.passed += passed;
        self.skipped.increment(passed);
    }
}

/// The next event if it has arrived: what has not must not hold up what was pushed.
async fn already_there(feed: &mut Feed) -> Option<Event> {
    if let Some(event) = feed.next().now_or_never() {
        return Some(event);
    }
    // The connection is a task of its own, and hands over one piece at a time: let it run, or every pull would end at one kill.
    tokio::task::yield_now().await;
    feed.next().now_or_never()
}

fn hand_over(ready: &mut VecDeque<Bytes>, demand: &mut Demand<Kill>) {
    let count = ready.len().min(demand.room());
    if count > 0 {
        let now = jiff::Timestamp::now();
        demand.reserve(count);
        for raw in ready.drain(..count) {
            demand.push(Message::new(Kill::new(raw, NAME, now, false)));
        }
    }
}

fn bodies(event: Event) -> Vec<Bytes> {
    match events::kills(&event.kind, event.data) {
        Content::Kills(kills) => kills,
        Content::State => Vec::new(),
        Content::Complaint(said) => {
            tracing::warn!(said, "the feed reports an error");
            Vec::new()
        }
    }
}
