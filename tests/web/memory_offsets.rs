//! Offsets of clients, in memory: as simple as what is promised, so that it serves as the measure of the others too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use broadside::killmail::SystemId;
use broadside::store::{
    Ask, Begin, Claim, ClientId, Collectable, Collected, Commit, Error, Event, FeedClient, Follow, Following, Handed,
    LAG_MAX, Offsets, Rules,
};
use jiff::Timestamp;

use super::MemoryStore;
use super::alerts::Held;

#[derive(Debug, Default)]
pub(super) struct Kept {
    /// By client and system.
    offsets: BTreeMap<(String, i64), (i64, Timestamp)>,
    /// Of each system, the greatest that was collected.
    collected: BTreeMap<i64, i64>,
    /// When events were made; of one that is not here: now.
    made: BTreeMap<i64, Timestamp>,
    claim: Arc<AtomicBool>,
}

impl Kept {
    fn of(&self, client: &str) -> BTreeMap<SystemId, i64> {
        let own = self.offsets.iter().filter(|((name, _), _)| name == client);
        own.filter_map(|((_, system), (event, _))| Some((SystemId::new(*system)?, *event))).collect()
    }

    fn begin(&mut self, follow: &Follow, last: i64) {
        for system in &follow.systems {
            let collected = self.collected.get(&system.get()).copied().unwrap_or(0);
            let at = match follow.begin {
                Begin::Now => last.max(collected),
                Begin::Earliest => collected,
                Begin::After(id) => id,
            };
            self.offsets.entry((follow.client.to_string(), system.get())).or_insert((at, follow.now));
        }
        // Once a minute is enough for the others; here nothing is spared.
        for ((_, _), (_, seen_at)) in self.offsets.iter_mut().filter(|((name, _), _)| name == follow.client.as_str()) {
            *seen_at = follow.now.max(*seen_at);
        }
    }

    fn has_gap(&self, client: &ClientId, systems: &[SystemId]) -> bool {
        let lost = |id: i64| {
            let offset = self.offsets.get(&(client.to_string(), id)).map_or(i64::MAX, |(event, _)| *event);
            offset < self.collected.get(&id).copied().unwrap_or(0)
        };
        systems.iter().any(|system| lost(system.get()))
    }

    fn move_to(&mut self, client: &ClientId, system: i64, event: i64, now: Timestamp) {
        let (offset, seen_at) = self.offsets.entry((client.to_string(), system)).or_insert((event, now));
        (*offset, *seen_at) = (event.max(*offset), now);
    }

    fn is_wanted(&self, event: &Event) -> bool {
        let follows = |((_, system), (offset, _)): (&(String, i64), &(i64, Timestamp))| {
            *system == event.system_id.get() && *offset < event.event_id
        };
        self.offsets.iter().any(follows)
    }
}

#[allow(dead_code, reason = "each of those that share this file uses its own part")]
impl MemoryStore {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.offsets.lock().expect("no panic while held")
    }

    /// An event is as old as that, at least.
    pub(crate) fn set_made(&self, event_id: i64, at: Timestamp) {
        let mut kept = self.kept();
        let made = kept.made.entry(event_id).or_insert(at);
        *made = at.min(*made);
    }

    fn greatest(&self) -> i64 {
        self.events.lock().expect("no panic while held").0
    }

    fn known(&self, column: &str, id: i64) -> Result<(), Error> {
        if id <= self.greatest() {
            return Ok(());
        }
        Err(Error::Data {
            message: format!("{id} is beyond the last event, {}", self.greatest()),
            sqlstate: None,
            column: Some(column.to_owned()),
            constraint: None,
            killmail_ids: Vec::new(),
        })
    }
}

#[async_trait]
impl Offsets for MemoryStore {
    async fn hand_out(&self, ask: &Ask) -> Result<Handed, Error> {
        let Following { offsets, gap } = self.follow(&ask.follow).await?;
        let events = self.events();
        let above = events.iter().filter(|event| offsets.get(&event.system_id).is_some_and(|at| event.event_id > *at));
        let mut above: Vec<Event> = above.cloned().collect();
        let mut bytes = 0;
        let fits = |event: &&Event| {
            bytes += event.payload.len();
            bytes <= ask.bytes_max
        };
        let count = above.iter().take_while(fits).count().max(1).min(ask.limit as usize);
        let more = above.len() > count;
        above.truncate(count);
        if ask.commit == Commit::Auto {
            let mut kept = self.kept();
            for system in &ask.follow.systems {
                let collected = kept.collected.get(&system.get()).copied().unwrap_or(0);
                let last = above.iter().rfind(|event| event.system_id == *system).map_or(0, |event| event.event_id);
                kept.move_to(&ask.follow.client, system.get(), last.max(collected), ask.follow.now);
            }
        }
        Ok(Handed { events: above, more, gap })
    }

    async fn follow(&self, follow: &Follow) -> Result<Following, Error> {
        self.answer(())?;
        let oldest = self.ids().first().copied();
        let last = self.greatest();
        let known = self.kept().of(follow.client.as_str());
        if let Begin::After(id) = follow.begin
            && follow.systems.iter().any(|system| !known.contains_key(system))
        {
            self.known("from", id)?;
        }
        let mut kept = self.kept();
        kept.begin(follow, last);
        let gap = kept.has_gap(&follow.client, &follow.systems).then_some(oldest.unwrap_or(last + 1));
        let systems: BTreeSet<_> = follow.systems.iter().copied().collect();
        let mut offsets = kept.of(follow.client.as_str());
        offsets.retain(|system, _| systems.contains(system));
        Ok(Following { offsets, gap })
    }

    async fn commit_offsets(
        &self,
        client: &ClientId,
        offsets: &BTreeMap<SystemId, i64>,
        now: Timestamp,
    ) -> Result<BTreeMap<SystemId, i64>, Error> {
        self.answer(())?;
        self.known("offsets", offsets.values().copied().max().unwrap_or(0))?;
        let mut kept = self.kept();
        let mut before = kept.of(client.as_str());
        before.retain(|system, _| offsets.contains_key(system));
        for (system, event) in offsets {
            kept.move_to(client, system.get(), *event, now);
        }
        Ok(before)
    }

    async fn offsets(&self, client: &ClientId) -> Result<BTreeMap<SystemId, i64>, Error> {
        self.answer(self.kept().of(client.as_str()))
    }

    async fn clients(&self, after: &str, limit: u32) -> Result<Vec<FeedClient>, Error> {
        let (kept, events) = (self.kept(), self.events());
        let names: BTreeSet<&String> =
            kept.offsets.keys().map(|(name, _)| name).filter(|name| name.as_str() > after).collect();
        let of = |name: &String| {
            let own: Vec<_> = kept.offsets.iter().filter(|((client, _), _)| client == name).collect();
            let lag = own.iter().map(|((_, system), (offset, _))| {
                events.iter().filter(|event| event.system_id.get() == *system && event.event_id > *offset).count()
            });
            FeedClient {
                client: name.clone(),
                systems: own.len() as i64,
                seen_at: own.iter().map(|(_, (_, seen_at))| *seen_at).max().unwrap_or_default(),
                lag: (lag.sum::<usize>() as i64).min(LAG_MAX),
                least: own.iter().map(|(_, (event, _))| *event).min().unwrap_or(0),
                greatest: own.iter().map(|(_, (event, _))| *event).max().unwrap_or(0),
            }
        };
        self.answer(names.into_iter().take(limit as usize).map(of).collect())
    }

    async fn forget_client(&self, client: &ClientId) -> Result<bool, Error> {
        self.answer(())?;
        let mut kept = self.kept();
        let before = kept.offsets.len();
        kept.offsets.retain(|(name, _), _| name != client.as_str());
        Ok(kept.offsets.len() < before)
    }

    async fn forget_clients(&self, seen_before: Timestamp, limit: u32) -> Result<u64, Error> {
        let unseen = self.clients("", u32::MAX).await?.into_iter().filter(|client| client.seen_at < seen_before);
        let unseen: Vec<_> = unseen.take(limit as usize).map(|client| client.client).collect();
        self.kept().offsets.retain(|(name, _), _| !unseen.contains(name));
        Ok(unseen.len() as u64)
    }

    async fn collectable(&self, rules: &Rules) -> Result<Collectable, Error> {
        let (kept, ids) = (self.kept(), self.ids());
        let Some((greatest, ids)) = ids.split_last() else { return self.answer(Collectable::default()) };
        let before = |time: Timestamp| {
            let is_old = |id: &&i64| kept.made.get(id).is_some_and(|made| *made < time);
            ids.iter().take_while(is_old).last().copied().unwrap_or(0)
        };
        let surplus = (ids.len() + 1).saturating_sub(usize::try_from(rules.count_max).unwrap_or(usize::MAX));
        self.answer(Collectable {
            passed: before(rules.passed_before),
            aged: before(rules.made_before),
            surplus: ids[..surplus.min(ids.len())].last().copied().unwrap_or(0),
            events: greatest - ids.first().unwrap_or(greatest) + 1,
        })
    }

    async fn collect(&self, of: &Collectable, after: i64, limit: u32) -> Result<Collected, Error> {
        self.answer(())?;
        let (mut kept, mut events) = (self.kept(), self.events.lock().expect("no panic while held"));
        let mut collected = Collected::default();
        let goes = |kept: &Kept, event: &Event| {
            let id = event.event_id;
            id > after && (id <= of.aged.max(of.surplus) || id <= of.passed && !kept.is_wanted(event))
        };
        let gone: Vec<_> = events.1.iter().filter(|event| goes(&kept, event)).take(limit as usize).cloned().collect();
        for event in &gone {
            match (kept.is_wanted(event), event.event_id) {
                (false, id) if id <= of.passed => collected.passed += 1,
                (_, id) if id <= of.aged => collected.aged += 1,
                _ => collected.surplus += 1,
            }
        }
        for event in &gone {
            let last = kept.collected.entry(event.system_id.get()).or_default();
            *last = event.event_id.max(*last);
        }
        events.1.retain(|event| gone.iter().all(|gone| gone.event_id != event.event_id));
        collected.next = gone.last().map(|event| event.event_id).filter(|_| gone.len() == limit as usize);
        Ok(collected)
    }

    async fn claim_collection(&self) -> Result<Option<Box<dyn Claim>>, Error> {
        let claim = self.kept().claim.clone();
        let is_free = !claim.swap(true, Ordering::SeqCst);
        self.answer(is_free.then(|| Box::new(Held(claim)) as Box<dyn Claim>))
    }
}
