//! In-process topics: what the `pubsub` sink publishes and live readers subscribe to.
//!
//! Publishing never waits: every subscriber has a ring of its own, and one that is slower than its topics loses the oldest events
//! and is told how many. A publication costs a look at two topics, and at one for each profile that matches when anybody follows profiles, plus the subscribers that asked for
//! them, however many others there are.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::killmail::{Killmail, KillmailId, ProfileId, SystemId};

/// What can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Every kill: `all`.
    All,
    /// Kills in one solar system: `system:<id>`.
    System(SystemId),
    /// Kills that a surveillance profile matches: `profile:<id>`.
    Profile(ProfileId),
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::System(id) => write!(f, "system:{id}"),
            Self::Profile(id) => write!(f, "profile:{id}"),
        }
    }
}

impl Topic {
    /// From `all`, `system:<id>` or `profile:<id>`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "all" => Some(Self::All),
            Some(("system", id)) => SystemId::new(id.parse().ok()?).map(Self::System),
            Some(("profile", id)) => ProfileId::new(id.parse().ok()?).map(Self::Profile),
            _ => None,
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
    /// The profiles that match it, sorted.
    matches: Arc<[ProfileId]>,
    mail: Arc<Killmail>,
    json: OnceLock<Arc<str>>,
}

impl Event {
    /// The event of a decoded kill.
    #[must_use]
    pub fn new(event_id: Option<i64>, mail: Arc<Killmail>) -> Self {
        let (system_id, killmail_id) = (mail.solar_system_id, mail.killmail_id);
        Self { event_id, system_id, killmail_id, matches: Arc::default(), mail, json: OnceLock::new() }
    }

    /// The same, matched by these profiles.
    #[must_use]
    pub fn matched_by(self, matches: Option<Arc<[ProfileId]>>) -> Self {
        Self { matches: matches.unwrap_or_default(), ..self }
    }

    /// The profiles that match it, sorted.
    #[must_use]
    pub fn matches(&self) -> &[ProfileId] {
        &self.matches
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

#[derive(Debug, Default)]
struct Topics {
    subscribers: HashMap<Topic, HashMap<u64, Arc<Ring>>>,
    /// Of profiles.
    profiles: usize,
}

impl Topics {
    fn enter(&mut self, topic: Topic, id: u64, ring: Arc<Ring>) {
        let subscribers = self.subscribers.entry(topic).or_default();
        self.profiles += usize::from(subscribers.is_empty() && matches!(topic, Topic::Profile(_)));
        subscribers.insert(id, ring);
    }

    fn leave(&mut self, topic: Topic, id: u64) {
        let Some(subscribers) = self.subscribers.get_mut(&topic) else { return };
        subscribers.remove(&id);
        if subscribers.is_empty() {
            self.subscribers.remove(&topic);
            self.profiles -= usize::from(matches!(topic, Topic::Profile(_)));
        }
    }

    fn publish(&self, event: &Arc<Event>) {
        let (mut reached, is_followed) = (HashSet::new(), self.profiles > 0);
        let profiles = event.matches.iter().filter(|_| is_followed).map(|id| Topic::Profile(*id));
        for topic in [Topic::All, Topic::System(event.system_id)].into_iter().chain(profiles) {
            for (id, ring) in self.subscribers.get(&topic).into_iter().flatten() {
                // Only who follows profiles may have several topics that are this kill's.
                if !is_followed || reached.insert(*id) {
                    ring.push(event.clone());
                }
            }
        }
    }
}

/// The topics. Empty ones are removed again.
#[derive(Debug, Default)]
pub struct Hub {
    topics: RwLock<Topics>,
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
            all.enter(*topic, id, ring.clone());
        }
        drop(all);
        Subscription { hub: self.clone(), id, topics, ring }
    }

    /// Hands an event to everyone who subscribed to `all`, to its system or to a profile that matches it. Never waits for a subscriber.
    pub fn publish(&self, event: Event) {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).publish(&Arc::new(event));
    }

    /// Topics that somebody is subscribed to.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).subscribers.len()
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
        self.topics.iter().for_each(|topic| topics.leave(*topic, self.id));
    }
}
