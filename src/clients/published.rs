//! Static data where they are published: files, each fetched whole into a file here. A server that says nothing more is left after about a minute.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use reqwest::Url;
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
    read_timeout: Duration::from_secs(15),
    headers: &[],
};
const RETRIES: Plan = Plan { attempts: 4, first_wait: Duration::from_secs(1), longest_wait: Duration::from_secs(30) };
/// All attempts to get one file.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Why a file did not come. Texts fit after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("get {address}: {source}")]
    Download { address: String, source: download::Error },
    #[error("get {address}: status {status}")]
    Status { address: String, status: u16, retry_after: Option<Duration> },
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
pub struct Published {
    service: Service,
    base: Url,
    retries: Plan,
}

impl Published {
    /// Not connected yet.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(base: &str, contact: Option<&str>) -> Result<Self, address::Error> {
        Self::with(base, contact, &MANNERS, RETRIES)
    }

    fn with(base: &str, contact: Option<&str>, manners: &Manners, retries: Plan) -> Result<Self, address::Error> {
        Ok(Self { service: Service::new(base, contact, manners)?, base: address::base(base, contact)?, retries })
    }

    /// Gets a file of the folder; an attempt goes on where the one before broke off.
    ///
    /// # Errors
    /// It is not there, or did not come whole.
    pub async fn fetch(&self, route: &str, into: &Path) -> Result<(), Error> {
        let address = address::shown(address::below(&self.base, route).as_str());
        let attempt = || async {
            match self.service.download(route, into, FILE_MAX).await {
                Ok(Downloaded::Whole(_)) => Ok(()),
                Ok(Downloaded::Status { status, retry_after }) => {
                    Err(Error::Status { address: address.clone(), status, retry_after })
                }
                Err(source) => Err(Error::Download { address: address.clone(), source }),
            }
        };
        let note = |error: &Error, wait: Duration| {
            self.service.decided("retried");
            tracing::debug!(%error, ?wait, "it is asked for again");
        };
        self.retries.run(Instant::now() + PATIENCE, attempt, Error::advice, note).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    /// A server that sends half of a file, and then nothing more.
    async fn stalling() -> (String, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://me:secret@{}/sde", listener.local_addr().expect("an address"));
        let serve = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read(&mut [0; 4096]).await;
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nPK half of it").await;
                open.push(socket);
            }
        });
        (url, AbortOnDropHandle::new(serve))
    }

    #[tokio::test]
    async fn a_server_that_falls_silent_in_the_middle_is_left_and_named_without_its_secrets() {
        let (url, _serving) = stalling().await;
        let manners = Manners { read_timeout: Duration::from_millis(50), per_second: None, ..MANNERS };
        let retries =
            Plan { attempts: 2, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(1) };
        let published = Published::with(&url, None, &manners, retries).expect("loopback");
        let folder = tempfile::tempdir().expect("a folder");
        let into = folder.path().join("latest.zip");
        let fetched = published.fetch("latest.zip?key=secret", &into);
        let fetched = tokio::time::timeout(Duration::from_secs(30), fetched).await.expect("an end");
        let error = fetched.expect_err("half of it").to_string();
        assert!(error.contains("/sde/latest.zip: get an answer from static_data in time"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn silence_is_borne_for_about_a_minute_in_all() {
        // Chance adds up to as much again to each wait.
        let waits: Duration = (0..RETRIES.attempts - 1).map(|n| RETRIES.first_wait * (1 << n) * 2).sum();
        let silence = MANNERS.read_timeout * RETRIES.attempts as u32 + waits;
        assert!((30..=80).contains(&silence.as_secs()), "{silence:?}");
    }
}
