//! What is wrong with a file, and where.

use std::fmt;
use std::path::Path;

/// Why static data cannot be read. Its text fits after "failed to".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or the archive and what in it.
    pub file: String,
    /// From 1.
    pub line: Option<u64>,
    /// Of a CSV the column's name; of JSON the number of the character, and the field.
    pub column: Option<String>,
    pub why: String,
}

impl Problem {
    /// With the file as a whole.
    pub(super) fn of(file: impl Into<String>, why: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, column: None, why: why.into() }
    }

    /// The same with another name in the place of where the files lie: of what was downloaded, its address.
    #[must_use]
    pub fn of_place(mut self, place: &Path, name: &str) -> Self {
        let place = place.display().to_string();
        if let Some(rest) = self.file.strip_prefix(&place) {
            let name = if rest.starts_with('/') { name.trim_end_matches('/') } else { name };
            self.file = format!("{name}{rest}");
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for Problem {}

/// A value as a problem quotes it.
pub(super) fn quoted(value: &str) -> String {
    const LONGEST: usize = 40;
    let mut short: String = value.chars().take(LONGEST).collect();
    if value.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    format!("{short:?}")
}

/// An error of reading, in words.
pub(super) fn broken(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it breaks off in the middle".to_owned(),
        _ => error.to_string(),
    }
}
