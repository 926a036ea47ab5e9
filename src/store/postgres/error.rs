//! PostgreSQL's SQLSTATEs, sorted into transient, data and permanent.
//! (PostgreSQL's documentation, appendix A, lists them; the first two characters are the class.)

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

use crate::store::Error;

/// Classes after which the same call may succeed: connection, transaction rollback (serialization, deadlock), insufficient resources (disk
/// full, too many connections), operator intervention (shutdown, timeout), system error (input/output). And two that a start refuses
/// ([`at_start`]), but that hold a running worker, because nothing is lost by waiting for an operator: authorization (a password that was changed)
/// and no such database (one that is being restored).
const TRANSIENT_CLASSES: [&str; 7] = ["08", "28", "3D", "40", "53", "57", "58"];

/// Read-only (a standby after a failover), a transaction ended for being idle, a lock not had in time, an object in use.
const TRANSIENT: [&str; 4] = ["25006", "25P03", "55P03", "55006"];

/// Classes that speak of the data: data exception, constraint violation, program limit (a value too large for an index), and what
/// a trigger raises.
const DATA_CLASSES: [&str; 4] = ["22", "23", "54", "P0"];

/// The tables whose first column is a kill's id; those of a month begin with the same name.
const KILLS: [&str; 3] = ["killmails_raw", "killmails_enriched", "killmail_participants"];

/// What PostgreSQL's error means for whoever called.
pub(in crate::store) fn classify(error: &PgDatabaseError) -> Error {
    let code = error.code();
    let class = code.get(..2).unwrap_or_default();
    let message = format!("{} (SQLSTATE {code})", error.message());
    if TRANSIENT_CLASSES.contains(&class) || TRANSIENT.contains(&code) {
        return Error::Transient(message);
    }
    if !DATA_CLASSES.contains(&class) {
        return Error::Permanent(message);
    }
    let known = |value: Option<&str>| value.map(str::to_owned);
    let order = error.detail().filter(|_| error.table() == Some("market_orders")).and_then(first_column);
    Error::Data {
        message: order.map_or(message.clone(), |id| format!("{message}, the order {id}")),
        sqlstate: Some(code.to_owned()),
        column: known(error.column()),
        constraint: known(error.constraint()),
        killmail_ids: error
            .detail()
            .filter(|_| table_of_kills(error).is_some())
            .and_then(first_column)
            .into_iter()
            .collect(),
    }
}

/// The first column of the row that is refused, which is the id in the tables of kills and of orders. A violated check or a missing value is explained
/// with "Failing row contains (96953365, …).", in the server's language.
fn first_column(detail: &str) -> Option<i64> {
    let (_, row) = detail.split_once('(')?;
    row.split([',', ')']).next()?.parse().ok()
}

/// Which of the tables of kills it is about.
pub(super) fn table_of_kills(error: &PgDatabaseError) -> Option<&'static str> {
    KILLS.into_iter().find(|name| error.table().is_some_and(|table| table.starts_with(name)))
}

/// Whether a row found no partition for its month: the same SQLSTATE as a violated check, but no constraint has a name.
pub(super) fn lacks_partition(error: &sqlx::Error) -> bool {
    let Some(error) = postgres(error) else { return false };
    error.code() == "23514" && DatabaseError::constraint(error).is_none() && error.message().starts_with("no partition")
}

/// Whether a row's key is there already.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    postgres(error).is_some_and(|error| error.code() == "23505")
}

/// Opening for the first time: a wrong password, name or database is for an operator to mend, and waiting would hide it.
pub(super) fn at_start(error: sqlx::Error) -> Error {
    let code = postgres(&error).map(|error| error.code().to_owned()).unwrap_or_default();
    match Error::from(error) {
        Error::Transient(why) if code.starts_with("28") || code.starts_with("3D") => Error::Permanent(why),
        error => error,
    }
}

pub(super) fn postgres(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_row_names_its_id_in_any_language() {
        assert_eq!(first_column("Failing row contains (96953365, 2021-11-27 00:00:00+00, f)."), Some(96_953_365));
        assert_eq!(first_column("Fehlgeschlagene Zeile enthält (7, null)."), Some(7));
        assert_eq!(first_column("Key (killmail_id)=(7) already exists."), None);
        assert_eq!(first_column("the moon is full"), None);
    }
}
