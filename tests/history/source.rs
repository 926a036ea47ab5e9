//! The source: days after one another, what an interruption leaves, and what the end does.

use std::path::PathBuf;

use broadside::clients::history::Archivist;
use broadside::killmail::{Kill, wire};
use broadside::resources::Resources;
use broadside::sources::history::{Config, Days};
use broadside_engine::testing::contract;
use broadside_engine::{Demand, Factory, Failure, Flow, Message};
use jiff::civil::{Date, date};

use super::server::{Answer, Server};
use super::{day_of, resources, store_kills};

struct World {
    server: Server,
    resources: Resources,
    folder: tempfile::TempDir,
}

/// The day of this number of January 2026.
fn day(number: i8) -> Date {
    date(2026, 1, number)
}

impl World {
    async fn new() -> Self {
        Self { server: Server::start(), resources: resources().await, folder: tempfile::tempdir().unwrap() }
    }

    /// Days of ten kills each: those of the 2nd are 21 to 30.
    fn serve(&self, days: impl IntoIterator<Item = i64>) {
        for day in days {
            let (list, kills) = day_of(day * 10 + 1..=day * 10 + 10);
            self.server.day(&format!("202601{day:02}"), &list, &kills);
        }
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    fn config(&self, days: impl IntoIterator<Item = i8>) -> Config {
        let days = days.into_iter().map(day).collect();
        Config { archivist: Archivist::Zkillboard, base: self.server.url(), days, spool: self.spool() }
    }

    fn open(&self, days: impl IntoIterator<Item = i8>) -> Days {
        self.config(days).open("kills", &self.resources).unwrap()
    }

    /// Reads to the end, or to `most` kills, as an engine whose batches end as `settle` says; what is safe is stored.
    async fn read(&self, days: &Days, most: usize, settle: impl Fn(&mut Message<Kill>) -> bool) -> Read {
        let mut source = days.build(0).await.unwrap();
        let mut ids = Vec::new();
        let end = loop {
            let mut demand = Demand::of(4.min(most - ids.len()));
            let flow = source.pull(&mut demand).await;
            for mut message in demand.into_messages() {
                let id = id(&message.payload);
                ids.push(id);
                if settle(&mut message) {
                    if message.failure().is_none() {
                        store_kills(&self.resources.store, [id]).await;
                    }
                    let acknowledger = days.acknowledger();
                    acknowledger.acknowledge(message.reference(), std::slice::from_mut(&mut message)).await;
                }
            }
            match flow {
                Ok(Flow::More) if ids.len() < most => {}
                Ok(_) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        source.close().await;
        self.config([]).clean_up().await;
        Read { ids, end }
    }
}

#[derive(Debug)]
struct Read {
    ids: Vec<i64>,
    end: Result<(), Failure>,
}

fn id(kill: &Kill) -> i64 {
    wire::decode(&kill.raw).unwrap().killmail_id.get()
}

fn all(_: &mut Message<Kill>) -> bool {
    true
}

#[tokio::test]
async fn days_follow_one_another_and_leave_nothing_behind() {
    let world = World::new().await;
    world.serve([2, 3]);
    let days = world.open([2, 3]);
    let read = world.read(&days, 100, all).await;
    assert_eq!((read.ids, read.end.is_ok()), ((21..=40).collect(), true));
    assert!(!world.spool().exists());
    let present = days.progress().present();
    assert_eq!((present.day, present.total.kills, present.total.read), (None, 20, 20));
    let before = world.server.paths().len();
    let again = world.read(&world.open([2, 3]), 100, all).await;
    assert_eq!(again.ids, [] as [i64; 0]);
    assert_eq!(world.server.paths()[before..], ["/history/20260102.json", "/history/20260103.json"]);
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_source() {
    let world = World::new().await;
    world.serve([2, 3]);
    assert_eq!(contract::source(&world.open([2, 3]), id).await, (21..=40).collect::<Vec<_>>());
    let (list, kills) = day_of([1]);
    world.server.answer("/history/20260104.json", [Answer::Stalled(list.into(), 3)]);
    world.server.answer("/history/raw/20260104.json", [Answer::Whole(kills.into())]);
    contract::source_is_interruptible(&world.open([4])).await;
}

#[tokio::test]
async fn an_interrupted_day_goes_on_without_a_request_for_what_was_there() {
    let world = World::new().await;
    world.serve([2, 3, 4]);
    let first = world.read(&world.open([2, 3, 4]), 15, all).await;
    assert_eq!(first.ids, (21..=35).collect::<Vec<_>>());
    let before = world.server.paths();
    let days = world.open([2, 3, 4]);
    let rest = world.read(&days, 100, all).await;
    assert_eq!(rest.ids, (36..=50).collect::<Vec<_>>());
    assert_eq!(
        world.server.paths()[before.len()..],
        ["/history/20260104.json", "/history/raw/20260104.json"],
        "the 2nd is done, the 3rd is in the spool"
    );
    assert_eq!(days.progress().days_before.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(!world.spool().exists());
}

#[tokio::test]
async fn what_was_in_flight_at_a_crash_is_handed_over_again_and_a_dead_letter_is_not() {
    let world = World::new().await;
    world.serve([2]);
    let settle = |message: &mut Message<Kill>| {
        if message.position() == 3 {
            message.fail(Failure::invalid("bad"));
            message.dead_letter();
        }
        message.position() != 6 && message.position() != 8
    };
    world.read(&world.open([2]), 8, settle).await;
    let files = std::fs::read_dir(world.spool()).unwrap().count();
    assert_eq!(files, 2, "the day is not settled");
    let rest = world.read(&world.open([2]), 100, all).await;
    assert_eq!(rest.ids, [26, 28, 29, 30]);
    assert!(!world.spool().exists());
}

#[tokio::test]
async fn a_day_stays_in_the_spool_until_its_last_kill_is_safe() {
    let world = World::new().await;
    world.serve([2]);
    let days = world.open([2]);
    let mut source = days.build(0).await.unwrap();
    let mut kept = Vec::new();
    loop {
        let mut demand = Demand::of(100);
        let flow = source.pull(&mut demand).await.unwrap();
        kept.extend(demand.into_messages());
        if flow == Flow::Finished {
            break;
        }
    }
    assert_eq!((kept.len(), std::fs::read_dir(world.spool()).unwrap().count()), (10, 2));
    for message in &mut kept {
        assert_eq!(std::fs::read_dir(world.spool()).unwrap().count(), 2);
        days.acknowledger().acknowledge(message.reference(), std::slice::from_mut(message)).await;
    }
    assert_eq!(std::fs::read_dir(world.spool()).unwrap().count(), 0);
    world.config([]).clean_up().await;
    assert!(!world.spool().exists());
}

#[tokio::test]
async fn days_that_are_not_published_are_named_at_the_end_and_the_others_go_on() {
    let world = World::new().await;
    world.serve([2, 4]);
    let read = world.read(&world.open(1..=5), 100, all).await;
    assert_eq!(read.ids, (21..=30).chain(41..=50).collect::<Vec<_>>());
    let error = read.end.unwrap_err().error;
    assert_eq!(error, "not published: 2026-01-01, 2026-01-03, 2026-01-05");
    assert!(!world.spool().exists());
    // Those that were done are passed over when the same days are asked for again.
    let before = world.server.paths().len();
    world.serve([1]);
    assert_eq!(world.read(&world.open(1..=5), 100, all).await.ids, (11..=20).collect::<Vec<_>>());
    let paths = world.server.paths();
    assert!(!paths[before..].iter().any(|path| path.contains("20260102") || path.contains("20260104")), "{paths:?}");
}

#[tokio::test]
async fn a_day_that_cannot_be_had_is_passed_over_and_two_in_a_row_end_the_reading() {
    let world = World::new().await;
    world.serve([2, 4, 7]);
    for day in [3, 5, 6] {
        world.server.answer(&format!("/history/2026010{day}.json"), [Answer::Status(400, "")]);
    }
    let read = world.read(&world.open(1..=7), 100, all).await;
    assert_eq!(read.ids, (21..=30).chain(41..=50).collect::<Vec<_>>());
    let error = read.end.unwrap_err().error;
    let days = [3, 5, 6]
        .map(|day| format!("2026-01-0{day}: failed to get history/2026010{day}.json from zkillboard: status 400"));
    assert_eq!(error, format!("not published: 2026-01-01; {}", days.join("; ")));
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_ends_the_reading_at_once() {
    let world = World::new().await;
    world.serve([2, 3]);
    std::fs::write(world.spool(), "a file").unwrap();
    let read = world.read(&world.open([2, 3]), 100, all).await;
    let error = read.end.unwrap_err().error;
    assert!(error.starts_with("use the spool folder") && error.contains("spool"), "{error}");
    assert_eq!(world.server.paths(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_new_incarnation_hands_nothing_out_twice() {
    let world = World::new().await;
    world.serve([2]);
    let days = world.open([2]);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut source = days.build(0).await.unwrap();
        let mut demand = Demand::of(4);
        source.pull(&mut demand).await.unwrap();
        ids.extend(demand.into_messages().iter().map(|message| id(&message.payload)));
    }
    assert_eq!(ids, (21..=30).collect::<Vec<_>>());
}
