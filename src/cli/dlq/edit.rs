//! `dlq edit`: an open letter's payload in an editor; the payload as received is kept.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::failed;
use crate::cli::print;
use crate::store::{DeadLetterFilter, DeadLetterState, Store};

/// Open a letter's payload in $VISUAL or $EDITOR, and keep what is saved in its place. The payload as received is kept, too.
///
/// A replay of the letter begins with the new bytes. JSON is laid out for the editor.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  EDITOR=nano broadside dlq edit 17")]
pub struct Args {
    /// The letter's id.
    #[arg(value_name = "ID")]
    pub id: i64,
}

/// When nobody says which.
const EDITOR: &str = "vi";

pub(super) async fn run(store: &dyn Store, args: &Args) -> anyhow::Result<ExitCode> {
    let id = args.id;
    let filter = DeadLetterFilter { ids: vec![id], payload: true, ..DeadLetterFilter::default() };
    let letters = store.dead_letters(&filter).await.map_err(failed)?;
    let Some(kept) = letters.first() else { bail!("there is no dead letter {id}") };
    ensure!(kept.state == DeadLetterState::Open, "letter {id} is {}: only open ones are edited", kept.state.as_str());
    let given = laid_out(&kept.letter.payload);
    let saved = tokio::task::spawn_blocking(move || edited(&given).map(|saved| (given, saved))).await;
    let (given, saved) = saved.context("failed to edit the payload")??;
    if trimmed(&saved) == trimmed(&given) {
        print("nothing was changed");
        return Ok(ExitCode::SUCCESS);
    }
    if is_json(&given) && !is_json(&saved) {
        eprintln!("broadside: the payload was JSON, and is none now");
    }
    let is_open = store.edit_dead_letter(id, trimmed(&saved)).await.map_err(failed)?;
    ensure!(is_open, "letter {id} is not open any more: nothing was kept");
    print(&format!("letter {id} was edited; replay it: broadside dlq replay --id {id}"));
    Ok(ExitCode::SUCCESS)
}

/// As it is put before people.
fn laid_out(payload: &[u8]) -> Vec<u8> {
    let laid_out = serde_json::from_slice::<Value>(payload).and_then(|value| serde_json::to_vec_pretty(&value));
    let mut text = laid_out.unwrap_or_else(|_| payload.to_vec());
    text.push(b'\n');
    text
}

/// Editors end a file with a new line.
fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_end()
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// What was saved. The file is for its owner alone, and goes when it was read.
fn edited(given: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut file = tempfile::Builder::new().prefix("dead-letter-").suffix(".json").tempfile()?;
    file.write_all(given)?;
    file.flush()?;
    let editor = ["VISUAL", "EDITOR"].into_iter().filter_map(|name| std::env::var(name).ok());
    let editor = editor.into_iter().find(|editor| !editor.trim().is_empty()).unwrap_or_else(|| EDITOR.to_owned());
    let status = command(&editor, file.path()).status().with_context(|| format!("failed to run {editor}"))?;
    ensure!(status.success(), "{editor} ended with {status}: nothing was kept");
    // Some editors put another file in its place.
    std::fs::read(file.path()).context("failed to read what was saved")
}

/// An editor may come with arguments: `code --wait`.
#[cfg(unix)]
fn command(editor: &str, path: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(path);
    command
}

#[cfg(not(unix))]
fn command(editor: &str, path: &Path) -> Command {
    let mut command = Command::new(editor);
    command.arg(path);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_anything_else_is_as_it_is() {
        assert_eq!(laid_out(b"{\"a\":1}"), b"{\n  \"a\": 1\n}\n");
        assert_eq!(laid_out(b"\xff{"), b"\xff{\n");
        assert_eq!(trimmed(b"x\n\n"), b"x");
    }
}
