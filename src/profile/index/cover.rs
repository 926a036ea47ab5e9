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
/// Entries that a filter may have so that some need not be evaluated.
const SPREAD_MAX: usize = 64;

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
    /// The number of the leaf that is tested when a guard fits that says all but that ([`guard::SHORT`]).
    pub(super) short: Option<usize>,
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
            short: None,
        };
        match choice {
            Some(choice) => self.collect(Part { plan, first: 0 }, &choice, Guard::FREE, 1, &excluding, &mut cover),
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
                    let work = if is_only { 1.0 } else { self.work_of(plan, *member, left_out, choice.keys) };
                    choice.expected * work + choice.keys as f32 * KEY_WEIGHT
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

    /// The guards of entries under the keys of a member of an `And`: what its others say, and what must hold besides. It is one guard, but if it does not say all
    /// because one of the others is an `Or`, there may be one for each member of that, when that costs less.
    fn guards(self, others: &[Part<'_>], besides: Guard, keys: usize, short: &mut Option<usize>) -> Vec<Guard> {
        let guard = self.sharpened(others, besides, short);
        let one = vec![guard];
        let is_said = |part: &&Part<'_>| guard.says(&self.guard(part.plan));
        let Some((at, Part { plan: Plan::Or(members), first })) = others
            .iter()
            .enumerate()
            .filter(|(_, part)| !is_said(part))
            .find(|(_, part)| matches!(part.plan, Plan::Or(_)))
        else {
            return one;
        };
        if guard.code != guard::NEVER || keys * members.len() > SPREAD_MAX {
            return one;
        }
        let mut first = *first;
        let spread: Vec<Guard> = members
            .iter()
            .map(|member| {
                let mut parts: Vec<Part<'_>> =
                    others.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, part)| *part).collect();
                parts.extend(parts_of(member, first));
                first += leaves(member);
                self.sharpened(&parts, besides, short)
            })
            .collect();
        if work(&spread) < work(&one) { spread } else { one }
    }

    /// The guard of plans that must all hold, and of what must hold besides. If it says all but a short test, that is the one that is tested then.
    fn sharpened(self, parts: &[Part<'_>], besides: Guard, short: &mut Option<usize>) -> Guard {
        let guards: Vec<Guard> = parts.iter().map(|part| self.guard(part.plan)).collect();
        let guard = guards.iter().fold(besides, |guard, own| guard.and(*own));
        let unsaid: Vec<&Part<'_>> =
            parts.iter().zip(&guards).filter(|(_, own)| !guard.says(own)).map(|(part, _)| part).collect();
        match unsaid[..] {
            [Part { plan: Plan::Leaf(leaf), first }]
                if guard.says(&besides)
                    && super::program::is_short(leaf)
                    && short.is_none_or(|short| short == *first) =>
            {
                *short = Some(*first);
                Guard { code: guard::SHORT, ..guard }
            }
            _ => guard,
        }
    }

    /// What a kill with a key of this member of an `And` costs, in looks at an entry.
    fn work_of(self, plan: &Plan, member: usize, left_out: &[usize], keys: usize) -> f32 {
        work(&self.guards(&others(plan, 0, member, left_out), Guard::FREE, keys, &mut None))
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

    /// Finds the keys of what must hold with a guard, of which there are so many alike.
    fn collect(
        self,
        Part { plan, first }: Part<'_>,
        choice: &Choice,
        guard: Guard,
        alike: usize,
        left_out: &[usize],
        cover: &mut Cover,
    ) {
        match (plan, &choice.from) {
            (Plan::Leaf(leaf), _) => {
                let is_whole = matches!(leaf.ask, Ask::AnyOf(_)) || cells::points(leaf.field).is_some();
                let own = if is_whole { Guard::FREE } else { Guard::of_leaf(leaf, self.statistics, self.texts) };
                cover.keys.push(Key { leaf: first, guard: guard.and(own), is_alone: guard.is_nothing() });
            }
            (Plan::And(_), From::One(chosen, choice)) => {
                let others = others(plan, first, *chosen, left_out);
                let Some(part) = parts_of(plan, first).nth(*chosen) else { return };
                let guards = self.guards(&others, guard, choice.keys * alike, &mut cover.short);
                for inner in &guards {
                    self.collect(part, choice, *inner, alike * guards.len(), &[], cover);
                }
            }
            (Plan::Or(members), From::All(choices)) => {
                let mut first = first;
                for (plan, choice) in members.iter().zip(choices) {
                    self.collect(Part { plan, first }, choice, guard, alike, &[], cover);
                    first += leaves(plan);
                }
            }
            _ => {}
        }
    }
}

/// A member of an `And`, and the number of its first leaf.
#[derive(Debug, Clone, Copy)]
struct Part<'p> {
    plan: &'p Plan,
    first: usize,
}

/// The members of an `And` with so many leaves before it; of anything else itself.
fn parts_of(plan: &Plan, before: usize) -> impl Iterator<Item = Part<'_>> {
    members(plan).iter().scan(before, |first, plan| {
        let part = Part { plan, first: *first };
        *first += leaves(plan);
        Some(part)
    })
}

/// Those members but one, and but those that are left out.
fn others<'p>(plan: &'p Plan, before: usize, member: usize, left_out: &[usize]) -> Vec<Part<'p>> {
    let all = parts_of(plan, before).enumerate();
    all.filter(|(other, _)| *other != member && !left_out.contains(other)).map(|(_, part)| part).collect()
}

/// What it costs to look at entries with these guards, and to evaluate when they do not say all, in looks.
fn work(guards: &[Guard]) -> f32 {
    let evaluated = |guard: &Guard| match guard.code {
        guard::EXACT => 0.0,
        guard::SHORT => 0.5,
        guard::NEVER => 1.0,
        _ => 0.1,
    };
    guards.iter().map(|guard| 1.0 + EVALUATED * evaluated(guard) * guard.passing()).sum()
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
