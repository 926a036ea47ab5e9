//! Asking for one page: not before it has expired, and never more pages at once than all regions share.

use jiff::Timestamp;
use tokio::time::Instant;

use super::outside::Trouble;
use super::poller::Poller;
use crate::clients::esi::Paged;
use crate::market::Tag;

/// What came of asking for a page.
pub(super) enum Asked {
    Fresh(Tag),
    Missing(String),
    Answered { paged: Paged, expires_at: Timestamp },
}

/// Asks for a page, unless it has not expired; waits for one of the calls that all regions share.
pub(super) async fn ask(
    poller: &Poller,
    number: u32,
    known: Option<Tag>,
    said: Option<Timestamp>,
) -> (u32, Result<Asked, Trouble>) {
    let shared = &*poller.shared;
    if let Some(tag) = known.as_ref().filter(|tag| tag.expires_at > shared.now()) {
        return (number, Ok(Asked::Fresh(tag.clone())));
    }
    if let Some(until) = said.filter(|until| *until > shared.now()) {
        let text = format!("have page {number}: it was not kept, and is not to be asked for again before {until:.0}");
        return (number, Err(Trouble::Failed(text)));
    }
    let _seat = shared.calls.take(poller.region).await;
    let etag = known.as_ref().and_then(|tag| tag.etag.as_deref());
    let answer = match shared.outside.page(poller.region, number, etag).await {
        Ok(paged) => {
            let expires = paged.expires.unwrap_or_else(|| Instant::now() + shared.rules.holds(None));
            Ok(Asked::Answered { paged, expires_at: shared.at(expires) })
        }
        Err(Trouble::Beyond(text)) => Ok(Asked::Missing(text)),
        Err(trouble) => Err(trouble),
    };
    (number, answer)
}
