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

/// What there is of, in the order of [`Statics::counts`].
pub const KINDS: [&str; 7] = ["types", "groups", "categories", "meta_groups", "systems", "constellations", "regions"];

impl Statics {
    /// How many there are of each of [`KINDS`].
    #[must_use]
    pub fn counts(&self) -> [usize; 7] {
        [
            self.types.len(),
            self.groups.len(),
            self.categories.len(),
            self.meta_groups.len(),
            self.systems.len(),
            self.constellations.len(),
            self.regions.len(),
        ]
    }

    /// Takes in what these have and it lacks.
    pub fn add(&mut self, more: &Self) {
        fn fill<K: Copy + Eq + std::hash::Hash, V: Clone>(into: &mut HashMap<K, V>, more: &HashMap<K, V>) {
            for (id, value) in more {
                into.entry(*id).or_insert_with(|| value.clone());
            }
        }
        fill(&mut self.types, &more.types);
        fill(&mut self.groups, &more.groups);
        fill(&mut self.categories, &more.categories);
        fill(&mut self.meta_groups, &more.meta_groups);
        fill(&mut self.systems, &more.systems);
        fill(&mut self.constellations, &more.constellations);
        fill(&mut self.regions, &more.regions);
    }
}

impl Type {
    /// Takes in a dogma attribute, if it is one of those that are kept; a meta group only where none is known.
    pub fn take_attribute(&mut self, attribute_id: i64, value: f64) {
        // A whole number in all but the way that it is written down.
        let whole = value as i64;
        match attribute_id {
            attribute::TECH_LEVEL => self.tech_level = Some(whole),
            attribute::META_LEVEL => self.meta_level = Some(whole),
            attribute::RIG_SIZE => self.rig_size = Some(whole),
            attribute::HEAT_DAMAGE => self.has_heat_damage = Some(true),
            attribute::META_GROUP => self.meta_group_id = self.meta_group_id.or_else(|| MetaGroupId::new(whole)),
            _ => {}
        }
    }
}

/// Ids of the dogma attributes that are kept.
pub mod attribute {
    pub const TECH_LEVEL: i64 = 422;
    pub const META_LEVEL: i64 = 633;
    pub const HEAT_DAMAGE: i64 = 1211;
    pub const RIG_SIZE: i64 = 1547;
    pub const META_GROUP: i64 = 1692;
}

/// A name fit to be kept and shown: without control characters, which no database likes, and without blanks around it.
#[must_use]
pub fn name(text: &str) -> Box<str> {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let text = text.trim();
    if text.chars().any(char::is_control) {
        text.chars().map(clean).collect::<String>().trim().into()
    } else {
        text.into()
    }
}

/// A price in ISK as cents, to the nearest; `None`: it is 0, or none that can be written down.
#[must_use]
pub fn cents(isk: f64) -> Option<i64> {
    let cents = (isk * 100.0).round();
    // Beyond 2^53 cents are not told apart.
    (1.0..=9_007_199_254_740_992.0).contains(&cents).then_some(cents as i64)
}
