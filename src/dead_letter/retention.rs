//! Keeps the dead letters in their bounds: what went through or was given up goes when it is old, and beyond a size the oldest go, open ones last. Nothing goes
//! silently: what was dropped is logged by group, and counted.
//!
//! One worker of a database does it, in transactions so short that nobody waits for one; it is also the one that tells how much there is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;

use crate::store::{Claim, Error, Expired, Expiry, GroupFilter, GroupState, Store, keep_claim};

/// Letters that are deleted, or given a fingerprint, in one go …
const SOME: u32 = 250;
/// … and how long everybody else has the database to themselves after it.
const BREATH: Duration = Duration::from_millis(10);

/// How long letters are kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Those that were replayed or discarded.
    pub keep: Duration,
    /// Bytes of all payloads.
    pub size_max: u64,
    /// How often it is looked what may go.
    pub every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep: Duration::from_hours(24 * 90), size_max: 1 << 30, every: Duration::from_secs(60) }
    }
}

/// Why letters were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Age,
    Size,
    /// As [`Size`](Self::Size), of letters that nobody has dealt with: they are lost.
    Room,
}

impl Retention {
    /// Works until it is dropped.
    pub async fn run(self, store: Arc<dyn Store>) {
        let mut every = tokio::time::interval(self.every.max(Duration::from_millis(10)));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut claim = None;
        loop {
            every.tick().await;
            if let Err(error) = self.round(&*store, &mut claim).await {
                tracing::warn!(%error, "failed to keep dead letters in their bounds: the next round tries again");
            }
        }
    }

    /// Whoever has the claim keeps it: the figures come from one worker.
    async fn round(&self, store: &dyn Store, claim: &mut Option<Box<dyn Claim>>) -> Result<(), Error> {
        if !keep_claim(claim, || store.claim_dead_letter_upkeep()).await? {
            return Ok(());
        }
        while store.fingerprint_dead_letters(SOME).await? > 0 {
            tokio::time::sleep(BREATH).await;
        }
        self.expire(store).await?;
        tell(store).await
    }

    async fn expire(&self, store: &dyn Store) -> Result<(), Error> {
        let keep = SignedDuration::try_from(self.keep).unwrap_or(SignedDuration::MAX);
        let before = Timestamp::now().checked_sub(keep).unwrap_or(Timestamp::MIN);
        drop_all(store, Why::Age, |_| Expiry::Settled { before }, i64::MAX).await?;
        let surplus = surplus(store, self.size_max).await?;
        if surplus > 0 {
            let freed = drop_all(store, Why::Size, Expiry::SettledBytes, surplus).await?;
            drop_all(store, Why::Room, Expiry::OpenBytes, surplus - freed).await?;
        }
        Ok(())
    }
}

async fn surplus(store: &dyn Store, size_max: u64) -> Result<i64, Error> {
    let bytes = store.dead_letter_stats().await?.bytes();
    Ok(bytes.saturating_sub(i64::try_from(size_max).unwrap_or(i64::MAX)))
}

/// Deletes by this rule until so many bytes are gone, or nothing is left; answers how many bytes went.
async fn drop_all(store: &dyn Store, why: Why, rule: impl Fn(i64) -> Expiry, surplus: i64) -> Result<i64, Error> {
    let mut freed = 0;
    while freed < surplus {
        let gone = store.expire_dead_letters(&rule(surplus - freed), SOME).await?;
        if gone.is_empty() {
            break;
        }
        freed += gone.iter().map(|letter| letter.bytes).sum::<i64>();
        note(why, &gone);
        tokio::time::sleep(BREATH).await;
    }
    Ok(freed)
}

/// Says what was dropped. Letters that nobody has dealt with are worth a warning each group.
fn note(why: Why, gone: &[Expired]) {
    let reason = match why {
        Why::Age => "age",
        Why::Size => "size",
        Why::Room => "size_open",
    };
    let mut groups: BTreeMap<_, u64> = BTreeMap::new();
    for letter in gone {
        *groups.entry((letter.state.as_str(), &letter.pipeline, &letter.fingerprint)).or_default() += 1;
    }
    for ((state, pipeline, group), letters) in groups {
        if state == "open" {
            tracing::warn!(pipeline, group, letters, "dropped open dead letters: there is no room for more of them");
        } else {
            tracing::info!(pipeline, group, letters, state, reason, "dropped dead letters");
        }
    }
    metrics::counter!("broadside_dead_letters_expired_total", "reason" => reason).increment(gone.len() as u64);
}

async fn tell(store: &dyn Store) -> Result<(), Error> {
    metrics::gauge!("broadside_dead_letters_bytes").set(store.dead_letter_stats().await?.bytes() as f64);
    let groups = store.dead_letter_groups(&GroupFilter::default(), Timestamp::now()).await?;
    for state in GroupState::ALL {
        let count = groups.iter().filter(|group| group.state == state).count();
        metrics::gauge!("broadside_dead_letter_groups", "state" => state.as_str()).set(count as f64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_store::MemoryStore;
    use crate::store::{DeadLetterFilter, DeadLetterState, Letters, NewDeadLetter, Settled};

    async fn filled(letters: i64) -> (Arc<MemoryStore>, Vec<i64>) {
        let store = Arc::new(MemoryStore::default());
        let letter = |n: i64| NewDeadLetter {
            failed_at: Timestamp::from_second(n).expect("in range"),
            payload: vec![0; 10],
            ..NewDeadLetter::default()
        };
        let ids = store.add_dead_letters(&(0..letters).map(letter).collect::<Vec<_>>()).await.expect("it is there");
        (store, ids)
    }

    async fn left(store: &MemoryStore) -> Vec<i64> {
        let found = store.dead_letter_ids(&DeadLetterFilter::default()).await.expect("it is there");
        found.into_iter().map(|(id, _)| id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_its_size_the_settled_go_before_the_open_and_the_oldest_first() {
        let (store, ids) = filled(1_000).await;
        store.settle_dead_letters(&ids[900..], &[DeadLetterState::Open], Settled::Replayed).await.expect("it is there");
        let retention = Retention { size_max: 8_995, ..Retention::default() };
        retention.expire(&*store).await.expect("it is there");
        assert_eq!(left(&store).await, ids[..900][1..], "a hundred that went through, and one");
        Retention { size_max: 5_000, ..retention }.expire(&*store).await.expect("it is there");
        assert_eq!(left(&store).await, ids[400..900]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_settled_for_long_goes_and_what_is_open_stays() {
        let (store, ids) = filled(3).await;
        store.settle_dead_letters(&ids[..1], &[DeadLetterState::Open], Settled::Discarded("x")).await.expect("there");
        Retention::default().expire(&*store).await.expect("it is there");
        assert_eq!(left(&store).await, ids, "it was settled just now");
        let at_once = Retention { keep: Duration::ZERO, ..Retention::default() };
        while left(&store).await.len() == 3 {
            at_once.expire(&*store).await.expect("it is there");
        }
        assert_eq!(left(&store).await, ids[1..]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_two_workers_keeps_the_bounds_and_the_other_takes_over() {
        let (store, ids) = filled(2).await;
        let retention = Retention { size_max: 0, ..Retention::default() };
        let other = store.claim_dead_letter_upkeep().await.expect("it is there");
        let mut claim = None;
        retention.round(&*store, &mut claim).await.expect("it is there");
        assert_eq!(left(&store).await, ids, "the other has the claim");
        drop(other);
        retention.round(&*store, &mut claim).await.expect("it is there");
        assert!(left(&store).await.is_empty() && claim.is_some());
    }
}
