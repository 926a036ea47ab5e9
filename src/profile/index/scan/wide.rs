//! With AVX-512: three entries of five words in the sixteen lanes of a register, of which the last is not used.

use pulp::bytemuck::cast;
use pulp::x86::V4;
use std::arch::x86_64::__m512i;

use super::{CELLS, EDGE, Guarded, Hits, MASK, Probe, STRIDE, scalar};

/// Entries in a register.
const ENTRIES: usize = 3;
/// The first lanes of its entries.
const FIRST: u16 = 0b0000_0100_0010_0001;

/// As [`Scanner::scan`](super::Scanner::scan).
pub(super) fn scan(simd: V4, run: &[Guarded], probe: Probe<'_>, hits: &mut Hits, count: usize) -> usize {
    simd.vectorize(Scan { simd, run, probe, hits, count })
}

/// As [`Scanner::same`](super::Scanner::same).
#[inline(always)]
pub(super) fn same(simd: V4, words: &[u32; 16], word: u32) -> u32 {
    let avx = simd.avx512f;
    u32::from(avx._mm512_cmpeq_epi32_mask(cast(*words), avx._mm512_set1_epi32(word as i32)))
}

/// As [`Scanner::same_half`](super::Scanner::same_half).
#[inline(always)]
pub(super) fn same_half(simd: V4, words: &[u32; 16], half: u16) -> u32 {
    simd.avx512bw._mm512_cmpeq_epi16_mask(cast(*words), simd.avx512f._mm512_set1_epi16(half as i16))
}

struct Scan<'s> {
    simd: V4,
    run: &'s [Guarded],
    probe: Probe<'s>,
    hits: &'s mut Hits,
    count: usize,
}

impl pulp::NullaryFnOnce for Scan<'_> {
    type Output = usize;

    #[inline(always)]
    fn call(self) -> usize {
        let Self { simd, run, probe, hits, mut count } = self;
        let avx = simd.avx512f;
        let kill = Kill::new(simd, probe);
        let words = run.as_flattened();
        let mut at = 0;
        while let Some(Ok(sixteen)) = words.get(at..at + 16).map(<[u32; 16]>::try_from) {
            let entries: __m512i = cast(sixteen);
            let (fitting, edges) = kill.compare(simd, entries);
            // The tag is the fifth word.
            let tags = avx._mm512_mask_or_epi32(entries, edges << 4, entries, avx._mm512_set1_epi32(EDGE as i32));
            let found: [u32; STRIDE] = cast(avx._mm512_maskz_compress_epi32(fitting << 4, tags));
            let Some(place) = hits.get_mut(count..count + STRIDE) else { break };
            place.copy_from_slice(&found);
            count += fitting.count_ones() as usize;
            at += 5 * ENTRIES;
        }
        scalar(&run[at / 5..], probe, hits, count)
    }
}

/// A kill's bits, in the lanes where they are compared.
struct Kill {
    /// In the first lanes what no least may be above, and what no most may be below.
    least: __m512i,
    most: __m512i,
    /// In the first lanes its step, twice.
    step: __m512i,
    /// In the second lanes.
    common: __m512i,
    /// The cells of its classes, sixteen and sixteen.
    classes: [__m512i; 4],
    mask: __m512i,
}

fn lanes(first: u32, second: u32) -> __m512i {
    cast::<[u32; 16], __m512i>(std::array::from_fn(|lane| match lane % 5 {
        0 => first,
        1 => second,
        _ => 0,
    }))
}

impl Kill {
    #[inline(always)]
    fn new(simd: V4, probe: Probe<'_>) -> Self {
        let step = u32::from(probe.isk);
        let (quarters, _) = probe.classes.as_chunks::<16>();
        Self {
            least: lanes(step | 0xffff_0000, 0),
            most: lanes(step << 16, 0),
            step: lanes(step | step << 16, 0),
            common: lanes(0, probe.common),
            classes: std::array::from_fn(|quarter| cast(quarters[quarter])),
            mask: simd.avx512f._mm512_set1_epi32(MASK as i32),
        }
    }

    /// The first lanes of entries that fit, and of those at an edge of whose span the kill is.
    #[inline(always)]
    fn compare(&self, simd: V4, entries: __m512i) -> (u16, u16) {
        let (avx, words) = (simd.avx512f, simd.avx512bw);
        // Each subtraction leaves 0 when the bound is kept.
        let below = words._mm512_subs_epu16(entries, self.least);
        let above = words._mm512_subs_epu16(self.most, entries);
        let outside = avx._mm512_or_si512(below, above);
        let denied = avx._mm512_andnot_si512(entries, self.common);
        let missed = avx._mm512_mask_blend_epi32(FIRST, denied, outside);
        let kept = avx._mm512_testn_epi32_mask(missed, missed);

        let class = avx._mm512_srli_epi32::<CELLS>(entries);
        let [first, second, third, fourth] = self.classes;
        let low = avx._mm512_permutex2var_epi32(first, class, second);
        let high = avx._mm512_permutex2var_epi32(third, class, fourth);
        let cells = avx._mm512_mask_blend_epi32(simd.avx512dq._mm512_movepi32_mask(entries), low, high);
        let met = avx._mm512_test_epi32_mask(avx._mm512_and_si512(cells, entries), self.mask);

        let off = avx._mm512_xor_si512(entries, self.step);
        let at_least = avx._mm512_testn_epi32_mask(off, avx._mm512_set1_epi32(0xffff));
        let at_most = avx._mm512_testn_epi32_mask(off, avx._mm512_set1_epi32(0xffff_0000_u32 as i32));
        let fitting = kept & (kept >> 1) & (met >> 2) & (met >> 3) & FIRST;
        (fitting, (at_least | at_most) & FIRST)
    }
}
