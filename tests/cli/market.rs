//! The regions of the market, asked of a worker and of the database.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use broadside::http::{self, Access, Running};
use broadside::killmail::RegionId;
use broadside::market::Quality;
use broadside::regions::{Change, Regions, Standing, State, Which};
use broadside::store::{self, Options, Swept};
use broadside::telemetry;
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::program::{Done, World};

/// Nobody listens there: it is no port to be listened on.
const NOBODY: &str = "http://127.0.0.1:0";

struct Worker {
    address: SocketAddr,
    regions: Arc<Regions>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| telemetry::install_metrics().expect("the first")).clone()
}

fn standing(id: i64, name: &str) -> Standing {
    let id = RegionId::new(id).expect("an id");
    Standing::new(id, Some(name.to_owned()), "market", Timestamp::UNIX_EPOCH)
}

impl Worker {
    async fn new(token: Option<&str>) -> Self {
        let store = store::connect("sqlite::memory:", &Options::default()).await.expect("a store");
        let regions = Arc::<Regions>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (pipelines, hub) = (Arc::new(Vec::<Running>::new()), Arc::default());
        let state = http::State::new(pipelines, store, hub, regions.clone(), recorder(), Arc::default());
        let state = state.with_access(Access::new(address, token));
        let server = tokio::spawn(http::serve(listener, state, CancellationToken::new()));
        regions.serve(true);
        let source = tokio::spawn(source(regions.clone()));
        Self { address, regions, _tasks: [server, source].map(AbortOnDropHandle::new) }
    }

    async fn ask(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Done {
        let url = format!("http://{}", self.address);
        let arguments: Vec<String> = ["market"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        let environment: Vec<(String, String)> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let done = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--worker", &url]).collect();
            let environment: Vec<(&str, &str)> =
                environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            World::new().run_with(&arguments, &environment)
        });
        done.await.expect("no panic")
    }
}

/// Makes every change but one.
async fn source(regions: Arc<Regions>) {
    loop {
        for wish in regions.wishes().await {
            let told = match wish.change {
                Change::Add(Which::Name(name)) if name == "Nowhere" => Err("ESI knows no region Nowhere".to_owned()),
                Change::Add(which) => {
                    let id = if let Which::Id(id) = which { id.get() } else { 10_000_002 };
                    let added = standing(id, "The Forge");
                    let id = added.region_id;
                    regions.put(added);
                    Ok(id)
                }
                Change::Remove(id) => {
                    regions.remove(id);
                    Ok(id)
                }
            };
            let _ = wish.tell.send(told);
        }
    }
}

#[tokio::test]
async fn seventy_regions_are_a_table_of_eighty_columns_and_an_object_each() {
    let worker = Worker::new(None).await;
    for index in 0..70 {
        let mut region = standing(10_000_001 + index, &format!("The Kalevala Expanse of {index}"));
        (region.orders, region.pages) = (1_000 * index as u64, index as u32);
        if index == 7 {
            let why = format!("page 3: \u{1b}[31m{}", "no answer ".repeat(20));
            region.enter(State::Failing, Some(why), Timestamp::UNIX_EPOCH);
        }
        worker.regions.put(region);
    }
    let done = worker.ask(&["status"], &[]).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
    let lines: Vec<&str> = done.out.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 80 && !line.contains('\u{1b}')), "{}", done.out);
    assert!(lines[0].starts_with("REGION") && lines[1].contains("failing") && lines[1].contains("10000008"));
    assert!(lines[2].contains("69,000") && done.out.contains("70 regions, 2.42M orders"), "{}", done.out);
    assert!(lines.iter().any(|line| line.contains(": page 3: ") && line.ends_with('…')), "{}", done.out);
    let done = worker.ask(&["status", "--json"], &[]).await;
    let rows: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((rows.len(), &rows[0]["state"]), (70, &"failing".into()));
    assert!(rows[0]["reason"].as_str().is_some_and(|reason| reason.len() > 200), "whole");
}

#[tokio::test]
async fn regions_are_added_and_removed_by_id_and_by_name() {
    let worker = Worker::new(None).await;
    let done = worker.ask(&["add", "The Forge"], &[]).await;
    assert!(done.code == 0 && done.out.contains("added The Forge (10000002)"), "{}{}", done.out, done.err);
    assert!(done.out.contains("pipeline file"), "it says for how long: {}", done.out);
    assert_eq!(worker.ask(&["add", "10000043"], &[]).await.code, 0);
    let ids: Vec<i64> = worker.regions.all().iter().map(|region| region.region_id.get()).collect();
    assert_eq!(ids, [10_000_002, 10_000_043]);
    assert_eq!(worker.ask(&["remove", "10000043"], &[]).await.code, 0);
    let done = worker.ask(&["remove", "the forge"], &[]).await;
    assert!(done.code == 0 && done.out.contains("removed The Forge (10000002)"), "{}{}", done.out, done.err);
    assert_eq!(worker.regions.all(), []);
    for (arguments, reason) in [
        (["add", "Nowhere"], "ESI knows no region Nowhere (409)"),
        (["remove", "Nowhere"], "polls no region Nowhere"),
        (["remove", "10000099"], "no such region is polled"),
        (["add", "-5"], "unexpected argument"),
    ] {
        let done = worker.ask(&arguments, &[]).await;
        assert!(done.code != 0 && done.err.contains(reason), "{arguments:?}: {}", done.err);
    }
}

#[tokio::test]
async fn the_token_is_sent_and_never_shown() {
    let worker = Worker::new(Some("hunter2")).await;
    for (token, code) in [("hunter2", 0), ("hunter3", 1), ("", 1)] {
        let done = worker.ask(&["add", "10000043"], &[("BROADSIDE_API_TOKEN", token)]).await;
        assert_eq!(done.code, code, "{token}: {}", done.err);
        assert!(code == 0 || done.err.contains("(401)"), "{}", done.err);
        assert!(!format!("{}{}", done.out, done.err).contains("hunter"), "{}{}", done.out, done.err);
    }
    assert_eq!(worker.ask(&["status"], &[]).await.code, 0, "all can be read without");
}

#[test]
fn without_a_worker_the_database_is_asked_and_it_is_said_so() {
    let world = World::new();
    let done = world.run(&["market", "status", "--worker", NOBODY]);
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("no worker at ") && done.err.contains("there is no database broadside.db"),
        "{}",
        done.err
    );
    assert_eq!(world.files(), Vec::<String>::new(), "none was made");
    assert_eq!(world.run(&["migrate"]).code, 0);
    let done = world.run_with(&["market", "status"], &[("BROADSIDE_LISTEN", "127.0.0.1:0")]);
    assert_eq!((done.code, done.out.as_str()), (0, "no regions"), "{}", done.err);
    assert!(done.err.contains("no worker at ") && done.err.contains("the database"), "{}", done.err);
    let done = world.run(&["market", "status", "--json", "--worker", NOBODY]);
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{}", done.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_knows_each_regions_last_sweep() {
    let world = World::new();
    let url = format!("sqlite://{}", world.path("broadside.db").display());
    let store = store::connect(&url, &Options::default()).await.expect("a store");
    store.migrate().await.expect("tables");
    let swept = |id, name: Option<&str>, orders| Swept {
        region: RegionId::new(id).expect("an id"),
        name: name.map(str::to_owned),
        not_before: Timestamp::UNIX_EPOCH,
        swept_at: Some(Timestamp::UNIX_EPOCH),
        sweep_seconds: 1.5,
        pages: 2,
        orders,
        quality: Quality::Mixed,
    };
    for row in [swept(10_000_001, None, 0), swept(10_000_002, Some("The Forge"), 1_234)] {
        store.end_sweep(&row, &[]).await.expect("stored");
    }
    store.close().await;
    let status = |arguments: &[&str]| world.run(&[&["market", "status", "--worker", NOBODY], arguments].concat());
    let done = tokio::task::block_in_place(|| status(&[]));
    let lines: Vec<Vec<&str>> = done.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1][..7], ["The", "Forge", "10000002", "-", "1,234", "2", "-"], "{}", done.out);
    assert_eq!(lines[2][..3], ["region", "10000001", "10000001"], "{}", done.out);
    assert_eq!(lines[4].join(" "), "2 regions, 1,234 orders, 4 pages; 2 mixed");
    let done = tokio::task::block_in_place(|| status(&["--json"]));
    let rows: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&rows[0]["region_id"], &rows[0]["last_sweep"]["quality"]), (&10_000_002.into(), &"mixed".into()));
    assert_eq!(rows[0]["not_before"], "1970-01-01T00:00:00Z");
}

#[test]
fn without_a_worker_nothing_can_be_changed() {
    let world = World::new();
    for arguments in [["market", "add", "10000002"], ["market", "remove", "The Forge"]] {
        let done = world.run(&[&arguments[..], &["--worker", NOBODY]].concat());
        assert_eq!(done.code, 1, "{}", done.err);
        assert!(done.err.contains("the worker at ") && done.err.contains("reach worker"), "{}", done.err);
    }
    let done = world.run(&["market", "status", "--worker", "ftp://127.0.0.1"]);
    assert_eq!(done.code, 2, "{}", done.err);
}
