//! A worker from start to drain.

use super::program::{Running, World, figure, get, until};

/// Made-up kills into a sink that holds every batch.
fn stalled(deadline: &str) -> String {
    format!(
        "[source.generator]\n[[processor]]\nname = \"parse\"\nstages = [\"decode\"]\n[[batcher]]\nname = \"hold\"\n\
         sink.blackhole = {{ delay = \"10m\" }}\n[limits]\ndrain_deadline = \"{deadline}\"\n"
    )
}

const LISTEN: &[&str] = &["--listen", "127.0.0.1:0"];

fn start(world: &World, environment: &[(&str, &str)]) -> (Running, String) {
    let mut worker = world.start(&[&["run"], LISTEN].concat(), environment);
    let line = worker.err("page=");
    let address = line.split("http://").nth(1).expect("the page's address").split('/').next().expect("a host");
    (worker, address.to_owned())
}

fn in_flight(address: &str) -> u64 {
    let metrics = get(address, "/metrics");
    let line = metrics.lines().find(|line| line.starts_with("broadside_in_flight{"));
    line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0) as u64
}

#[test]
fn without_a_contact_the_real_feeds_are_not_asked() {
    let world = World::new();
    let done = world.run(&[&["run"], LISTEN].concat());
    assert_eq!(done.code, 2);
    assert!(done.err.contains("BROADSIDE_CONTACT") && done.err.contains("ZKILLBOARD_URL"), "{}", done.err);
    assert_eq!(world.files(), Vec::<String>::new());
}

#[test]
fn a_foreign_feed_is_refused_without_a_contact() {
    let world = World::new();
    let done = world.run_with(&[&["run"], LISTEN].concat(), &[("WANDERER_URL", "https://feed.invalid")]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("BROADSIDE_CONTACT"), "{}", done.err);
}

#[test]
fn a_worker_under_load_drains_on_sigterm_with_everything_stored() {
    let world = World::new();
    let mut feed = world.start(&["simulate", "--listen", "127.0.0.1:0", "--rate", "1500"], &[]);
    let url = feed.out("feed at").replace("feed at ", "");
    let (files, esi) = (format!("{}/r2z2", url.trim()), format!("{}/esi", url.trim()));
    let feeds = [("WANDERER_URL", url.trim()), ("ZKILLBOARD_URL", &files), ("ESI_URL", &esi)];
    let (worker, address) = start(&world, &feeds);
    until("kills are stored", || {
        let metrics = get(&address, "/metrics");
        let line = metrics.lines().find(|line| line.contains("outcome=\"successful\"") && line.contains("settled"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).is_some_and(|count| count > 500.0)
    });
    worker.signal("TERM");
    let done = worker.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("imbalance 0"), "{}", done.out);
    assert!(done.err.contains("draining"), "{}", done.err);
    let (received, successful) = (figure(&done.out, "received"), figure(&done.out, "successful"));
    assert!(received >= successful && successful > 500, "{}", done.out);
    assert!(!done.out.contains("abandoned"), "{}", done.out);
}

#[test]
fn a_drain_that_takes_too_long_ends_with_3_and_says_how_many_are_lost() {
    let world = World::new();
    world.write("pipelines/stalled.toml", &stalled("200ms"));
    let (worker, address) = start(&world, &[]);
    until("something is in flight", || in_flight(&address) > 0);
    worker.signal("TERM");
    let done = worker.wait();
    assert_eq!(done.code, 3, "{}", done.err);
    assert!(done.err.contains("messages abandoned"), "{}", done.err);
    assert!(done.out.contains("imbalance 0"), "{}", done.out);
}

#[test]
fn a_second_signal_ends_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let world = World::new();
        world.write("pipelines/stalled.toml", &stalled("10m"));
        let (mut worker, address) = start(&world, &[]);
        until("something is in flight", || in_flight(&address) > 0);
        worker.signal(signal);
        worker.err("draining");
        assert!(get(&address, "/readyz").starts_with("HTTP/1.1 503"), "not ready while it drains");
        worker.signal(signal);
        assert_eq!(worker.wait().code, code);
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let world = World::new();
    world.write("pipelines/stalled.toml", &stalled("1s"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let done = world.run(&["run", "--listen", &address]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains(&address), "{}", done.err);
}
