//! One live reader's view of the log: first from the store, then from its inbox, with nothing missing and nothing twice at the seam.
//!
//! What was handed out is known from numbers alone: of each topic, above which id it is followed, and up to which it was dealt with. An event was
//! handed out when one of its topics was dealt with that far. Whatever else a reader holds can be dropped at any time, and is read again from the store:
//! that is what happens when an inbox was full, and whenever the topics change.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::inbox::{Seat, Taken};
use super::tail::Tail;
use super::topic::Topic;
use crate::store::{Error, Store, Stretch};

/// Events read at once from the store: all that a slow reader holds in memory of its own.
const PAGE: u32 = 32;
const RETRY: Duration = Duration::from_secs(1);

/// Where following a topic begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Now,
    After(i64),
}

/// What a reader hands out.
#[derive(Debug)]
pub(super) enum Item {
    /// Events were collected before it came to them: `oldest` is the first there is.
    Gap { oldest: i64 },
    /// With the narrowest of the topics that are followed.
    Event(Arc<Entry>, Topic),
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    topic: Topic,
    /// Only what is above this id is followed.
    after: i64,
    /// Which change of topics brought it.
    turn: u32,
}

impl Followed {
    fn covers(&self, event_id: i64, topics: &[Topic]) -> bool {
        self.after < event_id && topics.contains(&self.topic)
    }
}

/// Topics that are equally far.
#[derive(Debug, Default)]
struct Group {
    /// Everything up to this id was handed out.
    at: i64,
    /// Sorted by topic.
    topics: Vec<Followed>,
}

impl Group {
    fn find(&self, topic: Topic) -> Option<&Followed> {
        self.topics.binary_search_by_key(&topic, |followed| followed.topic).ok().map(|at| &self.topics[at])
    }

    fn covers(&self, event_id: i64, topics: &[Topic]) -> bool {
        topics.iter().filter_map(|topic| self.find(*topic)).any(|followed| followed.after < event_id)
    }

    fn add(&mut self, topics: impl IntoIterator<Item = Followed>) {
        self.topics.extend(topics);
        self.topics.sort_unstable_by_key(|followed| followed.topic);
    }
}

/// How a reader comes to what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The inbox has to be joined.
    Apart,
    /// The inbox takes what is above this id; up to it, the store is to be read.
    Behind(i64),
    Live,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    tail: Arc<Tail>,
    seat: Seat,
    /// Topics that come to the inbox, and are in no group yet.
    entering: Vec<Topic>,
    state: State,
    /// Those that are furthest behind come first. Never none; several only while what is followed since later catches up.
    groups: Vec<Group>,
    /// What is not followed any more, and how far that was, for those groups that are behind it.
    left: Vec<(Followed, i64)>,
    turn: u32,
    /// For the first group, above its `at`.
    ready: VecDeque<Item>,
    /// How far that group is when all that is ready was handed out.
    through: i64,
}

impl Reader {
    /// Follows nothing yet.
    pub(super) fn open(tail: Arc<Tail>) -> Self {
        let seat = tail.inboxes.enter();
        let (groups, ready) = (vec![Group::default()], VecDeque::new());
        let (entering, left) = (Vec::new(), Vec::new());
        Self { tail, seat, entering, state: State::Apart, groups, left, turn: 0, ready, through: 0 }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        self.tail.store.clone()
    }

    /// Everything that is followed, sorted.
    pub(super) fn topics(&self) -> Vec<Topic> {
        let mut topics: Vec<Topic> = self.groups.iter().flat_map(|group| &group.topics).map(|one| one.topic).collect();
        topics.sort_unstable();
        topics
    }

    /// Follows these topics, but for those that it follows already; answers after which id.
    pub(super) async fn follow(&mut self, topics: &[Topic], start: Start) -> Result<i64, Error> {
        // In this order: what is handed round before it comes here is in the store by then.
        self.enter(topics.iter().copied());
        let after = self.begin(start).await?;
        let (new, turn) = (std::mem::take(&mut self.entering), self.turn);
        self.add(after, new.into_iter().map(|topic| Followed { topic, after, turn }));
        Ok(after)
    }

    /// The same, each topic after an id of its own. `gap`: something was collected that they have not had.
    pub(super) async fn follow_each(&mut self, topics: &[(Topic, i64)], gap: Option<i64>) -> Result<(), Error> {
        self.enter(topics.iter().map(|(topic, _)| *topic));
        let range = self.tail.store.event_range().await?;
        let (new, turn) = (std::mem::take(&mut self.entering), self.turn);
        let new = topics.iter().filter(|(topic, _)| new.binary_search(topic).is_ok());
        let followed: Vec<Followed> = new.map(|&(topic, after)| Followed { topic, after, turn }).collect();
        if let Some(at) = followed.iter().map(|followed| followed.after).min() {
            self.ready.extend(gap.map(|oldest| Item::Gap { oldest }));
            self.add(range.map_or(at, |(least, _)| at.max(least - 1)), followed);
        }
        Ok(())
    }

    /// Those of them that are new are entering: from now on they come to the inbox.
    fn enter(&mut self, topics: impl Iterator<Item = Topic>) {
        self.start_over();
        let is_new = |topic: &Topic| self.groups.iter().all(|group| group.find(*topic).is_none());
        let mut new: Vec<Topic> = topics.filter(is_new).collect();
        new.sort_unstable();
        new.dedup();
        self.seat.follow(new.iter().copied());
        self.entering = new;
    }

    /// The id that a start means. One that does not join on to what there is is told.
    async fn begin(&mut self, start: Start) -> Result<i64, Error> {
        let _turn = self.tail.reads.acquire().await;
        match (start, self.tail.store.event_range().await?) {
            (Start::Now, range) => Ok(range.map_or(0, |(_, greatest)| greatest)),
            (Start::After(_), None) => Ok(0),
            (Start::After(id), Some((least, greatest))) if id >= least - 1 && id <= greatest => Ok(id),
            // An id that was never given comes from another database: there, too, what the reader has does not join on.
            (Start::After(_), Some((least, _))) => {
                self.ready.push_back(Item::Gap { oldest: least });
                Ok(least - 1)
            }
        }
    }

    fn add(&mut self, at: i64, topics: impl IntoIterator<Item = Followed>) {
        self.groups.retain(|group| !group.topics.is_empty());
        let place = self.groups.partition_point(|group| group.at < at);
        if self.groups.get(place).is_none_or(|group| group.at > at) {
            self.groups.insert(place, Group { at, topics: Vec::new() });
        }
        self.groups[place].add(topics);
        self.through = self.groups[0].at;
    }

    /// Follows these no more.
    pub(super) fn leave(&mut self, topics: &[Topic]) {
        self.seat.leave(topics.iter().copied());
        self.start_over();
        let turn = self.turn;
        for group in &mut self.groups {
            let gone = group.topics.extract_if(.., |followed| topics.contains(&followed.topic));
            self.left.extend(gone.map(|followed| (Followed { turn, ..followed }, group.at)));
        }
        match self.groups.iter().any(|group| !group.topics.is_empty()) {
            true => self.groups.retain(|group| !group.topics.is_empty()),
            false => self.groups.truncate(1),
        }
        self.through = self.groups[0].at;
        self.reach(self.through);
    }

    /// The topics change: what was read and not handed out is read again. Word of a gap stays, as where to go on was decided with it.
    fn start_over(&mut self) {
        // Of a call that failed.
        self.seat.leave(self.entering.drain(..));
        self.turn += 1;
        self.ready.retain(|item| matches!(item, Item::Gap { .. }));
        self.through = self.groups[0].at;
        self.state = State::Apart;
    }

    /// Everything that is followed up to here was handed out, as far as there is one such id.
    pub(super) fn position(&mut self) -> Option<i64> {
        if self.state == State::Live && self.ready.is_empty() {
            self.look();
        }
        (self.groups.len() == 1).then(|| self.groups[0].at)
    }

    /// The next item. Safe to cancel.
    pub(super) async fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.ready.pop_front() {
                if let Item::Event(entry, _) = &item {
                    self.groups[0].at = entry.event_id;
                }
                return item;
            }
            self.reach(self.through);
            match self.state {
                State::Apart => match self.seat.join() {
                    Some(position) => self.state = State::Behind(position),
                    None => self.seat.arrived().await,
                },
                State::Behind(known) if self.groups.len() == 1 && self.groups[0].at >= known => {
                    self.state = State::Live;
                }
                State::Behind(known) => {
                    if let Err(error) = self.catch_up(known).await {
                        tracing::debug!(%error, "failed to read events for a live reader");
                        tokio::time::sleep(RETRY).await;
                    }
                }
                State::Live => {
                    if !self.look() {
                        self.seat.arrived().await;
                    }
                }
            }
        }
    }

    /// Everything up to here was handed out of the first group; which may so have come up with the next.
    fn reach(&mut self, at: i64) {
        self.groups[0].at = self.groups[0].at.max(at);
        while self.groups.len() > 1 && self.groups[0].at >= self.groups[1].at {
            let caught_up = self.groups.remove(0);
            self.groups[0].at = caught_up.at;
            self.groups[0].add(caught_up.topics);
        }
        let at = self.groups[0].at;
        self.left.retain(|(_, until)| *until > at);
        self.through = at;
    }

    /// Takes what came to the inbox; answers whether anything did.
    fn look(&mut self) -> bool {
        // In this order: everything up to the position has come.
        let position = self.seat.position();
        match self.seat.take() {
            Taken::Events(entries) => {
                for entry in entries {
                    if entry.event_id <= self.through {
                        continue;
                    }
                    self.through = entry.event_id;
                    if let Some(topic) = self.due(entry.event_id, entry.topics()) {
                        self.ready.push_back(Item::Event(entry, topic));
                    }
                }
                true
            }
            Taken::LostAfter(after) => {
                self.reach(after);
                self.state = State::Apart;
                true
            }
            Taken::Nothing => {
                self.reach(position.unwrap_or(0));
                false
            }
        }
    }

    /// The topic under which the first group gets an event above its `at`, unless it was handed out for another.
    fn due(&self, event_id: i64, topics: &[Topic]) -> Option<Topic> {
        let (first, others) = self.groups.split_first()?;
        let was_had = |group: &Group| event_id <= group.at && group.covers(event_id, topics);
        if others.iter().any(was_had) {
            return None;
        }
        let had_before_leaving = |followed: &Followed| {
            let since = self.left.iter().filter(|(left, until)| left.turn > followed.turn && event_id <= *until);
            since.into_iter().any(|(left, _)| left.covers(event_id, topics))
        };
        let mut followed = topics.iter().filter_map(|topic| first.find(*topic));
        followed.find(|one| one.after < event_id && !had_before_leaving(one)).map(|one| one.topic)
    }

    /// Reads a page for the first group, as far as the next one is.
    async fn catch_up(&mut self, known: i64) -> Result<(), Error> {
        let (after, next) = (self.groups[0].at, self.groups.get(1).map(|next| next.at));
        if self.groups[0].topics.is_empty() {
            self.through = next.unwrap_or(known);
            return Ok(());
        }
        let mut scope = Topic::scope(self.groups[0].topics.iter().map(|followed| (followed.topic, followed.after)));
        // Matches of others' profiles say what was had.
        let others =
            self.groups[1..].iter().flat_map(|group| &group.topics).chain(self.left.iter().map(|(one, _)| one));
        scope.profiles.extend(Topic::scope(others.map(|followed| (followed.topic, 0))).profiles);
        let turn = self.tail.reads.acquire().await;
        let stretch = self.tail.store.events_of(&scope, after, PAGE).await?;
        drop(turn);
        self.accept(stretch, known, next);
        Ok(())
    }

    fn accept(&mut self, stretch: Stretch, known: i64, next: Option<i64>) {
        let end = next.unwrap_or(i64::MAX);
        if let Some(oldest) = stretch.least.filter(|least| *least - 1 > self.groups[0].at) {
            self.ready.push_back(Item::Gap { oldest });
            self.groups[0].at = oldest - 1;
        }
        for event in stretch.events.iter().take_while(|event| event.event_id <= end) {
            let topics: Vec<Topic> = Topic::of(event).collect();
            if let Some(topic) = self.due(event.event_id, &topics) {
                self.ready.push_back(Item::Event(Arc::new(Entry::of(event)), topic));
            }
        }
        // What is not there by now, of ids that are known, never comes.
        let known = if stretch.more { stretch.through } else { stretch.through.max(known).max(next.unwrap_or(0)) };
        self.through = known.min(end);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.seat.leave(self.topics().into_iter().chain(self.entering.drain(..)));
    }
}
