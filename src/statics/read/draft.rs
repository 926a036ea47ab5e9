//! Static data in the making: rows are checked against what came before them, whichever form they were read from.
//!
//! What belongs to an id of 0 (the game's own "#System" and what is in it) is left out; an id below 0 is refused.
//!
//! One table alone ([`Draft::over`]) takes the place of what is there of it, and is checked against the rest.

mod alone;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::problem::quoted;
use crate::killmail::{CategoryId, ConstellationId, GroupId, MetaGroupId, RegionId, SystemId, TypeId};
use crate::statics::{Constellation, Group, Region, Statics, System, Type, cents, name};

/// Entries of a kind: twenty times what there is.
const ENTRIES_MAX: usize = 1_000_000;
/// Effects of a type.
const EFFECTS_MAX: usize = 1_000;
/// Bytes of a name.
const NAME_MAX: usize = 1_000;
/// ISK; no type is a thousandth as dear.
const PRICE_MAX: f64 = 9e13;

/// What a value is. Each form has a name of its own for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// The row's own.
    Id,
    Name,
    Category,
    Group,
    MetaGroup,
    MarketGroup,
    Region,
    Constellation,
    Published,
    Mass,
    Volume,
    BasePrice,
    MetaLevel,
    TechLevel,
    Security,
    Effect,
    Attribute,
    /// Of an attribute, where it is a whole number.
    Whole,
    /// Of an attribute.
    Value,
}

/// A value that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) role: Role,
    pub(super) why: String,
}

impl Unfit {
    pub(super) fn new(role: Role, why: impl Into<String>) -> Self {
        Self { role, why: why.into() }
    }
}

/// A type as it is read.
#[derive(Debug, Clone, Default)]
pub(super) struct TypeRow<'a> {
    pub(super) id: i64,
    pub(super) group: i64,
    pub(super) name: &'a str,
    pub(super) mass: Option<f64>,
    pub(super) volume: Option<f64>,
    /// ISK.
    pub(super) base_price: Option<f64>,
    pub(super) is_published: bool,
    pub(super) market_group: Option<i64>,
    pub(super) meta_group: Option<i64>,
    pub(super) meta_level: Option<f64>,
    pub(super) tech_level: Option<f64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Draft {
    statics: Statics,
    /// Groups and constellations whose members are left out.
    left_out: (HashSet<i64>, HashSet<i64>),
    effects: HashMap<TypeId, Vec<i64>>,
    /// Whether attributes were read: then a type that has one not is known not to have it.
    has_attributes: bool,
    /// What rows may also refer to, and is no part of what is made.
    beside: Statics,
    /// Types as they were before: what other tables say of them stays.
    before: HashMap<TypeId, Type>,
}

impl Draft {
    pub(super) fn category(&mut self, id: i64, text: &str) -> Result<(), Unfit> {
        let Some(id) = known(id, CategoryId::new, Role::Id)? else { return Ok(()) };
        put(&mut self.statics.categories, id, called(text)?)
    }

    pub(super) fn meta_group(&mut self, id: i64, text: &str) -> Result<(), Unfit> {
        let Some(id) = known(id, MetaGroupId::new, Role::Id)? else { return Ok(()) };
        put(&mut self.statics.meta_groups, id, called(text)?)
    }

    pub(super) fn region(&mut self, id: i64, text: &str) -> Result<(), Unfit> {
        let Some(region_id) = known(id, RegionId::new, Role::Id)? else { return Ok(()) };
        put(&mut self.statics.regions, region_id, Region { region_id, name: called(text)? })
    }

    pub(super) fn group(&mut self, id: i64, category: i64, text: &str) -> Result<(), Unfit> {
        let ids = (known(id, GroupId::new, Role::Id)?, known(category, CategoryId::new, Role::Category)?);
        let (Some(group_id), Some(category_id)) = ids else {
            return leave_out(&mut self.left_out.0, id);
        };
        there(&self.statics.categories, &self.beside.categories, category_id, (Role::Category, "category"))?;
        put(&mut self.statics.groups, group_id, Group { group_id, category_id, name: called(text)? })
    }

    pub(super) fn constellation(&mut self, id: i64, region: i64, text: &str) -> Result<(), Unfit> {
        let ids = (known(id, ConstellationId::new, Role::Id)?, known(region, RegionId::new, Role::Region)?);
        let (Some(constellation_id), Some(region_id)) = ids else {
            return leave_out(&mut self.left_out.1, id);
        };
        there(&self.statics.regions, &self.beside.regions, region_id, (Role::Region, "region"))?;
        let constellation = Constellation { constellation_id, region_id, name: called(text)? };
        put(&mut self.statics.constellations, constellation_id, constellation)
    }

    pub(super) fn system(
        &mut self,
        id: i64,
        (constellation, region): (i64, i64),
        text: &str,
        security_status: f64,
    ) -> Result<(), Unfit> {
        let ids = (
            known(id, SystemId::new, Role::Id)?,
            known(constellation, ConstellationId::new, Role::Constellation)?,
            known(region, RegionId::new, Role::Region)?,
        );
        let (Some(system_id), Some(constellation_id), Some(region_id)) = ids else { return Ok(()) };
        if self.left_out.1.contains(&constellation) {
            return Ok(());
        }
        there(&self.statics.regions, &self.beside.regions, region_id, (Role::Region, "region"))?;
        let beside = &self.beside.constellations;
        there(&self.statics.constellations, beside, constellation_id, (Role::Constellation, "constellation"))?;
        if !(-1.0..=1.0).contains(&security_status) {
            return Err(Unfit::new(Role::Security, format!("{security_status} is not from -1 to 1")));
        }
        let system = System { system_id, name: called(text)?, constellation_id, region_id, security_status };
        put(&mut self.statics.systems, system_id, system)
    }

    pub(super) fn item_type(&mut self, row: &TypeRow<'_>) -> Result<(), Unfit> {
        let ids = (known(row.id, TypeId::new, Role::Id)?, known(row.group, GroupId::new, Role::Group)?);
        let meta_group_id = optional(row.meta_group, MetaGroupId::new, Role::MetaGroup)?;
        let is_on_market = optional(row.market_group, Some, Role::MarketGroup)?.is_some();
        let (Some(type_id), Some(group_id)) = ids else { return Ok(()) };
        if self.left_out.0.contains(&row.group) {
            return Ok(());
        }
        if !self.statics.groups.contains_key(&group_id) && !self.beside.groups.contains_key(&group_id) {
            return Err(Unfit::new(Role::Group, format!("there is no group {group_id}")));
        }
        let base_price = real(row.base_price, Role::BasePrice)?;
        if base_price > PRICE_MAX {
            return Err(Unfit::new(Role::BasePrice, format!("{base_price} ISK is no price")));
        }
        let mut made = Type {
            type_id,
            name: called(row.name)?,
            group_id,
            meta_group_id,
            is_on_market,
            is_published: row.is_published,
            mass: real(row.mass, Role::Mass)?,
            volume: real(row.volume, Role::Volume)?,
            base_price: cents(base_price),
            effects: Box::default(),
            tech_level: whole(row.tech_level, Role::TechLevel)?,
            meta_level: whole(row.meta_level, Role::MetaLevel)?,
            rig_size: None,
            has_heat_damage: None,
        };
        if let Some(before) = self.before.remove(&type_id) {
            alone::keep_rest(&mut made, before);
        }
        put(&mut self.statics.types, type_id, made)
    }

    /// Tables may speak of types that are not there: old ones, or what was left out.
    fn type_mut(&mut self, id: i64) -> Result<Option<&mut Type>, Unfit> {
        Ok(known(id, TypeId::new, Role::Id)?.and_then(|id| self.statics.types.get_mut(&id)))
    }

    pub(super) fn meta_group_of(&mut self, id: i64, meta_group: Option<i64>) -> Result<(), Unfit> {
        let meta_group_id = optional(meta_group, MetaGroupId::new, Role::MetaGroup)?;
        if let Some(made) = self.type_mut(id)? {
            made.meta_group_id = meta_group_id.or(made.meta_group_id);
        }
        Ok(())
    }

    pub(super) fn effect(&mut self, id: i64, effect: i64) -> Result<(), Unfit> {
        known(effect, Some, Role::Effect)?;
        let Some(type_id) = self.type_mut(id)?.map(|made| made.type_id) else { return Ok(()) };
        let effects = self.effects.entry(type_id).or_default();
        if effects.len() >= EFFECTS_MAX {
            return Err(Unfit::new(Role::Effect, format!("more than {EFFECTS_MAX} effects of type {id}")));
        }
        effects.push(effect);
        Ok(())
    }

    /// There is a table of attributes.
    pub(super) fn expect_attributes(&mut self) {
        self.has_attributes = true;
    }

    pub(super) fn attribute(&mut self, id: i64, attribute: i64, value: f64) -> Result<(), Unfit> {
        if !value.is_finite() {
            return Err(Unfit::new(Role::Value, format!("{value} is no number")));
        }
        known(attribute, Some, Role::Attribute)?;
        if let Some(made) = self.type_mut(id)? {
            made.take_attribute(attribute, value);
        }
        Ok(())
    }

    /// All that was read.
    pub(super) fn finish(mut self) -> Statics {
        for (type_id, mut effects) in self.effects {
            effects.sort_unstable();
            effects.dedup();
            if let Some(made) = self.statics.types.get_mut(&type_id) {
                made.effects = effects.into();
            }
        }
        if self.has_attributes {
            self.statics.types.values_mut().for_each(|made| {
                made.has_heat_damage.get_or_insert(false);
            });
        }
        self.statics
    }
}

/// An id, unless it is 0.
fn known<I>(id: i64, make: impl Fn(i64) -> Option<I>, role: Role) -> Result<Option<I>, Unfit> {
    if id < 0 { Err(Unfit::new(role, format!("{id} is no id"))) } else { Ok(make(id)) }
}

fn optional<I>(id: Option<i64>, make: impl Fn(i64) -> Option<I>, role: Role) -> Result<Option<I>, Unfit> {
    id.map_or(Ok(None), |id| known(id, make, role))
}

fn leave_out(ids: &mut HashSet<i64>, id: i64) -> Result<(), Unfit> {
    if ids.len() >= ENTRIES_MAX {
        return Err(Unfit::new(Role::Id, format!("more than {ENTRIES_MAX} of them")));
    }
    ids.insert(id);
    Ok(())
}

fn put<K: Copy + Eq + Hash + std::fmt::Display, V>(into: &mut HashMap<K, V>, id: K, value: V) -> Result<(), Unfit> {
    if into.len() >= ENTRIES_MAX {
        return Err(Unfit::new(Role::Id, format!("more than {ENTRIES_MAX} of them")));
    }
    match into.insert(id, value) {
        None => Ok(()),
        Some(_) => Err(Unfit::new(Role::Id, format!("{id} stands there twice"))),
    }
}

/// What a row belongs to must be there, where there is a table of such.
fn there<K: Copy + Eq + Hash + std::fmt::Display, V>(
    among: &HashMap<K, V>,
    beside: &HashMap<K, V>,
    id: K,
    (role, what): (Role, &str),
) -> Result<(), Unfit> {
    if among.is_empty() || among.contains_key(&id) || beside.contains_key(&id) {
        return Ok(());
    }
    Err(Unfit::new(role, format!("there is no {what} {id}")))
}

fn called(text: &str) -> Result<Box<str>, Unfit> {
    if text.len() > NAME_MAX {
        return Err(Unfit::new(Role::Name, format!("{} is no name", quoted(text))));
    }
    Ok(name(text))
}

/// 0 where there is none.
fn real(value: Option<f64>, role: Role) -> Result<f64, Unfit> {
    match value {
        None => Ok(0.0),
        Some(value) if value.is_finite() && value >= 0.0 => Ok(value),
        Some(value) => Err(Unfit::new(role, format!("{value} is not 0 or more"))),
    }
}

fn whole(value: Option<f64>, role: Role) -> Result<Option<i64>, Unfit> {
    match value {
        Some(value) if !value.is_finite() => Err(Unfit::new(role, format!("{value} is no number"))),
        value => Ok(value.map(|value| value as i64)),
    }
}
