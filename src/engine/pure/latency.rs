//! How long messages take from received to settled, in buckets: what quantiles over a window are read from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets in each doubling: a quantile is off by an eighth at most.
const PARTS: u64 = 4;
/// The first bucket ends here: 64 µs.
const FIRST_BITS: u32 = 6;
/// Up to 64 µs × 2²⁴, 18 minutes; the last bucket has all that is longer.
const BUCKETS: usize = 96;

/// Counts since the start, by duration. Two of them tell of the time between.
///
/// ```
/// use broadside_engine::Latencies;
/// use std::time::Duration;
/// let counts = Latencies::of([(Duration::from_millis(3), 98), (Duration::from_secs(2), 2)]);
/// let millis = |share| counts.quantile(share).map(|at| at.as_millis());
/// assert!((2..=3).contains(&millis(0.5).unwrap()) && (1800..=2200).contains(&millis(0.99).unwrap()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies(Box<[u64; BUCKETS]>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS]))
    }
}

impl Latencies {
    /// So many messages of each of these durations.
    #[must_use]
    pub fn of(messages: impl IntoIterator<Item = (Duration, u64)>) -> Self {
        let mut counts = Self::default();
        for (took, messages) in messages {
            counts.0[bucket(took)] += messages;
        }
        counts
    }

    /// What was added since `before`; a bucket that holds less than then counts as empty.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut counts = self.clone();
        for (count, before) in counts.0.iter_mut().zip(before.0.iter()) {
            *count = count.saturating_sub(*before);
        }
        counts
    }

    /// Messages in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The duration that this share of the messages did not exceed, between 0 and 1; `None` when there is no message.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let total = self.total();
        let wanted = ((total as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut below = 0;
        let bucket = self.0.iter().position(|count| {
            below += count;
            below >= wanted
        });
        bucket.filter(|_| total > 0).map(middle)
    }
}

/// The same counts, added to by many workers at once.
#[derive(Debug)]
pub(crate) struct Recorder([AtomicU64; BUCKETS]);

impl Default for Recorder {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Recorder {
    /// Goes on counting where a pipeline stood.
    pub(crate) fn after(before: Option<&Latencies>) -> Self {
        before.map_or_else(Self::default, |before| Self(std::array::from_fn(|index| AtomicU64::new(before.0[index]))))
    }

    pub(crate) fn record(&self, took: Duration, messages: usize) {
        self.0[bucket(took)].fetch_add(messages as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Latencies {
        Latencies(Box::new(std::array::from_fn(|index| self.0[index].load(Ordering::Relaxed))))
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let Some(doublings) = (micros >> FIRST_BITS).checked_ilog2() else { return 0 };
    // The two bits after the leading one.
    let part = (micros >> (doublings + FIRST_BITS - 2)) & (PARTS - 1);
    (doublings as usize * PARTS as usize + part as usize).min(BUCKETS - 1)
}

/// The middle of a bucket.
fn middle(bucket: usize) -> Duration {
    let (doublings, part) = (bucket as u64 / PARTS, bucket as u64 % PARTS);
    let eighth = (1_u64 << (u64::from(FIRST_BITS) + doublings)) / (2 * PARTS);
    Duration::from_micros(eighth * (2 * (PARTS + part) + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Latencies::default().quantile(0.5), None);
        assert_eq!(Latencies::default().total(), 0);
    }

    #[test]
    fn what_is_longer_or_shorter_than_any_bucket_is_in_the_last_or_the_first() {
        for took in [Duration::ZERO, Duration::from_micros(63)] {
            assert_eq!(bucket(took), 0);
        }
        for took in [Duration::from_secs(20 * 60), Duration::MAX] {
            assert_eq!(bucket(took), BUCKETS - 1);
        }
    }

    #[test]
    fn a_window_is_what_was_added_and_never_less_than_nothing() {
        let recorder = Recorder::after(Some(&Latencies::of([(Duration::from_secs(9), 7)])));
        recorder.record(Duration::from_secs(5), 100);
        let before = recorder.read();
        recorder.record(Duration::from_millis(1), 10);
        let window = recorder.read().since(&before);
        assert_eq!(window.total(), 10);
        assert!(window.quantile(1.0).unwrap() < Duration::from_millis(2));
        assert_eq!(before.since(&recorder.read()).total(), 0);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_an_eighth(micros in prop::collection::vec(64_u64..1_000_000_000, 1..200), share in 0.0..=1.0_f64) {
            let mut micros: Vec<u64> = micros;
            micros.sort_unstable();
            let counts = Latencies::of(micros.iter().map(|micros| (Duration::from_micros(*micros), 1)));
            let index = ((micros.len() as f64 * share).ceil() as usize).clamp(1, micros.len()) - 1;
            let (exact, found) = (micros[index] as f64, counts.quantile(share).unwrap().as_micros() as f64);
            prop_assert!((found - exact).abs() <= exact / 8.0 + 1.0, "{found} for {exact}");
        }
    }
}
