//! [`Profiles`] in memory, by the rules that every store keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use broadside::killmail::{Kill, KillmailId, ProfileId};
use broadside::store::{
    Error, Matched, NewProfile, ProfileChange, ProfileNews, Profiles, StoredProfile, WatchedProfile, Which,
};
use jiff::Timestamp;

use super::MemoryStore;

/// The three tables.
#[derive(Debug, Default)]
pub(super) struct Kept {
    rows: BTreeMap<i64, StoredProfile>,
    last_id: i64,
    changes: BTreeMap<i64, i64>,
    last_change: i64,
}

impl Kept {
    fn note(&mut self, id: i64) {
        self.last_change += 1;
        self.changes.retain(|_, changed| *changed != id);
        self.changes.insert(self.last_change, id);
    }

    fn put(&mut self, new: &NewProfile) -> ProfileId {
        let id = new.profile_id.map_or(self.last_id + 1, ProfileId::get);
        self.last_id = self.last_id.max(id);
        let (profile_id, now) = (ProfileId::new(id).expect("above 0"), Timestamp::now());
        let old = self.rows.get(&id);
        let row = StoredProfile {
            profile_id,
            owner: new.owner.clone(),
            name: new.name.clone(),
            filter: new.filter.clone(),
            enabled: new.enabled,
            version: old.map_or(1, |old| old.version + 1),
            targets: new.targets.clone(),
            created_at: old.map_or(now, |old| old.created_at),
            updated_at: now,
            matches: old.map_or(0, |old| old.matches),
            last_matched_at: old.and_then(|old| old.last_matched_at),
        };
        self.rows.insert(id, row);
        self.note(id);
        profile_id
    }

    fn watched(&self, id: i64) -> Option<WatchedProfile> {
        let row = self.rows.get(&id).filter(|row| row.enabled)?.clone();
        let StoredProfile { profile_id, name, filter, targets, .. } = row;
        Some(WatchedProfile { profile_id, name, filter, targets })
    }
}

#[allow(dead_code, reason = "each of those that share this file uses its own part")]
impl MemoryStore {
    /// As when an empty database is put in the place of this.
    pub(crate) fn forget_profiles(&self) {
        *self.profiles.lock().expect("no panic while held") = Kept::default();
    }
}

fn refused(message: String) -> Error {
    let (sqlstate, constraint, column) = (None, None, Some("profile_id".to_owned()));
    Error::Data { message, sqlstate, column, constraint, killmail_ids: Vec::new() }
}

#[derive(Debug)]
struct Looks;

#[async_trait]
impl ProfileNews for Looks {
    async fn wait(&mut self) {
        let mut every = tokio::time::interval(Duration::from_millis(250));
        every.tick().await;
        every.tick().await;
    }
}

#[async_trait]
impl Profiles for MemoryStore {
    async fn put_profiles(&self, profiles: &[NewProfile]) -> Result<Vec<ProfileId>, Error> {
        self.answer(())?;
        let mut kept = self.profiles.lock().expect("no panic while held");
        let mut given = BTreeSet::new();
        for id in profiles.iter().filter_map(|profile| profile.profile_id) {
            if !given.insert(id) {
                return Err(refused(format!("profile {id} is given twice")));
            }
            if !kept.rows.contains_key(&id.get()) {
                return Err(refused(format!("there is no profile {id}")));
            }
        }
        Ok(profiles.iter().map(|profile| kept.put(profile)).collect())
    }

    async fn remove_profiles(&self, ids: &[ProfileId]) -> Result<Vec<ProfileId>, Error> {
        self.answer(())?;
        let mut kept = self.profiles.lock().expect("no panic while held");
        let mut gone: Vec<ProfileId> = ids.iter().copied().filter(|id| kept.rows.remove(&id.get()).is_some()).collect();
        gone.sort_unstable();
        gone.iter().for_each(|id| kept.note(id.get()));
        Ok(gone)
    }

    async fn enable_profiles(&self, ids: &[ProfileId], enabled: bool) -> Result<Vec<ProfileId>, Error> {
        self.answer(())?;
        let mut kept = self.profiles.lock().expect("no panic while held");
        let known: BTreeSet<ProfileId> = ids.iter().copied().filter(|id| kept.rows.contains_key(&id.get())).collect();
        for id in &known {
            let row = kept.rows.get_mut(&id.get()).expect("it is known");
            if row.enabled != enabled {
                (row.enabled, row.version) = (enabled, row.version + 1);
                kept.note(id.get());
            }
        }
        Ok(known.into_iter().collect())
    }

    async fn profiles(&self, which: &Which) -> Result<Vec<StoredProfile>, Error> {
        let kept = self.profiles.lock().expect("no panic while held");
        let rows = kept.rows.range(which.after.saturating_add(1)..).map(|(_, row)| row);
        let rows = rows.filter(|row| which.ids.is_empty() || which.ids.contains(&row.profile_id));
        let rows = rows.filter(|row| which.owner.is_none() || row.owner == which.owner);
        self.answer(rows.take(which.limit.map_or(usize::MAX, |limit| limit as usize)).cloned().collect())
    }

    async fn count_profiles(&self) -> Result<i64, Error> {
        self.answer(self.profiles.lock().expect("no panic while held").rows.len() as i64)
    }

    async fn known_profiles(&self, ids: &[ProfileId]) -> Result<Vec<ProfileId>, Error> {
        let kept = self.profiles.lock().expect("no panic while held");
        let known: BTreeSet<_> = ids.iter().copied().filter(|id| kept.rows.contains_key(&id.get())).collect();
        self.answer(known.into_iter().collect())
    }

    async fn last_profile_change(&self) -> Result<i64, Error> {
        self.answer(self.profiles.lock().expect("no panic while held").last_change)
    }

    async fn watched_profiles(&self, after: i64, limit: u32) -> Result<Vec<WatchedProfile>, Error> {
        let kept = self.profiles.lock().expect("no panic while held");
        let ids = kept.rows.range(after.saturating_add(1)..).map(|(id, _)| *id);
        self.answer(ids.filter_map(|id| kept.watched(id)).take(limit as usize).collect())
    }

    async fn profile_changes(&self, after: i64, limit: u32) -> Result<Vec<ProfileChange>, Error> {
        let kept = self.profiles.lock().expect("no panic while held");
        let changes = kept.changes.range(after.saturating_add(1)..).take(limit as usize);
        let change = |(change_id, id): (&i64, &i64)| ProfileChange {
            change_id: *change_id,
            profile_id: ProfileId::new(*id).expect("above 0"),
            now: kept.watched(*id),
        };
        self.answer(changes.map(change).collect())
    }

    fn profile_news(&self) -> Box<dyn ProfileNews> {
        Box::new(Looks)
    }

    async fn add_profile_matches(&self, matched: &[Matched]) -> Result<(), Error> {
        self.answer(())?;
        let mut kept = self.profiles.lock().expect("no panic while held");
        for one in matched {
            if let Some(row) = kept.rows.get_mut(&one.profile_id.get()) {
                row.matches += one.matches;
                row.last_matched_at = row.last_matched_at.max(Some(one.last_matched_at));
            }
        }
        Ok(())
    }

    async fn stored_kills(
        &self,
        _before: Option<KillmailId>,
        _since: Option<Timestamp>,
        _limit: u32,
    ) -> Result<Vec<Kill>, Error> {
        self.answer(Vec::new())
    }
}
