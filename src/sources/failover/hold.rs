//! Kills of the fallback that wait for the primary to bring them; and what the primary brought.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::time::Duration;

use broadside_engine::Message;
use tokio::time::Instant;

use crate::killmail::{Kill, KillmailId};

/// Kills that wait at most, and their bytes: 20 minutes of the greatest fight that the numbered files can tell of.
const HELD_MAX: usize = 12_000;
const HELD_BYTES_MAX: usize = 64_000_000;
/// Kills of the primary that are remembered: about six days of New Eden.
const KNOWN_MAX: usize = 100_000;

/// What became of a kill that the primary brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// On its way.
    Underway,
    /// Settled, and nothing better is to be had.
    Safe,
    /// It failed, or only a part of it could be had: the fallback's copy is needed.
    Lacking,
}

/// The kills that the primary brought of late, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Brought {
    fates: HashMap<KillmailId, Fate>,
    order: VecDeque<KillmailId>,
}

impl Brought {
    /// The primary hands this one over.
    pub(super) fn insert(&mut self, id: KillmailId) {
        match self.fates.entry(id) {
            Entry::Vacant(vacant) => {
                vacant.insert(Fate::Underway);
                self.order.push_back(id);
            }
            // Another copy may fare better.
            Entry::Occupied(mut known) if *known.get() == Fate::Lacking => *known.get_mut() = Fate::Underway,
            Entry::Occupied(_) => {}
        }
        while self.order.len() > KNOWN_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.fates.remove(&oldest);
            }
        }
    }

    /// This became of one. What is safe stays so, whatever becomes of further copies.
    pub(super) fn settle(&mut self, id: KillmailId, fate: Fate) {
        if let Some(known) = self.fates.get_mut(&id)
            && *known != Fate::Safe
        {
            *known = fate;
        }
    }

    pub(super) fn fate(&self, id: KillmailId) -> Option<Fate> {
        self.fates.get(&id).copied()
    }
}

/// What was published so shortly after the primary's connection was made is not expected of it: clocks differ, and are read in whole seconds.
pub(super) const EXCUSED_FOR: Duration = Duration::from_secs(5);

/// The primary at one moment, as far as it matters to what is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Primary {
    pub(super) is_serving: bool,
    pub(super) connected_at: Option<Instant>,
}

/// What is done with a kill that the primary has not brought yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It serves: the kill waits for it.
    Wait,
    /// It was away when the kill was published, and repeats nothing: the kill goes on at once, and is not held against it.
    Excuse,
    /// The fallback serves: the kill goes on at once, and shows whether the primary brings it too.
    Watch,
}

impl Primary {
    fn mode(&self, published: Instant) -> Mode {
        match self.connected_at {
            Some(at) if published < at + EXCUSED_FOR => Mode::Excuse,
            Some(_) if self.is_serving => Mode::Wait,
            Some(_) => Mode::Watch,
            None => Mode::Excuse,
        }
    }
}

/// A kill that waits, or that went on and is watched.
struct Held {
    message: Option<Message<Kill>>,
    id: KillmailId,
    since: Instant,
    published: Instant,
}

/// What comes out of the hold at one look.
#[derive(Default)]
pub(super) struct Release {
    /// To go on their way.
    pub(super) needed: Vec<Message<Kill>>,
    /// The primary's copies of these are safe.
    pub(super) covered: Vec<Message<Kill>>,
    /// How many of the needed ones the primary has not brought.
    pub(super) absent: u64,
    /// How many kills the primary did not bring in time.
    pub(super) missing: u64,
}

/// The kills that wait, in the order in which they came.
#[derive(Default)]
pub(super) struct Hold {
    held: VecDeque<Held>,
    bytes: usize,
    since: Option<Instant>,
}

impl Hold {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.held.iter().filter(|held| held.message.is_some()).count()
    }

    /// How many more it takes.
    pub(super) fn room(&self) -> usize {
        if self.bytes >= HELD_BYTES_MAX { 0 } else { HELD_MAX.saturating_sub(self.held.len()) }
    }

    /// Takes in a kill that was `published` at a time of the world's clock; `now` is a time of the caller's own.
    pub(super) fn push(&mut self, message: Message<Kill>, id: KillmailId, now: Instant, published: Instant) {
        self.bytes += message.payload.raw.len();
        self.held.push_back(Held { message: Some(message), id, since: now, published });
    }

    /// How long the oldest kill that the primary has not brought has waited.
    pub(super) fn waiting_for(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    /// Takes out what need not wait any more: kills whose fate with the primary is known, those that have waited for `behind`, and those
    /// that it is not waited with.
    pub(super) fn release(&mut self, brought: &Brought, now: Instant, behind: Duration, primary: Primary) -> Release {
        let mut release = Release::default();
        self.since = None;
        for mut held in std::mem::take(&mut self.held) {
            let fate = brought.fate(held.id);
            let mode = primary.mode(held.published);
            let is_late = now.duration_since(held.since) >= behind;
            let goes_on = match fate {
                Some(Fate::Safe) => false,
                Some(Fate::Lacking) => true,
                Some(Fate::Underway) => is_late,
                None => is_late || mode != Mode::Wait,
            };
            if (goes_on || fate == Some(Fate::Safe))
                && let Some(message) = held.message.take()
            {
                self.bytes -= message.payload.raw.len();
                release.absent += u64::from(fate.is_none());
                if goes_on { &mut release.needed } else { &mut release.covered }.push(message);
            }
            let is_judged = fate.is_none() && mode != Mode::Excuse;
            if is_judged && is_late {
                release.missing += 1;
            } else if is_judged || held.message.is_some() {
                if is_judged {
                    self.since.get_or_insert(held.since);
                }
                self.held.push_back(held);
            }
        }
        release
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEHIND: Duration = Duration::from_secs(120);

    fn id(n: i64) -> KillmailId {
        KillmailId::new(n).expect("a positive id")
    }

    fn held(ids: impl IntoIterator<Item = i64>, now: Instant) -> Hold {
        let mut hold = Hold::default();
        for n in ids {
            let kill = Kill::new(n.to_string().into(), "zkillboard", jiff::Timestamp::UNIX_EPOCH, true);
            hold.push(Message::new(kill), id(n), now, now);
        }
        hold
    }

    /// Connected long before what is held was published.
    fn serving(now: Instant, is_serving: bool) -> Primary {
        Primary { is_serving, connected_at: now.checked_sub(EXCUSED_FOR) }
    }

    fn names(messages: &[Message<Kill>]) -> Vec<&str> {
        messages.iter().map(|message| std::str::from_utf8(&message.payload.raw).expect("a number")).collect()
    }

    #[test]
    fn a_kill_waits_until_its_fate_is_known_or_its_time_is_up() {
        let now = Instant::now();
        let mut brought = Brought::default();
        (1..=3).for_each(|n| brought.insert(id(n)));
        brought.settle(id(1), Fate::Safe);
        brought.settle(id(2), Fate::Lacking);
        let mut hold = held(1..=4, now);
        let early = hold.release(&brought, now, BEHIND, serving(now, true));
        assert_eq!((names(&early.covered), names(&early.needed), early.missing), (vec!["1"], vec!["2"], 0));
        assert_eq!(hold.waiting_for(now + BEHIND / 2), BEHIND / 2, "4 was not brought");
        let late = hold.release(&brought, now + BEHIND, BEHIND, serving(now, true));
        assert_eq!((names(&late.covered), names(&late.needed), late.missing), (vec![], vec!["3", "4"], 1));
        assert_eq!((hold.len(), hold.bytes), (0, 0));
    }

    #[test]
    fn when_the_primary_is_away_nothing_waits_for_it_but_what_it_has_brought() {
        let now = Instant::now();
        let mut brought = Brought::default();
        brought.insert(id(1));
        let mut hold = held(1..=2, now);
        let released = hold.release(&brought, now, BEHIND, Primary { is_serving: true, connected_at: None });
        assert_eq!((names(&released.needed), released.missing, hold.len()), (vec!["2"], 0, 1));
    }

    #[test]
    fn what_was_published_before_the_primary_was_there_is_not_waited_for_whenever_it_is_read() {
        let now = Instant::now();
        let mut hold = held(1..=1, now);
        let primary = Primary { is_serving: true, connected_at: Some(now) };
        let released = hold.release(&Brought::default(), now + BEHIND / 2, BEHIND, primary);
        assert_eq!((names(&released.needed), released.missing, hold.len()), (vec!["1"], 0, 0));
    }

    #[test]
    fn while_the_fallback_serves_nothing_waits_and_what_the_primary_does_not_bring_is_still_missed() {
        let now = Instant::now();
        let mut brought = Brought::default();
        let mut hold = held(1..=2, now);
        let released = hold.release(&brought, now, BEHIND, serving(now, false));
        assert_eq!((names(&released.needed), hold.len(), hold.bytes), (vec!["1", "2"], 0, 0));
        brought.insert(id(1));
        let late = hold.release(&brought, now + BEHIND, BEHIND, serving(now, false));
        assert_eq!((late.needed.len(), late.missing), (0, 1));
        assert!(hold.held.is_empty());
    }

    #[test]
    fn what_is_safe_stays_safe_whatever_becomes_of_further_copies() {
        let mut brought = Brought::default();
        brought.insert(id(1));
        brought.settle(id(1), Fate::Safe);
        brought.settle(id(1), Fate::Lacking);
        assert_eq!(brought.fate(id(1)), Some(Fate::Safe));
        brought.settle(id(2), Fate::Safe);
        assert_eq!(brought.fate(id(2)), None);
    }
}
