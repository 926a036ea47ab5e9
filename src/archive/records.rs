//! Splits a stream of bytes into records, in bounded memory: lines, the members of one JSON array or object, or the JSON files in a tar.

use std::io::{self, BufRead};

use broadside_engine::{Failure, Message};
use bytes::Bytes;
use jiff::Timestamp;

use super::entries::Entries;
use super::scan::Scan;
use crate::killmail::Kill;
use crate::killmail::wire::BYTES_MAX;

/// What is kept of a record that is too large.
const HEAD_BYTES: usize = 64 * 1024;

/// The bytes of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Whole(Bytes),
    /// Beyond the limit: its start, and how long it is.
    TooLarge {
        head: Bytes,
        bytes: u64,
    },
}

impl Record {
    /// What is kept of it.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Whole(bytes) | Self::TooLarge { head: bytes, .. } => bytes,
        }
    }

    /// As a source hands it over: what is too large has failed already. `source` is the source's name.
    #[must_use]
    pub fn message(self, source: &'static str, now: Timestamp) -> Message<Kill> {
        match self {
            Self::Whole(raw) => Message::new(Kill::new(raw, source, now, true)),
            Self::TooLarge { head, bytes } => {
                let mut message = Message::new(Kill::new(head, source, now, true));
                let problem = format!("record of {bytes} bytes, at most {BYTES_MAX}: only its start is kept");
                message.fail(Failure::invalid(problem));
                message
            }
        }
    }
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A kill a line.
    Lines,
    /// One JSON array, or one object by id.
    Members,
    /// A tar, with a file a kill.
    Entries,
}

/// How a stream is split.
#[derive(Debug)]
pub(super) struct Records {
    layout: Layout,
    position: u64,
    buffer: Vec<u8>,
    /// Of the record that is being read; more than the buffer holds when it is too large.
    bytes: u64,
}

#[derive(Debug)]
enum Layout {
    Lines,
    Members(Scan),
    Entries(Entries),
}

impl Records {
    /// Told by the start of the stream ([`START`](super::START) bytes, if there are so many). An object whose first name is a number is one of kills by
    /// their ids, and so is an empty one; any other object is the first of the lines.
    pub(super) fn of(start: &[u8]) -> Self {
        let layout = if Entries::are_in(start) {
            Layout::Entries(Entries::default())
        } else if is_one_value(start) {
            Layout::Members(Scan::default())
        } else {
            Layout::Lines
        };
        Self { layout, position: 0, buffer: Vec::new(), bytes: 0 }
    }

    /// What the stream holds.
    pub(super) fn kind(&self) -> Kind {
        match self.layout {
            Layout::Lines => Kind::Lines,
            Layout::Members(_) => Kind::Members,
            Layout::Entries(_) => Kind::Entries,
        }
    }

    /// Entries of a tar that were passed over, because they are no JSON files.
    pub(super) fn passed_over(&self) -> u64 {
        if let Layout::Entries(entries) = &self.layout { entries.passed_over() } else { 0 }
    }

    /// The next record with its position, from 1; blank lines count, but are none.
    pub(super) fn next(&mut self, input: &mut dyn BufRead) -> io::Result<Option<(u64, Record)>> {
        loop {
            let is_found = match &self.layout {
                Layout::Lines => self.line(input)?,
                Layout::Members(_) => self.member(input)?,
                Layout::Entries(_) => self.entry(input)?,
            };
            if !is_found {
                return Ok(None);
            }
            self.position += 1;
            if let Some(record) = self.take() {
                return Ok(Some((self.position, record)));
            }
        }
    }

    /// Adds to the record; beyond the limit only to its length.
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let room = (BYTES_MAX + 2).saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The record that was read, unless it is blank.
    fn take(&mut self) -> Option<Record> {
        let bytes = std::mem::take(&mut self.bytes);
        let trimmed = self.buffer.trim_ascii();
        let record = if bytes > self.buffer.len() as u64 || trimmed.len() > BYTES_MAX {
            Some(Record::TooLarge { head: Bytes::copy_from_slice(&self.buffer[..HEAD_BYTES]), bytes })
        } else if trimmed.is_empty() {
            None
        } else {
            Some(Record::Whole(Bytes::copy_from_slice(trimmed)))
        };
        self.buffer.clear();
        self.buffer.shrink_to(HEAD_BYTES);
        record
    }

    /// Reads a line; false at the end.
    fn line(&mut self, input: &mut dyn BufRead) -> io::Result<bool> {
        let mut is_started = false;
        loop {
            let chunk = input.fill_buf()?;
            if chunk.is_empty() {
                return Ok(is_started);
            }
            is_started = true;
            let end = memchr::memchr(b'\n', chunk);
            let line = &chunk[..end.unwrap_or(chunk.len())];
            self.add(line);
            let used = line.len() + usize::from(end.is_some());
            input.consume(used);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// Reads a member of the array or object; false behind the last one.
    fn member(&mut self, input: &mut dyn BufRead) -> io::Result<bool> {
        loop {
            let Layout::Members(scan) = &mut self.layout else { return Ok(false) };
            let chunk = input.fill_buf()?;
            if chunk.is_empty() {
                return scan.end().map(|()| false);
            }
            let (start, used, is_whole) = scan.run(chunk);
            // Copied, because the chunk belongs to the input, and the record to us.
            let part = chunk[start..used].to_vec();
            input.consume(used);
            self.add(&part);
            if is_whole {
                return Ok(true);
            }
        }
    }

    /// Reads the next JSON file of a tar; false behind the last one.
    fn entry(&mut self, input: &mut dyn BufRead) -> io::Result<bool> {
        let Layout::Entries(entries) = &mut self.layout else { return Ok(false) };
        if !entries.open(input)? {
            return Ok(false);
        }
        loop {
            let Layout::Entries(entries) = &mut self.layout else { return Ok(false) };
            let chunk = entries.chunk(input)?;
            if chunk.is_empty() {
                return entries.close(input).map(|()| true);
            }
            let used = chunk.len();
            let part = chunk.to_vec();
            entries.consume(input, used);
            self.add(&part);
        }
    }
}

/// Whether a stream that starts so is one array, or one object of kills.
fn is_one_value(start: &[u8]) -> bool {
    if start.trim_ascii() == b"{}" {
        return true;
    }
    let mut start = start.iter().filter(|byte| !byte.is_ascii_whitespace());
    match start.next() {
        Some(b'[') => true,
        Some(b'{') => start.next() == Some(&b'"') && start.next().is_some_and(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn split(text: &[u8], buffer: usize) -> io::Result<Vec<(u64, Record)>> {
        let mut input = BufReader::with_capacity(buffer, text);
        let mut records = Records::of(text);
        let mut found = Vec::new();
        while let Some(record) = records.next(&mut input)? {
            found.push(record);
        }
        Ok(found)
    }

    fn texts(found: &[(u64, Record)]) -> Vec<(u64, String)> {
        let text = |record: &Record| match record {
            Record::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Record::TooLarge { bytes, .. } => format!("{bytes} bytes"),
        };
        found.iter().map(|(position, record)| (*position, text(record))).collect()
    }

    #[test]
    fn lines_end_as_they_like_and_blank_ones_count() {
        let found = split(b"{\"a\":1}\r\n\n  \n{\"b\":2}\n{\"c\":3}", 4).expect("lines");
        assert_eq!(texts(&found), [(1, "{\"a\":1}".into()), (4, "{\"b\":2}".into()), (5, "{\"c\":3}".into())]);
    }

    #[test]
    fn an_array_and_an_object_of_kills_are_split_into_their_members() {
        let array = br#" [ {"a":"]}\"{["}, {"b":[{}]} ,{}]  "#;
        let object = br#"{"12":{"a":"]}\"{["},"13":{"b":[{}]},"14":{}}"#;
        let expected = [r#"{"a":"]}\"{["}"#, r#"{"b":[{}]}"#, "{}"];
        for text in [&array[..], &object[..]] {
            for buffer in [1, 2, 3, 7, 1000] {
                let found = texts(&split(text, buffer).expect("members"));
                assert_eq!(found.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), expected, "buffer {buffer}");
            }
        }
        assert_eq!(split(b"[]", 9).expect("an empty array"), []);
    }

    #[test]
    fn an_array_that_is_cut_short_says_so_after_its_whole_members() {
        let mut input = &b"[{\"a\":1},{\"b\""[..];
        let mut records = Records::of(input);
        assert!(records.next(&mut input).expect("the first member").is_some());
        assert_eq!(records.next(&mut input).expect_err("no second one").to_string(), "the JSON is cut short");
    }

    #[test]
    fn a_line_beyond_the_limit_keeps_its_start_and_the_next_line_is_whole() {
        let mut text = vec![b'x'; BYTES_MAX + 5];
        text.extend_from_slice(b"\n{}\n");
        let found = split(&text, 64 * 1024).expect("lines");
        assert_eq!(texts(&found), [(1, format!("{} bytes", BYTES_MAX + 5)), (2, "{}".into())]);
        assert!(matches!(&found[0].1, Record::TooLarge { head, .. } if head.len() == HEAD_BYTES));
    }

    proptest! {
        #[test]
        fn any_lines_come_out_as_they_went_in(lines in prop::collection::vec("[a-z{}\\[\\]\", ]{0,20}", 0..20), buffer in 1_usize..40) {
            let text = lines.iter().map(|line| format!("x{line}\n")).collect::<String>();
            let found = texts(&split(text.as_bytes(), buffer).expect("lines"));
            let expected: Vec<_> = lines.iter().zip(1..).map(|(line, n)| (n, format!("x{line}").trim().to_owned())).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..400), buffer in 1_usize..40) {
            let _ = split(&bytes, buffer);
        }
    }
}
