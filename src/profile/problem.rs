//! What is wrong with a filter or a profile, and where.

use std::fmt;

use crate::killmail::is_plain;

/// What stands where something else must: the place in the JSON, what was found there, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {path}: found {found}; allowed: {allowed}")]
pub struct Problem {
    /// `filter.rules[2].value[0]`; the whole is `the top`.
    pub path: Path,
    pub found: String,
    pub allowed: String,
}

impl Problem {
    /// Something that was found at a place, as JSON: cut when it is long, control characters escaped.
    pub(super) fn new(path: &Path, found: &str, allowed: impl Into<String>) -> Self {
        Self { path: path.clone(), found: shown(found), allowed: allowed.into() }
    }

    /// Something said in words.
    pub(super) fn said(path: &Path, found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { path: path.clone(), found: found.into(), allowed: allowed.into() }
    }
}

/// A place in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(String);

impl Path {
    /// A member of an object.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(if self.0.is_empty() { shown_key(key) } else { format!("{}.{}", self.0, shown_key(key)) })
    }

    /// An element of a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "the top" } else { &self.0 })
    }
}

/// Characters of what was found that are shown.
const SHOWN: usize = 60;

fn shown(found: &str) -> String {
    let mut text: String = found.trim().chars().take(SHOWN).flat_map(shown_char).collect();
    if found.trim().chars().count() > SHOWN {
        text.push('…');
    }
    if text.is_empty() { "nothing".to_owned() } else { text }
}

fn shown_key(key: &str) -> String {
    key.chars().take(SHOWN).flat_map(shown_char).collect()
}

/// Player-made text may hold anything.
fn shown_char(character: char) -> impl Iterator<Item = char> {
    let is_safe = is_plain(character);
    let escaped = (!is_safe).then(|| character.escape_unicode());
    is_safe.then_some(character).into_iter().chain(escaped.into_iter().flatten())
}
