//! A store in memory that knows events, checkpoints, dead-letter counts and markets: enough for what is served over HTTP, and for pollers.

#[path = "memory_alerts.rs"]
mod alerts;
#[path = "memory_jobs.rs"]
mod jobs;
#[path = "memory_letters.rs"]
mod letters;
#[path = "memory_offsets.rs"]
mod offsets;
#[path = "memory_orders.rs"]
mod orders;
#[path = "memory_profiles.rs"]
mod profiles;
#[path = "memory_quotes.rs"]
mod quotes;
#[path = "memory_statics.rs"]
mod statics;

#[allow(unused_imports, reason = "of use to some of those that share this file")]
pub(crate) use orders::Row;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use broadside::killmail::{Form, Kill, KillmailId, Known, ProfileId, RegionId, SystemId};
use broadside::store::{Change, Error, Event, Health, Month, Refresh, Scope, Store, Stretch};
use jiff::Timestamp;
use jiff::civil::Date;

#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    events: Mutex<(i64, Vec<Event>)>,
    away: AtomicBool,
    health: Health,
    letters: Mutex<letters::Kept>,
    ensured: Mutex<Vec<(Month, Month)>>,
    checkpoints: Mutex<HashMap<String, String>>,
    markets: Mutex<orders::Markets>,
    prices: Mutex<quotes::Prices>,
    job: Mutex<broadside::price::job::Job>,
    turnstile: jobs::Turnstile,
    profiles: Mutex<profiles::Kept>,
    statics: Mutex<statics::Kept>,
    outbox: Mutex<alerts::Outbox>,
    offsets: Mutex<offsets::Kept>,
}

#[allow(dead_code, reason = "each of the two that share this file uses its own part")]
impl MemoryStore {
    /// Adds an event, and answers its id.
    pub(crate) fn commit(&self, system_id: SystemId, killmail_id: KillmailId, payload: String) -> i64 {
        self.commit_in(system_id, killmail_id, payload, None, &[])
    }

    /// The same, of a region and matched by profiles.
    pub(crate) fn commit_in(
        &self,
        system_id: SystemId,
        killmail_id: KillmailId,
        payload: String,
        region_id: Option<RegionId>,
        profiles: &[ProfileId],
    ) -> i64 {
        let mut events = self.events.lock().expect("no panic while held");
        events.0 += 1;
        let (event_id, matches) = (events.0, profiles.to_vec());
        let known = Known::default();
        events.1.push(Event { event_id, system_id, killmail_id, payload, region_id, known, matches });
        event_id
    }

    /// Leaves a hole in the ids.
    pub(crate) fn skip_ids(&self, count: i64) {
        self.events.lock().expect("no panic while held").0 += count;
    }

    /// Drops all but the newest events.
    pub(crate) fn collect(&self, keep: usize) {
        let mut events = self.events.lock().expect("no panic while held");
        let surplus = events.1.len().saturating_sub(keep.max(1));
        events.1.drain(..surplus);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().expect("no panic while held").1.clone()
    }

    pub(crate) fn ids(&self) -> Vec<i64> {
        self.events().iter().map(|event| event.event_id).collect()
    }

    /// From now on every call fails, or none does.
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// The months that were asked for.
    pub(crate) fn ensured(&self) -> Vec<(Month, Month)> {
        self.ensured.lock().expect("no panic while held").clone()
    }

    fn answer<R>(&self, result: R) -> Result<R, Error> {
        if self.away.load(Ordering::SeqCst) { Err(Error::Transient("the store is away".into())) } else { Ok(result) }
    }
}

/// Rows looked at in one call, of a log without an index for what is asked.
const LOOK_MAX: usize = 30;

fn names(scope: &Scope, event: &Event) -> bool {
    event.region_id.is_some_and(|id| scope.regions.contains(&id))
        || event.matches.iter().any(|id| scope.profiles.contains(id))
}

#[async_trait]
impl Store for MemoryStore {
    async fn migrate(&self) -> Result<Vec<String>, Error> {
        self.answer(Vec::new())
    }

    async fn pending_migrations(&self) -> Result<Vec<String>, Error> {
        self.answer(Vec::new())
    }

    async fn insert_kills(&self, kills: &[&Kill], _events: bool) -> Result<Vec<Change>, Error> {
        self.answer(kills.iter().map(|_| Change::Same).collect())
    }

    async fn lacking(&self, ids: &[KillmailId], _form: Form, _day: Date) -> Result<Vec<KillmailId>, Error> {
        self.answer(ids.to_vec())
    }

    async fn due_refreshes(&self, _now: Timestamp, _limit: u32) -> Result<Vec<Refresh>, Error> {
        self.answer(Vec::new())
    }

    async fn postpone_refresh(&self, _id: KillmailId, _until: Option<Timestamp>) -> Result<(), Error> {
        self.answer(())
    }

    async fn defer_refreshes(&self, _ids: &[KillmailId], _until: Timestamp) -> Result<(), Error> {
        self.answer(())
    }

    async fn events_of(&self, scope: &Scope, after: i64, limit: u32) -> Result<Stretch, Error> {
        let events = self.events.lock().expect("no panic while held");
        let (least, greatest) = (events.1.first().map(|e| e.event_id), events.1.last().map_or(0, |e| e.event_id));
        let from = events.1.partition_point(|event| event.event_id <= after);
        let is_by_index = scope.regions.is_empty() && scope.profiles.is_empty();
        let must_look = !scope.all && !is_by_index;
        let looked_at = &events.1[from..events.1.len().min(if must_look { from + LOOK_MAX } else { usize::MAX })];
        let is_in = |event: &&Event| {
            scope.all
                || scope.systems.iter().any(|(id, after)| *id == event.system_id && event.event_id > *after)
                || names(scope, event)
        };
        let mut found: Vec<Event> = looked_at.iter().filter(is_in).take(limit as usize).cloned().collect();
        found.iter_mut().for_each(|event| event.matches.retain(|id| scope.profiles.contains(id)));
        let last = if found.len() == limit as usize { found.last() } else { looked_at.last() };
        let through = last.map_or(greatest.max(after), |last| last.event_id);
        self.answer(Stretch { events: found, through, least, more: through < greatest })
    }

    async fn event_range(&self) -> Result<Option<(i64, i64)>, Error> {
        let events = self.events.lock().expect("no panic while held");
        self.answer(events.1.first().zip(events.1.last()).map(|(first, last)| (first.event_id, last.event_id)))
    }

    async fn count_kills(&self) -> Result<i64, Error> {
        self.answer(0)
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<String>, Error> {
        self.answer(self.checkpoints.lock().expect("no panic while held").get(name).cloned())
    }

    async fn set_checkpoint(&self, name: &str, value: Option<&str>) -> Result<(), Error> {
        self.answer(())?;
        let mut checkpoints = self.checkpoints.lock().expect("no panic while held");
        match value {
            Some(value) => checkpoints.insert(name.to_owned(), value.to_owned()),
            None => checkpoints.remove(name),
        };
        Ok(())
    }

    async fn ensure_partitions(&self, first: Month, last: Month) -> Result<Vec<String>, Error> {
        self.answer(())?;
        self.ensured.lock().expect("no panic while held").push((first, last));
        Ok(Vec::new())
    }

    async fn ping(&self) -> Result<(), Error> {
        self.answer(())
    }

    fn health(&self) -> &Health {
        &self.health
    }

    async fn close(&self) {}
}
