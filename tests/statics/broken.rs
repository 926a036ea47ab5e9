//! What is broken is refused whole, and says where.

use proptest::prelude::*;

use crate::files::{FUZZWORK, Folder, OFFICIAL, bz2, gz, read, refusal};

fn table(name: &str) -> &'static str {
    FUZZWORK.iter().find(|(table, _)| *table == name).unwrap().1
}

/// What is said of the folder when one table has another text.
fn with(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let folder = Folder::fuzzwork();
    folder.replace(name, bytes);
    refusal(folder.path())
}

/// The same with a piece of the text replaced.
fn changed(name: &str, from: &str, to: &str) -> String {
    assert!(table(name).contains(from));
    with(name, table(name).replace(from, to))
}

#[test]
fn a_value_that_is_none_names_file_line_and_column() {
    for (name, from, to, expected) in [
        ("invTypes", "3074,74,", "3074,x,", "invTypes.csv, line 6, column groupID: \"x\" is no whole number"),
        ("invTypes", "3074,74,", "3074,75,", "invTypes.csv, line 6, column groupID: there is no group 75"),
        ("invTypes", "3074,74,", "3074,,", "invTypes.csv, line 6, column groupID: there is no value"),
        ("invTypes", "3074,74,", "587,74,", "invTypes.csv, line 6, column typeID: 587 stands there twice"),
        ("invTypes", "500.0,5,", "NaN,5,", "invTypes.csv, line 6, column mass: \"NaN\" is no number"),
        ("invTypes", "500.0,5,", "inf,5,", "invTypes.csv, line 6, column mass: \"inf\" is no number"),
        ("invTypes", "500.0,5,", "1e999,5,", "invTypes.csv, line 6, column mass: \"1e999\" is no number"),
        ("invTypes", "500.0,5,", "500.0,-5,", "invTypes.csv, line 6, column volume: -5 is not 0 or more"),
        (
            "invTypes",
            "74014.5000,1,",
            "1e30,1,",
            "invTypes.csv, line 6, column basePrice: 1000000000000000000000000000000 ISK is no price",
        ),
        ("invTypes", "74014.5000,1,", "74014.5,2,", "invTypes.csv, line 6, column published: \"2\" is neither 0 nor 1"),
        (
            "invGroups",
            "25,6,Frigate",
            "25,66,Frigate",
            "invGroups.csv, line 3, column categoryID: there is no category 66",
        ),
        (
            "invGroups",
            "25,6,",
            "99999999999999999999,6,",
            "invGroups.csv, line 3, column groupID: \"99999999999999999999\" is no whole number",
        ),
        ("mapSolarSystems", "-0.5", "1.5", "mapSolarSystems.csv, line 3, column security: 1.5 is not from -1 to 1"),
        (
            "mapSolarSystems",
            "20000020,30000144",
            "20000021,30000144",
            "mapSolarSystems.csv, line 3, column constellationID: there is no constellation 20000021",
        ),
        (
            "mapSolarSystems",
            "security,",
            "safety,",
            "mapSolarSystems.csv, line 1, column security: there is no such column",
        ),
        (
            "dgmTypeEffects",
            "3074,42,0",
            "3074,42",
            "dgmTypeEffects.csv, line 2, column isDefault: 2 values for 3 columns",
        ),
    ] {
        assert_eq!(changed(name, from, to), format!("read {expected}"));
    }
}

#[test]
fn a_table_that_breaks_off_is_refused() {
    let folder = Folder::fuzzwork();
    folder.remove("invTypes");
    for (end, packed) in [("gz", gz(table("invTypes").as_bytes())), ("bz2", bz2(table("invTypes").as_bytes()))] {
        folder.write(&format!("invTypes.csv.{end}"), &packed[..packed.len() - 9]);
        let refusal = refusal(folder.path());
        assert!(refusal.starts_with(&format!("read invTypes.csv.{end}, line ")), "{refusal}");
        folder.remove("invTypes");
    }
    let cut = with("invTypes", &table("invTypes")[..table("invTypes").len() - 12]);
    assert!(cut.starts_with("read invTypes.csv, line 7, column "), "{cut}");
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let bytes: Vec<u8> = table("invTypes").bytes().map(|byte| if byte == b'R' { 0xff } else { byte }).collect();
    assert_eq!(with("invTypes", bytes), "read invTypes.csv, line 4, column typeName: it is not UTF-8");
}

#[test]
fn what_unpacks_to_far_too_much_is_refused_at_once() {
    let bomb = |head: &str, fill: u8| {
        let mut text = head.as_bytes().to_vec();
        text.resize(6 << 20, fill);
        gz(&text)
    };
    let folder = Folder::fuzzwork();
    folder.remove("invTypes");
    folder.write(
        "invTypes.csv.gz",
        bomb("typeID,groupID,typeName,mass,volume,basePrice,published,marketGroupID\n1,25,\"", b'a'),
    );
    assert_eq!(refusal(folder.path()), "read invTypes.csv.gz, line 2: a record of more than 4 MiB: it is refused");
    folder.write("invTypes.csv.gz", bomb("", b','));
    assert!(refusal(folder.path()).contains("a record of more than 4 MiB"));
    let folder = Folder::of(OFFICIAL, ".jsonl");
    folder.remove("types");
    folder.write("types.jsonl.gz", bomb("{\"_key\":1,\"groupID\":25,\"name\":{\"en\":\"", b'a'));
    assert_eq!(refusal(folder.path()), "read types.jsonl.gz, line 1: a line of more than 4 MiB: it is refused");
}

#[test]
fn a_line_of_json_that_is_none_names_its_column_and_field() {
    let with = |from: &str, to: &str| {
        let mut tables = OFFICIAL.to_vec();
        let text = tables[3].1.replace(from, to);
        assert_ne!(text, tables[3].1);
        tables[3].1 = &text;
        refusal(&Folder::new().zip(&tables, ""))
    };
    let line = "read static-data.zip, types.jsonl, line 3, column";
    assert_eq!(with("\"groupID\":25", "\"groupID\":26"), format!("{line} 13 (groupID): there is no group 26"));
    let wrong = with("\"groupID\":25", "\"groupID\":\"25\"");
    assert_eq!(wrong, format!("{line} 26 (groupID): invalid type: string \"25\", expected i64"));
    assert!(with("\"en\":\"Rifter\"", "\"en\":7").starts_with(&format!("{line} 39 (name.en): invalid type")));
    assert!(with("\"published\":true,\"mass\":1067000.0", "\"mass\":1e999").contains("number out of range"));
    assert!(with("\"volume\":27289.0", "\"volume\":").starts_with(&line.to_owned()));
}

#[test]
fn a_zip_that_is_damaged_or_is_none_is_refused() {
    let folder = Folder::new();
    let zip = folder.zip(OFFICIAL, "");
    let whole = std::fs::read(&zip).unwrap();
    std::fs::write(&zip, &whole[..whole.len() - 30]).unwrap();
    assert!(refusal(&zip).starts_with("read static-data.zip: it is no whole zip"), "{}", refusal(&zip));
    let mut flipped = whole.clone();
    flipped[120] ^= 0x55;
    std::fs::write(&zip, flipped).unwrap();
    assert!(read(&zip).is_err());
    let twice: Vec<_> = OFFICIAL.iter().copied().chain([("x/types", "")]).collect();
    assert_eq!(refusal(&folder.zip(&twice, "")), "read static-data.zip: types.jsonl is in it twice");
    assert_eq!(refusal(&folder.zip(&OFFICIAL[..3], "")), "read static-data.zip: there is no types.jsonl in it");
}

#[test]
fn what_is_no_static_data_is_refused_with_what_is_needed() {
    let folder = Folder::new();
    let none = "neither Fuzzwork's tables (invTypes.csv, …, plain, .gz or .bz2) nor the official lines (types.jsonl, …) are in it";
    assert_eq!(refusal(folder.path()), format!("read DIR: {none}"));
    folder.write("invTypes.csv", table("invTypes"));
    assert_eq!(refusal(folder.path()), "read DIR: there is no invGroups.csv in it, plain, .gz or .bz2");
    let alone = refusal(&folder.path().join("invTypes.csv"));
    assert_eq!(
        alone,
        "read invTypes.csv: one table alone is not enough: name the folder in which it lies with the others"
    );
    folder.write("notes.txt", "hello");
    let neither = "it is neither a zip, nor a folder of tables, nor a table (invTypes.csv, …)";
    assert_eq!(refusal(&folder.path().join("notes.txt")), format!("read notes.txt: {neither}"));
    assert!(refusal(&folder.path().join("nothing.zip")).contains("No such file"));
    folder.write("invTypes.csv.gz", gz(b""));
    assert_eq!(refusal(folder.path()), "read DIR: invTypes.csv and invTypes.csv.gz: one too many");
    let both = Folder::fuzzwork();
    both.write("types.jsonl", "");
    assert!(refusal(both.path()).contains("both Fuzzwork's tables and the official lines"));
}

#[test]
fn a_table_with_its_header_alone_is_named() {
    for (name, what) in [("invTypes", "types"), ("invGroups", "groups"), ("mapSolarSystems", "solar systems")] {
        let refused = with(name, table(name).lines().next().unwrap());
        assert_eq!(refused, format!("read {name}.csv: there are no {what} in it"));
    }
    let zip = Folder::new();
    let tables: Vec<_> =
        OFFICIAL.iter().map(|(name, text)| (*name, if *name == "types" { "" } else { *text })).collect();
    assert_eq!(refusal(&zip.zip(&tables, "")), "read static-data.zip, types.jsonl: there are no types in it");
}

#[test]
fn an_id_below_0_names_file_line_and_column() {
    for (name, from, to, expected) in [
        ("invTypes", "3074,74,", "-3074,74,", "invTypes.csv, line 6, column typeID: -3074 is no id"),
        ("invTypes", "3074,74,", "3074,-74,", "invTypes.csv, line 6, column groupID: -74 is no id"),
        ("invTypes", ",1,564,", ",1,-564,", "invTypes.csv, line 6, column marketGroupID: -564 is no id"),
        ("invCategories", "0,#System", "-1,#System", "invCategories.csv, line 2, column categoryID: -1 is no id"),
        ("invGroups", "0,0,#System", "0,-1,#System", "invGroups.csv, line 2, column categoryID: -1 is no id"),
        ("invMetaTypes", "4711,,2", "-4711,,2", "invMetaTypes.csv, line 4, column typeID: -4711 is no id"),
        ("invMetaTypes", "4711,,2", "4711,,-2", "invMetaTypes.csv, line 4, column metaGroupID: -2 is no id"),
        ("dgmTypeEffects", "4711,12", "4711,-12", "dgmTypeEffects.csv, line 5, column effectID: -12 is no id"),
        ("mapSolarSystems", "30000144", "-1", "mapSolarSystems.csv, line 3, column solarSystemID: -1 is no id"),
    ] {
        assert_eq!(changed(name, from, to), format!("read {expected}"));
    }
    let tables: Vec<_> =
        OFFICIAL.iter().map(|(name, text)| (*name, text.replace("\"_key\":3075", "\"_key\":-1"))).collect();
    let tables: Vec<_> = tables.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let refused = refusal(&Folder::new().zip(&tables, ""));
    assert_eq!(refused, "read static-data.zip, types.jsonl, line 5, column 2 (_key): -1 is no id");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A byte changed, a piece cut out or doubled, anywhere: it is read, or refused with the file that it is in; nothing panics.
    #[test]
    fn whatever_is_done_to_a_table_is_read_or_refused(
        is_official: bool,
        which in 0_usize..8,
        at in any::<prop::sample::Index>(),
        length in 0_usize..20,
        with in prop::collection::vec(prop::sample::select(&b"0123456789,\n\"'-+eE.{}[]:\\nN\xff\x00\x1f\x8b"[..]), 0..6),
    ) {
        let (tables, end) = if is_official { (OFFICIAL, ".jsonl") } else { (FUZZWORK, ".csv") };
        let (name, text) = tables[which % tables.len()];
        let mut bytes = text.as_bytes().to_vec();
        let from = at.index(bytes.len());
        let until = (from + length).min(bytes.len());
        bytes.splice(from..until, with);
        let folder = Folder::new();
        for (name, text) in tables {
            folder.write(&format!("{name}{end}"), text);
        }
        folder.write(&format!("{name}{end}"), bytes);
        match read(folder.path()) {
            Ok(statics) => prop_assert!(!statics.types.is_empty() && statics.systems.values().all(|system| system.security_status.is_finite())),
            Err(problem) => prop_assert!(problem.to_string().contains(end) || problem.to_string().contains("there are no"), "{problem}"),
        }
    }
}
