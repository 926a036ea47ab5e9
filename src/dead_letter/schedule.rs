//! When a letter is tried again by itself.

use std::time::Duration;

use broadside_engine::Class;
use jiff::{SignedDuration, Timestamp};

/// How often and how many times. The default: after 10 minutes and 20 more, three attempts in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Before the second attempt; each time after that it doubles.
    pub every: Duration,
    /// Attempts, the first one included, after which a letter waits for people.
    pub attempts_max: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { every: Duration::from_mins(10), attempts_max: 3 }
    }
}

/// The longest that a doubled wait becomes.
const WAIT_MAX: Duration = Duration::from_hours(24);

impl Schedule {
    /// When a letter that has failed for so many times, the last time then, is tried again; `None`: it waits for people. What fails for a reason that
    /// does not pass is never tried again by itself.
    #[must_use]
    pub fn next(&self, class: Class, failed: u32, at: Timestamp) -> Option<Timestamp> {
        if class != Class::Transient || failed == 0 || failed >= self.attempts_max {
            return None;
        }
        let wait = self.every.saturating_mul(1 << (failed - 1).min(20)).min(WAIT_MAX.max(self.every));
        at.checked_add(SignedDuration::try_from(wait).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(schedule: Schedule, class: Class, failed: u32) -> Option<i64> {
        schedule.next(class, failed, Timestamp::UNIX_EPOCH).map(|at| at.as_second() / 60)
    }

    #[test]
    fn what_may_pass_is_tried_again_with_doubled_waits_until_it_was_tried_often_enough() {
        let tried = |failed| minutes(Schedule::default(), Class::Transient, failed);
        assert_eq!([1, 2, 3, 4].map(tried), [Some(10), Some(20), None, None]);
    }

    #[test]
    fn what_does_not_pass_waits_for_people() {
        for class in [Class::Invalid, Class::Permanent, Class::Panic] {
            assert_eq!(minutes(Schedule::default(), class, 1), None);
        }
    }

    #[test]
    fn a_wait_grows_to_a_day_and_no_further() {
        let schedule = Schedule { attempts_max: 1000, ..Schedule::default() };
        assert_eq!(minutes(schedule, Class::Transient, 900), Some(24 * 60));
    }
}
