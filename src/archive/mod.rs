//! Files of killmails: decompressed, split into records, those that are safe already passed over. Blocks.
//!
//! A file, plain, gzip or bzip2, holds either a kill a line (NDJSON; blank lines, CRLF and a byte order mark are forgiven), or one JSON array of
//! kills, or one object of them by id (zKillboard's history), or it is a tar with a JSON file a kill (EVE Ref's archives; files of other kinds are passed over).
//! Which, is told by its first bytes, not by its name. A file is never held in memory.

mod checkpoints;
mod entries;
mod input;
mod records;
mod scan;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use checkpoints::{Checkpoints, Place, Settled};
use input::Input;
use records::Records;
pub use records::{Kind, Record};

/// What [`Archive::take`] reads at most, give or take a record.
const TAKE_BYTES: usize = 4_000_000;
/// What must be seen of a file to tell what it is.
const START: usize = entries::BLOCK;

/// How far the reading has come; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Of all files, as they lie on the disk.
    pub bytes_total: u64,
    /// Likewise.
    pub bytes_read: AtomicU64,
    /// Records handed over.
    pub records: AtomicU64,
}

/// Hands out the records of a file with their positions: line numbers in NDJSON, else ordinals.
pub struct Archive {
    path: PathBuf,
    opened: Result<Stream, String>,
}

/// What one turn of reading gave.
#[derive(Debug)]
pub struct Taken {
    /// With their positions.
    pub records: Vec<(u64, Record)>,
    /// The end, if it was reached: of the file, or (a sentence that names the file and the last record) of what of it can be read.
    pub end: Option<Result<(), String>>,
}

struct Stream {
    input: Input,
    records: Records,
    /// Positions up to this one are passed over.
    skip: u64,
    last: u64,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Archive {
    /// Opens a file. What is wrong with it shows at the first record, so that other files still have their turn.
    #[must_use]
    pub fn open(path: &Path, progress: Arc<Progress>, skip: u64) -> Self {
        let opened = Stream::open(path, progress, skip).map_err(|error| format!("open {}: {error}", path.display()));
        Self { path: path.to_owned(), opened }
    }

    /// What it holds; `None` if it cannot be opened.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.opened.as_ref().ok().map(|open| open.records.kind())
    }

    /// The next records, up to `room` of them and not many megabytes, so that it returns soon.
    pub fn take(&mut self, room: usize) -> Taken {
        let mut taken = Taken { records: Vec::new(), end: None };
        let mut bytes = 0;
        while taken.end.is_none() && taken.records.len() < room && bytes < TAKE_BYTES {
            match self.read() {
                Ok(Some((position, record))) => {
                    bytes += record.bytes().len();
                    taken.records.push((position, record));
                }
                Ok(None) => {
                    self.tell_passed_over();
                    taken.end = Some(Ok(()));
                }
                Err(problem) => taken.end = Some(Err(problem)),
            }
        }
        taken
    }

    fn tell_passed_over(&self) {
        let files = self.opened.as_ref().map_or(0, |open| open.records.passed_over());
        if files > 0 {
            tracing::warn!(archive = %self.path.display(), files, "passed over files in the archive that are not .json");
        }
    }

    fn read(&mut self) -> Result<Option<(u64, Record)>, String> {
        let open = self.opened.as_mut().map_err(|problem| problem.clone())?;
        open.next().map_err(|error| format!("read {} beyond record {}: {error}", self.path.display(), open.last))
    }
}

impl Stream {
    fn open(path: &Path, progress: Arc<Progress>, skip: u64) -> io::Result<Self> {
        let (input, start) = Input::open(File::open(path)?, progress, START)?;
        Ok(Self { input, records: Records::of(&start), skip, last: 0 })
    }

    fn next(&mut self) -> io::Result<Option<(u64, Record)>> {
        while let Some((position, record)) = self.records.next(&mut self.input)? {
            self.input.is_fruitful();
            self.last = position;
            if position > self.skip {
                return Ok(Some((position, record)));
            }
        }
        Ok(None)
    }
}
