//! Storing kills: one transaction a call.
//!
//! Rows and their parameters are built before the writer is taken, on the assumption that every kill is new; that is nearly always
//! so. Once in the transaction, a look at the ids shows whether it is, and only otherwise they are built again.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool};
use sqlx::{Arguments, Row as _};

use super::letters::names;
use super::statements::{self, Insert, Prepared, Row};
use super::{alerts, id_list, matches, refreshes, stamp};
use crate::killmail::{Form, Kill, Killmail, KillmailId};
use crate::store::alerts::of_kills;
use crate::store::plan::{Plan, Step, changes, plan};
use crate::store::rehearsal::{self, Rehearsed};
use crate::store::rows::{self, Enriched, Participant, Raw};
use crate::store::{Change, Error};

static INSERT_RAW: LazyLock<Insert> = LazyLock::new(|| upsert("killmails_raw", &rows::RAW));
static INSERT_ENRICHED: LazyLock<Insert> = LazyLock::new(|| upsert("killmails_enriched", &rows::ENRICHED));
static INSERT_PARTICIPANTS: LazyLock<Insert> =
    LazyLock::new(|| Insert::new("killmail_participants", &rows::PARTICIPANT, ""));
static INSERT_EVENTS: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new("killmail_events", &["system_id", "killmail_id", "created_at"], "RETURNING killmail_id, event_id")
});

/// Inserts, or puts the richer copy in the place of the poorer one.
fn upsert(table: &str, columns: &[&str]) -> Insert {
    let sets: Vec<_> = columns[1..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
    Insert::new(table, columns, &format!("ON CONFLICT (killmail_id) DO UPDATE SET {}", sets.join(", ")))
}

pub(super) async fn insert(pool: &SqlitePool, kills: &[&Kill], events: bool) -> Result<Vec<Change>, Error> {
    let call = Call::new(kills)?;
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let changes = call.write(&mut transaction, events).await?;
    transaction.commit().await?;
    Ok(changes)
}

/// What [`insert`] would do, in a transaction that is undone.
pub(super) async fn rehearse(pool: &SqlitePool, kill: &Kill) -> Result<Rehearsed, Error> {
    let kills = [kill];
    let call = Call::new(&kills)?;
    let id = call.ranks[0].0;
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let before = snapshot(&mut transaction, id).await?;
    let changes = call.write(&mut transaction, false).await?;
    let after = snapshot(&mut transaction, id).await?;
    transaction.rollback().await?;
    let change = changes.first().copied().unwrap_or(Change::Same);
    Ok(Rehearsed { change, rows: rehearsal::changes(before, after) })
}

/// Every row of this kill, by table.
async fn snapshot(connection: &mut SqliteConnection, id: i64) -> Result<Vec<rehearsal::Rows>, Error> {
    let mut tables = Vec::with_capacity(rehearsal::TABLES.len());
    for (table, _) in rehearsal::TABLES {
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info(?)").bind(table).fetch_all(&mut *connection).await?;
        let pair = |column: &String| match column.as_str() {
            "payload" => "'payload_bytes', length(CAST(payload AS BLOB))".to_owned(),
            column => format!("'{column}', \"{column}\""),
        };
        let pairs: Vec<String> = columns.iter().map(pair).collect();
        // names of our own tables and columns alone
        let sql = format!("SELECT json_object({}) FROM {table} WHERE killmail_id = ?", pairs.join(", "));
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(id).fetch_all(&mut *connection).await?;
        tables.push(rehearsal::objects(rows));
    }
    Ok(tables)
}

/// Kills to store, on the assumption that all of them are new.
struct Call<'a> {
    kills: &'a [&'a Kill],
    mails: Vec<&'a Killmail>,
    ranks: Vec<(i64, i64)>,
    assumed: Plan,
    writes: Writes,
    now: Timestamp,
}

impl<'a> Call<'a> {
    fn new(kills: &'a [&'a Kill]) -> Result<Self, Error> {
        let mails = kills.iter().map(|kill| rows::checked(kill)).collect::<Result<Vec<_>, _>>()?;
        let weigh = |(kill, mail): (&&Kill, &&Killmail)| (mail.killmail_id.get(), rows::weight(kill, mail));
        let ranks: Vec<_> = kills.iter().zip(&mails).map(weigh).collect();
        let now = Timestamp::now();
        let assumed = plan(&ranks, &HashMap::new());
        let writes = Writes::prepare(kills, &mails, &assumed.writes, now)?;
        Ok(Self { kills, mails, ranks, assumed, writes, now })
    }

    /// Within a transaction of the caller's.
    async fn write(self, transaction: &mut SqliteConnection, events: bool) -> Result<Vec<Change>, Error> {
        let Self { kills, mails, ranks, assumed, mut writes, now } = self;
        let stored = stored_ranks(transaction, &ranks).await?;
        let mut matched_before = HashSet::new();
        let plan = if stored.is_empty() { assumed } else { plan(&ranks, &stored) };
        if !stored.is_empty() {
            writes = Writes::prepare(kills, &mails, &plan.writes, now)?;
            let replaced = || plan.writes.iter().copied().filter(|&index| stored.contains_key(&ranks[index].0));
            let ids = || replaced().map(|index| ranks[index].0);
            delete_participants(transaction, ids()).await?;
            refreshes::forget(transaction, ids()).await?;
            matched_before = matches::clear(transaction, kills, &mails, replaced()).await?;
        }
        if plan.writes.is_empty() {
            return Ok(vec![Change::Same; kills.len()]);
        }
        writes.execute(transaction).await?;
        refreshes::note(transaction, &rows::unfinished(kills, &mails, &plan.writes), now).await?;
        let ids = if events { insert_events(transaction, &mails, &plan, now).await? } else { HashMap::new() };
        let new_matches = matches::new(kills, &mails, &plan.writes, &matched_before);
        let is_new = |id| !stored.contains_key(&id);
        let alerts = of_kills(kills, &mails, &plan.writes, is_new, &new_matches, &ids);
        alerts::add(transaction, &alerts, now).await?;
        Ok(changes(&plan, &ranks, &ids))
    }
}

async fn stored_ranks(connection: &mut SqliteConnection, ranks: &[(i64, i64)]) -> Result<HashMap<i64, i64>, Error> {
    let ids = id_list(ranks.iter().map(|(id, _)| *id));
    let sql = "SELECT killmail_id, form * 2 FROM killmails_raw WHERE killmail_id IN (SELECT value FROM json_each(?))";
    Ok(sqlx::query_as(sql).bind(ids).fetch_all(connection).await?.into_iter().collect())
}

pub(super) async fn lacking(
    pool: &SqlitePool,
    ids: &[KillmailId],
    form: Form,
    _day: Date,
) -> Result<Vec<KillmailId>, Error> {
    let sql = "SELECT value FROM json_each(?1) WHERE NOT EXISTS
        (SELECT 1 FROM killmails_raw WHERE killmail_id = value AND form >= ?2) ORDER BY key";
    let query = sqlx::query_scalar(sql).bind(id_list(ids.iter().map(|id| id.get()))).bind(rows::rank(form));
    let lacking: Vec<i64> = query.fetch_all(pool).await?;
    Ok(lacking.into_iter().filter_map(KillmailId::new).collect())
}

async fn delete_participants(connection: &mut SqliteConnection, ids: impl Iterator<Item = i64>) -> Result<(), Error> {
    let sql = "DELETE FROM killmail_participants WHERE killmail_id IN (SELECT value FROM json_each(?))";
    sqlx::query(sql).bind(id_list(ids)).execute(connection).await?;
    Ok(())
}

/// Events for the kills that are new, in their order; answers the event ids by killmail id.
async fn insert_events(
    connection: &mut SqliteConnection,
    mails: &[&Killmail],
    plan: &Plan,
    now: Timestamp,
) -> Result<HashMap<i64, i64>, Error> {
    let new = plan.steps.iter().zip(mails).filter(|(step, _)| **step == Step::New);
    let rows: Vec<_> = new
        .map(|(_, mail)| Event {
            system_id: mail.solar_system_id.get(),
            killmail_id: mail.killmail_id.get(),
            created_at: now,
        })
        .collect();
    let returned = statements::fetch(connection, INSERT_EVENTS.prepare(&rows)?).await?;
    returned.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Everything a transaction writes but the events.
struct Writes {
    raw: Vec<Prepared>,
    enriched: Vec<Prepared>,
    participants: Vec<Prepared>,
    matches: Vec<Prepared>,
}

impl Writes {
    fn prepare(kills: &[&Kill], mails: &[&Killmail], indexes: &[usize], now: Timestamp) -> Result<Self, Error> {
        let raw = indexes.iter().map(|&i| rows::raw(kills[i], mails[i])).collect::<Result<Vec<_>, _>>()?;
        let enriched: Vec<_> = indexes.iter().map(|&i| rows::enriched(kills[i], mails[i], now)).collect();
        let participants: Vec<_> = indexes.iter().flat_map(|&i| rows::participants(kills[i], mails[i])).collect();
        Ok(Self {
            raw: INSERT_RAW.prepare(&raw)?,
            enriched: INSERT_ENRICHED.prepare(&enriched)?,
            participants: INSERT_PARTICIPANTS.prepare(&participants)?,
            matches: matches::prepare(kills, mails, indexes, now)?,
        })
    }

    async fn execute(self, connection: &mut SqliteConnection) -> Result<(), Error> {
        statements::execute(connection, self.raw).await?;
        statements::execute(connection, self.enriched).await?;
        statements::execute(connection, self.participants).await?;
        matches::execute(connection, self.matches).await
    }
}

/// A row of `killmail_events`.
struct Event {
    system_id: i64,
    killmail_id: i64,
    created_at: Timestamp,
}

impl Row for Event {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        arguments.add(self.system_id)?;
        arguments.add(self.killmail_id)?;
        arguments.add(stamp(self.created_at))
    }
}

impl Row for Raw<'_> {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        arguments.add(self.killmail_id)?;
        arguments.add(self.killmail_hash.as_deref())?;
        arguments.add(self.killmail_time.to_string())?;
        arguments.add(self.solar_system_id)?;
        arguments.add(self.source)?;
        arguments.add(stamp(self.received_at))?;
        arguments.add(self.form)?;
        arguments.add(self.payload)
    }
}

impl Row for Enriched<'_> {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        arguments.add(self.killmail_id)?;
        arguments.add(self.killmail_time.to_string())?;
        arguments.add(self.solar_system_id)?;
        arguments.add(self.constellation_id)?;
        arguments.add(self.region_id)?;
        arguments.add(self.security_status)?;
        arguments.add(self.system_class)?;
        arguments.add(self.victim_character_id)?;
        arguments.add(self.victim_corporation_id)?;
        arguments.add(self.victim_alliance_id)?;
        arguments.add(self.victim_faction_id)?;
        arguments.add(self.victim_ship_type_id)?;
        arguments.add(self.ship_class)?;
        arguments.add(self.attacker_count)?;
        arguments.add(self.total_value)?;
        arguments.add(self.destroyed_value)?;
        arguments.add(self.dropped_value)?;
        arguments.add(self.fitted_value)?;
        arguments.add(self.price_source)?;
        arguments.add(names(self.module_tags))?;
        arguments.add(self.npc)?;
        arguments.add(self.solo)?;
        arguments.add(self.awox)?;
        arguments.add(self.points)?;
        arguments.add(self.labels.as_deref().map(names))?;
        arguments.add(self.enrichment_status)?;
        arguments.add(stamp(self.enriched_at))
    }
}

impl Row for Participant {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        arguments.add(self.killmail_id)?;
        arguments.add(self.killmail_time.to_string())?;
        arguments.add(self.position)?;
        arguments.add(self.is_victim)?;
        arguments.add(self.character_id)?;
        arguments.add(self.corporation_id)?;
        arguments.add(self.alliance_id)?;
        arguments.add(self.faction_id)?;
        arguments.add(self.ship_type_id)?;
        arguments.add(self.weapon_type_id)?;
        arguments.add(self.damage_done)?;
        arguments.add(self.final_blow)?;
        arguments.add(self.security_status)?;
        arguments.add(self.mass_balance)?;
        arguments.add(self.usefulness)
    }
}
