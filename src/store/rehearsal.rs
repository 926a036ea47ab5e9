//! What storing a kill would change, found out by storing it in a transaction that is undone.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Change;

/// What storing a kill would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsed {
    /// As storing it would answer, without an event: none is made.
    pub change: Change,
    /// The rows that would be written, in the order of the tables; payloads by their length alone.
    pub rows: Vec<RowChange>,
}

/// A row before and after. Columns that stay as they are, are in both.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct RowChange {
    pub table: String,
    /// `None`: it is not there.
    pub before: Option<Map<String, Value>>,
    /// `None`: it is deleted.
    pub after: Option<Map<String, Value>>,
}

impl RowChange {
    /// A row that is not there yet.
    #[must_use]
    pub fn new(table: &str, row: Value) -> Self {
        let after = match row {
            Value::Object(row) => row,
            _ => Map::new(),
        };
        Self { table: table.to_owned(), before: None, after: Some(after) }
    }

    /// What a message says under [`REHEARSED`] once these are added to what it says already.
    #[must_use]
    pub fn noted(known: Option<&str>, rows: &[Self]) -> String {
        let mut all: Vec<Value> = known.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        all.extend(rows.iter().filter_map(|row| serde_json::to_value(row).ok()));
        Value::from(all).to_string()
    }
}

/// Metadata key of a message that was rehearsed: the rows that it would change, a JSON array of [`RowChange`].
pub const REHEARSED: &str = "rehearsed";

/// The tables that storing a kill writes, each with the columns beside the kill's id by which a row is known.
pub(super) const TABLES: [(&str, &[&str]); 6] = [
    ("killmails_raw", &[]),
    ("killmails_enriched", &[]),
    ("killmail_participants", &["position"]),
    ("profile_matches", &["profile_id"]),
    ("refreshes", &[]),
    ("alerts", &["alert_id"]),
];

/// All rows of one kill in one table, as JSON objects.
pub(super) type Rows = Vec<Map<String, Value>>;

/// From the texts of a database.
pub(super) fn objects(texts: Vec<String>) -> Rows {
    texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
}

/// The rows that differ. `before` and `after`: by table, as in [`TABLES`].
pub(super) fn changes(before: Vec<Rows>, after: Vec<Rows>) -> Vec<RowChange> {
    let mut found = Vec::new();
    for (((table, key), before), after) in TABLES.into_iter().zip(before).zip(after) {
        let known = |row: &Map<String, Value>| key.iter().map(|name| sortable(row.get(*name))).collect::<Vec<_>>();
        let mut pairs: BTreeMap<_, (Option<_>, Option<_>)> = BTreeMap::new();
        for row in before {
            let key = known(&row);
            pairs.entry(key).or_default().0 = Some(row);
        }
        for row in after {
            let key = known(&row);
            pairs.entry(key).or_default().1 = Some(row);
        }
        let differing = pairs.into_values().filter(|(before, after)| before != after);
        found.extend(differing.map(|(before, after)| RowChange { table: table.to_owned(), before, after }));
    }
    found
}

/// Keys are whole numbers.
fn sortable(value: Option<&Value>) -> i64 {
    value.and_then(Value::as_i64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(values: Value) -> Rows {
        values.as_array().into_iter().flatten().filter_map(|row| row.as_object().cloned()).collect()
    }

    #[test]
    fn rows_are_known_by_their_keys_and_those_that_stay_are_left_out() {
        let nothing = || vec![Rows::new(); 6];
        let (mut before, mut after) = (nothing(), nothing());
        before[2] = rows(json!([{"position": 0, "x": 1}, {"position": 1, "x": 1}, {"position": 2, "x": 1}]));
        after[2] = rows(json!([{"position": 10, "x": 1}, {"position": 1, "x": 2}, {"position": 0, "x": 1}]));
        let found = changes(before, after);
        let told: Vec<_> = found
            .iter()
            .map(|row| (row.before.as_ref().map(|b| b["x"].clone()), row.after.as_ref().map(|a| a["x"].clone())))
            .collect();
        assert_eq!(told, [(Some(json!(1)), Some(json!(2))), (Some(json!(1)), None), (None, Some(json!(1)))]);
        assert!(found.iter().all(|row| row.table == "killmail_participants"));
        assert_eq!(changes(nothing(), nothing()), []);
    }
}
