//! SQLite's result codes, sorted into transient, data and permanent.

use sqlx::error::DatabaseError;

use crate::store::Error;

/// Primary result codes (the low byte) after which the same call may succeed: busy, locked, out of memory, input/output (a full
/// or failing disk among them), disk full, cannot open (out of file handles), locking protocol.
const TRANSIENT: [i32; 7] = [5, 6, 7, 10, 13, 14, 15];

/// Result codes that speak of the data, by name.
const DATA: [(i32, &str); 10] = [
    (18, "SQLITE_TOOBIG"),
    (19, "SQLITE_CONSTRAINT"),
    (20, "SQLITE_MISMATCH"),
    (275, "SQLITE_CONSTRAINT_CHECK"),
    (787, "SQLITE_CONSTRAINT_FOREIGNKEY"),
    (1299, "SQLITE_CONSTRAINT_NOTNULL"),
    (1555, "SQLITE_CONSTRAINT_PRIMARYKEY"),
    (1811, "SQLITE_CONSTRAINT_TRIGGER"),
    (2067, "SQLITE_CONSTRAINT_UNIQUE"),
    (3091, "SQLITE_CONSTRAINT_DATATYPE"),
];

/// What SQLite's error means for whoever called.
pub(in crate::store) fn classify(error: &dyn DatabaseError) -> Error {
    let code: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    let message = error.message().to_owned();
    if TRANSIENT.contains(&(code & 0xff)) {
        return Error::Transient(message);
    }
    let name = |wanted: i32| DATA.iter().find(|(code, _)| *code == wanted).map(|(_, name)| *name);
    match name(code).or_else(|| name(code & 0xff)) {
        Some(name) => {
            let (column, constraint) = place(&message);
            Error::Data { message, sqlstate: Some(name.to_owned()), column, constraint, killmail_ids: Vec::new() }
        }
        None => Error::Permanent(message),
    }
}

/// Column and constraint, which SQLite names in its messages only.
fn place(message: &str) -> (Option<String>, Option<String>) {
    if let Some(name) = message.strip_prefix("CHECK constraint failed: ") {
        return (None, Some(name.to_owned()));
    }
    // "NOT NULL constraint failed: table.column", "cannot store TEXT value in INTEGER column table.column"
    let last = message.rsplit(' ').next().unwrap_or_default();
    (last.split_once('.').map(|(_, column)| column.to_owned()), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_its_column_or_constraint() {
        let both =
            |column: Option<&str>, constraint: Option<&str>| (column.map(Into::into), constraint.map(Into::into));
        assert_eq!(place("NOT NULL constraint failed: killmails_raw.source"), both(Some("source"), None));
        assert_eq!(place("cannot store TEXT value in INTEGER column a.npc"), both(Some("npc"), None));
        assert_eq!(place("CHECK constraint failed: state_known"), both(None, Some("state_known")));
        assert_eq!(place("string or blob too big"), both(None, None));
    }
}
