//! Kills seen of late, and what became of each: shared by the stage that filters copies and the sink that stores.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::killmail::{Form, KillmailId};

/// How many kills are remembered unless told otherwise: about six days of New Eden.
pub const CAPACITY: usize = 100_000;

/// What to do with a copy of a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: one as good is stored, or on its way where nothing depends on this one.
    Before,
    /// Work on it.
    First,
}

/// The kills of late, each with what became of it. Bounded: the oldest is forgotten first.
///
/// A copy is of no interest when one at least as rich is **stored**. While that one is only **pending** (on its way to the store) a copy
/// may be dropped only if neither source redelivers: dropping settles it, so a source with a checkpoint would go past a
/// kill that is not safe yet, and after a crash nobody would bring it again.
#[derive(Debug)]
pub struct RecentKills(Mutex<Recent>);

/// Figures since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Copies that were of no interest.
    pub hits: u64,
    /// Kills that passed.
    pub misses: u64,
    /// Kills forgotten to stay within the capacity.
    pub evictions: u64,
}

#[derive(Debug)]
pub(crate) struct Recent {
    capacity: usize,
    pub(crate) entries: HashMap<KillmailId, Entry>,
    /// In order of arrival, each with the serial of its entry: one that was forgotten and came again stands here twice.
    order: VecDeque<(KillmailId, u64)>,
    serial: u64,
    pub(crate) stats: Stats,
}

#[derive(Debug)]
pub(crate) struct Entry {
    serial: u64,
    stored: Option<Form>,
    pending: Option<Pending>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    form: Form,
    redelivers: bool,
}

impl Default for RecentKills {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl RecentKills {
    /// Remembers up to `capacity` kills, and at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Mutex::new(Recent {
            capacity: capacity.max(1),
            entries: HashMap::new(),
            order: VecDeque::new(),
            serial: 0,
            stats: Stats::default(),
        }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Recent> {
        // Every change below leaves the set whole, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers more or fewer from now on.
    pub fn set_capacity(&self, capacity: usize) {
        let mut recent = self.lock();
        recent.capacity = capacity.max(1);
        recent.evict();
    }

    /// Looks a copy up, and remembers it as pending when it passes.
    pub fn observe(&self, id: KillmailId, form: Form, redelivers: bool) -> Seen {
        self.lock().observe(id, form, redelivers)
    }

    /// These kills are stored, in these forms.
    pub fn stored(&self, kills: impl IntoIterator<Item = (KillmailId, Form)>) {
        let mut recent = self.lock();
        for (id, form) in kills {
            let entry = recent.entry(id);
            entry.stored = entry.stored.max(Some(form));
            entry.pending = entry.pending.filter(|pending| pending.form > form);
            recent.evict();
        }
    }

    /// These kills failed on their way: the next copy is worked on again. What is stored stays known.
    pub fn forget(&self, ids: impl IntoIterator<Item = KillmailId>) {
        let mut recent = self.lock();
        for id in ids {
            let Some(entry) = recent.entries.get_mut(&id) else { continue };
            entry.pending = None;
            if entry.stored.is_none() {
                recent.entries.remove(&id);
            }
        }
    }

    /// Figures since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// How many kills are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Recent {
    pub(crate) fn observe(&mut self, id: KillmailId, form: Form, redelivers: bool) -> Seen {
        let entry = self.entry(id);
        let is_stored = entry.stored.is_some_and(|stored| stored >= form);
        let is_coming = entry.pending.is_some_and(|p| p.form >= form && !p.redelivers && !redelivers);
        if is_stored || is_coming {
            self.stats.hits += 1;
            return Seen::Before;
        }
        entry.pending = Some(entry.pending.map_or(Pending { form, redelivers }, |before| Pending {
            form: before.form.max(form),
            redelivers: before.redelivers || redelivers,
        }));
        self.stats.misses += 1;
        self.evict();
        Seen::First
    }

    /// The entry of a kill, new if need be. The caller evicts.
    fn entry(&mut self, id: KillmailId) -> &mut Entry {
        self.entries.entry(id).or_insert_with(|| {
            self.serial += 1;
            self.order.push_back((id, self.serial));
            Entry { serial: self.serial, stored: None, pending: None }
        })
    }

    /// Places of forgotten kills count too, so that the order is bounded as the entries are.
    fn evict(&mut self) {
        while self.order.len() > self.capacity {
            let Some((id, serial)) = self.order.pop_front() else { break };
            if self.entries.get(&id).is_some_and(|entry| entry.serial == serial) {
                self.entries.remove(&id);
                self.stats.evictions += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: i64) -> KillmailId {
        KillmailId::new(n).expect("a positive id")
    }

    #[test]
    fn a_copy_of_a_pending_kill_is_dropped_only_when_no_source_counts_on_it() {
        for (first, second, expected) in [
            (false, false, Seen::Before),
            (false, true, Seen::First),
            (true, false, Seen::First),
            (true, true, Seen::First),
        ] {
            let recent = RecentKills::default();
            assert_eq!(recent.observe(id(1), Form::Esi, first), Seen::First);
            assert_eq!(recent.observe(id(1), Form::Esi, second), expected, "{first} {second}");
        }
    }

    #[test]
    fn a_stored_kill_lets_only_richer_copies_pass() {
        let recent = RecentKills::default();
        recent.observe(id(1), Form::Esi, true);
        recent.stored([(id(1), Form::Esi)]);
        assert_eq!(recent.observe(id(1), Form::Feed, true), Seen::Before);
        assert_eq!(recent.observe(id(1), Form::Esi, true), Seen::Before);
        assert_eq!(recent.observe(id(1), Form::Package, true), Seen::First);
        assert_eq!(recent.observe(id(1), Form::Esi, true), Seen::Before, "the poorer one is stored still");
    }

    #[test]
    fn a_failed_kill_may_come_again() {
        let recent = RecentKills::default();
        recent.observe(id(1), Form::Feed, false);
        recent.forget([id(1), id(2)]);
        assert!(recent.is_empty());
        assert_eq!(recent.observe(id(1), Form::Feed, false), Seen::First);
        recent.stored([(id(1), Form::Feed)]);
        recent.forget([id(1)]);
        assert_eq!(recent.observe(id(1), Form::Feed, false), Seen::Before, "what is stored stays known");
    }

    #[test]
    fn the_oldest_goes_first() {
        let recent = RecentKills::new(2);
        for n in 1..=3 {
            recent.observe(id(n), Form::Esi, false);
        }
        assert_eq!((recent.len(), recent.stats().evictions), (2, 1));
        assert_eq!(recent.observe(id(3), Form::Esi, false), Seen::Before);
        assert_eq!(recent.observe(id(1), Form::Esi, false), Seen::First);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Observe(i64, Form, bool),
        Stored(i64, Form),
        Forget(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let form = || prop_oneof![Just(Form::Feed), Just(Form::Esi), Just(Form::Package)];
        prop_oneof![
            (1..20_i64, form(), any::<bool>()).prop_map(|(n, form, redelivers)| Step::Observe(n, form, redelivers)),
            (1..20_i64, form()).prop_map(|(n, form)| Step::Stored(n, form)),
            (1..20_i64).prop_map(Step::Forget),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_dropped_that_is_not_stored_or_coming_and_the_bound_holds(steps in prop::collection::vec(step(), 0..300)) {
            let recent = RecentKills::new(8);
            // What is truly stored, and the copies truly on their way.
            let mut stored: HashMap<i64, Form> = HashMap::new();
            let mut coming: HashMap<i64, Vec<(Form, bool)>> = HashMap::new();
            for step in steps {
                match step {
                    Step::Observe(n, form, redelivers) => match recent.observe(id(n), form, redelivers) {
                        Seen::First => coming.entry(n).or_default().push((form, redelivers)),
                        Seen::Before => {
                            let is_stored = stored.get(&n).is_some_and(|stored| *stored >= form);
                            let is_coming = !redelivers
                                && coming.get(&n).is_some_and(|copies| copies.iter().any(|(f, r)| *f >= form && !r));
                            prop_assert!(is_stored || is_coming, "{n} was dropped");
                        }
                    },
                    Step::Stored(n, form) => {
                        recent.stored([(id(n), form)]);
                        let known = stored.entry(n).or_insert(form);
                        *known = form.max(*known);
                        coming.entry(n).or_default().retain(|(f, _)| *f > form);
                    }
                    Step::Forget(n) => {
                        recent.forget([id(n)]);
                        coming.remove(&n);
                    }
                }
                prop_assert!(recent.len() <= 8);
                prop_assert!(recent.lock().order.len() <= 8);
            }
        }
    }
}
