//! [`Alerts`] on SQLite.

use std::sync::LazyLock;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, Row as _};

use super::statements::{self, Insert, Row};
use super::{Sqlite, id_list, stamp, time};
use crate::killmail::{KillmailId, ProfileId, SystemId, TargetId, TypeId};
use crate::store::Claim;
use crate::store::alerts::{NEW_ALERT, alert};
use crate::store::jobs::To;
use crate::store::{Alert, Alerts, DisabledTarget, Error, NewAlert, ToldKill, ToldProfile};

static INSERT: LazyLock<Insert> = LazyLock::new(|| Insert::new("alerts", &NEW_ALERT, ""));

const AFTER: &str = "SELECT alert_id, event_id, killmail_id, profile_id, target, killmail_time, created_at FROM alerts
    WHERE alert_id > ?1 ORDER BY alert_id LIMIT ?2";

const OF_TARGET: &str =
    "SELECT alert_id, event_id, killmail_id, profile_id, target, killmail_time, created_at FROM alerts
    WHERE target = ?3 AND alert_id > ?1 ORDER BY alert_id LIMIT ?2";

const KILLS: &str =
    "SELECT k.killmail_id, k.killmail_time, k.solar_system_id, victim_ship_type_id, attacker_count, total_value, destroyed_value, dropped_value, fitted_value,
        module_tags, labels, iif(?2, source, '') AS source, iif(?2, payload, '') AS payload
    FROM killmails_enriched k JOIN killmails_raw USING (killmail_id) WHERE killmail_id IN (SELECT value FROM json_each(?1))";

/// Makes alerts, with ids in their order.
pub(super) async fn add(connection: &mut SqliteConnection, alerts: &[NewAlert], now: Timestamp) -> Result<(), Error> {
    let now = stamp(now);
    let rows: Vec<_> = alerts.iter().map(|alert| New { alert, now: &now }).collect();
    statements::execute(connection, INSERT.prepare(&rows)?).await.map(drop)
}

#[async_trait]
impl Alerts for Sqlite {
    async fn add_alerts(&self, alerts: &[NewAlert]) -> Result<(), Error> {
        self.bounded(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            add(&mut transaction, alerts, Timestamp::now()).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn alerts_after(&self, after: i64, target: Option<TargetId>, limit: u32) -> Result<Vec<Alert>, Error> {
        type Columns = (i64, Option<i64>, i64, i64, i64, String, String);
        let query = match target {
            None => sqlx::query_as(AFTER).bind(after).bind(limit),
            Some(target) => sqlx::query_as(OF_TARGET).bind(after).bind(limit).bind(target.get()),
        };
        let rows: Vec<Columns> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let mut alerts = Vec::with_capacity(rows.len());
        for (id, event, kill, profile, target, killmail_time, created_at) in rows {
            alerts.extend(alert((id, event, kill, profile, target), time(&killmail_time)?, time(&created_at)?));
        }
        Ok(alerts)
    }

    async fn remove_alerts(&self, ids: &[i64]) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM alerts WHERE alert_id IN (SELECT value FROM json_each(?))");
        let query = query.bind(id_list(ids.iter().copied()));
        self.bounded(async { Ok(query.execute(&self.writer).await.map(drop)?) }).await
    }

    async fn count_alerts(&self) -> Result<i64, Error> {
        let query = sqlx::query_scalar("SELECT count(*) FROM alerts");
        self.bounded(async { Ok(query.fetch_one(&self.readers).await?) }).await
    }

    async fn told_kills(&self, kills: &[(KillmailId, Timestamp)], payloads: bool) -> Result<Vec<ToldKill>, Error> {
        let query = sqlx::query(KILLS).bind(id_list(kills.iter().map(|(id, _)| id.get()))).bind(payloads);
        let rows = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        rows.iter().filter_map(|row| told(row).transpose()).collect()
    }

    async fn disabled_targets(&self) -> Result<Vec<DisabledTarget>, Error> {
        type Columns = (i64, String, String, String);
        let query = sqlx::query_as("SELECT target, shown, reason, disabled_at FROM alert_targets ORDER BY target");
        let rows: Vec<Columns> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let read = |(target, shown, reason, at): Columns| {
            let target = TargetId::new(target)?;
            Some(time(&at).map(|disabled_at| DisabledTarget { target, shown, reason, disabled_at }))
        };
        rows.into_iter().filter_map(read).collect()
    }

    async fn disable_target(&self, target: &DisabledTarget) -> Result<(), Error> {
        let sql = "INSERT INTO alert_targets (target, shown, reason, disabled_at) VALUES (?, ?, ?, ?)
            ON CONFLICT (target) DO UPDATE SET reason = excluded.reason, disabled_at = excluded.disabled_at";
        let query = sqlx::query(sql).bind(target.target.get()).bind(&target.shown).bind(&target.reason);
        let query = query.bind(stamp(target.disabled_at));
        self.bounded(async { Ok(query.execute(&self.writer).await.map(drop)?) }).await
    }

    async fn enable_target(&self, target: TargetId) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM alert_targets WHERE target = ?").bind(target.get());
        self.bounded(async { Ok(query.execute(&self.writer).await.map(drop)?) }).await
    }

    async fn told_profiles(&self, profiles: &[ProfileId]) -> Result<Vec<ToldProfile>, Error> {
        type Columns = (i64, String, String, String);
        let sql = "SELECT profile_id, name, targets, updated_at FROM surveillance_profiles
            WHERE profile_id IN (SELECT value FROM json_each(?)) AND enabled";
        let query = sqlx::query_as(sql).bind(id_list(profiles.iter().map(|id| id.get())));
        let rows: Vec<Columns> = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let read = |(id, name, targets, at): Columns| {
            let profile_id = ProfileId::new(id)?;
            Some(time(&at).map(|updated_at| ToldProfile { profile_id, name, targets, updated_at }))
        };
        rows.into_iter().filter_map(read).collect()
    }

    async fn claim_alerts(&self) -> Result<Option<Box<dyn Claim>>, Error> {
        self.couriers.claim(To::Work)
    }
}

struct New<'a> {
    alert: &'a NewAlert,
    now: &'a str,
}

impl Row for New<'_> {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        arguments.add(self.alert.event_id)?;
        arguments.add(self.alert.killmail_id.get())?;
        arguments.add(self.alert.killmail_time.to_string())?;
        arguments.add(self.alert.profile_id.get())?;
        arguments.add(self.alert.target.get())?;
        arguments.add(self.now.to_owned())
    }
}

fn told(row: &SqliteRow) -> Result<Option<ToldKill>, Error> {
    let ids = KillmailId::new(row.try_get("killmail_id")?).zip(SystemId::new(row.try_get("solar_system_id")?));
    let Some((killmail_id, system_id)) = ids else { return Ok(None) };
    let list = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(Some(ToldKill {
        killmail_id,
        killmail_time: time(row.try_get("killmail_time")?)?,
        system_id,
        ship_type_id: row.try_get::<Option<i64>, _>("victim_ship_type_id")?.and_then(TypeId::new),
        attacker_count: row.try_get("attacker_count")?,
        total_value: row.try_get("total_value")?,
        destroyed_value: row.try_get("destroyed_value")?,
        dropped_value: row.try_get("dropped_value")?,
        fitted_value: row.try_get("fitted_value")?,
        module_tags: list(row.try_get("module_tags")?),
        labels: list(row.try_get("labels")?),
        source: row.try_get("source")?,
        payload: row.try_get("payload")?,
    }))
}
