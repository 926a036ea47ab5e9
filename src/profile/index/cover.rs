//! Where a plan is listed: keys of which a kill must have one for the plan to hold, chosen so that few kills do.
//!
//! Of an `And` the keys of one member do; of an `Or` those of all are needed, and if one member has none, there are none. A plan without keys is listed among
//! those that every kill is compared with. What a plan asks besides its keys becomes the guards of its entries.

use super::cells;
use super::guard::{self, Guard, share};
use super::plan::{Ask, Leaf, Plan};
use super::statistics::Statistics;
use super::texts::Texts;
use crate::profile::field::{Field, Kind};

/// Keys of a filter at most: one with more is compared with every kill.
pub(super) const KEYS_MAX: usize = 256;
/// What one more key weighs, in kills: memory has a price too.
const KEY_WEIGHT: f32 = 2e-5;
/// What an evaluation costs, and what it costs to mark an entry as excluded, in looks at an entry.
const EVALUATION: f32 = 12.0;
/// What it weighs that a kill with a key must be evaluated, besides the look at the entry. Less than an evaluation costs: measured, at the median.
const EVALUATED: f32 = 4.0;
const MARK: f32 = 1.5;

/// Where entries are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Under a value of a field: [`packed`].
    Value(u64),
    /// Under a band of a field.
    Cell(Field, u32),
}

/// A value of a field as one number; `None`: it is too great.
#[inline]
pub(super) fn packed(field: Field, value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|value| value >> 57 == 0).map(|value| (field as u64) << 57 | value)
}

/// The field of a packed value.
pub(super) const fn field_of(packed: u64) -> usize {
    (packed >> 57) as usize
}

/// What a leaf is listed under; `None`: it has no keys. It depends on nothing but the leaf, so that an entry is found again.
pub(super) fn places(leaf: &Leaf) -> Option<Vec<Place>> {
    let field = leaf.field;
    if leaf.is_negated {
        return None;
    }
    match &leaf.ask {
        Ask::AnyOf(values) if values.len() <= KEYS_MAX => {
            values.iter().map(|value| packed(field, *value).map(Place::Value)).collect()
        }
        Ask::Within(least, _) if field.kind() == Kind::Money => {
            (*least > i64::MIN).then(|| vec![Place::Cell(field, cells::lowest(field, *least))])
        }
        Ask::Within(least, most) if cells::is_banded(field) => {
            let may = cells::of_span(field, *least, *most).may;
            Some((0..cells::CELLS).filter(|cell| may >> cell & 1 == 1).map(|cell| Place::Cell(field, cell)).collect())
        }
        Ask::Within(least, most) => {
            let (first, last) = cells::points(field)?;
            let values = (*least).max(first)..=(*most).min(last);
            values.map(|value| packed(field, value).map(Place::Value)).collect()
        }
        Ask::AnyOf(_) | Ask::Exists => None,
    }
}

/// What the values of a leaf are that exclude, if it is a test that excludes some.
pub(super) fn excluding(leaf: &Leaf) -> Option<Vec<u64>> {
    match &leaf.ask {
        Ask::AnyOf(values) if leaf.is_negated && values.len() <= KEYS_MAX => {
            values.iter().map(|value| packed(leaf.field, *value)).collect()
        }
        _ => None,
    }
}

/// A leaf under whose keys a plan is listed.
#[derive(Debug)]
pub(super) struct Key {
    /// The leaf's number, in the plan's order.
    pub(super) leaf: usize,
    /// What must hold besides the key.
    pub(super) guard: Guard,
    /// Nothing must hold besides the leaf.
    pub(super) is_alone: bool,
    /// The number of the leaf that is tested when the guard fits, if its code is [`SHORT`].
    pub(super) short: Option<usize>,
}

/// Where a plan is listed.
#[derive(Debug)]
pub(super) struct Cover {
    /// Empty: among those that every kill is compared with.
    pub(super) keys: Vec<Key>,
    /// What must hold of every kill, of a plan without keys.
    pub(super) guard: Guard,
    /// Numbers of leaves of the root that are left out of all guards, because the values in them exclude.
    pub(super) excluding: Vec<usize>,
    /// How many of the keys a kill has, on average.
    pub(super) expected: f32,
}

/// Which members of a plan give its keys.
#[derive(Debug)]
struct Choice {
    from: From,
    expected: f32,
    keys: usize,
}

#[derive(Debug)]
enum From {
    Itself,
    /// This one of an `And`.
    One(usize, Box<Choice>),
    /// Each one of an `Or`.
    All(Vec<Choice>),
}

/// What a cover is chosen by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chooser<'a> {
    pub(super) statistics: &'a Statistics,
    pub(super) texts: &'a Texts,
}

impl Chooser<'_> {
    /// Where to list a plan.
    pub(super) fn cover(self, plan: &Plan) -> Cover {
        let choice = self.choose(plan, &[]).filter(|choice| choice.expected < 1.0);
        let excluding = self.excluding(plan, choice.as_ref());
        let choice = if excluding.is_empty() { choice } else { self.choose(plan, &excluding) };
        let choice = choice.filter(|choice| choice.expected < 1.0);
        let mut cover = Cover {
            keys: Vec::new(),
            guard: Guard::FREE,
            expected: choice.as_ref().map_or(1.0, |choice| choice.expected),
            excluding: Vec::new(),
        };
        match choice {
            Some(choice) => self.collect(plan, &choice, Guard::FREE, 0, &excluding, &mut cover.keys),
            None if excluding.is_empty() => cover.guard = self.guard(plan),
            None => cover.guard = self.guard_without(plan, &excluding),
        }
        let mut leaf = 0;
        for (member, plan) in members(plan).iter().enumerate() {
            if excluding.contains(&member) {
                cover.excluding.push(leaf);
            }
            leaf += leaves(plan);
        }
        cover
    }

    fn guard(self, plan: &Plan) -> Guard {
        Guard::of(plan, self.statistics, self.texts)
    }

    /// Of the members of an `And` but for these.
    fn guard_without(self, plan: &Plan, left_out: &[usize]) -> Guard {
        let members = members(plan).iter().enumerate().filter(|(member, _)| !left_out.contains(member));
        members.fold(Guard::FREE, |guard, (_, member)| guard.and(self.guard(member)))
    }

    /// The members of the root whose values had better exclude: when marking them is less work than evaluating.
    fn excluding(self, plan: &Plan, choice: Option<&Choice>) -> Vec<usize> {
        if matches!(plan, Plan::Or(_) | Plan::Always(_)) {
            return Vec::new();
        }
        let expected = choice.map_or(1.0, |choice| choice.expected);
        let mut excluding = Vec::new();
        for (index, member) in members(plan).iter().enumerate() {
            let Plan::Leaf(leaf) = member else { continue };
            // What the guard says wholly need not exclude.
            let is_guarded = Guard::of_leaf(leaf, self.statistics, self.texts).code == guard::EXACT;
            let values = self::excluding(leaf).map_or(0, |values| values.len());
            let marks = 1.0 - share(leaf, self.statistics, self.texts);
            if values > 0 && !is_guarded && MARK * marks < EVALUATION * expected {
                excluding.push(index);
            }
        }
        excluding
    }

    fn choose(self, plan: &Plan, left_out: &[usize]) -> Option<Choice> {
        match plan {
            Plan::Always(_) => None,
            Plan::Leaf(leaf) => {
                let keys = places(leaf)?.len();
                (keys <= KEYS_MAX).then(|| Choice { from: From::Itself, expected: self.expected(leaf), keys })
            }
            Plan::And(members) => {
                let all = members.iter().enumerate().filter(|(member, _)| !left_out.contains(member));
                let choices = all.filter_map(|(member, plan)| Some((member, self.choose(plan, &[])?)));
                let choices: Vec<(usize, Choice)> = choices.collect();
                let is_only = choices.len() == 1;
                let weight = |(member, choice): &(usize, Choice)| {
                    let evaluated = if is_only { 0.0 } else { self.evaluated(plan, *member, left_out) };
                    choice.expected * (1.0 + evaluated * EVALUATED) + choice.keys as f32 * KEY_WEIGHT
                };
                let weighed = choices.into_iter().map(|choice| (weight(&choice), choice));
                let (_, (member, least)) = weighed.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
                let (expected, keys) = (least.expected, least.keys);
                Some(Choice { from: From::One(member, Box::new(least)), expected, keys })
            }
            Plan::Or(members) => {
                let choices: Vec<Choice> =
                    members.iter().map(|member| self.choose(member, &[])).collect::<Option<_>>()?;
                let expected = choices.iter().map(|choice| choice.expected).sum();
                let keys = choices.iter().map(|choice| choice.keys).sum();
                (keys <= KEYS_MAX).then_some(Choice { from: From::All(choices), expected, keys })
            }
        }
    }

    /// The number of the one leaf of an `And` that its guard does not say all of, if there is just one and it is a short test.
    fn short(self, members: &[Plan], without: &[usize], guard: &Guard) -> Option<usize> {
        let mut short = None;
        let mut number = 0;
        for (member, plan) in members.iter().enumerate() {
            if !without.contains(&member) && !guard.says(&self.guard(plan)) {
                let Plan::Leaf(leaf) = plan else { return None };
                if short.is_some() || !super::program::is_short(leaf) {
                    return None;
                }
                short = Some(number);
            }
            number += leaves(plan);
        }
        short
    }

    /// How many of the kills with a key of this member of an `And` must be evaluated.
    fn evaluated(self, plan: &Plan, member: usize, left_out: &[usize]) -> f32 {
        let mut without = left_out.to_vec();
        without.push(member);
        let guard = self.guard_without(plan, &without);
        match guard.code {
            guard::EXACT => 0.0,
            guard::NEVER => guard.passing(),
            _ => 0.1 * guard.passing(),
        }
    }

    /// How many of the keys of a leaf a kill has.
    fn expected(self, leaf: &Leaf) -> f32 {
        let field = leaf.field;
        match &leaf.ask {
            Ask::Within(least, _) if field.kind() == Kind::Money => self.statistics.at_least(field, *least),
            Ask::Within(least, most) if cells::is_banded(field) => {
                let may = cells::of_span(field, *least, *most).may;
                let cells = (0..cells::CELLS).filter(|cell| may >> cell & 1 == 1);
                cells.map(|cell| self.statistics.cell_share(field, cell)).sum()
            }
            Ask::AnyOf(values) if field.kind() == Kind::Text => {
                values.iter().map(|value| self.statistics.share(field, self.texts.counted(field, *value))).sum()
            }
            Ask::AnyOf(values) if !cells::is_banded(field) => {
                values.iter().map(|value| self.statistics.share(field, *value)).sum()
            }
            _ => share(leaf, self.statistics, self.texts),
        }
    }

    fn collect(
        self,
        plan: &Plan,
        choice: &Choice,
        guard: Guard,
        first: usize,
        left_out: &[usize],
        keys: &mut Vec<Key>,
    ) {
        match (plan, &choice.from) {
            (Plan::Leaf(leaf), _) => {
                let is_whole = matches!(leaf.ask, Ask::AnyOf(_)) || cells::points(leaf.field).is_some();
                let own = if is_whole { Guard::FREE } else { Guard::of_leaf(leaf, self.statistics, self.texts) };
                keys.push(Key { leaf: first, guard: guard.and(own), is_alone: guard.is_nothing(), short: None });
            }
            (Plan::And(members), From::One(chosen, choice)) => {
                let mut without = left_out.to_vec();
                without.push(*chosen);
                let inner = guard.and(self.guard_without(plan, &without));
                let before: usize = members[..*chosen].iter().map(leaves).sum();
                self.collect(&members[*chosen], choice, inner, first + before, &[], keys);
                // Only of the first key a record says where the test stands.
                if first == 0
                    && let ([key], Plan::Leaf(leaf)) = (&mut keys[..], &members[*chosen])
                    && matches!(leaf.ask, Ask::AnyOf(_))
                    && key.guard.says(&guard)
                    && let Some(short) = self.short(members, &without, &key.guard)
                {
                    key.short = Some(short);
                    key.guard.code = guard::SHORT;
                }
            }
            (Plan::Or(members), From::All(choices)) => {
                let mut first = first;
                for (member, choice) in members.iter().zip(choices) {
                    self.collect(member, choice, guard, first, &[], keys);
                    first += leaves(member);
                }
            }
            _ => {}
        }
    }
}

/// The members of an `And`; of anything else itself.
fn members(plan: &Plan) -> &[Plan] {
    match plan {
        Plan::And(members) => members,
        other => std::slice::from_ref(other),
    }
}

fn leaves(plan: &Plan) -> usize {
    match plan {
        Plan::Leaf(_) => 1,
        Plan::And(members) | Plan::Or(members) => members.iter().map(leaves).sum(),
        Plan::Always(_) => 0,
    }
}
