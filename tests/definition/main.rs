//! Pipeline files as people get them wrong, and what they are told.

mod broken;
mod environment;
mod files;
mod shipped;

use broadside::definition::{self, Definition, Problems};

/// Nothing is set.
fn unset(_: &str) -> Option<String> {
    None
}

fn parse(text: &str) -> Result<Definition, Problems> {
    definition::parse("kills", "kills.toml", text, &unset)
}
