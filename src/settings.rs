//! Settings that are not a pipeline's: where the database is, where to listen, who is responsible.
//!
//! | flag | variable | default |
//! |---|---|---|
//! | `--database` | `DATABASE_URL` | `sqlite://broadside.db` |
//! | `--listen` | `BROADSIDE_LISTEN` | `127.0.0.1:4010` |
//! | `--killfeed-…` | `BROADSIDE_KILLFEED_…` | `run --help` lists them |
//! | | `BROADSIDE_CONTACT` | none: feeds beyond this machine are refused |
//! | | `BROADSIDE_API_TOKEN` | none: beyond loopback, everything is for reading only |
//! | | `BROADSIDE_LOG` | `info` |
//! | | `BROADSIDE_LOG_FORMAT` | `text` |

use std::fmt;
use std::net::SocketAddr;

use crate::telemetry::LogFormat;

/// Where kills are kept unless said otherwise: a file in the working folder.
pub const DATABASE: &str = "sqlite://broadside.db";
/// Where the page, metrics and API are served unless said otherwise.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4010);

/// What only the environment says.
#[derive(Clone, Default)]
pub struct Settings {
    /// An e-mail address or page for the User-Agent.
    pub contact: Option<String>,
    /// Asked of every request that changes something. Without it, only a worker that listens on loopback takes such requests.
    pub api_token: Option<String>,
    /// Log filter: a level, or directives.
    pub log: Option<String>,
    pub log_format: LogFormat,
}

impl Settings {
    /// Reads them. Empty counts as not set.
    ///
    /// # Errors
    /// The log format is neither `text` nor `json`.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, crate::telemetry::Error> {
        let get = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        Ok(Self {
            contact: get("BROADSIDE_CONTACT"),
            api_token: get("BROADSIDE_API_TOKEN"),
            log: get("BROADSIDE_LOG"),
            log_format: get("BROADSIDE_LOG_FORMAT").map_or(Ok(LogFormat::Text), |format| format.parse())?,
        })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("contact", &self.contact)
            .field("api_token", &self.api_token.as_ref().map(|_| "…"))
            .field("log", &self.log)
            .field("log_format", &self.log_format)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_counts_as_not_set_and_the_token_is_never_shown() {
        let set = |name: &str| match name {
            "BROADSIDE_CONTACT" => Some(" ".to_owned()),
            "BROADSIDE_API_TOKEN" => Some("hunter2".to_owned()),
            "BROADSIDE_LOG_FORMAT" => Some("json".to_owned()),
            _ => None,
        };
        let settings = Settings::read(&set).expect("sound");
        assert_eq!((settings.contact.as_deref(), settings.log_format), (None, LogFormat::Json));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn an_unknown_log_format_is_refused() {
        assert!(Settings::read(&|_| Some("xml".to_owned())).is_err());
    }
}
