//! `dlq`: dead letters, listed, shown, grouped, replayed, discarded, edited, and carried elsewhere.

mod chosen;
mod discard;
mod edit;
mod export;
mod groups;
mod import;
mod list;
mod replay;
mod show;
mod stats;
mod times;
mod told;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;

use super::opening::open_store;
use super::{Database, Usage};
use crate::dead_letter::Problem;
use crate::settings::Settings;
use crate::store::{Error, Store};

/// Messages that failed: what and why, and what to do about them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside dlq groups
  broadside dlq list --stage decode
  broadside dlq show 17
  broadside dlq replay --stage db_insert
  broadside dlq discard --id 17 --reason \"not a killmail\"
  broadside dlq export --group 0123456789abcdef > letters.ndjson")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// The running worker, for a replay: its address, or its URL [default: http://127.0.0.1:4010].
    #[arg(long, global = true, value_name = "URL", env = "BROADSIDE_LISTEN")]
    pub worker: Option<String>,
    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    List(list::Args),
    Groups(groups::Args),
    Show(show::Args),
    Replay(replay::Args),
    Discard(discard::Args),
    Edit(edit::Args),
    Export(export::Args),
    Import(import::Args),
    Stats(stats::Args),
}

/// Does what the arguments say.
///
/// # Errors
/// The database cannot be opened, there is no such letter, or a pipeline cannot be built.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let store = open_store(&args.database.url, true).await?;
    let done = match &args.command {
        Command::List(args) => list::run(&*store, args).await,
        Command::Groups(args) => groups::run(&*store, args).await,
        Command::Show(args) => show::run(&*store, args).await,
        Command::Replay(replay) => replay::run(&store, replay, args.worker.as_deref(), &settings).await,
        Command::Discard(args) => discard::run(&*store, args).await,
        Command::Edit(args) => edit::run(&*store, args).await,
        Command::Export(args) => export::run(&*store, args).await,
        Command::Import(args) => import::run(&*store, args).await,
        Command::Stats(args) => stats::run(&*store, args).await,
    };
    store.close().await;
    done
}

fn failed(error: Error) -> anyhow::Error {
    anyhow::anyhow!("failed to work on dead letters: {error}")
}

/// What was said of the letters cannot be followed.
fn unreadable(problem: Problem) -> anyhow::Error {
    let hint = match problem {
        Problem::Nothing => {
            "say which letters: --id, --group, --pipeline, --stage, --class, --kill, --since, --until or --all"
        }
        problem => return Usage(problem.to_string()).into(),
    };
    Usage(hint.to_owned()).into()
}

type SharedStore = Arc<dyn Store>;
