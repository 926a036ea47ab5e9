//! Multi-row INSERTs of a few fixed sizes, so that each is prepared once and few are needed.
//!
//! Every statement is a trip to sqlx's thread for the connection and back, which costs as much as a dozen rows: a batch of
//! 100 kills has some 900 rows and takes about fifteen trips.

use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};

use crate::store::Error;

/// Rows a statement, greatest first. SQLite takes 32,766 parameters; the widest table has 27 columns.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// A row that can be bound.
pub(super) trait Row {
    /// Adds its values in the order of the columns.
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError>;
}

/// One INSERT in all sizes.
#[derive(Debug)]
pub(super) struct Insert {
    width: usize,
    statements: Vec<(usize, String)>,
}

impl Insert {
    /// `tail` comes after the values: `ON CONFLICT …`, `RETURNING …`.
    pub(super) fn new(table: &str, columns: &[&str], tail: &str) -> Self {
        let row = format!("({})", vec!["?"; columns.len()].join(","));
        let statement = |size: usize| {
            let rows = vec![row.as_str(); size].join(",");
            (size, format!("INSERT INTO {table} ({}) VALUES {rows} {tail}", columns.join(",")))
        };
        Self { width: columns.len(), statements: SIZES.into_iter().map(statement).collect() }
    }

    /// Statements and their values for these rows, in order.
    pub(super) fn prepare<R: Row>(&'static self, rows: &[R]) -> Result<Vec<Prepared>, Error> {
        let mut prepared = Vec::new();
        let mut rest = rows;
        for (size, sql) in &self.statements {
            while rest.len() >= *size {
                let (now, later) = rest.split_at(*size);
                prepared.push(Prepared { sql, arguments: self.arguments(now)? });
                rest = later;
            }
        }
        Ok(prepared)
    }

    fn arguments<R: Row>(&self, rows: &[R]) -> Result<SqliteArguments, Error> {
        let mut arguments = SqliteArguments::default();
        sqlx::Arguments::reserve(&mut arguments, rows.len() * self.width, 0);
        for row in rows {
            row.bind(&mut arguments).map_err(|error| Error::Permanent(format!("bind a row: {error}")))?;
        }
        Ok(arguments)
    }
}

/// A statement with its values.
#[derive(Debug)]
pub(super) struct Prepared {
    sql: &'static str,
    arguments: SqliteArguments,
}

/// Runs them one after the other; answers how many rows they wrote.
pub(super) async fn execute(connection: &mut SqliteConnection, prepared: Vec<Prepared>) -> Result<u64, Error> {
    let mut written = 0;
    for Prepared { sql, arguments } in prepared {
        written += sqlx::query_with(sql, arguments).execute(&mut *connection).await?.rows_affected();
    }
    Ok(written)
}

/// Runs them one after the other and collects what they return.
pub(super) async fn fetch(connection: &mut SqliteConnection, prepared: Vec<Prepared>) -> Result<Vec<SqliteRow>, Error> {
    let mut rows = Vec::new();
    for Prepared { sql, arguments } in prepared {
        rows.extend(sqlx::query_with(sql, arguments).fetch_all(&mut *connection).await?);
    }
    Ok(rows)
}
