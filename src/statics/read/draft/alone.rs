//! One table alone: it takes the place of what is there of it, and is checked against the rest.

use super::super::tables::Table;
use super::Draft;
use crate::statics::{Statics, Type};

impl Draft {
    /// Of what is there already, but for what this table gives. `beside`: what its rows may refer to besides.
    pub(in crate::statics::read) fn over(table: Table, mut statics: Statics, beside: Statics) -> Self {
        let mut draft = Self { beside, ..Self::default() };
        match table {
            Table::Categories => statics.categories.clear(),
            Table::Groups => statics.groups.clear(),
            Table::MetaGroups => statics.meta_groups.clear(),
            Table::Types => draft.before = std::mem::take(&mut statics.types),
            // Attributes tell of meta groups too: those of types that the table does not have stay.
            Table::MetaTypes => {}
            Table::Effects => statics.types.values_mut().for_each(forget_effects),
            Table::Attributes => statics.types.values_mut().for_each(forget_attributes),
            Table::Dogma => statics.types.values_mut().for_each(|made| {
                forget_effects(made);
                forget_attributes(made);
            }),
            Table::Regions => statics.regions.clear(),
            Table::Constellations => statics.constellations.clear(),
            Table::Systems => statics.systems.clear(),
        }
        draft.statics = statics;
        draft
    }

    /// Whether there is nothing of what this table gives.
    pub(in crate::statics::read) fn lacks(&self, table: Table) -> bool {
        let Statics { types, groups, categories, meta_groups, systems, constellations, regions } = &self.statics;
        match table {
            Table::Categories => categories.is_empty(),
            Table::Groups => groups.is_empty(),
            Table::MetaGroups => meta_groups.is_empty(),
            Table::Types => types.is_empty(),
            Table::Regions => regions.is_empty(),
            Table::Constellations => constellations.is_empty(),
            Table::Systems => systems.is_empty(),
            Table::MetaTypes | Table::Effects | Table::Attributes | Table::Dogma => false,
        }
    }

    /// What belongs to something that this table does not have: in words.
    pub(in crate::statics::read) fn orphan(&self, table: Table) -> Option<String> {
        let (here, beside) = (&self.statics, &self.beside);
        let lost = |what: &str, id: i64, of: &str, member: i64| {
            format!("there is no {what} {id} in it, to which {of} {member} belongs")
        };
        match table {
            Table::Categories => {
                let has = |id| here.categories.contains_key(id) || beside.categories.contains_key(id);
                let group = here.groups.values().find(|group| !has(&group.category_id))?;
                Some(lost("category", group.category_id.get(), "group", group.group_id.get()))
            }
            Table::Groups => {
                let has = |id| here.groups.contains_key(id) || beside.groups.contains_key(id);
                let made = here.types.values().find(|made| !has(&made.group_id))?;
                Some(lost("group", made.group_id.get(), "type", made.type_id.get()))
            }
            Table::Regions => {
                let has = |id| here.regions.contains_key(id) || beside.regions.contains_key(id);
                let system = here.systems.values().find(|system| !has(&system.region_id))?;
                Some(lost("region", system.region_id.get(), "system", system.system_id.get()))
            }
            Table::Constellations => {
                let has = |id| here.constellations.contains_key(id) || beside.constellations.contains_key(id);
                let system = here.systems.values().find(|system| !has(&system.constellation_id))?;
                Some(lost("constellation", system.constellation_id.get(), "system", system.system_id.get()))
            }
            _ => None,
        }
    }
}

fn forget_effects(made: &mut Type) {
    made.effects = Box::default();
}

fn forget_attributes(made: &mut Type) {
    (made.tech_level, made.meta_level, made.rig_size, made.has_heat_damage) = (None, None, None, None);
}

/// What other tables said of a type.
pub(super) fn keep_rest(made: &mut Type, before: Type) {
    made.effects = before.effects;
    made.meta_group_id = made.meta_group_id.or(before.meta_group_id);
    made.tech_level = made.tech_level.or(before.tech_level);
    made.meta_level = made.meta_level.or(before.meta_level);
    (made.rig_size, made.has_heat_damage) = (before.rig_size, before.has_heat_damage);
}
