//! `dlq export`: letters as NDJSON, whole.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use indicatif::HumanCount;
use jiff::Timestamp;

use super::chosen::Chosen;
use super::list::StateOrAll;
use super::{failed, unreadable};
use crate::dead_letter::Exported;
use crate::store::{DeadLetterFilter, Store};

/// Write letters out, one JSON object a line with all that is known and the payload (as text, or base64 where it is none): for another database, or a test.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside dlq export --group 0123456789abcdef > letters.ndjson
  broadside dlq export --all --state all --to letters.ndjson")]
pub struct Args {
    #[command(flatten)]
    pub chosen: Chosen,
    /// Only letters in this state; `all`: in any.
    #[arg(long, value_name = "STATE", default_value = "open")]
    pub state: StateOrAll,
    /// The file to write [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

/// Letters in memory at once.
const CHUNK: u32 = 100;

pub(super) async fn run(store: &dyn Store, args: &Args) -> anyhow::Result<ExitCode> {
    let filter = args.chosen.selection().filter(&args.state.states(), Timestamp::now()).map_err(unreadable)?;
    let mut filter = DeadLetterFilter { payload: true, limit: Some(CHUNK), ..filter };
    let database = store.database_identity().await.map_err(failed)?;
    let mut out: Box<dyn std::io::Write + Send> = match &args.to {
        Some(path) => {
            let file = std::fs::File::create(path).with_context(|| format!("failed to write {}", path.display()))?;
            Box::new(std::io::BufWriter::new(file))
        }
        None => Box::new(std::io::stdout()),
    };
    let mut count = 0;
    loop {
        let letters = store.dead_letters(&filter).await.map_err(failed)?;
        let Some(last) = letters.last() else { break };
        filter.after = last.id;
        count += letters.len();
        let mut lines = String::new();
        for letter in &letters {
            lines.push_str(&serde_json::to_string(&Exported::new(letter, &database))?);
            lines.push('\n');
        }
        out.write_all(lines.as_bytes()).context("failed to write the letters")?;
    }
    out.flush().context("failed to write the letters")?;
    eprintln!("broadside: exported {}", HumanCount(count as u64));
    Ok(if count < args.chosen.ids.len() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
