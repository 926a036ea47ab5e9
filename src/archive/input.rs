//! The bytes of a file, decompressed as it says by its first ones.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;

use super::Progress;

const BUFFER: usize = 256 * 1024;
const GZIP: &[u8] = b"\x1f\x8b";
const BZIP2: &[u8] = b"BZh";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// More than that without a record in it is no file of kills, but something that unpacks for ever.
const BARREN_MAX: u64 = 256_000_000;

/// A file to be read from its start, without its byte order mark.
pub(super) struct Input {
    head: Cursor<Vec<u8>>,
    /// What broke behind the head: to be said when it has been read.
    broken: Option<io::Error>,
    bytes: Box<dyn BufRead + Send + Sync>,
    /// Bytes since the last record.
    barren: u64,
}

impl Input {
    /// Opens the file; its first `start` bytes (fewer, if it is so short) come along to be looked at, and are still to be read.
    pub(super) fn open(file: File, progress: Arc<Progress>, start: usize) -> io::Result<(Self, Vec<u8>)> {
        let mut file = BufReader::with_capacity(BUFFER, Counted { file, progress });
        let packed = file.fill_buf()?;
        let mut bytes: Box<dyn BufRead + Send + Sync> = if packed.starts_with(GZIP) {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
        } else if packed.starts_with(BZIP2) {
            Box::new(BufReader::with_capacity(BUFFER, MultiBzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        if bytes.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            bytes.consume(BYTE_ORDER_MARK.len());
        }
        // A decompressor hands out as little as it likes at first.
        let mut head = Vec::with_capacity(start);
        let broken = bytes.by_ref().take(start as u64).read_to_end(&mut head).err();
        Ok((Self { head: Cursor::new(head.clone()), broken, bytes, barren: 0 }, head))
    }

    fn is_in_head(&self) -> bool {
        self.head.position() < self.head.get_ref().len() as u64
    }

    /// A record was found.
    pub(super) fn is_fruitful(&mut self) {
        self.barren = 0;
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.barren > BARREN_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "256 MB without a record in them"));
        }
        if self.is_in_head() {
            return self.head.fill_buf();
        }
        match &self.broken {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => self.bytes.fill_buf(),
        }
    }

    fn consume(&mut self, used: usize) {
        self.barren += used as u64;
        if self.is_in_head() { self.head.consume(used) } else { self.bytes.consume(used) }
    }
}

/// Counts the bytes that are read from the disk.
struct Counted {
    file: File,
    progress: Arc<Progress>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.progress.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
