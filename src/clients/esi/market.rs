//! Pages of a region's market orders (`/markets/{region}/orders`), and the list of regions.
//!
//! A page is never kept here: who asks for it says which tag it has, and is told when it may ask again.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::LAST_MODIFIED;
use tokio::time::Instant;

use super::{Ask, Error, Esi, Heard, Request};
use crate::clients::retry::Plan;
use crate::killmail::RegionId;
use crate::market;

/// A page that fails is asked for again by its region's poller, so a call gives up early.
const RETRIES: Plan =
    Plan { attempts: 4, first_wait: Duration::from_millis(200), longest_wait: Duration::from_secs(2) };
/// A tag longer than that is none.
const ETAG_MAX: usize = 200;

/// The answer to a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paged {
    /// A JSON array of orders; `None`: unchanged since the tag that was sent.
    pub body: Option<Bytes>,
    pub etag: Option<String>,
    /// When the page's snapshot was made.
    pub last_modified: Option<Timestamp>,
    /// `X-Pages`: how many pages the region had in this snapshot.
    pub pages: Option<u32>,
    /// When it expires; `None`: it does not say so that it can be read.
    pub expires: Option<Instant>,
}

/// The tokens of a group of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    pub limit: u32,
    /// In which they come back.
    pub window: Duration,
    /// As far as is known.
    pub remaining: u32,
}

impl Esi {
    /// A page of a region's orders, of both sides; `etag`: unless it is this one still.
    ///
    /// # Errors
    /// No answer that could be used came in time. A page beyond the last is [`Error::Status`] with 404, and so is a region that is none.
    pub async fn market_page(
        &self,
        region: RegionId,
        number: u32,
        etag: Option<&str>,
        ask: Ask,
    ) -> Result<Paged, Error> {
        let (esi, path, etag) = (self.clone(), market::route(region, number), etag.map(str::to_owned));
        let work = async move {
            let request = Request::Page { path: &path, etag: etag.as_deref() };
            let heard = esi.retried_by(&RETRIES, ask, || esi.attempt(request, ask)).await?;
            paged(heard, etag.is_some())
        };
        self.begun(ask, work).await
    }

    /// The tokens of the pages' group; `None` while they are not known.
    #[must_use]
    pub fn market_tokens(&self) -> Option<Tokens> {
        let (limit, window, remaining) = self.limits().tokens("/markets/1/orders", Instant::now())?;
        Some(Tokens { limit, window, remaining })
    }

    /// Every region there is, and how long the list holds.
    ///
    /// # Errors
    /// No answer that could be used came in time.
    pub async fn regions(&self, ask: Ask) -> Result<(Vec<RegionId>, Duration), Error> {
        let fresh = self.get("/universe/regions", ask).await?;
        let ids: Vec<i64> = serde_json::from_slice(&fresh.body)
            .map_err(|error| Error::Unusable(format!("the list of regions: {error}")))?;
        let holds = fresh.fresh_until.saturating_duration_since(Instant::now());
        Ok((ids.into_iter().filter_map(RegionId::new).collect(), holds))
    }

    /// The names of regions, without those that ESI does not know.
    ///
    /// # Errors
    /// Some could not be found out.
    pub async fn region_names(&self, regions: &[RegionId], ask: Ask) -> Result<HashMap<RegionId, String>, Error> {
        let ids: Vec<i64> = regions.iter().map(|region| region.get()).collect();
        let resolved = self.names(&ids, ask).await;
        if let Some(trouble) = resolved.trouble {
            return Err(trouble);
        }
        let name = |region: &RegionId| Some((*region, resolved.found.get(&region.get())?.name.clone()));
        Ok(regions.iter().filter_map(name).collect())
    }
}

fn paged(Heard { answer, expires }: Heard, was_tagged: bool) -> Result<Paged, Error> {
    let is_unchanged = answer.status == 304;
    if is_unchanged && !was_tagged {
        return Err(Error::Unusable("not modified, and nothing to compare with".to_owned()));
    }
    let etag = answer.etag().filter(|etag| (1..=ETAG_MAX).contains(&etag.len())).map(str::to_owned);
    let last_modified = answer.text(LAST_MODIFIED).and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    Ok(Paged {
        etag,
        last_modified: last_modified.map(|date| date.timestamp()),
        pages: answer.text("x-pages").and_then(|pages| pages.parse().ok()).filter(|pages| *pages > 0),
        expires,
        body: (!is_unchanged).then_some(answer.body),
    })
}
