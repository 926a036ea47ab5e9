//! How fast kills are read: `cargo bench --bench decode [-- FILE.ndjson.gz …]`; without files, of made-up kills.
//!
//! Prints, for each corpus: kills, bytes a kill, kills/s, MB/s, ns/kill; and sums to check against another reader.
//! Times are the least of several passes, block by block, so that a busy machine does not blur them.

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use broadside::killmail::sample::{Sample, Sampler};
use broadside::killmail::{Item, wire};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if files.is_empty() {
        generated();
    }
    for file in &files {
        let lines = read(file);
        measure(file, &lines);
        check(&lines);
    }
}

/// Made-up kills in each shape, and how fast they are made.
fn generated() {
    let now = jiff::Timestamp::UNIX_EPOCH;
    for (name, write) in [
        ("esi", Sample::esi_json as fn(&Sample) -> String),
        ("package", Sample::package_json),
        ("feed", Sample::feed_json),
    ] {
        let mut sampler = Sampler::new(1);
        let lines: Vec<Vec<u8>> = (0..10_000).map(|_| write(&sampler.next(now)).into_bytes()).collect();
        let start = Instant::now();
        (0..10_000).for_each(|_| drop(black_box(write(&sampler.next(now)))));
        println!("{name}: {:.0} made a second", 10_000.0 / start.elapsed().as_secs_f64());
        measure(name, &lines);
    }
}

fn read(file: &str) -> Vec<Vec<u8>> {
    let file = std::fs::File::open(file).expect("a readable file");
    let lines = BufReader::new(flate2::read::MultiGzDecoder::new(file)).split(b'\n');
    lines.map(|line| line.expect("gzip of lines")).collect()
}

fn measure(name: &str, lines: &[Vec<u8>]) {
    let bytes: usize = lines.iter().map(Vec::len).sum();
    let blocks: Vec<&[Vec<u8>]> = lines.chunks(256).collect();
    let mut best = vec![Duration::MAX; blocks.len()];
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        for (best, block) in best.iter_mut().zip(&blocks) {
            let start = Instant::now();
            for line in *block {
                let _ = black_box(wire::decode(black_box(line)));
            }
            *best = start.elapsed().min(*best);
        }
    }
    let best: Duration = best.iter().sum();
    let (count, seconds) = (lines.len() as f64, best.as_secs_f64());
    println!(
        "{name}: {count} kills of {:.0} B, {:.0} kills/s, {:.0} MB/s, {:.0} ns/kill",
        bytes as f64 / count,
        count / seconds,
        bytes as f64 / seconds / 1e6,
        seconds / count * 1e9
    );
}

fn check(lines: &[Vec<u8>]) {
    let (mut ids, mut attackers, mut damage, mut items, mut quantity) = (0, 0, 0, 0, 0);
    let (mut cents, mut systems, mut failed) = (0, 0, 0);
    fn count(list: &[Item], items: &mut usize, quantity: &mut i64) {
        for item in list {
            *items += 1;
            *quantity += item.quantity_destroyed.unwrap_or(0) + item.quantity_dropped.unwrap_or(0);
            count(&item.items, items, quantity);
        }
    }
    for line in lines {
        match wire::decode(line) {
            Ok(mail) => {
                ids += mail.killmail_id.get();
                attackers += mail.attackers.len();
                damage += mail.victim.damage_taken + mail.attackers.iter().map(|a| a.damage_done).sum::<i64>();
                systems += mail.solar_system_id.get() + mail.killmail_time.as_second();
                cents += mail.zkb.as_ref().and_then(|zkb| zkb.total_value).unwrap_or(0);
                count(&mail.victim.items, &mut items, &mut quantity);
            }
            Err(error) => {
                failed += 1;
                println!("  {error}");
            }
        }
    }
    println!(
        "  ids {ids} attackers {attackers} damage {damage} items {items} quantity {quantity} cents {cents} systems {systems} failed {failed}"
    );
}
