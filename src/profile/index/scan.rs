//! Which guards of a run of entries a kill fits: one by one, or several at a time where the processor can.

use super::cells::CELLS;
use super::guard::MASK;
use super::lists::Guarded;

/// Entries looked at between two looks at how many were found.
pub(super) const RUN: usize = 1_024;
/// Tags of entries that fit, before they are worked off. Some may be written beyond the last that counts.
pub(super) type Hits = [u32; 4 * RUN];

/// How entries are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Speed {
    /// One by one.
    #[default]
    Scalar,
}

/// What a kill's bits are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits<'v> {
    pub(super) common: u64,
    pub(super) classes: &'v [u32; 32],
}

/// Writes the tags of entries that fit after the first `count` hits; says how many there are then. At most [`RUN`] entries.
#[inline]
pub(super) fn scan(run: &[Guarded], bits: Bits<'_>, hits: &mut Hits, count: usize) -> usize {
    scalar(run, bits, hits, count)
}

#[inline]
fn scalar(run: &[Guarded], bits: Bits<'_>, hits: &mut Hits, mut count: usize) -> usize {
    let (low, high) = (bits.common as u32, (bits.common >> 32) as u32);
    for [first, second, class, tag] in run {
        let missed = (low & !first) | (high & !second);
        let met = bits.classes[(class >> CELLS) as usize & 31] & class & MASK;
        hits[count % hits.len()] = *tag;
        count += usize::from(missed == 0) & usize::from(met != 0);
    }
    count
}
