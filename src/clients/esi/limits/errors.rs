//! ESI's older limit: so many errors a minute for an address, and past them no route answers until the minute is over.

use std::time::Duration;

use tokio::time::Instant;

use super::Urgency;

/// Errors that are never spent: what others behind the same address cost meanwhile.
const RESERVE: u32 = 10;
/// A minute's errors, as ESI grants them.
const GRANTED: u32 = 100;
/// The length of its window, when the server does not say how much of it is left.
const WINDOW: Duration = Duration::from_secs(60);

/// What is left of this window.
#[derive(Debug, Default)]
pub(super) struct Errors {
    /// What was left when last heard of, and when the window ends.
    window: Option<(u32, Instant)>,
    /// No route may be asked until then.
    closed_until: Option<Instant>,
}

impl Errors {
    /// Notes what an answer said. Answers come in any order, so within a window only the least counts.
    pub(super) fn note(&mut self, remain: Option<u32>, reset: Option<Duration>, now: Instant) {
        let Some(remain) = remain else { return };
        let end = now + reset.unwrap_or(WINDOW);
        self.window = match self.window {
            Some((least, end)) if now < end => Some((least.min(remain), end)),
            _ => Some((remain, end)),
        };
    }

    /// The limit is spent: a 420.
    pub(super) fn close(&mut self, reset: Option<Duration>, now: Instant) {
        let until = now + reset.unwrap_or(WINDOW);
        self.closed_until = self.closed_until.max(Some(until));
        self.window = Some((0, until));
    }

    /// The service asks to be left alone until then.
    pub(super) fn leave_alone(&mut self, until: Instant) {
        self.closed_until = self.closed_until.max(Some(until));
    }

    /// Until when no route may be asked.
    pub(super) fn closed(&self, now: Instant) -> Option<Instant> {
        self.closed_until.filter(|until| now < *until)
    }

    /// Whether a request that may fail can be afforded while others are on their way; else until when not.
    pub(super) fn affords(&self, in_flight: u32, urgency: Urgency, now: Instant) -> Result<(), Lack> {
        let (left, end) = match self.window {
            Some((left, end)) if now < end => (left, end),
            _ => (GRANTED, now),
        };
        let reserve = match urgency {
            Urgency::Live => RESERVE,
            Urgency::Background => GRANTED / 2,
        };
        if left <= reserve {
            return Err(Lack::Until(end));
        }
        if left - reserve <= in_flight { Err(Lack::InFlight) } else { Ok(()) }
    }

    /// What is left, as far as is known.
    pub(super) fn left(&self, now: Instant) -> u32 {
        self.window.filter(|(_, end)| now < *end).map_or(GRANTED, |(left, _)| left)
    }
}

/// Why a request cannot be afforded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// Too little is left: until the window ends.
    Until(Instant),
    /// Those in flight may spend it all: until one of them is answered.
    InFlight,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_well_before_the_errors_are_spent_and_goes_on_in_the_next_window() {
        let (mut errors, now) = (Errors::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(errors.affords(0, Urgency::Live, now), Ok(()));
        errors.note(Some(11), Some(30 * second), now);
        assert_eq!(errors.affords(0, Urgency::Live, now), Ok(()));
        assert_eq!(errors.affords(1, Urgency::Live, now), Err(Lack::InFlight));
        assert_eq!(errors.affords(0, Urgency::Background, now), Err(Lack::Until(now + 30 * second)));
        errors.note(Some(10), Some(29 * second), now + second);
        errors.note(Some(12), Some(29 * second), now + second);
        assert_eq!(errors.affords(0, Urgency::Live, now + second), Err(Lack::Until(now + 30 * second)));
        assert_eq!(errors.affords(0, Urgency::Live, now + 30 * second), Ok(()));
        assert_eq!(errors.closed(now), None);
    }

    #[test]
    fn a_spent_limit_closes_every_route_until_its_reset() {
        let (mut errors, now) = (Errors::default(), Instant::now());
        errors.close(Some(Duration::from_secs(7)), now);
        assert_eq!(errors.closed(now), Some(now + Duration::from_secs(7)));
        errors.close(Some(Duration::from_secs(2)), now);
        assert_eq!(errors.closed(now), Some(now + Duration::from_secs(7)));
        assert_eq!(errors.closed(now + Duration::from_secs(7)), None);
        errors.close(None, now);
        assert_eq!(errors.closed(now), Some(now + WINDOW));
    }
}
