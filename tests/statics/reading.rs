//! Every form brings the same.

use broadside::killmail::{CategoryId, ConstellationId, GroupId, MetaGroupId, RegionId, SystemId, TypeId};
use broadside::statics::read::Found;
use broadside::statics::{Constellation, Group, Statics, System, Type};

use crate::files::{ATTRIBUTES, FUZZWORK, Folder, OFFICIAL, gz, read};

fn item(statics: &Statics, id: i64) -> &Type {
    &statics.types[&TypeId::new(id).unwrap()]
}

fn railgun() -> Type {
    Type {
        type_id: TypeId::new(3074).unwrap(),
        name: "150mm Railgun II".into(),
        group_id: GroupId::new(74).unwrap(),
        meta_group_id: MetaGroupId::new(2),
        is_on_market: true,
        is_published: true,
        mass: 500.0,
        volume: 5.0,
        base_price: Some(7_401_450),
        effects: [12, 42].into(),
        tech_level: None,
        meta_level: None,
        rig_size: None,
        has_heat_damage: None,
    }
}

#[test]
fn fuzzworks_tables_are_read_however_they_are_packed() {
    let statics = read(Folder::fuzzwork().path()).unwrap();
    assert_eq!(statics.counts(), [3, 2, 2, 2, 2, 1, 1], "what belongs to id 0 is left out");
    assert_eq!(item(&statics, 3074), &railgun());
    let rifter = item(&statics, 587);
    assert_eq!((&*rifter.name, rifter.mass, rifter.base_price), ("Rifter", 1_067_000.0, None));
    assert_eq!(rifter.meta_group_id, MetaGroupId::new(1));
    let old = item(&statics, 3075);
    assert_eq!((old.is_on_market, old.is_published, old.base_price, old.volume), (false, false, None, 1e35));
    let frigate = Group { group_id: rifter.group_id, category_id: CategoryId::new(6).unwrap(), name: "Frigate".into() };
    assert_eq!(statics.group(rifter.type_id), Some(&frigate));
    assert_eq!(&*statics.categories[&frigate.category_id], "Ship");
    assert_eq!(&*statics.meta_groups[&MetaGroupId::new(2).unwrap()], "Tech II");
    let (constellation_id, region_id) = (ConstellationId::new(20_000_020).unwrap(), RegionId::new(10_000_002).unwrap());
    let system_id = SystemId::new(30_000_142).unwrap();
    let jita =
        System { system_id, name: "Jita".into(), constellation_id, region_id, security_status: 0.945_913_116_664_839 };
    assert_eq!(statics.systems[&system_id], jita);
    let kimotoro = Constellation { constellation_id, region_id, name: "Kimotoro".into() };
    assert_eq!(statics.constellations[&constellation_id], kimotoro);
    assert_eq!(&*statics.regions[&region_id].name, "The Forge");
}

#[test]
fn attributes_are_taken_where_they_are_there() {
    let folder = Folder::fuzzwork();
    folder.write(&format!("{}.csv", ATTRIBUTES.0), ATTRIBUTES.1);
    let statics = read(folder.path()).unwrap();
    let expected = Type { tech_level: Some(2), meta_level: Some(5), has_heat_damage: Some(true), ..railgun() };
    assert_eq!(item(&statics, 3074), &expected, "its meta group comes from the table of meta groups");
    let old = item(&statics, 3075);
    assert_eq!((old.meta_group_id, old.rig_size, old.has_heat_damage), (MetaGroupId::new(14), Some(2), Some(false)));
}

#[test]
fn the_official_lines_bring_the_same_zipped_and_unpacked() {
    let folder = Folder::fuzzwork();
    folder.write(&format!("{}.csv", ATTRIBUTES.0), ATTRIBUTES.1);
    let fuzzwork = read(folder.path()).unwrap();
    let zip = Folder::new();
    assert_eq!(read(&zip.zip(OFFICIAL, "")).unwrap(), fuzzwork);
    assert_eq!(read(&zip.zip(OFFICIAL, "sde/jsonl/")).unwrap(), fuzzwork);
    assert_eq!(read(Folder::of(OFFICIAL, ".jsonl").path()).unwrap(), fuzzwork);
}

#[test]
fn columns_may_come_in_any_order_with_others_between_them() {
    let folder = Folder::fuzzwork();
    let mut reversed = String::from("\u{feff}");
    let text = FUZZWORK.iter().find(|(name, _)| *name == "mapSolarSystems").unwrap().1;
    for line in text.lines() {
        let mut cells: Vec<_> = line.split(',').collect();
        cells.reverse();
        reversed.push_str(&format!("{}\r\n", cells.join(",x,")));
    }
    folder.replace("mapSolarSystems", reversed.replacen(",x,", ",new,", 5));
    assert_eq!(read(folder.path()).unwrap(), read(Folder::fuzzwork().path()).unwrap());
}

#[test]
fn types_groups_and_systems_are_enough_and_what_is_absent_is_told() {
    let folder = Folder::fuzzwork();
    for table in ["invCategories", "invMetaGroups", "invMetaTypes", "dgmTypeEffects", "mapRegions", "mapConstellations"]
    {
        folder.remove(table);
    }
    let found = Found::at(folder.path()).unwrap();
    let absent: Vec<_> = found.absent().iter().map(|absent| absent.table).collect();
    assert_eq!(
        absent,
        [
            "invCategories",
            "invMetaGroups",
            "invMetaTypes",
            "dgmTypeEffects",
            "dgmTypeAttributes",
            "mapRegions",
            "mapConstellations"
        ]
    );
    let statics = found.read(&std::sync::Arc::default()).unwrap();
    assert_eq!(statics.counts(), [3, 2, 0, 0, 2, 0, 0]);
    assert!(item(&statics, 3074).effects.is_empty());
}

#[test]
fn progress_counts_every_byte_of_the_files() {
    let folder = Folder::fuzzwork();
    folder.replace("invTypes", FUZZWORK[3].1);
    let found = Found::at(folder.path()).unwrap();
    let read = std::sync::Arc::default();
    found.read(&read).unwrap();
    assert_eq!(read.load(std::sync::atomic::Ordering::Relaxed), found.bytes());
    let shorter = gz(FUZZWORK[3].1.as_bytes()).len() as u64;
    assert!(found.bytes() > shorter);
}
