//! History from files.

use super::history::{Answer, Server};
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
    until("something is stored", || std::fs::metadata(&wal).is_ok_and(|file| file.len() > 1_500_000));
    first.signal("INT");
    let first = first.wait();
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.out.contains("run the same command again"), "{}", first.out);
    let second = world.run(&["backfill", text(&file)]);
    assert_eq!(second.code, 0, "{}", second.err);
    let stored = figure(&first.out, "stored") + figure(&second.out, "stored");
    assert_eq!(stored, u64::from(count), "{}\n{}", first.out, second.out);
}

/// A day of so many kills as zKillboard has it: list and killmails.
fn day(count: u32) -> (Vec<u8>, Vec<u8>) {
    let object = |values: Vec<String>| format!("{{{}}}", values.join(",")).into_bytes();
    let (kills, numbers) = (kills(count), 1_000_000..);
    let named = |(number, kill): (u32, &str)| format!("\"{number}\":{kill}");
    let list = numbers.clone().take(count as usize).map(|number| format!("\"{number}\":\"{number:040x}\""));
    (object(list.collect()), object(numbers.zip(kills.lines()).map(named).collect()))
}

fn environment(server: &Server) -> [(&'static str, String); 1] {
    [("ZKILLBOARD_URL", server.url())]
}

#[test]
fn days_that_cannot_be_are_refused_before_anything_starts() {
    let world = World::new();
    let file = world.write("kills.ndjson", &kills(1));
    for (arguments, problem) in [
        (&["--day", "2026-01-02", "--to", "2026-01-01"][..], "--to 2026-01-01 is before --day 2026-01-02"),
        (&["--day", "2007-12-04"], "no kills before 2007-12-05"),
        (&["--day", "9000-01-01"], "in the future"),
        (&["--day", "2026-13-01"], "invalid value '2026-13-01'"),
        (&["--to", "2026-01-01"], "--day"),
        (&["--day", "2026-01-02", text(&file)], "cannot be used with"),
        (&["--day", "2026-01-02", "--archive", "mine"], "zkillboard, everef"),
        (&["--day", "2026-01-02"], "BROADSIDE_CONTACT"),
        (&["--day", "2026-01-02", "--archive", "everef"], "BROADSIDE_CONTACT"),
        (&[], "<FILE>"),
    ] {
        let done = world.run(&[&["backfill"], arguments].concat());
        assert_eq!(done.code, 2, "{arguments:?}: {}", done.err);
        assert!(done.err.contains(problem), "{arguments:?}: {}", done.err);
    }
    assert_eq!(world.files(), ["kills.ndjson"], "no database, no spool was made");
}

#[test]
fn days_are_stored_and_one_that_is_not_published_is_named() {
    let (world, server) = (World::new(), Server::start());
    let (list, raw) = day(50);
    server.answer("/history/20260102.json", [Answer::Whole(list)]);
    server.answer("/history/raw/20260102.json", [Answer::Whole(raw)]);
    let environment = environment(&server);
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let command = ["backfill", "--day", "2026-01-02", "--to", "2026-01-03"];
    let done = world.run_with(&command, &environment);
    assert_eq!((done.code, figure(&done.out, "stored")), (1, 50), "{}\n{}", done.out, done.err);
    assert!(done.err.contains("not published: 2026-01-03"), "{}", done.err);
    assert_eq!(world.files(), ["broadside.db"]);
    for sign in ["days 1 of 1 (1 done before)", "days 1 of 1; kills 50, 50 known before"] {
        let again = world.run_with(&command[..3], &environment);
        assert!(again.code == 0 && again.out.contains(sign), "{}", again.out);
    }
    assert_eq!(server.paths().iter().filter(|path| path.contains("raw")).count(), 1);
}

#[test]
fn a_backfill_of_days_that_was_killed_and_interrupted_fetches_nothing_twice() {
    let (world, server) = (World::new(), Server::start());
    let (list, raw) = day(500);
    server.answer("/history/20260102.json", [Answer::Whole(list)]);
    let environment = environment(&server);
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let command = ["backfill", "--day", "2026-01-02"];
    // Goes on from what it is sent, and is sent some more that does not come to an end.
    let part = world.path("broadside-spool/zkillboard-2026-01-02-raw.json.part");
    for (signal, upto) in [("KILL", 20_000), ("INT", 40_000)] {
        server.answer("/history/raw/20260102.json", [Answer::ResumableStalled(raw.clone(), upto)]);
        let running = world.start(&command, &environment);
        until("so much is there", || std::fs::metadata(&part).is_ok_and(|file| file.len() == upto as u64));
        running.signal(signal);
        let done = running.wait();
        assert_eq!(done.code, if signal == "INT" { 0 } else { -1 }, "{}", done.err);
        assert_eq!(done.out.contains("run the same command again"), signal == "INT", "{}", done.out);
    }
    server.answer("/history/raw/20260102.json", [Answer::Resumable(raw, None)]);
    let done = world.run_with(&command, &environment);
    assert_eq!((done.code, figure(&done.out, "stored")), (0, 500), "{}\n{}", done.out, done.err);
    let list = "/history/20260102.json";
    let raw = "/history/raw/20260102.json";
    assert_eq!(server.paths(), [list, raw, raw, raw]);
    assert!(server.heads()[2].contains("range: bytes=20000-\r\n"), "{}", server.heads()[2]);
    assert!(server.heads()[3].contains("range: bytes=40000-\r\n"), "{}", server.heads()[3]);
    assert_eq!(world.files(), ["broadside.db"]);
}
