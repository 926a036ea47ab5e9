//! The states of the job, and which changes of them are legal.
//!
//! ```text
//!            start                begun              all done
//!  idle ───────────► initializing ─────► processing ─────────► completed
//!   ▲ ▲                │     │ │            │   ▲ │                │
//!   │ │ stop           │     │ └── pause ─┐ │   │ └─► error ◄──────┼── (a refused key, say)
//!   │ └────────────────┘     │            ▼ ▼   │       │          │
//!   │                        └──────────► paused┘resume │          │
//!   └──────────── reset (from any that is not running) ─┴──────────┘
//! ```
//!
//! `start` begins anew from idle, completed and error.

use std::fmt;

/// Where the job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum State {
    #[default]
    Idle,
    /// What is to be priced is being listed.
    Initializing,
    /// Prices are being fetched.
    Processing,
    /// Interrupted, by somebody or by the end of its worker: `resume` goes on where it stopped.
    Paused,
    Completed,
    /// It cannot go on: the job says why.
    Error,
}

/// What can be asked of the job, and what happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Start,
    Pause,
    Resume,
    Stop,
    Reset,
    /// The lists are made.
    Begun,
    /// Nothing is left to do.
    Done,
    /// It cannot go on.
    Broken,
}

/// What an operator asked for cannot be done in the present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job is {state}: it cannot {action}; it can {}", list(*state))]
pub struct Illegal {
    pub state: State,
    pub action: Action,
}

fn list(state: State) -> String {
    let legal: Vec<_> = state.legal().map(Action::as_str).collect();
    legal.join(", ")
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Initializing, Self::Processing, Self::Paused, Self::Completed, Self::Error];

    /// The word used in tables, metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Initializing => "initializing",
            Self::Processing => "processing",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Error => "error",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The state after an action.
    ///
    /// # Errors
    /// The action is not legal now.
    pub const fn after(self, action: Action) -> Result<Self, Illegal> {
        Ok(match (self, action) {
            (Self::Idle | Self::Completed | Self::Error, Action::Start) => Self::Initializing,
            (Self::Initializing, Action::Begun) | (Self::Paused, Action::Resume) => Self::Processing,
            (Self::Initializing | Self::Processing, Action::Pause) => Self::Paused,
            (Self::Initializing | Self::Processing | Self::Paused, Action::Stop)
            | (Self::Idle | Self::Paused | Self::Completed | Self::Error, Action::Reset) => Self::Idle,
            (Self::Processing, Action::Done) => Self::Completed,
            (Self::Initializing | Self::Processing, Action::Broken) => Self::Error,
            (state, action) => return Err(Illegal { state, action }),
        })
    }

    /// What an operator may ask for.
    pub fn legal(self) -> impl Iterator<Item = Action> {
        Action::ASKED.into_iter().filter(move |action| self.after(*action).is_ok())
    }

    /// Whether a worker has to be at it. One that is gone has left it interrupted.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Initializing | Self::Processing)
    }

    /// Whether there is something to go on with.
    #[must_use]
    pub const fn is_begun(self) -> bool {
        matches!(self, Self::Initializing | Self::Processing | Self::Paused)
    }
}

impl Action {
    /// Those that an operator may ask for.
    pub const ASKED: [Self; 5] = [Self::Start, Self::Pause, Self::Resume, Self::Stop, Self::Reset];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Reset => "reset",
            Self::Begun => "begin",
            Self::Done => "complete",
            Self::Broken => "break off",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACTIONS: [Action; 8] = [
        Action::Start,
        Action::Pause,
        Action::Resume,
        Action::Stop,
        Action::Reset,
        Action::Begun,
        Action::Done,
        Action::Broken,
    ];

    #[test]
    fn every_pair_of_a_state_and_an_action_is_as_the_table_says() {
        use State::{Completed, Error, Idle, Initializing, Paused, Processing};
        // start, pause, resume, stop, reset, begun, done, broken
        let table = [
            (Idle, [Some(Initializing), None, None, None, Some(Idle), None, None, None]),
            (Initializing, [None, Some(Paused), None, Some(Idle), None, Some(Processing), None, Some(Error)]),
            (Processing, [None, Some(Paused), None, Some(Idle), None, None, Some(Completed), Some(Error)]),
            (Paused, [None, None, Some(Processing), Some(Idle), Some(Idle), None, None, None]),
            (Completed, [Some(Initializing), None, None, None, Some(Idle), None, None, None]),
            (Error, [Some(Initializing), None, None, None, Some(Idle), None, None, None]),
        ];
        for (state, expected) in table {
            assert_eq!(ACTIONS.map(|action| state.after(action).ok()), expected, "{state}");
        }
    }

    #[test]
    fn a_refusal_says_the_state_and_what_is_legal() {
        let refused = State::Paused.after(Action::Start).expect_err("illegal");
        assert_eq!(refused.to_string(), "the job is paused: it cannot start; it can resume, stop, reset");
    }

    proptest! {
        /// What holds after any sequence of actions, legal or not.
        #[test]
        fn an_illegal_action_changes_nothing_and_only_a_resume_or_a_start_makes_it_run(
            actions in prop::collection::vec(prop::sample::select(ACTIONS.to_vec()), 0..60)
        ) {
            let mut state = State::Idle;
            for action in actions {
                let before = state;
                match before.after(action) {
                    Ok(after) => state = after,
                    Err(illegal) => {
                        prop_assert_eq!((illegal.state, illegal.action), (before, action));
                        prop_assert!(before.legal().all(|legal| legal != action));
                    }
                }
                if state.is_running() && !before.is_running() {
                    prop_assert!(matches!(action, Action::Start | Action::Resume), "{} made it {}", action, state);
                }
                if state == State::Completed && before != state {
                    prop_assert_eq!(before, State::Processing);
                }
                // There is always a way out, and a way back to work.
                prop_assert!(state.legal().count() > 0);
            }
        }
    }
}
