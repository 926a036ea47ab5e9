//! What made-up kills are made of: static data for their types and systems. Groups, categories and meta groups are the game's; which type is in which, what
//! it weighs and costs, and every name is made up.

use std::collections::HashMap;

use crate::killmail::sample::{PARTS, Part, SYSTEMS};
use crate::killmail::{CategoryId, ConstellationId, GroupId, MetaGroupId, RegionId, SystemId, TypeId};
use crate::statics::{Constellation, Group, Region, Statics, System, Type};

/// Systems of a constellation, constellations of a region.
const SYSTEMS_EACH: i64 = 7;
const CONSTELLATIONS_EACH: i64 = 12;

/// Groups of a part, with their category; its types take turns.
const fn groups(part: Part) -> (i64, &'static [i64]) {
    match part {
        Part::Ship => (6, &[25, 420, 26, 419, 27, 324, 358, 831, 832, 28]),
        Part::Capsule => (6, &[29]),
        Part::Structure => (65, &[1657, 1404, 1406]),
        Part::Npc => (11, &[550, 562]),
        Part::Drone => (18, &[100]),
        Part::Weapon => (7, &[55, 74, 53, 509]),
        Part::Low => (7, &[59, 302, 60, 62, 329]),
        Part::Medium => (7, &[38, 52, 65, 46, 77]),
        Part::Rig => (7, &[773, 774]),
        Part::Charge => (8, &[83, 85]),
        Part::Cargo => (4, &[18]),
        Part::Container => (2, &[340]),
        Part::Implant => (20, &[300]),
    }
}

/// The effect by which a module says where it fits.
const fn effect(part: Part) -> Option<i64> {
    match part {
        Part::Low => Some(11),
        Part::Weapon => Some(12),
        Part::Medium => Some(13),
        Part::Rig => Some(2663),
        _ => None,
    }
}

/// ISK, and kilograms of a hull, of a part's cheapest.
const fn scale(part: Part) -> (i64, f64) {
    match part {
        Part::Ship => (400_000, 1_100_000.0),
        Part::Structure => (700_000_000, 1e11),
        Part::Capsule => (10_000, 32_000.0),
        Part::Implant => (2_000_000, 1.0),
        Part::Charge | Part::Cargo => (5, 0.1),
        Part::Npc => (0, 1_000_000.0),
        Part::Drone | Part::Weapon | Part::Low | Part::Medium | Part::Rig | Part::Container => (250_000, 500.0),
    }
}

/// Types with what they cost, in ISK cents; those that cost nothing are left out.
pub(super) fn prices() -> impl Iterator<Item = (i64, i64)> {
    let known = statics().types.into_values();
    known.filter_map(|kind| Some((kind.type_id.get(), kind.base_price?)))
}

/// Everything that made-up kills need.
#[must_use]
pub fn statics() -> Statics {
    let mut statics = Statics::default();
    for (part, types) in PARTS {
        let (category, groups) = groups(*part);
        let Some(category_id) = CategoryId::new(category) else { continue };
        statics.categories.entry(category_id).or_insert_with(|| format!("Category {category}").into());
        for ((place, id), group) in (0..).zip(types.iter()).zip(groups.iter().cycle()) {
            let (Some(type_id), Some(group_id)) = (TypeId::new(*id), GroupId::new(*group)) else { continue };
            let name = format!("Group {group}").into();
            statics.groups.entry(group_id).or_insert(Group { group_id, category_id, name });
            statics.types.entry(type_id).or_insert_with(|| thing(type_id, group_id, *part, place));
        }
    }
    statics.meta_groups = [(1, "Tech I"), (2, "Tech II"), (4, "Faction"), (6, "Deadspace")]
        .into_iter()
        .filter_map(|(id, name)| Some((MetaGroupId::new(id)?, name.into())))
        .collect();
    let (systems, constellations, regions) = space();
    Statics { systems, constellations, regions, ..statics }
}

fn thing(type_id: TypeId, group_id: GroupId, part: Part, place: i64) -> Type {
    let (isk, mass) = scale(part);
    let meta = [1, 2, 4, 6][(place % 4) as usize];
    Type {
        type_id,
        name: format!("Made-up type {type_id}").into(),
        group_id,
        meta_group_id: MetaGroupId::new(meta),
        is_on_market: isk > 0,
        is_published: true,
        mass: mass * (1 + place) as f64,
        volume: 5.0,
        base_price: Some(isk * 100 * (1 + place * place)).filter(|cents| *cents > 0),
        effects: effect(part).into_iter().collect(),
        tech_level: Some(if meta == 2 { 2 } else { 1 }),
        meta_level: Some(place % 6),
        rig_size: Some(1 + place % 3),
        has_heat_damage: Some(part == Part::Weapon),
    }
}

type Space = (HashMap<SystemId, System>, HashMap<ConstellationId, Constellation>, HashMap<RegionId, Region>);

fn space() -> Space {
    let mut space = Space::default();
    for id in SYSTEMS.into_iter().flatten() {
        let (base, place) = (id / 1_000_000 - 30, id % 1_000_000);
        let constellation = 20_000_000 + base * 1_000_000 + place / SYSTEMS_EACH;
        let region = 10_000_000 + base * 1_000_000 + 1 + place / (SYSTEMS_EACH * CONSTELLATIONS_EACH);
        let ids = (SystemId::new(id), ConstellationId::new(constellation), RegionId::new(region));
        let (Some(system_id), Some(constellation_id), Some(region_id)) = ids else { continue };
        // From safe to lawless, over and over; nothing is lawful outside k-space.
        let security_status = if base == 0 { 1.0 - (place % 40) as f64 / 20.0 } else { -0.99 };
        let name = |what: &str, id: i64| format!("{what} {id}").into();
        let system = System { system_id, name: name("System", id), constellation_id, region_id, security_status };
        space.0.insert(system_id, system);
        let named = name("Constellation", constellation);
        space.1.insert(constellation_id, Constellation { constellation_id, region_id, name: named });
        space.2.insert(region_id, Region { region_id, name: name("Region", region) });
    }
    space
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::killmail::sample::Sampler;
    use crate::killmail::wire;

    #[test]
    fn everything_in_a_made_up_kill_is_known() {
        let statics = statics();
        let mut sampler = Sampler::new(5);
        for _ in 0..500 {
            let sample = sampler.next("2026-02-03T04:05:06Z".parse().expect("a time"));
            let kill = wire::decode(sample.esi_json().as_bytes()).expect("a kill");
            assert!(statics.systems.contains_key(&kill.solar_system_id), "{}", kill.solar_system_id);
            let items = kill.victim.items.iter().flat_map(|item| std::iter::once(item).chain(&item.items));
            for id in items.map(|item| item.item_type_id).chain(kill.victim.ship_type_id) {
                assert!(statics.category(id).is_some(), "{id}");
            }
        }
    }
}
