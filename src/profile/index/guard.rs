//! What surely holds of every kill that a condition holds for, in bits, so that an entry can be passed over without a look at its filter; and when the bits
//! say all there is to say.
//!
//! A guard is a box: of each field in the common word the cells that are allowed, and of one other field cells of which the kill must have one. It is found
//! by interpreting the plan over boxes: the box of an `And` is the cut of its members', that of an `Or` the smallest that holds them.

use super::cells::{self, Cells};
use super::plan::{Ask, Leaf, Plan};
use super::statistics::Statistics;
use super::texts::Texts;
use crate::profile::field::{Field, Kind};

/// Bits of the cells of a class.
pub(super) const MASK: u32 = (1 << cells::CELLS) - 1;
/// The code of guards that never say all.
pub(super) const NEVER: u32 = 62;
/// The code of guards that say all of every kill that is not wild.
pub(super) const EXACT: u32 = 63;

/// A box, and how exact it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Guard {
    /// The allowed cells of the grouped fields.
    pub(super) common: u64,
    /// The class of another field, or 0, and cells of which the kill must have one.
    pub(super) class: u32,
    pub(super) mask: u32,
    /// How many kills have one, about.
    share: f32,
    /// When the condition must be evaluated though the box fits: [`EXACT`], [`NEVER`] (or: always), or for kills in the cell of this [`cells::code`].
    pub(super) code: u32,
    /// A sum of ISK has a say: whatever the bits are, they say nothing of a kill that is wild.
    is_cut: bool,
}

impl Guard {
    /// Fits every kill.
    pub(super) const FREE: Self =
        Self { common: u64::MAX, class: 0, mask: MASK, share: 1.0, code: EXACT, is_cut: false };

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
        let free = Self { code, is_cut: field.kind() == Kind::Money, ..Self::FREE };
        if may == present | absent {
            return free;
        }
        if let Some((first, width)) = cells::group(field) {
            let bits = ((1_u64 << width) - 1) << first;
            return Self { common: !bits | u64::from(may) << first, ..free };
        }
        // A kill that is wild has all bits, so one that no cell has lets it pass whatever is allowed.
        let wild = if cells::absent(field) < cells::CELLS - 1 { 1 << (cells::CELLS - 1) } else { 0 };
        Self { class: cells::class(field), mask: may | wild, share: share(leaf, statistics, texts), ..free }
    }

    /// Of two conditions that both hold.
    pub(super) fn and(self, other: Self) -> Self {
        let code = match (self.code, other.code) {
            (EXACT, code) | (code, EXACT) => code,
            (first, second) if first == second => first,
            _ => NEVER,
        };
        let (kept, lost) = if self.share <= other.share { (self, other) } else { (other, self) };
        let is_cut = self.is_cut || other.is_cut;
        let both = Self { common: self.common & other.common, code, is_cut, ..kept };
        match (kept.class, lost.class) {
            (_, 0) => both,
            (0, _) => Self { class: lost.class, mask: lost.mask, share: lost.share, ..both },
            (first, second) if first == second && (kept.mask == lost.mask || !is_many(first)) => {
                Self { mask: kept.mask & lost.mask, ..both }
            }
            _ => Self { code: NEVER, ..both },
        }
    }

    /// Of two conditions of which one holds.
    pub(super) fn or(self, other: Self) -> Self {
        let code = match (self.code, other.code) {
            (EXACT, code) | (code, EXACT) => code,
            (first, second) if first == second => first,
            _ => NEVER,
        };
        let is_cut = self.is_cut || other.is_cut;
        for (inner, outer) in [(self, other), (other, self)] {
            if inner.is_inside(outer) {
                return Self { code, is_cut, ..outer };
            }
        }
        let common = self.common | other.common;
        let differing = cells::GROUPED.iter().filter(|field| {
            let (first, width) = cells::group(**field).unwrap_or((0, 0));
            ((self.common ^ other.common) >> first) & ((1 << width) - 1) != 0
        });
        let (class, mask, share, is_lost) = if self.class == other.class {
            (self.class, self.mask | other.mask, (self.share + other.share).min(1.0), false)
        } else {
            (0, MASK, 1.0, self.class != 0 && other.class != 0)
        };
        let differing = differing.count() + usize::from(self.class != other.class || self.mask != other.mask);
        // Two boxes that differ in one field alone fill the one around them.
        let code = if differing > 1 || is_lost { NEVER } else { code };
        Self { common, class, mask, share, code, is_cut }
    }

    /// Whether every kill that fits also fits the other.
    fn is_inside(self, other: Self) -> bool {
        let is_class_inside = other.class == 0 || (self.class == other.class && self.mask & !other.mask == 0);
        self.common & !other.common == 0 && is_class_inside
    }

    /// Whether a kill's key says as much as key and guard.
    pub(super) fn is_nothing(self) -> bool {
        self == Self::FREE
    }
}

fn is_many(class: u32) -> bool {
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
