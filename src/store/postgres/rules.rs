//! The rules of the tables of kills: which one a row broke, and how to find the other rows of its call that break it too.
//!
//! PostgreSQL names one row at most. A rule that can be asked of all rows at once spares the batch its halving.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::error::{postgres, table_of_kills};

/// The rule that a row broke.
#[derive(Debug)]
pub(super) struct Broken {
    /// Of the tables of kills.
    pub(super) table: &'static str,
    /// The table that has the rule, by schema and name: that of a month, which may have rules of its own.
    schema: String,
    month: String,
    rule: Rule,
    /// Its name, or that of its column.
    name: String,
}

/// A rule that can be asked of rows before they are written.
#[derive(Debug, Clone, Copy)]
enum Rule {
    NotNull,
    Check,
    Foreign,
    Unique,
}

/// The rule that was broken, if it is of those.
pub(super) fn broken(error: &sqlx::Error) -> Option<Broken> {
    let error = postgres(error)?;
    let (rule, name) = match error.code() {
        "23502" => (Rule::NotNull, error.column()?),
        "23503" => (Rule::Foreign, error.constraint()?),
        "23505" => (Rule::Unique, error.constraint()?),
        "23514" => (Rule::Check, error.constraint()?),
        _ => return None,
    };
    let (schema, month) = (error.schema()?.to_owned(), error.table()?.to_owned());
    Some(Broken { table: table_of_kills(error)?, schema, month, rule, name: name.to_owned() })
}

impl Broken {
    /// The condition under which a row breaks it, of rows that are called as their table is. `None` for rules that cannot be asked.
    pub(super) async fn condition(&self, connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
        let query = sqlx::query_scalar(AssertSqlSafe(look_up(self.rule)));
        query.bind(&self.schema).bind(&self.month).bind(&self.name).bind(self.table).fetch_optional(connection).await
    }
}

/// Makes that condition from the catalog: $1 and $2 name the table that has the rule, $3 the rule or its column, $4 the rows. What a month
/// asks, it asks of its own rows alone.
fn look_up(rule: Rule) -> String {
    let (condition, rules) = match rule {
        Rule::NotNull => ("format('%I IS NULL', $3::text)".to_owned(), ""),
        Rule::Check => ("format('NOT (%s)', pg_get_expr(conbin, conrelid))".to_owned(), CHECK),
        // A row without a value in one of the columns refers to nothing.
        Rule::Foreign => {
            let (own, there) = (names("$4", "conkey", "conrelid"), names("'there'", "confkey", "confrelid"));
            let text = "(%1$s) IS NOT NULL AND NOT EXISTS (SELECT FROM %2$s there WHERE (%3$s) = (%1$s))";
            (format!("format('{text}', {own}, confrelid::regclass, {there})"), FOREIGN)
        }
        // Of two rows of one call it is not said which is one too many: the first may be refused for something else.
        Rule::Unique => {
            let (own, there) = (names("$4", KEY, "indrelid"), names("'there'", KEY, "indrelid"));
            let text =
                "EXISTS (SELECT FROM %1$s there WHERE (%2$s) = (%3$s) AND there.killmail_id <> %4$I.killmail_id)";
            (format!("format('{text}', indrelid::regclass, {there}, {own}, $4::text)"), UNIQUE)
        }
    };
    format!(
        "SELECT concat_ws(' AND ', pg_get_partition_constraintdef(held.id), {condition})
         FROM (SELECT to_regclass(quote_ident($1) || '.' || quote_ident($2))::oid AS id) held {rules}"
    )
}

const CHECK: &str = "JOIN pg_constraint ON conrelid = held.id AND contype = 'c' AND conname = $3";
/// Not to tables that are partitioned, as ours are: what a call stores in one is not there any more when it is asked.
const FOREIGN: &str =
    "JOIN pg_constraint ON conrelid = held.id AND contype = 'f' AND confmatchtype = 's' AND conname = $3
    AND pg_partition_root(confrelid) IS NULL";
/// Of columns, and of all rows.
const UNIQUE: &str = "JOIN pg_index ON indrelid = held.id AND indexprs IS NULL AND indpred IS NULL
    JOIN pg_class named ON named.oid = indexrelid AND named.relname = $3";
/// Without what an index only carries along.
const KEY: &str = "(indkey::int2[])[0:indnkeyatts - 1]";

/// `rows.one, rows.other`, of the columns with these numbers.
fn names(rows: &str, numbers: &str, table: &str) -> String {
    format!(
        "(SELECT string_agg(format('%I.%I', {rows}::text, attname), ', ' ORDER BY place)
         FROM unnest({numbers}) WITH ORDINALITY AS key (number, place) JOIN pg_attribute ON attrelid = {table} AND attnum = number)"
    )
}
