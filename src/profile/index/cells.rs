//! Each field's values sorted into at most 25 cells, and one more for kills without a value: what the guards of entries are made of.
//!
//! A kill lies in one cell of each field. A test of the field holds in some cells wholly, in others partly or nowhere; where it holds partly, the value
//! itself must be looked at. Numbers are cut where users put their thresholds, words and hours have cells of their own, ids are scattered, twice.

use crate::profile::field::{FIELDS, Field, Kind};

/// Cells of a field at most, that of no value included.
pub(super) const CELLS: u32 = 26;
/// Words with a cell of their own.
const WORDS: u32 = 24;

/// One cent above so many millions of ISK, where most users put thresholds.
const ISK: [i64; 19] = {
    let mut cuts =
        [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1_000, 2_000, 2_500, 5_000, 10_000, 20_000, 50_000, 100_000];
    let mut at = 0;
    while at < cuts.len() {
        cuts[at] = cuts[at] * 100_000_000 + 1;
        at += 1;
    }
    cuts
};
/// Where cells begin. Both `gte` and `gt` of the commonest numbers have a cut.
const ATTACKERS: [i64; 10] = [2, 3, 5, 6, 10, 11, 20, 21, 50, 51];
const AGE: [i64; 16] =
    [61, 300, 301, 600, 601, 900, 901, 1_800, 1_801, 3_600, 3_601, 7_200, 7_201, 86_400, 86_401, 604_801];
const SECURITY: [i64; 6] = [key(0.0), key(0.0) + 1, key(0.45), key(0.5), key(0.5) + 1, key(0.85)];

/// As [`security_key`](crate::profile::security_key), of what is not negative.
const fn key(status: f64) -> i64 {
    status.to_bits() as i64
}

/// How a field's values are sorted.
enum Scheme {
    /// From each start to the next.
    From(&'static [i64]),
    /// So many numbers from the first.
    Points(i64, u32),
    /// Scattered over so many.
    Scattered(u32),
    /// Numbers of words.
    Words,
}

const fn scheme(field: Field) -> Scheme {
    match field {
        Field::AttackerCount => Scheme::From(&ATTACKERS),
        Field::AgeSeconds => Scheme::From(&AGE),
        Field::Hour => Scheme::Points(0, 24),
        Field::Weekday => Scheme::Points(1, 7),
        _ => match field.kind() {
            Kind::Money => Scheme::From(&ISK),
            Kind::Security => Scheme::From(&SECURITY),
            Kind::Flag => Scheme::Points(0, 2),
            Kind::Text => Scheme::Words,
            Kind::Id | Kind::Count => Scheme::Scattered(25),
        },
    }
}

/// The cell of no value, which is also the number of the others.
pub(super) const fn absent(field: Field) -> u32 {
    match scheme(field) {
        Scheme::From(cuts) => cuts.len() as u32 + 1,
        Scheme::Points(_, count) | Scheme::Scattered(count) => count,
        Scheme::Words => WORDS + 1,
    }
}

/// Whether the field's numbers are cut into bands.
pub(super) const fn is_banded(field: Field) -> bool {
    matches!(scheme(field), Scheme::From(_))
}

/// The fields whose numbers are.
pub(super) const BANDED: [Field; 6] = [
    Field::SecurityStatus,
    Field::IskValue,
    Field::DestroyedValue,
    Field::DroppedValue,
    Field::AttackerCount,
    Field::AgeSeconds,
];

/// The first and the last of the field's few possible numbers: no kill has others, so a test of a span may be listed under them.
pub(super) const fn points(field: Field) -> Option<(i64, i64)> {
    match scheme(field) {
        Scheme::Points(first, count) => Some((first, first + count as i64 - 1)),
        _ => None,
    }
}

/// The cell of a value.
#[inline(always)]
pub(super) fn cell(field: Field, value: i64) -> u32 {
    match scheme(field) {
        Scheme::From(_) => lowest(field, value),
        Scheme::Points(first, count) => u32::try_from(value.wrapping_sub(first)).unwrap_or(count).min(count - 1),
        Scheme::Scattered(count) => scattered(value, count, 0x9e37_79b9_7f4a_7c15),
        Scheme::Words => u32::try_from(value).unwrap_or(WORDS).min(WORDS),
    }
}

/// Another cell of a value that is scattered.
#[inline(always)]
pub(super) fn second(value: i64) -> u32 {
    scattered(value, CELLS - 1, 0xc2b2_ae3d_27d4_eb4f)
}

/// Whether a field has [`second`] cells.
pub(super) const fn is_scattered(field: Field) -> bool {
    matches!(scheme(field), Scheme::Scattered(_))
}

#[inline(always)]
fn scattered(value: i64, count: u32, factor: u64) -> u32 {
    let hash = (value as u64 ^ (value as u64) >> 21).wrapping_mul(factor) >> 32;
    ((hash * u64::from(count)) >> 32) as u32
}

/// The lowest band of which a number that is at least `least` may be.
#[inline(always)]
pub(super) fn lowest(field: Field, least: i64) -> u32 {
    match scheme(field) {
        Scheme::From(starts) => starts.iter().map(|start| u32::from(*start <= least)).sum(),
        _ => 0,
    }
}

/// The numbers of a cell that has a first and a last.
pub(super) fn bounds(field: Field, cell: u32) -> (i64, i64) {
    let starts = match scheme(field) {
        Scheme::From(starts) => starts,
        Scheme::Points(first, _) => return (first + i64::from(cell), first + i64::from(cell)),
        Scheme::Scattered(_) | Scheme::Words => return (i64::MIN, i64::MAX),
    };
    let low = (cell as usize).checked_sub(1).and_then(|before| starts.get(before));
    let high = starts.get(cell as usize);
    (low.map_or(i64::MIN, |start| *start), high.map_or(i64::MAX, |start| start - 1))
}

/// Cells as bits: those in which a test may hold, and those in which it surely does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cells {
    pub(super) may: u32,
    pub(super) must: u32,
}

/// All cells of a field that hold values.
pub(super) const fn present(field: Field) -> u32 {
    (1 << absent(field)) - 1
}

/// Where a value is one of these.
pub(super) fn of_list(field: Field, values: &[i64]) -> Cells {
    let mut cells = Cells { may: 0, must: 0 };
    for value in values {
        if let Some((first, last)) = points(field)
            && (*value < first || *value > last)
        {
            continue;
        }
        let cell = cell(field, *value);
        let is_alone = match scheme(field) {
            Scheme::Points(..) => true,
            Scheme::Words => cell < WORDS,
            Scheme::From(_) => bounds(field, cell) == (*value, *value),
            Scheme::Scattered(_) => false,
        };
        cells.may |= 1 << cell;
        cells.must |= u32::from(is_alone) << cell;
    }
    cells
}

/// Where a value lies within.
pub(super) fn of_span(field: Field, least: i64, most: i64) -> Cells {
    let mut cells = Cells { may: 0, must: 0 };
    for cell in 0..absent(field) {
        let (low, high) = bounds(field, cell);
        cells.may |= u32::from(least <= high && low <= most) << cell;
        cells.must |= u32::from(least <= low && high <= most) << cell;
    }
    cells
}

/// Where the bits of a field stand in the common word of guards: the first, and how many.
pub(super) const fn group(field: Field) -> Option<(u32, u32)> {
    match field {
        Field::Npc => Some((0, 3)),
        Field::Solo => Some((3, 3)),
        Field::Awox => Some((6, 3)),
        Field::AttackerCount => Some((9, 12)),
        Field::SecurityStatus => Some((21, 8)),
        _ => None,
    }
}

/// The fields with bits in the common word.
pub(super) const GROUPED: [Field; 5] =
    [Field::Npc, Field::Solo, Field::Awox, Field::AttackerCount, Field::SecurityStatus];

/// The number of a field that has none there, from 1 to 30. What a kill is worth has one and does not use it.
pub(super) const fn class(field: Field) -> u32 {
    CLASSES[field as usize]
}

/// The number of a field's second cells.
pub(super) const fn second_class(field: Field) -> u32 {
    SECOND | CLASSES[field as usize]
}

/// What numbers of second cells have.
pub(super) const SECOND: u32 = 32;

const CLASSES: [u32; FIELDS] = {
    let (mut classes, mut at, mut next) = ([0; FIELDS], 0, 1);
    while at < FIELDS {
        if group(Field::ALL[at]).is_none() {
            classes[at] = next;
            next += 1;
        }
        at += 1;
    }
    assert!(next <= SECOND, "five bits hold a class");
    classes
};

/// Which bit of a kill says that it lies in this cell, if the field has such bits.
pub(super) const fn code(field: Field, cell: u32) -> Option<u32> {
    match field {
        Field::AttackerCount => Some(cell),
        Field::SecurityStatus => Some(11 + cell),
        _ => None,
    }
}

/// What a kill is worth, or a bound of it, on a scale of steps of a thousandth; a greater sum is no lower.
pub(super) const fn step(cents: i64) -> u16 {
    let cents = if cents < 0 { 0 } else { cents as u64 };
    let size = (cents | 1).ilog2().saturating_sub(10);
    (3 + size as u64 * 1_024 + (cents >> size)) as u16
}

/// The step of a kill of which it is not known, below all others; and a bound between.
pub(super) const UNKNOWN: u16 = 1;
pub(super) const KNOWN: u16 = 2;

const _: () = {
    let (mut at, mut end) = (0, 0);
    while at < GROUPED.len() {
        let Some((first, width)) = group(GROUPED[at]) else { panic!("a group") };
        assert!(first == end && width == absent(GROUPED[at]) + 1, "groups stand side by side");
        end += width;
        at += 1;
    }
    assert!(end <= 32, "groups fit the word");
    let mut at = 0;
    while at < FIELDS {
        assert!(absent(Field::ALL[at]) < CELLS, "cells fit");
        at += 1;
    }
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::security_key;

    #[test]
    fn cuts_of_security_are_those_of_its_keys() {
        assert_eq!(key(0.45), security_key(0.45));
        assert_eq!(cell(Field::SecurityStatus, security_key(-0.3)), 0);
        assert_eq!(cell(Field::SecurityStatus, security_key(0.0)), 1);
    }

    proptest! {
        #[test]
        fn cells_of_a_test_hold_its_values(place in 0..FIELDS, a in -3_i64..60, b in -3_i64..60, value in -3_i64..60, scale in 0_u32..12) {
            let field = Field::ALL[place];
            let [a, b, value] = [a, b, value].map(|number| number * 10_i64.pow(scale));
            prop_assume!(points(field).is_none_or(|(first, last)| first <= value && value <= last));
            let cell = cell(field, value);
            let span = of_span(field, a, b);
            prop_assert!(a > value || value > b || span.may >> cell & 1 == 1);
            prop_assert!((a <= value && value <= b) || span.must >> cell & 1 == 0);
            let list = of_list(field, &[a, b]);
            prop_assert!((a != value && b != value) || list.may >> cell & 1 == 1);
            prop_assert!(a == value || b == value || list.must >> cell & 1 == 0);
            if is_banded(field) {
                let (low, high) = bounds(field, cell);
                prop_assert!(low <= value && value <= high);
            }
        }

        #[test]
        fn steps_are_in_order_and_none_is_a_bound(a: i64, b: i64, shift in 0_u32..63) {
            let [a, b] = [a, b].map(|number| number >> shift);
            prop_assert!(a > b || step(a) <= step(b));
            prop_assert!(step(a) > KNOWN && step(a) < u16::MAX);
        }
    }
}
