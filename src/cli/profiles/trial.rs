//! A filter on trial: how often it and each of its rules held, and of some kills which rules decided.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::killmail::{Kill, KillmailId};
use crate::profile::interpret::test_holds;
use crate::profile::{Field, Filter, Kind, Node, Subject};

/// Matches and near misses that are kept to be shown why.
pub(super) const SHOWN: usize = 3;

/// A filter and what came of it so far.
#[derive(Debug)]
pub(super) struct Trial {
    /// Of the profile; `None`: a bare filter.
    pub(super) name: Option<String>,
    pub(super) line: Option<u64>,
    pub(super) root: Node,
    /// Of each node what it is called, in the order of the tree.
    pub(super) labels: Vec<String>,
    /// Of each node how often it held, likewise.
    pub(super) held: Vec<u64>,
    pub(super) kills: u64,
    /// The newest of those that matched.
    pub(super) examples: Vec<KillmailId>,
    pub(super) matching: Vec<Seen>,
    /// Those that fewest rules kept from matching, nearest first.
    pub(super) missing: Vec<Seen>,
    /// Those that were asked for by id.
    pub(super) asked: Vec<Seen>,
}

/// A kill as the filter saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) killmail_id: KillmailId,
    /// Of each node, in the order of the tree.
    pub(super) nodes: Vec<Judged>,
    /// Rules that keep it from matching, at least.
    pub(super) distance: usize,
}

/// A node and a kill.
#[derive(Debug, Clone, Default)]
pub(super) struct Judged {
    pub(super) holds: bool,
    /// It is why the whole holds, or does not.
    pub(super) decides: bool,
    /// The kill's values of a leaf's field.
    pub(super) found: String,
}

impl Trial {
    pub(super) fn new(name: Option<String>, line: Option<u64>, filter: Filter, json: &str) -> Self {
        let mut labels = Vec::new();
        // It was read before: there is nothing in it that cannot be.
        if let Ok(json) = serde_json::from_str(json) {
            label(json, &mut labels);
        }
        let held = vec![0; nodes(&filter.root)];
        labels.resize(held.len(), String::new());
        let (examples, matching, missing, asked) = Default::default();
        Self { name, line, root: filter.root, labels, held, kills: 0, examples, matching, missing, asked }
    }

    /// How many matched.
    pub(super) fn matched(&self) -> u64 {
        self.held.first().copied().unwrap_or(0)
    }

    /// Tries it on one more kill; keeps up to so many ids of those that match.
    pub(super) fn look(&mut self, kill: &Kill, subject: &Subject<'_>, examples: usize) {
        let Some(mail) = kill.mail.as_deref() else { return };
        self.kills += 1;
        let (mut at, mut held) = (0, std::mem::take(&mut self.held));
        let matches = count(&self.root, subject, &mut at, &mut held);
        self.held = held;
        if matches {
            if self.examples.len() < examples {
                self.examples.push(mail.killmail_id);
            }
            if self.matching.len() < SHOWN {
                let seen = self.see(kill, subject, mail.killmail_id);
                self.matching.push(seen);
            }
            return;
        }
        let distance = distance(&self.root, subject, true);
        if self.missing.len() < SHOWN || self.missing.last().is_some_and(|last| distance < last.distance) {
            let seen = self.see(kill, subject, mail.killmail_id);
            self.missing.push(seen);
            self.missing.sort_by_key(|seen| seen.distance);
            self.missing.truncate(SHOWN);
        }
    }

    /// Keeps how it saw a kill that was asked for.
    pub(super) fn explain(&mut self, kill: &Kill, subject: &Subject<'_>) {
        if let Some(mail) = kill.mail.as_deref() {
            let seen = self.see(kill, subject, mail.killmail_id);
            self.asked.push(seen);
        }
    }

    fn see(&self, kill: &Kill, subject: &Subject<'_>, killmail_id: KillmailId) -> Seen {
        let mut nodes = Vec::with_capacity(self.held.len());
        judge(&self.root, kill, subject, true, &mut nodes);
        Seen { killmail_id, nodes, distance: distance(&self.root, subject, true) }
    }
}

fn nodes(node: &Node) -> usize {
    1 + node.below().iter().map(nodes).sum::<usize>()
}

/// Counts every node that holds, also those that would not be looked at.
fn count(node: &Node, subject: &Subject<'_>, at: &mut usize, held: &mut [u64]) -> bool {
    let here = *at;
    *at += 1;
    let (mut all, mut any) = (true, false);
    for below in node.below() {
        let holds = count(below, subject, at, held);
        (all, any) = (all && holds, any || holds);
    }
    let holds = match node {
        Node::And(_) => all,
        Node::Or(_) => any,
        Node::Not(_) => !any,
        Node::Test(test) => test_holds(test, subject),
    };
    held[here] += u64::from(holds);
    holds
}

/// How many rules would have to be otherwise for the condition to be as `wanted`.
fn distance(node: &Node, subject: &Subject<'_>, wanted: bool) -> usize {
    let below = || node.below().iter().map(|node| distance(node, subject, wanted));
    match node {
        Node::Test(test) => usize::from(test_holds(test, subject) != wanted),
        Node::Not(node) => distance(node, subject, !wanted),
        Node::And(_) if wanted => below().sum(),
        Node::Or(_) if !wanted => below().sum(),
        Node::And(_) | Node::Or(_) => below().min().unwrap_or(0),
    }
}

fn judge(node: &Node, kill: &Kill, subject: &Subject<'_>, decides: bool, nodes: &mut Vec<Judged>) -> bool {
    let here = nodes.len();
    nodes.push(Judged { decides, ..Judged::default() });
    let holds = match node {
        Node::Test(test) => {
            nodes[here].found = found(test.field, kill, subject);
            test_holds(test, subject)
        }
        _ => {
            let begins: Vec<(usize, bool)> =
                node.below().iter().map(|below| (nodes.len(), judge(below, kill, subject, decides, nodes))).collect();
            let holds = match node {
                Node::Or(_) => begins.iter().any(|(_, holds)| *holds),
                Node::Not(_) => !begins.iter().any(|(_, holds)| *holds),
                _ => begins.iter().all(|(_, holds)| *holds),
            };
            // Of an `and` that does not hold those rules decide that do not; of an `or` that holds, those that do.
            let is_split = matches!((node, holds), (Node::And(_), false) | (Node::Or(_), true));
            let ends = begins.iter().skip(1).map(|(begin, _)| *begin).chain([nodes.len()]);
            for ((begin, rule), end) in begins.iter().zip(ends.collect::<Vec<_>>()) {
                if is_split && *rule != holds {
                    nodes[*begin..end].iter_mut().for_each(|node| node.decides = false);
                }
            }
            holds
        }
    };
    nodes[here].holds = holds;
    holds
}

/// The kill's values of a field, as they are written in a filter.
fn found(field: Field, kill: &Kill, subject: &Subject<'_>) -> String {
    let words: Vec<String> = match field.kind() {
        Kind::Text => subject.texts(field).iter().map(|text| (*text).to_owned()).collect(),
        Kind::Security => {
            kill.tagged.iter().filter_map(|tagged| tagged.security_status).map(|status| status.to_string()).collect()
        }
        kind => subject.values(field).iter().map(|value| number(kind, *value)).collect(),
    };
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn number(kind: Kind, value: i64) -> String {
    match kind {
        Kind::Money => format!("{}.{:02}", value / 100, value % 100),
        Kind::Flag => (value != 0).to_string(),
        _ => value.to_string(),
    }
}

#[derive(Deserialize)]
struct Rule<'a> {
    condition: Option<String>,
    #[serde(borrow, default)]
    rules: Vec<&'a RawValue>,
    field: Option<String>,
    operator: Option<String>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// Nodes as they were written, in the order of the tree.
fn label(json: &RawValue, labels: &mut Vec<String>) {
    let Ok(rule) = serde_json::from_str::<Rule<'_>>(json.get()) else { return };
    match (rule.condition, rule.field, rule.operator, rule.value) {
        (Some(condition), ..) => labels.push(condition),
        (_, Some(field), Some(operator), Some(value)) => labels.push(format!("{field} {operator} {}", value.get())),
        _ => {}
    }
    rule.rules.into_iter().for_each(|rule| label(rule, labels));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::killmail::wire;

    fn kill(id: i64, system: i64, attackers: usize) -> Kill {
        let attacker = r#"{"damage_done":1,"final_blow":true,"security_status":0.0,"character_id":9}"#;
        let attackers = vec![attacker; attackers].join(",");
        let raw = format!(
            r#"{{"killmail_id":{id},"killmail_time":"2026-03-01T10:00:00Z","solar_system_id":{system},
            "victim":{{"damage_taken":1,"ship_type_id":587,"items":[]}},"attackers":[{attackers}]}}"#
        );
        let mut kill = Kill::new(raw.into(), "file", "2026-03-01T10:00:00Z".parse().expect("a time"), true);
        kill.mail = Some(std::sync::Arc::new(wire::decode(&kill.raw).expect("a kill")));
        kill
    }

    fn trial(json: &str, kills: &[Kill]) -> Trial {
        let mut trial = Trial::new(None, None, Filter::parse(json).expect("a filter"), json);
        for kill in kills {
            trial.look(kill, &Subject::of(kill).expect("decoded"), 2);
        }
        trial
    }

    const FILTER: &str = r#"{"condition":"and","rules":[{"field":"system_id","operator":"in","value":[1, 2]},
        {"condition":"not","rules":[{"field":"attacker_count","operator":"gt","value":2}]}]}"#;

    #[test]
    fn every_rule_is_counted_whether_or_not_it_was_needed() {
        let trial = trial(FILTER, &[kill(4, 1, 1), kill(3, 1, 3), kill(2, 9, 3), kill(1, 2, 2)]);
        assert_eq!(trial.labels, ["and", "system_id in [1, 2]", "not", "attacker_count gt 2"]);
        assert_eq!((trial.kills, trial.matched(), &trial.held[..]), (4, 2, &[2, 3, 2, 2][..]));
        let ids: Vec<i64> = trial.examples.iter().map(|id| id.get()).collect();
        assert_eq!(ids, [4, 1]);
        let missing: Vec<_> = trial.missing.iter().map(|seen| (seen.killmail_id.get(), seen.distance)).collect();
        assert_eq!(missing, [(3, 1), (2, 2)], "nearest first");
    }

    #[test]
    fn the_rules_that_decide_are_told_from_those_that_make_no_difference() {
        let decides = |json: &str, kill: Kill| {
            let trial = trial(json, &[kill]);
            let seen = trial.matching.first().or(trial.missing.first()).expect("one").nodes.clone();
            seen.iter().map(|node| (node.holds, node.decides)).collect::<Vec<_>>()
        };
        assert_eq!(decides(FILTER, kill(1, 1, 3)), [(false, true), (true, false), (false, true), (true, true)]);
        assert_eq!(decides(FILTER, kill(1, 1, 1)), [(true, true), (true, true), (true, true), (false, true)]);
        let or = FILTER.replacen("and", "or", 1);
        assert_eq!(decides(&or, kill(1, 1, 3)), [(true, true), (true, true), (false, false), (true, false)]);
        assert_eq!(decides(&or, kill(1, 9, 3)), [(false, true), (false, true), (false, true), (true, true)]);
    }

    #[test]
    fn values_are_shown_as_filters_write_them() {
        let kill = kill(1, 7, 2);
        let subject = Subject::of(&kill).expect("decoded");
        let of = |field| found(field, &kill, &subject);
        assert_eq!(
            (of(Field::SystemId), of(Field::RegionId), of(Field::Hour)),
            ("7".into(), "nothing".into(), "10".into())
        );
        assert_eq!((number(Kind::Money, 123_405), number(Kind::Flag, 1)), ("1234.05".into(), "true".into()));
    }
}
