//! What a kill is worth: Σ price × quantity over its hull and every stack, nested ones too, in exact cents.
//!
//! * The hull is destroyed. A stack counts by what of it was destroyed and what was dropped.
//! * `fitted`: the hull, and what lay directly (not nested) in a low, medium or high slot (flags 11–34), a rig (92–99), a subsystem (125–132), the drone bay
//!   (87), as an implant (89), in the fighter bay (158) or a tube (159–163), or as a structure's fuel (172); destroyed or dropped.
//! * 0.01 ISK a piece, by rule: blueprint copies (`singleton` 2), SKINs (category 91), and what lay in the frigate escape bay (flag 179) with all that is in it.
//! * What nobody has a price for counts 0.
//!
//! `source` says how many distinct types each source priced, in the order `janice, mutamarket, market, esi, base, rule, none`, those of none left out:
//! `janice:12,base:1,rule:2`. `;today` at its end: a kill older than a day, for which (at least) one type got today's price, because none was kept for its day.

use super::Source;
use crate::killmail::{CategoryId, Item, Killmail, TypeId, Worth};
use crate::market::Cents;
use crate::statics::Statics;

/// What a piece costs by rule.
const BY_RULE: Cents = Cents(1);
/// Category of SKINs.
const SKINS: i64 = 91;
const BLUEPRINT_COPY: i32 = 2;
const ESCAPE_BAY: i32 = 179;
/// In the place of a source: by rule; nobody.
const RULE: usize = Source::ALL.len();
const NONE: usize = RULE + 1;

/// What one unit of a type costs, for one kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    pub cents: Cents,
    pub source: Source,
    /// It is today's, and the kill is older.
    pub is_of_another_day: bool,
}

/// How many distinct types of a kill each source priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally([u32; NONE + 1]);

impl Tally {
    /// Every source with its count, `rule` and `none` last.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let names = Source::ALL.into_iter().map(Source::as_str).chain(["rule", "none"]);
        names.zip(self.0)
    }

    fn summary(&self, is_of_another_day: bool) -> String {
        let counts = self.counts().filter(|(_, count)| *count > 0);
        let mut text = counts.map(|(name, count)| format!("{name}:{count}")).collect::<Vec<_>>().join(",");
        if is_of_another_day {
            text.push_str(";today");
        }
        text
    }
}

/// Types whose price a kill needs: each once, ascending.
#[must_use]
pub fn needed(mail: &Killmail, statics: &Statics) -> Vec<TypeId> {
    let mut types: Vec<TypeId> = mail.victim.ship_type_id.into_iter().collect();
    stacks(&mail.victim.items, false, true, &mut |stack| {
        if !stack.is_by_rule(statics) {
            types.push(stack.item.item_type_id);
        }
    });
    types.sort_unstable();
    types.dedup();
    types
}

/// What it is worth by these prices, and who gave them.
pub fn worth(mail: &Killmail, statics: &Statics, price: impl Fn(TypeId) -> Option<Price>) -> (Worth, Tally) {
    let mut sums = Sums::default();
    if let Some(hull) = mail.victim.ship_type_id {
        let cents = sums.price(hull, price(hull));
        (sums.destroyed, sums.fitted) = (cents, cents);
    }
    stacks(&mail.victim.items, false, true, &mut |stack| {
        let type_id = stack.item.item_type_id;
        let cents = if stack.is_by_rule(statics) {
            sums.priced.push((RULE, type_id));
            BY_RULE.0.into()
        } else {
            sums.price(type_id, price(type_id))
        };
        let value = |quantity: Option<i64>| i128::from(quantity.unwrap_or(0).max(0)) * cents;
        let (destroyed, dropped) = (value(stack.item.quantity_destroyed), value(stack.item.quantity_dropped));
        sums.destroyed = sums.destroyed.saturating_add(destroyed);
        sums.dropped = sums.dropped.saturating_add(dropped);
        if stack.is_direct && is_fitted(stack.item.flag) {
            sums.fitted = sums.fitted.saturating_add(destroyed).saturating_add(dropped);
        }
    });
    sums.finish()
}

/// A stack, where it lay.
struct Stack<'a> {
    item: &'a Item,
    /// Not in a container.
    is_direct: bool,
    is_in_escape_bay: bool,
}

impl Stack<'_> {
    fn is_by_rule(&self, statics: &Statics) -> bool {
        self.item.singleton == BLUEPRINT_COPY
            || self.is_in_escape_bay
            || statics.category(self.item.item_type_id).map(CategoryId::get) == Some(SKINS)
    }
}

fn stacks<'a>(items: &'a [Item], is_in_escape_bay: bool, is_direct: bool, visit: &mut impl FnMut(Stack<'a>)) {
    for item in items {
        let is_in_escape_bay = is_in_escape_bay || item.flag == ESCAPE_BAY;
        visit(Stack { item, is_direct, is_in_escape_bay });
        stacks(&item.items, is_in_escape_bay, false, visit);
    }
}

fn is_fitted(flag: i32) -> bool {
    matches!(flag, 11..=34 | 87 | 89 | 92..=99 | 125..=132 | 158..=163 | 172)
}

/// A product of two `i64`s is less than half of what an `i128` holds; what would be more stays there, and is more than can be written down.
#[derive(Default)]
struct Sums {
    destroyed: i128,
    dropped: i128,
    fitted: i128,
    priced: Vec<(usize, TypeId)>,
    is_of_another_day: bool,
}

impl Sums {
    fn price(&mut self, type_id: TypeId, price: Option<Price>) -> i128 {
        self.priced.push((price.map_or(NONE, |price| price.source as usize), type_id));
        self.is_of_another_day |= price.is_some_and(|price| price.is_of_another_day);
        price.map_or(0, |price| price.cents.0.max(0).into())
    }

    fn finish(mut self) -> (Worth, Tally) {
        let mut tally = Tally::default();
        self.priced.sort_unstable();
        self.priced.dedup();
        self.priced.iter().for_each(|(source, _)| tally.0[*source] += 1);
        let written = |sum: i128| i64::try_from(sum).ok();
        let worth = Worth {
            total: written(self.destroyed.saturating_add(self.dropped)),
            destroyed: written(self.destroyed),
            dropped: written(self.dropped),
            fitted: written(self.fitted),
            source: tally.summary(self.is_of_another_day),
        };
        (worth, tally)
    }
}

#[cfg(test)]
#[path = "worth_tests.rs"]
mod tests;
