//! The bytes of a table, unpacked as their first ones say, and bounded: whatever a file unpacks to, no record of it is longer than
//! [`RECORD_MAX`] and no table larger than [`TABLE_MAX`].

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;

const BUFFER: usize = 64 * 1024;
const GZIP: &[u8] = b"\x1f\x8b";
const BZIP2: &[u8] = b"BZh";
/// Bytes of a table, unpacked. The largest there is has 153 MB.
pub(super) const TABLE_MAX: u64 = 1 << 30;
/// Bytes from the start of a record to the next: descriptions in eight languages have some 50 kB.
pub(super) const RECORD_MAX: u64 = 4 << 20;

/// A file whose bytes are counted as they are read from the disk.
#[derive(Debug)]
pub(super) struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Counted {
    pub(super) fn open(path: &Path, read: &Arc<AtomicU64>) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, read: read.clone() })
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A file's bytes, unpacked.
pub(super) fn unpacked(file: Counted) -> io::Result<Box<dyn Read>> {
    let mut file = BufReader::with_capacity(BUFFER, file);
    let head = file.fill_buf()?;
    Ok(if head.starts_with(GZIP) {
        Box::new(MultiGzDecoder::new(file))
    } else if head.starts_with(BZIP2) {
        Box::new(MultiBzDecoder::new(file))
    } else {
        Box::new(file)
    })
}

/// Bytes that end with an error where there are too many of them.
pub(super) struct Bounded<R> {
    bytes: R,
    table: u64,
    record: Allowance,
}

/// How many bytes more the present record may have. Shared by the reader and whoever knows where records begin.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    /// A record begins.
    pub(super) fn renew(&self) {
        // What is read ahead of a record counts for the one before.
        self.0.set(RECORD_MAX + BUFFER as u64);
    }
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(bytes: R) -> (Self, Allowance) {
        let record = Allowance(Rc::default());
        record.renew();
        (Self { bytes, table: TABLE_MAX, record: record.clone() }, record)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        let less = |left: u64, what: &str| {
            let too_much = || io::Error::new(io::ErrorKind::InvalidData, format!("{what}: it is refused"));
            left.checked_sub(read as u64).ok_or_else(too_much)
        };
        self.table = less(self.table, "more than 1 GiB, unpacked")?;
        self.record.0.set(less(self.record.0.get(), "a record of more than 4 MiB")?);
        Ok(read)
    }
}
