//! The queue of kills that are to be completed later.

use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgPool};

use super::stamp;
use crate::killmail::KillmailId;
use crate::store::{Error, Refresh};

/// Queues kills, in the transaction that stores them.
pub(super) async fn note(
    connection: &mut PgConnection,
    kills: &[(i64, Timestamp)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if kills.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO refreshes (killmail_id, killmail_time, due_at)
        SELECT id, time, $3 FROM unnest($1::bigint[], $2::timestamptz[]) AS kill (id, time) ORDER BY id ON CONFLICT DO NOTHING";
    let (ids, times): (Vec<_>, Vec<_>) = kills.iter().map(|(id, time)| (*id, stamp(*time))).unzip();
    sqlx::query(sql).bind(ids).bind(times).bind(stamp(now)).execute(connection).await?;
    Ok(())
}

/// These were completed, or are not to be tried any more.
pub(super) async fn forget(connection: &mut PgConnection, ids: Vec<i64>) -> Result<(), sqlx::Error> {
    let sql = "DELETE FROM refreshes WHERE killmail_id = ANY ($1)";
    sqlx::query(sql).bind(ids).execute(connection).await?;
    Ok(())
}

pub(super) async fn due(pool: &PgPool, now: Timestamp, limit: u32) -> Result<Vec<Refresh>, Error> {
    let sql =
        "SELECT killmail_id, attempts, payload, source, received_at FROM refreshes JOIN killmails_raw USING (killmail_id, killmail_time)
        WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
    let query = sqlx::query_as(sql).bind(stamp(now)).bind(i64::from(limit));
    let rows: Vec<(i64, i32, String, String, jiff_sqlx::Timestamp)> = query.fetch_all(pool).await?;
    let refresh = |(id, attempts, payload, source, received_at): (i64, i32, String, String, jiff_sqlx::Timestamp)| {
        let (killmail_id, attempts, received_at) =
            (KillmailId::new(id)?, attempts.unsigned_abs(), received_at.to_jiff());
        Some(Refresh { killmail_id, attempts, payload, source, received_at })
    };
    Ok(rows.into_iter().filter_map(refresh).collect())
}

pub(super) async fn postpone(pool: &PgPool, id: KillmailId, until: Option<Timestamp>) -> Result<(), Error> {
    match until {
        Some(until) => {
            let sql = "UPDATE refreshes SET attempts = attempts + 1, due_at = $1 WHERE killmail_id = $2";
            sqlx::query(sql).bind(stamp(until)).bind(id.get()).execute(pool).await?;
        }
        None => forget(&mut *pool.acquire().await?, vec![id.get()]).await?,
    }
    Ok(())
}

pub(super) async fn defer(pool: &PgPool, ids: &[KillmailId], until: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE refreshes SET due_at = $1 WHERE killmail_id = ANY ($2)";
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    sqlx::query(sql).bind(stamp(until)).bind(ids).execute(pool).await?;
    Ok(())
}
