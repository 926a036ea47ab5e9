//! The plain meaning of a filter: what every faster way must agree with.

use super::filter::{Node, Test, What};
use super::subject::Subject;

/// Whether the condition holds for the kill.
#[must_use]
pub fn holds(node: &Node, subject: &Subject<'_>) -> bool {
    match node {
        Node::And(nodes) => nodes.iter().all(|node| holds(node, subject)),
        Node::Or(nodes) => nodes.iter().any(|node| holds(node, subject)),
        Node::Not(node) => !holds(node, subject),
        Node::Test(test) => test_holds(test, subject),
    }
}

/// Whether the test holds for the kill.
#[must_use]
pub fn test_holds(test: &Test, subject: &Subject<'_>) -> bool {
    let (values, texts) = (subject.values(test.field), subject.texts(test.field));
    let is_so = match &test.what {
        What::AnyOf(list) => values.iter().any(|value| list.binary_search(value).is_ok()),
        What::AllOf(list) => list.iter().all(|value| values.contains(value)),
        What::Within(span) => values.iter().any(|value| span.contains(*value)),
        What::AnyText(list) => texts.iter().any(|text| list.iter().any(|listed| **listed == **text)),
        What::AllText(list) => list.iter().all(|listed| texts.contains(&&**listed)),
        What::Exists => !values.is_empty() || !texts.is_empty(),
    };
    is_so != test.is_negated
}
