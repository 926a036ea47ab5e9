//! What failed, kept ([`Keeper`]), and handed out again ([`Source`]).
//!
//! ```text
//!  failed message ──► Keeper ──► dead_letters (open) ──► Source ──► the pipeline again ──► replayed
//!                        ▲                                                     │
//!                        └──────────── failed again: attempts + 1, open ◄──────┘
//! ```

mod keeper;
mod letter;
mod source;

pub use keeper::Keeper;
pub use source::{Source, Tally};

/// Metadata key of a message that is a dead letter on its way again: the letter's id.
pub const LETTER: &str = "dead_letter";
