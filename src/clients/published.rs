//! Static data where they are published: files, each fetched whole into a file here.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::address;
use super::download::{self, Downloaded};
use super::retry::{Advice, Plan};
use super::service::{Error as ServiceError, Manners, Service};

/// Bytes of a file: ten times what the largest has.
const FILE_MAX: u64 = 1 << 30;
const MANNERS: Manners = Manners {
    name: "static_data",
    per_second: NonZeroU32::new(4),
    concurrency: 1,
    body_max: 1_000_000,
    call_timeout: Duration::from_secs(60),
    read_timeout: Duration::from_secs(30),
    headers: &[],
};
const RETRIES: Plan = Plan { attempts: 4, first_wait: Duration::from_secs(1), longest_wait: Duration::from_secs(30) };
/// All attempts to get one file.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Why a file did not come. Texts fit after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("get {route}: {source}")]
    Download { route: String, source: download::Error },
    #[error("get {route}: status {status}")]
    Status { route: String, status: u16, retry_after: Option<Duration> },
}

impl Error {
    /// Whether it is not there.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Status { status: 404 | 410, .. })
    }

    fn advice(&self) -> Advice {
        match self {
            Self::Status { status: 408 | 412 | 416 | 420 | 429 | 500.., retry_after, .. } => {
                retry_after.map_or(Advice::Again, Advice::After)
            }
            Self::Download { source: download::Error::Service(ServiceError::TooLarge { .. }), .. }
            | Self::Download { source: download::Error::File { .. }, .. }
            | Self::Status { .. } => Advice::Stop,
            Self::Download { .. } => Advice::Again,
        }
    }
}

/// A folder on a server.
#[derive(Debug)]
pub struct Published(Service);

impl Published {
    /// Not connected yet.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(base: &str, contact: Option<&str>) -> Result<Self, address::Error> {
        Ok(Self(Service::new(base, contact, &MANNERS)?))
    }

    /// Gets a file of the folder; an attempt goes on where the one before broke off.
    ///
    /// # Errors
    /// It is not there, or did not come whole.
    pub async fn fetch(&self, route: &str, into: &Path) -> Result<(), Error> {
        let attempt = || async {
            match self.0.download(route, into, FILE_MAX).await {
                Ok(Downloaded::Whole(_)) => Ok(()),
                Ok(Downloaded::Status { status, retry_after }) => {
                    Err(Error::Status { route: route.to_owned(), status, retry_after })
                }
                Err(source) => Err(Error::Download { route: route.to_owned(), source }),
            }
        };
        let note = |error: &Error, wait: Duration| {
            self.0.decided("retried");
            tracing::debug!(%error, ?wait, "it is asked for again");
        };
        RETRIES.run(Instant::now() + PATIENCE, attempt, Error::advice, note).await
    }
}
