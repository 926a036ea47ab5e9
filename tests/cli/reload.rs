//! Pipeline files that change while a worker runs, and the commands that look at it.

use serde_json::Value;

use super::program::{Running, World, get, post, until};

fn pipeline(rate: u32, concurrency: u32, delay: &str) -> String {
    format!(
        "[source.generator]\nrate = {rate}\n\n[[processor]]\nname = \"parse\"\nconcurrency = {concurrency} # workers\nstages = [\"decode\"]\n\n\
         [[batcher]]\nname = \"out\"\neager = true\nsink.blackhole = {{ delay = \"{delay}\" }}\n"
    )
}

fn start(world: &World, more: &[&str]) -> (Running, String) {
    let mut worker = world.start(&[&["run", "--listen", "127.0.0.1:0"], more].concat(), &[]);
    let line = worker.err("page=");
    let address = line.split("http://").nth(1).expect("the page's address").split('/').next().expect("a host");
    (worker, address.to_owned())
}

fn json(answer: &str) -> Value {
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON")
}

fn pipelines(address: &str) -> Value {
    json(&get(address, "/api/pipelines"))
}

fn one<'v>(answer: &'v Value, name: &str) -> Option<&'v Value> {
    answer["pipelines"].as_array().expect("a list").iter().find(|pipeline| pipeline["name"] == name)
}

fn received(address: &str, name: &str) -> u64 {
    one(&pipelines(address), name).and_then(|pipeline| pipeline["ledger"]["received"].as_u64()).unwrap_or(0)
}

/// Waits until a reload has come to this.
fn reloaded(address: &str, outcome: &str) -> Value {
    until(outcome, || pipelines(address)["reload"]["outcome"] == outcome);
    pipelines(address)["reload"].clone()
}

#[test]
fn numbers_change_in_place_on_sighup_and_a_broken_file_changes_nothing() {
    let world = World::new();
    world.write("pipelines/kills.toml", &pipeline(500, 2, "1ms"));
    let (mut worker, address) = start(&world, &[]);
    until("something comes in", || received(&address, "kills") > 0);
    assert_eq!(pipelines(&address)["reload"], Value::Null);
    world.write("pipelines/kills.toml", &pipeline(500, 5, "1ms"));
    worker.signal("HUP");
    let reload = reloaded(&address, "done");
    let change = &reload["changes"][0];
    assert_eq!((&change["setting"], &change["how"]), (&"processor.parse.concurrency".into(), &"in_place".into()));
    assert_eq!((&change["from"], &change["to"]), (&"2".into(), &"5".into()));
    until("there are five workers", || {
        one(&pipelines(&address), "kills").expect("it runs")["groups"][1]["workers"] == 5
    });

    world.write("pipelines/kills.toml", &pipeline(500, 9, "1ms").replace("eager = true", "eagr = true"));
    worker.signal("HUP");
    let refused = reloaded(&address, "refused");
    let problem = refused["problems"][0].as_str().expect("a sentence").to_owned();
    assert!(problem.contains("kills.toml:11:1: unknown field `eagr`") && problem.contains("did you mean"), "{problem}");
    assert!(worker.err("reload refused").contains("kills.toml:11:1"), "the log says where");
    let answer = pipelines(&address);
    let kills = one(&answer, "kills").expect("it runs");
    assert_eq!((&kills["topology"]["processors"][0]["concurrency"], &kills["state"]), (&5.into(), &"running".into()));

    world.write("pipelines/kills.toml", &pipeline(500, 5, "1ms"));
    assert_eq!(json(&post(&address, "/api/reload"))["outcome"], "unchanged");
    worker.signal("TERM");
    let done = worker.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("imbalance 0") && !done.out.contains("abandoned"), "{}", done.out);
}

#[test]
fn what_needs_more_is_built_again_alone_and_goes_on_counting() {
    let world = World::new();
    for name in ["changed", "left", "gone"] {
        world.write(&format!("pipelines/{name}.toml"), &pipeline(300, 2, "1ms"));
    }
    let (worker, address) = start(&world, &[]);
    until("all have received something", || {
        ["changed", "left", "gone"].iter().all(|name| received(&address, name) > 20)
    });
    world.write("pipelines/changed.toml", &pipeline(300, 2, "2ms"));
    world.write("pipelines/new.toml", &pipeline(300, 2, "1ms"));
    std::fs::remove_file(world.path("pipelines/gone.toml")).expect("removed");
    let before = received(&address, "changed");
    assert_eq!(json(&post(&address, "/api/reload"))["outcome"], "done");
    let reload = &pipelines(&address)["reload"];
    let hows: Vec<(&str, &str)> = reload["changes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| (change["pipeline"].as_str().unwrap_or_default(), change["how"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(hows, [("changed", "rebuild"), ("gone", "stop"), ("new", "start")]);
    assert!(received(&address, "changed") >= before, "its counters go on");
    until("the new one works", || received(&address, "new") > 0);
    assert!(one(&pipelines(&address), "gone").is_none());
    assert!(get(&address, "/readyz").starts_with("HTTP/1.1 200"));
    worker.signal("TERM");
    let done = worker.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(done.out.matches("imbalance 0").count(), 4, "{}", done.out);
    let ends = done.err.lines().filter(|line| line.contains("pipeline ended")).collect::<Vec<_>>();
    assert_eq!(ends.iter().filter(|line| line.contains("left")).count(), 1, "{ends:?}");
}

#[test]
fn with_watch_a_changed_file_is_followed_unasked() {
    let world = World::new();
    world.write("pipelines/kills.toml", &pipeline(100, 2, "1ms"));
    let (worker, address) = start(&world, &["--watch"]);
    world.write("pipelines/kills.toml", &pipeline(100, 3, "1ms"));
    assert_eq!(reloaded(&address, "done")["changes"][0]["to"], "3");
    worker.signal("TERM");
    assert_eq!(worker.wait().code, 0);
}

#[test]
fn a_reload_during_the_drain_starts_nothing() {
    let world = World::new();
    let slow = |delay| pipeline(100, 2, delay).replace("eager", "concurrency = 2\neager");
    world.write("pipelines/kills.toml", &slow("1500ms"));
    let (mut worker, address) = start(&world, &[]);
    until("something is in flight", || received(&address, "kills") > 10);
    world.write("pipelines/kills.toml", &slow("1501ms"));
    worker.signal("HUP");
    worker.err("reload: kills: batcher.out.sink");
    worker.signal("TERM");
    let done = worker.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("imbalance 0"), "{}", done.out);
}

#[test]
fn the_running_worker_explains_itself() {
    let world = World::new();
    world.write("pipelines/kills.toml", &pipeline(400, 2, "500ms").replace("eager = true", "batch_size = 20"));
    let (worker, address) = start(&world, &[]);
    until("the sink is behind", || {
        // As long a time as the commands below look back over, and shorter ones: while queues fill up, only some of them show it.
        ["", "?seconds=5", "?seconds=4"].iter().all(|window| {
            let said = json(&get(&address, &format!("/api/explain{window}")));
            said["pipelines"][0]["verdict"] == "sink"
        })
    });
    let run = |arguments: &[&str]| {
        let done = world.run(&[arguments, &["--worker", &address]].concat());
        assert_eq!(done.code, 0, "{}", done.err);
        done.out
    };
    let said = run(&["explain"]);
    assert!(said.contains("Sink `out` limits it") && said.contains("TOOK"), "{said}");
    assert_eq!(serde_json::from_str::<Value>(&run(&["explain", "kills", "--json"])).expect("JSON")["subject"], "out");
    let frame = run(&["top", "--once"]);
    assert!(frame.contains("Sink `out` limits it") && frame.contains("█"), "{frame}");
    let tuned = run(&["tune", "--duration", "4"]);
    assert!(tuned.contains("batch_size = 40   # was 20") && tuned.contains("workers at work"), "{tuned}");
    assert_eq!(world.run(&["explain", "nobody", "--worker", &address]).code, 2);
    assert!(get(&address, "/api/explain?seconds=1").starts_with("HTTP/1.1 400"));
    worker.signal("TERM");
    worker.wait();
}

#[test]
fn tuning_keeps_what_helps_and_leaves_the_file_otherwise_as_it_is() {
    let world = World::new();
    let text = pipeline(4_000, 2, "400ms").replace("eager = true", "batch_size = 20 # small");
    let path = world.write("pipelines/kills.toml", &text);
    let (worker, address) = start(&world, &[]);
    until("it is behind", || {
        one(&pipelines(&address), "kills").is_some_and(|kills| kills["ledger"]["in_flight"].as_u64() > Some(500))
    });
    let done = world.run(&["tune", "kills", "--apply", "--steps", "1", "--duration", "4", "--worker", &address]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("kept:") && done.out.contains("batch_size = 40"), "{}", done.out);
    let now = std::fs::read_to_string(path).expect("it is there");
    assert_eq!(now, text.replace("batch_size = 20", "batch_size = 40"));
    worker.signal("INT");
    worker.wait();
}

#[test]
fn commands_that_need_a_worker_say_when_there_is_none() {
    let world = World::new();
    for command in ["explain", "tune", "top"] {
        let once: &[&str] = if command == "top" { &["--once"] } else { &[] };
        let done = world.run(&[&[command, "--worker", "127.0.0.1:1"], once].concat());
        assert_eq!(done.code, 1, "{command}");
        assert!(done.err.contains("the worker at http://127.0.0.1:1"), "{}", done.err);
    }
}
