//! [`Offsets`] on SQLite: whoever writes has the writer alone, which is all the locking there is.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::{Sqlite, events, id_list, stamp, time};
use crate::killmail::SystemId;
use crate::store::Claim;
use crate::store::handing::{self, Log, Moves, Position, Positions, next};
use crate::store::heads::Reading;
use crate::store::jobs::To;
use crate::store::{
    Ask, Begin, ClientId, Collectable, Collected, Error, Event, FeedClient, Follow, Following, Handed, LAG_MAX,
    Offsets, Rules, Store,
};

/// The last event there ever was: ids are visible in their order.
const POSITIONS: &str = "SELECT asked.value, o.event_id, o.seen_at, coalesce(c.event_id, 0),
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'killmail_events'), 0)
    FROM json_each(?2) AS asked
        LEFT JOIN client_offsets o ON o.client_id = ?1 AND o.system_id = asked.value
        LEFT JOIN killfeed_collected c ON c.system_id = asked.value";

/// At `?4`; without it, after all there is. `?5`: not before what was collected.
const BEGIN: &str = "INSERT INTO client_offsets (client_id, system_id, event_id, seen_at)
    SELECT ?1, asked.value, max(coalesce(?4, (SELECT seq FROM sqlite_sequence WHERE name = 'killmail_events'), 0), iif(?5, coalesce(c.event_id, 0), 0)), ?3
    FROM json_each(?2) AS asked LEFT JOIN killfeed_collected c ON c.system_id = asked.value WHERE true
    ON CONFLICT DO NOTHING";

/// CROSS JOIN keeps the order: each system's share from the index, and then those rows. The object has the ids above which to read by system.
const READ: &str = "SELECT e.event_id, e.system_id, e.killmail_id FROM json_each(?1) AS head CROSS JOIN killmail_events e ON e.event_id IN
        (SELECT event_id FROM killmail_events WHERE system_id = CAST(head.key AS INTEGER) AND event_id > head.value AND event_id <= ?2
        ORDER BY event_id LIMIT ?3)";

/// By the key (`+`): the systems are many, and the events few.
const BETWEEN: &str = "SELECT event_id, system_id, killmail_id FROM killmail_events
    WHERE event_id > ?2 AND event_id <= ?3 AND +system_id IN (SELECT value FROM json_each(?1))";

const MOVE: &str = "INSERT INTO client_offsets (client_id, system_id, event_id, seen_at)
    SELECT ?1, CAST(key AS INTEGER), value, ?3 FROM json_each(?2) WHERE true
    ON CONFLICT (client_id, system_id) DO UPDATE SET event_id = max(event_id, excluded.event_id), seen_at = max(seen_at, excluded.seen_at)";

/// The lag is counted until it is long enough.
const CLIENTS: &str = "SELECT client_id, count(*), max(seen_at), (SELECT count(*) FROM (
            SELECT 1 FROM client_offsets o CROSS JOIN killmail_events e ON e.system_id = o.system_id AND e.event_id > o.event_id
            WHERE o.client_id = client.client_id LIMIT ?3)),
        min(event_id), max(event_id)
    FROM client_offsets client WHERE client_id > ?1 GROUP BY client_id ORDER BY client_id LIMIT ?2";

const UNSEEN: &str = "SELECT client_id FROM client_offsets GROUP BY client_id HAVING max(seen_at) < ?1 LIMIT ?2";
const FORGET: &str = "DELETE FROM client_offsets WHERE client_id = ?1
    AND NOT EXISTS (SELECT 1 FROM client_offsets WHERE client_id = ?1 AND seen_at >= ?2)";

/// Events that may go, as far as can be told before the writer is taken.
const CANDIDATES: &str = "SELECT event_id FROM killmail_events e WHERE event_id > ?1 AND event_id <= max(?2, ?3)
        AND (event_id <= ?3 OR coalesce((SELECT min(o.event_id) FROM client_offsets o WHERE o.system_id = e.system_id), event_id) >= event_id)
    ORDER BY event_id LIMIT ?4";

const WANTED: &str = "SELECT event_id, system_id,
        coalesce((SELECT min(o.event_id) FROM client_offsets o WHERE o.system_id = e.system_id) < event_id, false)
    FROM killmail_events e WHERE event_id IN (SELECT value FROM json_each(?1))";

const NOTE: &str = "INSERT INTO killfeed_collected (system_id, event_id) SELECT CAST(key AS INTEGER), value FROM json_each(?1) WHERE true
    ON CONFLICT (system_id) DO UPDATE SET event_id = max(event_id, excluded.event_id)";

fn ids(systems: &[SystemId]) -> String {
    id_list(systems.iter().map(|id| id.get()))
}

/// A JSON object of numbers by number, for `json_each`.
fn by_id(pairs: impl Iterator<Item = (i64, i64)>) -> String {
    let pairs: Vec<_> = pairs.map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", pairs.join(","))
}

/// Refuses an id that was never given.
async fn known(connection: &mut SqliteConnection, column: &str, id: i64) -> Result<(), Error> {
    let sql = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'killmail_events'), 0)";
    handing::known(column, id, sqlx::query_scalar(sql).fetch_one(connection).await?)
}

async fn of(
    connection: &mut SqliteConnection,
    client: &ClientId,
    systems: impl Iterator<Item = i64>,
) -> Result<HashMap<i64, i64>, Error> {
    let sql = "SELECT system_id, event_id FROM client_offsets WHERE client_id = ?1 AND system_id IN (SELECT value FROM json_each(?2))";
    let query = sqlx::query_as(sql).bind(client.as_str()).bind(id_list(systems));
    let rows: Vec<(i64, i64)> = query.fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

async fn set(
    connection: &mut SqliteConnection,
    client: &ClientId,
    offsets: impl Iterator<Item = (i64, i64)>,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(MOVE).bind(client.as_str()).bind(by_id(offsets)).bind(stamp(now)).execute(connection).await?;
    Ok(())
}

/// Deletes what still may go of the candidates; answers each with whether somebody wanted it.
async fn collect(connection: &mut SqliteConnection, candidates: &[i64], force: i64) -> Result<Vec<(i64, bool)>, Error> {
    let list = id_list(candidates.iter().copied());
    let rows: Vec<(i64, i64, bool)> = sqlx::query_as(WANTED).bind(list).fetch_all(&mut *connection).await?;
    let gone: Vec<_> = rows.into_iter().filter(|(event, _, wanted)| *event <= force || !wanted).collect();
    let mut last = BTreeMap::new();
    for (event, system, _) in &gone {
        let last = last.entry(*system).or_insert(*event);
        *last = (*last).max(*event);
    }
    let list = id_list(gone.iter().map(|(event, _, _)| *event));
    let delete = sqlx::query("DELETE FROM killmail_events WHERE event_id IN (SELECT value FROM json_each(?))");
    delete.bind(list).execute(&mut *connection).await?;
    sqlx::query(NOTE).bind(by_id(last.into_iter())).execute(connection).await?;
    Ok(gone.into_iter().map(|(event, _, wanted)| (event, wanted)).collect())
}

#[async_trait]
impl Log for Sqlite {
    type Row = i64;

    async fn positions(&self, client: &ClientId, systems: &[SystemId]) -> Result<Positions, Error> {
        type Columns = (i64, Option<i64>, Option<String>, i64, i64);
        let query = sqlx::query_as(POSITIONS).bind(client.as_str()).bind(ids(systems));
        let rows: Vec<Columns> = query.fetch_all(&self.readers).await?;
        let mut positions = Positions::default();
        for (system, event, seen_at, collected, through) in rows {
            positions.through = through;
            if let Some((event_id, seen_at)) = event.zip(seen_at) {
                positions.of.insert(system, Position { event_id, seen_at: time(&seen_at)?, collected });
            }
        }
        Ok(positions)
    }

    async fn begin(&self, follow: &Follow) -> Result<(), Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        if let Begin::After(id) = follow.begin {
            known(&mut transaction, "from", id).await?;
        }
        let (at, floor) = handing::place(follow.begin);
        let query = sqlx::query(BEGIN).bind(follow.client.as_str()).bind(ids(&follow.systems));
        query.bind(stamp(follow.now)).bind(at).bind(floor).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn touch(&self, client: &ClientId, system: i64, now: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE client_offsets SET seen_at = max(seen_at, ?3) WHERE client_id = ?1 AND system_id = ?2";
        let query = sqlx::query(sql).bind(client.as_str()).bind(system).bind(stamp(now));
        Ok(query.execute(&self.writer).await.map(drop)?)
    }

    async fn read(&self, reading: &Reading, through: i64) -> Result<Vec<events::Key>, Error> {
        let heads = by_id(reading.systems.iter().copied());
        let query = sqlx::query_as(READ).bind(heads).bind(through).bind(reading.share as i64);
        Ok(query.fetch_all(&self.readers).await?)
    }

    async fn between(&self, systems: &[SystemId], after: i64, through: i64) -> Result<Vec<events::Key>, Error> {
        let query = sqlx::query_as(BETWEEN).bind(ids(systems)).bind(after).bind(through);
        Ok(query.fetch_all(&self.readers).await?)
    }

    async fn complete(&self, rows: Vec<events::Key>) -> Result<HashMap<i64, Event>, Error> {
        let events = events::load(&mut *self.readers.acquire().await?, &rows, "[]").await?;
        Ok(events.into_iter().map(|event| (event.event_id, event)).collect())
    }

    async fn claim(&self, client: &ClientId, moves: &Moves, now: Timestamp) -> Result<bool, Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let there = of(&mut transaction, client, moves.keys().copied()).await?;
        let is_first = moves.iter().all(|(system, (from, _))| there.get(system) == Some(from));
        if is_first {
            set(&mut transaction, client, moves.iter().map(|(system, (_, to))| (*system, *to)), now).await?;
        }
        transaction.commit().await?;
        Ok(is_first)
    }

    async fn range(&self) -> Result<Option<(i64, i64)>, Error> {
        self.event_range().await
    }

    async fn made_at(&self, from: i64) -> Result<Option<(i64, Timestamp)>, Error> {
        let sql = "SELECT event_id, created_at FROM killmail_events WHERE event_id >= ? ORDER BY event_id LIMIT 1";
        let row: Option<(i64, String)> = sqlx::query_as(sql).bind(from).fetch_optional(&self.readers).await?;
        row.map(|(event, made)| Ok((event, time(&made)?))).transpose()
    }

    async fn newest_but(&self, count: u64) -> Result<Option<i64>, Error> {
        let sql = "SELECT event_id FROM killmail_events ORDER BY event_id DESC LIMIT 1 OFFSET ?";
        let query = sqlx::query_scalar(sql).bind(i64::try_from(count).unwrap_or(i64::MAX));
        Ok(query.fetch_optional(&self.readers).await?)
    }
}

#[async_trait]
impl Offsets for Sqlite {
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
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            known(&mut transaction, "offsets", offsets.values().copied().max().unwrap_or(0)).await?;
            let there = of(&mut transaction, client, offsets.keys().map(|id| id.get())).await?;
            set(&mut transaction, client, offsets.iter().map(|(system, event)| (system.get(), *event)), now).await?;
            transaction.commit().await?;
            Ok(there.into_iter().filter_map(|(system, event)| Some((SystemId::new(system)?, event))).collect())
        })
        .await
    }

    async fn offsets(&self, client: &ClientId) -> Result<BTreeMap<SystemId, i64>, Error> {
        let sql = "SELECT system_id, event_id FROM client_offsets WHERE client_id = ?";
        let query = sqlx::query_as(sql).bind(client.as_str());
        let rows: Vec<(i64, i64)> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        Ok(rows.into_iter().filter_map(|(system, event)| Some((SystemId::new(system)?, event))).collect())
    }

    async fn clients(&self, after: &str, limit: u32) -> Result<Vec<FeedClient>, Error> {
        type Columns = (String, i64, String, i64, i64, i64);
        let query = sqlx::query_as(CLIENTS).bind(after).bind(limit).bind(LAG_MAX);
        let rows: Vec<Columns> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let client = |(client, systems, seen_at, lag, least, greatest): Columns| {
            Ok(FeedClient { client, systems, seen_at: time(&seen_at)?, lag, least, greatest })
        };
        rows.into_iter().map(client).collect()
    }

    async fn forget_client(&self, client: &ClientId) -> Result<bool, Error> {
        let query = sqlx::query("DELETE FROM client_offsets WHERE client_id = ?").bind(client.as_str());
        self.bounded(async { Ok(query.execute(&self.writer).await?.rows_affected() > 0) }).await
    }

    async fn forget_clients(&self, seen_before: Timestamp, limit: u32) -> Result<u64, Error> {
        let before = stamp(seen_before);
        let unseen = sqlx::query_scalar(UNSEEN).bind(&before).bind(limit);
        let unseen: Vec<String> = self.bounded(async { Ok(unseen.fetch_all(&self.readers).await?) }).await?;
        let mut forgotten = 0;
        for client in &unseen {
            let query = sqlx::query(FORGET).bind(client).bind(&before);
            let deleted = self.bounded(async { Ok(query.execute(&self.writer).await?.rows_affected()) }).await?;
            forgotten += u64::from(deleted > 0);
        }
        Ok(forgotten)
    }

    async fn collectable(&self, rules: &Rules) -> Result<Collectable, Error> {
        self.bounded(handing::collectable(self, rules)).await
    }

    async fn collect(&self, of: &Collectable, after: i64, limit: u32) -> Result<Collected, Error> {
        let force = of.aged.max(of.surplus);
        let query = sqlx::query_scalar(CANDIDATES).bind(after).bind(of.passed).bind(force).bind(limit);
        let candidates: Vec<i64> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        if candidates.is_empty() {
            return Ok(Collected::default());
        }
        let gone = self.bounded(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let gone = collect(&mut transaction, &candidates, force).await?;
            transaction.commit().await?;
            Ok(gone)
        });
        Ok(of.count(&gone.await?, next(&candidates, limit)))
    }

    async fn claim_collection(&self) -> Result<Option<Box<dyn Claim>>, Error> {
        self.collectors.claim(To::Work)
    }
}
