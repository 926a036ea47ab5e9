//! PostgreSQL's months.

use serde_json::Value;

use super::program::{Done, World, kills, text};
use super::server;

/// What there is, by table and month.
fn listed(world: &World, url: &str) -> Vec<(String, String)> {
    let done = world.run(&["partitions", "list", "--json", "--database", url]);
    assert_eq!(done.code, 0, "{}", done.err);
    let field = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let rows = done.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    rows.map(|row| {
        let (table, month) = (field(&row, "table"), field(&row, "month"));
        assert_eq!(field(&row, "name"), format!("{table}_{}", month.replace('-', "_")));
        assert!(row["bytes"].as_i64() > Some(0) && (row["rows"].is_i64() || row["rows"].is_null()), "{row}");
        (table, month)
    })
    .collect()
}

/// A database with one old month, and this one and two ahead.
fn filled(world: &World, url: &str) {
    let file = world.write("kills.ndjson", &kills(20));
    for arguments in [&["backfill", text(&file), "--database", url][..], &["partitions", "ensure", "--database", url]] {
        let done = world.run(arguments);
        assert_eq!(done.code, 0, "{}", done.err);
    }
}

fn drop_before(world: &World, url: &str, month: &str, more: &[&str]) -> Done {
    world.run(&[&["partitions", "drop", "--before", month, "--database", url], more].concat())
}

#[test]
fn sqlite_has_no_months_which_is_a_failure_only_for_who_wants_them_dropped() {
    let world = World::new();
    for (arguments, code) in [
        (&["partitions", "list"][..], 0),
        (&["partitions", "list", "--json"], 0),
        (&["partitions", "ensure"], 0),
        (&["partitions", "drop", "--before", "2021-01", "--yes"], 1),
    ] {
        let done = world.run(arguments);
        assert_eq!(done.code, code, "{arguments:?}: {}", done.err);
        assert!(format!("{}{}", done.out, done.err).contains("only PostgreSQL"), "{arguments:?}");
        assert!(done.out.is_empty() || !arguments.contains(&"--json"), "{}", done.out);
    }
    assert_eq!(world.files(), Vec::<String>::new(), "no database was made");
}

#[tokio::test]
async fn months_ahead_are_made_once_and_listed() {
    let (world, database) = (World::new(), server::database().await);
    let url = ["--database", database.url()];
    let done = world.run(&[&["partitions", "ensure"], &url[..]].concat());
    assert_eq!(done.code, 1);
    assert!(done.err.contains("broadside migrate"), "tables come first: {}", done.err);
    assert_eq!(world.run(&[&["migrate"], &url[..]].concat()).code, 0);
    let made = world.run(&[&["partitions", "ensure", "--months", "1"], &url[..]].concat());
    assert_eq!((made.code, made.out.matches("made killmail").count()), (0, 6), "{}", made.out);
    let more = world.run(&[&["partitions", "ensure"], &url[..]].concat());
    assert_eq!((more.code, more.out.matches("made killmail").count()), (0, 3), "{}", more.out);
    let again = world.run(&[&["partitions", "ensure"], &url[..]].concat());
    assert!(again.code == 0 && again.out.contains("all there"), "{}", again.out);
    assert_eq!(listed(&world, database.url()).len(), 12);
    let plain = world.run(&[&["partitions", "list"], &url[..]].concat());
    assert_eq!(plain.out.lines().count(), 14, "{}", plain.out);
    assert!(plain.out.contains("3 months, 12 partitions"), "{}", plain.out);
}

#[tokio::test]
async fn a_drop_says_what_goes_and_does_nothing_unasked() {
    let (world, database) = (World::new(), server::database().await);
    filled(&world, database.url());
    let months = listed(&world, database.url());
    let oldest = months[0].1.as_str();
    let next = months.iter().find(|(_, month)| month != oldest).expect("more than one").1.as_str();
    let unasked = drop_before(&world, database.url(), next, &[]);
    assert_eq!(unasked.code, 2, "{}", unasked.err);
    assert!(unasked.out.contains("1 month, 4 partitions") && unasked.out.contains(oldest), "{}", unasked.out);
    assert!(unasked.err.contains("--yes"), "{}", unasked.err);
    assert_eq!(listed(&world, database.url()), months, "nothing was dropped");
    let done = drop_before(&world, database.url(), next, &["--yes"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("dropped 1 month, 4 partitions"), "{}", done.out);
    assert_eq!(listed(&world, database.url()), months[4..]);
    let again = drop_before(&world, database.url(), next, &["--yes"]);
    assert!(again.code == 0 && again.out.contains("there is nothing before"), "{}", again.out);
}

#[test]
fn what_is_no_month_is_a_bad_argument() {
    for month in ["2021", "2021-13", "soon"] {
        let done = drop_before(&World::new(), "postgres://localhost/kills", month, &["--yes"]);
        assert_eq!(done.code, 2);
        assert!(done.err.contains("is not a month such as 2021-11"), "{}", done.err);
    }
}
