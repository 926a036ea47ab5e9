//! What is left when the program dies: the real binary is killed while it works on a real database, or the database goes away under it.
//!
//! Moments are drawn. A failing test says its seed; `CRASH_SEED` draws the same again.

mod backfills;
mod feed;
mod gaps;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../cli/program.rs"]
mod program;
mod replays;
#[path = "../postgres/mod.rs"]
mod server;
mod tables;

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

/// What draws the moments. The seed is shown when the test fails.
fn drawing() -> StdRng {
    let given = std::env::var("CRASH_SEED").ok().map(|seed| seed.parse().expect("CRASH_SEED is a number"));
    let seed = given.unwrap_or_else(rand::random::<u64>);
    println!("CRASH_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(150);
    let mut ticks = tokio::time::interval(Duration::from_millis(3));
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        ticks.tick().await;
    }
}
