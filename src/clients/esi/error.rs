//! What keeps ESI from answering, and what to do about each.

use std::time::Duration;

use crate::clients::retry::Advice;
use crate::clients::service;
use crate::killmail::KillmailId;

/// What went wrong. Texts fit after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("ask ESI in time: its limits allow the next call in {retry_in:.1?}")]
    Busy { retry_in: Duration },
    #[error("have ESI's answer in time")]
    Late,
    #[error(transparent)]
    Service(#[from] service::Error),
    #[error("get it from ESI: status {status}{}{text}", if text.is_empty() { "" } else { ": " })]
    Status { status: u16, text: String },
    #[error("read ESI's answer: {0}")]
    Unusable(String),
    #[error("get killmail {asked} from ESI: it answered with {}", got.map_or("none".to_owned(), |id| id.to_string()))]
    OtherKillmail { asked: KillmailId, got: Option<i64> },
    #[error("open killmail {id} at ESI: the hash is not its own (status 422, {times} times)")]
    Refused { id: KillmailId, times: u32 },
}

impl Error {
    /// Whether it would be the same later.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::OtherKillmail { .. } => true,
            Self::Status { status, .. } => (400..500).contains(status) && !matches!(status, 420 | 422 | 429),
            Self::Service(error) => matches!(error, service::Error::TooLarge { .. }),
            Self::Busy { .. } | Self::Late | Self::Unusable(_) => false,
        }
    }

    /// What to do about it within one look-up.
    pub(super) fn advice(&self) -> Advice {
        match self {
            Self::Busy { .. } | Self::Late => Advice::Stop,
            Self::Service(service::Error::Open { retry_in, .. }) => Advice::After(*retry_in),
            // That a kill and its hash do not match is also said under load.
            Self::Status { status: 422, .. } => Advice::Again,
            error if error.is_permanent() => Advice::Stop,
            _ => Advice::Again,
        }
    }
}
