//! How long to wait before trying again: doubling, with jitter, never less than the server asked for.

use std::time::Duration;

const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);

/// Counts failures in a row. Chance comes in as an argument, so that the sequence can be tested.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: LEAST, failures: 0 }
    }
}

impl Backoff {
    /// What the server asks to be waited at least, taken within 1 s to 60 s.
    pub fn set_base(&mut self, base: Duration) {
        self.base = base.clamp(LEAST, MOST);
    }

    /// It works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure; `chance` from 0 to 1 spreads clients that failed together.
    ///
    /// The first is between the base and half as much again; each further one doubles, up to 60 s (a greater base stays).
    pub fn next(&mut self, chance: f64) -> Duration {
        let doubled = self.base.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let wait = doubled.min(MOST.mul_f64(2.0 / 3.0)).max(self.base);
        wait + wait.mul_f64(chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next(0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 40, 40, 40]);
        assert_eq!(backoff.next(1.0), MOST);
        backoff.reset();
        assert_eq!(backoff.next(0.0), LEAST);
    }

    #[test]
    fn it_never_waits_less_than_the_server_asked_for() {
        let mut backoff = Backoff::default();
        backoff.set_base(Duration::from_millis(2_000));
        assert_eq!(backoff.next(0.0), Duration::from_secs(2));
        assert_eq!(backoff.next(0.5), Duration::from_secs(5));
        backoff.set_base(Duration::from_hours(1));
        assert_eq!(backoff.next(0.0), MOST);
        backoff.set_base(Duration::ZERO);
        backoff.reset();
        assert_eq!(backoff.next(0.0), LEAST);
    }
}
