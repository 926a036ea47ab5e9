//! What the server alone can take, for `bench` to compare with; and a schema in which that may be tried.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::copy::Rows;
use super::kills::{Writes, copy};
use super::{Postgres, partitions};
use crate::killmail::Kill;
use crate::store::rows::{self, Raw};
use crate::store::{Error, Month};

/// Empties the tables, then copies these kills in: encoded beforehand, a transaction a batch, on one connection. Nothing is asked, nothing is
/// announced: no program that stores the same rows one batch after the other can be faster.
pub(super) async fn copy_alone(store: &Postgres, kills: &[Kill], batch: usize) -> Result<Duration, Error> {
    let mut batches = Vec::new();
    for chunk in kills.chunks(batch.max(1)) {
        let chunk: Vec<&Kill> = chunk.iter().collect();
        let mails = chunk.iter().map(|kill| rows::checked(kill)).collect::<Result<Vec<_>, _>>()?;
        let indexes: Vec<usize> = (0..chunk.len()).collect();
        let writes = Writes::prepare(&chunk, &mails, &indexes, Timestamp::now())?;
        let mut raw = Rows::new();
        writes.raw.iter().for_each(|row| put_raw(&mut raw, row));
        batches.push((raw.finish(), writes.enriched, writes.participants));
    }
    let months = kills.iter().filter_map(|kill| Some(Month::of(kill.mail.as_ref()?.killmail_time)));
    partitions::ensure(&store.writers, months.collect::<std::collections::BTreeSet<_>>()).await?;
    let mut connection = store.patient().await?;
    connection.execute("TRUNCATE killmails_raw, killmails_enriched, killmail_participants").await?;
    let started = Instant::now();
    for (raw, enriched, participants) in &batches {
        connection.execute("BEGIN").await?;
        copy(&mut connection, "killmails_raw", &rows::RAW, raw).await?;
        copy(&mut connection, "killmails_enriched", &rows::ENRICHED, enriched).await?;
        copy(&mut connection, "killmail_participants", &rows::PARTICIPANT, participants).await?;
        connection.execute("COMMIT").await?;
    }
    Ok(started.elapsed())
}

fn put_raw(rows: &mut Rows, row: &Raw<'_>) {
    rows.row(rows::RAW.len());
    rows.put(row.killmail_id).put(row.killmail_hash.as_deref()).put(row.killmail_time).put(row.solar_system_id);
    rows.put(row.source).put(row.received_at).put(row.form as i16).put(row.payload);
}

/// A schema of its own in a database: tables that are there for a while, beside those that are kept.
#[derive(Debug)]
pub struct Scratch {
    url: String,
    options: PgConnectOptions,
    schema: String,
}

impl Scratch {
    /// Makes one in the database of this URL. Needs the right to create schemas there.
    ///
    /// # Errors
    /// As [`Postgres::open`].
    pub async fn make(url: &str) -> Result<Self, Error> {
        let options = super::address::parse(url)?;
        let schema = format!("broadside_scratch_{}", Timestamp::now().as_microsecond());
        let mut connection = super::address::connect(&options).await?;
        connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await?;
        connection.close().await?;
        let joint = if url.contains('?') { '&' } else { '?' };
        Ok(Self { url: format!("{url}{joint}options[search_path]={schema}"), options, schema })
    }

    /// Whoever opens this works in the schema.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Drops it with everything in it.
    ///
    /// # Errors
    /// As [`Postgres::open`].
    pub async fn remove(self) -> Result<(), Error> {
        let mut connection: PgConnection = super::address::connect(&self.options).await?;
        connection.execute(AssertSqlSafe(format!("DROP SCHEMA {} CASCADE", self.schema))).await?;
        Ok(connection.close().await?)
    }
}
