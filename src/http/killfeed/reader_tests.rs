//! Readers against a model: whatever happens in between, each topic brings each of its events once.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures::FutureExt;
use proptest::prelude::*;

use super::inbox::Inboxes;
use super::reader::{Item, Reader, Start};
use super::tail::Tail;
use super::topic::Topic;
use crate::killmail::{KillmailId, ProfileId, RegionId, SystemId};
use crate::memory_store::MemoryStore;
use crate::store::{Event, Stretch};

/// What may happen, in any order.
#[derive(Debug, Clone)]
enum Step {
    Commit {
        events: usize,
        system: i64,
        profiles: Vec<i64>,
    },
    /// The tail reads, and has not handed round what it read …
    TailReads,
    /// … until now.
    TailHandsRound,
    /// The oldest events are collected.
    Collect {
        keep: usize,
    },
    Connect {
        topics: Vec<Topic>,
        after: Option<i64>,
    },
    Follow {
        stream: usize,
        topics: Vec<Topic>,
        after: Option<i64>,
    },
    Leave {
        stream: usize,
        topics: Vec<Topic>,
    },
    /// A stream takes a few items, if they are there.
    Read {
        stream: usize,
        items: usize,
    },
}

/// Few enough that they often meet: systems 2 and 3 are in region 1.
fn topics() -> impl Strategy<Value = Vec<Topic>> {
    let system = |id| Topic::System(SystemId::new(id).expect("above 0"));
    let profile = |id| Topic::Profile(ProfileId::new(id).expect("above 0"));
    let region = Topic::Region(RegionId::new(1).expect("above 0"));
    let topic = prop_oneof![2 => Just(system(1)), 2 => Just(system(2)), 2 => Just(region), 2 => Just(profile(1)), 1 => Just(profile(2)), 1 => Just(Topic::All)];
    prop::collection::vec(topic, 1..3)
}

fn step() -> impl Strategy<Value = Step> {
    let after = || prop::option::weighted(0.7, 0..200_i64);
    prop_oneof![
        4 => (0..40_usize, 1..4_i64, prop::collection::vec(1..3_i64, 0..2))
            .prop_map(|(events, system, profiles)| Step::Commit { events, system, profiles }),
        4 => Just(Step::TailReads),
        4 => Just(Step::TailHandsRound),
        1 => (topics(), after()).prop_map(|(topics, after)| Step::Connect { topics, after }),
        3 => (0..2_usize, topics(), after()).prop_map(|(stream, topics, after)| Step::Follow { stream, topics, after }),
        2 => (0..2_usize, topics()).prop_map(|(stream, topics)| Step::Leave { stream, topics }),
        5 => (0..2_usize, 0..40_usize).prop_map(|(stream, items)| Step::Read { stream, items }),
    ]
}

fn steps(collect: bool) -> impl Strategy<Value = Vec<Step>> {
    let collecting = (0..300_usize).prop_map(|keep| Step::Collect { keep });
    let weight = u32::from(collect);
    prop::collection::vec(prop_oneof![16 => step(), weight => collecting], 0..60)
}

/// A topic as a stream follows it, and which events it was brought since.
struct Following {
    topic: Topic,
    after: i64,
    brought: BTreeSet<i64>,
}

impl Following {
    fn covers(&self, event: &Event) -> bool {
        event.event_id > self.after && Topic::of(event).any(|topic| topic == self.topic)
    }
}

struct Stream {
    reader: Reader,
    followings: Vec<Following>,
    /// The topics have changed since it was opened.
    has_changed: bool,
    got: Vec<i64>,
    gaps: Vec<i64>,
}

impl Stream {
    fn new(tail: &Arc<Tail>) -> Self {
        let reader = Reader::open(tail.clone());
        Self { reader, followings: Vec::new(), has_changed: false, got: Vec::new(), gaps: Vec::new() }
    }

    /// The store answers at once, so a future that is not ready waits for the tail.
    fn follow(&mut self, topics: &[Topic], start: Start, events: &[Event]) {
        let followed = self.reader.follow(topics, start).now_or_never();
        let after = followed.expect("the store answers at once").expect("the store is well");
        let mut new: Vec<Following> = Vec::new();
        for topic in topics {
            if self.followings.iter().chain(&new).all(|one| one.topic != *topic) {
                let mut one = Following { topic: *topic, after, brought: BTreeSet::new() };
                let was_brought = |id: &i64| self.followings.iter().any(|other| other.brought.contains(id));
                one.brought = events.iter().filter(|e| one.covers(e)).map(|e| e.event_id).filter(was_brought).collect();
                new.push(one);
            }
        }
        self.followings.extend(new);
    }

    fn read(&mut self, items: usize, events: &[Event]) {
        for _ in 0..items {
            match self.reader.next().now_or_never() {
                Some(Item::Event(entry, topic)) => self.get(entry.event_id, topic, events),
                Some(Item::Gap { oldest }) => self.gaps.push(oldest),
                None => break,
            }
        }
    }

    fn get(&mut self, id: i64, topic: Topic, events: &[Event]) {
        let event = events.iter().find(|event| event.event_id == id).expect("an event that was committed");
        let is_new = self.followings.iter().any(|one| one.covers(event) && !one.brought.contains(&id));
        assert!(is_new, "{id} under {topic} is not followed, or was brought before");
        assert!(self.followings.iter().any(|one| one.topic == topic && one.covers(event)), "{id} under {topic}");
        assert!(self.has_changed || self.got.last().is_none_or(|last| *last < id), "{id} after {:?}", self.got.last());
        self.got.push(id);
        self.followings.iter_mut().filter(|one| one.covers(event)).for_each(|one| {
            one.brought.insert(id);
        });
    }
}

struct World {
    store: Arc<MemoryStore>,
    tail: Arc<Tail>,
    read: Option<Stretch>,
    streams: Vec<Stream>,
    /// Every event that ever was.
    events: Vec<Event>,
}

impl World {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        let tail = Arc::new(Tail::sized(store.clone(), Inboxes::sized(5), 16));
        Self { store, tail, read: None, streams: Vec::new(), events: Vec::new() }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Commit { events, system, profiles } => (0..*events).for_each(|_| self.commit(*system, profiles)),
            Step::TailReads => {
                // The tail only reads when somebody is there, and hands round what it read.
                if !self.tail.inboxes.rest() && self.read.is_none() {
                    let read = self.tail.read().now_or_never();
                    self.read = read.expect("the store answers at once").expect("the store is well");
                }
            }
            Step::TailHandsRound => {
                if let Some(stretch) = self.read.take() {
                    self.tail.hand_round(&stretch);
                }
            }
            Step::Collect { keep } => self.store.collect(*keep),
            Step::Connect { topics, after } => {
                let mut stream = Stream::new(&self.tail);
                stream.follow(topics, self.start(*after), &self.events);
                self.streams.push(stream);
            }
            Step::Follow { stream, topics, after } => {
                let start = self.start(*after);
                if let Some(stream) = self.streams.get_mut(*stream) {
                    stream.has_changed = true;
                    stream.follow(topics, start, &self.events);
                }
            }
            Step::Leave { stream, topics } => {
                if let Some(stream) = self.streams.get_mut(*stream) {
                    stream.has_changed = true;
                    stream.reader.leave(topics);
                    stream.followings.retain(|one| !topics.contains(&one.topic));
                }
            }
            Step::Read { stream, items } => {
                if let Some(stream) = self.streams.get_mut(*stream) {
                    stream.read(*items, &self.events);
                }
            }
        }
    }

    fn commit(&mut self, system: i64, profiles: &[i64]) {
        let kill = KillmailId::new(self.events.len() as i64 + 1).expect("above 0");
        let profiles: Vec<ProfileId> = profiles.iter().copied().filter_map(ProfileId::new).collect();
        let (system, region) = (SystemId::new(system).expect("above 0"), RegionId::new(system / 2));
        self.store.commit_in(system, kill, "{}".into(), region, &profiles);
        self.events.extend(self.store.events().pop());
    }

    fn start(&self, after: Option<i64>) -> Start {
        after.map_or(Start::Now, |id| Start::After(id.min(self.events.len() as i64)))
    }

    fn finish(&mut self) {
        self.take(&Step::TailHandsRound);
        for _ in 0..2 {
            while self.tail.step().now_or_never().expect("at once").expect("the store is well") {}
            self.streams.iter_mut().for_each(|stream| stream.read(usize::MAX, &self.events));
        }
    }

    /// Everything that is there and followed was brought.
    fn check(&self) {
        let left = self.store.events();
        for stream in &self.streams {
            for one in &stream.followings {
                let missing: Vec<i64> = left.iter().filter(|e| one.covers(e)).map(|e| e.event_id).collect();
                let missing: Vec<i64> = missing.into_iter().filter(|id| !one.brought.contains(id)).collect();
                assert!(missing.is_empty(), "{} after {} lacks {missing:?}", one.topic, one.after);
            }
        }
    }
}

proptest! {
    #[test]
    fn each_topic_brings_every_event_after_its_start_once(steps in steps(false)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        world.finish();
        world.check();
        prop_assert!(world.streams.iter().all(|stream| stream.gaps.is_empty()));
    }

    #[test]
    fn nothing_comes_twice_and_nothing_kept_is_missed_while_the_oldest_are_collected(steps in steps(true)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        world.finish();
        world.check();
    }
}

fn commit(world: &mut World, events: usize) {
    world.take(&Step::Commit { events, system: 1, profiles: Vec::new() });
}

fn connect(world: &mut World, after: i64) {
    world.take(&Step::Connect { topics: vec![Topic::All], after: Some(after) });
}

#[test]
fn a_start_that_was_collected_is_told_the_oldest_there_is() {
    let mut world = World::new();
    commit(&mut world, 10);
    world.take(&Step::Collect { keep: 4 });
    connect(&mut world, 3);
    connect(&mut world, 6);
    world.finish();
    assert_eq!((&world.streams[0].gaps[..], &world.streams[0].got[..]), (&[7][..], &[7, 8, 9, 10][..]));
    assert_eq!((&world.streams[1].gaps[..], &world.streams[1].got[..]), (&[][..], &[7, 8, 9, 10][..]));
}

#[test]
fn a_start_from_another_database_begins_with_a_gap_at_the_oldest() {
    let mut world = World::new();
    commit(&mut world, 3);
    let mut stream = Stream::new(&world.tail);
    stream.follow(&[Topic::All], Start::After(900), &world.events);
    world.streams.push(stream);
    world.finish();
    assert_eq!((&world.streams[0].gaps[..], &world.streams[0].got[..]), (&[1][..], &[1, 2, 3][..]));
}

#[test]
fn a_reader_that_was_overtaken_is_told_only_when_events_are_gone() {
    let mut world = World::new();
    commit(&mut world, 1);
    connect(&mut world, 1);
    world.take(&Step::Connect { topics: vec![Topic::System(SystemId::new(3).expect("above 0"))], after: Some(1) });
    world.finish();
    for _ in 0..10 {
        commit(&mut world, 10);
        world.finish_tail();
    }
    world.take(&Step::Collect { keep: 20 });
    world.finish();
    assert_eq!(
        (&world.streams[0].gaps[..], &world.streams[0].got[..]),
        (&[82][..], &(82..=101).collect::<Vec<_>>()[..])
    );
    assert!(world.streams[1].gaps.is_empty(), "nothing of its system was there");
    world.take(&Step::Commit { events: 10, system: 3, profiles: Vec::new() });
    world.finish();
    assert_eq!((world.streams[1].gaps.len(), world.streams[1].got.len()), (0, 10));
}

impl World {
    fn finish_tail(&mut self) {
        while self.tail.step().now_or_never().expect("at once").expect("the store is well") {}
    }
}

#[test]
fn events_that_are_handed_round_twice_come_once() {
    let mut world = World::new();
    connect(&mut world, 0);
    world.take(&Step::TailReads);
    world.take(&Step::Read { stream: 0, items: 1 });
    commit(&mut world, 4);
    world.take(&Step::TailReads);
    if let Some(stretch) = &mut world.read {
        stretch.through = 1;
    }
    world.take(&Step::TailHandsRound);
    world.finish();
    assert_eq!(world.streams[0].got, [1, 2, 3, 4]);
}

fn profile(id: i64) -> Topic {
    Topic::Profile(ProfileId::new(id).expect("above 0"))
}

#[test]
fn matches_of_a_profile_that_is_followed_while_the_tail_reads_are_not_lost() {
    let mut world = World::new();
    connect(&mut world, 0);
    world.take(&Step::TailReads);
    world.take(&Step::Commit { events: 3, system: 1, profiles: vec![1] });
    world.take(&Step::TailReads);
    world.take(&Step::Connect { topics: vec![profile(1)], after: Some(0) });
    world.take(&Step::Read { stream: 1, items: 1 });
    assert!(world.streams[1].got.is_empty(), "it has come up with the tail");
    world.take(&Step::TailHandsRound);
    world.take(&Step::Read { stream: 1, items: 9 });
    assert_eq!(world.streams[1].got, [1, 2, 3]);
}

#[test]
fn what_a_topic_has_brought_does_not_come_again_when_that_is_left_while_another_catches_up() {
    let mut world = World::new();
    let system = Topic::System(SystemId::new(2).expect("above 0"));
    world.take(&Step::Connect { topics: vec![system], after: Some(0) });
    world.take(&Step::Commit { events: 30, system: 2, profiles: vec![1] });
    world.take(&Step::Commit { events: 10, system: 3, profiles: vec![1] });
    world.finish();
    world.take(&Step::Follow { stream: 0, topics: vec![profile(1)], after: Some(0) });
    world.take(&Step::Leave { stream: 0, topics: vec![system] });
    world.finish();
    assert_eq!(world.streams[0].got, (1..=40).collect::<Vec<_>>());
    world.take(&Step::Leave { stream: 0, topics: vec![profile(1)] });
    world.take(&Step::Follow { stream: 0, topics: vec![profile(1)], after: Some(35) });
    world.finish();
    assert_eq!(world.streams[0].got[40..], [36, 37, 38, 39, 40], "asked for again, it comes again");
}

#[test]
fn only_who_follows_something_is_in_the_way_of_the_tail_and_who_leaves_is_forgotten() {
    let mut world = World::new();
    connect(&mut world, 0);
    world.take(&Step::Follow {
        stream: 0,
        topics: vec![Topic::Profile(ProfileId::new(1).expect("above 0"))],
        after: None,
    });
    assert!(!world.tail.inboxes.rest());
    let ids: HashSet<i64> = world.tail.inboxes.followed_profiles().into_iter().map(ProfileId::get).collect();
    assert_eq!(ids, HashSet::from([1]));
    world.streams.clear();
    assert!(world.tail.inboxes.rest());
    assert_eq!((world.tail.inboxes.topic_count(), world.tail.inboxes.followed_profiles().len()), (0, 0));
}
