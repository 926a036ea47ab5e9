//! Messages per span of time, as a token bucket.
//!
//! A bucket rather than a fixed window: the whole allowance may be used at once, is then refilled evenly, and what was not
//! used is kept up to one allowance. So in any span at most the allowance and the span's share pass, and over a long time exactly the rate.
//!
//! A pull may take long, so what is set aside for it is counted again when it has passed: else an allowance set aside long ago, the
//! refilled one and the next share could all pass in one moment.

use std::time::Duration;

use tokio::time::Instant;

use crate::topology::RateLimit;

/// A token bucket in whole nanoseconds of credit: no rounding drift.
#[derive(Debug, Clone)]
pub(crate) struct RateLimiter {
    limit: RateLimit,
    since: Instant,
    /// The moment up to which the allowance is spent. A bucket that is `per` behind is full.
    spent_until: Instant,
}

impl RateLimiter {
    /// Starts with a full allowance.
    pub(crate) fn new(limit: RateLimit, now: Instant) -> Self {
        Self { limit, since: now, spent_until: now - limit.per }
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

    /// Counts `passed` messages in place of the `taken` that were set aside for them at `at`. More than there is makes a debt.
    pub(crate) fn correct(&mut self, taken: usize, at: Option<Instant>, passed: usize, now: Instant) {
        if let Some(at) = at.filter(|at| *at >= self.since) {
            // less what has been refilled since, and may have been taken by others
            self.spent_until -= self.cost(taken).saturating_sub(now.saturating_duration_since(at));
        }
        self.spent_until = self.spent_until.max(now - self.limit.per);
        self.spend(passed);
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

    #[test]
    fn an_allowance_set_aside_for_long_is_not_spent_besides_the_refilled_one() {
        let start = Instant::now();
        let limit = RateLimit { messages: 10, per: Duration::from_secs(1) };
        let mut limiter = RateLimiter::new(limit, start);
        limiter.spend(10);
        let later = start + Duration::from_secs(60);
        limiter.correct(10, Some(start), 10, later);
        assert_eq!(limiter.available(10, later), Err(Duration::from_millis(100)));
        limiter.spend(5);
        limiter.correct(5, Some(later), 0, later);
        assert_eq!(limiter.available(10, later + Duration::from_millis(200)), Ok(2));
    }

    #[test]
    fn what_was_taken_before_the_limit_was_set_gives_nothing_back() {
        let start = Instant::now();
        let limit = RateLimit { messages: 10, per: Duration::from_secs(1) };
        let mut limiter = RateLimiter::new(limit, start);
        limiter.correct(100, None, 20, start);
        assert_eq!(limiter.available(1, start), Err(Duration::from_millis(1_100)));
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
