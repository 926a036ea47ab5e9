//! What the server alone can take, for `bench` to compare with; and a schema in which that may be tried.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::address::{connect, parse};
use super::copy::{Cents, Encoded};
use super::statements::Rows;
use super::{Postgres, partitions};
use crate::killmail::{Kill, RegionId};
use crate::market::Order;
use crate::store::order_rows::ORDER;
use crate::store::rows::{self, Enriched, Participant, Raw};
use crate::store::{Error, Month};

/// Empties the tables, then copies these kills in: encoded beforehand, a transaction a batch, on one connection. Nothing is asked, nothing is
/// announced. `None` when the server has no socket here: over TCP, COPY would be made to wait (see [`super::kills`]).
pub(super) async fn copy_alone(store: &Postgres, kills: &[Kill], batch: usize) -> Result<Option<Duration>, Error> {
    let mut batches = Vec::new();
    for chunk in kills.chunks(batch.max(1)) {
        let chunk: Vec<&Kill> = chunk.iter().collect();
        let mails = chunk.iter().map(|kill| rows::checked(kill)).collect::<Result<Vec<_>, _>>()?;
        let indexes: Vec<usize> = (0..chunk.len()).collect();
        batches.push(encode(&Rows::new(&chunk, &mails, &indexes, Timestamp::now())?));
    }
    let months = kills.iter().filter_map(|kill| Some(Month::of(kill.mail.as_ref()?.killmail_time)));
    partitions::ensure(&store.writers, months.collect::<BTreeSet<_>>()).await?;
    let Some(mut connection) = over_socket(store).await? else { return Ok(None) };
    connection.execute("TRUNCATE killmails_raw, killmails_enriched, killmail_participants").await?;
    let started = Instant::now();
    for [raw, enriched, participants] in &batches {
        connection.execute("BEGIN").await?;
        copy(&mut connection, "killmails_raw", &rows::RAW, raw).await?;
        copy(&mut connection, "killmails_enriched", &rows::ENRICHED, enriched).await?;
        copy(&mut connection, "killmail_participants", &rows::PARTICIPANT, participants).await?;
        connection.execute("COMMIT").await?;
    }
    Ok(Some(started.elapsed()))
}

/// Empties the table of orders, then copies these in, as [`copy_alone`] does kills.
pub(super) async fn copy_orders_alone(
    store: &Postgres,
    region: RegionId,
    orders: &[Order],
    batch: usize,
) -> Result<Option<Duration>, Error> {
    let now = Timestamp::now();
    let batches: Vec<_> = orders.chunks(batch.max(1)).map(|orders| encode_orders(region, orders, now)).collect();
    let Some(mut connection) = over_socket(store).await? else { return Ok(None) };
    connection.execute("TRUNCATE market_orders").await?;
    let columns: Vec<_> = ["region_id", "first_seen_at", "last_seen_at"].into_iter().chain(ORDER).collect();
    let started = Instant::now();
    for rows in &batches {
        connection.execute("BEGIN").await?;
        copy(&mut connection, "market_orders", &columns, rows).await?;
        connection.execute("COMMIT").await?;
    }
    Ok(Some(started.elapsed()))
}

/// The same server over its socket, when it runs on this machine and lets us in there.
async fn over_socket(store: &Postgres) -> Result<Option<PgConnection>, Error> {
    if store.options.get_socket().is_some() {
        return store.patient().await.map(Some);
    }
    if !["localhost", "127.0.0.1", "::1", "[::1]"].contains(&store.options.get_host()) {
        return Ok(None);
    }
    let folders = sqlx::query_scalar("SHOW unix_socket_directories").fetch_one(&store.readers);
    let folders: String = folders.await?;
    for folder in folders.split(',').map(str::trim).filter(|folder| folder.starts_with('/')) {
        if let Ok(connection) = store.options.clone().socket(folder).connect().await {
            return Ok(Some(connection));
        }
    }
    Ok(None)
}

fn encode(rows: &Rows<'_>) -> [Vec<u8>; 3] {
    let (mut raw, mut enriched, mut participants) = (Encoded::new(), Encoded::new(), Encoded::new());
    rows.raw.iter().for_each(|row| put_raw(&mut raw, row));
    rows.enriched.iter().for_each(|row| put_enriched(&mut enriched, row));
    rows.participants.iter().for_each(|row| put_participant(&mut participants, row));
    [raw, enriched, participants].map(Encoded::finish)
}

fn encode_orders(region: RegionId, orders: &[Order], now: Timestamp) -> Vec<u8> {
    let mut rows = Encoded::new();
    for order in orders {
        rows.row(3 + ORDER.len());
        rows.put(region.get()).put(now).put(now);
        rows.put(order.order_id).put(order.type_id).put(order.location_id).put(order.system_id);
        rows.put(order.volume_total).put(order.volume_remain).put(order.min_volume).put(Cents(order.price.0));
        rows.put(order.is_buy_order).put(order.duration).put(order.issued).put(order.range.to_string().as_str());
    }
    rows.finish()
}

async fn copy(connection: &mut PgConnection, table: &str, columns: &[&str], rows: &[u8]) -> Result<(), sqlx::Error> {
    let sql = format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", columns.join(", "));
    let mut copy = connection.copy_in_raw(&sql).await?;
    copy.send(rows).await?;
    copy.finish().await.map(drop)
}

fn put_enriched(rows: &mut Encoded, row: &Enriched<'_>) {
    rows.row(rows::ENRICHED.len());
    rows.put(row.killmail_id).put(row.killmail_time).put(row.solar_system_id).put(row.constellation_id);
    rows.put(row.region_id).put(row.security_status).put(row.system_class);
    rows.put(row.victim_character_id).put(row.victim_corporation_id).put(row.victim_alliance_id);
    rows.put(row.victim_faction_id).put(row.victim_ship_type_id).put(row.ship_class).put(row.attacker_count as i32);
    for money in [row.total_value, row.destroyed_value, row.dropped_value, row.fitted_value] {
        rows.put(money.map(Cents));
    }
    rows.put(row.price_source).put(row.module_tags).put(row.npc).put(row.solo).put(row.awox);
    rows.put(row.points).put(row.labels.as_deref()).put(row.enrichment_status).put(row.enriched_at);
}

fn put_participant(rows: &mut Encoded, row: &Participant) {
    rows.row(rows::PARTICIPANT.len());
    rows.put(row.killmail_id).put(row.killmail_time).put(row.position as i32).put(row.is_victim);
    rows.put(row.character_id).put(row.corporation_id).put(row.alliance_id).put(row.faction_id);
    rows.put(row.ship_type_id).put(row.weapon_type_id).put(row.damage_done).put(row.final_blow);
    rows.put(row.security_status).put(row.mass_balance).put(row.usefulness);
}

fn put_raw(rows: &mut Encoded, row: &Raw<'_>) {
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
        let options = parse(url)?;
        let schema = format!("broadside_scratch_{}", Timestamp::now().as_microsecond());
        let mut connection = connect(&options).await?;
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
        let mut connection: PgConnection = connect(&self.options).await?;
        connection.execute(AssertSqlSafe(format!("DROP SCHEMA {} CASCADE", self.schema))).await?;
        Ok(connection.close().await?)
    }
}
