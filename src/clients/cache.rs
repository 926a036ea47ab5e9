//! What is remembered of outside services: one table of caches, each with how long, how much, and what happens to stale entries.
//!
//! Within a cache one look-up at a time goes out for a key: who asks meanwhile waits for the same answer. Time is `tokio`'s.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache as Moka;
use moka::notification::RemovalCause;
use tokio::time::Instant;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// In metrics.
    pub name: &'static str,
    /// How long an entry is as good as new.
    pub fresh: Duration,
    /// How long after that it is still handed out at once, while a new one is fetched.
    pub stale: Duration,
    /// The sum of weights that it holds.
    pub capacity: u64,
    /// What `capacity` counts.
    pub weight: Weight,
}

/// What an entry weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// 1.
    Entries,
    /// Its bytes, and a little for its keeping.
    Bytes,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const MB: u64 = 1_000_000;

const fn plan(name: &'static str, fresh: Duration, stale: Duration, capacity: u64, weight: Weight) -> Plan {
    Plan { name, fresh, stale, capacity, weight }
}

/// Which corporation a character is in.
pub const CHARACTER_CORPORATION: Plan =
    plan("character_corporation", MINUTE.saturating_mul(10), Duration::ZERO, 200_000, Weight::Entries);
/// Which corporations a character has been in.
pub const CORPORATION_HISTORY: Plan = plan("corporation_history", HOUR, Duration::ZERO, 8 * MB, Weight::Bytes);
/// Killmails as ESI has them: about 25,000. They never change, so a stale one is as good.
pub const ENRICHMENT: Plan = plan("enrichment", DAY, DAY, 64 * MB, Weight::Bytes);
/// Names of characters, corporations, alliances and the rest.
pub const NAMES: Plan = plan("names", DAY, Duration::ZERO, 200_000, Weight::Entries);
/// Ids that have no name or no affiliation: asking for one fails the whole list it stands in.
pub const UNKNOWN_IDS: Plan = plan("unknown_ids", HOUR, Duration::ZERO, 100_000, Weight::Entries);
/// Solar systems.
pub const SYSTEM: Plan = plan("system", DAY, DAY, 10_000, Weight::Entries);
/// Whole answers with their tags; how long each is fresh, it says itself.
pub const ANSWERS: Plan = plan("answers", DAY, Duration::ZERO, 128 * MB, Weight::Bytes);
/// What ESI told of types and systems that the static data lack, until it is on the shelf.
pub const LEARNED: Plan = plan("learned", MINUTE, Duration::ZERO, 10_000, Weight::Entries);
/// Types and systems that ESI knows nothing of.
pub const UNLEARNABLE: Plan = plan("unlearnable", DAY, Duration::ZERO, 100_000, Weight::Entries);
/// Types and systems that could not be learned of late: meanwhile nobody waits for them.
pub const UNLEARNED: Plan = plan("unlearned", MINUTE, Duration::ZERO, 100_000, Weight::Entries);

/// Every cache of this process.
pub const CACHES: &[Plan] = &[
    CHARACTER_CORPORATION,
    CORPORATION_HISTORY,
    ENRICHMENT,
    NAMES,
    UNKNOWN_IDS,
    SYSTEM,
    ANSWERS,
    LEARNED,
    UNLEARNABLE,
    UNLEARNED,
];

/// What an entry of a cache counted in bytes must tell.
pub trait Weighed {
    /// Bytes on the heap, about.
    fn bytes(&self) -> usize;
}

macro_rules! small {
    ($($kind:ty),+) => {$(
        impl Weighed for $kind {
            fn bytes(&self) -> usize {
                std::mem::size_of::<Self>()
            }
        }
    )+};
}

small!((), i64);

/// Never counted in bytes.
impl Weighed for crate::statics::Statics {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Weighed for bytes::Bytes {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl<T: Weighed> Weighed for Arc<T> {
    fn bytes(&self) -> usize {
        T::bytes(self)
    }
}

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 150;

#[derive(Debug, Clone)]
struct Entry<V> {
    value: V,
    made_at: Instant,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<V> {
    Fresh(V),
    /// To be handed out, and to be replaced.
    Stale(V),
}

/// Cheap to clone: all clones are one cache.
#[derive(Clone)]
pub struct Cache<K, V> {
    plan: Plan,
    entries: Moka<K, Entry<V>>,
    /// Keys of stale entries that are being replaced.
    renewing: Arc<Mutex<HashSet<K>>>,
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("plan", &self.plan).field("entries", &self.entries.entry_count()).finish()
    }
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Weighed + Clone + Send + Sync + 'static,
{
    /// Empty.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let entries = Moka::builder()
            .name(plan.name)
            .max_capacity(plan.capacity)
            .time_to_live(plan.fresh + plan.stale)
            .weigher(move |_, entry: &Entry<V>| match plan.weight {
                Weight::Entries => 1,
                Weight::Bytes => u32::try_from(entry.value.bytes() + OVERHEAD).unwrap_or(u32::MAX),
            })
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    metrics::counter!("broadside_cache_evictions_total", "cache" => plan.name).increment(1);
                }
            })
            .build();
        Self { plan, entries, renewing: Arc::default() }
    }

    /// Looks one up.
    pub async fn get(&self, key: &K) -> Option<Found<V>> {
        let found = self.peek(key).await;
        let counter = match &found {
            Some(_) => metrics::counter!("broadside_cache_hits_total", "cache" => self.plan.name),
            None => metrics::counter!("broadside_cache_misses_total", "cache" => self.plan.name),
        };
        counter.increment(1);
        found
    }

    async fn peek(&self, key: &K) -> Option<Found<V>> {
        let entry = self.entries.get(key).await?;
        let age = entry.made_at.elapsed();
        if age < self.plan.fresh {
            Some(Found::Fresh(entry.value))
        } else if age < self.plan.fresh + self.plan.stale {
            Some(Found::Stale(entry.value))
        } else {
            None
        }
    }

    /// The entry as good as new: there already, or fetched by one of those who ask for it now.
    ///
    /// # Errors
    /// The fetch's; everyone who waited for it gets it, and the next to ask fetches again.
    pub async fn fetch<E>(&self, key: K, fetch: impl Future<Output = Result<V, E>>) -> Result<V, Arc<E>>
    where
        E: Send + Sync + 'static,
    {
        if let Some(Found::Fresh(value)) = self.peek(&key).await {
            return Ok(value);
        }
        if self.entries.get(&key).await.is_some_and(|entry| entry.made_at.elapsed() >= self.plan.fresh) {
            self.entries.invalidate(&key).await;
        }
        let entry = async { Ok(Entry { value: fetch.await?, made_at: Instant::now() }) };
        let entry = self.entries.try_get_with(key, entry).await?;
        self.count().await;
        Ok(entry.value)
    }

    /// Replaces a stale entry, unless that is being done. A failure leaves the stale one, for the next to try.
    pub async fn renew<E>(&self, key: K, fetch: impl Future<Output = Result<V, E>>) {
        let renewing = || self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        if !renewing().insert(key.clone()) {
            return;
        }
        if let Ok(value) = fetch.await {
            self.put(key.clone(), value).await;
        }
        renewing().remove(&key);
    }

    /// Takes one in.
    pub async fn put(&self, key: K, value: V) {
        self.entries.insert(key, Entry { value, made_at: Instant::now() }).await;
        self.count().await;
    }

    async fn count(&self) {
        // Else the number trails behind.
        self.entries.run_pending_tasks().await;
        metrics::gauge!("broadside_cache_entries", "cache" => self.plan.name).set(self.entries.entry_count() as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_cache_has_a_name_of_its_own_and_a_bound() {
        let names: std::collections::HashSet<_> = CACHES.iter().map(|plan| plan.name).collect();
        assert_eq!(names.len(), CACHES.len());
        assert!(CACHES.iter().all(|plan| plan.capacity > 0 && plan.fresh > Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_fresh_then_stale_then_gone() {
        let cache = Cache::new(SYSTEM);
        cache.put(1_i64, 7_i64).await;
        assert_eq!(cache.get(&1).await, Some(Found::Fresh(7)));
        tokio::time::advance(DAY).await;
        assert_eq!(cache.get(&1).await, Some(Found::Stale(7)));
        tokio::time::advance(DAY).await;
        assert_eq!(cache.get(&1).await, None);
        let fetched = cache.fetch(1, async { Ok::<_, ()>(8) }).await;
        assert_eq!((fetched, cache.get(&1).await), (Ok(8), Some(Found::Fresh(8))));
    }

    #[tokio::test]
    async fn one_fetch_answers_all_who_ask_at_once_and_an_error_is_not_kept() {
        let (cache, calls) = (Cache::new(NAMES), AtomicUsize::new(0));
        let fetch = |result: Result<i64, &'static str>| {
            let calls = &calls;
            cache.fetch(5_i64, async move {
                calls.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                result
            })
        };
        let both = tokio::join!(fetch(Err("away")), fetch(Err("away")));
        assert_eq!(both, (Err(Arc::new("away")), Err(Arc::new("away"))));
        assert_eq!(tokio::join!(fetch(Ok(1)), fetch(Ok(2))), (Ok(1), Ok(1)));
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_cache_counted_in_bytes_holds_no_more_than_its_capacity() {
        let cache = Cache::new(Plan { capacity: 10_000, ..ENRICHMENT });
        for id in 0..50_i64 {
            cache.put(id, bytes::Bytes::from(vec![0; 1_000])).await;
        }
        cache.entries.run_pending_tasks().await;
        assert!((5..=9).contains(&cache.entries.entry_count()), "{}", cache.entries.entry_count());
    }
}
