//! An index of many filters: which of them hold for a kill, without a look at most of the others.
//!
//! ```text
//! Filter ─ plan (normal form) ─┬─ program: what is evaluated when nothing else decides, and all that is kept
//!                              ├─ cover: keys of which a kill must have one ──► board: lists of entries under their keys
//!                              └─ guard: a box of bits around the filter ─────► beside each entry
//! Subject ─ view (values, bits) ─► lists of its values ─► entries whose guard fits ─┬─ the guard says all: a match
//!                                                                                  └─ or else: evaluate the program
//! ```
//!
//! - A filter is listed under keys chosen by how often values occur in kills ([`Statistics`]): of an `and` one member's, of an `or` all members'. What has no keys
//!   is compared with every kill. An `or` costs the sum of its members: it is never multiplied with another.
//! - Beside each entry stands a guard: the cells of a few fields in which the filter can hold. Most guards say all there is to say, and the filter is never
//!   looked at; a threshold between two cuts only for kills in the same band (`cells`). Where it says all but one list, that list alone is compared;
//!   of an `or` that no guard says, each member may have an entry of its own.
//! - `not` of a list at the root, which nearly every kill satisfies, turns round: its values exclude the profile.
//! - Filters that say the same share one place, whoever watches.
//!
//! Matching reads the index only: several workers match at the same time, each with a [`Scratch`]. It allocates nothing once the scratch has grown.
//! What a filter needs that guards and keys cannot say is evaluated: never wrong, only slower.

mod board;
mod cells;
mod cover;
mod guard;
mod lists;
mod matching;
mod parts;
mod plan;
mod pool;
mod program;
mod scan;
mod sharing;
mod statistics;
mod texts;
mod view;

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

use self::board::{Board, Kind};
use self::cover::{Chooser, Cover};
use self::lists::{ID, ONCE, SHARED};
use self::parts::Parts;
use self::plan::{Ask, Plan};
use self::pool::Pool;
use self::scan::Scanner;
use self::sharing::Sharing;
use self::texts::Texts;
use super::field::FIELDS;
use super::filter::Filter;

pub use self::matching::Scratch;
pub use self::scan::Speed;
pub use self::statistics::Statistics;

/// Ids are below this.
pub const PROFILES_MAX: u32 = 1 << 24;

/// Where a new filter was listed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inserted {
    /// Lists that it stands in.
    pub keys: usize,
    /// Entries of it that an average kill looks at.
    pub expected: f32,
    /// It has no keys: every kill is compared with it.
    pub is_broad: bool,
}

/// Why a filter is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the filter is longer than any that can be read")]
    TooLong,
    #[error("an index holds profiles with numbers below {PROFILES_MAX}")]
    TooMany,
}

/// What an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    pub profiles: usize,
    /// Those that every kill is compared with.
    pub broad: usize,
    /// Different filters.
    pub filters: usize,
    /// Bytes in use, about.
    pub bytes: usize,
}

/// Many filters, each with the id of a profile.
#[derive(Debug)]
pub struct Index {
    statistics: Arc<Statistics>,
    scanner: Scanner,
    texts: Texts,
    board: Board,
    /// For each filter: a head, a word for each leaf that is listed, the parts of long lists that it stands in ([`Parts`]), and its program.
    records: Pool<u32, 65_536>,
    /// By id: the place of its record and one, or 0. Followers have none.
    places: Vec<u32>,
    sharing: Sharing,
    hasher: DefaultHashBuilder,
    /// By field: how many tests ask for it.
    tests: [u32; FIELDS],
    /// A bit for each field that tests ask for.
    used: u64,
    profiles: usize,
    broad: usize,
    filters: usize,
}

/// In the head of a record, above the lengths of its program (16 bits) and of what comes before that: the filter is among those that every kill is compared with,
/// and without a guard.
const EVERY: u32 = 1 << 30;
const EVERY_PLAIN: u32 = 1 << 31;

/// How many words a head says that there are before the program, and of that.
const fn lengths(head: u32) -> (usize, usize) {
    ((head >> 16 & 0x3fff) as usize, (head & 0xffff) as usize)
}

/// A leaf that is listed, as a word: its place in the program, and in which kind of list.
const fn listed(place: u32, kind: Kind) -> u32 {
    place | (kind as u32) << 16
}

/// In such a word: from this bit on the place of the leaf that is tested when the guard says all but that.
const SHORT_PLACE: u32 = 18;

/// A filter's entries under one leaf, or among those that every kill is compared with.
struct Listed {
    leaf: Option<plan::Leaf>,
    kind: Kind,
    part: usize,
}

const fn kind(word: u32) -> Kind {
    match word >> 16 & 3 {
        0 => Kind::Plain,
        1 => Kind::Guarded,
        2 => Kind::Threshold,
        _ => Kind::Excluding,
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Index {
    /// Empty; keys are chosen by these statistics.
    #[must_use]
    pub fn new(statistics: Arc<Statistics>) -> Self {
        Self {
            statistics,
            scanner: Scanner::default(),
            texts: Texts::default(),
            board: Board::default(),
            records: Pool::default(),
            places: Vec::new(),
            sharing: Sharing::default(),
            hasher: DefaultHashBuilder::default(),
            tests: [0; FIELDS],
            used: 0,
            profiles: 0,
            broad: 0,
            filters: 0,
        }
    }

    /// Matches this way from now on, which makes no other difference; whether this processor can. A new index is as fast as it can be.
    pub fn set_speed(&mut self, speed: Speed) -> bool {
        let scanner = Scanner::new(speed);
        self.scanner = scanner.unwrap_or(self.scanner);
        scanner.is_some()
    }

    /// Takes in the filter of a profile; one that it had before is replaced.
    ///
    /// # Errors
    /// [`Refused`]: then the profile is not in the index.
    pub fn insert(&mut self, id: u32, filter: &Filter) -> Result<Inserted, Refused> {
        if id >= PROFILES_MAX {
            return Err(Refused::TooMany);
        }
        self.remove(id);
        let plan = Plan::of(&filter.root, false, &mut self.texts);
        let Some((program, places)) = program::encode(&plan) else {
            plan.release(&mut self.texts);
            return Err(Refused::TooLong);
        };
        let is_nothing = plan == Plan::Always(false);
        let hash = self.hasher.hash_one((&program, is_nothing)) as u32;
        self.profiles += 1;
        if let Some(leader) = self.sharing.find(hash, |leader| self.program_of(leader) == (&program[..], is_nothing)) {
            plan.release(&mut self.texts);
            return Ok(self.follow(leader, id));
        }
        let cover = Chooser { statistics: &self.statistics, texts: &self.texts }.cover(&plan);
        let inserted = self.list(id, &program, &places, &cover, is_nothing);
        self.sharing.lead(hash, id);
        self.filters += 1;
        self.broad += usize::from(inserted.is_broad);
        for place in program::places(&program) {
            let field = program::leaf(&program, place).field;
            self.tests[field as usize] += 1;
            self.used |= 1 << field as usize;
        }
        Ok(inserted)
    }

    /// Puts the entries of a new filter into lists, and makes its record.
    fn list(&mut self, id: u32, program: &[u32], places: &[u32], cover: &Cover, is_nothing: bool) -> Inserted {
        let mut tag = id;
        let is_every = cover.keys.is_empty() && !is_nothing;
        let leaf = |number: usize| program::leaf(program, places[number]);
        let is_once = match &cover.keys[..] {
            [] => false,
            [key] => {
                let leaf = leaf(key.leaf);
                leaf.field.is_many() && cover::places(&leaf).is_some_and(|places| places.len() > 1)
            }
            _ => true,
        };
        if is_once || !cover.excluding.is_empty() {
            tag |= ONCE;
        }
        let mut head = program.len() as u32;
        // What a record says of it has room for so much.
        let short = cover.short.map_or(0, |short| places[short]);
        let is_near = short >> (u32::BITS - SHORT_PLACE) == 0;
        let mut words = Vec::with_capacity(cover.keys.len() + cover.excluding.len() + 1);
        let (mut parts, mut keys) = (Parts::default(), 0);
        parts.set(cover.keys.len() + cover.excluding.len(), 0);
        parts.set(0, lists::part_of(cover.guard));
        if is_every {
            head |= EVERY | if cover.guard.is_nothing() { EVERY_PLAIN } else { 0 };
            keys += self.board.insert(None, cover.guard, tag, Kind::Guarded);
        }
        for key in &cover.keys {
            let leaf = leaf(key.leaf);
            let guard = match key.guard.code {
                guard::SHORT if !is_near => guard::Guard { code: guard::NEVER, ..key.guard },
                _ => key.guard,
            };
            let kind = match leaf.ask {
                _ if key.guard.is_nothing() => Kind::Plain,
                Ask::Within(_, i64::MAX) if key.is_alone && leaf.field.kind() == super::Kind::Money => Kind::Threshold,
                _ => Kind::Guarded,
            };
            keys += self.board.insert(Some(&leaf), guard, tag, kind);
            words.push(listed(places[key.leaf], kind) | short << SHORT_PLACE);
            parts.set(words.len(), lists::part_of(guard));
        }
        for excluding in &cover.excluding {
            self.board.insert(Some(&leaf(*excluding)), guard::Guard::FREE, tag, Kind::Excluding);
            words.push(listed(places[*excluding], Kind::Excluding));
        }
        words.extend(parts.0);
        head |= (words.len() as u32) << 16;
        self.keep(id, &[&[head], &words[..], program].concat());
        Inserted { keys, expected: cover.expected, is_broad: is_every }
    }

    /// Writes a record.
    fn keep(&mut self, id: u32, record: &[u32]) {
        let place = self.records.take(record.len());
        self.records.run_mut(place, record.len()).copy_from_slice(record);
        self.put_place(id, place + 1);
    }

    fn put_place(&mut self, id: u32, place: u32) {
        let (id, length) = (id as usize, self.places.len());
        if id >= length {
            if id >= self.places.capacity() {
                self.places.reserve_exact((id + 1 - length).max(length / 8).max(64));
            }
            self.places.resize(id + 1, 0);
        }
        self.places[id] = place;
    }

    /// One more profile with a filter that is there.
    fn follow(&mut self, leader: u32, id: u32) -> Inserted {
        if self.sharing.follow(leader, id) {
            self.retag(leader, |tag| tag | SHARED);
        }
        let (head, words, _) = self.record(leader);
        let is_broad = head & EVERY != 0;
        let (keys, expected) = (Parts::leaves(words.len()) + usize::from(is_broad), 0.0);
        self.broad += usize::from(is_broad);
        Inserted { keys, expected, is_broad }
    }

    /// Gives all entries of a leader another tag.
    fn retag(&mut self, leader: u32, tag: impl Fn(u32) -> u32) {
        for Listed { leaf, kind, part } in self.listings(leader) {
            self.board.retag(leaf.as_ref(), leader, kind, part, &tag);
        }
    }

    /// Where the entries of a filter are.
    fn listings(&self, leader: u32) -> Vec<Listed> {
        let (head, words, program) = self.record(leader);
        let (words, parts) = words.split_at(Parts::leaves(words.len()));
        let every = (head & EVERY != 0).then(|| {
            let kind = if head & EVERY_PLAIN != 0 { Kind::Plain } else { Kind::Guarded };
            Listed { leaf: None, kind, part: Parts::get(parts, 0) }
        });
        let leaves = words.iter().zip(1..).map(|(word, number)| {
            let leaf = Some(program::leaf(program, word & 0xffff));
            Listed { leaf, kind: kind(*word), part: Parts::get(parts, number) }
        });
        every.into_iter().chain(leaves).collect()
    }

    /// The head of a record, its listed leaves with their parts, and its program.
    fn record(&self, leader: u32) -> (u32, &[u32], &[u32]) {
        self.record_at(self.places[leader as usize] - 1)
    }

    #[inline]
    fn record_at(&self, place: u32) -> (u32, &[u32], &[u32]) {
        let head = self.records.run(place, 1)[0];
        let (words, length) = lengths(head);
        let record = self.records.run(place, 1 + words + length);
        (head, &record[1..1 + words], &record[1 + words..])
    }

    /// The program of a filter, and whether it is one that never holds.
    fn program_of(&self, leader: u32) -> (&[u32], bool) {
        let (head, _, program) = self.record(leader);
        (program, program.is_empty() && head & EVERY == 0)
    }

    /// Leaves out a profile; whether it was there.
    pub fn remove(&mut self, id: u32) -> bool {
        let is_leader = self.places.get(id as usize).is_some_and(|place| *place != 0);
        if !is_leader {
            return self.leave(id);
        }
        self.profiles -= 1;
        let (program, is_nothing) = self.program_of(id);
        let hash = self.hasher.hash_one((program, is_nothing)) as u32;
        let is_broad = self.record(id).0 & EVERY != 0;
        self.broad -= usize::from(is_broad);
        match self.sharing.succeed(hash, id) {
            Some(successor) => {
                self.retag(id, |tag| (tag & !ID) | successor);
                let place = std::mem::take(&mut self.places[id as usize]);
                self.put_place(successor, place);
            }
            None => self.unlist(id),
        }
        true
    }

    /// A follower leaves.
    fn leave(&mut self, id: u32) -> bool {
        let Some(leader) = self.sharing.leader(id) else { return false };
        self.sharing.leave(id);
        self.profiles -= 1;
        self.broad -= usize::from(self.record(leader).0 & EVERY != 0);
        true
    }

    /// Takes the entries of a filter out of all lists, and forgets it.
    fn unlist(&mut self, id: u32) {
        let listings = self.listings(id);
        let (_, words, program) = self.record(id);
        let all: Vec<plan::Leaf> = program::places(program).map(|place| program::leaf(program, place)).collect();
        let length = 1 + words.len() + program.len();
        for Listed { leaf, kind, part } in listings {
            self.board.remove(leaf.as_ref(), id, kind, part);
        }
        for leaf in all {
            let tests = &mut self.tests[leaf.field as usize];
            *tests -= 1;
            if *tests == 0 {
                self.used &= !(1 << leaf.field as usize);
            }
            Plan::Leaf(leaf).release(&mut self.texts);
        }
        let place = std::mem::take(&mut self.places[id as usize]) - 1;
        self.records.give(place, length);
        self.filters -= 1;
    }

    /// What it holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let bytes = self.board.bytes()
            + self.records.bytes()
            + self.sharing.bytes()
            + self.texts.bytes()
            + self.places.capacity() * size_of::<u32>();
        Stats { profiles: self.profiles, broad: self.broad, filters: self.filters, bytes }
    }
}
