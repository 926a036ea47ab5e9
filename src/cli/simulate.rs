//! `simulate`: the feed's stand-in by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::simulator::{Config, Simulator};

/// Serve made-up or recorded killmails as wanderer-kills, zKillboard's numbered files and ESI would, and the market orders of a few regions.
///
/// Publishing begins when the first client connects. Ends on SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  broadside simulate --rate 50\n  broadside simulate --input kills.ndjson.gz --restamp"
)]
pub struct Args {
    /// Address to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4004")]
    pub listen: SocketAddr,
    /// Kills a second.
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    pub rate: f64,
    /// NDJSON(.gz) files of killmails or zKillboard packages to publish, once through.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Give kills from files new ids and the present time.
    #[arg(long, requires = "input")]
    pub restamp: bool,
    /// The same seed gives the same kills.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Stop publishing after so many kills.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

/// Serves until interrupted.
///
/// # Errors
/// The address is taken, or an input cannot be read.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = Config {
        listen: args.listen,
        rate: args.rate,
        count: args.count,
        seed: args.seed,
        inputs: args.input,
        restamp: args.restamp,
        ..Config::default()
    };
    // Before listening: whoever sees the address may interrupt at once.
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("failed to listen for signals")?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
        .context("failed to listen for signals")?;
    let simulator = Simulator::start(config).await.map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    println!("feed at {}", simulator.url());
    println!("numbered files at {}, ESI at {}", simulator.zkillboard_url(), simulator.esi_url());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let counts = simulator.counts();
    simulator.stop().await;
    println!("published {}, delivered {} over {} connections", counts.published, counts.delivered, counts.connections);
    Ok(ExitCode::SUCCESS)
}
