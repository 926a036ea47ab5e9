//! `sde`: static data, brought into the database and shown.

mod fetch;
mod import;
mod tags;

use std::process::ExitCode;

use clap::Subcommand;
use indicatif::HumanCount;
use serde_json::{Value, json};

use super::columns::align;
use super::opening::open_store;
use super::text::clean;
use super::{Database, print};
use crate::settings::Settings;
use crate::statics::KINDS;
use crate::store::{Error, Import, Store};

/// Static data: types, groups, slots, systems. Without them kills stay partial.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside sde import eve-online-static-data-latest-jsonl.zip
  BROADSIDE_CONTACT=you@example.org broadside sde import https://www.fuzzwork.co.uk/dump/latest/
  broadside sde status
  broadside sde tags kills.ndjson.gz")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put static data into the database, in the place of those that are there. A running worker goes on with the old ones until all of the new are
    /// there, and then takes those, without a restart; it also completes the kills that were stored without them.
    #[command(after_help = "Examples:
  broadside sde import eve-online-static-data-latest-jsonl.zip     the official zip
  broadside sde import dump/                                       a folder of Fuzzwork's tables: .csv, .csv.gz or .csv.bz2
  broadside sde import dump/invTypes.csv.bz2                       one of them, in the place of what an earlier import brought of it
  BROADSIDE_CONTACT=you@example.org broadside sde import https://developers.eveonline.com/static-data/eve-online-static-data-latest-jsonl.zip
  BROADSIDE_CONTACT=you@example.org broadside sde import https://www.fuzzwork.co.uk/dump/latest/")]
    Import(import::Args),
    /// Say what is in the database.
    #[command(after_help = "Example:
  broadside sde status --json --database sqlite://kills.db")]
    Status(Status),
    /// Print the rules by which kills are tagged, or what they make of given kills: one JSON object a line, the summary last.
    #[command(after_help = "Examples:
  broadside sde tags > tags.csv                                    the table: change it, and name it in a pipeline file: tag = { rules = \"tags.csv\" }
  broadside sde tags --ships                                       the table of ship classes
  broadside sde tags --rules tags.csv --summary kills.ndjson.gz    whether it has a rule or a reason for every group
  broadside sde tags --data dump/ kills.ndjson.gz                  with static data that are in no database yet")]
    Tags(tags::Tags),
}

#[derive(Debug, clap::Args)]
pub struct Status {
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Does what the arguments say.
///
/// # Errors
/// What is to be imported is broken or not there, or the database cannot be opened or does not answer.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Import(import) => import::run(import, &args.database, &settings).await,
        Command::Status(status) => {
            let store = open_store(&args.database.url, true).await?;
            let shown = show(&*store, status.json).await;
            store.close().await;
            shown.map(|()| ExitCode::SUCCESS)
        }
        Command::Tags(tags) => tags::run(tags, &args.database).await,
    }
}

async fn show(store: &dyn Store, as_json: bool) -> anyhow::Result<()> {
    let last = store.last_import().await.map_err(failed)?;
    let version = store.statics_version().await.map_err(failed)?;
    match last {
        Some(import) if as_json => print(&json(&import, version).to_string()),
        Some(import) => print(&text(&import, version)),
        None if as_json => print(&json!({"version": version}).to_string()),
        None => print("no static data: kills stay partial: `broadside sde import` brings them"),
    }
    Ok(())
}

fn json(import: &Import, version: i64) -> Value {
    let mut object = json!({
        "version": version,
        "source": import.source,
        "imported_at": import.imported_at.to_string(),
        "import_version": import.version,
        "types_from_esi": import.added[0],
        "systems_from_esi": import.added[1],
    });
    for (kind, count) in KINDS.iter().zip(import.counts) {
        object[*kind] = count.into();
    }
    object
}

fn text(import: &Import, version: i64) -> String {
    let mut rows = vec![
        ["version".to_owned(), version.to_string()],
        ["imported".to_owned(), format!("{:.0}", import.imported_at)],
        ["from".to_owned(), clean(&import.source, false)],
    ];
    rows.extend(KINDS.iter().zip(import.counts).map(|(kind, count)| [kind.replace('_', " "), number(count)]));
    let from_esi = format!("{} types, {} systems", number(import.added[0]), number(import.added[1]));
    rows.push(["from ESI since".to_owned(), from_esi]);
    align(&rows)
}

fn number(count: u64) -> String {
    HumanCount(count).to_string()
}

fn failed(error: Error) -> anyhow::Error {
    anyhow::anyhow!("failed to {error}")
}
