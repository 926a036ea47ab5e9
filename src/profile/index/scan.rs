//! Which guards of a run of entries a kill fits: one by one, or several at a time where the processor can.

use super::cells::CELLS;
use super::guard::MASK;
use super::lists::Guarded;
use super::view::CLASSES;

/// Entries looked at between two looks at how many were found.
pub(super) const RUN: usize = 1_024;
/// Tags of entries that fit, before they are worked off. Some may be written beyond the last that counts.
pub(super) type Hits = [u32; 4 * RUN];

/// With which of the processor's instructions kills are matched. What is found is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// One by one, with what every processor has.
    Scalar,
    /// One by one, with AVX2 and what comes with it. (Its registers have room for one entry, and no tables.)
    Avx2,
    /// Three at a time, with AVX-512.
    Avx512,
}

/// How this processor does it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scanner {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
}

impl Scanner {
    /// As wanted, if the processor can.
    pub(super) fn new(speed: Speed) -> Option<Self> {
        match speed {
            Speed::Scalar => Some(Self::Scalar),
            #[cfg(target_arch = "x86_64")]
            Speed::Avx2 => pulp::x86::V3::try_new().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Speed::Avx512 => pulp::x86::V4::try_new().map(Self::Avx512),
            #[cfg(not(target_arch = "x86_64"))]
            Speed::Avx2 | Speed::Avx512 => None,
        }
    }
}

impl Default for Scanner {
    fn default() -> Self {
        [Speed::Avx512, Speed::Avx2].into_iter().find_map(Self::new).unwrap_or(Self::Scalar)
    }
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

/// What is done with the instructions that the processor has: whatever is always inlined into it is compiled for each.
pub(super) trait Work {
    fn run(self);
}

#[cfg(target_arch = "x86_64")]
struct Compiled<W>(W);

#[cfg(target_arch = "x86_64")]
impl<W: Work> pulp::NullaryFnOnce for Compiled<W> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.0.run();
    }
}

impl Scanner {
    #[inline]
    pub(super) fn work(self, work: impl Work) {
        match self {
            Self::Scalar => work.run(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.vectorize(Compiled(work)),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.vectorize(Compiled(work)),
        }
    }
}

/// Hits that are written at a time.
pub(super) const STRIDE: usize = 16;

impl Scanner {
    /// A bit for each of these words that is this one.
    #[inline(always)]
    pub(super) fn same(self, words: &[u32; 16], word: u32) -> u32 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => wide::same(simd, words, word),
            _ => (0..16).fold(0, |same, at| same | u32::from(words[at] == word) << at),
        }
    }

    /// A bit for each half of these words, the lower first, that is this one.
    #[inline(always)]
    pub(super) fn same_half(self, words: &[u32; 16], half: u16) -> u32 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => wide::same_half(simd, words, half),
            _ => (0..32).fold(0, |same, at| same | u32::from((words[at / 2] >> (at % 2 * 16)) as u16 == half) << at),
        }
    }

    /// Writes the tags of entries that fit after the first `count` hits; says how many there are then. At most [`RUN`] entries, and [`STRIDE`] more places
    /// than that.
    #[inline(always)]
    pub(super) fn scan(self, run: &[Guarded], probe: Probe<'_>, hits: &mut Hits, count: usize) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) if run.len() > FEW => wide::scan(simd, run, probe, hits, count),
            _ => scalar(run, probe, hits, count),
        }
    }
}

/// Runs that are looked through before wide registers are made ready.
#[cfg(target_arch = "x86_64")]
const FEW: usize = 6;

#[inline(always)]
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

#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words of which the bits that guards compare are often alike.
    fn entry() -> impl Strategy<Value = Guarded> {
        let member = prop_oneof![
            Just(MASK),
            any::<u32>(),
            (0..64_u32, 0..26_u32).prop_map(|(class, bit)| class << CELLS | 1 << bit)
        ];
        let isk = prop_oneof![
            Just(0xffff_0000_u32),
            (0..4_u32, 0..4_u32).prop_map(|(least, most)| least | most << 16),
            any::<u32>()
        ];
        (isk, any::<[u32; 2]>(), member.clone(), member, any::<u32>())
            .prop_map(|(isk, [some, more], first, second, tag)| [isk, some | more, first, second, tag & !EDGE])
    }

    proptest! {
        #[test]
        fn three_at_a_time_find_what_is_found_one_by_one(
            run in prop::collection::vec(entry(), 0..100),
            isk in prop_oneof![0..4_u16, any::<u16>()],
            common: u32,
            classes in prop::collection::vec(any::<u32>(), CLASSES),
        ) {
            let Some(wide) = Scanner::new(Speed::Avx512) else { return Ok(()) };
            let classes = classes.try_into().expect("as many");
            let probe = Probe { isk, common: common & common.rotate_left(7), classes: &classes };
            let found = [Scanner::Scalar, wide].map(|scanner| {
                let mut hits = [0; 4 * RUN];
                let count = scanner.scan(&run, probe, &mut hits, 3);
                hits[3..count].to_vec()
            });
            prop_assert_eq!(&found[0], &found[1]);
        }
    }
}
