//! Messages per span of time, as a token bucket.
//!
//! A bucket rather than a fixed window: the whole allowance may be used at once, is then refilled evenly, and what was not
//! used is kept up to one allowance. So in any span of `per` at most twice the allowance passes, and over a long time exactly the rate.

use std::time::Duration;

use tokio::time::Instant;

use crate::topology::RateLimit;

/// A token bucket in whole nanoseconds of credit: no rounding drift.
#[derive(Debug, Clone)]
pub(crate) struct RateLimiter {
    limit: RateLimit,
    /// The moment up to which the allowance is spent. A bucket that is `per` behind is full.
    spent_until: Instant,
}

impl RateLimiter {
    /// Starts with a full allowance.
    pub(crate) fn new(limit: RateLimit, now: Instant) -> Self {
        Self { limit, spent_until: now - limit.per }
    }

    fn cost(&self, messages: usize) -> Duration {
        let nanos = self.limit.per.as_nanos() * messages as u128 / u128::from(self.limit.messages);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many of `wanted` messages may pass now; or how long until one may.
    pub(crate) fn available(&mut self, wanted: usize, now: Instant) -> Result<usize, Duration> {
        self.spent_until = self.spent_until.max(now - self.limit.per);
        let credit = now.saturating_duration_since(self.spent_until).as_nanos();
        let one = self.cost(1).max(Duration::from_nanos(1));
        let whole = credit * u128::from(self.limit.messages) / self.limit.per.as_nanos();
        if whole == 0 {
            return Err((self.spent_until + one).saturating_duration_since(now).max(Duration::from_nanos(1)));
        }
        Ok(usize::try_from(whole).unwrap_or(usize::MAX).min(wanted))
    }

    /// Counts messages that passed.
    pub(crate) fn spend(&mut self, messages: usize) {
        self.spent_until += self.cost(messages);
    }

    /// Puts right what was counted before it was known: `counted` messages, of which `passed` passed (or more).
    pub(crate) fn correct(&mut self, counted: usize, passed: usize) {
        if passed > counted {
            self.spend(passed - counted);
        } else {
            self.spent_until -= self.cost(counted) - self.cost(passed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_whole_allowance_may_be_used_at_once_and_then_refills_evenly() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(RateLimit { messages: 10, per: Duration::from_secs(1) }, start);
        assert_eq!(limiter.available(100, start), Ok(10));
        limiter.spend(10);
        assert_eq!(limiter.available(1, start), Err(Duration::from_millis(100)));
        assert_eq!(limiter.available(100, start + Duration::from_millis(300)), Ok(3));
    }

    proptest! {
        #[test]
        fn no_more_than_the_allowance_and_the_elapsed_share_ever_passes(
            messages in 1_u32..500,
            per_millis in 1_u64..5_000,
            steps in proptest::collection::vec((0_u64..50, 1_usize..200), 1..200),
        ) {
            let limit = RateLimit { messages, per: Duration::from_millis(per_millis) };
            let start = Instant::now();
            let mut limiter = RateLimiter::new(limit, start);
            let (mut now, mut passed) = (start, 0_u128);
            for (wait, wanted) in steps {
                now += Duration::from_millis(wait);
                if let Ok(n) = limiter.available(wanted, now) {
                    prop_assert!(n >= 1 && n <= wanted);
                    limiter.spend(n);
                    passed += n as u128;
                }
                let elapsed = (now - start).as_nanos();
                // one message of slack: credit is counted in whole nanoseconds
                let most = u128::from(messages) + elapsed * u128::from(messages) / limit.per.as_nanos() + 1;
                prop_assert!(passed <= most, "{passed} passed, at most {most}");
            }
        }
    }
}
