//! What is said of a letter that was sent again, or that was only tried.

use indicatif::HumanCount;
use serde_json::{Map, Value};

use super::replay::Args;
use crate::cli::text::clean;
use crate::dead_letter::{Outcome, Snapshot, Told};
use crate::store::RowChange;

/// Characters of a value that are shown.
const VALUE_MAX: usize = 60;

/// The line, or lines, of a letter; `None`: nothing need be said. Of a replay only what failed is told letter by letter.
pub(super) fn line(told: &Told, args: &Args) -> Option<String> {
    if args.json {
        return serde_json::to_string(told).ok();
    }
    if !args.dry_run && matches!(told.outcome, Outcome::Replayed | Outcome::PassedOver) {
        return None;
    }
    let what = match told.outcome {
        Outcome::Replayed => "replayed",
        Outcome::WouldSucceed => "would succeed",
        Outcome::SameFailure => "same failure",
        Outcome::NewFailure => "new failure",
        Outcome::PassedOver => "passed over",
    };
    let cause = match (&told.stage, &told.error) {
        (Some(stage), Some(error)) => format!("  {}: {}", clean(stage, false), clean(error, false)),
        _ => told.began_at.as_ref().map(|stage| format!("  from {}", clean(stage, false))).unwrap_or_default(),
    };
    let mut text = format!("{:>8}  {what:<13}{cause}", told.id);
    for row in told.rows.iter().flatten() {
        text.push('\n');
        text.push_str(&row_lines(row));
    }
    Some(text.trim_end().to_owned())
}

/// What became of all so far.
pub(super) fn sum(snapshot: &Snapshot) -> String {
    let Snapshot { plan, succeeded, same_failure, new_failure, passed_over, .. } = snapshot;
    let (succeeded, failed) = (HumanCount(*succeeded), HumanCount(same_failure + new_failure));
    let mut text = if plan.dry_run {
        format!(
            "would succeed {succeeded}; same failure {}; new failure {}",
            HumanCount(*same_failure),
            HumanCount(*new_failure)
        )
    } else {
        format!("replayed {succeeded}; failed again {failed}")
    };
    if *passed_over > 0 {
        text.push_str(&format!("; passed over {}", HumanCount(*passed_over)));
    }
    text
}

/// `+ table  column=value …` of a new row, `- …` of one that goes, `~ table  column: before → after` of one that changes.
fn row_lines(row: &RowChange) -> String {
    match (&row.before, &row.after) {
        (None, Some(after)) => format!("          + {}  {}", row.table, columns(after)),
        (Some(before), None) => format!("          - {}  {}", row.table, columns(before)),
        (Some(before), Some(after)) => format!("          ~ {}  {}", row.table, differences(before, after)),
        (None, None) => String::new(),
    }
}

fn columns(row: &Map<String, Value>) -> String {
    let known = row.iter().filter(|(_, value)| !value.is_null());
    known.map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(" ")
}

fn differences(before: &Map<String, Value>, after: &Map<String, Value>) -> String {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let differing = names.filter(|name| before.get(*name) != after.get(*name));
    let of = |row: &Map<String, Value>, name: &str| row.get(name).map_or_else(|| "nothing".to_owned(), shown);
    differing.map(|name| format!("{name}: {} → {}", of(before, name), of(after, name))).collect::<Vec<_>>().join(", ")
}

/// A value, bounded, and safe for a terminal.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => clean(text, false),
        value => value.to_string(),
    };
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(before: Value, after: Value) -> RowChange {
        let object = |value: Value| value.as_object().cloned();
        RowChange { table: "killmails_enriched".to_owned(), before: object(before), after: object(after) }
    }

    #[test]
    fn a_row_that_changes_tells_only_what_differs() {
        let text =
            row_lines(&row(json!({"id": 1, "total": 5, "npc": null}), json!({"id": 1, "total": 6, "npc": true})));
        assert_eq!(text.trim(), "~ killmails_enriched  npc: null → true, total: 5 → 6");
        assert_eq!(row_lines(&row(json!(null), json!({"id": 1, "x": null}))).trim(), "+ killmails_enriched  id=1");
        assert_eq!(row_lines(&row(json!({"id": 1}), json!(null))).trim(), "- killmails_enriched  id=1");
    }

    #[test]
    fn a_value_is_bounded_and_cannot_steer_the_terminal() {
        let text = shown(&json!(format!("\u{1b}[2J{}", "x".repeat(100))));
        assert!(!text.contains('\u{1b}') && text.chars().count() <= VALUE_MAX + 1, "{text}");
    }
}
