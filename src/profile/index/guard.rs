//! What surely holds of every kill that a condition holds for, in a few bytes, so that an entry can be passed over without a look at its filter; and when
//! these say all there is to say.
//!
//! A guard is a box: a span of what the kill is worth, of each field in the common word the cells that are allowed, and of up to two other fields cells of which
//! the kill must have one. It is found by interpreting the plan over boxes: the box of an `And` is the cut of its members', that of an `Or` the smallest that
//! holds them. At the ends of the span of ISK nothing is sure: a step of the scale is many sums.

use super::cells::{self, Cells, KNOWN};
use super::plan::{Ask, Leaf, Plan};
use super::statistics::Statistics;
use super::texts::Texts;
use crate::profile::field::{Field, Kind};

/// Bits of the cells of a class.
pub(super) const MASK: u32 = (1 << cells::CELLS) - 1;
/// The code of guards that say all but one thing: [short](super::program::is_short) is the test of that.
pub(super) const SHORT: u32 = 29;
/// The code of guards that never say all.
pub(super) const NEVER: u32 = 30;
/// The code of guards that say all.
pub(super) const EXACT: u32 = 31;

/// A box, and how exact it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Guard {
    /// From which [`cells::step`] to which.
    pub(super) isk: (u16, u16),
    /// The allowed cells of the grouped fields.
    pub(super) common: u32,
    /// The strictest first; those that are free have the class 0.
    pub(super) members: [Member; 2],
    /// When the condition must be evaluated though the box fits: [`EXACT`] (never), [`NEVER`] (always), or for kills in the cell of this [`cells::code`].
    pub(super) code: u32,
}

/// Cells of a class, of which a kill must have one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Member {
    pub(super) class: u32,
    pub(super) mask: u32,
    /// How many kills have one, about.
    share: f32,
}

impl Member {
    const FREE: Self = Self { class: 0, mask: MASK, share: 1.0 };

    /// Whether it only says again what another says.
    const fn is_second(self) -> bool {
        self.class & cells::SECOND != 0
    }
}

impl Guard {
    /// Fits every kill.
    pub(super) const FREE: Self =
        Self { isk: (0, u16::MAX), common: u32::MAX, members: [Member::FREE; 2], code: EXACT };

    /// Of a plan.
    pub(super) fn of(plan: &Plan, statistics: &Statistics, texts: &Texts) -> Self {
        match plan {
            Plan::Leaf(leaf) => Self::of_leaf(leaf, statistics, texts),
            Plan::And(members) => {
                members.iter().fold(Self::FREE, |guard, member| guard.and(Self::of(member, statistics, texts)))
            }
            Plan::Or(members) => {
                let guards = members.iter().map(|member| Self::of(member, statistics, texts));
                guards.reduce(Self::or).unwrap_or(Self::FREE)
            }
            Plan::Always(_) => Self { code: NEVER, ..Self::FREE },
        }
    }

    /// Of a test.
    pub(super) fn of_leaf(leaf: &Leaf, statistics: &Statistics, texts: &Texts) -> Self {
        let field = leaf.field;
        if field == Field::IskValue {
            return Self::of_isk(leaf);
        }
        let (present, absent) = (cells::present(field), 1 << cells::absent(field));
        let Cells { may, must } = match &leaf.ask {
            Ask::AnyOf(values) => cells::of_list(field, values),
            Ask::Within(least, most) => cells::of_span(field, *least, *most),
            Ask::Exists => Cells { may: present, must: present },
        };
        let (may, must) = match (leaf.is_negated, field.is_many()) {
            (false, _) => (may, must),
            (true, false) => (!must & (present | absent), !may & (present | absent)),
            (true, true) if leaf.ask == Ask::Exists => (absent, absent),
            // That no value is one of these is not to be said with cells of which one is enough.
            (true, true) => (present | absent, 0),
        };
        let unsure = may & !must;
        let code = match (unsure.count_ones(), cells::code(field, unsure.trailing_zeros())) {
            (0, _) => EXACT,
            (1, Some(code)) => code,
            _ => NEVER,
        };
        let free = Self { code, ..Self::FREE };
        if may == present | absent {
            return free;
        }
        if let Some((first, width)) = cells::group(field) {
            let bits = ((1 << width) - 1) << first;
            return Self { common: !bits | may << first, ..free };
        }
        let first = Member { class: cells::class(field), mask: may, share: share(leaf, statistics, texts).min(0.99) };
        let second = match &leaf.ask {
            Ask::AnyOf(values) if !leaf.is_negated && cells::is_scattered(field) => {
                let mask = values.iter().fold(0, |mask, value| mask | 1 << cells::second(*value));
                // Whatever another field says comes before it.
                Member { class: cells::second_class(field), mask, share: 0.999 }
            }
            _ => Member::FREE,
        };
        Self { members: [first, second], ..free }
    }

    /// Of a test of what the kill is worth.
    fn of_isk(leaf: &Leaf) -> Self {
        let span = |least, most| Self { isk: (least, most), ..Self::FREE };
        let lower = |least: i64| if least == i64::MIN { KNOWN } else { cells::step(least) };
        let upper = |most: i64| if most == i64::MAX { u16::MAX } else { cells::step(most) };
        match (&leaf.ask, leaf.is_negated) {
            (Ask::Exists, false) => span(KNOWN, u16::MAX),
            (Ask::Exists, true) => span(0, KNOWN),
            (Ask::Within(least, most), false) => span(lower(*least), upper(*most)),
            (Ask::Within(least, i64::MAX), true) if *least > i64::MIN => span(0, cells::step(*least)),
            (Ask::AnyOf(values), false) => {
                let ends = (values.first().copied(), values.last().copied());
                let (least, most) = (ends.0.unwrap_or(i64::MIN), ends.1.unwrap_or(i64::MAX));
                Self { code: NEVER, ..span(lower(least), upper(most)) }
            }
            _ => Self { code: NEVER, ..Self::FREE },
        }
    }

    /// How many kills it lets pass, about, as far as its members tell.
    pub(super) fn passing(&self) -> f32 {
        self.members.iter().map(|member| member.share).product()
    }

    /// Whether it says all of a condition with that guard of its own, which it was made of.
    pub(super) fn says(&self, own: &Self) -> bool {
        let is_kept = |member: &Member| {
            let keeps = |kept: &Member| kept.class == member.class && kept.mask & !member.mask == 0;
            member.class == 0 || member.is_second() || self.members.iter().any(keeps)
        };
        own.code == EXACT && own.members.iter().all(is_kept)
    }

    /// Of two conditions that both hold.
    pub(super) fn and(self, other: Self) -> Self {
        let isk = (self.isk.0.max(other.isk.0), self.isk.1.min(other.isk.1));
        let mut code = both(self.code, other.code);
        let mut all = self.members.to_vec();
        for member in other.members {
            match all.iter_mut().find(|known| known.class == member.class) {
                Some(known) if member.class == 0 || known.mask == member.mask => {}
                Some(known) if !is_many(member.class) => {
                    known.mask &= member.mask;
                    known.share = known.share.min(member.share);
                }
                _ => all.push(member),
            }
        }
        all.sort_by(|a, b| a.share.total_cmp(&b.share));
        if all[2..].iter().any(|lost| lost.class != 0 && !lost.is_second()) {
            code = NEVER;
        }
        Self { isk, common: self.common & other.common, members: [all[0], all[1]], code }
    }

    /// Of two conditions of which one holds.
    pub(super) fn or(self, other: Self) -> Self {
        let code = both(self.code, other.code);
        for (inner, outer) in [(self, other), (other, self)] {
            if inner.is_inside(outer) {
                return Self { code, ..outer };
            }
        }
        let common = self.common | other.common;
        let grouped = cells::GROUPED.iter().filter(|field| {
            let (first, width) = cells::group(**field).unwrap_or((0, 0));
            ((self.common ^ other.common) >> first) & ((1 << width) - 1) != 0
        });
        let mut differing = grouped.count() + usize::from(self.isk != other.isk);
        let mut members = [Member::FREE; 2];
        for (member, kept) in self.members.into_iter().zip(&mut members) {
            match other.members.into_iter().find(|same| same.class == member.class) {
                Some(same) => {
                    differing += usize::from(same.mask != member.mask);
                    *kept = Member { mask: member.mask | same.mask, share: member.share.max(same.share), ..member };
                }
                None => differing += 1,
            }
        }
        let is_known = |member: &Member| self.members.iter().any(|same| same.class == member.class);
        differing += other.members.iter().filter(|member| !is_known(member)).count();
        let isk = (self.isk.0.min(other.isk.0), self.isk.1.max(other.isk.1));
        let has_gap = self.isk != other.isk && self.isk.0.max(other.isk.0) >= self.isk.1.min(other.isk.1);
        // Two boxes that differ in one field alone fill the one around them.
        let code = if differing > 1 || has_gap { NEVER } else { code };
        Self { isk, common, members, code }
    }

    /// Whether every kill that fits also fits the other.
    fn is_inside(self, other: Self) -> bool {
        let is_in = |outer: &Member| {
            let inner = self.members.iter().find(|inner| inner.class == outer.class);
            outer.class == 0 || inner.is_some_and(|inner| inner.mask & !outer.mask == 0)
        };
        let is_isk_inside = other.isk.0 <= self.isk.0 && self.isk.1 <= other.isk.1;
        is_isk_inside && self.common & !other.common == 0 && other.members.iter().all(is_in)
    }

    /// Whether a kill's key says as much as key and guard.
    pub(super) fn is_nothing(self) -> bool {
        self == Self::FREE
    }
}

/// When one of two guards does not say all.
const fn both(first: u32, second: u32) -> u32 {
    match (first, second) {
        (EXACT, code) | (code, EXACT) => code,
        _ if first == second => first,
        _ => NEVER,
    }
}

fn is_many(class: u32) -> bool {
    let class = class & !cells::SECOND;
    Field::ALL.into_iter().any(|field| cells::class(field) == class && field.is_many())
}

/// How many kills pass the test, about: at most 1.
pub(super) fn share(leaf: &Leaf, statistics: &Statistics, texts: &Texts) -> f32 {
    let field = leaf.field;
    let share = match &leaf.ask {
        Ask::AnyOf(values) => {
            let counted = |value: i64| if field.kind() == Kind::Text { texts.counted(field, value) } else { value };
            values.iter().map(|value| statistics.share(field, counted(*value))).sum::<f32>()
        }
        Ask::Within(least, most) if cells::is_banded(field) => {
            let above = if *most < i64::MAX { statistics.at_least(field, *most + 1) } else { 0.0 };
            statistics.at_least(field, *least) - above
        }
        Ask::Within(least, most) => match cells::points(field) {
            Some((first, last)) => {
                let values = (*least).max(first)..=(*most).min(last);
                values.map(|value| statistics.share(field, value)).sum()
            }
            None => 0.5,
        },
        Ask::Exists => 0.8,
    };
    let share = share.clamp(0.0, 1.0);
    if leaf.is_negated { 1.0 - share } else { share }
}
