//! Where whole days of killmails are to be had: zKillboard's history, and EVE Ref's archives.
//!
//! | | list of a day | kills of a day | |
//! |---|---|---|---|
//! | zKillboard | `/history/YYYYMMDD.json`: `{"id": "hash"}` | `/history/raw/YYYYMMDD.json`: `{"id": {ESI's killmail}}` | from about six hours after the day's end |
//! | EVE Ref | – | `/killmails/YYYY/killmails-YYYY-MM-DD.tar.bz2`: a file a kill, in ESI's form with its hash | about two days late |
//!
//! Both write their files anew when kills come in late.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use jiff::civil::Date;

use super::address;
use super::download::{self, Downloaded};
use super::service::{Error as ServiceError, Manners, Service};

/// A list has 60 bytes a kill, and no day had more than 42,400 kills.
const LIST_MAX: u64 = 64_000_000;
/// A day has some tens of megabytes.
const KILLS_MAX: u64 = 2_000_000_000;
/// Days that are stored cost a list each and nothing more: they may go by quickly.
const MANNERS: Manners = Manners {
    name: "",
    per_second: NonZeroU32::new(4),
    concurrency: 1,
    body_max: 1_000_000,
    call_timeout: Duration::from_secs(60),
    read_timeout: Duration::from_secs(30),
    headers: &[],
};
/// zKillboard blocks whoever was too fast, for up to an hour.
const BLOCKED_WAIT: Duration = Duration::from_secs(120);
const BUSY_WAIT: Duration = Duration::from_secs(15);

/// Whose archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Archivist {
    Zkillboard,
    Everef,
}

impl Archivist {
    /// As on the command line and in file names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zkillboard => "zkillboard",
            Self::Everef => "everef",
        }
    }
}

/// Which file of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The ids, with their hashes.
    List,
    /// The killmails.
    Kills,
}

/// Why a file did not come. Texts fit after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not yet, or there is none of this day.
    #[error("get {route} from {service}: it is not published")]
    NotPublished { service: &'static str, route: String },
    /// Perhaps later, not before `retry_in` if the service said so.
    #[error("get {route} from {service}: {reason}")]
    Later { service: &'static str, route: String, reason: String, retry_in: Option<Duration> },
    /// Asking again would bring the same.
    #[error("get {route} from {service}: {reason}")]
    Refused { service: &'static str, route: String, reason: String },
    /// The disk does not take it.
    #[error("{0}")]
    File(String),
}

impl Error {
    /// Whether another attempt makes sense.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Later { .. })
    }

    /// The least wait before that.
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        if let Self::Later { retry_in, .. } = self { *retry_in } else { None }
    }
}

/// Daily files over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    archivist: Archivist,
    service: Service,
}

impl History {
    /// zKillboard's, over the connection that somebody has to it already: with its turns.
    #[must_use]
    pub fn zkillboard(service: Service) -> Self {
        Self { archivist: Archivist::Zkillboard, service }
    }

    /// An archive at an address.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(archivist: Archivist, base: &str, contact: Option<&str>) -> Result<Self, address::Error> {
        let manners = Manners { name: archivist.name(), ..MANNERS };
        Ok(Self { archivist, service: Service::new(base, contact, &manners)? })
    }

    #[must_use]
    pub fn archivist(&self) -> Archivist {
        self.archivist
    }

    /// The parts that its days have.
    #[must_use]
    pub fn has_lists(&self) -> bool {
        self.archivist == Archivist::Zkillboard
    }

    /// One attempt to get a file, which stands there whole then; the next goes on where it broke off. That it is what it should be is not checked.
    ///
    /// # Errors
    /// It is not there, or did not come.
    pub async fn fetch(&self, part: Part, day: Date, into: &Path) -> Result<(), Error> {
        let (route, bytes_max) = self.route(part, day);
        match self.service.download(&route, into, bytes_max).await {
            Ok(Downloaded::Whole(_)) => Ok(()),
            Ok(Downloaded::Status { status, retry_after }) => Err(self.refused(route, status, retry_after)),
            Err(download::Error::Service(error)) => Err(self.broke(route, &error)),
            Err(error @ download::Error::File { .. }) => Err(Error::File(error.to_string())),
        }
    }

    /// What came is not what it should be: to be asked for again, later.
    #[must_use]
    pub fn damaged(&self, part: Part, day: Date, reason: String) -> Error {
        self.service.decided("damaged");
        Error::Later { service: self.service.name(), route: self.route(part, day).0, reason, retry_in: None }
    }

    /// Counts an attempt that is to be repeated.
    pub fn retried(&self) {
        self.service.decided("retried");
    }

    fn route(&self, part: Part, day: Date) -> (String, u64) {
        match (self.archivist, part) {
            (Archivist::Zkillboard, Part::List) => (format!("history/{}.json", day.strftime("%Y%m%d")), LIST_MAX),
            (Archivist::Zkillboard, Part::Kills) => (format!("history/raw/{}.json", day.strftime("%Y%m%d")), KILLS_MAX),
            (Archivist::Everef, _) => (format!("killmails/{}/killmails-{day}.tar.bz2", day.year()), KILLS_MAX),
        }
    }

    fn refused(&self, route: String, status: u16, retry_after: Option<Duration>) -> Error {
        let service = self.service.name();
        let least = match status {
            404 | 410 => return Error::NotPublished { service, route },
            403 => Some(BLOCKED_WAIT),
            420 | 429 => Some(retry_after.unwrap_or(BUSY_WAIT)),
            // A gateway's detour; or the part that was there is not that of the present version: it is gone now.
            300..400 | 408 | 412 | 416 | 500.. => None,
            _ => return Error::Refused { service, route, reason: format!("status {status}") },
        };
        Error::Later { service, route, reason: format!("status {status}"), retry_in: retry_after.max(least) }
    }

    fn broke(&self, route: String, error: &ServiceError) -> Error {
        let (service, reason) = (self.service.name(), format!("failed to {error}"));
        match error {
            ServiceError::Open { retry_in, .. } => Error::Later { service, route, reason, retry_in: Some(*retry_in) },
            _ => Error::Later { service, route, reason, retry_in: None },
        }
    }
}
