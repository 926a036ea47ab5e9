//! When which request may go out: the service's rules on waiting; pure.
//!
//! | after | wait |
//! |---|---|
//! | any answer | 100 ms |
//! | 404 of a number | 6 s before any number, unless `sequence.json` is then read and names a greater one; this number in any case |
//! | 403 | 5 min before anything, doubling up to 1 h |
//! | 429 | as it says, else 10 to 20 s, doubling up to 5 min |
//! | anything else | 1 s, doubling up to 1 min, or as it says if that is longer |

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::clients::backoff::Backoff;

/// Between an answer and the next request.
const GAP: Duration = Duration::from_millis(100);
/// After a 404.
const NOT_FOUND: Duration = Duration::from_secs(6);
const BLOCKED_LEAST: Duration = Duration::from_secs(5 * 60);
const BLOCKED_MOST: Duration = Duration::from_secs(3600);
const BUSY_LEAST: Duration = Duration::from_secs(10);
const BUSY_MOST: Duration = Duration::from_secs(5 * 60);

/// What was answered of late, as far as it keeps requests back.
#[derive(Debug)]
pub(super) struct Pace {
    free_at: Instant,
    /// Numbers that were not there, within the last 6 s.
    not_found: VecDeque<(u64, Instant)>,
    /// The last of them holds back all numbers, until then.
    hold: Option<(u64, Instant)>,
    backoff: Backoff,
    /// 403 and 429 in a row.
    refusals: u32,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { free_at: now, not_found: VecDeque::new(), hold: None, backoff: Backoff::default(), refusals: 0 }
    }

    /// When `sequence.json` may be asked for.
    pub(super) fn sequence(&self) -> Instant {
        self.free_at
    }

    /// When this number may be asked for.
    pub(super) fn file(&self, number: u64) -> Instant {
        let own = self.not_found.iter().filter(|(n, _)| *n == number).map(|(_, until)| *until);
        let hold = self.hold.map(|(_, until)| until);
        own.chain(hold).fold(self.free_at, Instant::max)
    }

    /// Any answer that is right.
    pub(super) fn answered(&mut self, now: Instant) {
        self.free_at = now + GAP;
        self.backoff.reset();
        self.refusals = 0;
    }

    /// A number is not there.
    pub(super) fn not_found(&mut self, number: u64, now: Instant) {
        self.answered(now);
        self.not_found.retain(|(_, until)| *until > now);
        self.not_found.push_back((number, now + NOT_FOUND));
        self.hold = Some((number, now + NOT_FOUND));
    }

    /// `sequence.json` names a number that is there.
    pub(super) fn read_sequence(&mut self, newest: u64) {
        if self.hold.is_some_and(|(number, _)| number < newest) {
            self.hold = None;
        }
    }

    /// 403. Answers how long everything waits; `chance` from 0 to 1 spreads it.
    pub(super) fn blocked(&mut self, chance: f64, now: Instant) -> Duration {
        let wait = doubled(BLOCKED_LEAST, self.refusals, BLOCKED_MOST);
        self.refuse(wait + wait.mul_f64(chance / 10.0), now)
    }

    /// 429.
    pub(super) fn busy(&mut self, asked: Option<Duration>, chance: f64, now: Instant) -> Duration {
        let own = doubled(BUSY_LEAST, self.refusals, BUSY_MOST);
        // A little more than asked for: clocks differ.
        let wait = asked.map_or(own + own.mul_f64(chance), |asked| asked + GAP + GAP.mul_f64(chance));
        self.refuse(wait, now)
    }

    fn refuse(&mut self, wait: Duration, now: Instant) -> Duration {
        self.refusals = self.refusals.saturating_add(1);
        self.free_at = now + wait;
        wait
    }

    /// Whatever else went wrong.
    pub(super) fn broken(&mut self, asked: Option<Duration>, chance: f64, now: Instant) -> Duration {
        let wait = self.backoff.next(chance).max(asked.unwrap_or_default());
        self.free_at = now + wait;
        wait
    }
}

fn doubled(least: Duration, times: u32, most: Duration) -> Duration {
    least.saturating_mul(1 << times.min(16)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pace: &Pace, number: u64, now: Instant) -> f64 {
        (pace.file(number) - now).as_secs_f64()
    }

    #[test]
    fn a_404_holds_back_every_number_for_6_seconds() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.answered(now);
        assert_eq!((seconds(&pace, 7, now), pace.sequence() - now), (0.1, GAP));
        pace.not_found(7, now);
        assert_eq!((seconds(&pace, 7, now), seconds(&pace, 8, now), pace.sequence() - now), (6.0, 6.0, GAP));
    }

    #[test]
    fn a_greater_number_in_the_sequence_frees_all_but_this_one() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.not_found(7, now);
        pace.read_sequence(7);
        assert_eq!(seconds(&pace, 8, now), 6.0);
        pace.read_sequence(8);
        assert_eq!((seconds(&pace, 7, now), seconds(&pace, 8, now)), (6.0, 0.1));
    }

    #[test]
    fn refusals_wait_longer_each_time_until_something_is_right() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let blocks: Vec<_> = (0..6).map(|_| pace.blocked(0.0, now).as_secs()).collect();
        assert_eq!(blocks, [300, 600, 1200, 2400, 3600, 3600]);
        pace.answered(now);
        let waits: Vec<_> = (0..7).map(|_| pace.busy(None, 0.0, now).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(pace.busy(Some(Duration::from_secs(2)), 0.0, now), Duration::from_millis(2100));
        assert_eq!(pace.sequence() - now, Duration::from_millis(2100));
    }

    #[test]
    fn a_failing_service_is_asked_less_and_less_often() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let waits: Vec<_> = (0..8).map(|_| pace.broken(None, 0.0, now).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 40, 40]);
        pace.answered(now);
        assert_eq!(pace.broken(Some(Duration::from_secs(9)), 0.0, now), Duration::from_secs(9));
    }
}
