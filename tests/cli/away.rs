//! A database that is away, or that is none.

use super::program::{Running, World, get, kills, text, until};
use super::server::{self, Server};

const GENERATOR: &str = "[source.generator]\nrate = 50\n[[processor]]\nname = \"parse\"\nstages = [\"decode\"]\n\
                         [[batcher]]\nname = \"db_insert\"\nsink.database = {}\n";

/// A port that refuses, and is nobody else's as long as this is there.
struct Refuses(tokio::net::TcpSocket);

impl Refuses {
    fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        Self(socket)
    }

    fn url(&self) -> String {
        let port = self.0.local_addr().expect("an address").port();
        format!("postgres://broadside:hunter2@127.0.0.1:{port}/kills")
    }
}

/// A worker that has begun, and the address on which it answers.
fn start(world: &World, database: &str) -> (Running, String) {
    world.write("pipelines/kills.toml", GENERATOR);
    let mut worker = world.start(&["run", "--listen", "127.0.0.1:0", "--database", database], &[]);
    let line = worker.err("address=");
    let address = line.split("address=").nth(1).expect("an address").split(' ').next().expect("one word");
    (worker, address.to_owned())
}

fn is_waiting(address: &str) -> bool {
    let ready = get(address, "/readyz");
    ready.starts_with("HTTP/1.1 503") && ready.contains("\"store\"") && ready.contains("has been away since 20")
}

#[tokio::test]
async fn a_worker_waits_for_its_database_alive_and_not_ready_until_a_signal_ends_it() {
    let (world, port) = (World::new(), Refuses::new());
    let (mut worker, address) = start(&world, &port.url());
    assert!(worker.err("the store cannot be opened now").contains("127.0.0.1"), "it names what it waits for");
    until("it says that the database is away", || is_waiting(&address));
    assert!(get(&address, "/livez").starts_with("HTTP/1.1 200"));
    assert!(get(&address, "/metrics").starts_with("HTTP/1.1 200"));
    assert!(get(&address, "/api/pipelines").contains("{\"error\":{\"code\":\"starting\""));
    worker.signal("TERM");
    let done = worker.wait();
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{}", done.err);
    assert!(done.err.contains("nothing was received") && !done.err.contains("hunter2"), "{}", done.err);
}

#[tokio::test]
async fn a_backfill_waits_too_and_can_be_interrupted() {
    let (world, port) = (World::new(), Refuses::new());
    let file = world.write("kills.ndjson", &kills(3));
    let mut backfill = world.start(&["backfill", text(&file), "--database", &port.url()], &[]);
    backfill.err("the store cannot be opened now");
    backfill.signal("INT");
    let done = backfill.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("nothing was read"), "{}", done.out);
}

#[tokio::test]
async fn with_fail_fast_and_in_short_commands_nothing_waits_and_the_cause_is_named_without_the_password() {
    let (world, port) = (World::new(), Refuses::new());
    world.write("pipelines/kills.toml", GENERATOR);
    let file = world.write("kills.ndjson", &kills(3));
    for arguments in [
        &["run", "--fail-fast", "--listen", "127.0.0.1:0"][..],
        &["backfill", "--fail-fast", text(&file)],
        &["check", "--connect"],
        &["dlq", "list"],
        &["dlq", "replay", "--all"],
        &["migrate"],
        &["partitions", "list"],
        &["partitions", "drop", "--before", "2021-01", "--yes"],
    ] {
        let done = world.run_with(arguments, &[("DATABASE_URL", &port.url())]);
        assert_eq!(done.code, 1, "{arguments:?}: {}", done.err);
        assert!(done.err.contains("refused") && !done.err.contains("hunter2"), "{}", done.err);
    }
}

#[test]
fn what_is_no_database_is_refused_at_once_without_the_password() {
    let world = World::new();
    world.write("pipelines/kills.toml", GENERATOR);
    for (url, why) in [
        ("mysql://broadside:hunter2@localhost/kills", "must begin with sqlite:// or postgres://"),
        ("postgres://broadside:hunter2@localhost:port/kills", "port"),
    ] {
        for arguments in [&["run", "--listen", "127.0.0.1:0"][..], &["migrate"], &["partitions", "ensure"]] {
            let done = world.run_with(arguments, &[("DATABASE_URL", url)]);
            assert_eq!(done.code, 1, "{arguments:?}: {}", done.err);
            assert!(done.err.contains(why) && !done.err.contains("hunter2"), "{}", done.err);
        }
    }
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_not_waited_for() {
    let (world, database) = (World::new(), server::database().await);
    world.write("pipelines/kills.toml", GENERATOR);
    let url = database.url().replacen("broadside_test_", "broadside_missing_", 1);
    let done = world.run(&["run", "--listen", "127.0.0.1:0", "--database", &url]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("does not exist"), "{}", done.err);
}

#[tokio::test]
async fn a_worker_started_before_its_database_runs_when_that_has_come_up_and_keeps_months_ahead() {
    let (world, server) = (World::new(), Server::start().await);
    server.stop_immediate().await;
    let (mut worker, address) = start(&world, &server.url());
    until("it says that the database is away", || is_waiting(&address));
    server.start_again().await;
    let line = worker.err("made partitions ahead");
    for table in ["killmails_raw", "killmails_enriched", "killmail_participants", "profile_matches"] {
        assert_eq!(line.matches(&format!("{table}_20")).count(), 3, "this month and two ahead: {line}");
    }
    until("it is ready", || get(&address, "/readyz").starts_with("HTTP/1.1 200"));
    worker.signal("TERM");
    let done = worker.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("imbalance 0"), "{}", done.out);
}
