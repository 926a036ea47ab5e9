//! Dead letters as people and programs read them. What is in them came from outside: no control character reaches the terminal.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};

use crate::cli::columns::align;
use crate::cli::text::{clean, cut};
use crate::store::DeadLetter;

/// Characters of a payload that are shown unless all are asked for.
const PAYLOAD_MAX: usize = 4096;
/// Characters of an error in the table.
const ERROR_MAX: usize = 80;

/// The fields by the names that programs rely on.
pub(super) fn json(letter: &DeadLetter) -> Value {
    let DeadLetter { id, state, attempts, first_failed_at, last_failed_at, note, payload_bytes, letter, .. } = letter;
    json!({
        "id": id,
        "pipeline": letter.pipeline,
        "source": letter.source,
        "state": state.as_str(),
        "group": letter.group,
        "stage": letter.stage,
        "sinks_done": letter.sinks_done,
        "class": letter.class,
        "error": letter.error,
        "sqlstate": letter.sqlstate,
        "http_status": letter.http_status,
        "killmail_id": letter.killmail_id,
        "attempts": attempts,
        "first_failed_at": first_failed_at,
        "last_failed_at": last_failed_at,
        "note": note,
        "payload_bytes": payload_bytes,
    })
}

/// With the payload as text; bytes that are no text are replaced (`--raw` has them).
pub(super) fn json_with_payload(letter: &DeadLetter) -> Value {
    let mut value = json(letter);
    value["payload"] = String::from_utf8_lossy(&letter.letter.payload).into();
    value
}

/// One line a letter, aligned.
pub(super) fn table(letters: &[DeadLetter]) -> String {
    let mut rows =
        vec![["id", "state", "tries", "last failed", "group/stage", "class", "killmail", "error"].map(String::from)];
    for letter in letters {
        let inner = &letter.letter;
        rows.push([
            letter.id.to_string(),
            letter.state.as_str().to_owned(),
            letter.attempts.to_string(),
            format!("{:.0}", letter.last_failed_at),
            clean(&format!("{}/{}", inner.group, inner.stage), false),
            inner.class.clone(),
            inner.killmail_id.map_or("-".to_owned(), |id| id.to_string()),
            cut(&clean(&inner.error, false), ERROR_MAX),
        ]);
    }
    align(&rows)
}

/// Everything about one letter.
pub(super) fn page(letter: &DeadLetter, full: bool) -> String {
    let mut text = String::new();
    if let Value::Object(fields) = json(letter) {
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(text, "{name:16} {}", clean(&value, false));
        }
    }
    let payload = payload(&letter.letter.payload);
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

/// JSON is laid out; anything else stays as it is.
fn payload(bytes: &[u8]) -> String {
    let laid_out = serde_json::from_slice::<Value>(bytes).and_then(|value| serde_json::to_string_pretty(&value));
    let text = laid_out.unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned());
    clean(&text, true)
}

/// The bytes as they came.
pub(super) fn raw(payload: &[u8]) -> std::io::Result<()> {
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
    fn json_payloads_are_laid_out() {
        assert_eq!(payload(br#"{"a":[1]}"#), "{\n  \"a\": [\n    1\n  ]\n}");
    }
}
