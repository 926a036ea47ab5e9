//! A file of documents: one JSON value, or one a line. Read twice: a file that cannot be is kept aside, so that any number of lines fits.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::de::IgnoredAny;

use crate::profile::document::BYTES_MAX;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What was given.
#[derive(Debug)]
pub(super) struct Given {
    name: String,
    file: File,
    /// Whether it is one value, over however many lines.
    is_one: bool,
}

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(Option<u64>);

impl fmt::Display for Place {
    /// In front of what is said of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, "line {line}: "))
    }
}

impl Place {
    pub(super) const fn line(self) -> Option<u64> {
        self.0
    }
}

impl Given {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (name, mut file) = if path == Path::new("-") {
            ("standard input".to_owned(), spooled(io::stdin().lock())?)
        } else {
            let file = File::open(path)?;
            let is_plain = file.metadata()?.is_file();
            (path.display().to_string(), if is_plain { file } else { spooled(file)? })
        };
        let is_one = is_one(&mut file)?;
        Ok(Self { name, file, is_one })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Hands out each text with its place, until `take` has had enough: blank lines are none.
    pub(super) fn each<E: From<io::Error>>(&self, mut take: impl FnMut(Place, &str) -> Result<(), E>) -> Result<(), E> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        if self.is_one {
            let mut bytes = Vec::new();
            reader.take(2 * BYTES_MAX as u64).read_to_end(&mut bytes)?;
            return take(Place(None), text(&bytes)?);
        }
        let (mut line, mut bytes) = (0, Vec::new());
        loop {
            bytes.clear();
            line += 1;
            // One that is too long is told by its length: its rest is passed over.
            if reader.by_ref().take(BYTES_MAX as u64 + 2).read_until(b'\n', &mut bytes)? == 0 {
                return Ok(());
            }
            if bytes.len() > BYTES_MAX && !bytes.ends_with(b"\n") {
                reader.skip_until(b'\n')?;
            }
            let text = text(&bytes).map_err(|error| io::Error::new(error.kind(), format!("line {line}: {error}")))?;
            if !text.is_empty() {
                take(Place(Some(line)), text)?;
            }
        }
    }
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    std::str::from_utf8(bytes).map(str::trim).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn spooled(mut from: impl Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut from, &mut file)?;
    Ok(file)
}

/// One value, when the whole is one; else when at most one line begins one, as the errors are then told best.
fn is_one(file: &mut File) -> io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut start = Vec::new();
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut start)?;
    let is_value = |bytes: &[u8]| serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
    let start = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&start);
    let first = start.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
    let begun = start.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{")).take(2).count();
    Ok(start.len() <= BYTES_MAX && first.is_some_and(|first| !is_value(first)) && (begun < 2 || is_value(start)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &[u8]) -> Result<Vec<(Option<u64>, String)>, io::Error> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text)?;
        let given = Given::open(file.path())?;
        let mut all = Vec::new();
        given.each(|place, text| {
            all.push((place.line(), text.to_owned()));
            Ok::<_, io::Error>(())
        })?;
        Ok(all)
    }

    #[test]
    fn one_value_over_many_lines_or_one_a_line() {
        let texts = |text: &str| read(text.as_bytes()).expect("readable");
        assert_eq!(texts("\u{feff}{\n \"a\": {\n}}\n"), [(None, "{\n \"a\": {\n}}".to_owned())]);
        assert_eq!(texts("{}\r\n\n[7]"), [(Some(1), "{}".to_owned()), (Some(3), "[7]".to_owned())]);
        assert_eq!(texts("{}"), [(Some(1), "{}".to_owned())]);
        assert_eq!(texts("{]\n{}\n").len(), 2, "a broken line among others is still a line");
        assert_eq!(texts("{\n \"a\": ]\n}"), [(None, "{\n \"a\": ]\n}".to_owned())]);
        assert_eq!(texts("\n\n"), []);
    }

    #[test]
    fn a_line_that_is_too_long_ends_where_it_ends_and_what_is_no_text_is_named() {
        let long = format!("{{}}\n{{\"a\": \"{}\"}}\n{{}}\n", "x".repeat(2 * BYTES_MAX));
        let read_long = read(long.as_bytes()).expect("readable");
        assert_eq!(read_long.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
        assert!(read_long[1].1.len() > BYTES_MAX && read_long[1].1.len() < BYTES_MAX + 3);
        assert!(read(b"{}\n\xff\n").is_err_and(|error| error.to_string().contains("line 2: it is not UTF-8")));
    }
}
