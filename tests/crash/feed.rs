//! A worker on a live feed: it dies, or its database does.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use broadside::simulator::{Config, Simulator};
use rand::RngExt;

use super::program::{Running, World, figure, get};
use super::server::{Server, database};
use super::tables::{LOOKS, Tables};
use super::{drawing, until};

async fn feed(rate: f64, seed: u64) -> Simulator {
    Simulator::start(Config { rate, seed, record: true, ..Config::default() }).await.expect("a free port")
}

/// A worker that is ready, and the address on which it answers.
async fn start(world: &World, feed: &Simulator, database: &str) -> (Running, String) {
    let arguments = ["run", "kills", "--listen", "127.0.0.1:0", "--database", database];
    let feeds = [("WANDERER_URL", feed.url()), ("ZKILLBOARD_URL", feed.zkillboard_url()), ("ESI_URL", feed.esi_url())];
    let mut worker = world.start(&arguments, &feeds.each_ref().map(|(name, url)| (*name, url.as_str())));
    let line = worker.err("page=");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
    until("the worker is ready", async || status(&address, "/readyz") == "200").await;
    (worker, address)
}

fn status(address: &str, path: &str) -> String {
    get(address, path).split(' ').nth(1).expect("a status").to_owned()
}

/// The sum of a metric's samples.
fn metric(address: &str, name: &str) -> u64 {
    let text = get(address, "/metrics");
    let samples = text.lines().filter(|line| line.starts_with(name));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

/// Somebody who reads the killfeed, and joins again with the last id when the worker is gone.
#[derive(Default)]
struct Reader {
    heard: Arc<Mutex<Vec<i64>>>,
    listening: Option<JoinHandle<()>>,
}

impl Reader {
    fn heard(&self) -> Vec<i64> {
        self.heard.lock().expect("sound").clone()
    }

    fn join(&mut self, address: &str) {
        let heard = self.heard.clone();
        let last = self.heard().last().copied().unwrap_or(0);
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET /api/killfeed/stream?last_event_id={last} HTTP/1.1\r\nHost: {address}\r\n\r\n")
            .expect("sent");
        self.listening = Some(std::thread::spawn(move || {
            let mut is_event = false;
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                // A ping has an id too, of what was heard.
                is_event |= line == b"event: killmail";
                if let Some(id) = line.strip_prefix(b"id: ").filter(|_| std::mem::take(&mut is_event)) {
                    let id = String::from_utf8_lossy(id).trim().parse().expect("a number");
                    heard.lock().expect("sound").push(id);
                }
            }
        }));
    }

    /// Until the worker is gone and all that it sent is read.
    fn leave(&mut self) {
        self.listening.take().expect("it listens").join().expect("read");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_on_a_live_feed_leaves_no_half_kill_and_published_only_what_it_stored() {
    let (world, database, mut random) = (World::new(), database().await, drawing());
    let feed = feed(400.0, random.random()).await;
    let mut reader = Reader::default();
    for death in 0..4 {
        let (mut worker, address) = start(&world, &feed, database.url()).await;
        reader.join(&address);
        let mut tables = Tables::open(database.url()).await;
        let moment = tables.stored().await + random.random_range(50..500);
        until("so many more are stored", async || tables.stored().await >= moment).await;
        tables.look(random.random_range(0..LOOKS)).await;
        assert!(worker.is_running());
        worker.signal("KILL");
        worker.wait();
        reader.leave();
        tables.are_sound(&format!("after death {death}")).await;
        let events: BTreeSet<_> = tables.ids("killmail_events.event_id").await.into_iter().collect();
        let heard = reader.heard();
        assert!(!heard.is_empty() && heard.iter().all(|id| events.contains(id)), "only what is stored is heard");
    }
    let (worker, address) = start(&world, &feed, database.url()).await;
    reader.join(&address);
    let mut tables = Tables::open(database.url()).await;
    let before = tables.stored().await;
    until("it goes on", async || tables.stored().await > before + 100).await;
    feed.stop_publishing();
    until("every event is heard", async || {
        let all = feed.has_published_all() && metric(&address, "broadside_in_flight{") == 0;
        all && reader.heard().len() >= tables.ids("killmail_events.event_id").await.len()
    })
    .await;
    worker.signal("TERM");
    let done = worker.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    reader.leave();
    tables.are_sound("in the end").await;
    let stored = tables.ids("killmails_raw.killmail_id").await;
    assert_eq!(tables.ids("killmail_events.killmail_id").await, stored, "one event for each kill");
    // What the drain has stored at last, nobody hears any more: whoever joins again does.
    let (heard, mut events) = (reader.heard(), tables.ids("killmail_events.event_id").await);
    events.truncate(heard.len());
    assert_eq!(heard, events, "each is heard once, in order");
    let published: BTreeSet<_> = feed.published().into_iter().collect();
    assert!(stored.iter().all(|id| published.contains(id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_at_once_and_comes_back_loses_nothing() {
    let (world, server, mut random) = (World::new(), Server::start().await, drawing());
    // Slow enough that an outage fits into what a worker and the feed hold: a client that is too far behind is cut off.
    let feed = feed(80.0, random.random()).await;
    let (worker, address) = start(&world, &feed, &server.url()).await;
    for outage in 0..2 {
        let mut tables = Tables::open(&server.url()).await;
        let moment = tables.stored().await + random.random_range(50..400);
        until("so many more are stored", async || tables.stored().await >= moment).await;
        drop(tables);
        server.stop_immediate().await;
        until("the worker is not ready", async || status(&address, "/readyz") == "503").await;
        assert_eq!(status(&address, "/livez"), "200");
        let received = metric(&address, "broadside_source_received_total{");
        until("the feed goes on", async || metric(&address, "broadside_source_received_total{") > received + 100).await;
        server.start_again().await;
        until("the worker is ready", async || status(&address, "/readyz") == "200").await;
        Tables::open(&server.url()).await.are_sound(&format!("after outage {outage}")).await;
    }
    feed.stop_publishing();
    until("all that was sent is received", async || {
        let (all, counts) = (feed.has_published_all(), feed.counts());
        // Not all that is received: on a slow machine there are copies from the fallback beside it.
        let live = r#"broadside_source_lag_seconds_count{pipeline="kills",source="wanderer"}"#;
        all && counts.delivered == counts.published && metric(&address, live) == counts.delivered
    })
    .await;
    worker.signal("TERM");
    let done = worker.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    let (received, successful) = (figure(&done.out, "received"), figure(&done.out, "successful"));
    assert_eq!(successful, feed.counts().delivered, "{}", done.out);
    assert!(received >= successful && figure(&done.out, "imbalance") == 0, "{}", done.out);
    let mut tables = Tables::open(&server.url()).await;
    tables.are_sound("in the end").await;
    let mut sent = feed.delivered();
    sent.sort_unstable();
    assert_eq!(tables.ids("killmails_raw.killmail_id").await, sent);
    assert_eq!(tables.ids("killmail_events.killmail_id").await, sent, "one event for each kill");
}
