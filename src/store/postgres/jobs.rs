//! [`Jobs`] on PostgreSQL. The claim is an advisory lock of a session of its own: the server lets go of it when the connection ends, however it ends.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, Executor, PgConnection};

use super::address::connect;
use super::{Postgres, stamp};
use crate::price::job::{Job, Market, Move, State};
use crate::store::Claim;
use crate::store::jobs::{Jobs, Row, To, parse, text};
use crate::store::{Error, within};

/// Locks of one database do not meet those of another.
const LOCK: i64 = 5_806_128_731_009_447_201;
/// A server that does not answer its own claim's connection for so long is taken to have let go of it.
const PING_MAX: Duration = Duration::from_secs(1);
/// What keeps the session: its end is noticed within seconds on the server too, should the host be cut off.
const SESSION: &str = "SET idle_session_timeout = 0; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2;
    SET tcp_keepalives_count = 3; SET client_min_messages = warning";

#[derive(Debug)]
pub(super) struct Held(Option<PgConnection>);

#[async_trait]
impl Claim for Held {
    async fn is_held(&mut self) -> bool {
        let Some(connection) = &mut self.0 else { return false };
        if !matches!(tokio::time::timeout(PING_MAX, connection.ping()).await, Ok(Ok(()))) {
            // Its conversation may stand in the middle: closing it makes sure that the lock goes.
            self.0 = None;
        }
        self.0.is_some()
    }

    async fn release(self: Box<Self>) {
        if let Some(connection) = self.0 {
            // Until the server has seen the end, the lock is there.
            let unlock = async {
                let mut connection = connection;
                connection.execute("SELECT pg_advisory_unlock_all()").await?;
                connection.close().await
            };
            let _ = tokio::time::timeout(PING_MAX, unlock).await;
        }
    }
}

/// Takes a lock of the database's, on a session of its own; `None`: somebody has it.
pub(super) async fn claim(store: &Postgres, lock: i64, to: To) -> Result<Option<Held>, Error> {
    let mut connection = connect(&store.options).await?;
    connection.execute(SESSION).await?;
    let sql = match to {
        To::Work => "SELECT pg_try_advisory_lock($1)",
        To::Look => "SELECT pg_try_advisory_lock_shared($1)",
    };
    let taken = sqlx::query_scalar(sql).bind(lock);
    if taken.fetch_one(&mut connection).await? {
        return Ok(Some(Held(Some(connection))));
    }
    drop(connection.close().await);
    Ok(None)
}

type Time = Option<jiff_sqlx::Timestamp>;
type Columns = (String, i64, Time, Time, Option<String>, String);

#[async_trait]
impl Jobs for Postgres {
    async fn price_job(&self) -> Result<Job, Error> {
        let sql = "SELECT state, epoch, started_at, changed_at, reason, markets::text FROM price_jobs WHERE job_id = 1";
        let query = sqlx::query_as(sql).fetch_one(&self.readers);
        let (state, epoch, started_at, changed_at, reason, markets): Columns =
            self.bounded(async { Ok(query.await?) }).await?;
        let time = |at: Time| at.map(jiff_sqlx::Timestamp::to_jiff);
        Row { state, epoch, started_at: time(started_at), changed_at: time(changed_at), reason, markets }.read()
    }

    async fn move_price_job(&self, change: &Move) -> Result<bool, Error> {
        let sql = "UPDATE price_jobs SET state = $1, epoch = $2, reason = $3, changed_at = $4,
                started_at = CASE WHEN $1 = 'initializing' THEN $4 ELSE started_at END, markets = coalesce($5::jsonb, markets)
            WHERE job_id = 1 AND state = $6 AND epoch = $7";
        let query = sqlx::query(sql)
            .bind(change.to.as_str())
            .bind(change.next_epoch)
            .bind(&change.reason)
            .bind(stamp(change.at))
            .bind(change.markets.as_deref().map(text).transpose()?)
            .bind(change.from.as_str())
            .bind(change.epoch);
        self.bounded(async { Ok(query.execute(&self.writers).await?.rows_affected() == 1) }).await
    }

    async fn save_price_progress(&self, epoch: i64, markets: &[Market]) -> Result<Option<State>, Error> {
        let sql = "UPDATE price_jobs SET markets = $1::jsonb WHERE job_id = 1 AND epoch = $2 RETURNING state";
        let query = sqlx::query_scalar(sql).bind(text(markets)?).bind(epoch);
        let state: Option<String> = self.bounded(async { Ok(query.fetch_optional(&self.writers).await?) }).await?;
        state.as_deref().map(parse).transpose()
    }

    async fn claim_price_job(&self, to: To) -> Result<Option<Box<dyn Claim>>, Error> {
        let held = within(self.call_timeout, claim(self, LOCK, to)).await?;
        Ok(held.map(|held| Box::new(held) as Box<dyn Claim>))
    }
}
