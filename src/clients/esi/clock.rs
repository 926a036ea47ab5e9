//! The server's clock, as its answers tell it. Pure: time is an argument.
//!
//! `Date` has whole seconds, the rest cut off: one answer says the time to a second only, and what is asked for by it comes up to a second later than it may. Many
//! answers say it better: the server's clock had reached each `Date` when its answer was here, and none was a second old when its call was sent. What is made of
//! that is never ahead of the server's clock, so nothing is asked for early.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// What is cut off a date is less than this.
const CUT_OFF: Duration = Duration::from_secs(1);
/// One clock may be ahead of another by one second more in so many.
const DRIFT: u32 = 20_000;

#[derive(Debug, Default)]
pub(super) struct Clock {
    /// A moment, and the time that the server's clock had reached by then at the least.
    known: Option<(Instant, Timestamp)>,
}

impl Clock {
    /// By how much the server's clock had passed `date` when the answer was here, at the least.
    pub(super) fn passed(&mut self, date: Timestamp, sent: Instant, received: Instant) -> Duration {
        let most = CUT_OFF + received.saturating_duration_since(sent);
        let passed = self.reached(received).map(|time| time.duration_since(date)).unwrap_or_default();
        // Before: this answer knows better. After: this is another clock, or it was set anew.
        let passed = Duration::try_from(passed).ok().filter(|passed| *passed <= most).unwrap_or_default();
        self.known =
            SignedDuration::try_from(passed).ok().and_then(|passed| Some((received, date.checked_add(passed).ok()?)));
        passed
    }

    /// The time that it has reached now at the least.
    fn reached(&self, now: Instant) -> Option<Timestamp> {
        let (then, time) = self.known?;
        let since = now.saturating_duration_since(then);
        time.checked_add(SignedDuration::try_from(since - since / DRIFT).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// What a clock that shows `time` at `start` puts into an answer that is made so long after.
    fn date(time: Timestamp, after: Duration) -> Timestamp {
        Timestamp::from_second((time + after).as_second()).expect("a time")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn an_answer_just_after_the_full_second_tells_what_is_cut_off_the_dates_of_all_others() {
        let (mut clock, start, time) = (Clock::default(), Instant::now(), at("2026-01-02T03:04:05.3Z"));
        let mut passed =
            |after: u64| clock.passed(date(time, millis(after)), start + millis(after), start + millis(after));
        assert_eq!(passed(0), Duration::ZERO, "a first one tells nothing");
        assert_eq!(passed(100), millis(100) - millis(100) / DRIFT, "so long after that at least");
        assert_eq!(passed(710), Duration::ZERO, "just after 06");
        assert_eq!(passed(1690), millis(980) - millis(980) / DRIFT, "just before 07");
    }

    #[test]
    fn the_time_that_an_answer_takes_does_not_count() {
        let (mut clock, start, time) = (Clock::default(), Instant::now(), at("2026-01-02T03:04:05.001Z"));
        clock.passed(date(time, millis(0)), start, start);
        // It was made at 06.001 by that clock, and was long on its way.
        let passed = clock.passed(date(time, millis(1000)), start + millis(990), start + millis(5000));
        assert_eq!(passed, millis(4000) - millis(5000) / DRIFT);
    }

    #[test]
    fn a_clock_that_was_set_is_learnt_anew() {
        let (mut clock, start) = (Clock::default(), Instant::now());
        for text in ["2026-01-02T03:04:05Z", "2026-01-02T02:04:05Z", "2026-01-02T04:04:05Z", "1970-01-01T00:00:00Z"] {
            assert_eq!(clock.passed(at(text), start, start), Duration::ZERO, "{text}");
        }
        assert_eq!(clock.passed(Timestamp::MAX, start, start), Duration::ZERO);
        assert_eq!(clock.passed(Timestamp::MIN, start, start + millis(300)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn it_is_never_ahead_of_the_servers_clock_and_comes_close_to_it(
            answers in prop::collection::vec((0_u64..3_000, 0_u64..200, 0_u64..200), 1..200),
            cut in 0_u64..1000,
            faster in -40_i64..40,
        ) {
            let (mut clock, start, time) = (Clock::default(), Instant::now(), at("2026-01-02T03:04:05Z") + millis(cut));
            // Two clocks that differ by up to forty seconds in a million.
            let server = |since: Duration| {
                let since = SignedDuration::try_from(since).expect("short");
                time + since + SignedDuration::from_nanos((since.as_nanos() as i64 / 1_000_000) * faster)
            };
            let (mut now, mut nearest) = (Duration::ZERO, Duration::MAX);
            for (wait, there, back) in answers {
                let sent = now + millis(wait);
                let made = server(sent + millis(there));
                now = sent + millis(there + back);
                let date = Timestamp::from_second(made.as_second()).expect("a time");
                let reached = date + clock.passed(date, start + sent, start + now);
                let behind = Duration::try_from(server(now).duration_since(reached)).expect("it is not ahead");
                nearest = nearest.min(Duration::try_from(server(now).duration_since(date)).expect("made before"));
                prop_assert!(behind <= nearest + now / 10_000, "{behind:?} behind, the nearest was {nearest:?}");
            }
        }
    }
}
