//! A call's rows as arrays, one a column, and the statements that store them.

use std::sync::LazyLock;

use jiff::Timestamp;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::{Arguments, AssertSqlSafe};

use super::rules::Broken;
use super::stamp;
use crate::killmail::{Kill, Killmail};
use crate::store::Error;
use crate::store::rows::{self, Enriched, Participant, Raw};

/// From the first moment of a call's first month to the end of its last: what the planner needs to leave all other months alone.
pub(super) type Span = (jiff_sqlx::Timestamp, jiff_sqlx::Timestamp);

/// Types of the arrays of [`rows::RAW`].
const RAW: [&str; 8] = ["bigint", "text", "timestamptz", "bigint", "text", "timestamptz", "bigint", "text"];

/// Of [`rows::ENRICHED`]. Money comes in cents, tags as an array's text (an array of arrays would need all of one length).
const ENRICHED: [&str; 27] = [
    "bigint",
    "timestamptz",
    "bigint",
    "bigint",
    "bigint",
    "double precision",
    "text",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "text",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "text",
    "text",
    "boolean",
    "boolean",
    "boolean",
    "bigint",
    "text",
    "text",
    "timestamptz",
];

/// Of [`rows::PARTICIPANT`].
const PARTICIPANT: [&str; 15] = [
    "bigint",
    "timestamptz",
    "bigint",
    "boolean",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "bigint",
    "boolean",
    "double precision",
    "double precision",
    "double precision",
];

/// Stores kills that are not there, and answers which. A kill that has the same id and another time is the same kill: the key cannot see
/// that, as it holds the time, so it is looked for in the months of the call. Only the key passes a row over: what else must be unique refuses it.
static STORE_NEW: LazyLock<String> = LazyLock::new(|| {
    let raw = insert("killmails_raw", 3);
    let enriched = insert("killmails_enriched", 3 + RAW.len());
    let participants = insert("killmail_participants", 3 + RAW.len() + ENRICHED.len());
    format!(
        "WITH new AS (
            {raw} WHERE NOT EXISTS (SELECT FROM killmails_raw old WHERE old.killmail_id = given.killmail_id
                AND old.killmail_time >= $1 AND old.killmail_time < $2)
            ORDER BY killmail_id ON CONFLICT (killmail_id, killmail_time) DO NOTHING RETURNING killmail_id),
        enriched AS ({enriched} WHERE killmail_id IN (SELECT killmail_id FROM new)),
        participants AS ({participants} WHERE killmail_id IN (SELECT killmail_id FROM new))
        SELECT killmail_id FROM new"
    )
});

/// Puts richer copies in the places of poorer ones. The raw row stays the same one, so that whoever waits for it finds what it has become.
static REPLACE: LazyLock<[String; 5]> = LazyLock::new(|| {
    let set: Vec<_> = rows::RAW[1..].iter().map(|column| format!("{column} = given.{column}")).collect();
    let delete = |table: &str| {
        format!("DELETE FROM {table} WHERE killmail_id = ANY ($3) AND killmail_time >= $1 AND killmail_time < $2")
    };
    [
        format!(
            "UPDATE killmails_raw old SET {} FROM {} WHERE old.killmail_id = given.killmail_id
             AND old.killmail_time >= $1 AND old.killmail_time < $2",
            set.join(", "),
            unnest(3, &rows::RAW, &RAW),
        ),
        delete("killmails_enriched"),
        delete("killmail_participants"),
        insert("killmails_enriched", 1),
        insert("killmail_participants", 1),
    ]
});

/// `unnest($3::bigint[], …) AS given (killmail_id, …)`, the parameters counted from `first`.
fn unnest(first: usize, columns: &[&str], types: &[&str]) -> String {
    let arrays: Vec<_> = types.iter().zip(first..).map(|(kind, number)| format!("${number}::{kind}[]")).collect();
    format!("unnest({}) AS given ({})", arrays.join(", "), columns.join(", "))
}

/// A table's columns, and the types of their arrays.
fn columns(table: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match table {
        "killmails_raw" => (&rows::RAW, &RAW),
        "killmails_enriched" => (&rows::ENRICHED, &ENRICHED),
        _ => (&rows::PARTICIPANT, &PARTICIPANT),
    }
}

/// `SELECT …` of rows as their table has them.
fn select(table: &str, first: usize) -> String {
    let (columns, types) = columns(table);
    let value = |column: &&str| match *column {
        // Of two decimals, as the product of an integer and a number of two decimals is.
        "total_value" | "destroyed_value" | "dropped_value" | "fitted_value" => format!("{column} * 0.01 AS {column}"),
        "module_tags" | "labels" => format!("{column}::text[] AS {column}"),
        column => column.to_owned(),
    };
    let values: Vec<_> = columns.iter().map(value).collect();
    format!("SELECT {} FROM {}", values.join(", "), unnest(first, columns, types))
}

fn insert(table: &str, first: usize) -> String {
    format!("INSERT INTO {table} ({}) {}", columns(table).0.join(", "), select(table, first))
}

/// The rows of some kills of a call.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    /// In the order of their ids.
    pub(super) raw: Vec<Raw<'a>>,
    pub(super) enriched: Vec<Enriched<'a>>,
    pub(super) participants: Vec<Participant>,
}

impl<'a> Rows<'a> {
    /// # Errors
    /// A payload is no text.
    pub(super) fn new(
        kills: &[&'a Kill],
        mails: &[&'a Killmail],
        wanted: &[usize],
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut raw = wanted.iter().map(|&at| rows::raw(kills[at], mails[at])).collect::<Result<Vec<_>, _>>()?;
        raw.sort_unstable_by_key(|raw| raw.killmail_id);
        let enriched = wanted.iter().map(|&at| rows::enriched(kills[at], mails[at], now)).collect();
        let participants = wanted.iter().flat_map(|&at| rows::participants(kills[at], mails[at])).collect();
        Ok(Self { raw, enriched, participants })
    }

    /// Everything that [`store_new`] takes, encoded.
    pub(super) fn arguments(&self, span: Span) -> Result<PgArguments, Error> {
        let mut arguments = PgArguments::default();
        let bound = arguments.add(span.0).and_then(|()| arguments.add(span.1));
        let bound =
            bound.and_then(|()| self.bind_raw(&mut arguments)).and_then(|()| self.bind_enriched(&mut arguments));
        bound.and_then(|()| self.bind_participants(&mut arguments)).map_err(binding)?;
        Ok(arguments)
    }

    /// Stores the kills in the places of the copies that are there.
    pub(super) async fn replace(&self, connection: &mut PgConnection, span: Span) -> Result<(), Error> {
        let [update, clear_enriched, clear_participants, enriched, participants] = &*REPLACE;
        let mut arguments = PgArguments::default();
        let bound = arguments.add(span.0).and_then(|()| arguments.add(span.1));
        bound.and_then(|()| self.bind_raw(&mut arguments)).map_err(binding)?;
        sqlx::query_with(update.as_str(), arguments).execute(&mut *connection).await?;
        let ids: Vec<i64> = self.raw.iter().map(|raw| raw.killmail_id).collect();
        for clear in [clear_enriched, clear_participants] {
            sqlx::query(clear.as_str()).bind(span.0).bind(span.1).bind(&ids).execute(&mut *connection).await?;
        }
        let mut arguments = PgArguments::default();
        self.bind_enriched(&mut arguments).map_err(binding)?;
        sqlx::query_with(enriched.as_str(), arguments).execute(&mut *connection).await?;
        let mut arguments = PgArguments::default();
        self.bind_participants(&mut arguments).map_err(binding)?;
        sqlx::query_with(participants.as_str(), arguments).execute(connection).await?;
        Ok(())
    }

    /// The kills whose rows break the rule: asked of all of them at once, as nothing is written for it. The rule is a text from the catalog,
    /// made by whoever made the table; one that cannot be asked like this (it calls a function that is not ours to call, say) names nobody.
    pub(super) async fn offenders(
        &self,
        connection: &mut PgConnection,
        broken: &Broken,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let condition = broken.condition(connection).await?;
        let Some(condition) = condition else { return Ok(Vec::new()) };
        let mut arguments = PgArguments::default();
        let bound = match broken.table {
            "killmails_raw" => self.bind_raw(&mut arguments),
            "killmails_enriched" => self.bind_enriched(&mut arguments),
            _ => self.bind_participants(&mut arguments),
        };
        bound.map_err(sqlx::Error::Encode)?;
        let rows = select(broken.table, 1);
        let sql = format!("SELECT DISTINCT killmail_id FROM ({rows}) AS {} WHERE {condition}", broken.table);
        let asked =
            sqlx::query_scalar_with(AssertSqlSafe(sql), arguments).persistent(false).fetch_all(connection).await;
        match asked {
            Err(sqlx::Error::Database(_)) => Ok(Vec::new()),
            answer => answer,
        }
    }

    fn bind_raw(&self, to: &mut PgArguments) -> Result<(), BoxDynError> {
        let rows = &self.raw;
        to.add(column(rows, |row| row.killmail_id))?;
        to.add(column(rows, |row| row.killmail_hash.as_deref()))?;
        to.add(column(rows, |row| stamp(row.killmail_time)))?;
        to.add(column(rows, |row| row.solar_system_id))?;
        to.add(column(rows, |row| row.source))?;
        to.add(column(rows, |row| stamp(row.received_at)))?;
        to.add(column(rows, |row| row.form))?;
        to.add(column(rows, |row| row.payload))
    }

    fn bind_enriched(&self, to: &mut PgArguments) -> Result<(), BoxDynError> {
        let rows = &self.enriched;
        to.add(column(rows, |row| row.killmail_id))?;
        to.add(column(rows, |row| stamp(row.killmail_time)))?;
        to.add(column(rows, |row| row.solar_system_id))?;
        to.add(column(rows, |row| row.constellation_id))?;
        to.add(column(rows, |row| row.region_id))?;
        to.add(column(rows, |row| row.security_status))?;
        to.add(column(rows, |row| row.system_class))?;
        to.add(column(rows, |row| row.victim_character_id))?;
        to.add(column(rows, |row| row.victim_corporation_id))?;
        to.add(column(rows, |row| row.victim_alliance_id))?;
        to.add(column(rows, |row| row.victim_faction_id))?;
        to.add(column(rows, |row| row.victim_ship_type_id))?;
        to.add(column(rows, |row| row.ship_class))?;
        to.add(column(rows, |row| row.attacker_count))?;
        to.add(column(rows, |row| row.total_value))?;
        to.add(column(rows, |row| row.destroyed_value))?;
        to.add(column(rows, |row| row.dropped_value))?;
        to.add(column(rows, |row| row.fitted_value))?;
        to.add(column(rows, |row| row.price_source))?;
        to.add(column(rows, |row| array_text(row.module_tags)))?;
        to.add(column(rows, |row| row.npc))?;
        to.add(column(rows, |row| row.solo))?;
        to.add(column(rows, |row| row.awox))?;
        to.add(column(rows, |row| row.points))?;
        to.add(column(rows, |row| row.labels.as_deref().map(array_text)))?;
        to.add(column(rows, |row| row.enrichment_status))?;
        to.add(column(rows, |row| stamp(row.enriched_at)))
    }

    fn bind_participants(&self, to: &mut PgArguments) -> Result<(), BoxDynError> {
        let rows = &self.participants;
        to.add(column(rows, |row| row.killmail_id))?;
        to.add(column(rows, |row| stamp(row.killmail_time)))?;
        to.add(column(rows, |row| row.position))?;
        to.add(column(rows, |row| row.is_victim))?;
        to.add(column(rows, |row| row.character_id))?;
        to.add(column(rows, |row| row.corporation_id))?;
        to.add(column(rows, |row| row.alliance_id))?;
        to.add(column(rows, |row| row.faction_id))?;
        to.add(column(rows, |row| row.ship_type_id))?;
        to.add(column(rows, |row| row.weapon_type_id))?;
        to.add(column(rows, |row| row.damage_done))?;
        to.add(column(rows, |row| row.final_blow))?;
        to.add(column(rows, |row| row.security_status))?;
        to.add(column(rows, |row| row.mass_balance))?;
        to.add(column(rows, |row| row.usefulness))
    }
}

/// Stores the kills that are not there; answers which. All the rows go in one statement: one trip to the server and back.
pub(super) async fn store_new(connection: &mut PgConnection, arguments: PgArguments) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar_with(STORE_NEW.as_str(), arguments).fetch_all(connection).await
}

fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn binding(error: BoxDynError) -> Error {
    Error::Permanent(format!("bind the rows of kills: {error}"))
}

/// An array of texts as PostgreSQL writes it: `{"T2","Shield Extender"}`.
fn array_text<S: AsRef<str>>(texts: &[S]) -> String {
    let mut array = String::with_capacity(2 + texts.iter().map(|text| text.as_ref().len() + 3).sum::<usize>());
    array.push('{');
    for (place, text) in texts.iter().enumerate() {
        array.push_str(if place == 0 { "\"" } else { ",\"" });
        for letter in text.as_ref().chars() {
            if matches!(letter, '\\' | '"') {
                array.push('\\');
            }
            array.push(letter);
        }
        array.push('"');
    }
    array.push('}');
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_keeps_texts_with_quotes_and_commas() {
        assert_eq!(array_text::<&str>(&[]), "{}");
        assert_eq!(array_text(&["T2", r#"a "b", \c"#]), r#"{"T2","a \"b\", \\c"}"#);
    }

    #[test]
    fn every_column_has_a_type_and_every_parameter_a_place() {
        assert!(STORE_NEW.contains("$52::double precision[]") && !STORE_NEW.contains("$53"));
    }
}
