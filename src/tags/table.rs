//! Reading tables of rules: CSV with a header, `#` before a remark. What is wrong is named with file, line and column.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord, Trim};

/// A table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the rules: {file}, line {line}{}: {why}", column.map(|name| format!(", column {name}")).unwrap_or_default())]
pub struct Error {
    /// As it was named.
    pub file: String,
    /// From 1; 0: the file as a whole.
    pub line: u64,
    /// The column's name, when it is about one.
    pub column: Option<&'static str>,
    pub why: String,
}

/// A row, and where it stands.
pub(super) struct Row<'a> {
    file: &'a str,
    line: u64,
    columns: &'static [&'static str],
    record: StringRecord,
}

/// The rows of a table that has these columns.
pub(super) fn rows<'a>(file: &'a str, text: &str, columns: &'static [&'static str]) -> Result<Vec<Row<'a>>, Error> {
    let broken = |line: u64, why: String| Error { file: file.to_owned(), line, column: None, why };
    let mut reader = ReaderBuilder::new().comment(Some(b'#')).trim(Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| broken(1, error.to_string()))?;
    if header.iter().ne(columns.iter().copied()) {
        let line = line(text, header.position());
        return Err(broken(line, format!("the header must be `{}`", columns.join(","))));
    }
    let records = reader.records().map(|record| {
        let record = record.map_err(|error| {
            let line = line(text, error.position());
            let why = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("{len} fields, and the header has {expected_len}")
                }
                _ => error.to_string(),
            };
            broken(line, why)
        })?;
        Ok(Row { file, line: line(text, record.position()), columns, record })
    });
    records.collect()
}

/// The line of a record. The reader's own position is before the remarks and empty lines that it skipped to get there.
fn line(text: &str, position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 0 };
    let rest = text.get(position.byte() as usize..).unwrap_or_default();
    let skipped = rest.lines().take_while(|line| line.trim().is_empty() || line.starts_with('#')).count();
    position.line() + skipped as u64
}

impl Row<'_> {
    /// The field of a column that the table has.
    pub(super) fn text(&self, column: &'static str) -> &str {
        let place = self.columns.iter().position(|name| *name == column);
        place.and_then(|place| self.record.get(place)).unwrap_or_default()
    }

    /// Whole numbers from the first to the last: `27`, or `27-34`.
    pub(super) fn range(&self, column: &'static str) -> Result<std::ops::RangeInclusive<i64>, Error> {
        let text = self.text(column);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.trim().parse::<u32>().ok().map(i64::from);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(first..=last),
            _ => Err(self.error(column, format!("`{text}` is neither a number nor a range like 27-34"))),
        }
    }

    pub(super) fn number(&self, column: &'static str) -> Result<i64, Error> {
        let text = self.text(column);
        text.parse::<u32>().map(i64::from).map_err(|_| self.error(column, format!("`{text}` is not a number")))
    }

    pub(super) fn error(&self, column: &'static str, why: impl Into<String>) -> Error {
        Error { file: self.file.to_owned(), line: self.line, column: Some(column), why: why.into() }
    }
}

/// Refuses a row that says again, or otherwise, what one before it said.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<(String, i64, String), u64>);

impl Seen {
    pub(super) fn note(&mut self, row: &Row<'_>, kind: &str, id: i64, tag: &str) -> Result<(), Error> {
        let key = |tag: &str| (kind.to_owned(), id, tag.to_owned());
        let others = || self.0.range(key("")..).take_while(|((k, i, _), _)| k == kind && *i == id);
        let clash = others().find(|((_, _, other), _)| other == tag || other.is_empty() || tag.is_empty());
        if let Some((_, before)) = clash {
            return Err(row.error("id", format!("{kind} {id} is decided otherwise, or so already, in line {before}")));
        }
        self.0.insert(key(tag), row.line);
        Ok(())
    }
}
