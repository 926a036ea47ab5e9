//! The surveillance profiles in use: enabled ones, matched against every kill, changed while that goes on.
//!
//! They stand in an [`Index`] behind a lock that workers share, and that a change has to itself for some microseconds: it waits for the kills that are being
//! matched, a tenth of a millisecond with a million profiles. More than a million are in several indexes, one filled after the other, each with its lock:
//! smaller ones would let changes through sooner, but a kill must look its values up in each, and lists are the shorter the more there are. Changes come one
//! after another.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::killmail::ProfileId;
use crate::profile::document::Target;
use crate::profile::index::{self, Index, Statistics};
use crate::profile::{Filter, Subject};

/// Profiles of a shard, but for the last.
const SHARD: u32 = 1 << 20;
/// Shards at most: 16 million profiles in all.
const SHARDS: usize = 16;

/// An enabled profile.
#[derive(Debug, Clone)]
pub struct Watched {
    pub profile_id: ProfileId,
    pub name: Arc<str>,
    pub filter: Filter,
    pub targets: Arc<[Target]>,
}

/// Whom a profile tells of its matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerting {
    pub profile_id: ProfileId,
    pub name: Arc<str>,
    /// Never empty.
    pub targets: Arc<[Target]>,
}

/// What a worker needs to match kills, kept from one kill to the next; and what it came upon since it was last asked.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Entries of the index that were looked at.
    pub scanned: u64,
    /// Filters that had to be evaluated.
    pub evaluated: u64,
    index: index::Scratch,
    ids: Vec<u32>,
}

/// How many profiles there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub profiles: usize,
    /// Those that no value of a kill leads to: every kill is compared with them.
    pub broad: usize,
}

/// The profiles in use, shared by all workers.
#[derive(Debug)]
pub struct Surveillance {
    statistics: Arc<Statistics>,
    /// Made when they are begun.
    shards: Box<[OnceLock<RwLock<Shard>>]>,
    /// How many shards were ever begun.
    begun: AtomicUsize,
    seats: Mutex<Seats>,
    alerting: RwLock<HashMap<ProfileId, Arc<Alerting>>>,
}

#[derive(Debug)]
struct Shard {
    index: Index,
    /// By id in the index. Those of ids that are free mean nothing.
    profiles: Vec<ProfileId>,
}

/// Which profile sits where: a seat is a shard and an id in it.
#[derive(Debug, Default)]
struct Seats {
    /// By profile id, which stands in the shard.
    taken: HashTable<u32>,
    hasher: DefaultHashBuilder,
    free: Vec<u32>,
    next: u32,
}

impl Default for Surveillance {
    fn default() -> Self {
        let statistics: Arc<Statistics> = Arc::default();
        Self {
            shards: std::iter::repeat_with(OnceLock::new).take(SHARDS).collect(),
            statistics,
            begun: AtomicUsize::new(0),
            seats: Mutex::default(),
            alerting: RwLock::default(),
        }
    }
}

impl Surveillance {
    /// Takes up profiles; one that is there already is replaced.
    pub fn put(&self, watched: Vec<Watched>) {
        for Watched { profile_id, name, filter, targets } in watched {
            self.seat(profile_id, &filter);
            if targets.is_empty() {
                // Most have none, and readers need not wait for that.
                if self.alerting(profile_id).is_some() {
                    self.alerting.write().unwrap_or_else(PoisonError::into_inner).remove(&profile_id);
                }
            } else {
                let alerting = Arc::new(Alerting { profile_id, name, targets });
                self.alerting.write().unwrap_or_else(PoisonError::into_inner).insert(profile_id, alerting);
            }
        }
    }

    fn seat(&self, profile_id: ProfileId, filter: &Filter) {
        let mut seats = self.seats();
        let taken = self.find(&seats, profile_id);
        let seat = taken.or_else(|| seats.free.pop()).unwrap_or_else(|| {
            seats.next += 1;
            seats.next - 1
        });
        let (number, id) = split(seat);
        self.begun.fetch_max(number + 1, Ordering::AcqRel);
        let mut shard = self.write(number);
        let profiles = &mut shard.profiles;
        if profiles.len() <= id as usize {
            if profiles.len() == profiles.capacity() {
                profiles.reserve_exact((profiles.len() / 8).max(64));
            }
            profiles.resize(id as usize + 1, profile_id);
        }
        profiles[id as usize] = profile_id;
        let inserted = shard.index.insert(id, filter);
        drop(shard);
        let hash = seats.hasher.hash_one(profile_id);
        match (inserted, taken) {
            (Ok(_), Some(_)) => {}
            (Ok(_), None) => {
                let Seats { taken, hasher, .. } = &mut *seats;
                taken.insert_unique(hash, seat, |seat| hasher.hash_one(self.profile(*seat)));
            }
            (Err(error), _) => {
                tracing::error!(profile = profile_id.get(), %error, "a profile is not watched");
                if let Ok(found) = seats.taken.find_entry(hash, |other| *other == seat) {
                    found.remove();
                }
                seats.free.push(seat);
            }
        }
    }

    /// Leaves profiles out from now on.
    pub fn remove(&self, ids: &[ProfileId]) {
        for profile_id in ids {
            let mut seats = self.seats();
            let hash = seats.hasher.hash_one(profile_id);
            if let Ok(found) = seats.taken.find_entry(hash, |seat| self.profile(*seat) == *profile_id) {
                let (seat, _) = found.remove();
                let (number, id) = split(seat);
                self.write(number).index.remove(id);
                seats.free.push(seat);
            }
            drop(seats);
            if self.alerting(*profile_id).is_some() {
                self.alerting.write().unwrap_or_else(PoisonError::into_inner).remove(profile_id);
            }
        }
    }

    /// Adds the profiles that match to `out`: each once, in no order.
    pub fn matches(&self, subject: &Subject<'_>, scratch: &mut Scratch, out: &mut Vec<ProfileId>) {
        let Scratch { scanned, evaluated, index, ids } = scratch;
        index.observe(&self.statistics, subject);
        for number in 0..self.begun.load(Ordering::Acquire) {
            ids.clear();
            let shard = self.read(number);
            shard.index.matches(subject, index, ids);
            out.extend(ids.iter().map(|id| shard.profiles[*id as usize]));
        }
        *scanned += std::mem::take(&mut index.scanned);
        *evaluated += std::mem::take(&mut index.evaluated);
    }

    /// Whom to tell of a match; `None`: nobody, or the profile is in use no more.
    #[must_use]
    pub fn alerting(&self, id: ProfileId) -> Option<Arc<Alerting>> {
        self.alerting.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Which there are, in no order.
    #[must_use]
    pub fn ids(&self) -> Vec<ProfileId> {
        let seats = self.seats();
        seats.taken.iter().map(|seat| self.profile(*seat)).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for number in 0..self.begun.load(Ordering::Acquire) {
            let stats = self.read(number).index.stats();
            counts.profiles += stats.profiles;
            counts.broad += stats.broad;
        }
        counts
    }

    fn find(&self, seats: &Seats, profile_id: ProfileId) -> Option<u32> {
        let hash = seats.hasher.hash_one(profile_id);
        seats.taken.find(hash, |seat| self.profile(*seat) == profile_id).copied()
    }

    /// Who sits there.
    fn profile(&self, seat: u32) -> ProfileId {
        let (number, id) = split(seat);
        self.read(number).profiles[id as usize]
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, number: usize) -> &RwLock<Shard> {
        let shard = || Shard { index: Index::new(self.statistics.clone()), profiles: Vec::new() };
        self.shards[number].get_or_init(|| RwLock::new(shard()))
    }

    fn read(&self, number: usize) -> RwLockReadGuard<'_, Shard> {
        self.shard(number).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, number: usize) -> RwLockWriteGuard<'_, Shard> {
        self.shard(number).write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shard of a seat, and the id in it. The last shard holds all that find no room in others.
const fn split(seat: u32) -> (usize, u32) {
    let shard = (seat / SHARD) as usize;
    if shard < SHARDS { (shard, seat % SHARD) } else { (SHARDS - 1, seat - (SHARDS as u32 - 1) * SHARD) }
}
