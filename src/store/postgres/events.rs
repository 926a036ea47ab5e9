//! Reading events, whose ids become visible in order (see the migration that makes `killmail_events`).

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{FromRow, Row};

use super::{Postgres, stamp};
use crate::killmail::{KillmailId, Known, ProfileId, RegionId, SystemId};
use crate::store::events::{LOOK_MAX, reached};
use crate::store::{Error, Event, Month, Scope, Stretch, handing};

const ALL: &str = "SELECT event_id, system_id, killmail_id, killmail_time FROM killmail_events
    WHERE event_id > $1 AND event_id <= $3 ORDER BY event_id LIMIT $2";

/// `OFFSET 0` keeps the planner from turning "of each event, its kill" around.
const LOOK: &str = "SELECT event_id, system_id, killmail_id, killmail_time FROM killmail_events e
    LEFT JOIN LATERAL (SELECT region_id FROM killmails_enriched k
        WHERE k.killmail_id = e.killmail_id AND k.killmail_time = e.killmail_time OFFSET 0) place ON cardinality($4::bigint[]) > 0
    LEFT JOIN LATERAL (SELECT true AS is_match FROM profile_matches m WHERE m.killmail_id = e.killmail_id
        AND m.killmail_time = e.killmail_time AND m.profile_id = ANY ($5) LIMIT 1) profiles ON cardinality($5::bigint[]) > 0
    WHERE event_id > $1 AND event_id <= $6 AND (system_id = ANY ($3) OR region_id = ANY ($4) OR is_match)
    ORDER BY event_id LIMIT $2";

/// One month at a time, and the month as plain values, so that only its own partitions are looked at.
const KILLS: &str = "SELECT id, raw.payload, region_id, total_value, destroyed_value, dropped_value, fitted_value, price_source,
    npc, solo, awox, points, labels, matches
    FROM unnest($1::bigint[]) AS wanted (id)
    CROSS JOIN LATERAL (SELECT payload FROM killmails_raw
        WHERE killmail_id = id AND killmail_time >= $2 AND killmail_time < $3 OFFSET 0) raw
    LEFT JOIN LATERAL (SELECT region_id, (total_value * 100)::bigint AS total_value, (destroyed_value * 100)::bigint AS destroyed_value,
        (dropped_value * 100)::bigint AS dropped_value, (fitted_value * 100)::bigint AS fitted_value,
        price_source, npc, solo, awox, points, labels FROM killmails_enriched
        WHERE killmail_id = id AND killmail_time >= $2 AND killmail_time < $3 OFFSET 0) known ON true
    LEFT JOIN LATERAL (SELECT array_agg(profile_id) AS matches FROM profile_matches
        WHERE killmail_id = id AND killmail_time >= $2 AND killmail_time < $3 AND profile_id = ANY ($4)) found ON cardinality($4::bigint[]) > 0";

/// The ids of an event, its system and its kill, and when that was.
pub(super) type Key = (i64, i64, i64, jiff_sqlx::Timestamp);

pub(super) async fn range(pool: &PgPool) -> Result<Option<(i64, i64)>, Error> {
    let query = sqlx::query_as("SELECT min(event_id), max(event_id) FROM killmail_events");
    let (least, greatest): (Option<i64>, Option<i64>) = query.fetch_one(pool).await?;
    Ok(least.zip(greatest))
}

pub(super) async fn of(store: &Postgres, scope: &Scope, after: i64, limit: u32) -> Result<Stretch, Error> {
    // First: what is there now is read below, whatever comes meanwhile.
    let Some((least, greatest)) = range(&store.readers).await? else {
        return Ok(Stretch { events: Vec::new(), through: after, least: None, more: false });
    };
    let from = after.max(least - 1);
    let end = if scope.must_look() { greatest.min(from.saturating_add(LOOK_MAX)) } else { greatest };
    let profiles: Vec<i64> = scope.profiles.iter().map(|id| id.get()).collect();
    let limited = |sql| sqlx::query_as(sql).bind(from).bind(i64::from(limit));
    let keys: Vec<Key> = if scope.all {
        limited(ALL).bind(end).fetch_all(&store.readers).await?
    } else if scope.must_look() {
        let systems: Vec<i64> = scope.systems.iter().map(|(id, _)| id.get()).collect();
        let regions: Vec<i64> = scope.regions.iter().map(|id| id.get()).collect();
        limited(LOOK).bind(systems).bind(regions).bind(&profiles).bind(end).fetch_all(&store.readers).await?
    } else {
        let above = scope.systems.iter().map(|(id, above)| (id.get(), from.max(*above)));
        let rows = handing::rows(store, above, end, limit as usize).await?;
        rows.into_iter().map(|(event, system, (kill, time))| (event, system, kill, time)).collect()
    };
    let through = reached(&keys.iter().map(|key| key.0).collect::<Vec<_>>(), limit, after, end);
    let events = load(&mut *store.readers.acquire().await?, &keys, &profiles).await?;
    Ok(Stretch { events, through, least: Some(least), more: through < greatest })
}

/// The events of these keys, in their order. Those whose kill is gone, with its month, are left out. Of the profiles, it says which match.
pub(super) async fn load(connection: &mut PgConnection, keys: &[Key], profiles: &[i64]) -> Result<Vec<Event>, Error> {
    let mut months: BTreeMap<Month, Vec<i64>> = BTreeMap::new();
    for (_, _, killmail, time) in keys {
        months.entry(Month::of(Timestamp::from(*time))).or_default().push(*killmail);
    }
    let mut kills: HashMap<i64, KillRow> = HashMap::with_capacity(keys.len());
    for (month, ids) in months {
        let query = sqlx::query_as(KILLS).bind(ids).bind(stamp(month.start())).bind(stamp(month.plus(1).start()));
        let rows: Vec<KillRow> = query.bind(profiles).fetch_all(&mut *connection).await?;
        kills.extend(rows.into_iter().map(|row| (row.killmail_id, row)));
    }
    let event = |(event_id, system, killmail, _): &Key| {
        let (system_id, killmail_id) = (SystemId::new(*system)?, KillmailId::new(*killmail)?);
        let row = kills.get(killmail)?;
        Some(Event {
            event_id: *event_id,
            system_id,
            killmail_id,
            payload: row.payload.clone(),
            region_id: row.region_id.and_then(RegionId::new),
            known: row.known.clone(),
            matches: row.matches.iter().flatten().copied().filter_map(ProfileId::new).collect(),
        })
    };
    Ok(keys.iter().filter_map(event).collect())
}

struct KillRow {
    killmail_id: i64,
    payload: String,
    region_id: Option<i64>,
    known: Known,
    matches: Option<Vec<i64>>,
}

impl FromRow<'_, PgRow> for KillRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            killmail_id: row.try_get("id")?,
            payload: row.try_get("payload")?,
            region_id: row.try_get("region_id")?,
            known: Known {
                total_value: row.try_get("total_value")?,
                destroyed_value: row.try_get("destroyed_value")?,
                dropped_value: row.try_get("dropped_value")?,
                fitted_value: row.try_get("fitted_value")?,
                price_source: row.try_get("price_source")?,
                npc: row.try_get("npc")?,
                solo: row.try_get("solo")?,
                awox: row.try_get("awox")?,
                points: row.try_get("points")?,
                labels: row.try_get("labels")?,
            },
            matches: row.try_get("matches")?,
        })
    }
}
