//! What failed, kept ([`Keeper`]), and handed out again ([`Source`]).
//!
//! ```text
//!  failed message ──► Keeper ──► dead_letters (open) ──► Source ──► the pipeline again ──► replayed
//!                        ▲                                                     │
//!                        └──────────── failed again: attempts + 1, open ◄──────┘
//! ```

mod keeper;
mod letter;
mod replay;
mod reports;
mod retention;
mod retries;
mod schedule;
mod selection;
mod source;
mod view;

pub use keeper::{Keeper, Origin};
pub use replay::{Plan, REPLAYABLE, Replay, Rerun, Snapshot, Standing, choose};
pub use reports::{Outcome, Reports, Told};
pub use retention::Retention;
pub use retries::{Refused, Replays};
pub use schedule::Schedule;
pub use selection::{Problem, Selection};
pub use source::{Source, Tally, Way};
pub use view::{Exported, Group, Letter, Whole, imported};

/// Metadata key of a letter on its way again: how many attempts have failed.
pub const ATTEMPTS: &str = "dead_letter_attempts";
/// Metadata key of a message that is a dead letter on its way again: the letter's id.
pub const LETTER: &str = "dead_letter";
