//! Answers that are kept with their tags: never asked for before they expire, and then only whether they have changed.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::LAST_MODIFIED;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Ask, Error, Esi, Heard, Request};
use crate::clients::cache::{Found, Weighed};

/// An answer to a GET, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    pub body: Bytes,
    pub etag: Option<String>,
    /// As the header has it: pages of one sweep may differ.
    pub last_modified: Option<String>,
    /// `X-Pages`.
    pub pages: Option<u32>,
    /// Until then it is not asked for again.
    pub fresh_until: Instant,
}

impl Weighed for Fresh {
    fn bytes(&self) -> usize {
        self.body.len() + self.etag.as_ref().map_or(0, String::len)
    }
}

/// One call at a time for a path; different ones seldom share a door.
#[derive(Debug)]
pub(super) struct Doors {
    hasher: RandomState,
    doors: Vec<Mutex<()>>,
}

impl Doors {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), doors: (0..64).map(|_| Mutex::default()).collect() }
    }

    fn of(&self, path: &str) -> &Mutex<()> {
        &self.doors[self.hasher.hash_one(path) as usize % self.doors.len()]
    }
}

impl Esi {
    /// GET of a route with its query, from the cache while that is fresh.
    ///
    /// # Errors
    /// No answer that could be used came in time; an unknown id is [`Error::Status`] with 404.
    pub async fn get(&self, path: &str, ask: Ask) -> Result<Arc<Fresh>, Error> {
        if let Some(fresh) = self.kept(path).await.filter(|kept| Instant::now() < kept.fresh_until) {
            self.0.service.decided("not_before_expires");
            return Ok(fresh);
        }
        let (esi, path) = (self.clone(), path.to_owned());
        self.begun(ask, async move { esi.renewed(path, ask).await }).await
    }

    async fn kept(&self, path: &str) -> Option<Arc<Fresh>> {
        match self.0.caches.answers.get(&path.to_owned()).await? {
            Found::Fresh(kept) | Found::Stale(kept) => Some(kept),
        }
    }

    async fn renewed(&self, path: String, ask: Ask) -> Result<Arc<Fresh>, Error> {
        let door = self.0.doors.of(&path).lock();
        let _inside = tokio::time::timeout_at(ask.deadline, door).await.map_err(|_| Error::Late)?;
        let old = self.kept(&path).await;
        if let Some(fresh) = old.as_ref().filter(|kept| Instant::now() < kept.fresh_until) {
            return Ok(fresh.clone());
        }
        let etag = old.as_ref().and_then(|old| old.etag.as_deref());
        let Heard { answer, expires } = self.call(Request::Get { path: &path, etag }, ask).await?;
        let fresh_until = expires.unwrap_or_else(Instant::now);
        let fresh = match (answer.status, old) {
            (304, Some(old)) => Arc::new(Fresh { fresh_until, ..(*old).clone() }),
            (304, None) => return Err(Error::Unusable("not modified, and nothing to compare with".to_owned())),
            _ => Arc::new(Fresh {
                etag: answer.etag().map(str::to_owned),
                last_modified: answer.text(LAST_MODIFIED).map(str::to_owned),
                pages: answer.text("x-pages").and_then(|pages| pages.parse().ok()),
                fresh_until,
                body: answer.body,
            }),
        };
        self.0.caches.answers.put(path, fresh.clone()).await;
        Ok(fresh)
    }
}
