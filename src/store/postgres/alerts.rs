//! [`Alerts`] on PostgreSQL.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::{Postgres, jobs, stamp};
use crate::killmail::{KillmailId, ProfileId, SystemId, TargetId, TypeId};
use crate::store::Claim;
use crate::store::alerts::{Ids, alert};
use crate::store::jobs::To;
use crate::store::{Alert, Alerts, DisabledTarget, Error, NewAlert, ToldKill, ToldProfile, within};

const INSERT: &str = "INSERT INTO alerts (event_id, killmail_id, killmail_time, profile_id, target, created_at)
    SELECT event, kill, time, profile, target, $6
    FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::bigint[])
        WITH ORDINALITY AS given (event, kill, time, profile, target, place) ORDER BY place";

const AFTER: &str = "SELECT alert_id, event_id, killmail_id, profile_id, target, killmail_time, created_at FROM alerts
    WHERE alert_id > $1 ORDER BY alert_id LIMIT $2";

const OF_TARGET: &str =
    "SELECT alert_id, event_id, killmail_id, profile_id, target, killmail_time, created_at FROM alerts
    WHERE target = $3 AND alert_id > $1 ORDER BY alert_id LIMIT $2";

/// Of the months that the kills may be in: a copy that was stored since may be dated a little otherwise.
const KILLS: &str =
    "SELECT killmail_id, killmail_time, k.solar_system_id, victim_ship_type_id, attacker_count, (total_value * 100)::bigint AS total_value,
        (destroyed_value * 100)::bigint AS destroyed_value, (dropped_value * 100)::bigint AS dropped_value, (fitted_value * 100)::bigint AS fitted_value,
        module_tags, labels, coalesce(source, '') AS source, coalesce(payload, '') AS payload
    FROM killmails_enriched k LEFT JOIN killmails_raw r USING (killmail_id, killmail_time)
    WHERE killmail_id = ANY ($1) AND killmail_time >= $2 AND killmail_time < $3";

/// The same without the payloads.
const KILLS_ALONE: &str =
    "SELECT killmail_id, killmail_time, solar_system_id, victim_ship_type_id, attacker_count, (total_value * 100)::bigint AS total_value,
        (destroyed_value * 100)::bigint AS destroyed_value, (dropped_value * 100)::bigint AS dropped_value, (fitted_value * 100)::bigint AS fitted_value,
        module_tags, labels, '' AS source, '' AS payload
    FROM killmails_enriched WHERE killmail_id = ANY ($1) AND killmail_time >= $2 AND killmail_time < $3";

/// Locks of one database do not meet those of another. `courier` in ASCII.
const LOCK: i64 = 27_988_539_883_120_498;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Makes alerts, with ids in their order.
pub(super) async fn add(connection: &mut PgConnection, alerts: &[NewAlert], now: Timestamp) -> Result<(), sqlx::Error> {
    if alerts.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&NewAlert) -> i64| alerts.iter().map(value).collect::<Vec<_>>();
    let query = sqlx::query(INSERT)
        .bind(alerts.iter().map(|alert| alert.event_id).collect::<Vec<_>>())
        .bind(column(|alert| alert.killmail_id.get()))
        .bind(alerts.iter().map(|alert| stamp(alert.killmail_time)).collect::<Vec<_>>())
        .bind(column(|alert| alert.profile_id.get()))
        .bind(column(|alert| alert.target.get()))
        .bind(stamp(now));
    query.execute(connection).await?;
    Ok(())
}

#[async_trait]
impl Alerts for Postgres {
    async fn add_alerts(&self, alerts: &[NewAlert]) -> Result<(), Error> {
        let now = Timestamp::now();
        self.bounded(async { Ok(add(&mut *self.writers.acquire().await?, alerts, now).await?) }).await
    }

    async fn alerts_after(&self, after: i64, target: Option<TargetId>, limit: u32) -> Result<Vec<Alert>, Error> {
        type Columns = (i64, Option<i64>, i64, i64, i64, jiff_sqlx::Timestamp, jiff_sqlx::Timestamp);
        let query = match target {
            None => sqlx::query_as(AFTER).bind(after).bind(i64::from(limit)),
            Some(target) => sqlx::query_as(OF_TARGET).bind(after).bind(i64::from(limit)).bind(target.get()),
        };
        let rows: Vec<Columns> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let read = |(id, event, kill, profile, target, time, created_at): Columns| {
            let ids: Ids = (id, event, kill, profile, target);
            alert(ids, time.to_jiff(), created_at.to_jiff())
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    async fn remove_alerts(&self, ids: &[i64]) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM alerts WHERE alert_id = ANY ($1)").bind(ids);
        self.bounded(async { Ok(query.execute(&self.writers).await.map(drop)?) }).await
    }

    async fn count_alerts(&self) -> Result<i64, Error> {
        let query = sqlx::query_scalar("SELECT count(*) FROM alerts");
        self.bounded(async { Ok(query.fetch_one(&self.readers).await?) }).await
    }

    async fn told_kills(&self, kills: &[(KillmailId, Timestamp)], payloads: bool) -> Result<Vec<ToldKill>, Error> {
        let times = || kills.iter().map(|(_, time)| *time);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(Vec::new()) };
        let (first, last) =
            (first.checked_sub(DAY).unwrap_or(Timestamp::MIN), last.checked_add(DAY).unwrap_or(Timestamp::MAX));
        let ids: Vec<i64> = kills.iter().map(|(id, _)| id.get()).collect();
        let query = sqlx::query(if payloads { KILLS } else { KILLS_ALONE });
        let query = query.bind(ids).bind(stamp(first)).bind(stamp(last));
        let rows = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let told = rows.iter().map(told).collect::<Result<Vec<_>, sqlx::Error>>()?;
        Ok(told.into_iter().flatten().collect())
    }

    async fn disabled_targets(&self) -> Result<Vec<DisabledTarget>, Error> {
        type Columns = (i64, String, String, jiff_sqlx::Timestamp);
        let query = sqlx::query_as("SELECT target, shown, reason, disabled_at FROM alert_targets ORDER BY target");
        let rows: Vec<Columns> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let read = |(target, shown, reason, at): Columns| {
            Some(DisabledTarget { target: TargetId::new(target)?, shown, reason, disabled_at: at.to_jiff() })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    async fn disable_target(&self, target: &DisabledTarget) -> Result<(), Error> {
        let sql = "INSERT INTO alert_targets (target, shown, reason, disabled_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (target) DO UPDATE SET reason = excluded.reason, disabled_at = excluded.disabled_at";
        let query = sqlx::query(sql).bind(target.target.get()).bind(&target.shown).bind(&target.reason);
        let query = query.bind(stamp(target.disabled_at));
        self.bounded(async { Ok(query.execute(&self.writers).await.map(drop)?) }).await
    }

    async fn enable_target(&self, target: TargetId) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM alert_targets WHERE target = $1").bind(target.get());
        self.bounded(async { Ok(query.execute(&self.writers).await.map(drop)?) }).await
    }

    async fn told_profiles(&self, profiles: &[ProfileId]) -> Result<Vec<ToldProfile>, Error> {
        type Columns = (i64, String, String, jiff_sqlx::Timestamp);
        let sql = "SELECT profile_id, name, targets, updated_at FROM surveillance_profiles WHERE profile_id = ANY ($1) AND enabled";
        let query = sqlx::query_as(sql).bind(profiles.iter().map(|id| id.get()).collect::<Vec<_>>());
        let rows: Vec<Columns> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let read = |(id, name, targets, at): Columns| {
            Some(ToldProfile { profile_id: ProfileId::new(id)?, name, targets, updated_at: at.to_jiff() })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    async fn claim_alerts(&self) -> Result<Option<Box<dyn Claim>>, Error> {
        let held = within(self.call_timeout, jobs::claim(self, LOCK, To::Work)).await?;
        Ok(held.map(|held| Box::new(held) as Box<dyn Claim>))
    }
}

fn told(row: &PgRow) -> Result<Option<ToldKill>, sqlx::Error> {
    let ids = KillmailId::new(row.try_get("killmail_id")?).zip(SystemId::new(row.try_get("solar_system_id")?));
    let Some((killmail_id, system_id)) = ids else { return Ok(None) };
    Ok(Some(ToldKill {
        killmail_id,
        killmail_time: row.try_get::<jiff_sqlx::Timestamp, _>("killmail_time")?.to_jiff(),
        system_id,
        ship_type_id: row.try_get::<Option<i64>, _>("victim_ship_type_id")?.and_then(TypeId::new),
        attacker_count: row.try_get::<i32, _>("attacker_count")?.into(),
        total_value: row.try_get("total_value")?,
        destroyed_value: row.try_get("destroyed_value")?,
        dropped_value: row.try_get("dropped_value")?,
        fitted_value: row.try_get("fitted_value")?,
        module_tags: row.try_get("module_tags")?,
        labels: row.try_get::<Option<Vec<String>>, _>("labels")?.unwrap_or_default(),
        source: row.try_get("source")?,
        payload: row.try_get("payload")?,
    }))
}
