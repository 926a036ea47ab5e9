//! The command line: one file per command.
//!
//! | exit code | means |
//! |---|---|
//! | 0 | done, or drained |
//! | 1 | failed |
//! | 2 | bad arguments, or a bad definition |
//! | 3 | the drain deadline passed: messages were abandoned |
//! | 4 | a ledger did not balance |
//! | 130, 143 | a second signal ended the drain at once |
//!
//! Results go to standard output, logs and progress to standard error.

mod attendance;
pub mod backfill;
pub mod bench;
pub mod check;
mod columns;
mod completion;
pub mod completions;
pub mod demo;
pub mod dlq;
mod drawing;
mod ending;
pub mod explain;
mod fleet;
pub mod health;
mod killfeed;
mod letters;
pub mod man;
pub mod market;
pub mod migrate;
mod opening;
pub mod partitions;
mod pauses;
pub mod prices;
pub mod profiles;
mod progress;
mod reload;
mod rerun;
pub mod run;
pub mod schema;
pub mod sde;
mod signals;
pub mod simulate;
mod statics;
mod surveillance;
mod text;
pub mod top;
pub mod tune;
mod upkeep;
mod worker;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::definition::{Problem, Problems, environment};
use crate::settings::{self, Settings};
use crate::telemetry;

/// Stream-processing pipeline worker for EVE Online's killmails and market orders.
#[derive(Debug, Parser)]
#[command(name = "broadside", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  broadside demo                                   everything, on this machine alone
  WANDERER_URL=http://127.0.0.1:4004 broadside run the same against a real feed";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Demo(demo::Args),
    Check(check::Args),
    Schema(schema::Args),
    Backfill(backfill::Args),
    Bench(bench::Args),
    Simulate(simulate::Args),
    Dlq(dlq::Args),
    Explain(explain::Args),
    Top(top::Args),
    Tune(tune::Args),
    Market(market::Args),
    Prices(prices::Args),
    Profiles(profiles::Args),
    Migrate(migrate::Args),
    Partitions(partitions::Args),
    Sde(sde::Args),
    Health(health::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// `--database`, for commands that need one.
#[derive(Debug, Clone, Args)]
pub struct Database {
    /// The database: sqlite://FILE or postgres://USER:PASSWORD@HOST/NAME.
    // Global, so that it may stand behind the last word: `dlq list --database …`.
    #[arg(long = "database", global = true, value_name = "URL", env = "DATABASE_URL", hide_env_values = true, default_value = settings::DATABASE)]
    pub url: String,
}

/// The arguments are well-formed, but cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    match start(command) {
        Ok(code) => code,
        Err(error) => refuse(&error),
    }
}

fn start(command: Command) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(&environment::process).map_err(|error| Usage(format!("failed to {error}")))?;
    let filter = settings.log.as_deref().unwrap_or_else(|| default_filter(&command));
    telemetry::init_logs(filter, settings.log_format).map_err(|error| Usage(format!("failed to {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(dispatch(command, settings));
    // Whatever still hangs (a DNS look-up, say) must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

/// Commands that print figures of their own log only what is wrong.
fn default_filter(command: &Command) -> &'static str {
    match command {
        // What goes wrong with the database is said once, by whoever waits for it.
        Command::Run(_) | Command::Simulate(_) => "info,sqlx=error",
        _ => "warn,sqlx=error",
    }
}

async fn dispatch(command: Command, settings: Settings) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(args, settings).await,
        Command::Demo(args) => demo::run(args, settings).await,
        Command::Check(args) => check::run(args, settings).await,
        Command::Schema(args) => schema::run(&args),
        Command::Backfill(args) => backfill::run(args, settings).await,
        Command::Bench(args) => bench::run(args, settings).await,
        Command::Simulate(args) => simulate::run(args).await,
        Command::Explain(args) => explain::run(args, settings).await,
        Command::Top(args) => top::run(args, settings).await,
        Command::Tune(args) => tune::run(args, settings).await,
        Command::Dlq(args) => dlq::run(args, settings).await,
        Command::Market(args) => market::run(args, settings).await,
        Command::Prices(args) => prices::run(args, settings).await,
        Command::Profiles(args) => profiles::run(args, settings).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Partitions(args) => partitions::run(args).await,
        Command::Sde(args) => sde::run(args, settings).await,
        Command::Health(args) => health::run(args, settings).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// Says why nothing came of it. A bad argument or definition is the operator's to mend: 2.
fn refuse(error: &anyhow::Error) -> ExitCode {
    let operators = error.is::<Problems>() || error.is::<Problem>() || error.is::<Usage>();
    eprintln!("{}{error:#}", if error.is::<Problems>() || error.is::<Problem>() { "" } else { "broadside: " });
    ExitCode::from(if operators { 2 } else { 1 })
}

/// Prints results. A reader that has gone away (`| head`) is no failure.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_of_every_command_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains("broadside ") || command.has_subcommands(), "{}", command.get_name());
        }
    }
}
