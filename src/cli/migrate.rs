//! `migrate`: brings the database's tables up to this build.

use std::process::ExitCode;

use super::{Database, print};
use crate::store::{self, Options};

/// Bring the database's tables up to date, or say what is missing.
///
/// `run` does the same when it starts, unless it is told not to (`--no-migrate`). Steps go forward only.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  broadside migrate --database sqlite://kills.db --check")]
pub struct Args {
    /// Change nothing: list the steps that are missing, and exit with 1 when there are any.
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub database: Database,
}

/// Migrates, or checks.
///
/// # Errors
/// The database cannot be opened or changed, or was made by a newer build.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let failed = |error: store::Error| anyhow::anyhow!("failed to {error}");
    let store = store::connect(&args.database.url, &Options::default()).await.map_err(failed)?;
    let steps = if args.check { store.pending_migrations().await } else { store.migrate().await };
    store.close().await;
    let steps = steps.map_err(failed)?;
    for step in &steps {
        print(&format!("{} {step}", if args.check { "missing" } else { "applied" }));
    }
    if steps.is_empty() {
        print("up to date");
    }
    Ok(if args.check && !steps.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
