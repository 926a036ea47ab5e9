//! Which guards of a run of entries a kill fits: one by one, or several at a time where the processor can.

use super::cells::CELLS;
use super::guard::MASK;
use super::lists::Guarded;
use super::view::CLASSES;

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

/// What guards are held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe<'v> {
    pub(super) isk: u16,
    pub(super) common: u32,
    pub(super) classes: &'v [u32; CLASSES],
}

/// In the tag of a hit: its filter must be evaluated, because the kill is worth about as much as the guard's span begins or ends with.
pub(super) const EDGE: u32 = 1 << 29;

/// Writes the tags of entries that fit after the first `count` hits; says how many there are then. At most [`RUN`] entries.
#[inline]
pub(super) fn scan(run: &[Guarded], probe: Probe<'_>, hits: &mut Hits, count: usize) -> usize {
    scalar(run, probe, hits, count)
}

#[inline]
fn scalar(run: &[Guarded], probe: Probe<'_>, hits: &mut Hits, mut count: usize) -> usize {
    let Probe { isk, common, classes } = probe;
    for [span, allowed, first, second, tag] in run {
        let (least, most) = (*span as u16, (*span >> 16) as u16);
        let met = |member: &u32| classes[(member >> CELLS) as usize % CLASSES] & member & MASK != 0;
        let is_fit = (least <= isk) & (isk <= most) & (common & !allowed == 0) & met(first) & met(second);
        let is_edge = (least == isk) | (isk == most);
        hits[count % hits.len()] = *tag | u32::from(is_edge) << EDGE.trailing_zeros();
        count += usize::from(is_fit);
    }
    count
}
