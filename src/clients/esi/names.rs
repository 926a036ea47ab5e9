//! Who and where: names, affiliations, histories of characters, systems.
//!
//! Names and affiliations are asked for in lists, and ESI refuses a whole list for one bad id: see [`Search`](super::search).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::search::Search;
use super::{Ask, Error, Esi, Heard, Request};
use crate::clients::cache::{Cache, Found, Weighed};

/// Ids in a list, as ESI takes them.
const LIST_MAX: usize = 1000;
/// Refusals of lists in one look-up: each counts against the error limit.
const MISSES_MAX: u32 = 10;

/// The name of an id, and what kind of thing it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Name {
    pub name: String,
    /// `character`, `corporation`, `alliance`, `inventory_type`, `solar_system`, …
    pub category: String,
}

/// One of a character's corporations.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Employment {
    pub record_id: i64,
    pub corporation_id: i64,
    pub start_date: jiff::Timestamp,
    #[serde(default)]
    pub is_deleted: bool,
}

/// A solar system.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct System {
    pub system_id: i64,
    pub name: String,
    pub constellation_id: i64,
    pub security_status: f64,
}

impl Weighed for Name {
    fn bytes(&self) -> usize {
        self.name.len() + self.category.len()
    }
}

impl Weighed for Vec<Employment> {
    fn bytes(&self) -> usize {
        self.len() * size_of::<Employment>()
    }
}

impl Weighed for System {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.name.len()
    }
}

/// What became of a list of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved<T> {
    pub found: HashMap<i64, T>,
    /// ESI knows nothing of these.
    pub unknown: Vec<i64>,
    /// Not found out this time: too many bad ones at once, or ESI did not answer ([`trouble`](Self::trouble)).
    pub open: Vec<i64>,
    pub trouble: Option<Error>,
}

/// The two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Names,
    Affiliations,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Names => "/universe/names",
            Self::Affiliations => "/characters/affiliation",
        }
    }

    /// Whether this says that an id in the list is bad.
    fn is_refusal(self, error: &Error) -> bool {
        let Error::Status { status, .. } = error else { return false };
        match self {
            Self::Names => *status == 404,
            Self::Affiliations => matches!(status, 400 | 404),
        }
    }
}

#[derive(Deserialize)]
struct NameRow {
    id: i64,
    #[serde(flatten)]
    name: Name,
}

#[derive(Deserialize)]
struct AffiliationRow {
    character_id: i64,
    corporation_id: i64,
}

impl Esi {
    /// The names of ids of any kind.
    pub async fn names(&self, ids: &[i64], ask: Ask) -> Resolved<Arc<Name>> {
        let row = |row: NameRow| (row.id, Arc::new(row.name));
        self.list(Kind::Names, ids, &self.0.caches.names, row, ask).await
    }

    /// The corporations in which characters are, by the ids of both.
    pub async fn affiliations(&self, ids: &[i64], ask: Ask) -> Resolved<i64> {
        let row = |row: AffiliationRow| (row.character_id, row.corporation_id);
        self.list(Kind::Affiliations, ids, &self.0.caches.corporations, row, ask).await
    }

    /// A character's corporations, the newest first.
    ///
    /// # Errors
    /// As [`get`](Self::get); a deleted character is 404.
    pub async fn corporation_history(&self, character: i64, ask: Ask) -> Result<Arc<Vec<Employment>>, Error> {
        let cache = &self.0.caches.histories;
        if let Some(Found::Fresh(history) | Found::Stale(history)) = cache.get(&character).await {
            return Ok(history);
        }
        let path = format!("/characters/{character}/corporationhistory");
        let fetch = async { parse(&self.get(&path, ask).await?.body).map(Arc::new) };
        cache.fetch(character, fetch).await.map_err(Arc::unwrap_or_clone)
    }

    /// A solar system. One that is a day old is handed out at once, and a new one fetched.
    ///
    /// # Errors
    /// As [`get`](Self::get); an unknown system is 404.
    pub async fn system(&self, system: i64, ask: Ask) -> Result<Arc<System>, Error> {
        let cache = &self.0.caches.systems;
        match cache.get(&system).await {
            Some(Found::Fresh(known)) => return Ok(known),
            Some(Found::Stale(known)) => {
                let esi = self.clone();
                let renew = Ask::background(super::MANNERS.call_timeout);
                self.spawn(async move { esi.0.caches.systems.renew(system, esi.fetch_system(system, renew)).await });
                return Ok(known);
            }
            None => {}
        }
        cache.fetch(system, self.fetch_system(system, ask)).await.map_err(Arc::unwrap_or_clone)
    }

    async fn fetch_system(&self, system: i64, ask: Ask) -> Result<Arc<System>, Error> {
        parse(&self.get(&format!("/universe/systems/{system}"), ask).await?.body).map(Arc::new)
    }

    async fn list<R, T>(
        &self,
        kind: Kind,
        ids: &[i64],
        cache: &Cache<i64, T>,
        entry: impl Fn(R) -> (i64, T),
        ask: Ask,
    ) -> Resolved<T>
    where
        R: DeserializeOwned,
        T: Weighed + Clone + Send + Sync + 'static,
    {
        let mut resolved = Resolved { found: HashMap::new(), unknown: Vec::new(), open: Vec::new(), trouble: None };
        let wanted: BTreeSet<i64> = ids.iter().copied().collect();
        let Ok(_alone) = tokio::time::timeout_at(ask.deadline, self.0.list.lock()).await else {
            return Resolved { open: wanted.into_iter().collect(), trouble: Some(Error::Late), ..resolved };
        };
        let mut missing = Vec::new();
        for id in wanted {
            match cache.get(&id).await {
                Some(Found::Fresh(value) | Found::Stale(value)) => {
                    resolved.found.insert(id, value);
                }
                None if id <= 0 || self.0.caches.unknown.get(&(kind, id)).await.is_some() => resolved.unknown.push(id),
                None => missing.push(id),
            }
        }
        let mut search = Search::new(&missing, LIST_MAX, MISSES_MAX);
        while let Some(asked) = search.next() {
            match self.rows::<R>(kind, asked, ask).await {
                Ok(rows) => {
                    for (id, value) in rows.into_iter().map(&entry) {
                        cache.put(id, value.clone()).await;
                        resolved.found.insert(id, value);
                    }
                    search.good();
                }
                Err(error) if kind.is_refusal(&error) => search.bad(),
                Err(error) => {
                    resolved.trouble = Some(error);
                    break;
                }
            }
        }
        let (bad, open) = search.end();
        // An answer that leaves an id out says that there is no such thing.
        let is_left_out = |id: &i64| !resolved.found.contains_key(id) && !open.contains(id) && !bad.contains(id);
        let left_out: Vec<i64> = missing.into_iter().filter(is_left_out).collect();
        for id in bad.into_iter().chain(left_out) {
            self.0.caches.unknown.put((kind, id), ()).await;
            resolved.unknown.push(id);
        }
        Resolved { open, ..resolved }
    }

    async fn rows<R: DeserializeOwned>(&self, kind: Kind, ids: &[i64], ask: Ask) -> Result<Vec<R>, Error> {
        let numbers: Vec<String> = ids.iter().map(i64::to_string).collect();
        let body = format!("[{}]", numbers.join(","));
        let request = Request::Post { path: kind.path(), body: &body };
        let read = |heard: Heard| parse(&heard.answer.body);
        self.retried(ask, || async { self.attempt(request, ask).await.and_then(read) }).await
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Unusable(error.to_string()))
}
