//! A kill through the index: its lists, the guards in them, and the few filters that must be evaluated.

use super::board::Slot;
use super::cover::packed;
use super::lists::{CODE, Entries, Guarded, ID, List, ONCE, SHARED};
use super::scan::{Hits, Probe, RUN, STRIDE, Work};
use super::view::View;
use super::{Index, SHORT_PLACE, Statistics, cells, guard, lengths, program};
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
    /// The kill's values that may have lists, with their hashes.
    keys: Vec<(u64, u64)>,
    /// The lists of the kill's values.
    plain: Vec<List>,
    guarded: Vec<List>,
    /// A bit for each id that is not to be reported, or not again; and which ids have theirs set.
    seen: Vec<u64>,
    touched: Vec<u32>,
    hits: Box<Hits>,
    /// Tags of profiles whose filters must be evaluated, and of those where one test is enough.
    pending: Vec<u32>,
    short: Vec<u32>,
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
            keys: Vec::new(),
            plain: Vec::new(),
            guarded: Vec::new(),
            seen: Vec::new(),
            touched: Vec::new(),
            hits: Box::new([0; 4 * RUN]),
            pending: Vec::new(),
            short: Vec::new(),
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
        let words = self.places.len().div_ceil(64);
        if scratch.seen.len() < words {
            scratch.seen.resize(words, 0);
        }
        self.scanner.work(Matching { index: self, subject, scratch, out, found: 0 });
    }
}

impl Index {
    /// Whether the filter with its record at a place holds.
    #[inline(always)]
    fn holds_at(&self, place: u32, view: &View) -> bool {
        let [head, rest @ ..] = self.records.from(place) else { return false };
        let (words, length) = lengths(*head);
        program::holds(&rest[words..], length, view, self.scanner)
    }

    /// The places of the records of filters, asked for all at once.
    #[inline(always)]
    fn touched(&self, tags: &[u32]) -> [u32; SIDE_BY_SIDE] {
        let mut places = [0; SIDE_BY_SIDE];
        for (place, tag) in places.iter_mut().zip(tags) {
            *place = self.places[(tag & ID) as usize] - 1;
        }
        let touched = places.iter().take(tags.len()).fold(0, |touched, place| {
            let [first, second] = self.records.touch(*place);
            touched ^ first ^ second
        });
        std::hint::black_box(touched);
        places
    }

    /// Whether the one test holds that decides about the filter with its record at a place.
    #[inline(always)]
    fn is_short_so(&self, place: u32, view: &View) -> bool {
        let [head, rest @ ..] = self.records.from(place) else { return false };
        let at = lengths(*head).0 + (rest[0] >> SHORT_PLACE) as usize;
        program::is_one_of(&rest[at..], view, self.scanner)
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
struct Matching<'m, 'k> {
    index: &'m Index,
    subject: &'m Subject<'k>,
    scratch: &'m mut Scratch,
    out: &'m mut Vec<u32>,
    /// Hits not worked off yet.
    found: usize,
}

impl Work for Matching<'_, '_> {
    #[inline(always)]
    fn run(mut self) {
        self.scratch.view.read(self.subject, &self.index.texts, self.index.used);
        self.exclude();
        self.find_lists();
        self.read_thresholds();
        self.read_lists();
        self.work_off();
        self.test_short();
        self.evaluate();
        self.follow();
        self.forget();
    }
}

impl Matching<'_, '_> {
    /// Marks what the kill's values exclude as seen.
    #[inline(always)]
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
    #[inline(always)]
    fn find_lists(&mut self) {
        let board = &self.index.board;
        let Scratch { view, keys, plain, guarded, .. } = &mut *self.scratch;
        plain.clear();
        guarded.clear();
        let mut put = |slot: Slot| {
            if !slot.plain.is_empty() {
                plain.push(slot.plain);
            }
            if !slot.guarded.is_empty() {
                guarded.push(slot.guarded);
            }
        };
        put(board.every);
        // First those that may have lists, with no branch that depends on it: what is looked up then mostly has.
        let mut found = 0;
        for field in fields(board.with_values) {
            let values = view.values(field);
            if keys.len() < found + values.len() {
                keys.resize(found + 2 * values.len(), (0, 0));
            }
            for value in values {
                let Some(packed) = packed(field, *value) else { continue };
                let (hash, may_have) = board.may_have(packed);
                keys[found] = (packed, hash);
                found += usize::from(may_have);
            }
        }
        for (packed, hash) in &keys[..found] {
            board.value_hashed(*packed, *hash).into_iter().for_each(&mut put);
        }
        for field in cells::BANDED {
            let (Some(value), cells @ 1..) = (view.values(field).first(), board.cells(field)) else { continue };
            let band = cells::lowest(field, *value);
            // Whoever wants at least so much is listed under the lowest band that will do.
            let reached = if field.kind() == Kind::Money { (2 << band) - 1 } else { 1 << band };
            bits(u64::from(cells & reached)).for_each(|band| put(board.cell(field, band).0));
        }
        // Asked for all at once, so that memory is waited for once.
        let isk = view.isk;
        let touched = plain.iter().fold(0, |all, list| all ^ board.plain.touch(*list, isk));
        std::hint::black_box(guarded.iter().fold(touched, |all, list| all ^ board.guarded.touch(*list, isk)));
    }

    /// Reports profiles that ask for money alone.
    #[inline(always)]
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
    #[inline(always)]
    fn read_lists(&mut self) {
        let board = &self.index.board;
        let step = self.scratch.view.isk;
        for at in 0..self.scratch.plain.len() {
            match board.plain.entries(self.scratch.plain[at], step) {
                Entries::Run(run) => self.report(run),
                Entries::Parts(parts) => parts.iter().for_each(|run| self.report(run)),
            }
        }
        for at in 0..self.scratch.guarded.len() {
            match board.guarded.entries(self.scratch.guarded[at], step) {
                Entries::Run(run) => self.scan(run),
                Entries::Parts(parts) => parts.iter().for_each(|run| self.scan(run)),
            }
        }
    }

    /// Looks for entries whose guards fit.
    #[inline(always)]
    fn scan(&mut self, run: &[Guarded]) {
        self.scratch.scanned += run.len() as u64;
        for run in run.chunks(RUN) {
            let Scratch { view, hits, .. } = &mut *self.scratch;
            let probe = Probe { isk: view.isk, common: view.common, classes: &view.classes };
            self.found = self.index.scanner.scan(run, probe, hits, self.found);
            if self.found > hits.len() - RUN - STRIDE {
                self.work_off();
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

    #[inline]
    fn is_seen(&self, id: u32) -> bool {
        self.scratch.seen[(id >> 6) as usize] >> (id & 63) & 1 == 1
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
            if tag >> CODE & 63 == guard::SHORT {
                // Whether it holds must be known before it is marked: another entry of the filter may hold when this does not.
                if tag & ONCE == 0 || !self.is_seen(tag & ID) {
                    self.scratch.short.push(tag);
                }
                continue;
            }
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

    /// Tests where one test is enough.
    #[inline(always)]
    fn test_short(&mut self) {
        let index = self.index;
        let mut short = std::mem::take(&mut self.scratch.short);
        self.scratch.evaluated += short.len() as u64;
        let mut holding = 0;
        for from in (0..short.len()).step_by(SIDE_BY_SIDE) {
            let to = (from + SIDE_BY_SIDE).min(short.len());
            let places = index.touched(&short[from..to]);
            for (at, place) in (from..to).zip(places) {
                let tag = short[at];
                let holds = index.is_short_so(place, &self.scratch.view);
                short[holding] = tag;
                holding += usize::from(holds);
            }
        }
        short[..holding].iter().for_each(|tag| self.report_one(*tag));
        short.clear();
        self.scratch.short = short;
    }

    /// Evaluates what must be.
    #[inline(always)]
    fn evaluate(&mut self) {
        let index = self.index;
        let pending = std::mem::take(&mut self.scratch.pending);
        self.scratch.evaluated += pending.len() as u64;
        for some in pending.chunks(SIDE_BY_SIDE) {
            let places = index.touched(some);
            for (place, tag) in places.iter().zip(some) {
                if index.holds_at(*place, &self.scratch.view) {
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
