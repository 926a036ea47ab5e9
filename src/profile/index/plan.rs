//! The normal form of a filter: conditions flattened, `not` moved down to the tests, siblings sorted and each once. Filters that say the same in another order
//! have the same plan. It never grows into a disjunction of conjunctions.

use super::statistics::prior;
use super::texts::Texts;
use crate::profile::field::{Field, Kind};
use crate::profile::filter::{Node, Test, What};

/// A condition in normal form: an `And` has no `And` in it, an `Or` no `Or`, and both have at least two different members.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plan {
    Leaf(Leaf),
    And(Vec<Plan>),
    Or(Vec<Plan>),
    /// It holds, or does not, whatever the kill is.
    Always(bool),
}

/// A test of a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaf {
    pub(super) field: Field,
    pub(super) is_negated: bool,
    pub(super) ask: Ask,
}

/// What is asked of the field's values. Words are their numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    /// One of these; sorted, never empty.
    AnyOf(Vec<i64>),
    /// From the first to the second, both included.
    Within(i64, i64),
    Exists,
}

impl Plan {
    /// Of a condition, or of its opposite. The words in it are in use from now on.
    pub(super) fn of(node: &Node, is_negated: bool, texts: &mut Texts) -> Self {
        match node {
            Node::Not(node) => Self::of(node, !is_negated, texts),
            Node::And(nodes) => {
                Self::join(is_negated, nodes.iter().map(|node| Self::of(node, is_negated, texts)).collect())
            }
            Node::Or(nodes) => {
                Self::join(!is_negated, nodes.iter().map(|node| Self::of(node, is_negated, texts)).collect())
            }
            Node::Test(test) => Self::of_test(test, test.is_negated != is_negated, texts),
        }
    }

    fn of_test(test: &Test, is_negated: bool, texts: &mut Texts) -> Self {
        let field = test.field;
        let leaf = |ask| Self::Leaf(Leaf { field, is_negated, ask });
        match &test.what {
            What::AnyOf(values) if values.is_empty() => Self::Always(is_negated),
            What::AnyOf(values) => leaf(Ask::AnyOf(values.to_vec())),
            What::AllOf(values) => {
                Self::join(is_negated, values.iter().map(|value| leaf(Ask::AnyOf(vec![*value]))).collect())
            }
            What::Within(span) if span.least > span.most => Self::Always(is_negated),
            What::Within(span) => leaf(Ask::Within(span.least, span.most)),
            What::AnyText(list) if list.is_empty() => Self::Always(is_negated),
            What::AnyText(list) => {
                let mut numbers: Vec<i64> = list.iter().map(|text| texts.take(field, text)).collect();
                numbers.sort_unstable();
                leaf(Ask::AnyOf(numbers))
            }
            What::AllText(list) => {
                let numbers = list.iter().map(|text| leaf(Ask::AnyOf(vec![texts.take(field, text)])));
                Self::join(is_negated, numbers.collect())
            }
            What::Exists => leaf(Ask::Exists),
        }
    }

    /// All of them, or one of them. The likeliest to decide come first; what is likely is a matter of the field alone, so that the order is always the same.
    /// When a conjunction is evaluated, its key is known to hold, and guards have told all but lists of ids: of these the least selective, which is hardly the
    /// key, comes first.
    fn join(is_or: bool, members: Vec<Self>) -> Self {
        let mut all = Vec::with_capacity(members.len());
        for member in members {
            match member {
                Self::Always(holds) if holds == is_or => return Self::Always(is_or),
                Self::Always(_) => {}
                Self::And(inner) if !is_or => all.extend(inner),
                Self::Or(inner) if is_or => all.extend(inner),
                other => all.push(other),
            }
        }
        let rank = |plan: &Self| match plan {
            _ if is_or => -plan.likelihood(),
            Self::Leaf(leaf) if leaf.is_list_of_ids() => -plan.likelihood(),
            Self::Leaf(leaf) if matches!(leaf.ask, Ask::Within(..)) => 1.0 + plan.likelihood(),
            _ => plan.likelihood(),
        };
        let mut ranked: Vec<(f32, Self)> = all.into_iter().map(|plan| (rank(&plan), plan)).collect();
        ranked.sort_unstable_by(|(first, a), (second, b)| first.total_cmp(second).then_with(|| a.cmp(b)));
        let mut sorted: Vec<Self> = ranked.into_iter().map(|(_, plan)| plan).collect();
        sorted.dedup();
        match (sorted.len(), sorted.pop()) {
            (_, None) => Self::Always(!is_or),
            (1, Some(only)) => only,
            (_, Some(last)) => {
                sorted.push(last);
                if is_or { Self::Or(sorted) } else { Self::And(sorted) }
            }
        }
    }

    /// How likely it holds, as far as the fields tell.
    fn likelihood(&self) -> f32 {
        match self {
            Self::Always(holds) => f32::from(u8::from(*holds)),
            Self::And(members) => members.iter().map(Self::likelihood).product(),
            Self::Or(members) => 1.0 - members.iter().map(|member| 1.0 - member.likelihood()).product::<f32>(),
            Self::Leaf(leaf) => leaf.likelihood(),
        }
    }

    /// Its leaves, in their order.
    pub(super) fn leaves<'p>(&'p self, each: &mut impl FnMut(&'p Leaf)) {
        match self {
            Self::Leaf(leaf) => each(leaf),
            Self::And(members) | Self::Or(members) => members.iter().for_each(|member| member.leaves(each)),
            Self::Always(_) => {}
        }
    }

    /// Gives the words in it back.
    pub(super) fn release(&self, texts: &mut Texts) {
        self.leaves(&mut |leaf| {
            if let (Kind::Text, Ask::AnyOf(numbers)) = (leaf.field.kind(), &leaf.ask) {
                numbers.iter().for_each(|number| texts.release(leaf.field, *number));
            }
        });
    }
}

impl Leaf {
    fn is_list_of_ids(&self) -> bool {
        self.field.kind() == Kind::Id && matches!(self.ask, Ask::AnyOf(_)) && !self.is_negated
    }

    fn likelihood(&self) -> f32 {
        let likely = match &self.ask {
            Ask::AnyOf(values) => (prior(self.field) * values.len() as f32).min(0.9),
            Ask::Within(i64::MIN, _) | Ask::Within(_, i64::MAX) => 0.4,
            Ask::Within(..) => 0.3,
            Ask::Exists => 0.8,
        };
        if self.is_negated { 1.0 - likely } else { likely }
    }
}
