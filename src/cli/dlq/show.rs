//! `dlq show`: all that is known of a letter. What is in it came from outside: no control character reaches the terminal.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};

use super::failed;
use crate::cli::print;
use crate::cli::text::{clean, cut};
use crate::dead_letter::{Letter, Whole};
use crate::store::{Attempt, DeadLetter, DeadLetterFilter, Store};

/// Characters of a payload that are shown unless all are asked for.
const PAYLOAD_MAX: usize = 4096;
/// Columns of an attempt.
const ATTEMPT_MAX: usize = 110;

/// What is said of a letter, in this order.
const FACTS: [&str; 25] = [
    "id",
    "state",
    "note",
    "pipeline",
    "group",
    "stage",
    "class",
    "error",
    "sqlstate",
    "http_status",
    "sinks_done",
    "killmail_id",
    "source",
    "position",
    "attempts",
    "first_failed_at",
    "last_failed_at",
    "retry_at",
    "held_until",
    "settled_at",
    "fingerprint",
    "definition_hash",
    "program_version",
    "payload_bytes",
    "is_edited",
];

/// Show one: its cause, its history, and its payload.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside dlq show 17
  broadside dlq show 17 --raw > payload.json")]
pub struct Args {
    /// The letter's id.
    #[arg(value_name = "ID")]
    pub id: i64,
    /// As a JSON object, with the payload as text.
    #[arg(long)]
    pub json: bool,
    /// The payload alone, byte for byte.
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    /// The payload as received, where it was edited.
    #[arg(long)]
    pub original: bool,
    /// The whole payload, not only its first 4 kB.
    #[arg(long)]
    pub full: bool,
}

pub(super) async fn run(store: &dyn Store, args: &Args) -> anyhow::Result<ExitCode> {
    let filter = DeadLetterFilter { ids: vec![args.id], payload: true, ..DeadLetterFilter::default() };
    let letters = store.dead_letters(&filter).await.map_err(failed)?;
    let Some(kept) = letters.first() else { bail!("there is no dead letter {}", args.id) };
    let payload = match &kept.original {
        Some(original) if args.original => original,
        _ => &kept.letter.payload,
    };
    if args.raw {
        raw(payload)?;
    } else if args.json {
        print(&json!(Whole::from(kept)).to_string());
    } else {
        print(&page(kept, payload, args.full));
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything about one letter.
fn page(kept: &DeadLetter, bytes: &[u8], full: bool) -> String {
    let mut text = String::new();
    let letter = json!(Letter::from(kept));
    for name in FACTS {
        let value = match &letter[name] {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Array(list) if list.is_empty() => "none".to_owned(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            value => value.to_string(),
        };
        let _ = writeln!(text, "{name:16} {}", clean(&value, false));
    }
    let _ = writeln!(text, "\nattempts");
    for attempt in &kept.history {
        let _ = writeln!(text, "  {}", cut(&clean(&line(attempt), false), ATTEMPT_MAX));
    }
    let left_out = kept.attempts - kept.history.len() as i64;
    if left_out > 0 {
        let _ = writeln!(text, "  ({left_out} after the first are not kept)");
    }
    let payload = payload(bytes);
    let shown: String = if full { payload.clone() } else { payload.chars().take(PAYLOAD_MAX).collect() };
    let _ = writeln!(text, "\n{shown}");
    if shown.len() < payload.len() {
        let _ = writeln!(
            text,
            "… {} more bytes: --full shows them, --raw gives the payload as it is",
            payload.len() - shown.len()
        );
    }
    text
}

fn line(attempt: &Attempt) -> String {
    let Attempt { at, stage, class, error, sqlstate, http_status, version, .. } = attempt;
    let status = sqlstate.clone().or(http_status.map(|status| status.to_string()));
    let said =
        [Some(stage.clone()), Some(class.clone()), status, version.as_ref().map(|version| format!("v{version}"))];
    format!("{at:.0}  {}: {error}", said.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// JSON is laid out; anything else stays as it is.
fn payload(bytes: &[u8]) -> String {
    let laid_out = serde_json::from_slice::<Value>(bytes).and_then(|value| serde_json::to_string_pretty(&value));
    let text = laid_out.unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned());
    clean(&text, true)
}

/// The bytes as they came.
fn raw(payload: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(payload)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_reaches_the_terminal() {
        assert_eq!(payload(b"\xff{\x07"), "\u{fffd}{\\u{7}");
    }

    #[test]
    fn a_page_leaves_out_nothing_that_is_known() {
        let Value::Object(fields) = json!(Letter::from(&DeadLetter::default())) else { panic!("an object") };
        let missing: Vec<_> = fields.keys().filter(|name| !FACTS.contains(&name.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_page_says_what_happened_at_each_attempt() {
        let attempt = |error: &str| Attempt {
            at: jiff::Timestamp::UNIX_EPOCH,
            group: "parse".to_owned(),
            stage: "decode".to_owned(),
            class: "invalid".to_owned(),
            error: error.to_owned(),
            sqlstate: None,
            http_status: Some(502),
            version: Some("0.1.0".to_owned()),
        };
        let history = vec![attempt("no kill"), attempt("\u{1b}[2J")];
        let page = page(&DeadLetter { attempts: 5, history, ..DeadLetter::default() }, b"{}", false);
        assert!(page.contains("  1970-01-01T00:00:00Z  decode invalid 502 v0.1.0: no kill\n"), "{page}");
        assert!(page.contains("(3 after the first are not kept)") && !page.contains('\u{1b}'), "{page}");
    }

    #[test]
    fn json_payloads_are_laid_out() {
        assert_eq!(payload(br#"{"a":[1]}"#), "{\n  \"a\": [\n    1\n  ]\n}");
    }
}
