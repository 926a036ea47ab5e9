//! Matching one kill against many profiles: `cargo bench --bench profiles [-- COUNT …]`, without counts 1k, 10k, 100k and 1M.
//!
//! The workload is `profile::workload`'s; the statistics by which keys are chosen come from other kills than those that are timed. A kill is handed over as a
//! `Subject`: taking its values out of the killmail is not in the times. "min3" is, for each kill, the least of three passes over all of them, which leaves out
//! what else the machine did; "raw" is the first pass. Beside the index: the interpreter over all filters, a plain inverted index, and crate a-tree up to 10k.
//!
//! It ends with 1 when match sets differ, or a machine-independent gate is broken: at most 2 entries scanned and a quarter of a filter evaluated for each match from
//! 10k profiles up, and no allocation while matching.

mod others;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use broadside::killmail::ProfileId;
use broadside::profile::index::{Index, Scratch, Speed, Statistics};
use broadside::profile::workload::Workload;
use broadside::profile::{Filter, Subject, interpret};
use broadside::surveillance::{self, Surveillance, Watched};

fn main() {
    let counts: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1_000, 10_000, 100_000, 1_000_000] } else { counts };
    let mut is_well = true;
    for count in counts {
        let mut run = Run::new(count);
        run.index();
        run.changes();
        run.in_use();
        run.others();
        is_well &= run.is_well;
    }
    if !is_well {
        println!("FAILED: see above");
        std::process::exit(1);
    }
}

/// One number of profiles.
struct Run {
    filters: Vec<Filter>,
    more: Vec<Filter>,
    kills: Vec<Subject<'static>>,
    index: Index,
    bytes: f64,
    built: Duration,
    is_well: bool,
}

impl Run {
    fn new(count: usize) -> Self {
        let mut workload = Workload::new(7);
        let statistics = Statistics::default();
        (0..20_000).for_each(|_| statistics.observe(&workload.kill()));
        let filters: Vec<Filter> = (0..count).map(|_| workload.filter()).collect();
        let more = (0..5_000).map(|_| workload.filter()).collect();
        let kills = (0..if count > 200_000 { 2_000 } else { 5_000 }).map(|_| workload.kill()).collect();
        let mut index = Index::new(Arc::new(statistics));
        let begun = Instant::now();
        let counted = allocation_counter::measure(|| {
            for (id, filter) in (0..).zip(&filters) {
                index.insert(id, filter).expect("it fits");
            }
        });
        let bytes = counted.bytes_current as f64 / count as f64;
        Self { filters, more, kills, index, bytes, built: begun.elapsed(), is_well: true }
    }

    fn count(&self) -> usize {
        self.filters.len()
    }

    fn check(&mut self, what: &str, is_so: bool) {
        if !is_so {
            println!("  BROKEN: {what}");
            self.is_well = false;
        }
    }

    /// The index alone.
    fn index(&mut self) {
        let count = self.count();
        let stats = self.index.stats();
        println!(
            "{count} profiles ({} different, {} broad): built in {:.0} ms, {:.2} µs each; {:.0} B a profile ({:.0} as it says)",
            stats.filters,
            stats.broad,
            millis(self.built),
            micros(self.built) / count as f64,
            self.bytes,
            stats.bytes as f64 / count as f64
        );
        for speed in [Speed::Scalar, Speed::Avx2, Speed::Avx512] {
            if !self.index.set_speed(speed) {
                println!("  {speed:?}: not with this processor");
                continue;
            }
            let (mut scratch, mut out) = (Scratch::default(), Vec::new());
            // Grown by the hardest kills, before it is timed.
            for kill in &self.kills {
                all(&self.index, kill, &mut scratch, &mut out);
            }
            (scratch.scanned, scratch.evaluated, scratch.direct) = (0, 0, 0);
            let allocated = allocation_counter::measure(|| {
                for kill in &self.kills {
                    all(&self.index, kill, &mut scratch, &mut out);
                }
            });
            let kills = self.kills.len() as f64;
            let [scanned, evaluated, direct] =
                [scratch.scanned, scratch.evaluated, scratch.direct].map(|count| count as f64 / kills);
            let times = measure(&self.kills, 3, |kill| all(&self.index, kill, &mut scratch, &mut out));
            times.print(&format!("index, {speed:?}"));
            println!(
                "    scanned {scanned:.1} ({:.2} a match), evaluated {evaluated:.1} ({:.3}), direct {direct:.1}; {} allocations",
                scanned / times.matches,
                evaluated / times.matches,
                allocated.count_total
            );
            self.check("no allocation while matching", allocated.count_total == 0);
            if count >= 10_000 {
                self.check("at most 2 entries scanned for each match", scanned / times.matches <= 2.0);
                self.check("at most 0.25 filters evaluated for each match", evaluated / times.matches <= 0.25);
            }
        }
    }

    /// Replacements between kills.
    fn changes(&mut self) {
        let (mut scratch, mut out) = (Scratch::default(), Vec::new());
        let (mut removed, mut inserted, mut matched) = (Vec::new(), Vec::new(), Vec::new());
        let count = self.count();
        for (turn, filter) in self.more.iter().enumerate() {
            let id = turn * 7_919 % count;
            let begun = Instant::now();
            self.index.remove(id as u32);
            removed.push(micros(begun.elapsed()));
            let begun = Instant::now();
            self.index.insert(id as u32, filter).expect("it fits");
            inserted.push(micros(begun.elapsed()));
            self.filters[id] = filter.clone();
            if turn % 5 == 4 {
                let begun = Instant::now();
                all(&self.index, &self.kills[turn / 5 % self.kills.len()], &mut scratch, &mut out);
                matched.push(micros(begun.elapsed()));
            }
        }
        println!("  5 replacements between kills: {}", summary("match", &mut matched));
        println!("    {}; {}", summary("insert", &mut inserted), summary("remove", &mut removed));
        // Of what is there now.
        let sample = (40_000_000 / count).clamp(10, 500);
        let mut differing = 0;
        for kill in self.kills.iter().take(sample) {
            all(&self.index, kill, &mut scratch, &mut out);
            out.sort_unstable();
            let holds = |id: &u32| interpret::holds(&self.filters[*id as usize].root, kill);
            differing += usize::from(!(0..count as u32).filter(holds).eq(out.iter().copied()));
        }
        println!("    {differing} of {sample} kills differ from the interpreter");
        self.check("the same matches as the interpreter", differing == 0);
    }

    /// As the worker has it: shards, locks, ids of profiles; two threads match while a third changes profiles.
    fn in_use(&mut self) {
        let surveillance = Surveillance::default();
        let watched = |id: usize, filter: &Filter| Watched {
            profile_id: ProfileId::new(1 + 37 * id as i64).expect("above 0"),
            name: "".into(),
            filter: filter.clone(),
            targets: [].into(),
        };
        let counted = allocation_counter::measure(|| {
            for (id, filter) in self.filters.iter().enumerate() {
                surveillance.put(vec![watched(id, filter)]);
            }
        });
        println!("  in use: {:.0} B a profile", counted.bytes_current as f64 / self.count() as f64);
        let (mut scratch, mut out) = (surveillance::Scratch::default(), Vec::new());
        let times = measure(&self.kills, 3, |kill| {
            out.clear();
            surveillance.matches(kill, &mut scratch, &mut out);
            out.len()
        });
        times.print("in use");
        for threads in 1..=2 {
            let (rate, _) = busy(&surveillance, &self.kills, threads, Duration::ZERO, |_| {
                std::thread::sleep(Duration::from_secs(1))
            });
            println!("    {threads} threads: {rate:.0} kills/s");
        }
        for pause in [Duration::ZERO, Duration::from_millis(1)] {
            self.replace(&surveillance, watched, pause);
        }
    }

    /// One after another, while a thread matches a kill after each pause.
    fn replace(&self, surveillance: &Surveillance, watched: impl Fn(usize, &Filter) -> Watched, pause: Duration) {
        let (mut put, mut removed) = (Vec::new(), Vec::new());
        let (rate, ()) = busy(surveillance, &self.kills, 1, pause, |begun| {
            for (id, filter) in self.more.iter().enumerate() {
                let new = watched(id * 7_919 % self.filters.len(), filter);
                let profile_id = new.profile_id;
                let begins = Instant::now();
                surveillance.remove(&[profile_id]);
                removed.push(micros(begins.elapsed()));
                let begins = Instant::now();
                surveillance.put(vec![new]);
                put.push(micros(begins.elapsed()));
                if begun.elapsed() > Duration::from_secs(5) {
                    break;
                }
                std::thread::sleep(pause / 10);
            }
        });
        let said = [summary("put", &mut put), summary("remove", &mut removed)].join("; ");
        println!("    while one thread matches {rate:.0} kills/s: {said}");
    }

    /// What else could be done.
    fn others(&mut self) {
        let count = self.count();
        let some: Vec<Subject<'static>> =
            self.kills.iter().take((20_000_000 / count).clamp(10, 2_000)).cloned().collect();
        let passes = if count > 20_000 { 1 } else { 3 };
        let filters = &self.filters;
        let times =
            measure(&some, passes, |kill| filters.iter().filter(|filter| interpret::holds(&filter.root, kill)).count());
        times.print("interpreter");
        let plain = others::Plain::new(filters);
        let mut out = Vec::new();
        let plain_times = measure(&some, passes, |kill| plain.matches(filters, kill, &mut out));
        plain_times.print("plain inverted index");
        let is_same = (plain_times.matches - times.matches).abs() < 1e-9;
        self.check("the plain index matches the same", is_same);
        if count > 10_000 {
            return;
        }
        let begun = Instant::now();
        let tree = others::Tree::new(&self.filters);
        let built = begun.elapsed();
        let tree_times = measure(&some, passes, |kill| tree.matches(kill));
        tree_times.print("crate a-tree");
        println!("    built in {:.0} ms", millis(built));
        // At 10k it lacked 0.013 of 54 matches a kill; why was not looked into, so a difference fails nothing.
        println!("    {:+.3} matches a kill besides the interpreter's", tree_times.matches - times.matches);
    }
}

fn all(index: &Index, kill: &Subject<'_>, scratch: &mut Scratch, out: &mut Vec<u32>) -> usize {
    out.clear();
    index.matches(kill, scratch, out);
    out.len()
}

/// Threads match as fast as they can while something else goes on: kills/s, and what that says.
fn busy<T>(
    surveillance: &Surveillance,
    kills: &[Subject<'_>],
    threads: usize,
    pause: Duration,
    other: impl FnOnce(Instant) -> T,
) -> (f64, T) {
    let (is_over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (is_over, done) = (&is_over, &done);
            scope.spawn(move || {
                let (mut scratch, mut out) = (surveillance::Scratch::default(), Vec::new());
                for kill in kills.iter().cycle().skip(thread * kills.len() / threads) {
                    out.clear();
                    surveillance.matches(kill, &mut scratch, &mut out);
                    done.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(pause);
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let begun = Instant::now();
        let said = other(begun);
        let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        (rate, said)
    })
}

/// Microseconds a kill, sorted.
struct Times {
    best: Vec<f64>,
    raw: Vec<f64>,
    matches: f64,
}

fn measure(kills: &[Subject<'static>], passes: usize, mut matching: impl FnMut(&Subject<'static>) -> usize) -> Times {
    let mut best = vec![f64::MAX; kills.len()];
    let (mut raw, mut matches) = (Vec::new(), 0);
    for pass in 0..passes {
        for (kill, best) in kills.iter().zip(&mut best) {
            let begun = Instant::now();
            let found = std::hint::black_box(matching(kill));
            let took = micros(begun.elapsed());
            *best = best.min(took);
            if pass == 0 {
                raw.push(took);
                matches += found;
            }
        }
    }
    best.sort_by(f64::total_cmp);
    raw.sort_by(f64::total_cmp);
    Times { best, raw, matches: matches as f64 / kills.len() as f64 }
}

impl Times {
    fn print(&self, what: &str) {
        let mean = self.best.iter().sum::<f64>() / self.best.len() as f64;
        println!(
            "  {what}: median {:.2} µs, p99 {:.1}, mean {mean:.2} (raw {:.2}, {:.1}); {:.1} matches, {:.1} ns each",
            part(&self.best, 0.5),
            part(&self.best, 0.99),
            part(&self.raw, 0.5),
            part(&self.raw, 0.99),
            self.matches,
            mean * 1e3 / self.matches
        );
    }
}

fn summary(what: &str, times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    format!("{what} median {:.2} µs, p99 {:.1}, mean {mean:.2}", part(times, 0.5), part(times, 0.99))
}

fn part(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
