//! The surveillance profiles in use: enabled ones, matched against every kill, changed while that goes on.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::killmail::ProfileId;
use crate::profile::document::Target;
use crate::profile::{Filter, Subject, interpret};

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
}

/// How many profiles there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub profiles: usize,
    /// Those that no value of a kill leads to: every kill is compared with them.
    pub broad: usize,
}

/// The profiles in use, shared by all workers.
#[derive(Debug, Default)]
pub struct Surveillance {
    profiles: RwLock<HashMap<ProfileId, Filter>>,
    alerting: RwLock<HashMap<ProfileId, Arc<Alerting>>>,
}

impl Surveillance {
    /// Takes up profiles; one that is there already is replaced.
    pub fn put(&self, watched: Vec<Watched>) {
        for Watched { profile_id, name, filter, targets } in watched {
            self.profiles.write().unwrap_or_else(PoisonError::into_inner).insert(profile_id, filter);
            let mut alerting = self.alerting.write().unwrap_or_else(PoisonError::into_inner);
            if targets.is_empty() {
                alerting.remove(&profile_id);
            } else {
                alerting.insert(profile_id, Arc::new(Alerting { profile_id, name, targets }));
            }
        }
    }

    /// Leaves profiles out from now on.
    pub fn remove(&self, ids: &[ProfileId]) {
        for id in ids {
            self.profiles.write().unwrap_or_else(PoisonError::into_inner).remove(id);
            self.alerting.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
    }

    /// Adds the profiles that match to `out`: each once, in no order.
    pub fn matches(&self, subject: &Subject<'_>, scratch: &mut Scratch, out: &mut Vec<ProfileId>) {
        let profiles = self.profiles.read().unwrap_or_else(PoisonError::into_inner);
        scratch.evaluated += profiles.len() as u64;
        out.extend(profiles.iter().filter(|(_, filter)| interpret::holds(&filter.root, subject)).map(|(id, _)| *id));
    }

    /// Whom to tell of a match; `None`: nobody, or the profile is in use no more.
    #[must_use]
    pub fn alerting(&self, id: ProfileId) -> Option<Arc<Alerting>> {
        self.alerting.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// How many there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { profiles: self.profiles.read().unwrap_or_else(PoisonError::into_inner).len(), broad: 0 }
    }
}
