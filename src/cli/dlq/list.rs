//! `dlq list`: letters, one a line.

use std::process::ExitCode;

use clap::ValueEnum;
use jiff::Timestamp;

use super::chosen::Chosen;
use super::{failed, times, unreadable};
use crate::cli::columns::align;
use crate::cli::print;
use crate::cli::text::{clean, cut};
use crate::dead_letter::Letter;
use crate::store::{DeadLetter, DeadLetterFilter, DeadLetterState, Store};

/// List letters, oldest first: those that are open, unless told otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside dlq list --group 0123456789abcdef
  broadside dlq list --kill 97030352 --state all
  broadside dlq list --since 2h --json")]
pub struct Args {
    #[command(flatten)]
    pub chosen: Chosen,
    /// Only letters in this state; `all`: in any.
    #[arg(long, value_name = "STATE", default_value = "open")]
    pub state: StateOrAll,
    /// Only letters with a greater id.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    pub after: i64,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateOrAll {
    Open,
    Retrying,
    Replayed,
    Discarded,
    All,
}

impl StateOrAll {
    pub(super) fn states(self) -> Vec<DeadLetterState> {
        match self {
            Self::Open => vec![DeadLetterState::Open],
            Self::Retrying => vec![DeadLetterState::Retrying],
            Self::Replayed => vec![DeadLetterState::Replayed],
            Self::Discarded => vec![DeadLetterState::Discarded],
            Self::All => Vec::new(),
        }
    }
}

pub(super) async fn run(store: &dyn Store, args: &Args) -> anyhow::Result<ExitCode> {
    let filter = args.chosen.selection().any(&args.state.states(), Timestamp::now()).map_err(unreadable)?;
    let filter = DeadLetterFilter { after: args.after, limit: Some(args.limit.saturating_add(1)), ..filter };
    let mut letters = store.dead_letters(&filter).await.map_err(failed)?;
    let more = letters.len() > args.limit as usize;
    letters.truncate(args.limit as usize);
    if args.json {
        letters.iter().for_each(|letter| print(&serde_json::json!(Letter::from(letter)).to_string()));
    } else if letters.is_empty() {
        print("no dead letters");
    } else {
        print(&table(&letters));
        if let (true, Some(last)) = (more, letters.last()) {
            print(&format!("there are more: --after {}", last.id));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Columns of the whole table.
const WIDTH: usize = 118;
const STAGE_MAX: usize = 16;

fn table(letters: &[DeadLetter]) -> String {
    let mut rows = vec![["id", "state", "tries", "last failed", "stage", "class", "kill"].map(String::from)];
    for letter in letters {
        let inner = &letter.letter;
        rows.push([
            letter.id.to_string(),
            letter.state.as_str().to_owned(),
            letter.attempts.to_string(),
            times::minute(letter.last_failed_at),
            cut(&clean(&inner.stage, false), STAGE_MAX),
            clean(&inner.class, false),
            inner.killmail_id.map_or("-".to_owned(), |id| id.to_string()),
        ]);
    }
    let width: usize =
        (0..7).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0) + 2).sum();
    let room = WIDTH.saturating_sub(width).max(20);
    let errors = letters.iter().map(|letter| cut(&clean(&letter.letter.error, false), room));
    let errors = std::iter::once("error".to_owned()).chain(errors);
    let rows: Vec<[String; 8]> =
        rows.into_iter().zip(errors).map(|([a, b, c, d, e, f, g], error)| [a, b, c, d, e, f, g, error]).collect();
    align(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::text::width;
    use crate::store::NewDeadLetter;

    #[test]
    fn a_table_fits_whatever_letters_say_and_has_no_control_character() {
        let letter = NewDeadLetter {
            stage: "a stage with a very long name".to_owned(),
            class: "permanent".to_owned(),
            error: "\u{1b}[2J日本".repeat(99),
            killmail_id: crate::killmail::KillmailId::new(123_456_789),
            ..NewDeadLetter::default()
        };
        let letters = [DeadLetter { id: 1_234_567, attempts: 12, letter, ..DeadLetter::default() }];
        let table = table(&letters);
        assert!(table.lines().all(|line| width(line) <= 120), "{table}");
        assert!(!table.contains('\u{1b}'), "{table}");
    }
}
