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
use crate::clients::esi::{Ask, Esi};
use crate::clients::redisq::{self as client, Client, Poll, Reference};
use crate::killmail::Kill;
use crate::resources::Resources;
use crate::store::Store;

/// The name in metrics, and in the column `source`.
pub(super) const NAME: &str = "redisq";
const ESI_URL: &str = "https://esi.evetech.net";
/// After a refusal without a time: it doubles with each one in a row.
const REFUSED_WAIT: Duration = Duration::from_secs(10);
const REFUSED_MOST: Duration = Duration::from_secs(10 * 60);
/// How long a killmail may take: as long as ESI's daily downtime mostly lasts, for there is nobody else to wait for it.
const BODY_WITHIN: Duration = Duration::from_secs(15 * 60);

/// `[source.redisq]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the queue: of its script, or of the script's folder.
    pub url: String,
    /// Base address of ESI, for the killmails that packages lack.
    pub esi: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: client::URL.to_owned(), esi: ESI_URL.to_owned() }
    }
}

impl Config {
    /// The source of this pipeline.
    ///
    /// # Errors
    /// A sentence for the operator: no address, no contact for a foreign host.
    pub fn open(&self, pipeline: &str, resources: &Resources) -> Result<Redisq, String> {
        let contact = resources.contact.as_deref();
        let client = self.client(contact)?;
        let esi = resources.esi.at(&self.esi, contact).map_err(|error| format!("failed to {error}"))?;
        let labels = [("pipeline", pipeline.to_owned()), ("source", NAME.to_owned())];
        let connected = gauge!("broadside_source_connected", &labels);
        let key = format!("{NAME}/{pipeline}");
        Ok(Redisq { client, esi, store: resources.store.clone(), key, connected })
    }

    /// Whether it can work, as far as can be told without asking the service.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn check(&self, contact: Option<&str>) -> Result<(), String> {
        Esi::check(&self.esi, contact).map_err(|error| format!("failed to {error}"))?;
        self.client(contact).map(drop)
    }

    fn client(&self, contact: Option<&str>) -> Result<Client, String> {
        Client::new(&self.url, contact).map_err(|error| format!("failed to {error}"))
    }
}

/// Builds the source.
#[derive(Debug)]
pub struct Redisq {
    client: Client,
    esi: Esi,
    store: Arc<dyn Store>,
    key: String,
    connected: Gauge,
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
            esi: self.esi.clone(),
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
    esi: Esi,
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
                    Poll::Reference(reference) => self.work = Some(complete(self.esi.clone(), reference).boxed()),
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

/// Gets the killmail, which ESI's client tries again while that may help. What it cannot get now fails: no queue hands it out again.
async fn complete(esi: Esi, reference: Reference) -> Turn {
    match esi.killmail(reference.killmail_id, reference.hash, Ask::live(BODY_WITHIN)).await {
        Ok(detail) => Turn::Completed(reference.with_killmail(&detail.body), Ok(())),
        Err(error) if error.is_permanent() => {
            Turn::Completed(reference.raw, Err(Failure::permanent(error.to_string())))
        }
        Err(error) => Turn::Completed(reference.raw, Err(Failure::transient(error.to_string()))),
    }
}

fn message(raw: Bytes) -> Message<Kill> {
    Message::new(Kill::new(raw, NAME, Timestamp::now(), false))
}
