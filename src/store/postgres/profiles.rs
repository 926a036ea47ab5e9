//! [`Profiles`] on PostgreSQL. Rows travel as one array a column, in one statement, so that the triggers fire once.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::{FromRow, Row};

use super::lease::Lease;
use super::{Postgres, stamp};
use crate::killmail::{Kill, KillmailId, ProfileId};
use crate::store::profiles::{self, KillRow};
use crate::store::{
    Error, Matched, NewProfile, ProfileChange, ProfileNews, Profiles, StoredProfile, WatchedProfile, Which,
};

const ADD: &str = "INSERT INTO surveillance_profiles (owner, name, filter, enabled, targets)
    SELECT owner, name, filter, enabled, targets FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[])
        WITH ORDINALITY AS given (owner, name, filter, enabled, targets, place) ORDER BY place RETURNING profile_id";

const REPLACE: &str = "UPDATE surveillance_profiles p
    SET owner = given.owner, name = given.name, filter = given.filter, enabled = given.enabled, targets = given.targets
    FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::bigint[])
        AS given (owner, name, filter, enabled, targets, profile_id)
    WHERE p.profile_id = given.profile_id RETURNING p.profile_id";

const REMOVE: &str = "DELETE FROM surveillance_profiles WHERE profile_id = ANY ($1) RETURNING profile_id";

const ENABLE: &str = "UPDATE surveillance_profiles SET enabled = $2 WHERE profile_id = ANY ($1) AND enabled <> $2";

const KNOWN: &str = "SELECT profile_id FROM surveillance_profiles WHERE profile_id = ANY ($1)";

const SELECT: &str = "SELECT profile_id, owner, name, filter, enabled, version, targets, created_at, updated_at,
    coalesce(matches, 0) AS matches, last_matched_at FROM surveillance_profiles LEFT JOIN profile_stats USING (profile_id)
    WHERE profile_id > $1 AND ($2::bigint[] IS NULL OR profile_id = ANY ($2)) AND ($3::text IS NULL OR owner = $3)
    ORDER BY profile_id LIMIT $4";

/// In one order for all, so that nobody waits in a circle.
const MATCHED: &str = "INSERT INTO profile_stats AS old (profile_id, matches, last_matched_at)
    SELECT profile_id, matches, last_matched_at FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[])
        AS given (profile_id, matches, last_matched_at) JOIN surveillance_profiles USING (profile_id) ORDER BY profile_id
    ON CONFLICT (profile_id) DO UPDATE SET matches = old.matches + excluded.matches,
        last_matched_at = greatest(old.last_matched_at, excluded.last_matched_at)";

const KILLS: &str =
    "SELECT payload, source, received_at, constellation_id, region_id, security_status, system_class, ship_class,
    (total_value * 100)::bigint AS total_value, (destroyed_value * 100)::bigint AS destroyed_value,
    (dropped_value * 100)::bigint AS dropped_value, (fitted_value * 100)::bigint AS fitted_value,
    price_source, module_tags, npc, solo, awox, points, labels
    FROM killmails_enriched e JOIN killmails_raw r USING (killmail_id, killmail_time)
    WHERE killmail_id < $1 AND killmail_time >= $2 ORDER BY killmail_id DESC LIMIT $3";

const CHANNEL: &str = "broadside_profiles";
/// Between two looks while the server tells of changes: in case one was not told.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The same while it cannot.
const LOOK_ALONE_EVERY: Duration = Duration::from_millis(250);
/// How long the server may take to begin telling.
const LISTEN_WITHIN: Duration = Duration::from_secs(5);

type Columns<'a> = (Vec<Option<&'a str>>, Vec<&'a str>, Vec<&'a str>, Vec<bool>, Vec<&'a str>);

fn columns<'a>(profiles: impl Iterator<Item = &'a NewProfile> + Clone) -> Columns<'a> {
    (
        profiles.clone().map(|profile| profile.owner.as_deref()).collect(),
        profiles.clone().map(|profile| profile.name.as_str()).collect(),
        profiles.clone().map(|profile| profile.filter.as_str()).collect(),
        profiles.clone().map(|profile| profile.enabled).collect(),
        profiles.map(|profile| profile.targets.as_str()).collect(),
    )
}

async fn add(connection: &mut PgConnection, new: &[&NewProfile]) -> Result<Vec<i64>, Error> {
    let (owners, names, filters, enabled, targets) = columns(new.iter().copied());
    let query = sqlx::query_scalar(ADD).bind(owners).bind(names).bind(filters).bind(enabled).bind(targets);
    Ok(query.fetch_all(connection).await?)
}

async fn replace(connection: &mut PgConnection, replacing: &[(i64, &NewProfile)]) -> Result<(), Error> {
    let (owners, names, filters, enabled, targets) = columns(replacing.iter().map(|(_, profile)| *profile));
    let ids: Vec<i64> = replacing.iter().map(|(id, _)| *id).collect();
    let query = sqlx::query_scalar(REPLACE).bind(owners).bind(names).bind(filters).bind(enabled).bind(targets);
    let found: Vec<i64> = query.bind(&ids).fetch_all(connection).await?;
    if found.len() == ids.len() { Ok(()) } else { Err(profiles::missing(ids.into_iter(), &found)) }
}

async fn put(store: &Postgres, given: &[NewProfile]) -> Result<Vec<ProfileId>, Error> {
    let (new, replacing) = profiles::parted(given)?;
    let mut lease = Lease::begin(&store.writers).await?;
    let outcome = async {
        if !replacing.is_empty() {
            replace(&mut lease, &replacing).await?;
        }
        if new.is_empty() { Ok(Vec::new()) } else { add(&mut lease, &new).await }
    }
    .await;
    profiles::in_order(given, lease.end(outcome).await?)
}

async fn enable(store: &Postgres, ids: &[ProfileId], enabled: bool) -> Result<Vec<ProfileId>, Error> {
    let ids: Vec<i64> = profiles::numbers(ids).collect();
    sqlx::query(ENABLE).bind(&ids).bind(enabled).execute(&store.writers).await?;
    Ok(profiles::ids(sqlx::query_scalar(KNOWN).bind(&ids).fetch_all(&store.writers).await?))
}

/// A connection that listens, and a look now and then. While there is none, more looks.
struct Listening {
    address: PgConnectOptions,
    listener: Option<(PgListener, PgPool)>,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("listens", &self.listener.is_some()).finish_non_exhaustive()
    }
}

impl Listening {
    /// A pool of its own: it holds its connection for good.
    async fn listen(&mut self) -> Result<(), sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(LISTEN_WITHIN);
        let pool = pool.connect_lazy_with(self.address.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        self.listener = Some((listener, pool));
        Ok(())
    }
}

#[async_trait]
impl ProfileNews for Listening {
    async fn wait(&mut self) {
        let Some((listener, _)) = &mut self.listener else {
            // What came before it listened, the look after this finds.
            if !matches!(tokio::time::timeout(LISTEN_WITHIN, self.listen()).await, Ok(Ok(()))) {
                tokio::time::sleep(LOOK_ALONE_EVERY).await;
            }
            return;
        };
        match tokio::time::timeout(LOOK_EVERY, listener.try_recv()).await {
            Ok(Ok(Some(_))) | Err(_) => {}
            // The connection is gone: whatever it would have told, the look after this finds.
            Ok(Ok(None) | Err(_)) => self.listener = None,
        }
    }
}

#[async_trait]
impl Profiles for Postgres {
    async fn put_profiles(&self, profiles: &[NewProfile]) -> Result<Vec<ProfileId>, Error> {
        self.bounded(put(self, profiles)).await
    }

    async fn remove_profiles(&self, ids: &[ProfileId]) -> Result<Vec<ProfileId>, Error> {
        let query = sqlx::query_scalar(REMOVE).bind(profiles::numbers(ids).collect::<Vec<_>>());
        self.bounded(async { Ok(profiles::ids(query.fetch_all(&self.writers).await?)) }).await
    }

    async fn enable_profiles(&self, ids: &[ProfileId], enabled: bool) -> Result<Vec<ProfileId>, Error> {
        self.bounded(enable(self, ids, enabled)).await
    }

    async fn profiles(&self, which: &Which) -> Result<Vec<StoredProfile>, Error> {
        let ids = (!which.ids.is_empty()).then(|| profiles::numbers(&which.ids).collect::<Vec<_>>());
        let query = sqlx::query_as(SELECT).bind(which.after).bind(ids).bind(&which.owner);
        let query = query.bind(which.limit.map(i64::from));
        self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await
    }

    async fn count_profiles(&self) -> Result<i64, Error> {
        self.bounded(async { Ok(sqlx::query_scalar(profiles::COUNT).fetch_one(&self.readers).await?) }).await
    }

    async fn known_profiles(&self, ids: &[ProfileId]) -> Result<Vec<ProfileId>, Error> {
        let query = sqlx::query_scalar(KNOWN).bind(profiles::numbers(ids).collect::<Vec<_>>());
        self.bounded(async { Ok(profiles::ids(query.fetch_all(&self.readers).await?)) }).await
    }

    async fn last_profile_change(&self) -> Result<i64, Error> {
        self.bounded(async { Ok(sqlx::query_scalar(profiles::LAST_CHANGE).fetch_one(&self.readers).await?) }).await
    }

    async fn watched_profiles(&self, after: i64, limit: u32) -> Result<Vec<WatchedProfile>, Error> {
        let query = sqlx::query_as(profiles::WATCHED).bind(after).bind(i64::from(limit)).fetch_all(&self.readers);
        let rows: Vec<profiles::WatchedRow> = self.bounded(async { Ok(query.await?) }).await?;
        Ok(rows.into_iter().filter_map(profiles::watched).collect())
    }

    async fn profile_changes(&self, after: i64, limit: u32) -> Result<Vec<ProfileChange>, Error> {
        let query = sqlx::query_as(profiles::CHANGES).bind(after).bind(i64::from(limit)).fetch_all(&self.readers);
        let rows: Vec<profiles::ChangeRow> = self.bounded(async { Ok(query.await?) }).await?;
        Ok(rows.into_iter().filter_map(profiles::change).collect())
    }

    fn profile_news(&self) -> Box<dyn ProfileNews> {
        Box::new(Listening { address: self.options.clone(), listener: None })
    }

    async fn add_profile_matches(&self, matched: &[Matched]) -> Result<(), Error> {
        let query = sqlx::query(MATCHED)
            .bind(matched.iter().map(|one| one.profile_id.get()).collect::<Vec<_>>())
            .bind(matched.iter().map(|one| one.matches).collect::<Vec<_>>())
            .bind(matched.iter().map(|one| stamp(one.last_matched_at)).collect::<Vec<_>>());
        self.bounded(async { Ok(query.execute(&self.writers).await.map(drop)?) }).await
    }

    async fn stored_kills(
        &self,
        before: Option<KillmailId>,
        since: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Kill>, Error> {
        let query = sqlx::query(KILLS)
            .bind(before.map_or(i64::MAX, KillmailId::get))
            .bind(stamp(since.unwrap_or(Timestamp::UNIX_EPOCH)))
            .bind(i64::from(limit));
        let rows = self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        rows.iter().map(|row| Ok(kill(row)?.kill())).collect()
    }
}

impl FromRow<'_, PgRow> for StoredProfile {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let moment = |column| row.try_get::<jiff_sqlx::Timestamp, _>(column).map(jiff_sqlx::Timestamp::to_jiff);
        let last: Option<jiff_sqlx::Timestamp> = row.try_get("last_matched_at")?;
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
            last_matched_at: last.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }
}

fn kill(row: &PgRow) -> Result<KillRow, Error> {
    Ok(KillRow {
        payload: row.try_get("payload")?,
        source: row.try_get("source")?,
        received_at: row.try_get::<jiff_sqlx::Timestamp, _>("received_at")?.to_jiff(),
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
        module_tags: row.try_get("module_tags")?,
        npc: row.try_get("npc")?,
        solo: row.try_get("solo")?,
        awox: row.try_get("awox")?,
        points: row.try_get("points")?,
        labels: row.try_get("labels")?,
    })
}
