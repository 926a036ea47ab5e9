//! Kills from a queue that keeps them for this reader alone: EVE-KILL's, or any that works as zKillboard's RedisQ did.
//!
//! The queue's name is drawn at random once and kept as a checkpoint (`redisq/<pipeline>`): so the queue goes on where it was within the three hours that it
//! remembers. What it has handed out it does not hand out again, so that a crash may cost the kills in flight. Packages come without a killmail nowadays:
//! it is fetched from ESI before the kill is handed over. What cannot be had goes on as it came, to end as a dead letter that names id and hash.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Demand, Factory, Failure, Flow, Message, Source, ack};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use metrics::{Gauge, gauge};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::clients::backoff::Backoff;
use crate::clients::redisq::{self as client, Client, Poll, Reference};
use crate::killmail::{Kill, KillmailHash, KillmailId};
use crate::resources::Resources;
use crate::store::Store;

/// The name in metrics, and in the column `source`.
const NAME: &str = "redisq";
/// After a refusal without a time: it doubles with each one in a row.
const REFUSED_WAIT: Duration = Duration::from_secs(10);
const REFUSED_MOST: Duration = Duration::from_secs(10 * 60);
/// Attempts to get a killmail.
const BODY_TRIES: u32 = 5;

/// `[source.redisq]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the queue: of its script, or of the script's folder.
    pub url: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: client::URL.to_owned() }
    }
}

/// Where killmails are to be had by id and hash.
#[async_trait]
pub trait Killmails: Send + Sync {
    /// One attempt, as ESI answers it.
    async fn killmail(&self, id: KillmailId, hash: KillmailHash) -> Result<Bytes, Failure>;
}

impl Config {
    /// The source of this pipeline, which asks `killmails` for what the packages lack.
    ///
    /// # Errors
    /// A sentence for the operator: no address, no contact for a foreign host.
    pub fn open(
        &self,
        pipeline: &str,
        resources: &Resources,
        killmails: Option<Arc<dyn Killmails>>,
    ) -> Result<Redisq, String> {
        let client = self.client(resources.contact.as_deref())?;
        let labels = [("pipeline", pipeline.to_owned()), ("source", NAME.to_owned())];
        let connected = gauge!("broadside_source_connected", &labels);
        let key = format!("{NAME}/{pipeline}");
        Ok(Redisq { client, store: resources.store.clone(), key, killmails, connected })
    }

    /// Whether it can work, as far as can be told without asking the service.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn check(&self, contact: Option<&str>) -> Result<(), String> {
        self.client(contact).map(drop)
    }

    fn client(&self, contact: Option<&str>) -> Result<Client, String> {
        Client::new(&self.url, contact).map_err(|error| format!("failed to {error}"))
    }
}

/// Builds the source.
pub struct Redisq {
    client: Client,
    store: Arc<dyn Store>,
    key: String,
    killmails: Option<Arc<dyn Killmails>>,
    connected: Gauge,
}

impl std::fmt::Debug for Redisq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redisq").field("client", &self.client).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Redisq {
    /// The queue's name: the one that is kept, or a new one that is kept from now on.
    async fn queue(&self) -> Result<String, Failure> {
        let failed = |error: crate::store::Error| Failure::transient(format!("keep the queue's name: {error}"));
        let is_name = |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if let Some(name) = self.store.checkpoint(&self.key).await.map_err(failed)?.filter(is_name) {
            return Ok(name);
        }
        let name = format!("broadside{:032x}", rand::random::<u128>());
        self.store.set_checkpoint(&self.key, Some(&name)).await.map_err(failed)?;
        Ok(name)
    }
}

#[async_trait]
impl Factory<Kill> for Redisq {
    async fn build(&self, index: usize) -> Result<Box<dyn Source<Kill>>, Failure> {
        if index > 0 {
            return Err(Failure::permanent("read a queue twice at once: one producer is all there can be"));
        }
        Ok(Box::new(Reader {
            client: self.client.clone(),
            queue: self.queue().await?,
            killmails: self.killmails.clone(),
            connected: self.connected.clone(),
            work: None,
            not_before: Instant::now(),
            backoff: Backoff::default(),
            troubles: 0,
            not_found: 0,
            is_closed: false,
        }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Kill>> {
        Arc::new(ack::Noop)
    }
}

/// What a step of the work came to.
enum Turn {
    Polled(Poll),
    Completed(Bytes, Result<(), Failure>),
}

/// One poll, or one killmail, at a time.
struct Reader {
    client: Client,
    queue: String,
    killmails: Option<Arc<dyn Killmails>>,
    connected: Gauge,
    /// Outlives the pull that began it: it may hold a kill that will not come again.
    work: Option<BoxFuture<'static, Turn>>,
    not_before: Instant,
    backoff: Backoff,
    /// Polls in a row that brought nothing right.
    troubles: u32,
    /// Polls that found nothing at the address.
    not_found: usize,
    is_closed: bool,
}

#[async_trait]
impl Source<Kill> for Reader {
    async fn pull(&mut self, demand: &mut Demand<Kill>) -> Result<Flow, Failure> {
        if self.is_closed {
            return Ok(Flow::Finished);
        }
        while demand.is_empty() && demand.room() > 0 && !demand.is_interrupted() {
            if self.work.is_none() && self.not_before <= Instant::now() {
                let (client, queue, tries) = (self.client.clone(), self.queue.clone(), self.not_found);
                self.work = Some(async move { Turn::Polled(client.poll(&queue, tries).await) }.boxed());
            }
            let not_before = self.not_before;
            let turned = async {
                match &mut self.work {
                    Some(work) => Some(work.await),
                    None => {
                        tokio::time::sleep_until(not_before).await;
                        None
                    }
                }
            };
            tokio::select! {
                biased;
                () = demand.interrupted() => break,
                turn = turned => match turn {
                    Some(turn) => self.take(turn, demand),
                    None => continue,
                },
            }
        }
        Ok(Flow::More)
    }

    async fn close(&mut self) {
        self.is_closed = true;
        self.work = None;
    }
}

impl Reader {
    fn take(&mut self, turn: Turn, demand: &mut Demand<Kill>) {
        self.work = None;
        match turn {
            Turn::Polled(Poll::Trouble { problem, wait, refused }) => self.trouble(&problem, wait, refused),
            Turn::Polled(Poll::NotFound) => {
                // An object of the queue that has expired, or the other form of the address.
                self.not_found += 1;
                self.trouble("find the queue: the answer is 404", None, false);
            }
            Turn::Polled(found) => {
                self.works();
                match found {
                    Poll::Kill(raw) => demand.push(message(raw)),
                    Poll::Reference(reference) => self.complete(reference, demand),
                    Poll::Nothing | Poll::NotFound | Poll::Trouble { .. } => {}
                }
            }
            Turn::Completed(raw, outcome) => {
                let mut message = message(raw);
                if let Err(failure) = outcome {
                    message.fail(failure);
                }
                demand.push(message);
            }
        }
    }

    fn complete(&mut self, reference: Reference, demand: &mut Demand<Kill>) {
        match self.killmails.clone() {
            Some(killmails) => self.work = Some(complete(killmails, reference).boxed()),
            None => demand.push(message(reference.raw)),
        }
    }

    fn works(&mut self) {
        if std::mem::take(&mut self.troubles) > 1 {
            tracing::info!(source = NAME, "the queue answers again");
        }
        self.backoff.reset();
        self.connected.set(1.0);
    }

    fn trouble(&mut self, problem: &str, wait: Option<Duration>, refused: bool) {
        let chance: f64 = rand::random();
        let own = if refused {
            let doubled = REFUSED_WAIT.saturating_mul(1 << self.troubles.min(16)).min(REFUSED_MOST);
            doubled + doubled.mul_f64(chance / 2.0)
        } else {
            self.backoff.next(chance)
        };
        let wait = wait.map_or(own, |asked| asked.max(if refused { Duration::from_secs(1) } else { own }));
        self.troubles += 1;
        // One failure is no news, and each try of a long one neither.
        if self.troubles == 2 || refused && self.troubles == 1 {
            tracing::warn!(source = NAME, error = problem, ?wait, "the queue cannot be read now");
        } else {
            tracing::debug!(source = NAME, error = problem, ?wait, troubles = self.troubles, "no right answer");
        }
        self.client.decided(if refused { "paused" } else { "retried" });
        self.connected.set(0.0);
        self.not_before = Instant::now() + wait;
    }
}

/// Gets the killmail, again and again while that may help.
async fn complete(killmails: Arc<dyn Killmails>, reference: Reference) -> Turn {
    let mut backoff = Backoff::default();
    let mut tries = 1;
    loop {
        match killmails.killmail(reference.killmail_id, reference.hash).await {
            Ok(killmail) => return Turn::Completed(reference.with_killmail(&killmail), Ok(())),
            Err(failure) if failure.class != broadside_engine::Class::Transient || tries == BODY_TRIES => {
                return Turn::Completed(reference.raw, Err(failure));
            }
            Err(_) => tokio::time::sleep(backoff.next(rand::random())).await,
        }
        tries += 1;
    }
}

fn message(raw: Bytes) -> Message<Kill> {
    Message::new(Kill::new(raw, NAME, Timestamp::now(), false))
}
