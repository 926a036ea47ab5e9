//! Reading events.

use std::collections::HashMap;

use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{FromRow, Row};

use super::{Sqlite, id_list, integers};
use crate::killmail::{KillmailId, Known, ProfileId, RegionId, SystemId};
use crate::store::events::{LOOK_MAX, reached};
use crate::store::{Error, Event, Scope, Stretch, handing};

/// Two subqueries: SQLite finds a min or a max by index only when it is alone.
const RANGE: &str = "SELECT (SELECT min(event_id) FROM killmail_events), (SELECT max(event_id) FROM killmail_events)";

const ALL: &str = "SELECT event_id, system_id, killmail_id FROM killmail_events
    WHERE event_id > ?1 AND event_id <= ?3 ORDER BY event_id LIMIT ?2";

const LOOK: &str = "SELECT event_id, system_id, killmail_id FROM killmail_events e
    WHERE event_id > ?1 AND event_id <= ?6 AND (system_id IN (SELECT value FROM json_each(?3))
        OR EXISTS (SELECT 1 FROM killmails_enriched k WHERE k.killmail_id = e.killmail_id AND k.region_id IN (SELECT value FROM json_each(?4)))
        OR EXISTS (SELECT 1 FROM json_each(?5) p JOIN profile_matches m ON m.killmail_id = e.killmail_id AND m.profile_id = p.value))
    ORDER BY event_id LIMIT ?2";

/// The profiles only when some are asked for.
const KILLS: &str = "SELECT r.killmail_id, payload, region_id, total_value, destroyed_value, dropped_value, fitted_value, price_source,
    npc, solo, awox, points, labels,
    CASE WHEN ?2 = '[]' THEN '[]' ELSE (SELECT json_group_array(profile_id) FROM profile_matches m
        WHERE m.killmail_id = r.killmail_id AND profile_id IN (SELECT value FROM json_each(?2))) END AS matches
    FROM json_each(?1) JOIN killmails_raw r ON r.killmail_id = value LEFT JOIN killmails_enriched k ON k.killmail_id = r.killmail_id";

/// The ids of an event, its system and its kill.
pub(super) type Key = (i64, i64, i64);

pub(super) async fn range(pool: &SqlitePool) -> Result<Option<(i64, i64)>, Error> {
    let (least, greatest): (Option<i64>, Option<i64>) = sqlx::query_as(RANGE).fetch_one(pool).await?;
    Ok(least.zip(greatest))
}

pub(super) async fn of(store: &Sqlite, scope: &Scope, after: i64, limit: u32) -> Result<Stretch, Error> {
    // First: what is there now is read below, whatever comes meanwhile.
    let Some((least, greatest)) = range(&store.readers).await? else {
        return Ok(Stretch { events: Vec::new(), through: after, least: None, more: false });
    };
    let from = after.max(least - 1);
    let end = if scope.must_look() { greatest.min(from.saturating_add(LOOK_MAX)) } else { greatest };
    let profiles = id_list(scope.profiles.iter().map(|id| id.get()));
    let limited = |sql| sqlx::query_as(sql).bind(from).bind(limit);
    let keys: Vec<Key> = if scope.all {
        limited(ALL).bind(end).fetch_all(&store.readers).await?
    } else if scope.must_look() {
        let systems = id_list(scope.systems.iter().map(|(id, _)| id.get()));
        let regions = id_list(scope.regions.iter().map(|id| id.get()));
        limited(LOOK).bind(systems).bind(regions).bind(&profiles).bind(end).fetch_all(&store.readers).await?
    } else {
        let above = scope.systems.iter().map(|(id, above)| (id.get(), from.max(*above)));
        handing::rows(store, above, end, limit as usize).await?
    };
    let through = reached(&keys.iter().map(|key| key.0).collect::<Vec<_>>(), limit, after, end);
    let events = load(&mut *store.readers.acquire().await?, &keys, &profiles).await?;
    Ok(Stretch { events, through, least: Some(least), more: through < greatest })
}

/// The events of these keys, in their order. Those whose kill is gone are left out. Of the profiles (a JSON array), it says which match.
pub(super) async fn load(connection: &mut SqliteConnection, keys: &[Key], profiles: &str) -> Result<Vec<Event>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let query = sqlx::query_as(KILLS).bind(id_list(keys.iter().map(|key| key.2))).bind(profiles);
    let rows: Vec<KillRow> = query.fetch_all(connection).await?;
    let kills: HashMap<i64, KillRow> = rows.into_iter().map(|row| (row.killmail_id, row)).collect();
    let mut events = Vec::with_capacity(keys.len());
    for (event_id, system, killmail) in keys {
        let ids = SystemId::new(*system).zip(KillmailId::new(*killmail));
        let Some(((system_id, killmail_id), row)) = ids.zip(kills.get(killmail)) else { continue };
        events.push(Event {
            event_id: *event_id,
            system_id,
            killmail_id,
            payload: row.payload.clone(),
            region_id: row.region_id.and_then(RegionId::new),
            known: row.known.clone(),
            matches: integers(&row.matches)?.into_iter().filter_map(ProfileId::new).collect(),
        });
    }
    Ok(events)
}

struct KillRow {
    killmail_id: i64,
    payload: String,
    region_id: Option<i64>,
    known: Known,
    matches: String,
}

impl FromRow<'_, SqliteRow> for KillRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let labels: Option<&str> = row.try_get("labels")?;
        let labels = labels.map(serde_json::from_str).transpose().map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self {
            killmail_id: row.try_get("killmail_id")?,
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
                labels,
            },
            matches: row.try_get("matches")?,
        })
    }
}
