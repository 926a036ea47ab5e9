//! In-process topics: what the `pubsub` sink publishes and live readers subscribe to.
//!
//! Publishing never waits: every subscriber has a ring of its own, and one that is slower than its topics loses the oldest events
//! and is told how many. A publication costs a look at two topics plus the subscribers that asked for them, however many others there are.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::killmail::{Killmail, KillmailId, SystemId};

/// What can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Every kill: `all`.
    All,
    /// Kills in one solar system: `system:<id>`.
    System(SystemId),
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::System(id) => write!(f, "system:{id}"),
        }
    }
}

impl Topic {
    /// From `all` or `system:<id>`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "all" => Some(Self::All),
            other => SystemId::new(other.strip_prefix("system:")?.parse().ok()?).map(Self::System),
        }
    }
}

/// A kill on its way to live readers.
#[derive(Debug)]
pub struct Event {
    /// The id of its row in `killmail_events`, when one was written.
    pub event_id: Option<i64>,
    pub system_id: SystemId,
    pub killmail_id: KillmailId,
    mail: Arc<Killmail>,
    json: OnceLock<Arc<str>>,
}

impl Event {
    /// The event of a decoded kill.
    #[must_use]
    pub fn new(event_id: Option<i64>, mail: Arc<Killmail>) -> Self {
        let (system_id, killmail_id) = (mail.solar_system_id, mail.killmail_id);
        Self { event_id, system_id, killmail_id, mail, json: OnceLock::new() }
    }

    /// The killmail.
    #[must_use]
    pub fn mail(&self) -> &Killmail {
        &self.mail
    }

    /// The killmail as JSON: rendered once, by the first who asks, so that a kill nobody reads costs nothing.
    #[must_use]
    pub fn json(&self) -> &Arc<str> {
        self.json.get_or_init(|| serde_json::to_string(&*self.mail).expect("a killmail has string keys only").into())
    }
}

/// What a subscriber receives.
#[derive(Debug, Clone)]
pub enum Received {
    /// The next event.
    Event(Arc<Event>),
    /// This many events were dropped here because the subscriber was slow; newer ones follow.
    Lagged(u64),
}

/// The topics. Empty ones are removed again.
#[derive(Debug, Default)]
pub struct Hub {
    topics: RwLock<HashMap<Topic, HashMap<u64, Arc<Ring>>>>,
    next_id: AtomicU64,
}

impl Hub {
    /// Subscribes to topics, with room for `capacity` events (at least 1) that have not been received.
    ///
    /// An event comes once, also when several of the topics have it.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, topics: impl IntoIterator<Item = Topic>, capacity: usize) -> Subscription {
        let mut topics: HashSet<Topic> = topics.into_iter().collect();
        if topics.contains(&Topic::All) {
            topics = HashSet::from([Topic::All]);
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let ring = Arc::new(Ring { capacity: capacity.max(1), waiting: Mutex::default(), arrived: Notify::new() });
        let mut all = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        for topic in &topics {
            all.entry(*topic).or_default().insert(id, ring.clone());
        }
        drop(all);
        Subscription { hub: self.clone(), id, topics, ring }
    }

    /// Hands an event to everyone who subscribed to `all` or to its system. Never waits for a subscriber.
    pub fn publish(&self, event: Event) {
        let event = Arc::new(event);
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        for topic in [Topic::All, Topic::System(event.system_id)] {
            for ring in topics.get(&topic).into_iter().flat_map(HashMap::values) {
                ring.push(event.clone());
            }
        }
    }

    /// Topics that somebody is subscribed to.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// One subscriber's bounded queue.
#[derive(Debug)]
struct Ring {
    capacity: usize,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Arc<Event>>,
    missed: u64,
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: Arc<Event>) {
        let mut waiting = self.lock();
        if waiting.events.len() == self.capacity {
            waiting.events.pop_front();
            waiting.missed += 1;
        }
        waiting.events.push_back(event);
        drop(waiting);
        self.arrived.notify_one();
    }

    fn pop(&self) -> Option<Received> {
        let mut waiting = self.lock();
        match std::mem::take(&mut waiting.missed) {
            0 => waiting.events.pop_front().map(Received::Event),
            missed => Some(Received::Lagged(missed)),
        }
    }
}

/// A place among the subscribers, given up when dropped.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    topics: HashSet<Topic>,
    ring: Arc<Ring>,
}

impl Subscription {
    /// Waits for the next event. Safe to cancel: nothing is lost.
    pub async fn recv(&mut self) -> Received {
        loop {
            if let Some(received) = self.ring.pop() {
                return received;
            }
            self.ring.arrived.notified().await;
        }
    }

    /// The next event, if one is here.
    pub fn try_recv(&mut self) -> Option<Received> {
        self.ring.pop()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = self.hub.topics.write().unwrap_or_else(PoisonError::into_inner);
        for topic in &self.topics {
            if let Some(subscribers) = topics.get_mut(topic) {
                subscribers.remove(&self.id);
                if subscribers.is_empty() {
                    topics.remove(topic);
                }
            }
        }
    }
}
