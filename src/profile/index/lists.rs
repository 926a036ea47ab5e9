//! The lists of the index: under each key the entries of filters that can only match a kill with that key.
//!
//! An entry is a tag (the profile's id and flags); guarded ones have a guard beside it. Short lists lie in a [`Pool`], sorted by the least ISK that the guards
//! allow; long ones are split by it: so a cheap kill does not look at what only dear ones match.

use super::cells;
use super::guard::Guard;
use super::pool::{self, Pool};

/// Bits of an id.
pub(super) const ID: u32 = (1 << 24) - 1;
/// The tag of a profile that may stand in several lists of one kill, or may have been excluded.
pub(super) const ONCE: u32 = 1 << 30;
/// The tag of a profile whose filter others share.
pub(super) const SHARED: u32 = 1 << 31;
/// Where the code stands in a tag: five bits, and then one that hits have.
pub(super) const CODE: u32 = 24;

/// An entry with a guard: its span of ISK, the common word, classes and masks of both members, tag.
pub(super) type Guarded = [u32; 5];

/// As an entry of a list.
pub(super) fn guarded(guard: Guard, tag: u32) -> Guarded {
    let [first, second] = guard.members.map(|member| member.class << cells::CELLS | member.mask);
    let (least, most) = guard.isk;
    [u32::from(least) | u32::from(most) << 16, guard.common, first, second, tag | guard.code << CODE]
}

/// What lists are made of.
pub(super) trait Entry: Copy + Default {
    /// Entries of a list that is not split yet.
    const FEW: usize;
    fn tag(self) -> u32;
    fn retagged(self, tag: u32) -> Self;
    /// Whether there is a least [`cells::step`] that is allowed.
    const HAS_LEAST: bool;
    /// It.
    fn least(self) -> u16;
}

impl Entry for u32 {
    const FEW: usize = 1_024;
    const HAS_LEAST: bool = false;

    fn tag(self) -> u32 {
        self
    }

    fn retagged(self, tag: u32) -> Self {
        tag
    }

    fn least(self) -> u16 {
        0
    }
}

impl Entry for Guarded {
    const FEW: usize = 64;
    const HAS_LEAST: bool = true;

    fn tag(self) -> u32 {
        self[4]
    }

    fn retagged(self, tag: u32) -> Self {
        [self[0], self[1], self[2], self[3], tag]
    }

    fn least(self) -> u16 {
        self[0] as u16
    }
}

/// A long list has so many.
pub(super) const PARTS: usize = 16;

/// The part of entries that allow no less, and the last part that a kill of this worth looks at.
pub(super) fn part(step: u16) -> usize {
    // Millions of ISK. Ten are what half of all kills are below.
    const MILLIONS: [i64; PARTS - 1] = [3, 9, 15, 25, 40, 60, 90, 140, 190, 300, 450, 700, 1_200, 3_000, 20_000];
    const STARTS: [u16; PARTS - 1] = {
        let (mut starts, mut at) = ([0; PARTS - 1], 0);
        while at < PARTS - 1 {
            starts[at] = cells::step(MILLIONS[at] * 100_000_000);
            at += 1;
        }
        starts
    };
    STARTS.iter().map(|start| usize::from(*start <= step)).sum()
}

/// The part of an entry with this guard; without one it is a tag alone.
pub(super) fn part_of(guard: Guard) -> usize {
    if guard.is_nothing() { part(0) } else { part(guard.isk.0) }
}

/// One list: where it lies, and its length.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct List {
    place: u32,
    length: u32,
}

/// The entries of a list.
pub(super) enum Entries<'l, T> {
    Run(&'l [T]),
    Parts(&'l [Vec<T>]),
}

/// Lists of one kind of entries.
#[derive(Debug)]
pub(super) struct Lists<T, const BLOCK: usize> {
    pool: Pool<T, BLOCK>,
    long: Vec<[Vec<T>; PARTS]>,
    free: Vec<u32>,
}

impl<T, const BLOCK: usize> Default for Lists<T, BLOCK> {
    fn default() -> Self {
        Self { pool: Pool::default(), long: Vec::new(), free: Vec::new() }
    }
}

impl List {
    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.length == 0
    }

    const fn length(self) -> usize {
        self.length as usize
    }
}

impl<T: Entry, const BLOCK: usize> Lists<T, BLOCK> {
    /// Where the runs of a list begin: asked for ahead, so that memory is waited for once.
    #[inline]
    pub(super) fn touch(&self, list: List, step: u16) -> u32 {
        let tag = |entry: Option<&T>| entry.map_or(0, |entry| entry.tag());
        if list.length() <= T::FEW {
            return tag(self.pool.run(list.place, list.length().min(1)).first());
        }
        self.long[list.place as usize][..=part(step)].iter().fold(0, |all, part| all ^ tag(part.first()))
    }

    /// The entries of a list: at least all that allow this step.
    #[inline(always)]
    pub(super) fn entries(&self, list: List, step: u16) -> Entries<'_, T> {
        if list.length() > T::FEW {
            return Entries::Parts(&self.long[list.place as usize][..=part(step)]);
        }
        let run = self.pool.run(list.place, list.length());
        if !T::HAS_LEAST || run.len() <= 4 {
            return Entries::Run(run);
        }
        let end = run.partition_point(|entry| entry.least() <= step);
        Entries::Run(&run[..end])
    }

    pub(super) fn push(&mut self, list: &mut List, entry: T) {
        let length = list.length();
        if length >= T::FEW {
            if length == T::FEW {
                self.lengthen(list);
            }
            let part = &mut self.long[list.place as usize][part(entry.least())];
            if part.len() == part.capacity() {
                // Doubling would leave a quarter of all memory unused.
                part.reserve_exact((part.len() / 8).max(8));
            }
            part.push(entry);
        } else {
            if length == 0 || pool::room(length) == length {
                let place = self.pool.take(length + 1);
                for index in 0..length {
                    let moved = self.pool.run(list.place, length)[index];
                    self.pool.run_mut(place, length + 1)[index] = moved;
                }
                self.pool.give(list.place, length);
                list.place = place;
            }
            let run = self.pool.run_mut(list.place, length + 1);
            let at = run[..length].partition_point(|other| other.least() <= entry.least());
            run.copy_within(at..length, at + 1);
            run[at] = entry;
        }
        list.length += 1;
    }

    /// From the pool into parts.
    fn lengthen(&mut self, list: &mut List) {
        let mut parts: [Vec<T>; PARTS] = std::array::from_fn(|_| Vec::new());
        for entry in self.pool.run(list.place, list.length()) {
            parts[part(entry.least())].push(*entry);
        }
        self.pool.give(list.place, list.length());
        list.place = match self.free.pop() {
            Some(place) => {
                self.long[place as usize] = parts;
                place
            }
            None => {
                self.long.push(parts);
                self.long.len() as u32 - 1
            }
        };
    }

    /// Takes the entry of an id out, which in a long list is in this part; whether there was one.
    pub(super) fn remove(&mut self, list: &mut List, id: u32, part: usize) -> bool {
        let length = list.length();
        if length <= T::FEW {
            let Some(at) = position(self.pool.run(list.place, length), id) else { return false };
            let run = self.pool.run_mut(list.place, length);
            run.copy_within(at + 1.., at);
            list.length -= 1;
            self.shrink(list, length);
            return true;
        }
        let part = &mut self.long[list.place as usize][part];
        let Some(at) = position(part, id) else { return false };
        part.swap_remove(at);
        list.length -= 1;
        if list.length() == T::FEW {
            self.shorten(list);
        }
        true
    }

    /// Into a smaller run, if one would do for the list that was so long.
    fn shrink(&mut self, list: &mut List, before: usize) {
        let length = list.length();
        if length > 0 && pool::room(length) == pool::room(before) {
            return;
        }
        let place = if length == 0 { 0 } else { self.pool.take(length) };
        for index in 0..length {
            let moved = self.pool.run(list.place, before)[index];
            self.pool.run_mut(place, length)[index] = moved;
        }
        self.pool.give(list.place, before);
        list.place = place;
    }

    /// From parts into the pool.
    fn shorten(&mut self, list: &mut List) {
        let parts = std::mem::take(&mut self.long[list.place as usize]);
        self.free.push(list.place);
        list.place = self.pool.take(list.length());
        let run = self.pool.run_mut(list.place, list.length());
        for (place, entry) in run.iter_mut().zip(parts.into_iter().flatten()) {
            *place = entry;
        }
        run.sort_unstable_by_key(|entry| entry.least());
    }

    /// Gives all entries of an id another tag, made of their own. (A profile may be in a list for two of its leaves.)
    pub(super) fn retag(&mut self, list: List, id: u32, part: usize, tag: impl Fn(u32) -> u32) {
        let retag = |run: &mut [T]| {
            let entries = run.iter_mut().filter(|entry| entry.tag() & ID == id);
            entries.for_each(|entry| *entry = entry.retagged(tag(entry.tag())));
        };
        if list.length() <= T::FEW {
            retag(self.pool.run_mut(list.place, list.length()));
        } else {
            retag(&mut self.long[list.place as usize][part]);
        }
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.long.iter().flatten().map(|part| part.capacity() * size_of::<T>()).sum::<usize>();
        self.pool.bytes() + self.long.capacity() * size_of::<[Vec<T>; PARTS]>() + parts
    }
}

fn position<T: Entry>(run: &[T], id: u32) -> Option<usize> {
    run.iter().position(|entry| entry.tag() & ID == id)
}
