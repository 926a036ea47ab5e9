//! A kill through the index: its lists, the guards in them, and the few filters that must be evaluated.

use super::board::Slot;
use super::cover::packed;
use super::lists::{CODE, ID, ONCE, SHARED};
use super::scan::{Hits, Probe, RUN, STRIDE};
use super::view::View;
use super::{Index, Statistics, cells, program};
use crate::profile::field::{Field, Kind};
use crate::profile::subject::Subject;

/// The first so many kills that a worker matches are counted in the statistics, and then one of so many.
const COUNTED: u64 = 4_096;
const COUNTED_OF: u64 = 32;
/// Programs looked up side by side, so that memory is waited for once.
const SIDE_BY_SIDE: usize = 32;

/// What a worker needs to match kills, kept from one kill to the next; and what it came upon since it was made, or since it was last asked.
#[derive(Debug)]
pub struct Scratch {
    /// Entries of the index that were looked at.
    pub scanned: u64,
    /// Filters that had to be evaluated.
    pub evaluated: u64,
    /// Entries that were matches without an evaluation.
    pub direct: u64,
    /// Kills that [`observe`](Self::observe) was told of.
    pub kills: u64,
    view: View,
    slots: Vec<Slot>,
    /// A bit for each id that is not to be reported, or not again; and which ids have theirs set.
    seen: Vec<u64>,
    touched: Vec<u32>,
    hits: Box<Hits>,
    /// Tags of profiles whose filters must be evaluated.
    pending: Vec<u32>,
    /// Ids that matched and lead others.
    leaders: Vec<u32>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            scanned: 0,
            evaluated: 0,
            direct: 0,
            kills: 0,
            view: View::default(),
            slots: Vec::new(),
            seen: Vec::new(),
            touched: Vec::new(),
            hits: Box::new([0; 4 * RUN]),
            pending: Vec::new(),
            leaders: Vec::new(),
        }
    }
}

impl Scratch {
    /// Counts the values of the next kill, if it is one of those that are counted.
    pub fn observe(&mut self, statistics: &Statistics, subject: &Subject<'_>) {
        if self.kills < COUNTED || self.kills.is_multiple_of(COUNTED_OF) {
            statistics.observe(subject);
        }
        self.kills += 1;
    }
}

impl Index {
    /// Adds the ids of the profiles whose filters hold for the kill to `out`: each once, in no order.
    pub fn matches(&self, subject: &Subject<'_>, scratch: &mut Scratch, out: &mut Vec<u32>) {
        if self.profiles == 0 {
            return;
        }
        scratch.view.read(subject, &self.texts, self.used);
        let words = self.places.len().div_ceil(64);
        if scratch.seen.len() < words {
            scratch.seen.resize(words, 0);
        }
        let mut kill = Matching { index: self, scratch, out, found: 0 };
        kill.exclude();
        kill.find_slots();
        kill.read_thresholds();
        kill.read_slots();
        kill.work_off();
        kill.evaluate();
        kill.follow();
        kill.forget();
    }
}

/// The numbers of bits that are set.
fn bits(mut rest: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (rest != 0).then(|| rest.trailing_zeros());
        rest &= rest.wrapping_sub(1);
        bit
    })
}

/// The fields with a bit.
fn fields(set: u64) -> impl Iterator<Item = Field> {
    bits(set).map(|place| Field::ALL[place as usize])
}

/// One kill on its way through.
#[derive(Debug)]
struct Matching<'m> {
    index: &'m Index,
    scratch: &'m mut Scratch,
    out: &'m mut Vec<u32>,
    /// Hits not worked off yet.
    found: usize,
}

impl Matching<'_> {
    /// Marks what the kill's values exclude as seen.
    fn exclude(&mut self) {
        let Scratch { view, seen, touched, scanned, .. } = &mut *self.scratch;
        for field in fields(self.index.board.with_excluding) {
            for value in view.values(field) {
                let ids = packed(field, *value).map_or(&[][..], |packed| self.index.board.excluding(packed));
                *scanned += ids.len() as u64;
                for id in ids {
                    seen[(id >> 6) as usize] |= 1 << (id & 63);
                }
                touched.extend_from_slice(ids);
            }
        }
    }

    /// Looks up the lists of the kill's values.
    fn find_slots(&mut self) {
        let board = &self.index.board;
        let Scratch { view, slots, .. } = &mut *self.scratch;
        slots.clear();
        slots.push(board.every);
        for field in fields(board.with_values) {
            for value in view.values(field) {
                slots.extend(packed(field, *value).and_then(|packed| board.value(packed)));
            }
        }
        for field in cells::BANDED {
            let (Some(value), cells @ 1..) = (view.values(field).first(), board.cells(field)) else { continue };
            let band = cells::lowest(field, *value);
            // Whoever wants at least so much is listed under the lowest band that will do.
            let reached = if field.kind() == Kind::Money { (2 << band) - 1 } else { 1 << band };
            slots.extend(bits(u64::from(cells & reached)).map(|band| board.cell(field, band).0));
        }
        // Asked for all at once, so that memory is waited for once.
        let touched = slots.iter().fold(0, |all, slot| {
            all ^ board.plain.touch(slot.plain, view.isk) ^ board.guarded.touch(slot.guarded, view.isk)
        });
        std::hint::black_box(touched);
    }

    /// Reports profiles that ask for money alone.
    fn read_thresholds(&mut self) {
        let index = self.index;
        for field in [Field::IskValue, Field::DestroyedValue, Field::DroppedValue] {
            let cells @ 1.. = index.board.cells(field) else { continue };
            let Some(value) = self.scratch.view.values(field).first().copied() else { continue };
            let last = cells::lowest(field, value);
            for band in bits(u64::from(cells & ((2 << last) - 1))) {
                let thresholds = index.board.cell(field, band).1;
                let reached = match band == last {
                    true => thresholds.leasts.partition_point(|least| *least <= value),
                    false => thresholds.tags.len(),
                };
                self.report(&thresholds.tags[..reached]);
            }
        }
    }

    /// Reports what stands in the plain lists, and looks through the guarded ones.
    fn read_slots(&mut self) {
        let index = self.index;
        let step = self.scratch.view.isk;
        for at in 0..self.scratch.slots.len() {
            let slot = self.scratch.slots[at];
            for run in index.board.plain.runs(slot.plain, step) {
                self.report(run);
            }
            for run in index.board.guarded.runs(slot.guarded, step) {
                self.scratch.scanned += run.len() as u64;
                for run in run.chunks(RUN) {
                    let Scratch { view, hits, .. } = &mut *self.scratch;
                    let probe = Probe { isk: view.isk, common: view.common, classes: &view.classes };
                    self.found = index.scanner.scan(run, probe, hits, self.found);
                    if self.found > hits.len() - RUN - STRIDE {
                        self.work_off();
                    }
                }
            }
        }
    }

    /// Reports profiles that match without a doubt.
    #[inline]
    fn report(&mut self, tags: &[u32]) {
        self.scratch.scanned += tags.len() as u64;
        self.scratch.direct += tags.len() as u64;
        if tags.iter().fold(0, |all, tag| all | tag) & !ID == 0 {
            self.out.extend_from_slice(tags);
        } else {
            tags.iter().for_each(|tag| self.report_one(*tag));
        }
    }

    #[inline]
    fn report_one(&mut self, tag: u32) {
        if tag & ONCE == 0 || self.is_new(tag & ID) {
            self.put(tag);
        }
    }

    #[inline]
    fn put(&mut self, tag: u32) {
        self.out.push(tag & ID);
        if tag & SHARED != 0 {
            self.scratch.leaders.push(tag & ID);
        }
    }

    /// Whether an id was not seen before; from now on it was.
    #[inline]
    fn is_new(&mut self, id: u32) -> bool {
        let Scratch { seen, touched, .. } = &mut *self.scratch;
        let (word, bit) = (&mut seen[(id >> 6) as usize], 1 << (id & 63));
        let is_new = *word & bit == 0;
        if is_new {
            *word |= bit;
            touched.push(id);
        }
        is_new
    }

    /// Sorts hits into those that match without a doubt and those to be evaluated.
    fn work_off(&mut self) {
        let unsure = self.scratch.view.unsure;
        let found = std::mem::take(&mut self.found);
        let from = self.out.len();
        self.out.resize(from + found, 0);
        let (mut sure, mut others) = (0, 0);
        let Scratch { hits, .. } = &mut *self.scratch;
        let out = &mut self.out[from..];
        for at in 0..found.min(out.len()) {
            let tag = hits[at];
            let is_special = (unsure >> (tag >> CODE & 63) & 1) as usize | (tag >> 30 != 0) as usize;
            out[sure] = tag & ID;
            sure += 1 - is_special;
            hits[others] = tag;
            others += is_special;
        }
        self.out.truncate(from + sure);
        self.scratch.direct += sure as u64;
        for at in 0..others {
            let tag = self.scratch.hits[at];
            if tag & ONCE != 0 && !self.is_new(tag & ID) {
                continue;
            }
            if unsure >> (tag >> CODE & 63) & 1 == 1 {
                self.scratch.pending.push(tag);
            } else {
                self.scratch.direct += 1;
                self.put(tag);
            }
        }
    }

    /// Evaluates what must be.
    fn evaluate(&mut self) {
        let index = self.index;
        let pending = std::mem::take(&mut self.scratch.pending);
        self.scratch.evaluated += pending.len() as u64;
        for some in pending.chunks(SIDE_BY_SIDE) {
            let mut places = [0; SIDE_BY_SIDE];
            for (place, tag) in places.iter_mut().zip(some) {
                *place = index.places[(tag & ID) as usize] - 1;
            }
            let mut touched = 0;
            for place in &places[..some.len()] {
                let [first, second] = index.records.touch(*place);
                touched ^= first ^ second;
            }
            std::hint::black_box(touched);
            for (place, tag) in places.iter().zip(some) {
                let (_, _, program) = index.record_at(*place);
                if program::holds(program, &self.scratch.view) {
                    self.put(*tag);
                }
            }
        }
        self.scratch.pending = pending;
        self.scratch.pending.clear();
    }

    /// Reports who follows those that matched.
    fn follow(&mut self) {
        let sharing = &self.index.sharing;
        for some in self.scratch.leaders.chunks(SIDE_BY_SIDE) {
            let mut followers: [&[u32]; SIDE_BY_SIDE] = [&[]; SIDE_BY_SIDE];
            for (followers, leader) in followers.iter_mut().zip(some) {
                *followers = sharing.followers(*leader);
            }
            followers.iter().for_each(|followers| self.out.extend_from_slice(followers));
        }
        self.scratch.leaders.clear();
    }

    /// Makes all bits ready for the next kill.
    fn forget(&mut self) {
        let Scratch { seen, touched, .. } = &mut *self.scratch;
        touched.iter().for_each(|id| seen[(id >> 6) as usize] = 0);
        touched.clear();
    }
}
