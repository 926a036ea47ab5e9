//! A circuit breaker: a service that keeps failing is left alone, and asked again by one call at a time.
//!
//! Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it.
const FAILURES: u32 = 8;
/// How long it stays open at first …
const OPEN_LEAST: Duration = Duration::from_secs(5);
/// … and at most: each probe that fails doubles it.
const OPEN_MOST: Duration = Duration::from_secs(60);
/// A probe that has not come back by then is given up, so that the next may go.
const PROBE_MOST: Duration = Duration::from_secs(120);

/// Whether a call may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Pass,
    /// Yes, to find out whether the service is back.
    Probe,
    /// Not before then.
    Refuse { retry_in: Duration },
}

/// Counts failures in a row; see the module.
#[derive(Debug, Clone)]
pub struct Breaker {
    failures: u32,
    open: Option<Open>,
    open_most: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::open_for_at_most(OPEN_MOST)
    }
}

#[derive(Debug, Clone)]
struct Open {
    until: Instant,
    length: Duration,
    probing_since: Option<Instant>,
}

impl Breaker {
    /// One whose probes are never further apart than this.
    #[must_use]
    pub fn open_for_at_most(open_most: Duration) -> Self {
        Self { failures: 0, open: None, open_most }
    }

    /// How long no call may go out, as far as is known; `None`: one may. Changes nothing.
    #[must_use]
    pub fn rests_for(&self, now: Instant) -> Option<Duration> {
        let open = self.open.as_ref()?;
        match open.probing_since {
            _ if now < open.until => Some(open.until - now),
            Some(since) if now < since + PROBE_MOST => Some(OPEN_LEAST),
            _ => None,
        }
    }

    /// Asks for a call at `now`.
    pub fn ask(&mut self, now: Instant) -> Verdict {
        let Some(open) = &mut self.open else { return Verdict::Pass };
        if now < open.until {
            return Verdict::Refuse { retry_in: open.until - now };
        }
        match open.probing_since {
            Some(since) if now < since + PROBE_MOST => Verdict::Refuse { retry_in: OPEN_LEAST },
            _ => {
                open.probing_since = Some(now);
                Verdict::Probe
            }
        }
    }

    /// A call came back with an answer that shows the service at work. Whether the breaker was open.
    pub fn succeeded(&mut self) -> bool {
        self.failures = 0;
        self.open.take().is_some()
    }

    /// A call failed as calls to a broken service do. Whether this opened the breaker (for longer).
    pub fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let length = match &self.open {
            // Calls that were under way when it opened say nothing new.
            Some(open) if open.probing_since.is_none() => return false,
            Some(open) => (open.length * 2).min(self.open_most),
            None if self.failures < FAILURES => return false,
            None => OPEN_LEAST.min(self.open_most),
        };
        self.open = Some(Open { until: now + length, length, probing_since: None });
        true
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        (0..FAILURES).for_each(|_| {
            breaker.failed(now);
        });
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            (1..FAILURES).for_each(|_| assert!(!breaker.failed(now)));
            assert!(!breaker.succeeded());
        }
        assert_eq!(breaker.ask(now), Verdict::Pass);
        assert_eq!(broken(now).ask(now), Verdict::Refuse { retry_in: OPEN_LEAST });
    }

    #[test]
    fn one_probe_goes_out_at_a_time_and_its_success_closes_it() {
        let now = Instant::now();
        let mut breaker = broken(now);
        let later = now + OPEN_LEAST;
        assert_eq!(breaker.ask(later), Verdict::Probe);
        assert!(matches!(breaker.ask(later), Verdict::Refuse { .. }));
        assert!(breaker.succeeded());
        assert_eq!(breaker.ask(later), Verdict::Pass);
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_a_minute() {
        let mut now = Instant::now();
        let mut breaker = broken(now);
        for seconds in [5, 10, 20, 40, 60, 60] {
            let retry_in = Duration::from_secs(seconds);
            assert_eq!(breaker.ask(now), Verdict::Refuse { retry_in });
            assert!(!breaker.failed(now), "a call from before it opened");
            now += retry_in;
            assert_eq!(breaker.ask(now), Verdict::Probe);
            assert!(breaker.failed(now));
        }
    }

    #[test]
    fn whoever_looks_changes_nothing_and_the_wait_has_the_bound_that_was_asked_for() {
        let mut now = Instant::now();
        let mut breaker = Breaker::open_for_at_most(Duration::from_secs(7));
        assert_eq!(breaker.rests_for(now), None);
        for seconds in [5, 7, 7] {
            for _ in 0..FAILURES {
                breaker.failed(now);
            }
            assert_eq!(breaker.rests_for(now), Some(Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
            assert_eq!(breaker.rests_for(now), None);
            assert_eq!(breaker.ask(now), Verdict::Probe);
            assert_eq!(breaker.rests_for(now), Some(OPEN_LEAST), "while the probe is out");
        }
    }

    #[test]
    fn a_probe_that_never_comes_back_does_not_keep_it_shut() {
        let now = Instant::now();
        let mut breaker = broken(now);
        assert_eq!(breaker.ask(now + OPEN_LEAST), Verdict::Probe);
        assert_eq!(breaker.ask(now + OPEN_LEAST + PROBE_MOST), Verdict::Probe);
    }
}
