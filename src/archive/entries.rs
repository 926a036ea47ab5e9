//! The JSON files in a tar, one after the other; nothing of it is ever written out, so names lead nowhere.

use std::io::{self, BufRead, Read};

use tar::{EntryType, Header};

/// The unit of a tar: headers have this length, and bodies are filled up to it.
pub(super) const BLOCK: usize = 512;

/// Where the reading of a tar stands: in the body of an entry, or between two.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Bytes of the body that are still to come.
    left: u64,
    /// Bytes behind the body, up to the next header.
    padding: u64,
    passed_over: u64,
}

impl Entries {
    /// Whether a stream that starts so is a tar.
    pub(super) fn are_in(start: &[u8]) -> bool {
        let Some(block) = start.get(..BLOCK) else { return false };
        is_sound(Header::from_byte_slice(block))
    }

    /// Files that were no kills.
    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Goes to the body of the next JSON file; false at the end of the tar.
    pub(super) fn open(&mut self, input: &mut dyn BufRead) -> io::Result<bool> {
        loop {
            let mut header = Header::new_old();
            input.read_exact(header.as_mut_bytes()).map_err(cut_short)?;
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                // What is behind the end says whether the file was unpacked soundly.
                return io::copy(input, &mut io::sink()).map(|_| false);
            }
            if !is_sound(&header) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the tar is damaged"));
            }
            self.left = header.entry_size()?;
            self.padding = self.left.wrapping_neg() % BLOCK as u64;
            match header.entry_type() {
                EntryType::Regular | EntryType::Continuous if is_json(&header.path_bytes()) => return Ok(true),
                // Its header says how much there is in another way. Nobody packs kills so.
                EntryType::GNUSparse => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the tar holds a sparse file"));
                }
                kind => {
                    self.passed_over += u64::from(matches!(kind, EntryType::Regular | EntryType::Continuous));
                    self.close(input)?;
                }
            }
        }
    }

    /// What is at hand of the body; empty at its end.
    pub(super) fn chunk<'a>(&self, input: &'a mut dyn BufRead) -> io::Result<&'a [u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return Err(cut_short(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(&chunk[..chunk.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))])
    }

    pub(super) fn consume(&mut self, input: &mut dyn BufRead, used: usize) {
        input.consume(used);
        self.left -= used as u64;
    }

    /// Passes over what is left of the entry.
    pub(super) fn close(&mut self, input: &mut dyn BufRead) -> io::Result<()> {
        let left = std::mem::take(&mut self.left).saturating_add(std::mem::take(&mut self.padding));
        let passed = io::copy(&mut input.take(left), &mut io::sink())?;
        if passed < left { Err(cut_short(io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
    }
}

/// Files that some systems put beside each one (`._123.json`) only look like one.
fn is_json(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.len() > 5 && name[name.len() - 5..].eq_ignore_ascii_case(b".json") && !name.starts_with(b"._")
}

/// Whether the header adds up.
fn is_sound(header: &Header) -> bool {
    let mut again = header.clone();
    again.set_cksum();
    header.cksum().is_ok_and(|sum| again.cksum().is_ok_and(|expected| sum == expected))
}

fn cut_short(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the tar is cut short"),
        _ => error,
    }
}
