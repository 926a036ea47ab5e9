//! Whether a filter looks as if it held for nearly every kill: told by its shape alone, so that whoever writes one learns of it at once.

use super::field::{Field, Kind};
use super::filter::{Filter, Node, Test, What};

/// ISK, in cents, that most kills are above.
const LITTLE: i64 = 100_000_000;

impl Filter {
    /// Whether it looks as if it held for nearly every kill. A guess: trying it on kills tells more.
    #[must_use]
    pub fn looks_broad(&self) -> bool {
        is_broad(&self.root, true)
    }
}

/// Whether the condition is nearly always so: `holds` or not.
fn is_broad(node: &Node, holds: bool) -> bool {
    match (node, holds) {
        (Node::And(nodes), true) | (Node::Or(nodes), false) => nodes.iter().all(|node| is_broad(node, holds)),
        (Node::Or(nodes), true) | (Node::And(nodes), false) => nodes.iter().any(|node| is_broad(node, holds)),
        (Node::Not(node), _) => is_broad(node, !holds),
        (Node::Test(test), _) => {
            if holds == test.is_negated {
                is_rare(test)
            } else {
                is_usual(test)
            }
        }
    }
}

/// Whether what is asked (not its opposite) is so of few kills.
fn is_rare(test: &Test) -> bool {
    match &test.what {
        What::AnyOf(_) if test.field.kind() == Kind::Flag => !is_usual(test),
        What::AnyOf(_) | What::AllOf(_) | What::AllText(_) => true,
        // Of the few words that there are some are on many kills.
        What::AnyText(words) => test.field == Field::Labels && words.len() == 1,
        What::Within(span) => span.least > span.most,
        What::Exists => false,
    }
}

/// Whether what is asked (not its opposite) is so of most kills.
fn is_usual(test: &Test) -> bool {
    match &test.what {
        What::AnyOf(list) if test.field.kind() == Kind::Flag => list.contains(&0),
        What::Within(span) => {
            let is_open = span.most == i64::MAX;
            match test.field {
                Field::IskValue | Field::DestroyedValue => is_open && span.least <= LITTLE,
                Field::AttackerCount => is_open && span.least <= 1,
                Field::Hour => span.least <= 0 && span.most >= 23,
                Field::Weekday => span.least <= 1 && span.most >= 7,
                Field::AgeSeconds => span.least <= 0 && span.most >= 3_600,
                _ => span.least == i64::MIN && span.most == i64::MAX,
            }
        }
        What::Exists => {
            !matches!(test.field, Field::VictimFactionId | Field::AttackerFactionId | Field::FinalBlowFactionId)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nearly_every_kill_is_looks_broad_and_what_few_are_does_not() {
        let leaf = |field: &str, operator: &str, value: &str| {
            format!(r#"{{"field":"{field}","operator":"{operator}","value":{value}}}"#)
        };
        let all = |condition: &str, rules: &[String]| {
            format!(r#"{{"condition":"{condition}","rules":[{}]}}"#, rules.join(","))
        };
        let (here, dear) = (leaf("system_id", "eq", "30000142"), leaf("isk_value", "gt", "1e9"));
        let elsewhere = leaf("system_id", "not_in", "[30000142]");
        for (filter, expected) in [
            (here.clone(), false),
            (elsewhere.clone(), true),
            (all("not", std::slice::from_ref(&here)), true),
            (all("not", std::slice::from_ref(&elsewhere)), false),
            (all("and", &[elsewhere.clone(), dear.clone()]), false),
            (all("or", &[elsewhere.clone(), dear.clone()]), true),
            (all("not", &[all("or", &[here.clone(), leaf("ship_type_id", "eq", "670")])]), true),
            (all("not", &[all("and", &[here.clone(), dear.clone()])]), true),
            (dear, false),
            (leaf("isk_value", "gte", "0"), true),
            (leaf("npc", "eq", "false"), true),
            (leaf("npc", "ne", "true"), true),
            (leaf("npc", "eq", "true"), false),
            (leaf("solo", "ne", "false"), false),
            (leaf("system_id", "exists", "true"), true),
            (leaf("system_id", "exists", "false"), false),
            (leaf("attacker_count", "gte", "1"), true),
            (leaf("hour", "between", "[0, 23]"), true),
            (leaf("hour", "between", "[18, 23]"), false),
        ] {
            assert_eq!(Filter::parse(&filter).expect(&filter).looks_broad(), expected, "{filter}");
        }
    }
}
