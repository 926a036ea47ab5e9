//! A replay that dies, and is begun again until it gets to the end: by the command alone, and by a worker.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use broadside::killmail::sample::Sampler;
use broadside::killmail::wire;
use rand::RngExt;
use rand::rngs::StdRng;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::program::{World, text};
use super::server::database;
use super::tables::Tables;
use super::{drawing, until};

const KILLS: usize = 1500;
const DEATHS: usize = 3;

const PIPELINE: &str = "[source.generator]\n\
    [[processor]]\nname = \"parse\"\nconcurrency = 2\nstages = [\"decode\", \"deduplicate\", \"match\"]\n\
    [[batcher]]\nname = \"db_insert\"\nbatch_size = 20\nsink.database = {}\n\
    [[batcher]]\nname = \"pubsub\"\nafter = \"db_insert\"\nsink.pubsub = {}\n\
    [limits]\ndrain_deadline = \"5m\"\n";

async fn execute(url: &str, sql: &str) {
    if url.starts_with("postgres") {
        let mut connection = PgConnection::connect(url).await.expect("the server answers");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("executed");
        return;
    }
    let path = url.trim_start_matches("sqlite://");
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.expect("the file opens");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("executed");
}

/// A rule that refuses two of three kills, and what takes it away.
fn rule(url: &str) -> (&'static str, &'static str) {
    if url.starts_with("postgres") {
        let make = "ALTER TABLE killmails_enriched ADD CONSTRAINT rule CHECK (killmail_id % 3 = 0)";
        (make, "ALTER TABLE killmails_enriched DROP CONSTRAINT rule")
    } else {
        let make = "CREATE TRIGGER rule BEFORE INSERT ON killmails_enriched WHEN NEW.killmail_id % 3 <> 0
            BEGIN SELECT RAISE(ABORT, 'the rule'); END";
        (make, "DROP TRIGGER rule")
    }
}

/// Kills of which most become dead letters; answers the ids of all.
async fn letters(world: &World, url: &str, seed: u64) -> BTreeSet<i64> {
    let (mut sampler, mut file, mut ids) = (Sampler::new(seed), String::new(), BTreeSet::new());
    for _ in 0..KILLS {
        let json = sampler.next("2026-01-31T23:59:58Z".parse().expect("a time")).package_json();
        ids.insert(wire::decode(json.as_bytes()).expect("a kill").killmail_id.get());
        writeln!(file, "{json}").expect("a string");
    }
    world.write("pipelines/kills.toml", PIPELINE);
    let file = world.write("kills.ndjson", &file);
    let made = world.run(&["migrate", "--database", url]);
    assert_eq!(made.code, 0, "{}", made.err);
    execute(url, rule(url).0).await;
    let filled = world.run(&["backfill", text(&file), "--publish", "--database", url]);
    assert_eq!(filled.code, 0, "{}", filled.err);
    execute(url, rule(url).1).await;
    let mut tables = Tables::open(url).await;
    assert_eq!(tables.stored().await as usize + open(&mut tables).await as usize, KILLS);
    ids
}

async fn open(tables: &mut Tables) -> i64 {
    tables.numbers("SELECT count(*) FROM dead_letters WHERE state <> 'replayed'").await[0][0]
}

async fn ends_with_every_letter_once(world: World, url: &str, mut random: StdRng) {
    let ids = letters(&world, url, random.random()).await;
    let command = ["dlq", "replay", "--all", "--rate", "150/s", "--worker", "127.0.0.1:1", "--database", url];
    let mut deaths = 0;
    for _ in 0..DEATHS {
        let mut tables = Tables::open(url).await;
        let moment = tables.stored().await + random.random_range(40..150);
        let mut replay = world.start(&command, &[]);
        until("so many more are stored", async || tables.stored().await >= moment || !replay.is_running()).await;
        tables.look(random.random_range(0..20)).await;
        deaths += usize::from(replay.is_running());
        replay.signal("KILL");
        replay.wait();
    }
    assert_eq!(deaths, DEATHS, "it had something left to do");
    let done = world.run(&["dlq", "replay", "--all", "--worker", "127.0.0.1:1", "--database", url]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    let mut tables = Tables::open(url).await;
    assert_eq!(open(&mut tables).await, 0, "{}{}", done.out, done.err);
    assert_eq!(tables.numbers("SELECT max(attempts) FROM dead_letters").await[0][0], 1);
    execute(url, "DELETE FROM dead_letters").await;
    tables.are_sound("in the end").await;
    let ids: Vec<_> = ids.into_iter().collect();
    for of in ["killmails_raw.killmail_id", "killmails_enriched.killmail_id", "killmail_events.killmail_id"] {
        assert!(tables.ids(of).await == ids, "{of}: each once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_in_sqlite_that_is_killed_again_and_again_ends_with_every_letter_once() {
    let world = World::new();
    let url = format!("sqlite://{}", text(&world.path("kills.db")));
    ends_with_every_letter_once(world, &url, drawing()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_in_postgresql_that_is_killed_again_and_again_ends_with_every_letter_once() {
    let database = database().await;
    ends_with_every_letter_once(World::new(), database.url(), drawing()).await;
}
