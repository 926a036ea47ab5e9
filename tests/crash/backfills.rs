//! A backfill that dies, and is begun again until it gets to the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use broadside::killmail::sample::Sampler;
use broadside::killmail::wire;
use rand::RngExt;
use rand::rngs::StdRng;

use super::program::{World, figure, text};
use super::server::database;
use super::tables::{LOOKS, Tables};
use super::{drawing, until};

/// One comes within a commit's reach about every third time.
const DEATHS: usize = 8;

const PIPELINE: &str = "[source.generator]\n\
    [[processor]]\nname = \"parse\"\nconcurrency = 2\nstages = [\"decode\", \"deduplicate\"]\n\
    [[batcher]]\nname = \"db_insert\"\nbatch_size = 50\nconcurrency = 4\nsink.database = {}\n\
    [limits]\ndrain_deadline = \"5m\"\n";

/// A file of made-up kills over two months, and how many took part in each.
fn kills(count: usize, seed: u64) -> (String, BTreeMap<i64, i64>) {
    let (mut sampler, mut file, mut participants) = (Sampler::new(seed), String::new(), BTreeMap::new());
    for at in 0..count {
        let time = ["2026-01-31T23:59:58Z", "2026-02-01T00:00:00Z"][at % 7 / 4];
        let json = sampler.next(time.parse().expect("a time")).package_json();
        let mail = wire::decode(json.as_bytes()).expect("a kill");
        participants.insert(mail.killmail_id.get(), 1 + mail.attackers.len() as i64);
        writeln!(file, "{json}").expect("a string");
    }
    (file, participants)
}

async fn ends_with_every_kill_once(world: World, url: &str, count: usize, mut random: StdRng) {
    world.write("pipelines/kills.toml", PIPELINE);
    let (lines, expected) = kills(count, random.random());
    let file = world.write("kills.ndjson", &lines);
    let command = ["backfill", text(&file), "--database", url];
    let made = world.run(&["migrate", "--database", url]);
    assert_eq!(made.code, 0, "{}", made.err);

    let mut moments: Vec<_> = (0..DEATHS).map(|_| random.random_range(0..count as i64 * 2 / 3)).collect();
    moments.sort_unstable();
    let mut deaths = 0;
    for (death, moment) in moments.into_iter().enumerate() {
        let mut backfill = world.start(&command, &[]);
        let mut tables = Tables::open(url).await;
        until("so many are stored", async || tables.stored().await >= moment).await;
        tables.look(random.random_range(0..LOOKS)).await;
        drop(tables);
        deaths += usize::from(backfill.is_running());
        backfill.signal("KILL");
        backfill.wait();
        Tables::open(url).await.are_sound(&format!("after death {death}, {moment} stored")).await;
    }
    assert!(deaths > DEATHS / 2, "it mostly had something left to do: {deaths}");
    let done = world.run(&command);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(figure(&done.out, "dead letters"), 0, "{}", done.out);
    let mut tables = Tables::open(url).await;
    tables.are_sound("in the end").await;
    let ids: Vec<_> = expected.keys().copied().collect();
    assert_eq!(tables.ids("killmails_raw.killmail_id").await, ids);
    assert_eq!(tables.ids("killmails_enriched.killmail_id").await, ids);
    assert!(tables.participants().await == expected, "each kill has its victim and its attackers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_into_sqlite_that_is_killed_again_and_again_ends_with_every_kill_once() {
    let world = World::new();
    let url = format!("sqlite://{}", text(&world.path("kills.db")));
    ends_with_every_kill_once(world, &url, 5000, drawing()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_into_postgresql_that_is_killed_again_and_again_ends_with_every_kill_once() {
    let database = database().await;
    ends_with_every_kill_once(World::new(), database.url(), 5000, drawing()).await;
}
