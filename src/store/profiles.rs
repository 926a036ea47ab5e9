//! What a store keeps of surveillance profiles.
//!
//! Who changes one need not tell anybody: triggers number the changes, so that "everything that changed after N" misses nothing, whoever wrote it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Error;
use crate::killmail::{Kill, KillmailId, ProfileId, Tagged, Worth};
pub use crate::profile::Matched;
use crate::profile::document::{Document, Figures, Written, written_filter, written_targets};
use crate::profile::parse::SYSTEM_CLASSES;

/// Profiles, their changes and how often they matched; and stored kills to try filters on.
#[async_trait]
pub trait Profiles {
    /// Stores profiles in one transaction; answers their ids, in order. One with an id takes the place of the one that has it: where there is none, the call
    /// is refused ([`Error::Data`]). All or nothing. Up to some thousand a call.
    async fn put_profiles(&self, profiles: &[NewProfile]) -> Result<Vec<ProfileId>, Error>;
    /// Removes profiles; answers those that were there, ascending. What they matched stays.
    async fn remove_profiles(&self, ids: &[ProfileId]) -> Result<Vec<ProfileId>, Error>;
    /// Puts profiles to use, or out of it; answers those that there are, ascending.
    async fn enable_profiles(&self, ids: &[ProfileId], enabled: bool) -> Result<Vec<ProfileId>, Error>;
    /// Profiles, ascending by id.
    async fn profiles(&self, which: &Which) -> Result<Vec<StoredProfile>, Error>;
    /// How many there are.
    async fn count_profiles(&self) -> Result<i64, Error>;
    /// Those of these ids that there are, ascending.
    async fn known_profiles(&self, ids: &[ProfileId]) -> Result<Vec<ProfileId>, Error>;

    /// The number of the last change; 0: there was none. Every smaller number is visible, or never will be.
    async fn last_profile_change(&self) -> Result<i64, Error>;
    /// Profiles in use with ids above `after`, ascending: what a worker loads, page by page.
    async fn watched_profiles(&self, after: i64, limit: u32) -> Result<Vec<WatchedProfile>, Error>;
    /// What changed after that change, in order: each profile once, as it is now.
    async fn profile_changes(&self, after: i64, limit: u32) -> Result<Vec<ProfileChange>, Error>;
    /// Tells when it is time to ask for changes.
    fn profile_news(&self) -> Box<dyn ProfileNews>;

    /// Adds matches to profiles' figures. Is no change of them; those that are gone are passed over.
    async fn add_profile_matches(&self, matched: &[Matched]) -> Result<(), Error>;

    /// Stored kills with what is stored of their tags and worth, not decoded: newest (by id) first, with ids below `before`, of this time or later.
    async fn stored_kills(
        &self,
        before: Option<KillmailId>,
        since: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Kill>, Error>;
}

/// Waits for changes of profiles.
#[async_trait]
pub trait ProfileNews: Send + fmt::Debug {
    /// Until there may be some; a few seconds at most.
    async fn wait(&mut self);
}

/// A profile to be stored. Filter and targets are JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct NewProfile {
    /// Of the one whose place it takes.
    pub profile_id: Option<ProfileId>,
    pub owner: Option<String>,
    pub name: String,
    pub filter: String,
    pub enabled: bool,
    pub targets: String,
}

/// A row of `surveillance_profiles`, with its figures.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredProfile {
    pub profile_id: ProfileId,
    pub owner: Option<String>,
    pub name: String,
    pub filter: String,
    pub enabled: bool,
    /// Counts its changes, from 1.
    pub version: i64,
    pub targets: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Kills that it matched when they were first stored, as far as workers have told: some seconds behind.
    pub matches: i64,
    pub last_matched_at: Option<Timestamp>,
}

/// What a worker needs of a profile in use.
#[derive(Clone, PartialEq, Eq)]
pub struct WatchedProfile {
    pub profile_id: ProfileId,
    pub name: String,
    pub filter: String,
    pub targets: String,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileChange {
    pub change_id: i64,
    pub profile_id: ProfileId,
    /// `None`: it is gone, or not in use.
    pub now: Option<WatchedProfile>,
}

/// Which profiles.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Only these; none given: any.
    pub ids: Vec<ProfileId>,
    pub owner: Option<String>,
    /// Ids above this one: for paging.
    pub after: i64,
    pub limit: Option<u32>,
}

impl From<Document> for NewProfile {
    fn from(document: Document) -> Self {
        Self {
            profile_id: document.profile_id,
            targets: document.targets_json(),
            owner: document.owner,
            name: document.name,
            filter: document.filter_json,
            enabled: document.enabled,
        }
    }
}

impl StoredProfile {
    /// As the document that would store it. Without `reveal`, URLs are masked.
    #[must_use]
    pub fn written(&self, reveal: bool) -> Written<'_> {
        Written {
            profile_id: self.profile_id,
            owner: self.owner.as_deref(),
            name: &self.name,
            enabled: self.enabled,
            filter: written_filter(&self.filter),
            targets: written_targets(&self.targets, reveal),
            figures: None,
        }
    }

    /// Everything about it but its secrets.
    #[must_use]
    pub fn listed(&self) -> Written<'_> {
        let Self { version, created_at, updated_at, matches, last_matched_at, .. } = *self;
        let figures = Figures { version, created_at, updated_at, matches, last_matched_at };
        Written { figures: Some(figures), ..self.written(false) }
    }
}

/// Targets hold secrets: nothing here is shown but what tells one profile from another.
macro_rules! discreet {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("profile_id", &self.profile_id).field("name", &self.name).finish_non_exhaustive()
            }
        }
    )+};
}

discreet!(NewProfile, StoredProfile, WatchedProfile);

/// What both engines ask, of `surveillance_profiles p` and `profile_changes c`.
pub(super) const LAST_CHANGE: &str = "SELECT coalesce(max(change_id), 0) FROM profile_changes";
pub(super) const COUNT: &str = "SELECT count(*) FROM surveillance_profiles";
/// Of what is longer than any that can be read only so much is fetched that it is seen to be too long.
pub(super) const WATCHED: &str =
    "SELECT profile_id, name, substr(filter, 1, 262145), substr(targets, 1, 65536) FROM surveillance_profiles p
    WHERE profile_id > $1 AND p.enabled ORDER BY profile_id LIMIT $2";
pub(super) const CHANGES: &str =
    "SELECT change_id, c.profile_id, name, substr(filter, 1, 262145), substr(targets, 1, 65536)
    FROM profile_changes c LEFT JOIN surveillance_profiles p ON p.profile_id = c.profile_id AND p.enabled
    WHERE change_id > $1 ORDER BY change_id LIMIT $2";

pub(super) type WatchedRow = (i64, String, String, String);
pub(super) type ChangeRow = (i64, i64, Option<String>, Option<String>, Option<String>);

pub(super) fn watched((id, name, filter, targets): WatchedRow) -> Option<WatchedProfile> {
    Some(WatchedProfile { profile_id: ProfileId::new(id)?, name, filter, targets })
}

pub(super) fn change((change_id, id, name, filter, targets): ChangeRow) -> Option<ProfileChange> {
    let profile_id = ProfileId::new(id)?;
    let now = name.zip(filter).zip(targets);
    let now = now.map(|((name, filter), targets)| WatchedProfile { profile_id, name, filter, targets });
    Some(ProfileChange { change_id, profile_id, now })
}

/// As numbers.
pub(super) fn numbers(ids: &[ProfileId]) -> impl Iterator<Item = i64> {
    ids.iter().map(|id| id.get())
}

/// Ids that a database answered, ascending.
pub(super) fn ids(mut numbers: Vec<i64>) -> Vec<ProfileId> {
    numbers.sort_unstable();
    numbers.into_iter().filter_map(ProfileId::new).collect()
}

/// Profiles to be added, and those that take another's place.
pub(super) type Parted<'a> = (Vec<&'a NewProfile>, Vec<(i64, &'a NewProfile)>);

/// Tells the new ones from those that take another's place.
///
/// # Errors
/// An id stands there twice.
pub(super) fn parted(profiles: &[NewProfile]) -> Result<Parted<'_>, Error> {
    let mut seen = BTreeSet::new();
    let (mut new, mut replacing) = (Vec::new(), Vec::new());
    for profile in profiles {
        match profile.profile_id {
            None => new.push(profile),
            Some(id) if seen.insert(id) => replacing.push((id.get(), profile)),
            Some(id) => return Err(Error::column("profile_id", format!("profile {id} is given twice"), None)),
        }
    }
    Ok((new, replacing))
}

/// The ids of all, in the order of the call: `added` are those of the new ones, in their order.
pub(super) fn in_order(profiles: &[NewProfile], added: Vec<i64>) -> Result<Vec<ProfileId>, Error> {
    let mut added = ids(added).into_iter();
    let all: Vec<_> = profiles.iter().filter_map(|profile| profile.profile_id.or_else(|| added.next())).collect();
    if all.len() == profiles.len() {
        Ok(all)
    } else {
        Err(Error::Permanent("learn the ids of new profiles".to_owned()))
    }
}

/// One of the profiles that are to be replaced is not there.
pub(super) fn missing(asked: impl Iterator<Item = i64>, found: &[i64]) -> Error {
    let found: BTreeSet<_> = found.iter().copied().collect();
    let id = asked.filter(|id| !found.contains(id)).min().unwrap_or_default();
    Error::column("profile_id", format!("there is no profile {id}"), None)
}

/// What is stored of a kill.
#[derive(Debug, Clone)]
pub(super) struct KillRow {
    pub(super) payload: String,
    pub(super) source: String,
    pub(super) received_at: Timestamp,
    pub(super) constellation_id: Option<i64>,
    pub(super) region_id: Option<i64>,
    pub(super) security_status: Option<f64>,
    pub(super) system_class: Option<String>,
    pub(super) ship_class: Option<String>,
    pub(super) values: [Option<i64>; 4],
    pub(super) price_source: Option<String>,
    pub(super) module_tags: Vec<String>,
    pub(super) npc: Option<bool>,
    pub(super) solo: Option<bool>,
    pub(super) awox: Option<bool>,
    pub(super) points: Option<i64>,
    pub(super) labels: Option<Vec<String>>,
}

/// What may stand in the column `source`.
const SOURCES: [&str; 8] = ["wanderer", "zkillboard", "redisq", "file", "generator", "dead_letters", "history", "esi"];

impl KillRow {
    pub(super) fn kill(self) -> Kill {
        let source = SOURCES.into_iter().find(|known| *known == self.source).unwrap_or("file");
        let mut kill = Kill::new(self.payload.into(), source, self.received_at, true);
        // Whether NPCs were alone is found out of every kill that is tagged.
        kill.tagged = self.npc.map(|npc| {
            Arc::new(Tagged {
                module_tags: self.module_tags.into_iter().map(Arc::from).collect(),
                ship_class: self.ship_class.map(Arc::from),
                ship_group_id: None,
                system_class: self
                    .system_class
                    .and_then(|class| SYSTEM_CLASSES.into_iter().find(|known| *known == class)),
                constellation_id: self.constellation_id,
                region_id: self.region_id,
                security_status: self.security_status,
                npc,
                solo: self.solo,
                awox: self.awox,
                points: self.points,
                labels: self.labels.unwrap_or_default().into_iter().map(Into::into).collect(),
                ..Tagged::default()
            })
        });
        let [total, destroyed, dropped, fitted] = self.values;
        kill.worth = self.price_source.map(|source| Arc::new(Worth { total, destroyed, dropped, fitted, source }));
        kill
    }
}
