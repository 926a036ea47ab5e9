//! One killmail by its id and hash: fetched once, whoever asks and however often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use serde::Deserialize;

use super::{Ask, Error, Esi, Request};
use crate::clients::answer::Answer;
use crate::clients::cache::Found;
use crate::killmail::{KillmailHash, KillmailId};

/// 422 means that id and hash do not match; it is also seen under load, so it is believed only the third time.
const REFUSALS_MAX: u32 = 3;

/// A killmail's body as ESI sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    pub body: Bytes,
    /// It was not fetched for this.
    pub is_cached: bool,
}

impl Esi {
    /// A killmail. Remembered for a day; asked for by several at once it is fetched once.
    ///
    /// # Errors
    /// At once [`Error::Busy`], when the limits do not allow a call in time; [`Error::Refused`], when ESI keeps saying that the
    /// hash is not this kill's; and what else keeps ESI from answering in time. All but the permanent ones may be tried again later.
    pub async fn killmail(&self, id: KillmailId, hash: KillmailHash, ask: Ask) -> Result<Detail, Error> {
        match self.0.caches.killmails.get(&id).await {
            Some(Found::Fresh(body)) => return Ok(Detail { body, is_cached: true }),
            Some(Found::Stale(body)) => {
                // Killmails do not change: the old one is as good, and stays for longer.
                self.0.caches.killmails.put(id, body.clone()).await;
                return Ok(Detail { body, is_cached: true });
            }
            None => {}
        }
        let esi = self.clone();
        let fetch = async move {
            let cache = esi.0.caches.killmails.clone();
            cache.fetch(id, esi.fetch_killmail(id, hash, ask)).await.map_err(Arc::unwrap_or_clone)
        };
        let body = self.begun(ask, fetch).await?;
        Ok(Detail { body, is_cached: false })
    }

    async fn fetch_killmail(&self, id: KillmailId, hash: KillmailHash, ask: Ask) -> Result<Bytes, Error> {
        let path = format!("/killmails/{id}/{hash}");
        let refusals = AtomicU32::new(0);
        self.retried(ask, || async {
            match self.attempt(Request::Get { path: &path, etag: None }, ask).await {
                Ok(heard) => body_of(id, heard.answer),
                Err(Error::Status { status: 422, text }) => {
                    if refusals.fetch_add(1, Ordering::Relaxed) + 1 == REFUSALS_MAX {
                        return Err(Error::Refused { id, times: REFUSALS_MAX });
                    }
                    Err(Error::Status { status: 422, text })
                }
                Err(error) => Err(error),
            }
        })
        .await
    }
}

#[derive(Deserialize)]
struct Head {
    killmail_id: Option<i64>,
}

/// The body, if it is JSON to its end, and of the kill that was asked for.
fn body_of(id: KillmailId, answer: Answer) -> Result<Bytes, Error> {
    let head: Head = serde_json::from_slice(&answer.body).map_err(|error| Error::Unusable(error.to_string()))?;
    if head.killmail_id == Some(id.get()) {
        Ok(answer.body)
    } else {
        Err(Error::OtherKillmail { asked: id, got: head.killmail_id })
    }
}
