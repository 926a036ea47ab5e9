//! What handing out and collecting are in every engine: which questions and changes, in which order.
//!
//! Handing out reads without a lock, and locks only to write. Who moves offsets moves them from where it saw them ([`Log::claim`]): if another request of the
//! client was first, it reads again. So a poll without news costs no write, and no event is handed out twice.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::heads::{Heads, Reading};
use super::offsets::{
    Ask, Begin, ClientId, Collectable, Collected, Commit, Follow, Following, Handed, Rules, SEEN_EVERY,
};
use super::{Error, Event};
use crate::killmail::SystemId;

/// Events whose payloads are read at once.
const SLICE: usize = 128;

/// Offsets of a client at one moment.
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// By system; those that there are.
    pub(super) of: HashMap<i64, Position>,
    /// Every event up to this id is visible, or never will be.
    pub(super) through: i64,
}

/// An offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) event_id: i64,
    pub(super) seen_at: Timestamp,
    /// The greatest event of the system that was collected.
    pub(super) collected: i64,
}

impl Position {
    fn has_gap(&self) -> bool {
        self.event_id < self.collected
    }
}

/// Of a system: from where it was seen, to where it goes.
pub(super) type Moves = BTreeMap<i64, (i64, i64)>;

/// What an engine does, each of it at one moment or in one transaction.
#[async_trait]
pub(super) trait Log: Sync {
    /// What the engine keeps of an event until it completes it.
    type Row: Send;

    async fn positions(&self, client: &ClientId, systems: &[SystemId]) -> Result<Positions, Error>;
    /// Makes the offsets that are not there, while nothing is collected.
    async fn begin(&self, follow: &Follow) -> Result<(), Error>;
    /// Notes in one row that the client was seen.
    async fn touch(&self, client: &ClientId, system: i64, now: Timestamp) -> Result<(), Error>;
    /// Events up to this id.
    async fn read(&self, reading: &Reading, through: i64) -> Result<Vec<(i64, i64, Self::Row)>, Error>;
    /// Events of these systems above an id, up to another.
    async fn between(
        &self,
        systems: &[SystemId],
        after: i64,
        through: i64,
    ) -> Result<Vec<(i64, i64, Self::Row)>, Error>;
    /// The events with their payloads, by id, as far as they are stored.
    async fn complete(&self, rows: Vec<(i64, i64, Self::Row)>) -> Result<HashMap<i64, Event>, Error>;
    /// Moves offsets if each is where it was seen; whether they were.
    async fn claim(&self, client: &ClientId, moves: &Moves, now: Timestamp) -> Result<bool, Error>;
    /// The least and the greatest event.
    async fn range(&self) -> Result<Option<(i64, i64)>, Error>;
    /// The first event from this id on, and when it was made.
    async fn made_at(&self, from: i64) -> Result<Option<(i64, Timestamp)>, Error>;
    /// The newest event but so many.
    async fn newest_but(&self, count: u64) -> Result<Option<i64>, Error>;
}

/// The client's offsets for all of these systems.
async fn positions<L: Log + ?Sized>(log: &L, follow: &Follow) -> Result<Positions, Error> {
    let mut positions = log.positions(&follow.client, &follow.systems).await?;
    if follow.systems.iter().any(|system| !positions.of.contains_key(&system.get())) {
        log.begin(follow).await?;
        // From here on what is above them stays: only what is read now may be handed out.
        positions = log.positions(&follow.client, &follow.systems).await?;
    } else if let Some(system) = stale(&positions, follow.now) {
        log.touch(&follow.client, system, follow.now).await?;
    }
    Ok(positions)
}

/// A system in whose row to note that the client was seen, when that was long ago. Clocks of several workers may differ.
fn stale(positions: &Positions, now: Timestamp) -> Option<i64> {
    let (system, latest) = positions.of.iter().max_by_key(|(system, position)| (position.seen_at, **system))?;
    let every = SignedDuration::try_from(SEEN_EVERY).unwrap_or(SignedDuration::MAX);
    (now.duration_since(latest.seen_at) >= every).then_some(*system)
}

/// The oldest event there is, when some above the offsets were collected.
async fn gap<L: Log + ?Sized>(log: &L, positions: &Positions) -> Result<Option<i64>, Error> {
    if !positions.of.values().any(Position::has_gap) {
        return Ok(None);
    }
    let last = positions.of.values().map(|position| position.collected).fold(positions.through, i64::max);
    Ok(Some(log.range().await?.map_or(last + 1, |(least, _)| least)))
}

pub(super) async fn follow<L: Log + ?Sized>(log: &L, follow: &Follow) -> Result<Following, Error> {
    let positions = positions(log, follow).await?;
    let gap = gap(log, &positions).await?;
    let offset = |(system, position): (&i64, &Position)| Some((SystemId::new(*system)?, position.event_id));
    Ok(Following { offsets: positions.of.iter().filter_map(offset).collect(), gap })
}

pub(super) async fn hand_out<L: Log + ?Sized>(log: &L, ask: &Ask) -> Result<Handed, Error> {
    loop {
        let positions = positions(log, &ask.follow).await?;
        let gap = gap(log, &positions).await?;
        let (mut handed, reached) = oldest(log, ask, &positions).await?;
        handed.gap = gap;
        if ask.commit == Commit::Explicit {
            return Ok(handed);
        }
        let moves = moves(&positions, reached);
        if moves.is_empty() || log.claim(&ask.follow.client, &moves, ask.follow.now).await? {
            return Ok(handed);
        }
    }
}

/// Where offsets go: to the last event of each system; and over what was collected, now that it is told.
fn moves(positions: &Positions, reached: HashMap<i64, i64>) -> Moves {
    let to = |(system, position): (&i64, &Position)| {
        let to = reached.get(system).copied().unwrap_or(position.event_id).max(position.collected);
        (to > position.event_id).then_some((*system, (position.event_id, to)))
    };
    positions.of.iter().filter_map(to).collect()
}

/// The oldest events above the positions; and how far that is in each of their systems. An event whose kill is not stored any more is passed over.
async fn oldest<L: Log + ?Sized>(
    log: &L,
    ask: &Ask,
    positions: &Positions,
) -> Result<(Handed, HashMap<i64, i64>), Error> {
    let mut heads = Heads::new(positions.of.iter().map(|(system, position)| (*system, position.event_id)));
    if let Some(after) = heads.near(positions.through) {
        heads.accept_all(log.between(&ask.follow.systems, after, positions.through).await?);
    }
    let (mut handed, mut reached, mut bytes) = (Handed::default(), HashMap::new(), 0);
    while handed.events.len() < ask.limit as usize {
        let slice = SLICE.min(ask.limit as usize - handed.events.len());
        // One more shows whether there is more.
        while let Some(reading) = heads.lacks(slice + 1) {
            let rows = log.read(&reading, positions.through).await?;
            heads.accept(&reading, rows);
        }
        let rows = heads.take(slice);
        let ids: Vec<_> = rows.iter().map(|(event, system, _)| (*event, *system)).collect();
        handed.more = heads.has_more();
        if ids.is_empty() {
            break;
        }
        let mut events = log.complete(rows).await?;
        for (id, system) in ids {
            let event = events.remove(&id);
            bytes += event.as_ref().map_or(0, |event| event.payload.len());
            if bytes > ask.bytes_max && !handed.events.is_empty() {
                handed.more = true;
                return Ok((handed, reached));
            }
            reached.insert(system, id);
            handed.events.extend(event);
        }
    }
    Ok((handed, reached))
}

/// The oldest events above these ids, up to one, ascending: of each system what is above its own.
pub(super) async fn rows<L: Log + ?Sized>(
    log: &L,
    above: impl Iterator<Item = (i64, i64)>,
    through: i64,
    limit: usize,
) -> Result<Vec<(i64, i64, L::Row)>, Error> {
    let mut heads = Heads::new(above);
    while let Some(reading) = heads.lacks(limit) {
        let rows = log.read(&reading, through).await?;
        heads.accept(&reading, rows);
    }
    Ok(heads.take(limit))
}

pub(super) async fn collectable<L: Log + ?Sized>(log: &L, rules: &Rules) -> Result<Collectable, Error> {
    let Some((least, greatest)) = log.range().await? else { return Ok(Collectable::default()) };
    let last = greatest - 1;
    let passed = made_before(log, rules.passed_before, (least, last)).await?;
    let aged = made_before(log, rules.made_before, (least, last)).await?;
    let most = greatest - least + 1;
    let is_long = u64::try_from(most).is_ok_and(|most| most > rules.count_max);
    let surplus = if is_long { log.newest_but(rules.count_max).await?.unwrap_or(0).min(last) } else { 0 };
    let events = if surplus > 0 { i64::try_from(rules.count_max).unwrap_or(most).min(most) } else { most };
    Ok(Collectable { passed, aged, surplus, events })
}

/// The last event of this span that was made before then; 0: there is none. Events are made in the order of their ids, give or take the time that
/// a batch takes, so a few questions find the place.
async fn made_before<L: Log + ?Sized>(log: &L, time: Timestamp, (mut low, mut high): (i64, i64)) -> Result<i64, Error> {
    let mut found = 0;
    while low <= high {
        let middle = low + (high - low) / 2;
        match log.made_at(middle).await? {
            Some((event, made)) if event <= high && made < time => (found, low) = (event, event + 1),
            _ => high = middle - 1,
        }
    }
    Ok(found)
}

/// Refuses an id that was never given.
pub(super) fn known(column: &str, id: i64, greatest: i64) -> Result<(), Error> {
    if id <= greatest {
        return Ok(());
    }
    Err(Error::column(column, format!("{id} is beyond the last event, {greatest}"), None))
}

/// The offset of one who begins so (`None`: the last there is), and whether it may not lie before what was collected.
pub(super) fn place(begin: Begin) -> (Option<i64>, bool) {
    match begin {
        Begin::Now => (None, true),
        Begin::Earliest => (Some(0), true),
        // Who names its last event is told what it has missed.
        Begin::After(id) => (Some(id), false),
    }
}

/// Where a walk goes on after these candidates, of so many that were asked for.
pub(super) fn next(candidates: &[i64], limit: u32) -> Option<i64> {
    candidates.last().copied().filter(|_| candidates.len() >= limit as usize)
}

impl Collectable {
    /// Says why each of these went, which somebody still wanted or nobody.
    pub(super) fn count(&self, gone: &[(i64, bool)], next: Option<i64>) -> Collected {
        let mut collected = Collected { next, ..Collected::default() };
        for (event, wanted) in gone {
            let why = match () {
                () if !wanted && *event <= self.passed => &mut collected.passed,
                () if *event <= self.aged => &mut collected.aged,
                () => &mut collected.surplus,
            };
            *why += 1;
        }
        collected
    }
}
