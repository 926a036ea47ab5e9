//! The queue of kills that are to be completed later.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::{id_list, stamp};
use crate::killmail::KillmailId;
use crate::store::{Error, Refresh};

/// Queues kills, in the transaction that stores them.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    kills: &[(i64, Timestamp)],
    now: Timestamp,
) -> Result<(), Error> {
    for (id, time) in kills {
        let sql = "INSERT INTO refreshes (killmail_id, killmail_time, due_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql).bind(id).bind(time.to_string()).bind(stamp(now));
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// These were completed, or are not to be tried any more.
pub(super) async fn forget(connection: &mut SqliteConnection, ids: impl Iterator<Item = i64>) -> Result<(), Error> {
    let sql = "DELETE FROM refreshes WHERE killmail_id IN (SELECT value FROM json_each(?))";
    sqlx::query(sql).bind(id_list(ids)).execute(connection).await?;
    Ok(())
}

pub(super) async fn due(pool: &SqlitePool, now: Timestamp, limit: u32) -> Result<Vec<Refresh>, Error> {
    let sql = "SELECT killmail_id, attempts, payload, source, received_at FROM refreshes JOIN killmails_raw USING (killmail_id)
        WHERE due_at <= ? ORDER BY due_at LIMIT ?";
    let rows: Vec<(i64, u32, String, String, String)> =
        sqlx::query_as(sql).bind(stamp(now)).bind(limit).fetch_all(pool).await?;
    let refresh = |(id, attempts, payload, source, received_at): (i64, u32, String, String, String)| {
        // As it was written here; should somebody else have, it was received now.
        let received_at = received_at.parse().unwrap_or(now);
        Some(Refresh { killmail_id: KillmailId::new(id)?, attempts, payload, source, received_at })
    };
    Ok(rows.into_iter().filter_map(refresh).collect())
}

pub(super) async fn postpone(pool: &SqlitePool, id: KillmailId, until: Option<Timestamp>) -> Result<(), Error> {
    match until {
        Some(until) => {
            let sql = "UPDATE refreshes SET attempts = attempts + 1, due_at = ? WHERE killmail_id = ?";
            sqlx::query(sql).bind(stamp(until)).bind(id.get()).execute(pool).await?;
        }
        None => forget(&mut *pool.acquire().await?, std::iter::once(id.get())).await?,
    }
    Ok(())
}

pub(super) async fn defer(pool: &SqlitePool, ids: &[KillmailId], until: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE refreshes SET due_at = ? WHERE killmail_id IN (SELECT value FROM json_each(?))";
    let ids = id_list(ids.iter().map(|id| id.get()));
    sqlx::query(sql).bind(stamp(until)).bind(ids).execute(pool).await?;
    Ok(())
}
