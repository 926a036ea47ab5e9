//! `health`: whether a worker is ready, for whatever looks after it and has no HTTP client.

use std::process::ExitCode;

use super::market::url;
use super::text::clean;
use super::{Usage, print};
use crate::clients::address;
use crate::clients::worker::Worker;
use crate::settings::Settings;

/// Ask a running worker whether it is ready: ends with 0 when it is, and else with 1 and says why.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside health
  broadside health --live --worker http://127.0.0.1:4010")]
pub struct Args {
    /// The running worker: its address, or its URL [default: http://127.0.0.1:4010].
    #[arg(long, value_name = "URL", env = "BROADSIDE_LISTEN")]
    pub worker: Option<String>,
    /// Only whether it lives: it does also while it waits for its database.
    #[arg(long)]
    pub live: bool,
    /// What the worker answers, as an object.
    #[arg(long)]
    pub json: bool,
}

/// Asks once.
///
/// # Errors
/// Nothing answers there, or something else than a worker.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let url = url(args.worker.as_deref());
    let worker = Worker::new(&url, settings.contact.as_deref(), None);
    let worker = worker.map_err(|error| Usage(format!("failed to {error}")))?;
    let (well, answer) = worker.health(args.live).await.map_err(|error| {
        anyhow::anyhow!("no worker at {}: failed to {}", address::shown(&url), clean(&error.to_string(), false))
    })?;
    let word = if args.live { "alive" } else { "ready" };
    if args.json {
        print(&answer.to_string());
    } else {
        let verdict = if well { word.to_owned() } else { format!("not {word}") };
        let reasons =
            ["not_ready", "details"].into_iter().flat_map(|list| answer[list].as_array().into_iter().flatten());
        let reasons = reasons.map(|reason| format!("{}: {}", said(&reason["what"]), said(&reason["why"])));
        print(&std::iter::once(verdict).chain(reasons).collect::<Vec<_>>().join("\n"));
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn said(value: &serde_json::Value) -> String {
    clean(value.as_str().unwrap_or("?"), false)
}
