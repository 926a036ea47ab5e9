//! The rules by which kills are tagged, as the program prints and tries them.

use serde_json::{Value, json};

use super::program::{World, text};

/// A frigate, a gun of tech II, a group that no rule knows; one system.
const DATA: &[(&str, &str)] = &[
    ("invCategories.csv", "categoryID,categoryName\n6,Ship\n7,Module\n"),
    ("invGroups.csv", "groupID,categoryID,groupName\n25,6,Frigate\n74,7,Hybrid Weapon\n9999,7,Oddities\n"),
    ("invMetaGroups.csv", "metaGroupID,metaGroupName\n2,Tech II\n"),
    (
        "invTypes.csv",
        "typeID,groupID,typeName,mass,volume,basePrice,published,marketGroupID\n\
         587,25,Rifter,1000000.0,1,None,1,1\n3074,74,Railgun,1,1,None,1,1\n42,9999,Odd,1,1,None,1,1\n",
    ),
    ("invMetaTypes.csv", "typeID,metaGroupID\n3074,2\n"),
    ("dgmTypeEffects.csv", "typeID,effectID\n3074,12\n"),
    ("mapRegions.csv", "regionID,regionName\n10000002,The Forge\n"),
    ("mapConstellations.csv", "regionID,constellationID,constellationName\n10000002,20000020,Kimotoro\n"),
    (
        "mapSolarSystems.csv",
        "regionID,constellationID,solarSystemID,solarSystemName,security\n10000002,20000020,30000142,Jita,0.9459\n",
    ),
];

fn kill() -> String {
    let item =
        |flag: i64, kind: i64| json!({"flag": flag, "item_type_id": kind, "quantity_dropped": 1, "singleton": 0});
    let attacker = json!({"character_id": 95_000_001, "ship_type_id": 587, "damage_done": 10, "final_blow": true});
    let victim = json!({"ship_type_id": 587, "damage_taken": 10, "items": [item(27, 3074), item(28, 42), item(5, 3074), item(240, 42)]});
    json!({
        "killmail_id": 7,
        "killmail_time": "2026-02-03T12:00:00Z",
        "solar_system_id": 30_000_142,
        "victim": victim,
        "attackers": [attacker],
    })
    .to_string()
}

#[test]
fn the_tables_are_printed_as_they_are_read() {
    let world = World::new();
    let done = world.run(&["sde", "tags"]);
    assert!(done.code == 0 && done.out.contains("\ntag,kind,id,note\n"), "{}", done.err);
    assert!(done.out.contains("\nShield Extender,group,38,"));
    let rules = world.write("tags.csv", &done.out);
    assert_eq!(world.run(&["sde", "tags", "--rules", text(&rules)]).out, done.out);
    assert!(world.run(&["sde", "tags", "--ships"]).out.contains("\nfrigate,group,25,1,"));
    assert_eq!(world.files(), ["tags.csv"], "no database was made");
}

#[test]
fn a_table_that_is_wrong_is_refused_with_its_line() {
    let world = World::new();
    let rules = world.write("tags.csv", "tag,kind,id,note\nGun,group,x,\n");
    let done = world.run(&["sde", "tags", "--rules", text(&rules)]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("tags.csv, line 2, column id: `x` is not a number"), "{}", done.err);
}

#[test]
fn kills_are_tagged_with_data_from_a_folder_or_the_database_and_what_lacks_a_rule_is_named() {
    let world = World::new();
    for (name, rows) in DATA {
        world.write(&format!("dump/{name}"), rows);
    }
    let kills = world.write("kills.ndjson", &format!("{}\nno kill\n", kill()));
    assert_eq!(world.run(&["migrate"]).code, 0);
    let none = world.run(&["sde", "tags", text(&kills)]);
    assert!(none.code != 0 && none.err.contains("sde import"), "{}", none.err);

    let done = world.run(&["sde", "tags", "--data", "dump", text(&kills)]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("kills.ndjson:2: failed to read the kill"), "{}", done.err);
    let lines: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["module_tags"], json!(["High", "Hybrid", "T1", "T2"]));
    assert_eq!((&lines[0]["solo"], &lines[0]["system_class"]), (&json!(true), &json!("highsec")));
    assert_eq!(lines[0]["items"][0]["tags"], json!(["High", "Hybrid", "T2"]));
    assert_eq!((&lines[0]["items"][2]["slot"], &lines[0]["items"][3]["slot"]), (&json!("Cargo"), &Value::Null));
    let summary = &lines[1]["summary"];
    assert_eq!(
        (&summary["kills"], &summary["unreadable"], &summary["classified"]),
        (&json!(1), &json!(1), &json!(0.75))
    );
    assert_eq!(summary["unknown_flags"], json!({"240": 1}));
    let unruled = json!([{"group_id": 9999, "name": "Oddities", "items": 1}]);
    assert_eq!(summary["groups_without_rule_or_reason"], unruled);

    assert_eq!(world.run(&["sde", "import", "dump"]).code, 0);
    let stored = world.run(&["sde", "tags", "--summary", text(&kills)]);
    let summary: Value = serde_json::from_str(&stored.out).expect("one line");
    assert_eq!(summary["summary"]["groups_without_rule_or_reason"], unruled);
}
