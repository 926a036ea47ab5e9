//! When a source that brings rubbish is slowed to a trickle, and when it is trusted again.
//!
//! ```text
//!             run failures in a row, or share of the last `window`
//!   closed ────────────────────────────────────────────────────────► tripped: one probe at a time
//!      ▲                                                                  │
//!      └──────────────────────── `successes` probes in a row ─────────────┘
//! ```
//!
//! Only what succeeded or failed counts: a filtered or abandoned message says nothing of its source.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::topology::BreakerRules;

/// What a settled message changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// From now on a trickle; the sentence says why.
    Tripped(String),
    /// As before the trip.
    Restored,
}

/// What may be pulled now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Whatever there is room for.
    All,
    /// One message, as a probe. It is out until it is settled, or given back.
    Probe,
    /// Nothing before so long; `None`: before the probe that is out is settled.
    Wait(Option<Duration>),
}

#[derive(Debug)]
pub(crate) struct Breaker {
    rules: BreakerRules,
    state: State,
    trips: u64,
}

#[derive(Debug)]
enum State {
    Closed(Window),
    Tripped(Trickle),
}

/// The last outcomes that count; `true`: failed.
#[derive(Debug, Default)]
struct Window {
    recent: VecDeque<bool>,
    failed: usize,
    run: usize,
}

#[derive(Debug)]
struct Trickle {
    since: Instant,
    /// When the next probe may leave, if none is out.
    due: Instant,
    is_out: bool,
    successes: usize,
    probes: u64,
}

/// A breaker at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BreakerStatus {
    /// Tripped: the source is slowed to a trickle.
    pub open: bool,
    /// For how long it has been, if it is.
    pub open_for: Option<Duration>,
    /// How often it has tripped.
    pub trips: u64,
    /// Probes sent since it tripped.
    pub probes: u64,
    /// Probes that succeeded in a row.
    pub successes: usize,
    /// Failures among the last messages that count, while it is closed …
    pub failed: usize,
    /// … of so many.
    pub window: usize,
    /// Failures in a row, while it is closed.
    pub run: usize,
}

impl Window {
    /// Notes an outcome; a sentence when it is one failure too many.
    fn push(&mut self, failed: bool, rules: &BreakerRules) -> Option<String> {
        self.run = if failed { self.run + 1 } else { 0 };
        self.failed += usize::from(failed);
        self.recent.push_back(failed);
        if self.recent.len() > rules.window {
            self.failed -= usize::from(self.recent.pop_front() == Some(true));
        }
        if self.run >= rules.run {
            return Some(format!("{} messages in a row have failed", self.run));
        }
        let is_full = self.recent.len() >= rules.window;
        let is_too_many = self.failed as f64 >= rules.share * rules.window as f64;
        (failed && is_full && is_too_many)
            .then(|| format!("{} of the last {} messages have failed", self.failed, rules.window))
    }
}

impl Breaker {
    /// Closed.
    pub(crate) fn new(rules: BreakerRules) -> Self {
        Self { rules, state: State::Closed(Window::default()), trips: 0 }
    }

    /// The same, in the place of one that has tripped so often.
    pub(crate) fn after(self, trips: u64) -> Self {
        Self { trips, ..self }
    }

    pub(crate) fn is_tripped(&self) -> bool {
        matches!(self.state, State::Tripped(_))
    }

    /// Probes that have succeeded in a row.
    pub(crate) fn successes(&self) -> usize {
        match &self.state {
            State::Closed(_) => 0,
            State::Tripped(trickle) => trickle.successes,
        }
    }

    /// A message that was no probe has settled, in a way that counts. Those that were under way when it tripped change nothing.
    pub(crate) fn settled(&mut self, failed: bool, now: Instant) -> Option<Change> {
        let State::Closed(window) = &mut self.state else { return None };
        let why = window.push(failed, &self.rules)?;
        self.trips += 1;
        let due = now + self.rules.probe_every;
        self.state = State::Tripped(Trickle { since: now, due, is_out: false, successes: 0, probes: 0 });
        Some(Change::Tripped(why))
    }

    /// What may be pulled now. A probe that is admitted is out.
    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        let State::Tripped(trickle) = &mut self.state else { return Admission::All };
        if trickle.is_out {
            return Admission::Wait(None);
        }
        if now < trickle.due {
            return Admission::Wait(Some(trickle.due - now));
        }
        trickle.is_out = true;
        trickle.due = now + self.rules.probe_every;
        Admission::Probe
    }

    /// What [`admit`](Self::admit) would say, without taking the probe.
    pub(crate) fn look(&self, now: Instant) -> Admission {
        match &self.state {
            State::Closed(_) => Admission::All,
            State::Tripped(trickle) if trickle.is_out => Admission::Wait(None),
            State::Tripped(trickle) if now < trickle.due => Admission::Wait(Some(trickle.due - now)),
            State::Tripped(_) => Admission::Probe,
        }
    }

    /// A message has left as the probe: the next one may follow so much later at the earliest.
    pub(crate) fn sent(&mut self, now: Instant) {
        if let State::Tripped(trickle) = &mut self.state {
            trickle.due = now + self.rules.probe_every;
            trickle.probes += 1;
        }
    }

    /// The source had nothing to send as a probe: another one may leave at once.
    pub(crate) fn give_back(&mut self, now: Instant) {
        if let State::Tripped(trickle) = &mut self.state {
            trickle.is_out = false;
            trickle.due = now;
        }
    }

    /// The probe has settled; `None`: in a way that says nothing.
    pub(crate) fn probe_settled(&mut self, failed: Option<bool>) -> Option<Change> {
        let State::Tripped(trickle) = &mut self.state else { return None };
        trickle.is_out = false;
        match failed {
            None => {}
            Some(true) => trickle.successes = 0,
            Some(false) => trickle.successes += 1,
        }
        if trickle.successes < self.rules.successes {
            return None;
        }
        self.state = State::Closed(Window::default());
        Some(Change::Restored)
    }

    /// Other numbers, from now on. One that has tripped stays so until its probes succeed; the outcomes of a closed one are counted anew.
    pub(crate) fn set_rules(&mut self, rules: BreakerRules) {
        if let State::Closed(window) = &mut self.state {
            *window = Window::default();
        }
        self.rules = rules;
    }

    pub(crate) fn status(&self, now: Instant) -> BreakerStatus {
        let trips = self.trips;
        match &self.state {
            State::Closed(window) => BreakerStatus {
                trips,
                failed: window.failed,
                window: window.recent.len(),
                run: window.run,
                ..BreakerStatus::default()
            },
            State::Tripped(trickle) => BreakerStatus {
                open: true,
                open_for: Some(now.saturating_duration_since(trickle.since)),
                trips,
                probes: trickle.probes,
                successes: trickle.successes,
                ..BreakerStatus::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(window: usize, run: usize) -> BreakerRules {
        BreakerRules { window, run, ..BreakerRules::default() }
    }

    fn tripped(start: Instant) -> Breaker {
        let mut breaker = Breaker::new(rules(200, 1));
        assert!(matches!(breaker.settled(true, start), Some(Change::Tripped(_))));
        breaker
    }

    #[test]
    fn a_run_of_failures_trips_it_and_one_less_does_not() {
        let (mut breaker, now) = (Breaker::new(BreakerRules::default()), Instant::now());
        assert!((0..99).all(|_| breaker.settled(true, now).is_none()));
        assert_eq!(breaker.settled(false, now), None);
        assert!((0..99).all(|_| breaker.settled(true, now).is_none()));
        let Some(Change::Tripped(why)) = breaker.settled(true, now) else { panic!("it holds") };
        // by the run: only 199 of them count yet, and none is left out
        assert_eq!(why, "100 messages in a row have failed");
    }

    #[test]
    fn half_of_the_window_trips_it_and_not_before_the_window_is_full() {
        let (mut breaker, now) = (Breaker::new(BreakerRules::default()), Instant::now());
        let changes: Vec<_> = (0..400).map(|n| breaker.settled(n % 2 == 1, now)).collect();
        assert_eq!(changes.iter().position(Option::is_some), Some(199));
        assert_eq!(changes[199], Some(Change::Tripped("100 of the last 200 messages have failed".to_owned())));
        assert!(breaker.is_tripped());
    }

    #[test]
    fn the_first_probe_leaves_after_a_second_and_the_next_when_it_has_settled() {
        let start = Instant::now();
        let mut breaker = tripped(start);
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(breaker.admit(at(400)), Admission::Wait(Some(Duration::from_millis(600))));
        assert_eq!(breaker.admit(at(1000)), Admission::Probe);
        assert_eq!(breaker.admit(at(5000)), Admission::Wait(None));
        assert_eq!(breaker.probe_settled(Some(true)), None);
        // the second has long passed
        assert_eq!(breaker.admit(at(5000)), Admission::Probe);
        assert_eq!(breaker.probe_settled(Some(true)), None);
        assert_eq!(breaker.admit(at(5100)), Admission::Wait(Some(Duration::from_millis(900))));
    }

    #[test]
    fn a_probe_that_the_source_did_not_need_costs_no_time() {
        let start = Instant::now();
        let mut breaker = tripped(start);
        let at = start + Duration::from_secs(1);
        assert_eq!(breaker.admit(at), Admission::Probe);
        breaker.give_back(at);
        assert_eq!(breaker.admit(at), Admission::Probe);
    }

    #[test]
    fn probes_restore_it_only_in_a_row_and_what_says_nothing_breaks_no_row() {
        let mut breaker = tripped(Instant::now());
        let mut tell = |verdicts: &[Option<bool>]| verdicts.iter().filter_map(|v| breaker.probe_settled(*v)).count();
        assert_eq!(tell(&[Some(false); 9]), 0);
        assert_eq!(tell(&[Some(true)]), 0);
        assert_eq!(tell(&[Some(false); 9]), 0);
        assert_eq!(tell(&[None; 3]), 0);
        assert_eq!(tell(&[Some(false)]), 1);
        assert!(!breaker.is_tripped());
    }

    proptest! {
        #[test]
        fn it_trips_exactly_when_a_run_or_the_share_of_a_full_window_is_reached(
            window in 1_usize..40,
            run in 1_usize..40,
            share in 0.05_f64..1.0,
            outcomes in proptest::collection::vec(any::<bool>(), 1..400),
        ) {
            let now = Instant::now();
            let mut breaker = Breaker::new(BreakerRules { window, run, share, ..BreakerRules::default() });
            for end in 1..=outcomes.len() {
                let seen = &outcomes[..end];
                let in_a_row = seen.iter().rev().take_while(|failed| **failed).count();
                let last = &seen[end.saturating_sub(window)..];
                let failed = last.iter().filter(|failed| **failed).count();
                let is_due = in_a_row >= run
                    || (last.len() == window && seen[end - 1] && failed as f64 >= share * window as f64);
                let change = breaker.settled(outcomes[end - 1], now);
                prop_assert_eq!(change.is_some(), is_due, "after {} outcomes", end);
                if is_due {
                    break;
                }
            }
        }

        #[test]
        fn never_more_than_one_probe_is_out_and_never_two_within_the_time(
            steps in proptest::collection::vec((0_u64..2_000, 0_u8..4), 1..200),
        ) {
            let start = Instant::now();
            let mut breaker = tripped(start);
            let (mut now, mut out, mut last_sent) = (start, false, None::<Instant>);
            let mut successes = 0;
            for (wait, what) in steps {
                now += Duration::from_millis(wait);
                if !out {
                    match breaker.admit(now) {
                        Admission::All => { prop_assert_eq!(successes, 10); return Ok(()); }
                        Admission::Probe => {
                            prop_assert!(now - start >= Duration::from_secs(1));
                            if what == 3 {
                                breaker.give_back(now);
                                continue;
                            }
                            prop_assert!(last_sent.is_none_or(|at| now - at >= Duration::from_secs(1)));
                            breaker.sent(now);
                            (out, last_sent) = (true, Some(now));
                        }
                        Admission::Wait(left) => prop_assert!(left.is_some()),
                    }
                    continue;
                }
                prop_assert_eq!(breaker.admit(now), Admission::Wait(None));
                let verdict = match what { 0 => Some(true), 1 => None, _ => Some(false) };
                match verdict { Some(true) => successes = 0, Some(false) => successes += 1, None => {} }
                prop_assert_eq!(breaker.probe_settled(verdict).is_some(), successes == 10);
                out = false;
            }
        }
    }
}
