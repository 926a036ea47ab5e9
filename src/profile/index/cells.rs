//! Each field's values sorted into at most 26 cells, and one more for kills without a value: what the guards of entries are made of.
//!
//! A kill lies in one cell of each field. A test of the field holds in some cells wholly, in others partly or nowhere; where it holds partly, the value
//! itself must be looked at. Numbers are cut where users put their thresholds, words and hours have cells of their own, ids are scattered.
//!
//! A sum of ISK that lies exactly on a cut is in no cell, so that `gt` and `gte` of it can share the cells: such a kill is *wild*, and whatever is asked of it
//! is evaluated.

use crate::profile::field::{FIELDS, Field, Kind};

/// Cells of a field at most, that of no value included.
pub(super) const CELLS: u32 = 27;
/// Words with a cell of their own.
const WORDS: u32 = 25;

/// Millions of ISK where users put thresholds.
const ISK: [i64; 19] = {
    let mut cuts =
        [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1_000, 2_000, 2_500, 5_000, 10_000, 20_000, 50_000, 100_000];
    let mut at = 0;
    while at < cuts.len() {
        cuts[at] *= 100_000_000;
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
    /// Between cuts, which are in no cell.
    Open(&'static [i64]),
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
        // In the common word of all guards, where there is room for less.
        Field::ShipTypeId => Scheme::Scattered(16),
        _ => match field.kind() {
            Kind::Money => Scheme::Open(&ISK),
            Kind::Security => Scheme::From(&SECURITY),
            Kind::Flag => Scheme::Points(0, 2),
            Kind::Text => Scheme::Words,
            Kind::Id | Kind::Count => Scheme::Scattered(26),
        },
    }
}

/// The cell of no value, which is also the number of the others.
pub(super) const fn absent(field: Field) -> u32 {
    match scheme(field) {
        Scheme::Open(cuts) | Scheme::From(cuts) => cuts.len() as u32 + 1,
        Scheme::Points(_, count) | Scheme::Scattered(count) => count,
        Scheme::Words => WORDS + 1,
    }
}

/// Whether the field's numbers are cut into bands.
pub(super) const fn is_banded(field: Field) -> bool {
    matches!(scheme(field), Scheme::Open(_) | Scheme::From(_))
}

/// The first and the last of the field's few possible numbers: no kill has others, so a test of a span may be listed under them.
pub(super) const fn points(field: Field) -> Option<(i64, i64)> {
    match scheme(field) {
        Scheme::Points(first, count) => Some((first, first + count as i64 - 1)),
        _ => None,
    }
}

/// The cell of a value; `None`: it is wild.
pub(super) fn cell(field: Field, value: i64) -> Option<u32> {
    match scheme(field) {
        Scheme::Open(cuts) => {
            let below = cuts.iter().map(|cut| u32::from(*cut < value)).sum::<u32>();
            (cuts.get(below as usize) != Some(&value)).then_some(below)
        }
        Scheme::From(starts) => Some(starts.iter().map(|start| u32::from(*start <= value)).sum()),
        Scheme::Points(first, count) => u32::try_from(value.wrapping_sub(first)).ok().filter(|cell| *cell < count),
        Scheme::Scattered(count) => Some(scattered(value, count)),
        Scheme::Words => Some(u32::try_from(value).unwrap_or(WORDS).min(WORDS)),
    }
}

fn scattered(value: i64, count: u32) -> u32 {
    let hash = (value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    ((hash * u64::from(count)) >> 32) as u32
}

/// The lowest band of which a number that is at least `least` may be; kills that are wild count to the band above the cut.
pub(super) fn lowest(field: Field, least: i64) -> u32 {
    match scheme(field) {
        Scheme::Open(cuts) | Scheme::From(cuts) => cuts.iter().map(|cut| u32::from(*cut <= least)).sum(),
        _ => 0,
    }
}

/// The numbers of a cell that has a first and a last.
pub(super) fn bounds(field: Field, cell: u32) -> (i64, i64) {
    let (cuts, gap) = match scheme(field) {
        Scheme::Open(cuts) => (cuts, 1),
        Scheme::From(starts) => (starts, 0),
        Scheme::Points(first, _) => return (first + i64::from(cell), first + i64::from(cell)),
        Scheme::Scattered(_) | Scheme::Words => return (i64::MIN, i64::MAX),
    };
    let low = (cell as usize).checked_sub(1).and_then(|before| cuts.get(before));
    let high = cuts.get(cell as usize);
    (low.map_or(i64::MIN, |cut| cut + gap), high.map_or(i64::MAX, |cut| cut - 1))
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
        let Some(cell) = cell(field, *value) else { continue };
        let is_alone = match scheme(field) {
            Scheme::Points(..) => true,
            Scheme::Words => cell < WORDS,
            Scheme::Open(_) | Scheme::From(_) => bounds(field, cell) == (*value, *value),
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
        Field::IskValue => Some((0, 21)),
        Field::Npc => Some((21, 3)),
        Field::Solo => Some((24, 3)),
        Field::AttackerCount => Some((27, 12)),
        Field::SecurityStatus => Some((39, 8)),
        Field::ShipTypeId => Some((47, 17)),
        _ => None,
    }
}

/// The fields with bits in the common word.
pub(super) const GROUPED: [Field; 6] =
    [Field::IskValue, Field::Npc, Field::Solo, Field::AttackerCount, Field::SecurityStatus, Field::ShipTypeId];

/// The number of a field that has none there, from 1 to 30.
pub(super) const fn class(field: Field) -> u32 {
    CLASSES[field as usize]
}

const CLASSES: [u32; FIELDS] = {
    let (mut classes, mut at, mut next) = ([0; FIELDS], 0, 1);
    while at < FIELDS {
        if group(Field::ALL[at]).is_none() {
            classes[at] = next;
            next += 1;
        }
        at += 1;
    }
    assert!(next <= 32, "five bits hold a class");
    classes
};

/// Which bit of a kill says that it lies in this cell, if the field has such bits.
pub(super) const fn code(field: Field, cell: u32) -> Option<u32> {
    match field {
        Field::IskValue => Some(cell),
        Field::AttackerCount => Some(20 + cell),
        Field::SecurityStatus => Some(31 + cell),
        _ => None,
    }
}

const _: () = {
    let (mut at, mut end) = (0, 0);
    while at < GROUPED.len() {
        let Some((first, width)) = group(GROUPED[at]) else { panic!("a group") };
        assert!(first == end && width == absent(GROUPED[at]) + 1, "groups stand side by side");
        end += width;
        at += 1;
    }
    assert!(end == 64, "groups fill the word");
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
        assert_eq!(cell(Field::SecurityStatus, security_key(-0.3)), Some(0));
        assert_eq!(cell(Field::SecurityStatus, security_key(0.0)), Some(1));
    }

    #[test]
    fn a_sum_on_a_cut_is_wild() {
        assert_eq!(cell(Field::IskValue, 10_000_000_000), None);
        assert_eq!(cell(Field::IskValue, 10_000_000_001), Some(8));
        assert_eq!(cell(Field::IskValue, 9_999_999_999), Some(7));
    }

    proptest! {
        #[test]
        fn cells_of_a_test_hold_its_values(place in 0..FIELDS, a in -3_i64..60, b in -3_i64..60, value in -3_i64..60, scale in 0_u32..12) {
            let field = Field::ALL[place];
            let [a, b, value] = [a, b, value].map(|number| number * 10_i64.pow(scale));
            if let Some(cell) = cell(field, value) {
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
        }
    }
}
