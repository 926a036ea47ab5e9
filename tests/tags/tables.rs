//! Tables of rules: those that come with the program, and broken ones.

use broadside::stages::tag::Config;
use broadside::tags::{Modules, Ships};

const MODULES: &str = "tag,kind,id,note\n";
const SHIPS: &str = "class,kind,id,weight,label,note\n";

fn refused(rows: &str) -> String {
    Modules::read("my.csv", &format!("{MODULES}{rows}")).unwrap_err().to_string()
}

#[test]
fn the_tables_that_come_with_the_program_are_sound_and_read_again_as_they_print() {
    let (modules, ships) = (Modules::default(), Ships::default());
    assert_eq!(Modules::read("again", modules.text()).unwrap().text(), modules.text());
    assert_eq!(Ships::read("again", ships.text()).unwrap().text(), ships.text());
}

#[test]
fn a_broken_line_is_named_with_file_line_and_column() {
    let cases = [
        (
            "T2,meta,2,\n",
            "read the rules: my.csv, line 2, column kind: `meta` is none of slot, hold, make, charge, meta_group, tech_level, type, effect, group, category",
        ),
        ("# a remark\nT2,meta_group,two,\n", "read the rules: my.csv, line 3, column id: `two` is not a number"),
        (
            "Low,slot,18-11,\n",
            "read the rules: my.csv, line 2, column id: `18-11` is neither a number nor a range like 27-34",
        ),
        (",group,38,\n", "read the rules: my.csv, line 2, column note: without a tag a row needs a reason"),
        (",hold,5,why\n", "read the rules: my.csv, line 2, column tag: a place needs a name"),
        ("T1,make,7,\n", "read the rules: my.csv, line 2, column tag: a make row has none"),
        (
            "A,group,38,\nB,group,38,\nA,group,38,\n",
            "read the rules: my.csv, line 4, column id: group 38 is decided otherwise, or so already, in line 2",
        ),
        (
            ",group,38,no\nA,group,38,\n",
            "read the rules: my.csv, line 3, column id: group 38 is decided otherwise, or so already, in line 2",
        ),
        (
            "Low,slot,11-18,\nCargo,hold,15,\n",
            "read the rules: my.csv, line 3, column id: flag 15 is decided otherwise, or so already, in line 2",
        ),
        ("A,group,38\n", "read the rules: my.csv, line 2: 3 fields, and the header has 4"),
    ];
    for (rows, error) in cases {
        assert_eq!(refused(rows), error);
    }
    assert_eq!(
        Modules::read("my.csv", "a,b\n1,2\n").unwrap_err().to_string(),
        "read the rules: my.csv, line 1: the header must be `tag,kind,id,note`"
    );
    assert!(Modules::read("my.csv", "").is_err());
    let many: String = (0..300).map(|id| format!("Tag {id},group,{id},\n")).collect();
    assert!(refused(&many).contains("300 tags are more than 256"));
}

#[test]
fn a_broken_table_of_ships_is_named_too() {
    let refused = |rows: &str| Ships::read("ships.csv", &format!("{SHIPS}{rows}")).unwrap_err().to_string();
    assert_eq!(
        refused("frigate,type,25,1,,\n"),
        "read the rules: ships.csv, line 2, column kind: `type` is neither group nor category"
    );
    assert_eq!(
        refused("frigate,group,25,much,,\n"),
        "read the rules: ships.csv, line 2, column weight: not a number from 0 up"
    );
    assert_eq!(
        refused("frigate,group,25,-1,,\n"),
        "read the rules: ships.csv, line 2, column weight: not a number from 0 up"
    );
    assert_eq!(refused(",group,25,1,,\n"), "read the rules: ships.csv, line 2, column class: a class needs a name");
    assert_eq!(
        refused("a,group,25,1,,\nb,group,25,1,,\n"),
        "read the rules: ships.csv, line 3, column id: group 25 is decided otherwise, or so already, in line 2"
    );
}

#[test]
fn a_setting_names_another_table_and_what_is_wrong_with_it_is_found_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.csv");
    std::fs::write(&path, format!("{MODULES}Up,slot,27-34,\nGun,group,74,\n")).unwrap();
    let config = Config { url: "http://127.0.0.1:1".to_owned(), rules: Some(path.clone()), ..Config::default() };
    config.check(None).unwrap();
    let found = config.tagger().unwrap().tag(&crate::world::statics(), &crate::world::lost(1, &[(27, 101), (19, 105)]));
    assert_eq!(found.tagged.module_tags.join(", "), "Gun, Up");
    std::fs::write(&path, format!("{MODULES}Gun,group,gun,\n")).unwrap();
    let error = config.check(None).unwrap_err();
    assert_eq!(
        error,
        format!("failed to read the rules: {}, line 2, column id: `gun` is not a number", path.display())
    );
    let absent = Config { rules: Some(folder.path().join("none.csv")), ..config };
    assert!(absent.check(None).unwrap_err().starts_with("failed to read "), "and the file is named");
}
