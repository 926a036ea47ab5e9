//! `partitions`: the months that PostgreSQL's tables are cut into.
//!
//! On SQLite there is nothing to see or to make, which is no failure: the same CronJob serves either. Dropping is one: whoever counts on
//! old kills being gone must learn that they are not.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::Subcommand;
use indicatif::{BinaryBytes, HumanCount};
use serde_json::{Value, json};

use super::columns::align;
use super::opening::open_store;
use super::{Database, Usage, print, upkeep};
use crate::store::{Error, Month, Partition, Store};

/// The months that PostgreSQL's tables are cut into: see, make and drop them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside partitions list
  broadside partitions ensure --months 3
  broadside partitions drop --before 2024-01")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List months, oldest first, with the rows (as last estimated) and the size of each.
    #[command(after_help = "Example:
  broadside partitions list --json --database postgres://broadside@localhost/kills")]
    List(List),
    /// Make this month and those ahead. `run` does so too, every hour.
    #[command(after_help = "Example:
  broadside partitions ensure --months 3 --database postgres://broadside@localhost/kills")]
    Ensure(Ensure),
    /// Drop every month before the one named, with all that it holds.
    #[command(after_help = "Example:
  broadside partitions drop --before 2024-01 --database postgres://broadside@localhost/kills")]
    Drop(Drop),
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Ensure {
    /// How many months ahead of this one.
    #[arg(long, value_name = "N", default_value_t = upkeep::AHEAD, value_parser = clap::value_parser!(u16).range(..=120))]
    pub months: u16,
}

#[derive(Debug, clap::Args)]
pub struct Drop {
    /// The oldest month to keep.
    #[arg(long, value_name = "YYYY-MM")]
    pub before: Month,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// Does what the arguments say.
///
/// # Errors
/// The database cannot be opened or does not answer, or nobody is there to be asked.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.database.url.starts_with("sqlite:") {
        return Ok(without_partitions(&args.command));
    }
    let store = open_store(&args.database.url, false).await?;
    let done = match &args.command {
        Command::List(args) => list(&*store, args).await,
        Command::Ensure(args) => ensure(&*store, args).await,
        Command::Drop(args) => drop_before(&*store, args).await,
    };
    store.close().await;
    done
}

fn without_partitions(command: &Command) -> ExitCode {
    let said = "SQLite keeps all months in one file: only PostgreSQL's tables have partitions";
    match command {
        Command::List(List { json: false }) => print(said),
        Command::List(_) | Command::Ensure(_) => eprintln!("{said}"),
        Command::Drop(_) => {
            eprintln!("broadside: {said}: nothing was dropped");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn list(store: &dyn Store, args: &List) -> anyhow::Result<ExitCode> {
    let partitions = store.partitions().await.map_err(failed)?;
    if args.json {
        partitions.iter().for_each(|partition| print(&json(partition).to_string()));
    } else if partitions.is_empty() {
        print("no partitions yet: `broadside partitions ensure` makes this month's");
    } else {
        print(&format!("{}{}", table(&partitions), total(&partitions)));
    }
    Ok(ExitCode::SUCCESS)
}

async fn ensure(store: &dyn Store, args: &Ensure) -> anyhow::Result<ExitCode> {
    let (first, last) = upkeep::months(args.months);
    let made = store.ensure_partitions(first, last).await.map_err(failed)?;
    made.iter().for_each(|name| print(&format!("made {name}")));
    if made.is_empty() {
        print(&format!("{first} to {last}: all there"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn drop_before(store: &dyn Store, args: &Drop) -> anyhow::Result<ExitCode> {
    let mut doomed = store.partitions().await.map_err(failed)?;
    doomed.retain(|partition| partition.month < args.before);
    if doomed.is_empty() {
        print(&format!("there is nothing before {}", args.before));
    } else {
        print(&format!("{}{}", table(&doomed), total(&doomed)));
    }
    if !args.yes && !std::io::stdin().is_terminal() {
        return Err(Usage("nothing was dropped: add --yes when nobody is there to be asked".to_owned()).into());
    }
    if doomed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes && !is_sure()? {
        print("nothing was dropped");
        return Ok(ExitCode::FAILURE);
    }
    let dropped = store.drop_partitions(args.before).await.map_err(failed)?;
    print(&format!("dropped {}", total(&dropped)));
    Ok(ExitCode::SUCCESS)
}

fn is_sure() -> std::io::Result<bool> {
    eprint!("Drop all of this, for good? Type yes: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    tokio::task::block_in_place(|| std::io::stdin().lock().read_line(&mut answer))?;
    Ok(answer.trim() == "yes")
}

fn json(partition: &Partition) -> Value {
    let Partition { table, name, month, rows, bytes } = partition;
    json!({"table": table, "month": month.to_string(), "name": name, "rows": rows, "bytes": bytes})
}

fn table(partitions: &[Partition]) -> String {
    let mut rows = vec![["table", "month", "name", "rows", "size"].map(String::from)];
    rows.extend(partitions.iter().map(|partition| {
        let Partition { table, name, month, rows, bytes } = partition;
        let estimate = rows.map_or("-".to_owned(), |rows| format!("~{}", count(rows)));
        [table.clone(), month.to_string(), name.clone(), estimate, size(*bytes)]
    }));
    align(&rows)
}

/// `2 months, 8 partitions: about 81,000 rows, 1.20 GiB`.
fn total(partitions: &[Partition]) -> String {
    let mut months: Vec<Month> = partitions.iter().map(|partition| partition.month).collect();
    months.sort_unstable();
    months.dedup();
    let of = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let rows = partitions.iter().filter_map(|partition| partition.rows).sum();
    let unknown = partitions.iter().filter(|partition| partition.rows.is_none()).count();
    let rows = match unknown {
        0 => format!("about {} rows", count(rows)),
        all if all == partitions.len() => "rows not estimated yet".to_owned(),
        some => format!("about {} rows ({some} not estimated yet)", count(rows)),
    };
    let size = size(partitions.iter().map(|partition| partition.bytes).sum());
    format!("{}, {}: {rows}, {size}", of(months.len(), "month"), of(partitions.len(), "partition"))
}

fn count(rows: i64) -> HumanCount {
    HumanCount(rows.unsigned_abs())
}

fn size(bytes: i64) -> String {
    BinaryBytes(bytes.unsigned_abs()).to_string()
}

fn failed(error: Error) -> anyhow::Error {
    anyhow::anyhow!("failed to {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(table: &str, month: &str, rows: Option<i64>) -> Partition {
        let month = Month::parse(month).expect("a month");
        Partition { table: table.to_owned(), name: format!("{table}_{}", month.suffix()), month, rows, bytes: 8 << 20 }
    }

    #[test]
    fn a_total_counts_months_once_and_says_what_it_does_not_know() {
        let raw = partition("killmails_raw", "2021-11", Some(40_000));
        let enriched = partition("killmails_enriched", "2021-11", None);
        assert_eq!(total(std::slice::from_ref(&raw)), "1 month, 1 partition: about 40,000 rows, 8.00 MiB");
        let matches = std::slice::from_ref(&enriched);
        assert_eq!(total(matches), "1 month, 1 partition: rows not estimated yet, 8.00 MiB");
        assert_eq!(
            total(&[raw, enriched]),
            "1 month, 2 partitions: about 40,000 rows (1 not estimated yet), 16.00 MiB"
        );
    }

    #[test]
    fn a_month_is_one_line_for_people_and_one_object_for_programs() {
        let raw = partition("killmails_raw", "2021-11", Some(40_000));
        let text = table(std::slice::from_ref(&raw));
        assert!(text.contains("killmails_raw  2021-11  killmails_raw_2021_11  ~40,000  8.00 MiB\n"), "{text}");
        assert_eq!(
            json(&raw),
            json!({"table": "killmails_raw", "month": "2021-11", "name": "killmails_raw_2021_11", "rows": 40_000, "bytes": 8_388_608})
        );
    }
}
