//! What the index is held against: a plain inverted index, and crate a-tree.

use std::collections::HashMap;

use a_tree::{ATree, AttributeDefinition};
use broadside::profile::{Field, Filter, Kind, Node, Subject, Test, What, interpret};

/// Filters under one list of ids or words that they need, or by the ISK that they need; the rest every kill is compared with. All are evaluated.
pub(crate) struct Plain {
    values: HashMap<(Field, i64), Vec<u32>>,
    words: HashMap<Box<str>, Vec<u32>>,
    /// By the least ISK.
    isk: Vec<(i64, u32)>,
    rest: Vec<u32>,
}

impl Plain {
    pub(crate) fn new(filters: &[Filter]) -> Self {
        let mut plain = Self { values: HashMap::new(), words: HashMap::new(), isk: Vec::new(), rest: Vec::new() };
        for (id, filter) in (0..).zip(filters) {
            let needed = if let Node::And(nodes) = &filter.root { nodes } else { std::slice::from_ref(&filter.root) };
            let tests = needed.iter().filter_map(|node| if let Node::Test(test) = node { Some(test) } else { None });
            let mut tests: Vec<&Test> = tests.filter(|test| !test.is_negated).collect();
            tests.sort_by_key(|test| match (test.field, &test.what) {
                (Field::SystemId, _) => 0,
                (Field::ModuleTags, _) => 1,
                _ => 2,
            });
            plain.list(id, &tests);
        }
        plain.isk.sort_unstable();
        plain
    }

    fn list(&mut self, id: u32, tests: &[&Test]) {
        for test in tests {
            match (test.field, &test.what) {
                (Field::SystemId, What::AnyOf(values)) => {
                    return values
                        .iter()
                        .for_each(|value| self.values.entry((test.field, *value)).or_default().push(id));
                }
                (_, What::AnyText(words)) => {
                    return words.iter().for_each(|word| self.words.entry(word.clone()).or_default().push(id));
                }
                (Field::IskValue, What::Within(span)) if span.most == i64::MAX => {
                    return self.isk.push((span.least, id));
                }
                _ => {}
            }
        }
        self.rest.push(id);
    }

    pub(crate) fn matches(&self, filters: &[Filter], kill: &Subject<'_>, out: &mut Vec<u32>) -> usize {
        out.clear();
        let systems =
            kill.values(Field::SystemId).iter().filter_map(|value| self.values.get(&(Field::SystemId, *value)));
        let words = kill.texts(Field::ModuleTags).iter().filter_map(|word| self.words.get(*word));
        systems.chain(words).for_each(|list| out.extend(list));
        if let Some(isk) = kill.values(Field::IskValue).first() {
            let reached = self.isk.partition_point(|(least, _)| least <= isk);
            out.extend(self.isk[..reached].iter().map(|(_, id)| *id));
        }
        out.extend(&self.rest);
        out.retain(|id| interpret::holds(&filters[*id as usize].root, kill));
        out.sort_unstable();
        out.dedup();
        out.len()
    }
}

/// Security statuses as numbers that are not negative, which its language lacks.
const ABOVE: i64 = 4_610_000_000_000_000_000;

/// Crate a-tree.
pub(crate) struct Tree(ATree<u32>);

impl Tree {
    pub(crate) fn new(filters: &[Filter]) -> Self {
        let attributes: Vec<AttributeDefinition> = Field::ALL
            .into_iter()
            .filter(|field| field.kind() != Kind::Text || field.is_many())
            .map(|field| match (field.kind(), field.is_many()) {
                (Kind::Text, _) => AttributeDefinition::string_list(field.name()),
                (_, true) => AttributeDefinition::integer_list(field.name()),
                (_, false) => AttributeDefinition::integer(field.name()),
            })
            .collect();
        let mut tree = ATree::new(&attributes).expect("attributes");
        for (id, filter) in (0..).zip(filters) {
            let text = written(&filter.root);
            if let Err(error) = tree.insert(&id, &text) {
                panic!("{error}: {text}");
            }
        }
        Self(tree)
    }

    pub(crate) fn matches(&self, kill: &Subject<'_>) -> usize {
        let mut event = self.0.make_event();
        for field in Field::ALL {
            let name = field.name();
            let put = match (field.kind(), field.is_many()) {
                (Kind::Text, true) => event.with_string_list(name, kill.texts(field)),
                (Kind::Text, false) => Ok(()),
                (_, true) => event.with_integer_list(name, kill.values(field)),
                (_, false) => match kill.values(field).first() {
                    Some(value) => event.with_integer(name, shifted(field, *value)),
                    None => event.with_undefined(name),
                },
            };
            put.expect("a value");
        }
        let event = event.build().expect("an event");
        self.0.search(&event).expect("a search").matches().len()
    }
}

fn shifted(field: Field, value: i64) -> i64 {
    if field.kind() == Kind::Security { value + ABOVE } else { value }
}

/// As a-tree reads it.
fn written(node: &Node) -> String {
    let joined = |nodes: &[Node], word: &str| format!("({})", nodes.iter().map(written).collect::<Vec<_>>().join(word));
    match node {
        Node::And(nodes) => joined(nodes, " and "),
        Node::Or(nodes) => joined(nodes, " or "),
        Node::Not(node) => format!("(not {})", written(node)),
        Node::Test(test) => test_written(test),
    }
}

fn test_written(test: &Test) -> String {
    let (field, name) = (test.field, test.field.name());
    let text = match &test.what {
        What::AnyOf(values) if field.is_many() => format!("{name} one of {values:?}"),
        What::AnyOf(values) => format!("{name} in {values:?}"),
        What::AllOf(values) => format!("{name} all of {values:?}"),
        What::AnyText(words) => format!("{name} one of {words:?}"),
        What::AllText(words) => format!("{name} all of {words:?}"),
        What::Exists => format!("{name} is not null"),
        What::Within(span) => {
            let ends = [(span.least, i64::MIN, ">="), (span.most, i64::MAX, "<=")];
            let ends = ends.iter().filter(|(end, open, _)| end != open);
            let ends = ends.map(|(end, _, sign)| format!("{name} {sign} {}", shifted(field, *end)));
            format!("({})", ends.collect::<Vec<_>>().join(" and "))
        }
    };
    if test.is_negated { format!("(not ({text}))") } else { text }
}
