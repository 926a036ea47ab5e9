//! Which of two feeds serves, and why: pure, time is an argument.
//!
//! ```text
//!            a sign of trouble             silent for `silence`, or a kill missing for `behind`
//!  serving ─────────────────► suspect ───────────────────────────────────────────────► switched ◄─────┐
//!     ▲ ◄──────── gone ──────────┘                                                         │ it brings │ trouble
//!     │                                                                                    ▼ kills     │ again
//!     └────────────────────── well for `healthy_for` ─────────────────────────────────  returning ─────┘
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// Where it stands. The primary serves in the first two, the fallback in the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The primary serves.
    Serving,
    /// The primary serves still, and shows a sign of trouble.
    Suspect,
    /// The fallback serves.
    Switched,
    /// The fallback serves, and the primary works again so far.
    Returning,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Serving, Self::Suspect, Self::Switched, Self::Returning];

    /// The word in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Suspect => "suspect",
            Self::Switched => "switched",
            Self::Returning => "returning",
        }
    }

    /// Whether the primary is the one whose kills are relied on.
    #[must_use]
    pub const fn is_primary(self) -> bool {
        matches!(self, Self::Serving | Self::Suspect)
    }
}

/// How long what may last.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nothing at all from the primary.
    pub silence: Duration,
    /// A kill that only the fallback has.
    pub behind: Duration,
    /// No trouble, before the primary serves again.
    pub healthy_for: Duration,
}

/// What can be seen of the primary at one moment.
#[derive(Debug, Clone, Default)]
pub struct Signs {
    pub is_connected: bool,
    /// Why not.
    pub problem: Option<String>,
    /// Since the last byte, counted only while somebody listened.
    pub silent_for: Duration,
    /// How long the kill that has waited longest has been on the fallback alone.
    pub waiting_for: Duration,
    /// Kills that were missing for `behind`, since the last look.
    pub missing: u64,
    /// Kills that the primary brought, since the last look.
    pub brought: u64,
}

/// The state, since when, and why.
#[derive(Debug)]
pub struct Judge {
    limits: Limits,
    state: State,
    reason: Option<String>,
    /// The last sign of trouble, while the fallback serves.
    trouble_at: Instant,
    /// Whether the primary has brought a kill since.
    is_bringing: bool,
}

impl Judge {
    /// The primary serves, until it shows that it does not.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self { limits, state: State::Serving, reason: None, trouble_at: now, is_bringing: false }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What is wrong with the primary, as a clause.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Takes in what can be seen. Whether the state is another one now.
    pub fn look(&mut self, now: Instant, signs: &Signs) -> bool {
        let before = self.state;
        let grave = self.grave(signs);
        let is_grave = grave.is_some();
        let trouble = grave.or_else(|| self.doubt(signs));
        if self.state.is_primary() {
            self.state = match &trouble {
                Some(_) if is_grave => State::Switched,
                Some(_) => State::Suspect,
                None => State::Serving,
            };
            self.reason = trouble;
            (self.trouble_at, self.is_bringing) = (now, false);
            return self.state != before;
        }
        if trouble.is_some() {
            self.reason = trouble;
            (self.trouble_at, self.is_bringing) = (now, false);
        } else {
            self.is_bringing |= signs.brought > 0;
        }
        self.state = match (self.is_bringing, now.duration_since(self.trouble_at) >= self.limits.healthy_for) {
            (true, true) => State::Serving,
            (true, false) => State::Returning,
            (false, _) => State::Switched,
        };
        if self.state == State::Serving {
            self.reason = None;
        }
        self.state != before
    }

    /// What makes the primary unfit to serve.
    fn grave(&self, signs: &Signs) -> Option<String> {
        if signs.missing > 0 {
            let kills = if signs.missing == 1 { "a kill".to_owned() } else { format!("{} kills", signs.missing) };
            return Some(format!("behind: {kills} missing for {:?}", self.limits.behind));
        }
        if signs.silent_for < self.limits.silence {
            return None;
        }
        let silent = format!("{:?}", Duration::from_secs(signs.silent_for.as_secs()));
        Some(match &signs.problem {
            Some(problem) if !signs.is_connected => format!("not connected for {silent}: failed to {problem}"),
            _ => format!("silent for {silent}"),
        })
    }

    /// What may come to nothing.
    fn doubt(&self, signs: &Signs) -> Option<String> {
        if !signs.is_connected {
            let problem = signs.problem.as_ref().map(|problem| format!(": failed to {problem}"));
            return Some(format!("not connected{}", problem.unwrap_or_default()));
        }
        if signs.silent_for >= self.limits.silence / 2 {
            return Some("silent".to_owned());
        }
        (signs.waiting_for >= self.limits.behind / 2).then(|| "a kill is missing".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        silence: Duration::from_secs(90),
        behind: Duration::from_secs(120),
        healthy_for: Duration::from_secs(120),
    };

    /// Looks once a second, with what the closure makes of each second.
    struct Watch {
        judge: Judge,
        start: Instant,
        seconds: u64,
        switches: u32,
    }

    impl Watch {
        fn new() -> Self {
            let start = Instant::now();
            Self { judge: Judge::new(LIMITS, start), start, seconds: 0, switches: 0 }
        }

        fn look(&mut self, signs: &Signs) -> State {
            self.seconds += 1;
            let before = self.judge.state().is_primary();
            self.judge.look(self.start + Duration::from_secs(self.seconds), signs);
            self.switches += u32::from(before != self.judge.state().is_primary());
            self.judge.state()
        }

        /// Seconds until the state is that.
        fn until(&mut self, state: State, mut signs: impl FnMut(u64) -> Signs) -> u64 {
            (1..1000).find(|second| self.look(&signs(*second)) == state).expect("it comes to that")
        }
    }

    fn well() -> Signs {
        Signs { is_connected: true, brought: 1, ..Signs::default() }
    }

    #[test]
    fn silence_makes_it_suspect_and_then_switches_in_time() {
        let mut watch = Watch::new();
        assert_eq!(watch.look(&well()), State::Serving);
        let silent = |second| Signs { brought: 0, silent_for: Duration::from_secs(second), ..well() };
        assert_eq!(watch.until(State::Suspect, silent), 45);
        assert_eq!(watch.until(State::Switched, |second| silent(second + 45)), 45);
        assert_eq!(watch.judge.reason(), Some("silent for 90s"));
    }

    #[test]
    fn a_short_loss_of_the_connection_switches_nothing() {
        let mut watch = Watch::new();
        let away = |second| Signs {
            problem: Some("be let in: status 503".into()),
            silent_for: Duration::from_secs(second),
            ..Signs::default()
        };
        assert_eq!(watch.look(&away(1)), State::Suspect);
        assert_eq!(watch.judge.reason(), Some("not connected: failed to be let in: status 503"));
        assert_eq!(watch.look(&well()), State::Serving);
        assert_eq!(watch.until(State::Switched, away), 90);
        assert_eq!(watch.judge.reason(), Some("not connected for 90s: failed to be let in: status 503"));
    }

    #[test]
    fn a_missing_kill_switches_and_health_returns() {
        let mut watch = Watch::new();
        assert_eq!(watch.look(&Signs { missing: 2, ..well() }), State::Switched);
        assert_eq!(watch.judge.reason(), Some("behind: 2 kills missing for 120s"));
        assert_eq!(watch.look(&well()), State::Returning);
        assert_eq!(watch.until(State::Serving, |_| well()), 119);
        assert_eq!((watch.judge.reason(), watch.switches), (None, 2));
    }

    #[test]
    fn a_primary_that_only_says_that_it_lives_does_not_return() {
        let mut watch = Watch::new();
        watch.look(&Signs { missing: 1, ..well() });
        for _ in 0..600 {
            assert_eq!(watch.look(&Signs { brought: 0, ..well() }), State::Switched);
        }
        assert_eq!(watch.look(&well()), State::Serving, "it has been well for long");
    }

    #[test]
    fn a_primary_does_not_return_while_kills_that_it_should_have_brought_are_waited_for() {
        let mut watch = Watch::new();
        watch.look(&Signs { missing: 1, ..well() });
        let waiting = Signs { waiting_for: LIMITS.behind / 2, ..well() };
        (0..600).for_each(|_| assert_eq!(watch.look(&waiting), State::Switched));
        assert_eq!(watch.until(State::Serving, |_| well()), 120);
    }

    #[test]
    fn trouble_while_returning_starts_the_wait_again() {
        let mut watch = Watch::new();
        watch.look(&Signs { missing: 1, ..well() });
        (0..100).for_each(|_| assert_eq!(watch.look(&well()), State::Returning));
        assert_eq!(watch.look(&Signs::default()), State::Switched);
        assert_eq!(watch.look(&well()), State::Returning);
        assert_eq!(watch.until(State::Serving, |_| well()), 119);
    }

    proptest! {
        #[test]
        fn a_primary_that_keeps_dropping_kills_is_left_once(gaps in prop::collection::vec(1_u64..100, 1..40)) {
            let mut watch = Watch::new();
            for gap in gaps {
                watch.look(&Signs { missing: 1, ..well() });
                (0..gap).for_each(|_| { watch.look(&well()); });
            }
            prop_assert_eq!(watch.switches, 1);
        }
    }
}
