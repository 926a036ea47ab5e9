//! `dlq import`: letters of an export, into this database.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use indicatif::HumanCount;

use super::failed;
use crate::cli::{Usage, print};
use crate::dead_letter::imported;
use crate::store::Store;

/// Take letters of an export in, as open ones; those that are here already are passed over. A line that cannot be read ends it: what came before it is kept.
///
/// A letter of another database goes through the whole pipeline when it is replayed here, to every sink; one of this database only to those that lack it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside dlq import letters.ndjson
  broadside dlq export --id 17 | broadside dlq import --database sqlite://test.db")]
pub struct Args {
    /// The file to read; `-`: standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub from: PathBuf,
}

/// Letters in memory at once.
const CHUNK: usize = 100;

pub(super) async fn run(store: &dyn Store, args: &Args) -> anyhow::Result<ExitCode> {
    let database = store.database_identity().await.map_err(failed)?;
    let input: Box<dyn BufRead + Send> = if args.from.as_os_str() == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let name = args.from.display();
        Box::new(BufReader::new(std::fs::File::open(&args.from).with_context(|| format!("failed to read {name}"))?))
    };
    let (mut taken, mut here) = (0, 0);
    let mut letters = Vec::with_capacity(CHUNK);
    let mut wrong = None;
    let mut lines = input.lines().enumerate();
    loop {
        let line = lines.next();
        let is_last = line.is_none();
        if let Some((number, line)) = line {
            let line = line.context("failed to read the letters")?;
            match imported(&line, &database) {
                _ if line.trim().is_empty() => {}
                Ok(letter) => letters.push(letter),
                Err(why) => wrong = Some(format!("line {} is no letter: {why}", number + 1)),
            }
        }
        if letters.len() == CHUNK || is_last || wrong.is_some() {
            let ids = store.import_dead_letters(&letters).await.map_err(failed)?;
            taken += ids.iter().flatten().count();
            here += ids.iter().filter(|id| id.is_none()).count();
            letters.clear();
        }
        if is_last || wrong.is_some() {
            break;
        }
    }
    print(&format!("imported {}; {} were here already", HumanCount(taken as u64), HumanCount(here as u64)));
    wrong.map_or(Ok(ExitCode::SUCCESS), |wrong| Err(Usage(wrong).into()))
}
