//! One day, read record by record.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::civil::Date;
use serde::Deserialize;

use super::list::{self, List};
use super::{Error, Spool};
use crate::archive::{Archive, Kind, Progress, Record};
use crate::clients::history::{Archivist, History, Part};
use crate::killmail::{Form, KillmailHash, KillmailId};
use crate::store::{self, Store};

/// Records read, and looked for in the store, at once.
const CHUNK: usize = 1000;

/// What became of a day's kills so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kills of the day: of the list where there is one, else of the archive.
    pub kills: u64,
    /// Records read.
    pub read: u64,
    /// Of those, kills that the store had already.
    pub stored: u64,
    /// Kills that are listed, but whose killmails the day lacks; known at its end, and without those that are stored.
    pub missing: u64,
}

/// A day that is being read. Memory: the list, and a chunk of a thousand records (4 MB, give or take one).
#[derive(Debug)]
pub struct Day {
    store: Arc<dyn Store>,
    date: Date,
    /// Kills that are listed and were not read yet; `None`: the archive has no lists.
    list: Option<List>,
    /// `None`: over.
    archive: Option<Archive>,
    version: String,
    skip: u64,
    ready: VecDeque<(u64, Record)>,
    counts: Counts,
}

impl Day {
    /// Gets what is needed of a day: its list and, unless all that is listed is stored, its killmails. What lies in the spool is not fetched again.
    ///
    /// Takes minutes at worst (a service that refuses is asked again), and waits for a store that is away. May be dropped at any time: the next call goes on from there.
    ///
    /// # Errors
    /// It is not published, or could not be had now.
    pub async fn open(history: &History, store: &Arc<dyn Store>, spool: &Spool, date: Date) -> Result<Self, Error> {
        let mut day = Self {
            store: store.clone(),
            date,
            list: None,
            archive: None,
            version: String::new(),
            skip: 0,
            ready: VecDeque::new(),
            counts: Counts::default(),
        };
        if history.has_lists() {
            let (_, list) = spool.get(history, Part::List, date, read_list).await?;
            day.counts.kills = list.len() as u64;
            let ids: Vec<_> = list.keys().copied().collect();
            if !day.lacks_any(&ids).await? {
                (day.counts.read, day.counts.stored) = (day.counts.kills, day.counts.kills);
                return Ok(day);
            }
            day.list = Some(list);
        }
        let check = if history.archivist() == Archivist::Everef { check_tar } else { check_object };
        let (path, whole) = spool.get(history, Part::Kills, date, check).await?;
        if day.list.is_none() {
            day.counts.kills = whole.records;
        }
        day.version = whole.version;
        day.archive = Some(Archive::open(&path, Arc::new(Progress::default()), 0));
        Ok(day)
    }

    /// Which file the positions of records belong to: they mean nothing in another version of the day. Empty: there is nothing to read.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Records up to this position are safe. To be said before the first [`next`](Self::next).
    pub fn skip(&mut self, position: u64) {
        self.skip = position;
    }

    /// What became of its kills so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The next records, up to `room` of them, that the store lacks, in ascending positions: zKillboard's as packages with the hash of the list, EVE Ref's as they are;
    /// what cannot be read as it is, for `decode` to say what is wrong with it. `None`: the day is over. None in the list: ask again.
    ///
    /// Not to be dropped before it is ready. It takes a disk's read and a call of the store.
    ///
    /// # Errors
    /// The file cannot be read any further. What was read before that, the next call hands out.
    pub async fn next(&mut self, room: usize) -> Result<Option<Vec<(u64, Record)>>, Error> {
        if self.ready.is_empty() {
            let Some(archive) = self.archive.take() else { return Ok(None) };
            self.read(archive).await?;
        }
        let room = room.min(self.ready.len());
        Ok(Some(self.ready.drain(..room).collect()))
    }

    async fn read(&mut self, mut archive: Archive) -> Result<(), Error> {
        let read = tokio::task::spawn_blocking(move || (archive.take(CHUNK), archive)).await;
        let (taken, archive) = read.map_err(|panic| Error::Read(format!("read a day: {panic}")))?;
        self.counts.read += taken.records.len() as u64;
        let found = taken.records.into_iter().map(|(position, record)| (position, id_of(&record), record));
        self.choose(found.collect()).await;
        match taken.end {
            None => self.archive = Some(archive),
            Some(Ok(())) => self.end().await,
            Some(Err(problem)) => return Err(Error::Read(problem)),
        }
        Ok(())
    }

    /// Makes ready what the store lacks. If it does not tell, that is everything: storing a kill again changes nothing.
    async fn choose(&mut self, found: Vec<(u64, Option<KillmailId>, Record)>) {
        let ids: Vec<_> = found.iter().filter_map(|(_, id, _)| *id).collect();
        let lacking = self.store.lacking(&ids, Form::Esi, self.date).await;
        let lacking = lacking.map(std::collections::HashSet::<_>::from_iter).ok();
        for (position, id, record) in found {
            // Each is taken off the list, so that what stays is missing.
            let hash = self.list.as_mut().zip(id).and_then(|(list, id)| list.remove(&id).flatten());
            let is_stored = id.is_some_and(|id| lacking.as_ref().is_some_and(|lacking| !lacking.contains(&id)));
            if is_stored {
                self.counts.stored += 1;
            } else if position > self.skip {
                let record = if self.list.is_some() { package(record, id, hash) } else { record };
                self.ready.push_back((position, record));
            }
        }
    }

    async fn end(&mut self) {
        let left: Vec<_> = self.list.take().unwrap_or_default().into_keys().collect();
        if left.is_empty() {
            return;
        }
        let missing = self.store.lacking(&left, Form::Esi, self.date).await.unwrap_or(left);
        self.counts.missing = missing.len() as u64;
        if let Some(first) = missing.first() {
            let (day, count) = (self.date, missing.len());
            tracing::warn!(%day, count, %first, "kills are listed whose killmails the day does not have");
        }
    }

    async fn lacks_any(&self, ids: &[KillmailId]) -> Result<bool, Error> {
        for ids in ids.chunks(5 * CHUNK) {
            let look = || self.store.lacking(ids, Form::Esi, self.date);
            if !store::retry::hold(self.store.health(), "tell what it has", look).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The id of a kill in ESI's form, if it can be read.
fn id_of(record: &Record) -> Option<KillmailId> {
    #[derive(Deserialize)]
    struct Head {
        killmail_id: i64,
    }
    let Record::Whole(bytes) = record else { return None };
    KillmailId::new(serde_json::from_slice::<Head>(bytes).ok()?.killmail_id)
}

/// As the numbered files have it, so that both are read alike: the killmail byte by byte, with the hash that is not in it.
fn package(record: Record, id: Option<KillmailId>, hash: Option<KillmailHash>) -> Record {
    let (Record::Whole(killmail), Some(id)) = (&record, id) else { return record };
    let hash = hash.map(|hash| format!("\"hash\":\"{hash}\",")).unwrap_or_default();
    let head = format!("{{\"killmail_id\":{id},{hash}\"esi\":");
    let mut package = Vec::with_capacity(head.len() + killmail.len() + 1);
    package.extend_from_slice(head.as_bytes());
    package.extend_from_slice(killmail);
    package.push(b'}');
    Record::Whole(Bytes::from(package))
}

/// A file of killmails that is whole.
struct Whole {
    records: u64,
    version: String,
}

fn read_list(path: &Path) -> Result<List, String> {
    list::read(&std::fs::read(path).map_err(|error| error.to_string())?)
}

fn check_object(path: &Path) -> Result<Whole, String> {
    check(path, Kind::Members)
}

fn check_tar(path: &Path) -> Result<Whole, String> {
    check(path, Kind::Entries)
}

/// Reads the file to its end once: one that was cut short on the way is better fetched again now than half read.
fn check(path: &Path, kind: Kind) -> Result<Whole, String> {
    let mut archive = Archive::open(path, Arc::new(Progress::default()), 0);
    if archive.kind().is_some_and(|found| found != kind) {
        return Err("what came is no day of killmails".to_owned());
    }
    let mut records = 0;
    loop {
        let taken = archive.take(CHUNK);
        records += taken.records.len() as u64;
        match taken.end {
            None => {}
            Some(Ok(())) => break,
            Some(Err(problem)) => return Err(problem),
        }
    }
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    let changed_at = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let version = format!("{}-{}", metadata.len(), changed_at.unwrap_or_default().as_nanos());
    Ok(Whole { records, version })
}
