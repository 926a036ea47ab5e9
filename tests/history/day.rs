//! The day reader, against servers that misbehave.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use broadside::archive::Record;
use broadside::clients::history::{Archivist, Error as FetchError, History, Part};
use broadside::clients::service::{Manners, Service};
use broadside::history::{Counts, Day, Error, Spool};
use broadside::killmail::{Form, wire};
use broadside::resources::Resources;
use jiff::civil::{Date, date};

use super::server::{Answer, Server};
use super::{day_of, hash, killmail, resources, store_kills};

const DAY: Date = date(2026, 1, 2);
const LIST: &str = "/history/20260102.json";
const RAW: &str = "/history/raw/20260102.json";
const TAR: &str = "/killmails/2026/killmails-2026-01-02.tar.bz2";

/// What the client bears of a silent server: longer than anything here takes, but for what never comes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

struct World {
    server: Server,
    resources: Resources,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self { server: Server::start(), resources: resources().await, folder: tempfile::tempdir().unwrap() }
    }

    fn spool_folder(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    fn spool(&self) -> Spool {
        Spool::new(self.spool_folder()).with_wait(Duration::from_millis(20))
    }

    fn zkillboard(&self) -> History {
        let manners = Manners {
            name: "zkillboard",
            per_second: None,
            concurrency: 1,
            body_max: 1000,
            call_timeout: Duration::from_secs(100),
            read_timeout: READ_TIMEOUT,
            headers: &[],
        };
        History::zkillboard(Service::new(&self.server.url(), None, &manners).unwrap())
    }

    async fn open(&self) -> Result<Day, Error> {
        Day::open(&self.zkillboard(), &self.resources.store, &self.spool(), DAY).await
    }

    /// Serves the day and reads all of it. Each silence of the server is over as soon as it has begun.
    async fn read(&self) -> (Vec<(u64, String)>, Counts) {
        let silence = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            for stall in 0.. {
                while self.server.stalls() <= stall {
                    ticks.tick().await;
                }
                tokio::time::pause();
                tokio::time::advance(READ_TIMEOUT).await;
                tokio::time::resume();
            }
        };
        tokio::select! {
            found = async { read(self.open().await.unwrap()).await } => found,
            () = silence => unreachable!("it has no end"),
        }
    }
}

async fn read(mut day: Day) -> (Vec<(u64, String)>, Counts) {
    let mut found = Vec::new();
    while let Some(records) = day.next(2).await.unwrap() {
        assert!(records.len() <= 2);
        found.extend(records.into_iter().map(|(position, record)| (position, text(&record))));
    }
    (found, day.counts())
}

fn text(record: &Record) -> String {
    String::from_utf8(record.bytes().to_vec()).unwrap()
}

fn package(id: i64) -> String {
    format!(r#"{{"killmail_id":{id},"hash":"{}","esi":{}}}"#, hash(id), killmail(id))
}

#[tokio::test]
async fn a_day_becomes_packages_with_the_hashes_of_its_list() {
    let world = World::new().await;
    let (list, kills) = day_of(1..=3);
    world.server.day("20260102", &list, &kills);
    let (found, counts) = world.read().await;
    assert_eq!(found, [(1, package(1)), (2, package(2)), (3, package(3))]);
    assert_eq!(counts, Counts { kills: 3, read: 3, stored: 0, missing: 0 });
    let mail = wire::decode(found[0].1.as_bytes()).unwrap();
    assert_eq!((mail.form, mail.killmail_hash.unwrap().to_string()), (Form::Esi, hash(1)));
}

#[tokio::test]
async fn what_the_store_has_is_left_out_and_a_day_that_it_has_is_not_fetched() {
    let world = World::new().await;
    let (list, kills) = day_of(1..=5);
    world.server.day("20260102", &list, &kills);
    store_kills(&world.resources.store, [1, 4]).await;
    let (found, counts) = world.read().await;
    assert_eq!(found.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [2, 3, 5]);
    assert_eq!(counts, Counts { kills: 5, read: 5, stored: 2, missing: 0 });
    world.spool().settled(Archivist::Zkillboard, DAY).await;
    store_kills(&world.resources.store, 1..=5).await;
    let before = world.server.paths().len();
    let (found, counts) = world.read().await;
    assert_eq!((found.len(), counts.stored), (0, 5));
    assert_eq!(world.server.paths()[before..], [LIST]);
}

#[tokio::test]
async fn a_list_and_a_day_that_do_not_agree_give_all_that_there_is() {
    let world = World::new().await;
    let (_, kills) = day_of(1..=4);
    // 1 without a hash, 2 with blanks behind it, 3 cut, 4 not listed; 8 and 9 listed alone, and 9 is stored.
    let list = format!(r#"{{"1":"","2":"{}  ","3":"abc","8":"{}","9":"{}"}}"#, hash(2), hash(8), hash(9));
    world.server.day("20260102", &list, &kills.replace('}', "} ").replace("\"4\"", "\n\"4\""));
    store_kills(&world.resources.store, [9]).await;
    let (found, counts) = world.read().await;
    let hashes: Vec<_> = found.iter().map(|(_, text)| wire::decode(text.as_bytes()).unwrap().killmail_hash).collect();
    assert_eq!(
        hashes.iter().map(|hash| hash.map(|hash| hash.to_string())).collect::<Vec<_>>(),
        [None, Some(hash(2)), None, None]
    );
    assert_eq!(counts, Counts { kills: 5, read: 4, stored: 0, missing: 1 });
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_handed_over_as_it_is() {
    let world = World::new().await;
    let (list, _) = day_of(1..=3);
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let kills = format!(r#"{{"1":{{"killmail_id":"x"}},"2":{deep},"3":{}}}"#, killmail(3));
    world.server.day("20260102", &list, &kills);
    let (found, counts) = world.read().await;
    assert_eq!(found[0].1, r#"{"killmail_id":"x"}"#);
    assert_eq!((&found[1].1, &found[2].1), (&deep, &package(3)));
    assert!(wire::decode(deep.as_bytes()).is_err());
    assert_eq!(counts.missing, 2);
}

#[tokio::test]
async fn a_day_without_kills_is_over_at_once() {
    let world = World::new().await;
    for list in ["{}", "[]"] {
        world.server.day("20260102", list, "<html>");
        assert_eq!(world.read().await, (Vec::new(), Counts::default()));
        world.spool().settled(Archivist::Zkillboard, DAY).await;
    }
}

#[tokio::test]
async fn what_comes_damaged_is_fetched_again() {
    let (list, kills) = day_of(1..=50);
    let whole = || Answer::Whole(kills.clone().into_bytes());
    for bad in [
        Answer::Whole(b"<!DOCTYPE html><html></html>".to_vec()),
        Answer::Whole(kills.as_bytes()[..kills.len() - 9].to_vec()),
        Answer::Whole(br#"{"error":"no"}"#.to_vec()),
        Answer::Whole(Vec::new()),
        Answer::Cut(kills.clone().into_bytes(), 1000),
        Answer::Stalled(kills.clone().into_bytes(), 1000),
        Answer::Status(503, ""),
        Answer::Status(429, "retry-after: 0\r\n"),
    ] {
        let world = World::new().await;
        world.server.day("20260102", &list, "");
        world.server.answer(RAW, [bad.clone(), bad.clone(), whole()]);
        let (found, counts) = world.read().await;
        assert_eq!((found.len(), counts.missing), (50, 0), "{bad:?}");
        assert_eq!(world.server.paths(), [LIST, RAW, RAW, RAW], "{bad:?}");
    }
}

#[tokio::test]
async fn a_list_that_comes_damaged_is_fetched_again() {
    let world = World::new().await;
    let (list, kills) = day_of(1..=3);
    world.server.day("20260102", "", &kills);
    let bad = ["<html>", r#"{"error":"no"}"#, &list[..list.len() - 1]].map(|text| Answer::Whole(text.into()));
    world.server.answer(LIST, bad.into_iter().chain([Answer::Whole(list.into())]));
    assert_eq!(world.read().await.0.len(), 3);
    assert_eq!(world.server.paths(), [LIST, LIST, LIST, LIST, RAW]);
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke_off_if_the_server_can() {
    let world = World::new().await;
    let (list, kills) = day_of(1..=50);
    let kills = kills.into_bytes();
    world.server.day("20260102", &list, "");
    let cut = |at| Answer::Resumable(kills.clone(), at);
    world.server.answer(RAW, [cut(Some(1000)), cut(Some(500)), cut(None)]);
    assert_eq!(world.read().await.0.len(), 50);
    let heads = world.server.heads();
    assert!(heads[2].contains("range: bytes=1000-\r\n") && heads[2].contains("if-range: \"one\"\r\n"), "{}", heads[2]);
    assert!(heads[3].contains("range: bytes=1500-\r\n"), "{}", heads[3]);
}

#[tokio::test]
async fn a_day_that_stays_damaged_is_given_up_as_one_to_be_had_later() {
    let world = World::new().await;
    let (list, _) = day_of(1..=3);
    world.server.day("20260102", &list, "<html>");
    let spool = world.spool().with_wait(Duration::from_millis(1));
    let error = Day::open(&world.zkillboard(), &world.resources.store, &spool, DAY).await.unwrap_err();
    assert!(error.is_transient() && !error.is_not_published(), "{error}");
    assert_eq!(error.to_string(), "get history/raw/20260102.json from zkillboard: what came is no day of killmails");
    assert_eq!(world.server.paths().len(), 9);
    assert_eq!(std::fs::read_dir(world.spool_folder()).unwrap().count(), 1, "only the list stays");
}

#[tokio::test]
async fn each_refusal_says_whether_and_when_to_ask_again() {
    let world = World::new().await;
    for (status, headers, transient, wait) in [
        (404, "", false, None),
        (400, "", false, None),
        (403, "", true, Some(120)),
        (403, "retry-after: 300\r\n", true, Some(300)),
        (429, "", true, Some(15)),
        (429, "retry-after: 7\r\n", true, Some(7)),
        (500, "", true, None),
        (503, "retry-after: 3\r\n", true, Some(3)),
    ] {
        world.server.answer(LIST, [Answer::Status(status, headers)]);
        let refused = world.zkillboard().fetch(Part::List, DAY, &world.folder.path().join("list")).await.unwrap_err();
        assert_eq!(refused.is_transient(), transient, "{status}");
        assert_eq!(refused.retry_in(), wait.map(Duration::from_secs), "{status} {headers}");
        assert_eq!(matches!(refused, FetchError::NotPublished { .. }), status == 404);
    }
}

#[tokio::test]
async fn a_day_that_is_not_published_is_told_at_once() {
    let world = World::new().await;
    let error = world.open().await.unwrap_err();
    assert!(error.is_not_published());
    assert_eq!(error.to_string(), "get history/20260102.json from zkillboard: it is not published");
    assert_eq!(world.server.paths(), [LIST]);
}

#[tokio::test]
async fn the_files_of_a_day_are_not_fetched_again_until_it_is_settled_or_a_day_has_passed() {
    let world = World::new().await;
    let (list, kills) = day_of(1..=3);
    world.server.day("20260102", &list, &kills);
    let version = world.open().await.unwrap().version().to_owned();
    let mut again = world.open().await.unwrap();
    assert_eq!((again.version(), world.server.paths().len()), (&*version, 2));
    again.skip(2);
    assert_eq!(read(again).await, (vec![(3, package(3))], Counts { kills: 3, read: 3, stored: 0, missing: 0 }));

    for file in std::fs::read_dir(world.spool_folder()).unwrap() {
        let file = std::fs::File::options().append(true).open(file.unwrap().path()).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(25)).unwrap();
    }
    assert_ne!(world.open().await.unwrap().version(), version);
    assert_eq!(world.server.paths().len(), 4);

    let theirs = world.spool_folder().join("theirs");
    std::fs::write(&theirs, "x").unwrap();
    world.spool().settled(Archivist::Zkillboard, DAY).await;
    world.spool().close().await;
    assert_eq!(std::fs::read_dir(world.spool_folder()).unwrap().count(), 1);
    std::fs::remove_file(theirs).unwrap();
    world.spool().close().await;
    assert!(!world.spool_folder().exists());
}

#[tokio::test]
async fn a_day_of_eve_ref_has_its_hashes_inside() {
    let world = World::new().await;
    let with_hash = |id| killmail(id).replacen('{', &format!("{{\"killmail_hash\":\"{}\",", hash(id)), 1);
    let tar = super::archives::bzip2(&super::archives::tar(
        (1..=4).map(|id| (format!("killmails/{id}.json"), with_hash(id).into_bytes())),
    ));
    let html = Answer::Whole(b"<html>".to_vec());
    world.server.answer(TAR, [html, Answer::Whole(tar[..tar.len() / 2].to_vec()), Answer::Whole(tar)]);
    store_kills(&world.resources.store, [2]).await;
    let history = History::new(Archivist::Everef, &world.server.url(), None).unwrap();
    let (found, counts) = read(Day::open(&history, &world.resources.store, &world.spool(), DAY).await.unwrap()).await;
    assert_eq!(found, [(1, with_hash(1)), (3, with_hash(3)), (4, with_hash(4))]);
    assert_eq!(counts, Counts { kills: 4, read: 4, stored: 1, missing: 0 });
    let mail = wire::decode(found[0].1.as_bytes()).unwrap();
    assert_eq!((mail.form, mail.killmail_hash.unwrap().to_string()), (Form::Esi, hash(1)));
    assert_eq!(world.server.paths(), [TAR, TAR, TAR]);
}

#[tokio::test]
async fn a_store_that_does_not_tell_what_it_has_gets_everything() {
    let world = World::new().await;
    let (list, kills) = day_of(1..=3);
    world.server.day("20260102", &list, &kills);
    store_kills(&world.resources.store, [1]).await;
    let day = world.open().await.unwrap();
    Arc::clone(&world.resources.store).close().await;
    assert_eq!(read(day).await.0.len(), 3);
}

#[tokio::test]
async fn a_foreign_archive_is_not_called_without_a_contact() {
    let refused = History::new(Archivist::Everef, "https://data.everef.example", None).unwrap_err();
    assert!(refused.to_string().contains("BROADSIDE_CONTACT"), "{refused}");
}
