//! One table alone takes the place of what is there of it, and is checked against the rest.

use std::sync::Arc;

use broadside::killmail::{GroupId, TypeId};
use broadside::statics::read::{Alone, Found, table_of};
use broadside::statics::{Group, Statics};

use crate::files::{ATTRIBUTES, FUZZWORK, Folder, OFFICIAL, bz2, gz, read, refusal};

fn table(name: &str) -> &'static str {
    FUZZWORK.iter().chain([&ATTRIBUTES]).find(|(table, _)| *table == name).unwrap().1
}

/// All tables, with attributes.
fn folder() -> Folder {
    let folder = Folder::fuzzwork();
    folder.write(&format!("{}.csv", ATTRIBUTES.0), ATTRIBUTES.1);
    folder
}

/// What is made of one file over what there is; or why not, without the folder.
fn over(imported: Statics, told: Statics, file: &str, bytes: impl AsRef<[u8]>) -> Result<Statics, String> {
    let folder = Folder::new();
    folder.write(file, bytes);
    let found = Found::at(&folder.path().join(file)).unwrap();
    let read = found.read_over(imported, told, &Arc::default());
    read.map_err(|problem| problem.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn fresh() -> Statics {
    read(folder().path()).unwrap()
}

fn alone(name: &str, text: &str) -> Result<Statics, String> {
    over(fresh(), Statics::default(), &format!("{name}.csv"), text)
}

#[test]
fn a_table_alone_does_what_all_do_with_it_changed() {
    for (name, from, to) in [
        ("invTypes", "500.0,5,", "501.0,6,"),
        ("invTypes", "150mm Railgun II", "another name"),
        ("invGroups", "Frigate", "Frigates"),
        ("invGroups", "\n74,", "\n75,7,new,0\n74,"),
        ("invCategories", "Ship,", "Ships,"),
        ("invMetaGroups", "Tech I,", "Tech One,"),
        ("invMetaTypes", "587,,1", "587,,2"),
        ("dgmTypeEffects", "3074,42,0\n", "587,12,0\n"),
        ("dgmTypeAttributes", "3074,422,2,None\n", "587,422,1,None\n"),
        ("mapRegions", "The Forge", "Forge"),
        ("mapConstellations", "Kimotoro", "another"),
        ("mapSolarSystems", "0.945913116664839", "0.5"),
    ] {
        let text = table(name).replace(from, to);
        assert_ne!(text, table(name));
        let all = folder();
        all.replace(name, &text);
        let expected = read(all.path()).unwrap();
        assert_ne!(expected, fresh(), "{name}");
        assert_eq!(alone(name, &text).unwrap(), expected, "{name}: {to}");
    }
}

#[test]
fn it_may_be_packed_and_of_the_official_lines() {
    let text = table("invTypes").replace("Rifter", "Rifter renamed");
    let plain = alone("invTypes", &text).unwrap();
    for (file, bytes) in [("invTypes.csv.gz", gz(text.as_bytes())), ("invTypes.csv.bz2", bz2(text.as_bytes()))] {
        assert_eq!(over(fresh(), Statics::default(), file, bytes).unwrap(), plain);
    }
    for name in ["types", "typeDogma", "mapSolarSystems"] {
        let text = OFFICIAL.iter().find(|(table, _)| *table == name).unwrap().1;
        assert_eq!(over(fresh(), Statics::default(), &format!("{name}.jsonl"), text).unwrap(), fresh(), "{name}");
    }
}

#[test]
fn it_says_which_table_it_is() {
    let folder = Folder::new();
    folder.write("dgmTypeEffects.csv", table("dgmTypeEffects"));
    let found = Found::at(&folder.path().join("dgmTypeEffects.csv")).unwrap();
    assert_eq!(found.alone(), Some(Alone { table: "dgmTypeEffects", gives: "slots of modules" }));
    assert_eq!(Found::at(Folder::fuzzwork().path()).unwrap().alone(), None);
    assert_eq!(table_of("invTypes.csv.bz2"), Some("invTypes"));
    assert_eq!(table_of("types.jsonl.gz"), Some("types"));
    assert_eq!((table_of("types.csv"), table_of("invTypes.jsonl"), table_of("../invTypes.csv")), (None, None, None));
}

#[test]
fn what_it_refers_to_must_be_there() {
    let text = table("invTypes").replace("3074,74,", "3074,75,");
    assert_eq!(
        alone("invTypes", &text).unwrap_err(),
        "read invTypes.csv, line 6, column groupID: there is no group 75"
    );
    let mut told = Statics::default();
    let (group_id, category_id) = (GroupId::new(75).unwrap(), fresh().groups.values().next().unwrap().category_id);
    told.groups.insert(group_id, Group { group_id, category_id, name: "told".into() });
    let statics = over(fresh(), told, "invTypes.csv", text).unwrap();
    assert_eq!(statics.types[&TypeId::new(3074).unwrap()].group_id, group_id, "ESI told of it");
    assert_eq!(statics.counts(), fresh().counts(), "what ESI told of is not part of it");
}

#[test]
fn what_belongs_to_something_that_it_has_no_more_refuses_it() {
    for (name, line, expected) in [
        ("invGroups", "74,7,Hybrid Weapon,0\n", "there is no group 74 in it, to which type 307"),
        ("invCategories", "6,Ship,,1\n", "there is no category 6 in it, to which group 25 belongs"),
        ("mapRegions", "10000002,The Forge,", "there is no region 10000002 in it, to which system 3000014"),
        ("mapConstellations", "20000020,", "there is no constellation 20000020 in it, to which system 3000014"),
    ] {
        let other = if line.ends_with('\n') { "" } else { "4,other," };
        let text = match name {
            "mapConstellations" => table(name).replace(line, "20000021,"),
            _ => table(name).replace(line, other),
        };
        let refused = alone(name, &text).unwrap_err();
        assert!(refused.starts_with(&format!("read {name}.csv: {expected}")), "{refused}");
        assert!(refused.ends_with("belongs: import it with the others, as a folder or zip"), "{refused}");
    }
}

#[test]
fn an_empty_one_or_one_without_an_import_before_is_refused() {
    for (name, gives) in
        [("invTypes", "types"), ("dgmTypeEffects", "slots of modules"), ("mapRegions", "names of regions")]
    {
        let header = table(name).lines().next().unwrap();
        assert_eq!(alone(name, header).unwrap_err(), format!("read {name}.csv: there are no {gives} in it"));
    }
    let nothing = over(Statics::default(), Statics::default(), "invTypes.csv", table("invTypes")).unwrap_err();
    assert!(
        nothing
            .contains("there was none: import the official zip, or the folder in which it lies with the others, first")
    );
    let folder = Folder::new();
    folder.write("invTypes.csv", table("invTypes"));
    assert!(refusal(&folder.path().join("invTypes.csv")).contains("one table alone is not enough"));
}
