//! Everything that is listed: entries under their keys, thresholds of ISK, those that exclude, and those that every kill is compared with.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::cells::CELLS;
use super::cover::{self, Place};
use super::guard::Guard;
use super::lists::{Guarded, ID, List, Lists, guarded};
use super::plan::Leaf;
use crate::profile::field::{FIELDS, Field};

/// The two lists of a key: profiles of which it says all, as tags alone, and guarded ones.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    pub(super) plain: List,
    pub(super) guarded: List,
}

impl Slot {
    const fn is_empty(self) -> bool {
        self.plain.is_empty() && self.guarded.is_empty()
    }
}

/// Profiles that ask for nothing but at least so much ISK, the least first.
#[derive(Debug, Default)]
pub(super) struct Thresholds {
    pub(super) leasts: Vec<i64>,
    pub(super) tags: Vec<u32>,
}

/// Which kind of list an entry stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Guarded,
    Threshold,
    Excluding,
}

/// All lists.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) plain: Lists<u32, 4_096>,
    pub(super) guarded: Lists<Guarded, 4_096>,
    values: HashTable<(u64, Slot)>,
    /// A bit for each value that has lists or had some, scattered: most values of kills have none.
    maybe: Bits,
    /// How many values have set theirs.
    noted: usize,
    /// Drawn anew for each index, so that nobody knows which values collide.
    seed: u64,
    /// By field: how many of its values have lists; and a bit for each field of which some have.
    value_counts: [u32; FIELDS],
    pub(super) with_values: u64,
    /// By field and cell; and by field a bit for each cell that had something in its lists at some time.
    cells: Vec<Slot>,
    thresholds: Vec<Thresholds>,
    cell_bits: [u32; FIELDS],
    excluding: HashTable<(u64, Vec<u32>)>,
    excluding_counts: [u32; FIELDS],
    pub(super) with_excluding: u64,
    /// Bits of values that exclude or once did, scattered: most values of kills never do.
    maybe_excluding: [u64; 64],
    pub(super) every: Slot,
}

impl Default for Board {
    fn default() -> Self {
        let cells = FIELDS * CELLS as usize;
        Self {
            plain: Lists::default(),
            guarded: Lists::default(),
            values: HashTable::new(),
            maybe: Bits::for_values(0),
            noted: 0,
            seed: RandomState::new().hash_one(0),
            value_counts: [0; FIELDS],
            with_values: 0,
            cells: vec![Slot::default(); cells],
            thresholds: std::iter::repeat_with(Thresholds::default).take(cells).collect(),
            cell_bits: [0; FIELDS],
            excluding: HashTable::new(),
            excluding_counts: [0; FIELDS],
            with_excluding: 0,
            maybe_excluding: [0; 64],
            every: Slot::default(),
        }
    }
}

const fn cell(field: Field, cell: u32) -> usize {
    field as usize * CELLS as usize + cell as usize
}

impl Board {
    /// The lists of a value.
    #[inline]
    pub(super) fn value(&self, packed: u64) -> Option<Slot> {
        self.value_hashed(packed, hashed(packed, self.seed))
    }

    /// The same, of a value with this hash.
    #[inline]
    pub(super) fn value_hashed(&self, packed: u64, hash: u64) -> Option<Slot> {
        self.values.find(hash, |(key, _)| *key == packed).map(|(_, slot)| *slot)
    }

    /// The hash of a value, and whether it may have lists.
    #[inline(always)]
    pub(super) fn may_have(&self, packed: u64) -> (u64, bool) {
        let hash = hashed(packed, self.seed);
        (hash, self.maybe.has(hash))
    }

    /// Sets the bit of a value. When there are too many, all are set anew, those of values that are gone left out.
    fn note(&mut self, hash: u64) {
        self.noted += 1;
        if self.noted > self.maybe.values() {
            self.noted = self.values.len();
            self.maybe = Bits::for_values(2 * self.noted);
            self.values.iter().for_each(|(packed, _)| self.maybe.set(hashed(*packed, self.seed)));
        }
        self.maybe.set(hash);
    }

    /// The lists of a cell.
    pub(super) fn cell(&self, field: Field, number: u32) -> (Slot, &Thresholds) {
        let at = cell(field, number);
        (self.cells[at], &self.thresholds[at])
    }

    /// The cells of a field that may have lists.
    pub(super) fn cells(&self, field: Field) -> u32 {
        self.cell_bits[field as usize]
    }

    /// Ids that a value excludes.
    pub(super) fn excluding(&self, packed: u64) -> &[u32] {
        let hash = hashed(packed, self.seed);
        if self.maybe_excluding[(hash >> 6) as usize % 64] >> (hash & 63) & 1 == 0 {
            return &[];
        }
        let found = self.excluding.find(hash, |(key, _)| *key == packed);
        found.map_or(&[], |(_, ids)| ids)
    }

    /// Lists an entry under all keys of a leaf, or, without one, among those that every kill is compared with; says under how many.
    pub(super) fn insert(&mut self, leaf: Option<&Leaf>, guard: Guard, tag: u32, kind: Kind) -> usize {
        let Some(leaf) = leaf else {
            let mut slot = self.every;
            self.push(&mut slot, guard, tag);
            self.every = slot;
            return 1;
        };
        if kind == Kind::Excluding {
            return self.exclude(leaf, tag);
        }
        let places = cover::places(leaf).unwrap_or_default();
        for place in &places {
            if let Place::Cell(field, number) = *place {
                self.cell_bits[field as usize] |= 1 << number;
            }
            match *place {
                Place::Cell(field, number) if kind == Kind::Threshold => {
                    let thresholds = &mut self.thresholds[cell(field, number)];
                    let at = thresholds.leasts.partition_point(|least| *least <= threshold(leaf));
                    thresholds.leasts.insert(at, threshold(leaf));
                    thresholds.tags.insert(at, tag);
                }
                Place::Cell(field, number) => {
                    let mut slot = self.cells[cell(field, number)];
                    self.push(&mut slot, guard, tag);
                    self.cells[cell(field, number)] = slot;
                }
                Place::Value(packed) => {
                    let mut slot = self.value(packed).unwrap_or_default();
                    self.push(&mut slot, guard, tag);
                    self.set(packed, slot);
                }
            }
        }
        places.len()
    }

    fn exclude(&mut self, leaf: &Leaf, tag: u32) -> usize {
        let values = cover::excluding(leaf).unwrap_or_default();
        for packed in &values {
            let (hash, seed) = (hashed(*packed, self.seed), self.seed);
            self.maybe_excluding[(hash >> 6) as usize % 64] |= 1 << (hash & 63);
            let entry = self.excluding.entry(hash, |(key, _)| key == packed, |(key, _)| hashed(*key, seed));
            let list = &mut entry.or_insert_with(|| (*packed, Vec::new())).into_mut().1;
            if list.is_empty() {
                let field = cover::field_of(*packed);
                self.excluding_counts[field] += 1;
                self.with_excluding |= 1 << field;
            }
            list.push(tag & ID);
        }
        values.len()
    }

    /// Takes out what [`insert`](Self::insert) put in; `part` is where the guard's entries are in lists that are long.
    pub(super) fn remove(&mut self, leaf: Option<&Leaf>, id: u32, kind: Kind, part: usize) {
        let Some(leaf) = leaf else {
            let mut slot = self.every;
            self.pull(&mut slot, id, kind, part);
            self.every = slot;
            return;
        };
        if kind == Kind::Excluding {
            return self.include(leaf, id);
        }
        for place in cover::places(leaf).unwrap_or_default() {
            match place {
                Place::Cell(field, number) if kind == Kind::Threshold => {
                    let thresholds = &mut self.thresholds[cell(field, number)];
                    if let Some(at) = thresholds.at(threshold(leaf), id) {
                        thresholds.leasts.remove(at);
                        thresholds.tags.remove(at);
                    }
                }
                Place::Cell(field, number) => {
                    let mut slot = self.cells[cell(field, number)];
                    self.pull(&mut slot, id, kind, part);
                    self.cells[cell(field, number)] = slot;
                }
                Place::Value(packed) => {
                    let Some(mut slot) = self.value(packed) else { continue };
                    self.pull(&mut slot, id, kind, part);
                    self.set(packed, slot);
                }
            }
        }
    }

    fn include(&mut self, leaf: &Leaf, id: u32) {
        for packed in cover::excluding(leaf).unwrap_or_default() {
            let found = self.excluding.find_entry(hashed(packed, self.seed), |(key, _)| *key == packed);
            let Ok(mut found) = found else { continue };
            let list = &mut found.get_mut().1;
            if let Some(at) = list.iter().position(|other| *other == id) {
                list.swap_remove(at);
            }
            if list.is_empty() {
                found.remove();
                let field = cover::field_of(packed);
                self.excluding_counts[field] -= 1;
                self.with_excluding &= !(u64::from(self.excluding_counts[field] == 0) << field);
            }
        }
    }

    /// Gives the entries under all keys of a leaf another tag.
    pub(super) fn retag(&mut self, leaf: Option<&Leaf>, id: u32, kind: Kind, part: usize, tag: impl Fn(u32) -> u32) {
        let places = leaf.map(|leaf| cover::places(leaf).unwrap_or_default());
        let slots: Vec<Slot> = match (leaf, places) {
            (None, _) | (_, None) => vec![self.every],
            (Some(leaf), Some(_)) if kind == Kind::Excluding => {
                for packed in cover::excluding(leaf).unwrap_or_default() {
                    let found = self.excluding.find_mut(hashed(packed, self.seed), |(key, _)| *key == packed);
                    found
                        .into_iter()
                        .flat_map(|(_, ids)| ids)
                        .filter(|other| **other == id)
                        .for_each(|other| *other = tag(*other) & ID);
                }
                return;
            }
            (Some(leaf), Some(places)) if kind == Kind::Threshold => {
                for place in places {
                    let Place::Cell(field, number) = place else { continue };
                    let thresholds = &mut self.thresholds[cell(field, number)];
                    if let Some(at) = thresholds.at(threshold(leaf), id) {
                        thresholds.tags[at] = tag(thresholds.tags[at]);
                    }
                }
                return;
            }
            (Some(_), Some(places)) => {
                let slot = |place: &Place| match *place {
                    Place::Value(packed) => self.value(packed),
                    Place::Cell(field, number) => Some(self.cells[cell(field, number)]),
                };
                places.iter().filter_map(slot).collect()
            }
        };
        for slot in slots {
            match kind {
                Kind::Plain => self.plain.retag(slot.plain, id, part, &tag),
                _ => self.guarded.retag(slot.guarded, id, part, &tag),
            }
        }
    }

    fn push(&mut self, slot: &mut Slot, guard: Guard, tag: u32) {
        if guard.is_nothing() {
            self.plain.push(&mut slot.plain, tag);
        } else {
            self.guarded.push(&mut slot.guarded, guarded(guard, tag));
        }
    }

    fn pull(&mut self, slot: &mut Slot, id: u32, kind: Kind, part: usize) {
        let was_there = match kind {
            Kind::Plain => self.plain.remove(&mut slot.plain, id, part),
            _ => self.guarded.remove(&mut slot.guarded, id, part),
        };
        debug_assert!(was_there, "an entry is where it was put");
    }

    fn set(&mut self, packed: u64, slot: Slot) {
        let (hash, seed) = (hashed(packed, self.seed), self.seed);
        let field = cover::field_of(packed);
        match self.values.find_entry(hash, |(key, _)| *key == packed) {
            Ok(found) if slot.is_empty() => {
                found.remove();
                self.value_counts[field] -= 1;
                self.with_values &= !(u64::from(self.value_counts[field] == 0) << field);
            }
            Ok(mut found) => found.get_mut().1 = slot,
            Err(_) if slot.is_empty() => {}
            Err(_) => {
                self.values.insert_unique(hash, (packed, slot), |(key, _)| hashed(*key, seed));
                self.value_counts[field] += 1;
                self.with_values |= 1 << field;
                self.note(hash);
            }
        }
    }

    /// Bytes in use, about.
    pub(super) fn bytes(&self) -> usize {
        let thresholds: usize =
            self.thresholds.iter().map(|of| of.leasts.capacity() * 8 + of.tags.capacity() * 4).sum();
        let excluding: usize = self.excluding.iter().map(|(_, ids)| ids.capacity() * 4 + 40).sum();
        let tables =
            self.maybe.0.len() * 8 + self.values.capacity() * 25 * 8 / 7 + self.cells.capacity() * size_of::<Slot>();
        self.plain.bytes() + self.guarded.bytes() + tables + thresholds + excluding
    }
}

/// Bits of values, scattered.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Bits {
    /// For each value at least.
    const EACH: usize = 8;

    fn for_values(count: usize) -> Self {
        Self(vec![0; (count * Self::EACH / 64).next_power_of_two().max(64)])
    }

    /// For how many values they are enough.
    const fn values(&self) -> usize {
        self.0.len() * 64 / Self::EACH
    }

    #[inline(always)]
    const fn word(&self, hash: u64) -> usize {
        (hash >> 26) as usize & (self.0.len() - 1)
    }

    #[inline(always)]
    fn has(&self, hash: u64) -> bool {
        self.0[self.word(hash)] >> (hash >> 20 & 63) & 1 == 1
    }

    fn set(&mut self, hash: u64) {
        let word = self.word(hash);
        self.0[word] |= 1 << (hash >> 20 & 63);
    }
}

/// The table takes bits from the top and from the bottom, so both halves of the product have a say in both.
#[inline]
const fn hashed(packed: u64, seed: u64) -> u64 {
    let product = (packed ^ seed) as u128 * 0x9e37_79b9_7f4a_7c15;
    (product >> 64) as u64 ^ product as u64
}

impl Thresholds {
    fn at(&self, least: i64, id: u32) -> Option<usize> {
        let first = self.leasts.partition_point(|other| *other < least);
        let same = self.leasts[first..].iter().take_while(|other| **other == least).count();
        self.tags[first..first + same].iter().position(|tag| tag & ID == id).map(|at| first + at)
    }
}

fn threshold(leaf: &Leaf) -> i64 {
    match leaf.ask {
        super::plan::Ask::Within(least, _) => least,
        _ => i64::MIN,
    }
}
