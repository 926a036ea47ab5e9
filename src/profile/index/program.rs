//! A plan as words, to be evaluated without walking a tree, and small: it is all that is kept of a filter.
//!
//! Each test is two words and its operands: what it asks (4 bits), whether it is negated (1), the field (6), how many words of operands follow (16); then where to
//! go on when it holds (16) and when not (16): the place of another test, or [`HOLDS`], or [`FAILS`]. Values are one word each when all fit, or else two;
//! a list of three words or more is filled up to whole fours with its last value, so that it is compared without a rest.

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
/// As `ANY_NARROW`, of a field with one value at most: what most tests are.
const IS_NARROW: u32 = 6;

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
                Ask::AnyOf(values) => {
                    if is_narrow(values) {
                        filled(values.len())
                    } else {
                        2 * values.len()
                    }
                }
                Ask::Within(i64::MIN, _) | Ask::Within(_, i64::MAX) => 2,
                Ask::Within(..) => 4,
                Ask::Exists => 0,
            }
        }
    }
}

const fn filled(count: usize) -> usize {
    if count < 3 { count } else { count.next_multiple_of(4) }
}

fn is_narrow(values: &[i64]) -> bool {
    // The greatest word stands for a value that is absent.
    values.iter().all(|value| u32::try_from(*value).is_ok_and(|word| word < u32::MAX))
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
        Ask::AnyOf(values) if is_narrow(values) => {
            (if leaf.field.is_many() { ANY_NARROW } else { IS_NARROW }, filled(values.len()))
        }
        Ask::AnyOf(values) => (ANY_WIDE, 2 * values.len()),
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
        Ask::AnyOf(values) if kind == ANY_NARROW || kind == IS_NARROW => {
            let last = values.last().copied().unwrap_or_default();
            let filled = values.iter().copied().chain(std::iter::repeat(last)).take(filled(values.len()));
            words.extend(filled.map(|value| value as u32));
        }
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
            Some(sixteen) if head.kind == IS_NARROW && head.operands <= 16 => {
                scanner.same(sixteen, view.word(head.field)) & ((1 << head.operands) - 1) != 0
            }
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

/// Words of a list that [`is_one_of`] compares.
const FEW: usize = 20;

/// Whether a leaf is a test that [`is_one_of`] answers.
pub(super) fn is_short(leaf: &Leaf) -> bool {
    let is_few = matches!(&leaf.ask, Ask::AnyOf(values) if is_narrow(values) && filled(values.len()) <= FEW);
    is_few && !leaf.is_negated && !leaf.field.is_many()
}

/// Whether the kill is as the test says at the start of these words, which is a [short](is_short) one. Takes as long whatever the answer is, with no
/// branch that depends on it: that is why it is there. Looks beyond the list, at the words of whatever comes next.
#[inline(always)]
pub(super) fn is_one_of(words: &[u32], view: &View, scanner: Scanner) -> bool {
    let Some([word, _, list @ ..]) = words.first_chunk::<{ 2 + FEW }>() else {
        return holds_leaf(words, view);
    };
    let head = Head::of(*word);
    let value = view.word(head.field);
    let Some((first, last)) = list.first_chunk().zip(list.last_chunk()) else { return false };
    let same = scanner.same(first, value) | scanner.same(last, value) << (FEW - 16);
    same & ((1 << head.operands) - 1) != 0
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
    if head.kind == IS_NARROW {
        return u32::try_from(value).is_ok_and(|value| is_listed(operands, value));
    }
    match head.kind {
        ANY_WIDE => operands.chunks_exact(2).any(|pair| wide(pair) == value),
        EXISTS => true,
        kind => is_within(kind, operands, value),
    }
}

#[inline(always)]
fn is_listed(operands: &[u32], value: u32) -> bool {
    let (fours, rest) = operands.as_chunks::<4>();
    let is_in = |list: &[u32]| list.iter().fold(false, |found, operand| found | (*operand == value));
    fours.iter().fold(false, |found, four| found | is_in(four)) || is_in(rest)
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
        ANY_NARROW | IS_NARROW => {
            let mut values: Vec<i64> = operands.iter().map(|operand| i64::from(*operand)).collect();
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
