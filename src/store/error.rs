//! Why the store could not do it: transient, data, or permanent, decided here and nowhere else.

use sqlx::postgres::PgDatabaseError;

use super::{postgres, sqlite};

/// Said of a pool that handed out no connection in time.
pub(super) const NO_CONNECTION: &str = "no connection became free in time";

/// Why the store could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store is away or busy: the same call may succeed later.
    #[error("{0}")]
    Transient(String),
    /// The data are refused.
    #[error("{message}")]
    Data {
        message: String,
        /// PostgreSQL's SQLSTATE; for SQLite the name of its result code, such as `SQLITE_CONSTRAINT_CHECK`.
        sqlstate: Option<String>,
        column: Option<String>,
        constraint: Option<String>,
        /// Those of a call's kills that are refused; none when it is not known which they are. There may be more.
        killmail_ids: Vec<i64>,
    },
    /// Neither: a wrong schema, a broken file.
    #[error("{0}")]
    Permanent(String),
}

impl Error {
    /// Refused for the value of one column, before any database saw it.
    pub(crate) fn column(column: &str, message: impl Into<String>, killmail_id: Option<i64>) -> Self {
        Self::Data {
            message: message.into(),
            sqlstate: None,
            column: Some(column.to_owned()),
            constraint: None,
            killmail_ids: Vec::from_iter(killmail_id),
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }

    /// The same, with what was being done in front. Of data errors the message stays as it is.
    pub(super) fn while_doing(self, what: &str) -> Self {
        match self {
            Self::Transient(why) => Self::Transient(format!("{what}: {why}")),
            Self::Permanent(why) => Self::Permanent(format!("{what}: {why}")),
            data @ Self::Data { .. } => data,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => postgres::classify(error),
                None => sqlite::classify(&*error),
            },
            sqlx::Error::Io(error) => Self::Transient(error.to_string()),
            // What is left of a conversation that was cut in the middle.
            sqlx::Error::Protocol(why) => Self::Transient(format!("the connection broke: {why}")),
            sqlx::Error::PoolTimedOut => Self::Transient(NO_CONNECTION.to_owned()),
            sqlx::Error::WorkerCrashed => Self::Transient("the connection broke".to_owned()),
            error => Self::Permanent(error.to_string()),
        }
    }
}
