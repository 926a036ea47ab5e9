//! A plan as words, to be evaluated without walking a tree, and small: it is all that is kept of a filter.
//!
//! Each test is two words and its operands: what it asks (4 bits), whether it is negated (1), the field (6), how many words of operands follow (16); then where to
//! go on when it holds (16) and when not (16): the place of another test, or [`HOLDS`], or [`FAILS`]. Values are half a word each when they are near each other,
//! as ids of one kind mostly are: then the least comes before them, and they are what they are above it. Others are one word each when all fit, or else two.

use super::plan::{Ask, Leaf, Plan};
use super::scan::Scanner;
use super::view::View;
use crate::profile::field::Field;

const HOLDS: u32 = 0xffff;
const FAILS: u32 = 0xfffe;
/// Words of a program at most.
pub(super) const WORDS_MAX: usize = 0xfff0;

const ANY_NARROW: u32 = 0;
const ANY_WIDE: u32 = 1;
const AT_LEAST: u32 = 2;
const AT_MOST: u32 = 3;
const BETWEEN: u32 = 4;
const EXISTS: u32 = 5;
/// As `ANY_NARROW`, of a field with one value at most.
const IS_NARROW: u32 = 6;
/// The same of values that are near each other: what most tests are.
const IS_NEAR: u32 = 7;

/// How far a value is at most above the least of those that are near each other: one that is not near is as if it were further.
const NEAR: u32 = 0xfffe;

/// The words of a plan, and where each of its leaves stands, in their order; `None`: there are too many.
pub(super) fn encode(plan: &Plan) -> Option<(Vec<u32>, Vec<u32>)> {
    let size = size(plan);
    if size > WORDS_MAX {
        return None;
    }
    let (mut words, mut places) = (Vec::with_capacity(size), Vec::new());
    write(plan, HOLDS, FAILS, &mut words, &mut places);
    Some((words, places))
}

fn size(plan: &Plan) -> usize {
    match plan {
        Plan::Always(_) => 0,
        Plan::And(members) | Plan::Or(members) => members.iter().map(size).sum(),
        Plan::Leaf(leaf) => {
            2 + match &leaf.ask {
                Ask::AnyOf(values) => listed(leaf.field, values).1,
                Ask::Within(i64::MIN, _) | Ask::Within(_, i64::MAX) => 2,
                Ask::Within(..) => 4,
                Ask::Exists => 0,
            }
        }
    }
}

/// How a list of values is written, and in how many words.
fn listed(field: Field, values: &[i64]) -> (u32, usize) {
    // The greatest word stands for a value that is absent.
    let is_narrow = values.iter().all(|value| u32::try_from(*value).is_ok_and(|word| word < u32::MAX));
    match values {
        _ if !is_narrow => (ANY_WIDE, 2 * values.len()),
        _ if field.is_many() => (ANY_NARROW, values.len()),
        [least, .., most] if most - least <= i64::from(NEAR) => (IS_NEAR, 1 + values.len().div_ceil(2)),
        _ => (IS_NARROW, values.len()),
    }
}

fn write(plan: &Plan, holds: u32, fails: u32, words: &mut Vec<u32>, places: &mut Vec<u32>) {
    match plan {
        Plan::Always(_) => {}
        Plan::Leaf(leaf) => {
            places.push(words.len() as u32);
            write_leaf(leaf, holds << 16 | fails, words);
        }
        Plan::And(members) | Plan::Or(members) => {
            let is_and = matches!(plan, Plan::And(_));
            for (index, member) in members.iter().enumerate() {
                let next = (words.len() + size(member)) as u32;
                let (holds, fails) = match (index + 1 == members.len(), is_and) {
                    (true, _) => (holds, fails),
                    (false, true) => (next, fails),
                    (false, false) => (holds, next),
                };
                write(member, holds, fails, words, places);
            }
        }
    }
}

fn write_leaf(leaf: &Leaf, jumps: u32, words: &mut Vec<u32>) {
    let (kind, count) = match &leaf.ask {
        Ask::AnyOf(values) => listed(leaf.field, values),
        Ask::Within(_, i64::MAX) => (AT_LEAST, 2),
        Ask::Within(i64::MIN, _) => (AT_MOST, 2),
        Ask::Within(..) => (BETWEEN, 4),
        Ask::Exists => (EXISTS, 0),
    };
    words.push(kind | u32::from(leaf.is_negated) << 4 | (leaf.field as u32) << 5 | (count as u32) << 16);
    words.push(jumps);
    let mut wide = |value: i64| words.extend([value as u32, (value >> 32) as u32]);
    match &leaf.ask {
        Ask::Within(least, i64::MAX) => wide(*least),
        Ask::Within(i64::MIN, most) => wide(*most),
        Ask::Within(least, most) => [*least, *most].into_iter().for_each(wide),
        Ask::AnyOf(values) if kind == IS_NEAR => {
            words.push(values[0] as u32);
            let above = |value: i64| (value - values[0]) as u32;
            words.extend(values.chunks(2).map(|two| above(two[0]) | above(two[two.len() - 1]) << 16));
        }
        Ask::AnyOf(values) if kind != ANY_WIDE => words.extend(values.iter().map(|value| *value as u32)),
        Ask::AnyOf(values) => values.iter().copied().for_each(wide),
        Ask::Exists => {}
    }
}

fn wide(words: &[u32]) -> i64 {
    i64::from(words[1]) << 32 | i64::from(words[0])
}

/// The first word of a test, taken apart.
#[derive(Debug, Clone, Copy)]
struct Head {
    kind: u32,
    is_negated: bool,
    field: usize,
    operands: usize,
}

impl Head {
    #[inline]
    const fn of(word: u32) -> Self {
        let [kind, field] = [word & 15, word >> 5 & 63];
        Self { kind, is_negated: word >> 4 & 1 == 1, field: field as usize, operands: (word >> 16) as usize }
    }

    /// Whether it is a list, for fields with one value, that is compared at once.
    #[inline(always)]
    const fn is_short(self) -> bool {
        (self.kind == IS_NARROW || self.kind == IS_NEAR) && self.operands <= 16
    }
}

/// Whether the kill is as the program says that is the first so many of these words.
#[inline(always)]
pub(super) fn holds(words: &[u32], length: usize, view: &View, scanner: Scanner) -> bool {
    let mut at = 0;
    while at < length
        && let Some([word, jumps, rest @ ..]) = words.get(at..)
    {
        let head = Head::of(*word);
        let is_so = match rest.first_chunk() {
            Some(sixteen) if head.is_short() => is_listed(head, sixteen, view, scanner),
            _ => test(head, &rest[..head.operands.min(rest.len())], view),
        };
        let next = if is_so != head.is_negated { jumps >> 16 } else { jumps & 0xffff };
        match next {
            HOLDS => return true,
            FAILS => return false,
            next => at = next as usize,
        }
    }
    true
}

/// Whether a leaf is a test that [`is_one_of`] answers.
pub(super) fn is_short(leaf: &Leaf) -> bool {
    let Ask::AnyOf(values) = &leaf.ask else { return false };
    let (kind, operands) = listed(leaf.field, values);
    !leaf.is_negated && Head { kind, is_negated: false, field: leaf.field as usize, operands }.is_short()
}

/// Whether the kill is as the test says at the start of these words, which is a [short](is_short) one. Takes as long whatever the answer is, with no
/// branch that depends on it: that is why it is there. Looks beyond the list, at the words of whatever comes next.
#[inline(always)]
pub(super) fn is_one_of(words: &[u32], view: &View, scanner: Scanner) -> bool {
    let Some(eighteen) = words.first_chunk::<18>() else { return holds_leaf(words, view) };
    let [word, _, list @ ..] = eighteen;
    is_listed(Head::of(*word), list, view, scanner)
}

/// Whether the kill's value is in the list at the start of these words.
#[inline(always)]
fn is_listed(head: Head, words: &[u32; 16], view: &View, scanner: Scanner) -> bool {
    let value = view.word(head.field);
    let whole = u64::from(scanner.same(words, value)) & ((1 << head.operands) - 1);
    let halves = u64::from(scanner.same_half(words, above(value, words[0]))) & ((1 << (2 * head.operands)) - 4);
    (if head.kind == IS_NEAR { halves } else { whole }) != 0
}

/// How far a value is above the least of a list, or further than any in it.
#[inline(always)]
const fn above(value: u32, least: u32) -> u16 {
    let above = value.wrapping_sub(least);
    if above > NEAR { u16::MAX } else { above as u16 }
}

/// The same where fewer words are left.
#[cold]
fn holds_leaf(words: &[u32], view: &View) -> bool {
    let [word, _, rest @ ..] = words else { return false };
    let head = Head::of(*word);
    test(head, &rest[..head.operands.min(rest.len())], view)
}

#[inline(always)]
fn test(head: Head, operands: &[u32], view: &View) -> bool {
    if !view.is_present(head.field) {
        return false;
    }
    if let Some(many) = view.many(head.field) {
        return match head.kind {
            ANY_NARROW => operands.iter().any(|operand| many.holds(i64::from(*operand))),
            ANY_WIDE => operands.chunks_exact(2).any(|pair| many.holds(wide(pair))),
            EXISTS => true,
            kind => many.values().iter().any(|value| is_within(kind, operands, *value)),
        };
    }
    let value = view.single(head.field);
    match head.kind {
        IS_NARROW => u32::try_from(value).is_ok_and(|value| operands.contains(&value)),
        IS_NEAR => {
            let [least, halves @ ..] = operands else { return false };
            let above = above(view.word(head.field), *least);
            halves.iter().any(|two| *two as u16 == above || (*two >> 16) as u16 == above)
        }
        ANY_WIDE => operands.chunks_exact(2).any(|pair| wide(pair) == value),
        EXISTS => true,
        kind => is_within(kind, operands, value),
    }
}

#[inline]
fn is_within(kind: u32, operands: &[u32], value: i64) -> bool {
    match kind {
        AT_LEAST => wide(operands) <= value,
        AT_MOST => value <= wide(operands),
        _ => wide(operands) <= value && value <= wide(&operands[2..]),
    }
}

/// The field of the test at a place of a program, whether it is negated, and what it asks.
pub(super) fn leaf(program: &[u32], at: u32) -> Leaf {
    let words = &program[at as usize..];
    let head = Head::of(words[0]);
    let operands = &words[2..2 + head.operands];
    let ask = match head.kind {
        ANY_NARROW | IS_NARROW => Ask::AnyOf(operands.iter().map(|operand| i64::from(*operand)).collect()),
        IS_NEAR => {
            let value = |above: u32| i64::from(operands[0]) + i64::from(above);
            let pairs = operands[1..].iter().flat_map(|two| [value(two & 0xffff), value(two >> 16)]);
            let mut values: Vec<i64> = pairs.collect();
            values.dedup();
            Ask::AnyOf(values)
        }
        ANY_WIDE => Ask::AnyOf(operands.chunks_exact(2).map(wide).collect()),
        AT_LEAST => Ask::Within(wide(operands), i64::MAX),
        AT_MOST => Ask::Within(i64::MIN, wide(operands)),
        BETWEEN => Ask::Within(wide(operands), wide(&operands[2..])),
        _ => Ask::Exists,
    };
    Leaf { field: Field::ALL[head.field], is_negated: head.is_negated, ask }
}

/// The places of all tests of a program.
pub(super) fn places(program: &[u32]) -> impl Iterator<Item = u32> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let place = at;
        at += 2 + Head::of(*program.get(place)?).operands;
        Some(place as u32)
    })
}
