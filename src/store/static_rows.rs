//! The rows of static data, the same for every engine.

use std::collections::HashMap;

use super::{Error, Origins};
use crate::killmail::{CategoryId, ConstellationId, GroupId, MetaGroupId, RegionId, SystemId, TypeId};
use crate::statics::{Constellation, Group, Region, Statics, System, Type};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Real,
    Flag,
    Text,
    /// Cents.
    Money,
    /// Whole numbers.
    List,
}

/// One value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    Whole(Option<i64>),
    Real(f64),
    Flag(Option<bool>),
    Text(&'a str),
    List(&'a [i64]),
}

/// A table; its key is the first column.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) table: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
}

impl Sheet {
    /// Whether its rows say where they come from: of those ESI may tell.
    pub(super) fn has_source(&self) -> bool {
        self.columns.last().is_some_and(|(name, _)| *name == "source")
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// `ON CONFLICT …`: what an import says takes the place of what is there.
    pub(super) fn overwriting(&self) -> String {
        let set: Vec<_> = self.names()[1..].iter().map(|name| format!("{name} = excluded.{name}")).collect();
        format!("ON CONFLICT ({}) DO UPDATE SET {}", self.columns[0].0, set.join(", "))
    }
}

/// All tables, in the order of [`crate::statics::KINDS`].
pub(super) const SHEETS: [Sheet; 7] = [
    Sheet {
        table: "eve_item_types",
        columns: &[
            ("type_id", Kind::Whole),
            ("name", Kind::Text),
            ("group_id", Kind::Whole),
            ("meta_group_id", Kind::Whole),
            ("on_market", Kind::Flag),
            ("published", Kind::Flag),
            ("mass", Kind::Real),
            ("volume", Kind::Real),
            ("base_price", Kind::Money),
            ("effects", Kind::List),
            ("tech_level", Kind::Whole),
            ("meta_level", Kind::Whole),
            ("rig_size", Kind::Whole),
            ("heat_damage", Kind::Flag),
            ("source", Kind::Text),
        ],
    },
    Sheet {
        table: "eve_item_groups",
        columns: &[
            ("group_id", Kind::Whole),
            ("category_id", Kind::Whole),
            ("name", Kind::Text),
            ("source", Kind::Text),
        ],
    },
    Sheet { table: "eve_item_categories", columns: &[("category_id", Kind::Whole), ("name", Kind::Text)] },
    Sheet { table: "eve_meta_groups", columns: &[("meta_group_id", Kind::Whole), ("name", Kind::Text)] },
    Sheet {
        table: "eve_systems",
        columns: &[
            ("system_id", Kind::Whole),
            ("name", Kind::Text),
            ("constellation_id", Kind::Whole),
            ("region_id", Kind::Whole),
            ("security_status", Kind::Real),
            ("source", Kind::Text),
        ],
    },
    Sheet {
        table: "eve_constellations",
        columns: &[
            ("constellation_id", Kind::Whole),
            ("region_id", Kind::Whole),
            ("name", Kind::Text),
            ("source", Kind::Text),
        ],
    },
    Sheet { table: "eve_regions", columns: &[("region_id", Kind::Whole), ("name", Kind::Text)] },
];

/// A row's values, in the order of its sheet's columns.
pub(super) type Row<'a> = Vec<Cell<'a>>;

/// The rows of every sheet, each in the order of its key, which is that in which everybody writes.
pub(super) fn rows<'a>(statics: &'a Statics, source: &'a str) -> [Vec<Row<'a>>; 7] {
    use Cell::{Flag, List, Real, Text, Whole};
    let id = |id: i64| Whole(Some(id));
    [
        sorted(&statics.types, |t: &Type| {
            vec![
                id(t.type_id.get()),
                Text(&t.name),
                id(t.group_id.get()),
                Whole(t.meta_group_id.map(MetaGroupId::get)),
                Flag(Some(t.is_on_market)),
                Flag(Some(t.is_published)),
                Real(t.mass),
                Real(t.volume),
                Whole(t.base_price),
                List(&t.effects),
                Whole(t.tech_level),
                Whole(t.meta_level),
                Whole(t.rig_size),
                Flag(t.has_heat_damage),
                Text(source),
            ]
        }),
        sorted(&statics.groups, |g: &Group| {
            vec![id(g.group_id.get()), id(g.category_id.get()), Text(&g.name), Text(source)]
        }),
        named(&statics.categories, CategoryId::get),
        named(&statics.meta_groups, MetaGroupId::get),
        sorted(&statics.systems, |s: &System| {
            let (constellation, region) = (s.constellation_id.get(), s.region_id.get());
            let security = Real(s.security_status);
            vec![id(s.system_id.get()), Text(&s.name), id(constellation), id(region), security, Text(source)]
        }),
        sorted(&statics.constellations, |c: &Constellation| {
            vec![id(c.constellation_id.get()), id(c.region_id.get()), Text(&c.name), Text(source)]
        }),
        sorted(&statics.regions, |r: &Region| vec![id(r.region_id.get()), Text(&r.name)]),
    ]
}

fn sorted<'a, K: Ord, V>(map: &'a HashMap<K, V>, row: impl Fn(&'a V) -> Row<'a>) -> Vec<Row<'a>> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by(|one, other| one.0.cmp(other.0));
    entries.into_iter().map(|(_, value)| row(value)).collect()
}

fn named<'a, K: Ord + Copy>(map: &'a HashMap<K, Box<str>>, id: impl Fn(K) -> i64) -> Vec<Row<'a>> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by(|one, other| one.0.cmp(other.0));
    entries.into_iter().map(|(key, name)| vec![Cell::Whole(Some(id(*key))), Cell::Text(name)]).collect()
}

/// A row of `eve_item_types` as it is selected: all but the source, money in cents, effects as a JSON array.
pub(super) type TypeRow = (
    i64,
    String,
    i64,
    Option<i64>,
    bool,
    bool,
    f64,
    f64,
    Option<i64>,
    String,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<bool>,
);
pub(super) type SystemRow = (i64, String, i64, i64, f64);

/// Takes a row in; one that cannot be, somebody else has written.
pub(super) fn add_type(statics: &mut Statics, row: TypeRow) -> Result<(), Error> {
    let (
        id,
        name,
        group,
        meta_group,
        is_on_market,
        is_published,
        mass,
        volume,
        base_price,
        effects,
        tech,
        meta,
        rig,
        heat,
    ) = row;
    let (Some(type_id), Some(group_id)) = (TypeId::new(id), GroupId::new(group)) else { return Ok(()) };
    let unreadable = |error| Error::Permanent(format!("read the effects of type {id}: {error}"));
    let effects: Vec<i64> = serde_json::from_str(&effects).map_err(unreadable)?;
    let made = Type {
        type_id,
        name: name.into(),
        group_id,
        meta_group_id: meta_group.and_then(MetaGroupId::new),
        is_on_market,
        is_published,
        mass,
        volume,
        base_price,
        effects: effects.into(),
        tech_level: tech,
        meta_level: meta,
        rig_size: rig,
        has_heat_damage: heat,
    };
    statics.types.insert(type_id, made);
    Ok(())
}

pub(super) fn add_system(statics: &mut Statics, (id, name, constellation, region, security_status): SystemRow) {
    let ids = (SystemId::new(id), ConstellationId::new(constellation), RegionId::new(region));
    if let (Some(system_id), Some(constellation_id), Some(region_id)) = ids {
        let system = System { system_id, name: name.into(), constellation_id, region_id, security_status };
        statics.systems.insert(system_id, system);
    }
}

/// A row of groups or constellations: id, what it belongs to, name.
pub(super) fn add_member(statics: &mut Statics, table: &str, (id, of, name): (i64, i64, String)) {
    if table == "eve_item_groups" {
        if let (Some(group_id), Some(category_id)) = (GroupId::new(id), CategoryId::new(of)) {
            statics.groups.insert(group_id, Group { group_id, category_id, name: name.into() });
        }
    } else if let (Some(constellation_id), Some(region_id)) = (ConstellationId::new(id), RegionId::new(of)) {
        let constellation = Constellation { constellation_id, region_id, name: name.into() };
        statics.constellations.insert(constellation_id, constellation);
    }
}

/// A row that is an id and a name.
pub(super) fn add_named(statics: &mut Statics, table: &str, (id, name): (i64, String)) {
    match table {
        "eve_item_categories" => {
            if let Some(id) = CategoryId::new(id) {
                statics.categories.insert(id, name.into());
            }
        }
        "eve_meta_groups" => {
            if let Some(id) = MetaGroupId::new(id) {
                statics.meta_groups.insert(id, name.into());
            }
        }
        _ => {
            if let Some(region_id) = RegionId::new(id) {
                statics.regions.insert(region_id, Region { region_id, name: name.into() });
            }
        }
    }
}

/// Selected alike from every engine, each by the names of the columns.
pub(super) const MEMBERS: [(&str, &str); 2] = [
    ("eve_item_groups", "SELECT group_id, category_id, name FROM eve_item_groups"),
    ("eve_constellations", "SELECT constellation_id, region_id, name FROM eve_constellations"),
];
pub(super) const NAMED: [(&str, &str); 3] = [
    ("eve_item_categories", "SELECT category_id, name FROM eve_item_categories"),
    ("eve_meta_groups", "SELECT meta_group_id, name FROM eve_meta_groups"),
    ("eve_regions", "SELECT region_id, name FROM eve_regions"),
];
pub(super) const SYSTEMS: &str =
    "SELECT system_id, name, constellation_id, region_id, security_status FROM eve_systems";
pub(super) const VERSION: &str = "SELECT coalesce(max(version), 0) FROM eve_imports";
pub(super) const ADDED: &str = "SELECT (SELECT count(*) FROM eve_item_types WHERE source = 'esi'),
    (SELECT count(*) FROM eve_systems WHERE source = 'esi')";
/// What ESI told of: ids, each with the number of its table in [`SHEETS`].
pub(super) const TOLD: &str = "SELECT 0, type_id FROM eve_item_types WHERE source = 'esi'
    UNION ALL SELECT 1, group_id FROM eve_item_groups WHERE source = 'esi'
    UNION ALL SELECT 4, system_id FROM eve_systems WHERE source = 'esi'
    UNION ALL SELECT 5, constellation_id FROM eve_constellations WHERE source = 'esi'";
pub(super) const LAST_IMPORT: &str = "SELECT coalesce(max(version), 0) FROM eve_imports WHERE kind = 'import'";
pub(super) const LAST: &str =
    "SELECT version, source, imported_at, types, groups, categories, meta_groups, systems, constellations, regions
    FROM eve_imports WHERE kind = 'import' ORDER BY version DESC LIMIT 1";

/// Everything, apart by where it comes from.
pub(super) fn origins(version: i64, mut imported: Statics, told: &[(i32, i64)]) -> Origins {
    fn part<K: Copy + Eq + std::hash::Hash, V>(from: &mut HashMap<K, V>, into: &mut HashMap<K, V>, id: Option<K>) {
        into.extend(id.and_then(|id| from.remove_entry(&id)));
    }
    let mut apart = Statics::default();
    for (table, id) in told {
        match table {
            0 => part(&mut imported.types, &mut apart.types, TypeId::new(*id)),
            1 => part(&mut imported.groups, &mut apart.groups, GroupId::new(*id)),
            4 => part(&mut imported.systems, &mut apart.systems, SystemId::new(*id)),
            _ => part(&mut imported.constellations, &mut apart.constellations, ConstellationId::new(*id)),
        }
    }
    Origins { version, imported, told: apart }
}

/// Why a table that was to be changed alone is not.
pub(super) fn overtaken() -> Error {
    Error::Transient("go by the last import: there is a newer one".to_owned())
}

/// The counts of a row of [`LAST`].
pub(super) type Counts = (i64, i64, i64, i64, i64, i64, i64);

pub(super) fn unsigned((a, b, c, d, e, f, g): Counts) -> [u64; 7] {
    [a, b, c, d, e, f, g].map(i64::unsigned_abs)
}

pub(super) fn signed(counts: [usize; 7]) -> [i64; 7] {
    counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}
