//! [`Offsets`] on PostgreSQL.
//!
//! Whoever writes a client's offsets takes its lock first; whoever makes new ones, or deletes events for good, keeps the other out meanwhile. In this
//! order: the log's lock, the client's.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Executor;
use sqlx::postgres::{PgConnection, PgPool};

use super::lease::Lease;
use super::{Postgres, events, jobs, stamp};
use crate::killmail::SystemId;
use crate::store::Claim;
use crate::store::handing::{self, Log, Moves, Position, Positions, next};
use crate::store::heads::Reading;
use crate::store::jobs::To;
use crate::store::{
    Ask, Begin, ClientId, Collectable, Collected, Error, Event, FeedClient, Follow, Following, Handed, LAG_MAX,
    Offsets, Rules,
};

/// Locks of one database do not meet those of another. `feed_gc` and `feed_log` in ASCII, and `feed` in front of a client's digest.
const COLLECTING: i64 = 28_821_933_774_563_171;
const LOG: i64 = 7_378_415_046_288_502_631;
const CLIENT: i32 = 1_717_921_124;

const POSITIONS: &str = "SELECT system, o.event_id, o.seen_at, coalesce(c.event_id, 0),
        coalesce((SELECT max(event_id) FROM killmail_events), 0)
    FROM unnest($2::bigint[]) AS asked (system)
        LEFT JOIN client_offsets o ON o.client_id = $1 AND o.system_id = system
        LEFT JOIN killfeed_collected c ON c.system_id = system";

/// At `$4`; without it, after all there is. `$5`: not before what was collected.
const BEGIN: &str = "INSERT INTO client_offsets (client_id, system_id, event_id, seen_at)
    SELECT $1, system, greatest(coalesce($4, (SELECT max(event_id) FROM killmail_events), 0), CASE WHEN $5 THEN c.event_id END), $3
    FROM unnest($2::bigint[]) AS asked (system) LEFT JOIN killfeed_collected c ON c.system_id = system
    ON CONFLICT DO NOTHING";

/// LATERAL with a LIMIT: each system's share from the index, and no more.
const READ: &str = "SELECT e.event_id, e.system_id, e.killmail_id, e.killmail_time
    FROM unnest($1::bigint[], $2::bigint[]) AS head (system, after) CROSS JOIN LATERAL
        (SELECT * FROM killmail_events WHERE system_id = head.system AND event_id > head.after AND event_id <= $3
        ORDER BY event_id LIMIT $4) AS e";

/// By the key: the systems are many, and the events few.
const BETWEEN: &str = "SELECT event_id, system_id, killmail_id, killmail_time FROM killmail_events
    WHERE event_id > $2 AND event_id <= $3 AND system_id + 0 = ANY ($1)";

const MOVE: &str = "INSERT INTO client_offsets (client_id, system_id, event_id, seen_at)
    SELECT $1, system, event, $4 FROM unnest($2::bigint[], $3::bigint[]) AS moved (system, event) ORDER BY system
    ON CONFLICT (client_id, system_id) DO UPDATE
        SET event_id = greatest(client_offsets.event_id, excluded.event_id), seen_at = greatest(client_offsets.seen_at, excluded.seen_at)";

/// Every id that was drawn, and every one that is there, however it came there.
const GREATEST: &str = "SELECT greatest(
    pg_sequence_last_value(pg_get_serial_sequence('killmail_events', 'event_id')::regclass),
    (SELECT max(event_id) FROM killmail_events), (SELECT max(event_id) FROM killfeed_collected), 0)";

/// The LATERAL stops where the lag is long enough.
const CLIENTS: &str = "SELECT client_id, systems, seen_at, lag, least, greatest FROM (
        SELECT client_id, count(*) AS systems, max(seen_at) AS seen_at, min(event_id) AS least, max(event_id) AS greatest
        FROM client_offsets WHERE client_id > $1 GROUP BY client_id ORDER BY client_id LIMIT $2) AS client
    CROSS JOIN LATERAL (SELECT count(*) AS lag FROM (
        SELECT FROM client_offsets o CROSS JOIN LATERAL
            (SELECT FROM killmail_events e WHERE e.system_id = o.system_id AND e.event_id > o.event_id LIMIT $3) AS event
        WHERE o.client_id = client.client_id LIMIT $3) AS above) AS behind
    ORDER BY client_id";

const UNSEEN: &str = "SELECT client_id FROM client_offsets GROUP BY client_id HAVING max(seen_at) < $1 LIMIT $2";
const FORGET: &str = "DELETE FROM client_offsets WHERE client_id = $1
    AND NOT EXISTS (SELECT FROM client_offsets WHERE client_id = $1 AND seen_at >= $2)";

/// Events that may go, as far as can be told before the log is locked.
const CANDIDATES: &str = "SELECT event_id FROM killmail_events LEFT JOIN
        (SELECT system_id, min(event_id) AS passed FROM client_offsets GROUP BY system_id) AS least USING (system_id)
    WHERE event_id > $1 AND event_id <= greatest($2, $3)
        AND (event_id <= $3 OR passed IS NULL OR event_id <= passed)
    ORDER BY event_id LIMIT $4";

const COLLECT: &str = "WITH gone AS (
        DELETE FROM killmail_events e USING (
            SELECT event_id AS id, EXISTS (SELECT FROM client_offsets o WHERE o.system_id = c.system_id AND o.event_id < c.event_id) AS wanted
            FROM killmail_events c WHERE event_id = ANY ($1)) AS candidate
        WHERE event_id = id AND (event_id <= $2 OR NOT wanted)
        RETURNING event_id, system_id, wanted),
    noted AS (
        INSERT INTO killfeed_collected (system_id, event_id) SELECT system_id, max(event_id) FROM gone GROUP BY system_id
        ON CONFLICT (system_id) DO UPDATE SET event_id = greatest(killfeed_collected.event_id, excluded.event_id))
    SELECT event_id, wanted FROM gone";

/// A transaction in which the client is this one's alone.
async fn locked(pool: &PgPool, client: &str) -> Result<Lease, Error> {
    let mut lease = Lease::begin(pool).await?;
    lock(&mut lease, client).await?;
    Ok(lease)
}

async fn lock(connection: &mut PgConnection, client: &str) -> Result<(), Error> {
    let query = sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext($2))").bind(CLIENT).bind(client);
    query.execute(connection).await?;
    Ok(())
}

fn ids(systems: &[SystemId]) -> Vec<i64> {
    systems.iter().map(|id| id.get()).collect()
}

/// Refuses an id that was never given.
async fn known(connection: &mut PgConnection, column: &str, id: i64) -> Result<(), Error> {
    let greatest: i64 = sqlx::query_scalar(GREATEST).fetch_one(connection).await?;
    handing::known(column, id, greatest)
}

async fn of(connection: &mut PgConnection, client: &ClientId, systems: &[i64]) -> Result<HashMap<i64, i64>, Error> {
    let sql = "SELECT system_id, event_id FROM client_offsets WHERE client_id = $1 AND system_id = ANY ($2)";
    let rows: Vec<(i64, i64)> = sqlx::query_as(sql).bind(client.as_str()).bind(systems).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

async fn set(
    connection: &mut PgConnection,
    client: &ClientId,
    offsets: impl Iterator<Item = (i64, i64)>,
    now: Timestamp,
) -> Result<(), Error> {
    let (systems, events): (Vec<i64>, Vec<i64>) = offsets.unzip();
    let query = sqlx::query(MOVE).bind(client.as_str()).bind(systems).bind(events).bind(stamp(now));
    query.execute(connection).await?;
    Ok(())
}

async fn begin(connection: &mut PgConnection, follow: &Follow) -> Result<(), Error> {
    connection.execute(sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(LOG)).await?;
    lock(connection, follow.client.as_str()).await?;
    if let Begin::After(id) = follow.begin {
        known(connection, "from", id).await?;
    }
    let (at, floor) = handing::place(follow.begin);
    let query = sqlx::query(BEGIN).bind(follow.client.as_str()).bind(ids(&follow.systems));
    query.bind(stamp(follow.now)).bind(at).bind(floor).execute(connection).await?;
    Ok(())
}

async fn claim(connection: &mut PgConnection, client: &ClientId, moves: &Moves, now: Timestamp) -> Result<bool, Error> {
    let there = of(connection, client, &moves.keys().copied().collect::<Vec<_>>()).await?;
    let is_first = moves.iter().all(|(system, (from, _))| there.get(system) == Some(from));
    if is_first {
        set(connection, client, moves.iter().map(|(system, (_, to))| (*system, *to)), now).await?;
    }
    Ok(is_first)
}

async fn commit(
    connection: &mut PgConnection,
    client: &ClientId,
    offsets: &BTreeMap<SystemId, i64>,
    now: Timestamp,
) -> Result<BTreeMap<SystemId, i64>, Error> {
    known(connection, "offsets", offsets.values().copied().max().unwrap_or(0)).await?;
    let there = of(connection, client, &offsets.keys().map(|id| id.get()).collect::<Vec<_>>()).await?;
    set(connection, client, offsets.iter().map(|(system, event)| (system.get(), *event)), now).await?;
    Ok(there.into_iter().filter_map(|(system, event)| Some((SystemId::new(system)?, event))).collect())
}

async fn collect(connection: &mut PgConnection, candidates: &[i64], force: i64) -> Result<Vec<(i64, bool)>, Error> {
    connection.execute(sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOG)).await?;
    Ok(sqlx::query_as(COLLECT).bind(candidates).bind(force).fetch_all(connection).await?)
}

#[async_trait]
impl Log for Postgres {
    type Row = (i64, jiff_sqlx::Timestamp);

    async fn positions(&self, client: &ClientId, systems: &[SystemId]) -> Result<Positions, Error> {
        type Columns = (i64, Option<i64>, Option<jiff_sqlx::Timestamp>, i64, i64);
        let query = sqlx::query_as(POSITIONS).bind(client.as_str()).bind(ids(systems));
        let rows: Vec<Columns> = query.fetch_all(&self.readers).await?;
        let mut positions = Positions::default();
        for (system, event, seen_at, collected, through) in rows {
            positions.through = through;
            if let Some((event_id, seen_at)) = event.zip(seen_at) {
                positions.of.insert(system, Position { event_id, seen_at: seen_at.to_jiff(), collected });
            }
        }
        Ok(positions)
    }

    async fn begin(&self, follow: &Follow) -> Result<(), Error> {
        let mut lease = Lease::begin(&self.writers).await?;
        let outcome = begin(&mut lease, follow).await;
        lease.end(outcome).await
    }

    async fn touch(&self, client: &ClientId, system: i64, now: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE client_offsets SET seen_at = greatest(seen_at, $3) WHERE client_id = $1 AND system_id = $2";
        let query = sqlx::query(sql).bind(client.as_str()).bind(system).bind(stamp(now));
        Ok(query.execute(&self.writers).await.map(drop)?)
    }

    async fn read(&self, reading: &Reading, through: i64) -> Result<Vec<(i64, i64, Self::Row)>, Error> {
        let (systems, after): (Vec<i64>, Vec<i64>) = reading.systems.iter().copied().unzip();
        let query = sqlx::query_as(READ).bind(systems).bind(after).bind(through).bind(reading.share as i64);
        let rows: Vec<(i64, i64, i64, jiff_sqlx::Timestamp)> = query.fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(|(event, system, kill, time)| (event, system, (kill, time))).collect())
    }

    async fn between(
        &self,
        systems: &[SystemId],
        after: i64,
        through: i64,
    ) -> Result<Vec<(i64, i64, Self::Row)>, Error> {
        let query = sqlx::query_as(BETWEEN).bind(ids(systems)).bind(after).bind(through);
        let rows: Vec<(i64, i64, i64, jiff_sqlx::Timestamp)> = query.fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(|(event, system, kill, time)| (event, system, (kill, time))).collect())
    }

    async fn complete(&self, rows: Vec<(i64, i64, Self::Row)>) -> Result<HashMap<i64, Event>, Error> {
        let keys: Vec<_> = rows.into_iter().map(|(event, system, (kill, time))| (event, system, kill, time)).collect();
        let events = events::load(&mut *self.readers.acquire().await?, &keys, &[]).await?;
        Ok(events.into_iter().map(|event| (event.event_id, event)).collect())
    }

    async fn claim(&self, client: &ClientId, moves: &Moves, now: Timestamp) -> Result<bool, Error> {
        let mut lease = locked(&self.writers, client.as_str()).await?;
        let outcome = claim(&mut lease, client, moves, now).await;
        lease.end(outcome).await
    }

    async fn range(&self) -> Result<Option<(i64, i64)>, Error> {
        events::range(&self.readers).await
    }

    async fn made_at(&self, from: i64) -> Result<Option<(i64, Timestamp)>, Error> {
        let sql = "SELECT event_id, created_at FROM killmail_events WHERE event_id >= $1 ORDER BY event_id LIMIT 1";
        let row: Option<(i64, jiff_sqlx::Timestamp)> =
            sqlx::query_as(sql).bind(from).fetch_optional(&self.readers).await?;
        Ok(row.map(|(event, made)| (event, made.to_jiff())))
    }

    async fn newest_but(&self, count: u64) -> Result<Option<i64>, Error> {
        let sql = "SELECT event_id FROM killmail_events ORDER BY event_id DESC OFFSET $1 LIMIT 1";
        let query = sqlx::query_scalar(sql).bind(i64::try_from(count).unwrap_or(i64::MAX));
        Ok(query.fetch_optional(&self.readers).await?)
    }
}

#[async_trait]
impl Offsets for Postgres {
    async fn hand_out(&self, ask: &Ask) -> Result<Handed, Error> {
        self.bounded(handing::hand_out(self, ask)).await
    }

    async fn follow(&self, follow: &Follow) -> Result<Following, Error> {
        self.bounded(handing::follow(self, follow)).await
    }

    async fn commit_offsets(
        &self,
        client: &ClientId,
        offsets: &BTreeMap<SystemId, i64>,
        now: Timestamp,
    ) -> Result<BTreeMap<SystemId, i64>, Error> {
        self.bounded(async {
            let mut lease = locked(&self.writers, client.as_str()).await?;
            let outcome = commit(&mut lease, client, offsets, now).await;
            lease.end(outcome).await
        })
        .await
    }

    async fn offsets(&self, client: &ClientId) -> Result<BTreeMap<SystemId, i64>, Error> {
        let sql = "SELECT system_id, event_id FROM client_offsets WHERE client_id = $1";
        let query = sqlx::query_as(sql).bind(client.as_str());
        let rows: Vec<(i64, i64)> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        Ok(rows.into_iter().filter_map(|(system, event)| Some((SystemId::new(system)?, event))).collect())
    }

    async fn clients(&self, after: &str, limit: u32) -> Result<Vec<FeedClient>, Error> {
        type Columns = (String, i64, jiff_sqlx::Timestamp, i64, i64, i64);
        let query = sqlx::query_as(CLIENTS).bind(after).bind(i64::from(limit)).bind(LAG_MAX);
        let rows: Vec<Columns> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let client = |(client, systems, seen_at, lag, least, greatest): Columns| FeedClient {
            client,
            systems,
            seen_at: seen_at.to_jiff(),
            lag,
            least,
            greatest,
        };
        Ok(rows.into_iter().map(client).collect())
    }

    async fn forget_client(&self, client: &ClientId) -> Result<bool, Error> {
        self.bounded(async {
            let mut lease = locked(&self.writers, client.as_str()).await?;
            let query = sqlx::query("DELETE FROM client_offsets WHERE client_id = $1").bind(client.as_str());
            let outcome = query.execute(&mut **lease).await.map(|done| done.rows_affected() > 0);
            lease.end(outcome.map_err(Error::from)).await
        })
        .await
    }

    async fn forget_clients(&self, seen_before: Timestamp, limit: u32) -> Result<u64, Error> {
        let unseen = sqlx::query_scalar(UNSEEN).bind(stamp(seen_before)).bind(i64::from(limit));
        let unseen: Vec<String> = self.bounded(async { Ok(unseen.fetch_all(&self.readers).await?) }).await?;
        let mut forgotten = 0;
        for client in &unseen {
            forgotten += self
                .bounded(async {
                    let mut lease = locked(&self.writers, client).await?;
                    let query = sqlx::query(FORGET).bind(client).bind(stamp(seen_before));
                    let outcome = query.execute(&mut **lease).await.map(|done| u64::from(done.rows_affected() > 0));
                    lease.end(outcome.map_err(Error::from)).await
                })
                .await?;
        }
        Ok(forgotten)
    }

    async fn collectable(&self, rules: &Rules) -> Result<Collectable, Error> {
        self.bounded(handing::collectable(self, rules)).await
    }

    async fn collect(&self, of: &Collectable, after: i64, limit: u32) -> Result<Collected, Error> {
        let force = of.aged.max(of.surplus);
        let query = sqlx::query_scalar(CANDIDATES).bind(after).bind(of.passed).bind(force).bind(i64::from(limit));
        let candidates: Vec<i64> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        if candidates.is_empty() {
            return Ok(Collected::default());
        }
        let gone = self.bounded(async {
            let mut lease = Lease::begin(&self.writers).await?;
            let outcome = collect(&mut lease, &candidates, force).await;
            lease.end(outcome).await
        });
        Ok(of.count(&gone.await?, next(&candidates, limit)))
    }

    async fn claim_collection(&self) -> Result<Option<Box<dyn Claim>>, Error> {
        let held = self.bounded(jobs::claim(self, COLLECTING, To::Work)).await?;
        Ok(held.map(|held| Box::new(held) as Box<dyn Claim>))
    }
}
