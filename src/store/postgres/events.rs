//! Reading events, whose ids become visible in order (see the migration that makes `killmail_events`).

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sqlx::postgres::PgPool;

use super::stamp;
use crate::killmail::{KillmailId, SystemId};
use crate::store::{Error, Event, Month};

const ALL: &str = "SELECT event_id, system_id, killmail_id, killmail_time FROM killmail_events
    WHERE event_id > $1 ORDER BY event_id LIMIT $2";

const OF_SYSTEMS: &str = "SELECT event_id, system_id, killmail_id, killmail_time FROM killmail_events
    WHERE event_id > $1 AND system_id = ANY ($3) ORDER BY event_id LIMIT $2";

/// One month at a time, and the month as plain values, so that only its own partition is looked at.
const PAYLOADS: &str = "SELECT killmail_id, payload FROM killmails_raw
    WHERE killmail_id = ANY ($1) AND killmail_time >= $2 AND killmail_time < $3";

type Row = (i64, i64, i64, jiff_sqlx::Timestamp);

pub(super) async fn after(pool: &PgPool, after: i64, systems: &[SystemId], limit: u32) -> Result<Vec<Event>, Error> {
    let systems: Vec<i64> = systems.iter().map(|id| id.get()).collect();
    let (mut after, mut events) = (after, Vec::new());
    // Kills of a month that was just dropped are passed over: a page of such kills must not look like the end.
    while events.len() < limit as usize {
        let wanted = limit as usize - events.len();
        let query = sqlx::query_as(if systems.is_empty() { ALL } else { OF_SYSTEMS }).bind(after).bind(wanted as i64);
        let rows: Vec<Row> = if systems.is_empty() { query } else { query.bind(&systems) }.fetch_all(pool).await?;
        let Some(last) = rows.last() else { break };
        after = last.0;
        let end = rows.len() < wanted;
        events.extend(with_payloads(pool, rows).await?);
        if end {
            break;
        }
    }
    Ok(events)
}

async fn with_payloads(pool: &PgPool, rows: Vec<Row>) -> Result<Vec<Event>, Error> {
    let mut months: BTreeMap<Month, Vec<i64>> = BTreeMap::new();
    for (_, _, killmail, time) in &rows {
        months.entry(Month::of(Timestamp::from(*time))).or_default().push(*killmail);
    }
    let mut payloads: HashMap<i64, String> = HashMap::with_capacity(rows.len());
    for (month, ids) in months {
        let query = sqlx::query_as(PAYLOADS).bind(ids).bind(stamp(month.start())).bind(stamp(month.plus(1).start()));
        payloads.extend(query.fetch_all(pool).await?);
    }
    let event = |(event_id, system, killmail, _): Row| {
        let (system_id, killmail_id) = (SystemId::new(system)?, KillmailId::new(killmail)?);
        Some(Event { event_id, system_id, killmail_id, payload: payloads.get(&killmail)?.clone() })
    };
    Ok(rows.into_iter().filter_map(event).collect())
}

pub(super) async fn range(pool: &PgPool) -> Result<Option<(i64, i64)>, Error> {
    let query = sqlx::query_as("SELECT min(event_id), max(event_id) FROM killmail_events");
    let (least, greatest): (Option<i64>, Option<i64>) = query.fetch_one(pool).await?;
    Ok(least.zip(greatest))
}
