//! Who follows what, and the inbox of each: what the tail reads is put in the inboxes of those whom it concerns, and nobody else is woken.
//!
//! An inbox is bounded. One that is full is emptied, and takes no more: its owner reads what it missed from the store, and *joins* again. Whoever joins
//! is told up to which id events have been handed round; what is above comes to the inbox.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::entry::Entry;
use super::topic::Topic;
use crate::killmail::ProfileId;
use crate::store::Event;

/// Events in an inbox …
const EVENTS_MAX: usize = 1024;
/// … and their bytes. Events are shared by all inboxes that they are in.
const BYTES_MAX: usize = 1 << 20;

/// All inboxes, by what they are for.
#[derive(Debug, Default)]
pub(super) struct Inboxes {
    rounds: Mutex<Rounds>,
    /// Somebody came.
    entered: Notify,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    events: usize,
    bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: EVENTS_MAX, bytes: BYTES_MAX }
    }
}

#[derive(Debug, Default)]
struct Rounds {
    /// Everything up to this id was handed round. `None`: the tail rests.
    position: Option<i64>,
    inboxes: usize,
    next_id: u64,
    /// The followers of each topic, in the order of their ids.
    followers: HashMap<Topic, Vec<Arc<Inbox>>>,
    profiles: BTreeSet<ProfileId>,
    /// Who joined since the tail last began to read: what it is reading may lack what they follow.
    joined: Vec<Arc<Inbox>>,
}

impl Inboxes {
    /// With other bounds, for tests that reach them.
    #[cfg(test)]
    pub(super) fn sized(events: usize) -> Self {
        Self { limits: Limits { events, bytes: BYTES_MAX }, ..Self::default() }
    }

    /// Topics that somebody follows.
    #[cfg(test)]
    pub(super) fn topic_count(&self) -> usize {
        self.lock().followers.len()
    }

    #[cfg(test)]
    pub(super) fn followed_profiles(&self) -> Vec<ProfileId> {
        self.lock().profiles.iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An inbox that is for nothing yet, and has to be joined.
    pub(super) fn enter(self: &Arc<Self>) -> Seat {
        let mut rounds = self.lock();
        rounds.inboxes += 1;
        rounds.next_id += 1;
        let inbox = Inbox { id: rounds.next_id, held: Mutex::default(), arrived: Notify::new() };
        drop(rounds);
        self.entered.notify_one();
        Seat { inboxes: self.clone(), inbox: Arc::new(inbox) }
    }

    /// Waits until there is an inbox.
    pub(super) async fn entered(&self) {
        while self.lock().inboxes == 0 {
            self.entered.notified().await;
        }
    }

    /// Whether nobody is here any more: the tail loses its place then.
    pub(super) fn rest(&self) -> bool {
        let mut rounds = self.lock();
        if rounds.inboxes == 0 {
            rounds.position = None;
        }
        rounds.inboxes == 0
    }

    /// The tail begins here: what was before is in the store.
    pub(super) fn start(&self, position: i64) {
        let mut rounds = self.lock();
        rounds.position = Some(position);
        let waiting = std::mem::take(&mut rounds.joined);
        drop(rounds);
        waiting.iter().for_each(|inbox| inbox.arrived.notify_one());
    }

    /// The tail is about to read what is above the position: answers it, with the profiles that somebody follows.
    pub(super) fn begin(&self) -> Option<(i64, Vec<ProfileId>)> {
        let mut rounds = self.lock();
        let position = rounds.position?;
        rounds.joined.clear();
        Some((position, rounds.profiles.iter().copied().collect()))
    }

    /// Those events that somebody follows, rendered.
    pub(super) fn render(&self, events: &[Event]) -> Vec<Arc<Entry>> {
        let is_followed: Vec<bool> = {
            let rounds = self.lock();
            let followed = |event: &Event| Topic::of(event).any(|topic| rounds.followers.contains_key(&topic));
            events.iter().map(followed).collect()
        };
        let followed = events.iter().zip(is_followed).filter(|(_, is_followed)| *is_followed);
        followed.map(|(event, _)| Arc::new(Entry::of(event))).collect()
    }

    /// Hands round what was read since [`begin`](Self::begin): everything that is followed, up to `through`.
    pub(super) fn hand_round(&self, entries: &[Arc<Entry>], through: i64) {
        let mut rounds = self.lock();
        let Some(position) = rounds.position else { return };
        if through <= position {
            return;
        }
        let mut woken = std::mem::take(&mut rounds.joined);
        woken.iter().for_each(|inbox| inbox.lock().lose(position));
        for entry in entries {
            for inbox in entry.topics().iter().filter_map(|topic| rounds.followers.get(topic)).flatten() {
                if inbox.push(entry, self.limits) {
                    woken.push(inbox.clone());
                }
            }
        }
        rounds.position = Some(through);
        drop(rounds);
        woken.iter().for_each(|inbox| inbox.arrived.notify_one());
    }
}

/// What was put aside for one follower.
#[derive(Debug)]
struct Inbox {
    id: u64,
    held: Mutex<Held>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Held {
    events: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// Nothing above this id came here any more.
    lost_after: Option<i64>,
}

impl Held {
    fn lose(&mut self, after: i64) {
        let first = self.events.front().map_or(after, |first| first.event_id - 1);
        self.lost_after.get_or_insert(first);
        (self.events, self.bytes) = (VecDeque::new(), 0);
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers whether the owner is to be woken. An event that several topics bring here is taken once: at worst twice in a row, when the
    /// owner takes what is here in between.
    fn push(&self, entry: &Arc<Entry>, limits: Limits) -> bool {
        let mut held = self.lock();
        let is_here = held.events.back().is_some_and(|last| last.event_id == entry.event_id);
        if held.lost_after.is_some() || is_here {
            return false;
        }
        let was_empty = held.events.is_empty();
        if held.events.len() >= limits.events || !was_empty && held.bytes + entry.frame.len() > limits.bytes {
            held.lose(entry.event_id - 1);
            return false;
        }
        held.bytes += entry.frame.len();
        held.events.push_back(entry.clone());
        was_empty
    }
}

/// What [`Seat::take`] found.
#[derive(Debug)]
pub(super) enum Taken {
    Events(VecDeque<Arc<Entry>>),
    /// Nothing above this id came here: it is to be read from the store, after joining again.
    LostAfter(i64),
    Nothing,
}

/// An inbox and its place among the others, given up when dropped; its topics have to be left before that.
#[derive(Debug)]
pub(super) struct Seat {
    inboxes: Arc<Inboxes>,
    inbox: Arc<Inbox>,
}

impl Seat {
    /// What is of these topics comes here, after the next [`join`](Self::join).
    pub(super) fn follow(&self, topics: impl IntoIterator<Item = Topic>) {
        let mut rounds = self.inboxes.lock();
        for topic in topics {
            let followers = rounds.followers.entry(topic).or_default();
            if let Err(at) = followers.binary_search_by_key(&self.inbox.id, |inbox| inbox.id) {
                followers.insert(at, self.inbox.clone());
            }
            if let Topic::Profile(id) = topic {
                rounds.profiles.insert(id);
            }
        }
    }

    /// The reverse.
    pub(super) fn leave(&self, topics: impl IntoIterator<Item = Topic>) {
        let mut rounds = self.inboxes.lock();
        for topic in topics {
            let Some(followers) = rounds.followers.get_mut(&topic) else { continue };
            if let Ok(at) = followers.binary_search_by_key(&self.inbox.id, |inbox| inbox.id) {
                followers.remove(at);
            }
            if followers.is_empty() {
                rounds.followers.remove(&topic);
                if let Topic::Profile(id) = topic {
                    rounds.profiles.remove(&id);
                }
            }
        }
    }

    /// Empties the inbox, and takes events from now on: those above the id that it answers. `None`: the tail has not started; try again after
    /// [`arrived`](Self::arrived).
    pub(super) fn join(&self) -> Option<i64> {
        let mut rounds = self.inboxes.lock();
        *self.inbox.lock() = Held::default();
        rounds.joined.push(self.inbox.clone());
        rounds.position
    }

    /// Up to which id events have been handed round.
    pub(super) fn position(&self) -> Option<i64> {
        self.inboxes.lock().position
    }

    /// Everything that came.
    pub(super) fn take(&self) -> Taken {
        let mut held = self.inbox.lock();
        if let Some(after) = held.lost_after {
            return Taken::LostAfter(after);
        }
        held.bytes = 0;
        let events = std::mem::take(&mut held.events);
        if events.is_empty() { Taken::Nothing } else { Taken::Events(events) }
    }

    /// Waits until there may be something to take, or to join. Safe to cancel.
    pub(super) async fn arrived(&self) {
        self.inbox.arrived.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rounds = self.inboxes.lock();
        rounds.inboxes -= 1;
        rounds.joined.retain(|inbox| inbox.id != self.inbox.id);
    }
}
