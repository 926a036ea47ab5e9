//! The lines of one file, plain or gzip, each within a bound.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// The longest line that is read whole.
pub(super) const LINE_MAX: usize = 8 * 1024 * 1024;
/// What is kept of a longer one.
const CUT: usize = 64 * 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One line that is not blank, without its end.
#[derive(Debug)]
pub(super) struct Line {
    /// Counted from 1, blank lines too.
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    /// Its whole length, when it was too long to keep.
    pub(super) cut: Option<u64>,
}

/// What one reading gave.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) lines: Vec<Line>,
    /// Bytes read from disk since the last reading.
    pub(super) bytes: u64,
    /// The end of the file, or what is wrong with it.
    pub(super) end: Option<Result<(), String>>,
}

/// An open file.
pub(super) struct Lines {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    read: Arc<AtomicU64>,
    reported: u64,
    number: u64,
    skip: u64,
}

struct Counted<R>(R, Arc<AtomicU64>);

impl<R: io::Read> io::Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Lines {
    /// Opens a file, to give the lines after `skip`.
    pub(super) fn open(path: &Path, skip: u64) -> Result<Self, String> {
        let describe = |error| format!("open {}: {error}", path.display());
        let read = Arc::new(AtomicU64::new(0));
        let file = File::open(path).map_err(describe)?;
        let mut raw = BufReader::with_capacity(256 * 1024, Counted(file, read.clone()));
        let is_gzip = raw.fill_buf().map_err(describe)?.starts_with(&GZIP);
        let input: Box<dyn BufRead + Send> = if is_gzip {
            Box::new(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        Ok(Self { path: path.to_owned(), input, read, reported: 0, number: 0, skip })
    }

    /// Reads up to `room` lines.
    pub(super) fn read(&mut self, room: usize) -> Read {
        let mut lines = Vec::with_capacity(room.min(1024));
        let mut end = None;
        while lines.len() < room {
            match self.line() {
                Ok(Some(line)) if line.number <= self.skip || line.bytes.trim_ascii().is_empty() => {}
                Ok(Some(line)) => lines.push(line),
                Ok(None) => end = Some(Ok(())),
                Err(error) => {
                    end = Some(Err(format!("read {} beyond line {}: {error}", self.path.display(), self.number)));
                }
            }
            if end.is_some() {
                break;
            }
        }
        let read = self.read.load(Ordering::Relaxed);
        let bytes = read - self.reported;
        self.reported = read;
        Read { lines, bytes, end }
    }

    fn line(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let mut length = self.input.by_ref().take(LINE_MAX as u64 + 2).read_until(b'\n', &mut bytes)? as u64;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        let is_cut = bytes.len() > LINE_MAX && bytes.last() != Some(&b'\n');
        if is_cut {
            bytes.truncate(CUT);
            length += self.skip_line()?;
        }
        if self.number == 1 && bytes.starts_with(BOM) {
            bytes.drain(..BOM.len());
        }
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        Ok(Some(Line { number: self.number, bytes, cut: is_cut.then_some(length) }))
    }

    /// Reads past the end of the line, keeping nothing.
    fn skip_line(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let buffer = self.input.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |at| at + 1);
            self.input.consume(used);
            skipped += used as u64;
            if end.is_some() || used == 0 {
                return Ok(skipped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn all(content: &[u8], skip: u64) -> (Vec<(u64, String)>, Option<Result<(), String>>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let mut lines = Lines::open(file.path(), skip).unwrap();
        let mut out = Vec::new();
        loop {
            let read = lines.read(2);
            let text = |line: &Line| (line.number, String::from_utf8_lossy(&line.bytes).into_owned());
            out.extend(read.lines.iter().map(text));
            if read.end.is_some() {
                return (out, read.end);
            }
        }
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn numbered(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
        lines.iter().map(|(number, line)| (*number, (*line).to_owned())).collect()
    }

    #[test]
    fn blank_lines_a_bom_and_carriage_returns_are_forgiven_and_counted() {
        let (lines, end) = all(b"\xEF\xBB\xBFone\r\n\r\n  \ntwo\nthree", 0);
        assert_eq!(lines, numbered(&[(1, "one"), (4, "two"), (5, "three")]));
        assert_eq!(end, Some(Ok(())));
    }

    #[test]
    fn gzip_of_several_members_reads_as_one_file() {
        let content = [gzip(b"one\ntwo\n"), gzip(b"three\n")].concat();
        assert_eq!(all(&content, 1).0, numbered(&[(2, "two"), (3, "three")]));
    }

    #[test]
    fn a_truncated_archive_gives_the_lines_before_the_break_and_says_where_it_broke() {
        let content: Vec<u8> = (0..20_000).flat_map(|n| format!("line {} of many\n", n * 7919).into_bytes()).collect();
        let archive = gzip(&content);
        let (lines, end) = all(&archive[..archive.len() / 2], 0);
        assert!(lines.len() > 100, "{} lines", lines.len());
        let error = end.unwrap().unwrap_err();
        assert!(error.contains("beyond line"), "{error}");
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_the_next_one_is_whole() {
        let mut content = vec![b'x'; LINE_MAX + 100];
        content.extend(b"\nnext\n");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        let read = Lines::open(file.path(), 0).unwrap().read(10);
        assert_eq!(read.lines[0].cut, Some(LINE_MAX as u64 + 101));
        assert_eq!(read.lines[0].bytes.len(), CUT);
        assert_eq!((read.lines[1].number, read.lines[1].bytes.as_slice()), (2, b"next".as_slice()));
    }
}
