//! A large body into a file: whole or not at all, and resumed where it broke off if the service can do that.
//!
//! While it comes it stands in `FILE.part`, beside it in `FILE.part.tag` what the service calls this version of it. A compressed answer
//! cannot be resumed, for its pieces are numbered as they were packed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use reqwest::header::{self, HeaderName};
use reqwest::{Response, StatusCode};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::answer;
use super::service::{Error as ServiceError, Service};

/// The longest that one attempt may take: 2 MB take it at 18 kbit a second, 400 MB at 3.6 Mbit.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(900);

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downloaded {
    /// The file is there, with so many bytes.
    Whole(u64),
    /// The service answered otherwise; `retry_after` if it said so.
    Status { status: u16, retry_after: Option<Duration> },
}

/// Texts fit after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("write {path}: {source}")]
    File { path: String, source: std::io::Error },
}

impl Service {
    /// GETs a route below the base into the file `into`, of `bytes_max` at most. One attempt; the next goes on where it broke off.
    ///
    /// # Errors
    /// No whole body came, or it cannot be written.
    pub async fn download(&self, route: &str, into: &Path, bytes_max: u64) -> Result<Downloaded, Error> {
        let spool = Spool::at(into);
        let begun = spool.begun().await;
        let mut ask: Vec<(HeaderName, String)> = Vec::new();
        if let Some((length, tag)) = &begun {
            ask = vec![(header::RANGE, format!("bytes={length}-")), (header::IF_RANGE, tag.clone())];
            self.decided("resumed");
        }
        let response = self.head(route, &ask).await?;
        let start = match (response.status(), &begun) {
            (StatusCode::OK, _) => 0,
            (StatusCode::PARTIAL_CONTENT, Some((length, _))) if starts_at(&response, *length) => *length,
            (status, _) => {
                if begun.is_some() {
                    spool.forget().await;
                }
                let wait = response.headers().get(header::RETRY_AFTER).and_then(|wait| wait.to_str().ok());
                let retry_after = wait.and_then(|wait| answer::retry_after(wait, jiff::Timestamp::now()));
                return Ok(Downloaded::Status { status: status.as_u16(), retry_after });
            }
        };
        let taken = tokio::time::timeout(ATTEMPT_TIMEOUT, self.take(response, &spool, start, bytes_max)).await;
        let bytes = taken.unwrap_or(Err(ServiceError::Timeout { service: self.name() }.into()))?;
        spool.finish(into).await?;
        Ok(Downloaded::Whole(bytes))
    }

    async fn take(&self, response: Response, spool: &Spool, start: u64, bytes_max: u64) -> Result<u64, Error> {
        let mut file = spool.open(start, tag(&response)).await?;
        let mut bytes = start;
        let mut pieces = response.bytes_stream();
        let broke_off = loop {
            match pieces.next().await {
                None => break None,
                Some(Err(error)) => break Some(self.failed(&error)),
                Some(Ok(piece)) if bytes + piece.len() as u64 > bytes_max => {
                    let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
                    break Some(ServiceError::TooLarge { service: self.name(), limit });
                }
                Some(Ok(piece)) => {
                    bytes += piece.len() as u64;
                    file.write_all(&piece).await.map_err(|source| spool.error(source))?;
                }
            }
        };
        // Also when it broke off: the next attempt goes by the length of the file.
        file.sync_all().await.map_err(|source| spool.error(source))?;
        broke_off.map_or(Ok(bytes), |error| Err(error.into()))
    }
}

fn starts_at(response: &Response, start: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

/// What names this version, if pieces of it may be asked for. An answer that was packed has lost its length on unpacking.
fn tag(response: &Response) -> Option<String> {
    let text = |name: HeaderName| response.headers().get(name)?.to_str().ok();
    response.content_length()?;
    let is_resumable = text(header::ACCEPT_RANGES) == Some("bytes") || response.status() == StatusCode::PARTIAL_CONTENT;
    let tag = text(header::ETAG).filter(|tag| !tag.starts_with("W/")).or_else(|| text(header::LAST_MODIFIED));
    tag.filter(|_| is_resumable).map(str::to_owned)
}

/// The files beside the one that is to be.
struct Spool {
    part: PathBuf,
    tag: PathBuf,
}

impl Spool {
    fn at(into: &Path) -> Self {
        let beside = |end: &str| {
            let mut name = into.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        Self { part: beside(".part"), tag: beside(".part.tag") }
    }

    /// The length and the version of what has come before.
    async fn begun(&self) -> Option<(u64, String)> {
        let length = fs::metadata(&self.part).await.ok()?.len();
        let tag = fs::read_to_string(&self.tag).await.ok()?;
        let is_fit = length > 0 && !tag.is_empty() && tag.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        is_fit.then_some((length, tag))
    }

    async fn open(&self, start: u64, tag: Option<String>) -> Result<fs::File, Error> {
        if start > 0 {
            let file = fs::OpenOptions::new().append(true).open(&self.part).await;
            return file.map_err(|source| self.error(source));
        }
        self.forget().await;
        let file = fs::File::create(&self.part).await.map_err(|source| self.error(source))?;
        if let Some(tag) = tag {
            fs::write(&self.tag, tag).await.map_err(|source| self.error(source))?;
        }
        Ok(file)
    }

    /// What cannot be removed is written over: nothing is lost but the chance to go on from it.
    async fn forget(&self) {
        let _ = fs::remove_file(&self.tag).await;
        let _ = fs::remove_file(&self.part).await;
    }

    async fn finish(&self, into: &Path) -> Result<(), Error> {
        let _ = fs::remove_file(&self.tag).await;
        fs::rename(&self.part, into).await.map_err(|source| self.error(source))
    }

    fn error(&self, source: std::io::Error) -> Error {
        Error::File { path: self.part.display().to_string(), source }
    }
}
