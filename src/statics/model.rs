//! The values.

use std::collections::HashMap;

use crate::killmail::{CategoryId, ConstellationId, GroupId, MetaGroupId, RegionId, SystemId, TypeId};

/// An item type.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    pub type_id: TypeId,
    pub name: Box<str>,
    pub group_id: GroupId,
    pub meta_group_id: Option<MetaGroupId>,
    /// Whether it has a place in the market's tree.
    pub is_on_market: bool,
    pub is_published: bool,
    /// Kilograms.
    pub mass: f64,
    /// Cubic metres.
    pub volume: f64,
    /// ISK cents, by its makers' own reckoning; `None`: they give none, or 0.
    pub base_price: Option<i64>,
    /// Dogma effects, ascending: 11 low, 12 high, 13 medium, 2663 rig, 3772 subsystem, …
    pub effects: Box<[i64]>,
    /// Attribute 422. This and the next three are absent where no attributes were imported.
    pub tech_level: Option<i64>,
    /// Attribute 633.
    pub meta_level: Option<i64>,
    /// Attribute 1547.
    pub rig_size: Option<i64>,
    /// Whether it has attribute 1211.
    pub has_heat_damage: Option<bool>,
}

/// A group of types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub group_id: GroupId,
    pub category_id: CategoryId,
    pub name: Box<str>,
}

/// A solar system.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    pub system_id: SystemId,
    pub name: Box<str>,
    pub constellation_id: ConstellationId,
    pub region_id: RegionId,
    /// As it is, not rounded: -1.0 to 1.0.
    pub security_status: f64,
}

/// A constellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constellation {
    pub constellation_id: ConstellationId,
    pub region_id: RegionId,
    pub name: Box<str>,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    pub region_id: RegionId,
    pub name: Box<str>,
}

/// All of it. Empty until something was imported.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statics {
    pub types: HashMap<TypeId, Type>,
    pub groups: HashMap<GroupId, Group>,
    pub categories: HashMap<CategoryId, Box<str>>,
    pub meta_groups: HashMap<MetaGroupId, Box<str>>,
    pub systems: HashMap<SystemId, System>,
    pub constellations: HashMap<ConstellationId, Constellation>,
    pub regions: HashMap<RegionId, Region>,
}

impl Statics {
    /// Whether nothing was imported yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// A type's category, through its group.
    #[must_use]
    pub fn category(&self, type_id: TypeId) -> Option<CategoryId> {
        Some(self.group(type_id)?.category_id)
    }

    /// A type's group.
    #[must_use]
    pub fn group(&self, type_id: TypeId) -> Option<&Group> {
        self.groups.get(&self.types.get(&type_id)?.group_id)
    }
}
