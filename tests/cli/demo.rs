//! The demonstration, and the bench.

use super::program::{Running, World, figure, get, kills, text, until};

#[test]
fn a_demo_ends_by_itself_with_every_kill_settled_and_stored() {
    let world = World::new();
    let done = world.run(&["demo", "--duration", "2s", "--rate", "200", "--listen", "127.0.0.1:0"]);
    assert_eq!(done.code, 0, "{}\n{}", done.out, done.err);
    assert!(done.out.contains("page: http://127.0.0.1:"), "{}", done.out);
    assert!(done.out.contains("imbalance 0"), "{}", done.out);
    assert!(figure(&done.out, "stored") <= figure(&done.out, "received"), "{}", done.out);
    assert_eq!(world.files(), Vec::<String>::new(), "the temporary database is gone");
}

/// Waits until so many kills have come to their end.
fn done_with(demo: &mut Running, count: u64) {
    let page = demo.out("page: ");
    let address = page.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
    let is_it = |line: &&str| line.contains("settled_total{pipeline=\"kills\"") && line.contains("successful");
    until("kills are stored", || {
        let metrics = get(&address, "/metrics");
        let settled = metrics.lines().find(is_it).and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        settled.is_some_and(|settled| settled >= count)
    });
}

#[test]
fn a_demo_is_ended_by_an_interrupt_too() {
    let world = World::new();
    let mut demo = world.start(&["demo", "--rate", "200", "--listen", "127.0.0.1:0"], &[]);
    done_with(&mut demo, 1);
    demo.signal("INT");
    let done = demo.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("imbalance 0"), "{}", done.out);
    let (received, stored) = (figure(&done.out, "received"), figure(&done.out, "stored"));
    assert!(received > 0 && stored > 0 && stored <= received, "{}", done.out);
}

#[test]
fn a_demo_can_play_a_file_into_a_database_that_stays() {
    let world = World::new();
    let file = world.write("kills.ndjson", &kills(30));
    let arguments = ["demo", "--rate", "1000", "--listen", "127.0.0.1:0", "--input", text(&file)];
    let mut demo = world.start(&[&arguments[..], &["--database", "sqlite://kept.db"]].concat(), &[]);
    done_with(&mut demo, 30);
    demo.signal("INT");
    let done = demo.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(figure(&done.out, "stored"), 30, "{}", done.out);
    assert!(world.files().contains(&"kept.db".to_owned()));
}

#[test]
fn a_demo_with_a_missing_input_starts_nothing() {
    let done = World::new().run(&["demo", "--listen", "127.0.0.1:0", "--input", "missing.ndjson"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("missing.ndjson"), "{}", done.err);
}

#[test]
fn a_bench_prints_its_figures() {
    let world = World::new();
    for arguments in [&["--pipeline", "noop", "--rate", "1000"][..], &["--pipeline", "decode"], &["--rate", "200"]] {
        let done = world.run(&[&["bench", "--duration", "1s"], arguments].concat());
        assert_eq!(done.code, 0, "{}", done.err);
        for word in ["throughput", "cpu", "resident", "imbalance 0"] {
            assert!(done.out.contains(word), "{word}: {}", done.out);
        }
        assert!(done.out.contains("p99") || arguments == ["--pipeline", "decode"], "{}", done.out);
    }
}
