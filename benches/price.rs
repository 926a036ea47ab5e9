//! What the price stage costs once prices are known: `cargo bench --bench price [-- FILE.ndjson.gz …]`; without files, of made-up kills.
//!
//! Kills come at 1,000 a second, one by one and in groups of 20, through the stage as a pipeline builds it, with every type's price on the board and no service that
//! could be asked. Prints the mean, p50, p99 and the longest time a kill.

use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::time::{Duration, Instant};

use broadside::appraisal::{Janice, Mutamarket};
use broadside::killmail::sample::Sampler;
use broadside::killmail::{Kill, wire};
use broadside::market::Cents;
use broadside::price::worth::needed;
use broadside::price::{Quote, Source};
use broadside::resources::Resources;
use broadside::stages::price::Config;
use broadside::statics::Statics;
use broadside::store::{Options, connect};
use broadside_engine::{Message, Stage};
use jiff::Timestamp;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Between two kills.
const APART: Duration = Duration::from_millis(1);
const KILLS: usize = 20_000;

#[tokio::main]
async fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let kills =
        if files.is_empty() { generated() } else { files.iter().flat_map(|file| read(file)).take(KILLS).collect() };
    let store = connect("sqlite::memory:", &Options::default()).await.expect("a database");
    store.migrate().await.expect("tables");
    let resources = Resources::new(store);
    for at_once in [1, 20] {
        know_all(&kills, &resources);
        measure(&kills, at_once, &resources).await;
    }
}

fn kill(text: Vec<u8>) -> Option<Kill> {
    let mut mail = wire::decode(&text).ok()?;
    // Of today, so that no day is looked up.
    mail.killmail_time = Timestamp::now();
    Some(Kill { mail: Some(Arc::new(mail)), ..Kill::new(text.into(), "bench", Timestamp::now(), true) })
}

fn generated() -> Vec<Kill> {
    let mut sampler = Sampler::new(1);
    (0..KILLS).filter_map(|_| kill(sampler.next(Timestamp::now()).esi_json().into_bytes())).collect()
}

fn read(file: &str) -> Vec<Kill> {
    let file = std::fs::File::open(file).expect("a readable file");
    let lines = BufReader::new(flate2::read::MultiGzDecoder::new(file)).split(b'\n');
    lines.filter_map(|line| kill(line.expect("gzip of lines"))).collect()
}

fn know_all(kills: &[Kill], resources: &Resources) {
    let statics = Statics::default();
    let types = kills.iter().filter_map(|kill| kill.mail.as_ref()).flat_map(|mail| needed(mail, &statics));
    let fetched_at = Timestamp::now();
    let quote = |type_id| Quote { type_id, source: Source::Janice, market: 2, price: Cents(12_345), fetched_at };
    resources.quotes.put(&types.map(quote).collect::<Vec<_>>());
}

async fn measure(kills: &[Kill], at_once: usize, resources: &Resources) {
    // Should anything be asked after all, it would show.
    let nowhere = "http://127.0.0.1:1".to_owned();
    let config = Config {
        janice: Janice { url: nowhere.clone(), key: "none".into(), ..Janice::default() },
        mutamarket: Mutamarket { url: nowhere, ..Mutamarket::default() },
        esi: String::new(),
        ..Config::default()
    };
    let stage = config.build("bench", resources);
    let mut times: Vec<Duration> = Vec::with_capacity(kills.len());
    let mut stacks = 0;
    let mut every = tokio::time::interval(APART * at_once as u32);
    for group in kills.chunks(at_once) {
        let mut messages: Vec<_> = group.iter().cloned().map(Message::new).collect();
        every.tick().await;
        let started = Instant::now();
        stage.process(&mut messages).await;
        let took = started.elapsed() / group.len() as u32;
        times.extend(messages.iter().map(|_| took));
        let priced = messages.iter().filter_map(|message| message.payload.worth.as_ref());
        assert_eq!(
            priced.filter(|worth| worth.source.starts_with("janice") && worth.total.is_some()).count(),
            group.len()
        );
        assert!(messages.iter().all(|message| !message.payload.refresh), "all is known");
        stacks += group.iter().filter_map(|kill| kill.mail.as_ref()).map(|mail| mail.victim.items.len()).sum::<usize>();
    }
    let mean = times.iter().sum::<Duration>() / times.len() as u32;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{} kills of {:.1} stacks, {at_once} at once: mean {mean:.1?}, p50 {:.1?}, p99 {:.1?}, longest {:.1?} a kill",
        times.len(),
        stacks as f64 / times.len() as f64,
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
