//! History from files.

use super::program::{World, figure, kills, text, until};

#[test]
fn a_backfill_stores_every_kill_once_however_often_it_runs() {
    let world = World::new();
    let file = world.write("kills.ndjson", &kills(250));
    let first = world.run(&["backfill", text(&file)]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert_eq!(figure(&first.out, "stored"), 250, "{}", first.out);
    assert!(first.out.contains("imbalance 0"), "{}", first.out);
    let again = world.run(&["backfill", text(&file)]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert_eq!(figure(&again.out, "stored"), 0, "{}", again.out);
}

#[test]
fn a_broken_line_becomes_a_dead_letter_and_the_rest_is_stored() {
    let world = World::new();
    let file = world.write("kills.ndjson", &format!("{}{{\"killmail_id\": nonsense}}\n", kills(20)));
    let done = world.run(&["backfill", text(&file)]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!((figure(&done.out, "stored"), figure(&done.out, "dead letters")), (20, 1), "{}", done.out);
}

#[test]
fn a_missing_file_is_named_before_anything_starts() {
    let world = World::new();
    let file = world.write("kills.ndjson", &kills(1));
    let done = world.run(&["backfill", text(&file), "missing.ndjson.gz"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("missing.ndjson.gz"), "{}", done.err);
    assert_eq!(world.files(), ["kills.ndjson"], "no database was made");
    assert_eq!(world.run(&["backfill", "."]).code, 2, "a folder");
}

#[test]
fn an_interrupted_backfill_is_completed_by_the_same_command() {
    let world = World::new();
    let count = 30_000;
    let file = world.write("kills.ndjson", &kills(count));
    let first = world.start(&["backfill", text(&file)], &[]);
    let wal = world.path("broadside.db-wal");
    until("something is stored", || std::fs::metadata(&wal).is_ok_and(|file| file.len() > 300_000));
    first.signal("INT");
    let first = first.wait();
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.out.contains("run the same command again"), "{}", first.out);
    let second = world.run(&["backfill", text(&file)]);
    assert_eq!(second.code, 0, "{}", second.err);
    let stored = figure(&first.out, "stored") + figure(&second.out, "stored");
    assert_eq!(stored, u64::from(count), "{}\n{}", first.out, second.out);
}
