//! Why the store could not do it: transient, data, or permanent, decided here and nowhere else.

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
    },
    /// Neither: a wrong schema, a broken file.
    #[error("{0}")]
    Permanent(String),
}

impl Error {
    /// Refused for the value of one column, before any database saw it.
    pub(crate) fn column(column: &str, message: impl Into<String>) -> Self {
        Self::Data { message: message.into(), sqlstate: None, column: Some(column.to_owned()), constraint: None }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}
