//! Dead letters, from what fails to what is done about it.

use serde_json::{Value, json};

use super::program::{Done, World, figure, kills, text};

/// Lines that fail for three causes, so many of each.
fn rubbish(count: u32) -> String {
    let line = |n: u32| {
        let id = 90_000_000 + n;
        [
            format!("{{\"killmail_id\": {id}, \"gar"),
            format!("{{\"killmail_id\": {id}, \"killmail_time\": \"2021-11-30T00:00:{:02}Z\"}}", n % 60),
            format!("[{id}]"),
        ]
        .join("\n")
    };
    (0..count).map(|n| line(n) + "\n").collect()
}

fn objects(done: &Done) -> Vec<Value> {
    assert_eq!(done.code, 0, "{}", done.err);
    done.out.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn filled(count: u32) -> World {
    let world = World::new();
    let file = world.write("rubbish.ndjson", &rubbish(count));
    let done = world.run(&["backfill", text(&file)]);
    assert_eq!((done.code, figure(&done.out, "dead letters")), (0, u64::from(3 * count)), "{}{}", done.out, done.err);
    world
}

#[test]
fn what_fails_alike_is_one_group_which_is_marked_and_discarded() {
    let world = filled(40);
    let groups = objects(&world.run(&["dlq", "groups", "--json"]));
    assert_eq!(groups.len(), 3, "{groups:?}");
    assert!(groups.iter().all(|group| group["open"] == 40 && group["state"] == "open"), "{groups:?}");
    let group = groups[0]["fingerprint"].as_str().unwrap();

    let marked = objects(&world.run(&["dlq", "groups", "--fixed", group, "--version", "9.9.9", "--json"]));
    assert_eq!((&marked[0]["state"], &marked[0]["fixed_in"]), (&json!("fixed"), &json!("9.9.9")));
    assert_eq!(world.run(&["dlq", "groups", "--fixed", "0000000000000000"]).code, 1);
    let table = world.run(&["dlq", "groups"]);
    assert!(
        table.out.lines().count() == 8 && table.out.lines().all(|line| line.chars().count() <= 120),
        "{}",
        table.out
    );

    let listed = objects(&world.run(&["dlq", "list", "--group", group, "--json", "--limit", "50"]));
    assert_eq!(listed.len(), 40);
    let letter = &listed[0];
    assert_eq!(
        (&letter["program_version"], letter["definition_hash"].as_str().unwrap().len()),
        (&json!(env!("CARGO_PKG_VERSION")), 16)
    );

    assert_eq!(world.run(&["dlq", "discard", "--reason", "no use"]).code, 2, "never all by an oversight");
    assert_eq!(world.run(&["dlq", "discard", "--group", group, "--reason", "no use"]).out.trim(), "discarded 40");
    let left = objects(&world.run(&["dlq", "groups", "--json"]));
    assert!(left.len() == 2 && left.iter().all(|other| other["fingerprint"] != group));
    let stats = objects(&world.run(&["dlq", "stats", "--json"]));
    assert_eq!((&stats[0]["states"][0]["count"], &stats[0]["states"][3]["count"]), (&json!(80), &json!(40)));
}

#[test]
fn a_letter_is_shown_without_steering_the_terminal_and_its_bytes_come_back() {
    let world = World::new();
    let file = world.write("rubbish.ndjson", "{\"killmail_id\": 7, \"\u{1b}[2J\u{9b}\n");
    assert_eq!(world.run(&["backfill", text(&file)]).code, 0);
    let shown = world.run(&["dlq", "show", "1"]);
    assert!(shown.out.contains("attempts") && !shown.out.contains(['\u{1b}', '\u{9b}']), "{}", shown.out);
    let raw = world.run(&["dlq", "show", "1", "--raw"]);
    assert_eq!(raw.out, "{\"killmail_id\": 7, \"\u{1b}[2J\u{9b}");
    assert_eq!(world.run(&["dlq", "show", "2"]).code, 1);
}

#[test]
fn letters_are_carried_to_another_database_once() {
    let world = filled(3);
    assert_eq!(world.run(&["dlq", "export", "--all", "--to", "letters.ndjson"]).code, 0);
    let there = |arguments: &[&str]| world.run(&[arguments, &["--database", "sqlite://there.db"]].concat());
    assert_eq!(there(&["dlq", "import", "letters.ndjson"]).out.trim(), "imported 9; 0 were here already");
    assert_eq!(there(&["dlq", "import", "letters.ndjson"]).out.trim(), "imported 0; 9 were here already");
    let strip = |done: Done| {
        let lines = objects(&done).into_iter().map(|mut line| {
            line["database"].take();
            line.to_string()
        });
        lines.collect::<Vec<_>>()
    };
    let (here, there) = (strip(world.run(&["dlq", "export", "--all"])), strip(there(&["dlq", "export", "--all"])));
    assert_eq!(here, there);
    world.write("broken.ndjson", &format!("{}\n{{}}\n", here[0].replace("\"database\":null,", "")));
    let broken = world.run(&["dlq", "import", "broken.ndjson"]);
    assert!(broken.code == 2 && broken.err.contains("line 2"), "{}{}", broken.out, broken.err);
}

#[test]
fn an_edited_letter_replays_and_keeps_what_was_received() {
    let world = filled(1);
    let good = world.write("good.json", kills(1).lines().next().unwrap());
    let letters = objects(&world.run(&["dlq", "list", "--json"]));
    let id = letters[0]["id"].to_string();
    let editor = format!("cp {}", text(&good));
    let edited = world.run_with(&["dlq", "edit", &id], &[("EDITOR", "true")]);
    assert_eq!((edited.code, edited.out.trim()), (0, "nothing was changed"), "{}", edited.err);
    assert_eq!(world.run_with(&["dlq", "edit", &id], &[("EDITOR", "false")]).code, 1);
    let edited = world.run_with(&["dlq", "edit", &id], &[("VISUAL", &editor), ("EDITOR", "false")]);
    assert!(edited.code == 0 && edited.out.contains("was edited"), "{}{}", edited.out, edited.err);
    let original = world.run(&["dlq", "show", &id, "--raw", "--original"]);
    assert!(rubbish(1).contains(&original.out) && !original.out.is_empty(), "{}", original.out);

    // Nobody listens there: the command does it.
    let nobody = [("BROADSIDE_LISTEN", "127.0.0.1:1")];
    let replayed = world.run_with(&["dlq", "replay", "--id", &id], &nobody);
    assert_eq!(replayed.code, 0, "{}{}", replayed.out, replayed.err);
    let shown = objects(&world.run(&["dlq", "show", &id, "--json"]));
    assert_eq!((&shown[0]["state"], &shown[0]["is_edited"]), (&json!("replayed"), &json!(true)));
}
