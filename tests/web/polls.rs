//! Polls of the killfeed, its clients and what is left of its log: over HTTP, on both stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use broadside::http::KillfeedSettings;
use broadside::hub::Hub;
use broadside::killmail::{Kill, wire};
use broadside::store::{self, Change, Options, Store};
use serde_json::{Value, json};
use sqlx::{Connection, Executor};
use tempfile::TempDir;

use crate::client::{Answer, request, send};
use crate::server::{Database, database};
use crate::world::{HandMade, World};

const NONE: [i64; 0] = [];

/// A worker's server over a database.
struct Feed {
    world: World,
    store: Arc<dyn Store>,
    url: String,
    _database: Result<Database, TempDir>,
}

async fn sqlite() -> (String, Result<Database, TempDir>) {
    let folder = tempfile::tempdir().unwrap();
    (format!("sqlite://{}", folder.path().join("broadside.db").display()), Err(folder))
}

async fn postgres() -> (String, Result<Database, TempDir>) {
    let database = database().await;
    (database.url().to_owned(), Ok(database))
}

/// A kill in this system, as the source brings it.
fn kill(id: i64, system: i64) -> Kill {
    let raw = format!(
        r#"{{"killmail_id":{id},"killmail_time":"2026-11-20T10:00:00Z","solar_system_id":{system},
            "victim":{{"ship_type_id":587,"damage_taken":10,"items":[]}},
            "attackers":[{{"damage_done":10,"final_blow":true,"security_status":-1.5}}]}}"#
    );
    let mut kill = Kill::new(raw.into(), "file", "2026-11-20T10:00:01Z".parse().unwrap(), true);
    kill.mail = Some(Arc::new(wire::decode(&kill.raw).unwrap()));
    kill
}

impl Feed {
    async fn open((url, database): (String, Result<Database, TempDir>), settings: KillfeedSettings) -> Self {
        let store = store::connect(&url, &Options::default()).await.unwrap();
        store.migrate().await.unwrap();
        let running = Arc::new(HandMade::default());
        let settle = |state: broadside::http::State| state.with_killfeed(settings);
        let world = World::over_with(store.clone(), Arc::new(Hub::default()), running, settle).await;
        Self { world, store, url, _database: database }
    }

    /// One kill in each of these systems; answers the ids of their events.
    async fn happen(&self, systems: &[i64]) -> Vec<i64> {
        static LAST: AtomicI64 = AtomicI64::new(1);
        let kills: Vec<_> = systems.iter().map(|system| kill(LAST.fetch_add(1, Ordering::Relaxed), *system)).collect();
        let changes = self.store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.unwrap();
        let event = |change| match change {
            Change::New { event_id: Some(id) } => id,
            other => panic!("{other:?}"),
        };
        changes.into_iter().map(event).collect()
    }

    async fn poll(&self, query: &str) -> Value {
        let answer = self.world.get(&format!("/api/killfeed?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.json()
    }

    /// The ids of what a poll brings, each event whole.
    async fn ids(&self, query: &str) -> Vec<i64> {
        ids(&self.poll(query).await)
    }

    /// The id of what `next` brings.
    async fn next(&self, query: &str) -> Option<i64> {
        let answer = self.world.get(&format!("/api/killfeed/next?{query}")).await;
        match answer.status {
            204 => {
                assert_eq!(answer.body, "");
                None
            }
            status => {
                assert_eq!(status, 200, "{query}: {}", answer.body);
                Some(whole(&answer.json()))
            }
        }
    }

    async fn commit(&self, body: &Value) -> Answer {
        let body = body.to_string();
        let length = body.len().to_string();
        let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
        send(self.world.address, "POST", "/api/killfeed/commit", &headers, &body).await
    }

    async fn execute(&self, sql: String) {
        let sql = sqlx::AssertSqlSafe(sql);
        if self.url.starts_with("sqlite") {
            sqlx::SqliteConnection::connect(&self.url).await.unwrap().execute(sql).await.unwrap();
        } else {
            sqlx::PgConnection::connect(&self.url).await.unwrap().execute(sql).await.unwrap();
        }
    }

    /// Until the log has only these events.
    async fn wait_for_log(&self, expected: &[i64]) {
        let all = broadside::store::Scope::all();
        let collected = async {
            loop {
                let events = self.store.events_of(&all, 0, 1_000).await.unwrap().events;
                let left: Vec<i64> = events.iter().map(|event| event.event_id).collect();
                if left == expected {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(100), collected).await.expect("collected, and no more than that");
    }
}

/// The id of an event that has all that an event has.
fn whole(event: &Value) -> i64 {
    assert_eq!(event["killmail"]["solar_system_id"], event["system_id"]);
    assert_eq!(event["killmail"]["victim"]["ship_type_id"], 587);
    event["event_id"].as_i64().unwrap()
}

fn ids(answer: &Value) -> Vec<i64> {
    answer["events"].as_array().unwrap().iter().map(whole).collect()
}

macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::sqlite().await).await;
            }
        )+}
        mod on_postgres {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::postgres().await).await;
            }
        )+}
    };
}

on_both!(
    three_events_are_polled_once_and_then_there_are_none,
    one_more_comes_by_next_and_then_there_is_none,
    two_clients_over_overlapping_systems_do_not_touch_one_another,
    what_every_client_has_passed_is_collected,
    explicit_commits_hand_out_until_they_are_made,
    where_a_client_begins_is_its_own_choice,
    what_was_collected_against_a_clients_wish_is_told,
    clients_are_listed_shown_and_forgotten,
);

type Place = (String, Result<Database, TempDir>);

async fn three_events_are_polled_once_and_then_there_are_none(place: Place) {
    let feed = Feed::open(place, KillfeedSettings::default()).await;
    let query = "client_id=map&systems[]=30000142&systems[]=30000144";
    assert_eq!(feed.poll(query).await, json!({"events": [], "more": false}));
    let events = feed.happen(&[30_000_142, 30_000_143, 30_000_144, 30_000_142]).await;
    let answer = feed.poll(query).await;
    assert_eq!((ids(&answer), &answer["more"]), (vec![events[0], events[2], events[3]], &json!(false)));
    assert_eq!(feed.poll(query).await, json!({"events": [], "more": false}));
}

async fn one_more_comes_by_next_and_then_there_is_none(place: Place) {
    let feed = Feed::open(place, KillfeedSettings::default()).await;
    let query = "client_id=map&systems=1,2";
    assert_eq!(feed.next(query).await, None);
    let events = feed.happen(&[1, 2, 1]).await;
    assert_eq!(feed.ids(query).await, events);
    let more = feed.happen(&[2]).await;
    assert_eq!(feed.next(query).await, Some(more[0]));
    assert_eq!(feed.next(query).await, None);
    let two = feed.happen(&[2, 1]).await;
    assert_eq!(feed.next(query).await, Some(two[0]));
    let offsets = feed.world.get("/api/killfeed/clients/map").await.json()["offsets"].clone();
    assert_eq!(offsets, json!({"1": events[2], "2": two[0]}), "only the system of the event has moved");
    assert_eq!(feed.ids(query).await, two[1..]);
}

async fn two_clients_over_overlapping_systems_do_not_touch_one_another(place: Place) {
    let feed = Feed::open(place, KillfeedSettings::default()).await;
    let (one, other) = ("client_id=one&systems=1,2", "client_id=other&systems=2,3");
    assert_eq!((feed.ids(one).await, feed.ids(other).await), (vec![], vec![]));
    let events = feed.happen(&[1, 2, 3, 2, 4]).await;
    let of = |at: &[usize]| at.iter().map(|at| events[*at]).collect::<Vec<_>>();
    assert_eq!(feed.ids(one).await, of(&[0, 1, 3]));
    assert_eq!(feed.ids(&format!("{other}&limit=2")).await, of(&[1, 2]));
    assert_eq!(feed.ids(one).await, NONE);
    let more = feed.happen(&[2]).await;
    assert_eq!(feed.ids(other).await, [of(&[3]), more.clone()].concat());
    assert_eq!(feed.ids(one).await, more);
    assert_eq!(feed.ids("client_id=one&systems=3").await, NONE, "a new system begins now");
}

async fn what_every_client_has_passed_is_collected(place: Place) {
    let settings = KillfeedSettings {
        keep: Duration::from_secs(3600),
        collect_every: Duration::from_millis(20),
        ..KillfeedSettings::default()
    };
    let feed = Feed::open(place, settings).await;
    let (fast, slow) = ("client_id=fast&systems=1,2", "client_id=slow&systems=1");
    assert_eq!((feed.ids(fast).await, feed.ids(slow).await), (vec![], vec![]));
    let events = feed.happen(&[1, 2, 1, 3, 1, 2]).await;
    assert_eq!(feed.ids(fast).await.len(), 5);
    assert_eq!(feed.next(slow).await, Some(events[0]));
    let made = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
    let through = events[3];
    feed.execute(format!("UPDATE killmail_events SET created_at = '{made:.3}' WHERE event_id <= {through}")).await;
    feed.wait_for_log(&[events[2], events[4], events[5]]).await;
    assert_eq!(feed.next(slow).await, Some(events[2]), "the least offset held it");
    feed.wait_for_log(&events[4..]).await;
    assert_eq!(feed.ids(slow).await, events[4..5]);
    let metrics = feed.world.get("/metrics").await.body;
    for name in ["collected_total{reason=\"passed\"}", "events", "clients", "lag_events", "polls_total{route=\"poll\""]
    {
        assert!(metrics.contains(&format!("broadside_killfeed_{name}")), "{name}");
    }
}

async fn explicit_commits_hand_out_until_they_are_made(place: Place) {
    let feed = Feed::open(place, KillfeedSettings::default()).await;
    let events = feed.happen(&[1, 2, 1]).await;
    let query = "client_id=map&systems=1,2&commit=explicit&from=earliest";
    for _ in 0..2 {
        let answer = feed.poll(&format!("{query}&limit=2")).await;
        assert_eq!((ids(&answer), &answer["more"]), (events[..2].to_vec(), &json!(true)));
        assert_eq!(feed.next(query).await, Some(events[0]));
    }
    let done = feed.commit(&json!({"client_id": "map", "offsets": {"1": events[0]}})).await;
    assert_eq!(done.json(), json!({"client_id": "map", "offsets": {"1": events[0]}}));
    assert_eq!(feed.ids(query).await, events[1..]);
    let done = feed.commit(&json!({"client_id": "map", "offsets": {"1": 0, "2": events[1], "9": 1}})).await;
    assert_eq!(done.json()["offsets"], json!({"1": events[0], "2": events[1], "9": 1}), "none goes back");
    assert_eq!(feed.ids(query).await, events[2..]);
    for (body, says) in [
        (json!({"client_id": "map", "offsets": {"1": events[2] + 1}}), "offsets: "),
        (json!({"client_id": "map", "offsets": {"1": -1}}), "offsets"),
        (json!({"client_id": "map", "offsets": {"Jita": 1}}), "offsets"),
        (json!({"client_id": "map", "offsets": {}}), "offsets"),
        (json!({"client_id": "map"}), "offsets"),
        (json!({"client_id": "a b", "offsets": {"1": 1}}), "client_id"),
        (json!({"client": "map", "offsets": {"1": 1}}), "client"),
    ] {
        let answer = feed.commit(&body).await;
        assert_eq!(answer.status, 400, "{body}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(says), "{body}: {message}");
    }
    assert_eq!(feed.ids(query).await, events[2..]);
}

async fn where_a_client_begins_is_its_own_choice(place: Place) {
    let feed = Feed::open(place, KillfeedSettings::default()).await;
    let events = feed.happen(&[1, 2, 1, 2]).await;
    assert_eq!(feed.ids("client_id=now&systems=1,2").await, NONE);
    assert_eq!(feed.ids("client_id=now&systems=1,2&from=earliest").await, NONE, "it has begun");
    assert_eq!(feed.ids("client_id=all&systems=1,2&from=earliest").await, events);
    assert_eq!(feed.ids(&format!("client_id=some&systems=1,2&from={}", events[1])).await, events[2..]);
    assert_eq!(feed.next(&format!("client_id=one&systems=2&from={}", events[0])).await, Some(events[1]));
    let beyond = feed.world.get(&format!("/api/killfeed?client_id=x&systems=1&from={}", events[3] + 1)).await;
    assert_eq!((beyond.status, beyond.json()["error"]["code"].as_str()), (400, Some("bad_request")));
    assert!(beyond.body.contains("from: "), "{}", beyond.body);
}

async fn what_was_collected_against_a_clients_wish_is_told(place: Place) {
    let settings =
        KillfeedSettings { count_max: 2, collect_every: Duration::from_millis(20), ..KillfeedSettings::default() };
    let feed = Feed::open(place, settings).await;
    assert_eq!(feed.ids("client_id=map&systems=1").await, NONE);
    assert_eq!(feed.ids("client_id=other&systems=1").await, NONE);
    let events = feed.happen(&[1, 1, 1, 1]).await;
    feed.wait_for_log(&events[2..]).await;
    let answer = feed.poll("client_id=map&systems=1").await;
    assert_eq!((ids(&answer), &answer["gap"]), (events[2..].to_vec(), &json!({"oldest": events[2]})));
    assert_eq!(feed.poll("client_id=map&systems=1").await, json!({"events": [], "more": false}));
    let next = feed.world.get("/api/killfeed/next?client_id=other&systems=1").await;
    assert_eq!((whole(&next.json()), next.header("x-killfeed-gap")), (events[2], Some(&*events[2].to_string())));
}

async fn clients_are_listed_shown_and_forgotten(place: Place) {
    let feed = Feed::open(place, KillfeedSettings::default()).await;
    for name in ["a", "b", "c"] {
        assert_eq!(feed.ids(&format!("client_id={name}&systems=1,2")).await, NONE);
    }
    let events = feed.happen(&[1, 2, 3]).await;
    assert_eq!(feed.ids("client_id=b&systems=1").await, events[..1]);
    let listed = feed.world.get("/api/killfeed/clients").await.json();
    let lags: Vec<_> = listed["clients"].as_array().unwrap().iter().map(|c| (&c["client_id"], &c["lag"])).collect();
    let (a, b, c) = (json!("a"), json!("b"), json!("c"));
    assert_eq!(lags, [(&a, &json!(2)), (&b, &json!(1)), (&c, &json!(2))]);
    assert_eq!(listed["clients"][1]["systems"], 2);
    assert_eq!(listed["clients"][1]["greatest_offset"], events[0]);
    assert!(listed["clients"][1]["seen_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let first = feed.world.get("/api/killfeed/clients?limit=2").await.json();
    assert_eq!((&first["more"], &first["next"]), (&json!(true), &b));
    let second = feed.world.get("/api/killfeed/clients?limit=2&after=b").await.json();
    assert_eq!(
        (&second["clients"][0]["client_id"], &second["more"], &second["next"]),
        (&c, &json!(false), &json!(null))
    );
    assert_eq!(feed.world.get("/api/killfeed/clients?page=2").await.status, 400);

    let delete = async |path: &str| request(feed.world.address, "DELETE", path, &[]).await;
    assert_eq!(delete("/api/killfeed/clients/b").await.json(), json!({"client_id": "b"}));
    assert_eq!(delete("/api/killfeed/clients/b").await.status, 404);
    assert_eq!(feed.world.get("/api/killfeed/clients/b").await.status, 404);
    assert_eq!(delete("/api/killfeed/clients/b%20c").await.status, 400);
    assert_eq!(feed.ids("client_id=b&systems=1").await, NONE, "it begins anew");
}

#[tokio::test]
async fn what_a_poll_lacks_or_has_too_much_of_is_named() {
    let world = World::new().await;
    let many = (1..=1001).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    for (query, says) in [
        ("systems=1".to_owned(), "client_id"),
        ("client_id=map".to_owned(), "systems"),
        ("client_id=map&systems=".to_owned(), "systems"),
        (format!("client_id=map&systems={many}"), "at most 1000 systems"),
        ("client_id=map&systems=1&limit=0".to_owned(), "limit"),
        ("client_id=map&systems=1&comit=explicit".to_owned(), "comit"),
    ] {
        let answer = world.get(&format!("/api/killfeed?{query}")).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["error"]["code"]), (400, &json!("bad_request")), "{query}");
        assert!(body["error"]["message"].as_str().unwrap().contains(says), "{query}: {body}");
    }
    for (method, path) in [
        ("HEAD", "/api/killfeed?client_id=map&systems=1"),
        ("HEAD", "/api/killfeed/next?client_id=map&systems=1"),
        ("POST", "/api/killfeed"),
        ("GET", "/api/killfeed/commit"),
    ] {
        assert_eq!(request(world.address, method, path, &[]).await.status, 405, "{method} {path}");
    }
    assert_eq!(world.get("/api/killfeed/clients").await.json()["clients"], json!([]), "nobody has begun");
    world.store.set_away(true);
    assert_eq!(world.get("/api/killfeed?client_id=map&systems=1").await.status, 503);
}

#[tokio::test]
async fn who_may_change_nothing_may_not_poll_either() {
    let beyond = std::net::SocketAddr::from(([0, 0, 0, 0], 4010));
    let paths = [
        "/api/killfeed?client_id=map&systems=1",
        "/api/killfeed/next?client_id=map&systems=1",
        "/api/killfeed/clients",
        "/api/killfeed/clients/map",
    ];
    let ask = async |world: &World, path: &str, headers: &[(&str, &str)]| {
        request(world.address, "GET", path, headers).await.status
    };
    let world = World::with_access(beyond, None).await;
    for path in paths {
        assert_eq!(ask(&world, path, &[]).await, 403, "{path}");
    }
    let world = World::with_access(beyond, Some("secret")).await;
    for path in paths {
        assert_eq!(ask(&world, path, &[]).await, 401, "{path}");
    }
    let bearer = ("authorization", "Bearer secret");
    assert_eq!(ask(&world, paths[0], &[bearer]).await, 200);
    assert_eq!(ask(&world, paths[0], &[bearer, ("origin", "https://evil.example.com")]).await, 403);
    let world = World::new().await;
    assert_eq!(ask(&world, paths[0], &[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(ask(&world, paths[0], &[("host", "rebound.example.com")]).await, 403);
    assert_eq!(ask(&world, "/api/killfeed/clients/map", &[]).await, 404, "nobody has begun");
}
