//! A filter: a tree of conditions over tests of fields. Everything in it was validated; numbers have become integers.
//!
//! # What an absent value means
//!
//! A kill may lack a value: an NPC has no character, a system that the static data do not know has no region, a fit without modules no tags. Then every
//! positive test of the field is false, and every negated one (`ne`, `not_in`, `contains_none`, a `not` around it) true. `exists` asks for just that.

use super::field::Field;

/// A validated filter. Two that say the same in the same way are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter {
    pub root: Node,
}

/// A condition. The tree is as the user wrote it, so that a place in it is a place in the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// All hold; never empty.
    And(Box<[Node]>),
    /// One holds; never empty.
    Or(Box<[Node]>),
    /// It does not hold.
    Not(Box<Node>),
    Test(Test),
}

/// A leaf.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Test {
    pub field: Field,
    /// It holds when `what` does not.
    pub is_negated: bool,
    pub what: What,
}

/// What is asked of a field's values. Lists are sorted, each value once. Numbers are those of [`Subject`](super::Subject): money in cents, and so on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// One value is one of these; with an empty list (a number that no kill can have) it never holds.
    AnyOf(Box<[i64]>),
    /// All of these are among the values; never empty.
    AllOf(Box<[i64]>),
    /// One value lies within.
    Within(Span),
    /// As `AnyOf`; never empty.
    AnyText(Box<[Box<str>]>),
    /// As `AllOf`; never empty.
    AllText(Box<[Box<str>]>),
    /// There is a value.
    Exists,
}

/// Numbers from `least` to `most`, both included; none when `least` is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    pub least: i64,
    pub most: i64,
}

impl Span {
    /// Of no number.
    pub const NONE: Self = Self { least: 0, most: -1 };

    /// Whether `value` lies within.
    #[must_use]
    pub const fn contains(self, value: i64) -> bool {
        self.least <= value && value <= self.most
    }
}

impl Node {
    /// The conditions directly below.
    #[must_use]
    pub fn below(&self) -> &[Node] {
        match self {
            Self::And(nodes) | Self::Or(nodes) => nodes,
            Self::Not(node) => std::slice::from_ref(node),
            Self::Test(_) => &[],
        }
    }
}
