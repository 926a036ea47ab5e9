//! Dead letters, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use broadside::store::{
    Attempt, Claim, DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterState, DeadLetterStats, Error, Expired,
    Expiry, GroupFilter, GroupNote, GroupSaid, GroupState, Letters, NewDeadLetter, Settled, TREND_HOURS, fingerprint,
};
use jiff::Timestamp;

use super::MemoryStore;
use super::alerts::Held;

#[derive(Debug, Default)]
pub(super) struct Kept {
    last: i64,
    letters: BTreeMap<i64, DeadLetter>,
    said: BTreeMap<String, (GroupNote, Timestamp)>,
    /// In the place of the true ones.
    counts: Option<Vec<(String, DeadLetterState, i64)>>,
    claim: Arc<AtomicBool>,
}

impl Kept {
    fn add(&mut self, letter: &NewDeadLetter) -> i64 {
        self.last += 1;
        let of = fingerprint(letter);
        let kept = DeadLetter {
            id: self.last,
            attempts: 1,
            first_failed_at: letter.failed_at,
            last_failed_at: letter.failed_at,
            fingerprint: of.hash,
            error_text: of.text,
            payload_bytes: letter.payload.len() as i64,
            history: vec![Attempt::from(letter)],
            letter: letter.clone(),
            ..DeadLetter::default()
        };
        self.letters.insert(self.last, kept);
        self.last
    }

    fn reopen(&mut self) {
        let now = Timestamp::now();
        for letter in self.letters.values_mut() {
            if letter.state == DeadLetterState::Retrying && letter.held_until.is_none_or(|until| until < now) {
                letter.state = DeadLetterState::Open;
            }
        }
    }

    fn of<'a>(&'a mut self, ids: &'a [i64], from: &'a [DeadLetterState]) -> impl Iterator<Item = &'a mut DeadLetter> {
        self.reopen();
        let wanted = |letter: &&mut DeadLetter| ids.contains(&letter.id) && from.contains(&letter.state);
        self.letters.values_mut().filter(wanted)
    }

    fn matching(&mut self, filter: &DeadLetterFilter) -> Vec<DeadLetter> {
        self.reopen();
        let any = |given: &Option<String>, value: &str| given.as_ref().is_none_or(|given| given == value);
        let found = self.letters.values().filter(|kept| {
            kept.id > filter.after
                && (filter.ids.is_empty() || filter.ids.contains(&kept.id))
                && (filter.groups.is_empty() || filter.groups.contains(&kept.fingerprint))
                && (filter.states.is_empty() || filter.states.contains(&kept.state))
                && any(&filter.pipeline, &kept.letter.pipeline)
                && any(&filter.stage, &kept.letter.stage)
                && any(&filter.class, &kept.letter.class)
                && filter.since.is_none_or(|since| kept.last_failed_at >= since)
                && filter.until.is_none_or(|until| kept.last_failed_at < until)
                && (filter.killmail_id.is_none() || filter.killmail_id == kept.letter.killmail_id)
        });
        let mut found: Vec<_> = found.take(filter.limit.unwrap_or(u32::MAX) as usize).cloned().collect();
        if !filter.payload {
            found.iter_mut().for_each(shorten);
        }
        found
    }

    fn group(&self, hash: &str, letters: &[&DeadLetter], now: Timestamp) -> DeadLetterGroup {
        let mut sample =
            (*letters.iter().max_by_key(|letter| letter.last_failed_at).expect("a group has letters")).clone();
        shorten(&mut sample);
        let said = self.said.get(hash);
        let last_failed_at = sample.last_failed_at;
        let state = match said {
            Some((note, at)) => match &note.said {
                GroupSaid::Fixed { .. } => GroupState::of(Some("fixed"), *at < last_failed_at),
                _ => GroupState::Acknowledged,
            },
            None => GroupState::Open,
        };
        let hour = |time: Timestamp| time.as_second().div_euclid(3600);
        let mut trend = vec![0; TREND_HOURS];
        for letter in letters {
            let back = usize::try_from(hour(now) - hour(letter.last_failed_at)).unwrap_or(TREND_HOURS);
            if back < TREND_HOURS {
                trend[TREND_HOURS - 1 - back] += 1;
            }
        }
        let is_open = |letter: &&&DeadLetter| matches!(letter.state, DeadLetterState::Open | DeadLetterState::Retrying);
        DeadLetterGroup {
            fingerprint: hash.to_owned(),
            state,
            fixed_in: said.and_then(|(note, _)| match &note.said {
                GroupSaid::Fixed { version } => Some(version.clone()),
                _ => None,
            }),
            changed_at: said.map(|(_, at)| *at),
            note: said.and_then(|(note, _)| note.note.clone()),
            open: letters.iter().filter(is_open).count() as i64,
            total: letters.len() as i64,
            first_failed_at: letters.iter().map(|letter| letter.first_failed_at).min().expect("a group has letters"),
            last_failed_at,
            trend,
            sample,
        }
    }
}

fn shorten(letter: &mut DeadLetter) {
    (letter.history, letter.original, letter.letter.progress) = Default::default();
    letter.letter.payload = Vec::new();
}

#[allow(dead_code, reason = "each of those that share this file uses its own part")]
impl MemoryStore {
    fn kept_letters(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.letters.lock().expect("no panic while held")
    }

    /// What is counted, whatever there is.
    pub(crate) fn set_letters(&self, counts: Vec<(String, DeadLetterState, i64)>) {
        self.kept_letters().counts = Some(counts);
    }

    /// The dead letters that were added.
    pub(crate) fn letters_added(&self) -> Vec<NewDeadLetter> {
        self.kept_letters().letters.values().map(|kept| kept.letter.clone()).collect()
    }
}

#[async_trait]
impl Letters for MemoryStore {
    async fn add_dead_letters(&self, letters: &[NewDeadLetter]) -> Result<Vec<i64>, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        Ok(letters.iter().map(|letter| kept.add(letter)).collect())
    }

    async fn import_dead_letters(&self, letters: &[DeadLetter]) -> Result<Vec<Option<i64>>, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        let mut ids = Vec::new();
        for letter in letters {
            let hash = fingerprint(&letter.letter).hash;
            let is_it = |other: &DeadLetter| {
                other.fingerprint == hash
                    && other.last_failed_at == letter.letter.failed_at
                    && other.letter.payload == letter.letter.payload
            };
            if kept.letters.values().any(is_it) {
                ids.push(None);
                continue;
            }
            let id = kept.add(&letter.letter);
            if let Some(added) = kept.letters.get_mut(&id) {
                (added.attempts, added.first_failed_at) = (letter.attempts, letter.first_failed_at);
                added.history.clone_from(&letter.history);
            }
            ids.push(Some(id));
        }
        Ok(ids)
    }

    async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, Error> {
        self.answer(())?;
        Ok(self.kept_letters().matching(filter))
    }

    async fn dead_letter_ids(&self, filter: &DeadLetterFilter) -> Result<Vec<(i64, String)>, Error> {
        self.answer(())?;
        let found = self.kept_letters().matching(filter);
        Ok(found.into_iter().map(|letter| (letter.id, letter.letter.pipeline)).collect())
    }

    async fn dead_letter_counts(&self) -> Result<Vec<(String, DeadLetterState, i64)>, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        if let Some(counts) = &kept.counts {
            return Ok(counts.clone());
        }
        let mut counts: BTreeMap<(String, &str), (DeadLetterState, i64)> = BTreeMap::new();
        for letter in kept.matching(&DeadLetterFilter::default()) {
            let entry = counts.entry((letter.letter.pipeline, letter.state.as_str()));
            entry.or_insert((letter.state, 0)).1 += 1;
        }
        Ok(counts.into_iter().map(|((pipeline, _), (state, count))| (pipeline, state, count)).collect())
    }

    async fn dead_letter_stats(&self) -> Result<DeadLetterStats, Error> {
        self.answer(())?;
        let all = self.kept_letters().matching(&DeadLetterFilter::default());
        let of = |state| all.iter().filter(move |letter| letter.state == state);
        let sum = |state| (state, of(state).count() as i64, of(state).map(|letter| letter.payload_bytes).sum());
        Ok(DeadLetterStats {
            states: DeadLetterState::ALL.into_iter().map(sum).filter(|(_, count, _)| *count > 0).collect(),
            oldest_open: of(DeadLetterState::Open).map(|letter| letter.last_failed_at).min(),
        })
    }

    async fn dead_letter_groups(&self, filter: &GroupFilter, now: Timestamp) -> Result<Vec<DeadLetterGroup>, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        kept.reopen();
        let mut by_hash: BTreeMap<&str, Vec<&DeadLetter>> = BTreeMap::new();
        for letter in kept.letters.values() {
            by_hash.entry(&letter.fingerprint).or_default().push(letter);
        }
        let mut groups: Vec<_> = by_hash.iter().map(|(hash, letters)| kept.group(hash, letters, now)).collect();
        let any = |given: &Option<String>, value: &str| given.as_ref().is_none_or(|given| given == value);
        groups.retain(|group| {
            (filter.fingerprints.is_empty() || filter.fingerprints.contains(&group.fingerprint))
                && (filter.states.is_empty() || filter.states.contains(&group.state))
                && (filter.settled || group.open > 0)
                && any(&filter.pipeline, &group.sample.letter.pipeline)
                && any(&filter.stage, &group.sample.letter.stage)
                && any(&filter.class, &group.sample.letter.class)
        });
        groups.sort_by_key(|group| std::cmp::Reverse(group.last_failed_at));
        groups.truncate(filter.limit.unwrap_or(u32::MAX) as usize);
        Ok(groups)
    }

    async fn set_dead_letter_group(&self, fingerprint: &str, said: &GroupNote, now: Timestamp) -> Result<bool, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        let is_there = kept.letters.values().any(|letter| letter.fingerprint == fingerprint);
        if is_there && said.said == GroupSaid::Open {
            kept.said.remove(fingerprint);
        } else if is_there {
            kept.said.insert(fingerprint.to_owned(), (said.clone(), now));
        }
        Ok(is_there)
    }

    async fn claim_dead_letters(
        &self,
        ids: &[i64],
        from: &[DeadLetterState],
        until: Timestamp,
    ) -> Result<Vec<i64>, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        let claim = |letter: &mut DeadLetter| {
            (letter.state, letter.held_until) = (DeadLetterState::Retrying, Some(until));
            letter.id
        };
        Ok(kept.of(ids, from).map(claim).collect())
    }

    async fn renew_dead_letters(&self, ids: &[i64], until: Timestamp) -> Result<Vec<i64>, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        let renew = |letter: &mut DeadLetter| {
            letter.held_until = Some(until);
            letter.id
        };
        Ok(kept.of(ids, &[DeadLetterState::Retrying]).map(renew).collect())
    }

    async fn settle_dead_letters(
        &self,
        ids: &[i64],
        from: &[DeadLetterState],
        to: Settled<'_>,
    ) -> Result<Vec<i64>, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        let settle = |letter: &mut DeadLetter| {
            letter.held_until = None;
            letter.settled_at = (to != Settled::Open).then(Timestamp::now);
            letter.state = match to {
                Settled::Replayed => DeadLetterState::Replayed,
                Settled::Discarded(_) => DeadLetterState::Discarded,
                Settled::Open => DeadLetterState::Open,
            };
            if let Settled::Discarded(why) = to {
                letter.note = Some(why.to_owned());
            }
            if to != Settled::Open {
                letter.letter.retry_at = None;
            }
            letter.id
        };
        Ok(kept.of(ids, from).map(settle).collect())
    }

    async fn due_dead_letters(&self, pipelines: &[String], now: Timestamp, limit: u32) -> Result<Vec<i64>, Error> {
        self.answer(())?;
        let all = self.kept_letters().matching(&DeadLetterFilter::default());
        let is_due = |letter: &&DeadLetter| {
            letter.state == DeadLetterState::Open
                && letter.letter.retry_at.is_some_and(|at| at <= now)
                && (pipelines.is_empty() || pipelines.contains(&letter.letter.pipeline))
        };
        let mut due: Vec<_> = all.iter().filter(is_due).map(|letter| (letter.letter.retry_at, letter.id)).collect();
        due.sort_unstable();
        Ok(due.into_iter().take(limit as usize).map(|(_, id)| id).collect())
    }

    async fn dead_letters_failed_again(&self, again: &[(i64, NewDeadLetter)]) -> Result<Vec<i64>, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        let mut there = Vec::new();
        for (id, new) in again {
            let Some(letter) = kept.letters.get_mut(id) else { continue };
            let of = fingerprint(new);
            letter.attempts += 1;
            letter.history.push(Attempt::from(new));
            (letter.fingerprint, letter.error_text, letter.last_failed_at) = (of.hash, of.text, new.failed_at);
            let is_settled = letter.settled_at.is_some();
            if !is_settled {
                (letter.state, letter.held_until) = (DeadLetterState::Open, None);
            }
            let old = letter.letter.clone();
            letter.letter = NewDeadLetter {
                payload: old.payload,
                position: old.position,
                source: old.source,
                pipeline: old.pipeline,
                killmail_id: new.killmail_id.or(old.killmail_id),
                retry_at: new.retry_at.filter(|_| !is_settled),
                ..new.clone()
            };
            there.push(*id);
        }
        there.sort_unstable();
        Ok(there)
    }

    async fn edit_dead_letter(&self, id: i64, payload: &[u8]) -> Result<bool, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        let Some(letter) = kept.letters.get_mut(&id).filter(|letter| letter.state == DeadLetterState::Open) else {
            return Ok(false);
        };
        let old = std::mem::replace(&mut letter.letter.payload, payload.to_vec());
        letter.original.get_or_insert(old);
        (letter.is_edited, letter.payload_bytes, letter.letter.progress) = (true, payload.len() as i64, None);
        Ok(true)
    }

    async fn expire_dead_letters(&self, rule: &Expiry, limit: u32) -> Result<Vec<Expired>, Error> {
        self.answer(())?;
        let mut kept = self.kept_letters();
        kept.reopen();
        let goes = |letter: &&DeadLetter| match rule {
            Expiry::Settled { before } => letter.settled_at.is_some_and(|at| at < *before),
            Expiry::SettledBytes(_) => letter.settled_at.is_some(),
            Expiry::OpenBytes(_) => letter.state == DeadLetterState::Open,
        };
        let mut oldest: Vec<_> = kept.letters.values().filter(goes).cloned().collect();
        oldest.sort_by_key(|letter| (letter.settled_at, letter.last_failed_at));
        oldest.truncate(limit as usize);
        if let Expiry::SettledBytes(bytes) | Expiry::OpenBytes(bytes) = rule {
            let mut left = *bytes;
            oldest.retain(|letter| {
                let goes = left > 0;
                left -= letter.payload_bytes;
                goes
            });
        }
        let expired = oldest.into_iter().map(|letter| {
            kept.letters.remove(&letter.id);
            let DeadLetter { state, fingerprint, payload_bytes: bytes, letter, .. } = letter;
            Expired { state, pipeline: letter.pipeline, fingerprint, bytes }
        });
        Ok(expired.collect())
    }

    async fn fingerprint_dead_letters(&self, _limit: u32) -> Result<u64, Error> {
        self.answer(0)
    }

    async fn claim_dead_letter_upkeep(&self) -> Result<Option<Box<dyn Claim>>, Error> {
        self.answer(())?;
        let claim = self.kept_letters().claim.clone();
        let is_free = !claim.swap(true, Ordering::SeqCst);
        Ok(is_free.then(|| Box::new(Held(claim)) as Box<dyn Claim>))
    }

    async fn database_identity(&self) -> Result<String, Error> {
        self.answer("memory".to_owned())
    }
}
