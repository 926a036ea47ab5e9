//! [`Profiles`] on SQLite.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, FromRow, Row as _};

use super::statements::{self, Insert, Row};
use super::{Sqlite, id_list, stamp, time};
use crate::killmail::{Kill, KillmailId, ProfileId};
use crate::store::profiles::{self, KillRow};
use crate::store::{
    Error, Matched, NewProfile, ProfileChange, ProfileNews, Profiles, StoredProfile, WatchedProfile, Which,
};

static ADD: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new("surveillance_profiles", &["owner", "name", "filter", "enabled", "targets"], "RETURNING profile_id")
});

const REPLACE: &str = "UPDATE surveillance_profiles SET owner = ?2, name = ?3, filter = ?4, enabled = ?5, targets = ?6
    WHERE profile_id = ?1";

const REMOVE: &str =
    "DELETE FROM surveillance_profiles WHERE profile_id IN (SELECT value FROM json_each(?)) RETURNING profile_id";

const ENABLE: &str = "UPDATE surveillance_profiles SET enabled = ?2 WHERE profile_id IN (SELECT value FROM json_each(?1)) AND enabled <> ?2";

const KNOWN: &str = "SELECT profile_id FROM surveillance_profiles WHERE profile_id IN (SELECT value FROM json_each(?))";

const SELECT: &str = "SELECT profile_id, owner, name, filter, enabled, version, targets, created_at, updated_at,
    coalesce(matches, 0) AS matches, last_matched_at FROM surveillance_profiles LEFT JOIN profile_stats USING (profile_id)
    WHERE profile_id > ?1 AND (?2 IS NULL OR profile_id IN (SELECT value FROM json_each(?2))) AND (?3 IS NULL OR owner = ?3)
    ORDER BY profile_id LIMIT ?4";

/// `WHERE true` keeps the parser from taking ON for a join's.
const MATCHED: &str = "INSERT INTO profile_stats (profile_id, matches, last_matched_at)
    SELECT profile_id, value ->> 1, value ->> 2 FROM json_each(?) JOIN surveillance_profiles ON profile_id = value ->> 0 WHERE true
    ON CONFLICT (profile_id) DO UPDATE SET matches = matches + excluded.matches,
        last_matched_at = max(last_matched_at, excluded.last_matched_at)";

const KILLS: &str = "SELECT payload, source, received_at, constellation_id, region_id, security_status, system_class, ship_class,
    total_value, destroyed_value, dropped_value, fitted_value, price_source, module_tags, npc, solo, awox, points, labels
    FROM killmails_enriched e JOIN killmails_raw r USING (killmail_id)
    WHERE (?1 IS NULL OR killmail_id < ?1) AND (?2 IS NULL OR e.killmail_time >= ?2) ORDER BY killmail_id DESC LIMIT ?3";

/// Between two looks: asking for changes when there are none reads one page of an index.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Row for &NewProfile {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        arguments.add(self.owner.as_deref())?;
        arguments.add(self.name.as_str())?;
        arguments.add(self.filter.as_str())?;
        arguments.add(self.enabled)?;
        arguments.add(self.targets.as_str())
    }
}

async fn replace(connection: &mut SqliteConnection, replacing: &[(i64, &NewProfile)]) -> Result<(), Error> {
    for (id, profile) in replacing {
        let query = sqlx::query(REPLACE).bind(id).bind(&profile.owner).bind(&profile.name).bind(&profile.filter);
        let done = query.bind(profile.enabled).bind(&profile.targets).execute(&mut *connection).await?;
        if done.rows_affected() == 0 {
            return Err(profiles::missing(std::iter::once(*id), &[]));
        }
    }
    Ok(())
}

async fn put(store: &Sqlite, given: &[NewProfile]) -> Result<Vec<ProfileId>, Error> {
    let (new, replacing) = profiles::parted(given)?;
    let prepared = ADD.prepare(&new)?;
    let mut transaction = store.writer.begin_with("BEGIN IMMEDIATE").await?;
    replace(&mut transaction, &replacing).await?;
    let rows = statements::fetch(&mut transaction, prepared).await?;
    transaction.commit().await?;
    let added = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    profiles::in_order(given, added)
}

async fn enable(store: &Sqlite, ids: &[ProfileId], enabled: bool) -> Result<Vec<ProfileId>, Error> {
    let list = id_list(profiles::numbers(ids));
    let mut transaction = store.writer.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(ENABLE).bind(&list).bind(enabled).execute(&mut *transaction).await?;
    let known = sqlx::query_scalar(KNOWN).bind(&list).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(profiles::ids(known))
}

/// Looks again and again.
#[derive(Debug)]
struct Looks;

#[async_trait]
impl ProfileNews for Looks {
    async fn wait(&mut self) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[async_trait]
impl Profiles for Sqlite {
    async fn put_profiles(&self, profiles: &[NewProfile]) -> Result<Vec<ProfileId>, Error> {
        self.bounded(put(self, profiles)).await
    }

    async fn remove_profiles(&self, ids: &[ProfileId]) -> Result<Vec<ProfileId>, Error> {
        let query = sqlx::query_scalar(REMOVE).bind(id_list(profiles::numbers(ids)));
        self.bounded(async { Ok(profiles::ids(query.fetch_all(&self.writer).await?)) }).await
    }

    async fn enable_profiles(&self, ids: &[ProfileId], enabled: bool) -> Result<Vec<ProfileId>, Error> {
        self.bounded(enable(self, ids, enabled)).await
    }

    async fn profiles(&self, which: &Which) -> Result<Vec<StoredProfile>, Error> {
        let ids = (!which.ids.is_empty()).then(|| id_list(profiles::numbers(&which.ids)));
        let query = sqlx::query_as(SELECT).bind(which.after).bind(ids).bind(&which.owner);
        let query = query.bind(which.limit.map_or(-1, i64::from));
        self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await
    }

    async fn count_profiles(&self) -> Result<i64, Error> {
        self.bounded(async { Ok(sqlx::query_scalar(profiles::COUNT).fetch_one(&self.readers).await?) }).await
    }

    async fn known_profiles(&self, ids: &[ProfileId]) -> Result<Vec<ProfileId>, Error> {
        let query = sqlx::query_scalar(KNOWN).bind(id_list(profiles::numbers(ids)));
        self.bounded(async { Ok(profiles::ids(query.fetch_all(&self.readers).await?)) }).await
    }

    async fn last_profile_change(&self) -> Result<i64, Error> {
        self.bounded(async { Ok(sqlx::query_scalar(profiles::LAST_CHANGE).fetch_one(&self.readers).await?) }).await
    }

    async fn watched_profiles(&self, after: i64, limit: u32) -> Result<Vec<WatchedProfile>, Error> {
        let query = sqlx::query_as(profiles::WATCHED).bind(after).bind(limit).fetch_all(&self.readers);
        let rows: Vec<profiles::WatchedRow> = self.bounded(async { Ok(query.await?) }).await?;
        Ok(rows.into_iter().filter_map(profiles::watched).collect())
    }

    async fn profile_changes(&self, after: i64, limit: u32) -> Result<Vec<ProfileChange>, Error> {
        let query = sqlx::query_as(profiles::CHANGES).bind(after).bind(limit).fetch_all(&self.readers);
        let rows: Vec<profiles::ChangeRow> = self.bounded(async { Ok(query.await?) }).await?;
        Ok(rows.into_iter().filter_map(profiles::change).collect())
    }

    fn profile_news(&self) -> Box<dyn ProfileNews> {
        Box::new(Looks)
    }

    async fn add_profile_matches(&self, matched: &[Matched]) -> Result<(), Error> {
        let row = |one: &Matched| (one.profile_id.get(), one.matches, stamp(one.last_matched_at));
        let rows = serde_json::to_string(&matched.iter().map(row).collect::<Vec<_>>());
        let rows = rows.map_err(|error| Error::Permanent(format!("write down matches: {error}")))?;
        self.bounded(async { Ok(sqlx::query(MATCHED).bind(rows).execute(&self.writer).await.map(drop)?) }).await
    }

    async fn stored_kills(
        &self,
        before: Option<KillmailId>,
        since: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Kill>, Error> {
        let since = since.map(|since| format!("{since:.0}"));
        let query = sqlx::query(KILLS).bind(before.map(KillmailId::get)).bind(since).bind(limit);
        let rows = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        rows.iter().map(|row| Ok(kill(row)?.kill())).collect()
    }
}

impl FromRow<'_, SqliteRow> for StoredProfile {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let moment = |column| -> Result<Timestamp, sqlx::Error> { read_time(row.try_get(column)?) };
        let id = ProfileId::new(row.try_get("profile_id")?);
        Ok(Self {
            profile_id: id.ok_or_else(|| sqlx::Error::Decode("an id below 1".into()))?,
            owner: row.try_get("owner")?,
            name: row.try_get("name")?,
            filter: row.try_get("filter")?,
            enabled: row.try_get("enabled")?,
            version: row.try_get("version")?,
            targets: row.try_get("targets")?,
            created_at: moment("created_at")?,
            updated_at: moment("updated_at")?,
            matches: row.try_get("matches")?,
            last_matched_at: row.try_get::<Option<&str>, _>("last_matched_at")?.map(read_time).transpose()?,
        })
    }
}

fn read_time(text: &str) -> Result<Timestamp, sqlx::Error> {
    time(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn kill(row: &SqliteRow) -> Result<KillRow, Error> {
    let words = |list: &str| {
        serde_json::from_str(list).map_err(|error| Error::Permanent(format!("read a list of words: {error}")))
    };
    Ok(KillRow {
        payload: row.try_get("payload")?,
        source: row.try_get("source")?,
        received_at: time(row.try_get("received_at")?)?,
        constellation_id: row.try_get("constellation_id")?,
        region_id: row.try_get("region_id")?,
        security_status: row.try_get("security_status")?,
        system_class: row.try_get("system_class")?,
        ship_class: row.try_get("ship_class")?,
        values: [
            row.try_get("total_value")?,
            row.try_get("destroyed_value")?,
            row.try_get("dropped_value")?,
            row.try_get("fitted_value")?,
        ],
        price_source: row.try_get("price_source")?,
        module_tags: words(row.try_get("module_tags")?)?,
        npc: row.try_get("npc")?,
        solo: row.try_get("solo")?,
        awox: row.try_get("awox")?,
        points: row.try_get("points")?,
        labels: row.try_get::<Option<&str>, _>("labels")?.map(words).transpose()?,
    })
}
