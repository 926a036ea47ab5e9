//! What the pollers ask of ESI.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::clients::esi::{Ask, Error, Esi, Paged, Tokens};
use crate::killmail::RegionId;

/// A page may have to wait for ESI's limits to allow it, and for a second try.
const PAGE_WITHIN: Duration = Duration::from_secs(90);
const LIST_WITHIN: Duration = Duration::from_secs(60);

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no such page (or region).
    Beyond(String),
    /// No call is allowed before this long: the rest of the sweep would fare no better.
    Busy(Duration, String),
    /// Anything else.
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beyond(text) | Self::Busy(_, text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

/// ESI, as far as pollers need it.
#[async_trait]
pub(super) trait Outside: Send + Sync + fmt::Debug {
    async fn page(&self, region: RegionId, number: u32, etag: Option<&str>) -> Result<Paged, Trouble>;
    /// All of them, and how long the list holds.
    async fn regions(&self) -> Result<(Vec<RegionId>, Duration), String>;
    /// As far as they are known.
    async fn names(&self, regions: &[RegionId]) -> Result<HashMap<RegionId, String>, String>;
    fn tokens(&self) -> Option<Tokens>;
}

#[async_trait]
impl Outside for Esi {
    async fn page(&self, region: RegionId, number: u32, etag: Option<&str>) -> Result<Paged, Trouble> {
        self.market_page(region, number, etag, Ask::live(PAGE_WITHIN)).await.map_err(|error| match error {
            Error::Status { status: 404, .. } => Trouble::Beyond(error.to_string()),
            Error::Busy { retry_in } => Trouble::Busy(retry_in, error.to_string()),
            _ => Trouble::Failed(error.to_string()),
        })
    }

    async fn regions(&self) -> Result<(Vec<RegionId>, Duration), String> {
        Esi::regions(self, Ask::live(LIST_WITHIN)).await.map_err(|error| error.to_string())
    }

    async fn names(&self, regions: &[RegionId]) -> Result<HashMap<RegionId, String>, String> {
        self.region_names(regions, Ask::live(LIST_WITHIN)).await.map_err(|error| error.to_string())
    }

    fn tokens(&self) -> Option<Tokens> {
        self.market_tokens()
    }
}
