//! The production engine on a paused clock in a world drawn from one seed, watched by checkers.
//!
//! ```text
//! cargo sim                       the seeds that every test run tries
//! cargo sim -- --seed 42          one seed again; --verbose tells what happened and when
//! cargo sim -- --seeds 20000      many seeds
//! ```
#![allow(clippy::unwrap_used, missing_debug_implementations)]

mod components;
mod driver;
mod watch;
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Trials, so that a runner can spread them, and seeds in each.
const TRIALS: u64 = 16;
const SEEDS_PER_TRIAL: u64 = 16;

fn main() -> ExitCode {
    silence_told_panics();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let verbose = arguments.iter().any(|argument| argument == "--verbose");
    if let Some(seed) = number_after(&arguments, "--seed") {
        return code(run_seeds(seed..seed + 1, verbose, true));
    }
    if let Some(seeds) = number_after(&arguments, "--seeds") {
        return code(run_seeds(0..seeds, verbose, true));
    }
    let trials = (0..TRIALS).map(|n| {
        let seeds = n * SEEDS_PER_TRIAL..(n + 1) * SEEDS_PER_TRIAL;
        Trial::test(format!("seeds_{:03}_to_{:03}", seeds.start, seeds.end - 1), move || {
            run_seeds(seeds, false, false).map_err(Into::into)
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn number_after(arguments: &[String], flag: &str) -> Option<u64> {
    let at = arguments.iter().position(|argument| argument == flag)?;
    Some(arguments.get(at + 1).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{flag} takes a number")))
}

fn code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => {
            eprintln!("{faults}");
            ExitCode::FAILURE
        }
    }
}

/// Runs each seed; the first one twice, to see that a seed means one course of events.
fn run_seeds(seeds: std::ops::Range<u64>, verbose: bool, summary: bool) -> Result<(), String> {
    let (mut failed, mut messages, mut ran) = (Vec::new(), 0, 0);
    for seed in seeds.clone() {
        let course = driver::simulate(seed, verbose);
        let mut faults = course.faults;
        messages += course.delivered;
        ran += 1;
        if seed == seeds.start && driver::simulate(seed, false).hash != course.hash {
            faults.push("the same seed took another course".to_owned());
        }
        if !faults.is_empty() {
            faults.truncate(8);
            failed.push(format!("seed {seed}: {}\n  repeat: cargo sim -- --seed {seed}", faults.join("\n  ")));
        }
        if failed.len() >= 10 {
            break;
        }
    }
    if summary {
        println!("{ran} seeds, {messages} messages handed out, {} seeds failed", failed.len());
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// The world panics on purpose; only other panics are worth a line.
fn silence_told_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_none_or(|text| text != world::TOLD) {
            usual(panic);
        }
    }));
}
