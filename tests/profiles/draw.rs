//! Filters and kills drawn at random, over few values, so that they meet: every field and operator, numbers at thresholds and at the cuts of the index.
//! Shared with the fuzz target.

use broadside::profile::{Field, Filter, Kind, Node, Span, Subject, Test, What, security_key};

/// A number below its argument, which is at least 1.
pub(crate) type Draw<'d> = dyn FnMut(u32) -> u32 + 'd;

const WORDS: [&str; 40] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w",
    "x", "y", "z", "aa", "ab", "ac", "ad", "ae", "af", "ag", "ah", "ai", "aj", "ak", "al", "am", "an",
];
/// Millions of ISK: cuts of the index, and numbers between.
const MILLIONS: [i64; 12] = [0, 1, 2, 3, 10, 30, 50, 100, 250, 1_000, 1_500, 100_000];
const SECONDS: [i64; 10] = [0, 60, 61, 299, 300, 600, 3_600, 7_200, 86_400, 604_800];

fn one_of<T: Copy>(draw: &mut Draw<'_>, list: &[T]) -> T {
    list[draw(list.len() as u32) as usize]
}

/// A value of a field that is no text.
fn value(draw: &mut Draw<'_>, field: Field) -> i64 {
    let near = i64::from(draw(3)) - 1;
    match field {
        Field::Hour => i64::from(draw(26)),
        Field::Weekday => i64::from(draw(9)),
        Field::AttackerCount => i64::from(draw(60)),
        Field::AgeSeconds => one_of(draw, &SECONDS) + near,
        _ => match field.kind() {
            Kind::Flag => i64::from(draw(2)),
            Kind::Money => one_of(draw, &MILLIONS) * 100_000_000 + near,
            Kind::Security => security_key(f64::from(draw(41)) / 20.0 - 1.0) + near,
            _ if draw(50) == 0 => one_of(draw, &[i64::MAX, 1 << 57, 1 << 32, u32::MAX.into(), (1 << 57) - 1]),
            // As many as some fields have in a kill.
            _ => i64::from(draw(1 + 8 * (1 + field as u32 % 5))) + 1,
        },
    }
}

fn word(draw: &mut Draw<'_>, field: Field) -> &'static str {
    let words = if field == Field::SystemClass { 5 } else { WORDS.len() as u32 };
    WORDS[draw(words) as usize]
}

/// The values of a kill. One field in four is absent.
pub(crate) fn kill(draw: &mut Draw<'_>) -> Subject<'static> {
    let mut kill = Subject::default();
    for field in Field::ALL {
        if draw(4) == 0 {
            continue;
        }
        let count = if field.is_many() { 1 + draw(6) } else { 1 };
        if field.kind() == Kind::Text {
            let words: Vec<&str> = (0..count).map(|_| word(draw, field)).collect();
            kill.set_texts(field, &words);
        } else {
            let values = (0..count).map(|_| match field {
                // A filter may ask for others; no kill has any.
                Field::Hour => i64::from(draw(24)),
                Field::Weekday => i64::from(draw(7)) + 1,
                _ => value(draw, field),
            });
            kill.set(field, &values.collect::<Vec<_>>());
        }
    }
    kill
}

/// A filter: a leaf, or a tree of up to four levels.
pub(crate) fn filter(draw: &mut Draw<'_>) -> Filter {
    Filter { root: node(draw, 0) }
}

fn node(draw: &mut Draw<'_>, depth: u32) -> Node {
    match draw(if depth == 4 { 1 } else { 10 }) {
        0..4 => Node::Test(test(draw)),
        4 => Node::Not(Box::new(node(draw, depth + 1))),
        shape => {
            let count = 1 + draw(3);
            let nodes = (0..count).map(|_| node(draw, depth + 1)).collect();
            if shape < 8 { Node::And(nodes) } else { Node::Or(nodes) }
        }
    }
}

fn test(draw: &mut Draw<'_>) -> Test {
    let field = one_of(draw, &Field::ALL);
    let is_negated = draw(4) == 0;
    let count = 1 + if draw(8) == 0 { draw(40) } else { draw(4) };
    let what = match (field.kind(), draw(8)) {
        (_, 0) => What::Exists,
        (Kind::Text, shape) => {
            let mut words: Vec<Box<str>> = (0..count).map(|_| word(draw, field).into()).collect();
            words.sort_unstable();
            words.dedup();
            if shape < 6 { What::AnyText(words.into()) } else { What::AllText(words.into()) }
        }
        (_, 1..4) => {
            let ends = [value(draw, field), value(draw, field)];
            let (least, most) = match draw(8) {
                0..3 => (ends[0], i64::MAX),
                3..6 => (i64::MIN, ends[0]),
                // Sometimes the wrong way round.
                _ => (ends[0], ends[1]),
            };
            What::Within(Span { least, most })
        }
        (_, shape) => {
            let count = if draw(30) == 0 { 0 } else { count };
            let mut values: Vec<i64> = (0..count).map(|_| value(draw, field)).collect();
            values.sort_unstable();
            values.dedup();
            if shape == 7 && !values.is_empty() { What::AllOf(values.into()) } else { What::AnyOf(values.into()) }
        }
    };
    Test { field, is_negated, what }
}
