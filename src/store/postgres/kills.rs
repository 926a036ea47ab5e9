//! Storing kills: one transaction a call.
//!
//! 1. Raw rows are **claimed**, in the order of their ids: `INSERT … ON CONFLICT DO NOTHING` waits for whoever is storing the same kill
//!    and then answers which are new. Everyone claims in the same order, so nobody waits in a circle.
//! 2. For the new ones (nearly always all) enriched rows and participants are copied in, as they were encoded before any connection
//!    was taken. Only when some were there already it is looked at whether they are poorer, and everything is encoded again.
//! 3. Events come last, because from there on others wait (see the migration that makes `killmail_events`).

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};

use super::copy::{Cents, Rows};
use super::error::lacks_partition;
use super::lease::Lease;
use super::{Postgres, partitions, stamp};
use crate::killmail::{Kill, Killmail};
use crate::store::plan::{Plan, Step, changes, plan};
use crate::store::rows::{self, Enriched, Participant, Raw};
use crate::store::{Change, Error, Month};

/// A kill that has the same id and another time is the same kill: the key cannot see that, as it holds the time.
const CLAIM: &str = "INSERT INTO killmails_raw
    (killmail_id, killmail_hash, killmail_time, solar_system_id, source, received_at, form, payload)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::bigint[], $5::text[], $6::timestamptz[], $7::smallint[], $8::text[])
        AS new (id, hash, time, system, source, received, form, payload)
    WHERE NOT EXISTS (SELECT FROM killmails_raw WHERE killmail_id = new.id AND killmail_time >= $9 AND killmail_time < $10)
    ORDER BY new.id ON CONFLICT DO NOTHING RETURNING killmail_id";

/// The row stays the same one, so that whoever waits for it finds what it has become.
const ENRICH: &str = "UPDATE killmails_raw
    SET killmail_hash = new.hash, killmail_time = new.time, solar_system_id = new.system, source = new.source, received_at = new.received,
        form = new.form, payload = new.payload
    FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::bigint[], $5::text[], $6::timestamptz[], $7::smallint[], $8::text[])
        AS new (id, hash, time, system, source, received, form, payload)
    WHERE killmail_id = new.id AND killmail_time >= $9 AND killmail_time < $10
    RETURNING killmail_id";

const STORED: &str = "SELECT killmail_id, form::bigint FROM killmails_raw
    WHERE killmail_id = ANY ($1) AND killmail_time >= $2 AND killmail_time < $3";

/// In one order for all, as claims are.
const STORED_LOCKED: &str = "SELECT killmail_id, form::bigint FROM killmails_raw
    WHERE killmail_id = ANY ($1) AND killmail_time >= $2 AND killmail_time < $3 ORDER BY killmail_id FOR UPDATE";

const EVENTS: &str = "INSERT INTO killmail_events (system_id, killmail_id, killmail_time, created_at)
    SELECT system, id, time, $4 FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) WITH ORDINALITY AS new (system, id, time, place)
    ORDER BY place RETURNING killmail_id, event_id";

/// Why an attempt ended.
enum Ended {
    /// A month that was there is not any more.
    NoPartition,
    Failed(Error),
}

impl From<sqlx::Error> for Ended {
    fn from(error: sqlx::Error) -> Self {
        if lacks_partition(&error) { Self::NoPartition } else { Self::Failed(error.into()) }
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) async fn insert(store: &Postgres, kills: &[&Kill], events: bool) -> Result<Vec<Change>, Error> {
    let mails = kills.iter().map(|kill| rows::checked(kill)).collect::<Result<Vec<_>, _>>()?;
    let call = Call::new(kills, &mails)?;
    for _ in 0..2 {
        if store.known.lacks(&call.months) {
            partitions::ensure(&store.writers, call.months.iter().copied()).await?;
            store.known.add(call.months.iter().copied());
        }
        match call.attempt(store, events).await {
            Ok(changes) => return Ok(changes),
            Err(Ended::NoPartition) => store.known.forget(),
            Err(Ended::Failed(error)) => return Err(error),
        }
    }
    Err(Error::Transient("somebody keeps dropping the months that these kills need".to_owned()))
}

/// Kills to store, on the assumption that all of them are new.
struct Call<'a> {
    kills: &'a [&'a Kill],
    mails: &'a [&'a Killmail],
    ranks: Vec<(i64, i64)>,
    assumed: Plan,
    writes: Writes<'a>,
    months: BTreeSet<Month>,
    span: Span,
    now: Timestamp,
}

/// From the first moment of the first month to the end of the last: what the planner needs to leave all other months alone.
type Span = (jiff_sqlx::Timestamp, jiff_sqlx::Timestamp);

impl<'a> Call<'a> {
    fn new(kills: &'a [&'a Kill], mails: &'a [&'a Killmail]) -> Result<Self, Error> {
        let ranks: Vec<_> = mails.iter().map(|mail| (mail.killmail_id.get(), rows::rank(mail.form))).collect();
        let now = Timestamp::now();
        let assumed = plan(&ranks, &HashMap::new());
        let writes = Writes::prepare(kills, mails, &assumed.writes, now)?;
        let months: BTreeSet<_> = mails.iter().map(|mail| Month::of(mail.killmail_time)).collect();
        let first = months.first().map_or(Timestamp::MIN, |month| month.start());
        let end = months.last().map_or(Timestamp::MIN, |month| month.plus(1).start());
        Ok(Self { kills, mails, ranks, assumed, writes, months, span: (first.into(), end.into()), now })
    }

    async fn attempt(&self, store: &Postgres, events: bool) -> Result<Vec<Change>, Ended> {
        let mut lease = Lease::new(store.writer().await?);
        lease.execute("BEGIN").await?;
        let outcome = self.store(&mut lease, events).await;
        let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
        match outcome {
            // The conversation is intact: it was the server that refused.
            Ok(_) | Err(Ended::NoPartition | Ended::Failed(Error::Data { .. })) => {
                lease.execute(end).await?;
                lease.done();
            }
            Err(Ended::Failed(_)) => {}
        }
        outcome
    }

    async fn store(&self, connection: &mut PgConnection, events: bool) -> Result<Vec<Change>, Ended> {
        let claimed = write_raw(connection, CLAIM, &self.writes.raw, self.span).await?;
        if claimed.len() == self.writes.raw.len() {
            self.writes.copy(connection).await?;
            return self.announce(connection, &self.assumed, events).await;
        }
        let plan = self.compare(connection, &claimed).await?;
        let (new, richer): (Vec<_>, Vec<_>) =
            plan.writes.iter().partition(|&&index| claimed.contains(&self.ranks[index].0));
        if !richer.is_empty() {
            self.replace(connection, &richer).await?;
        }
        let indexes: Vec<_> = new.into_iter().chain(richer).copied().collect();
        if !indexes.is_empty() {
            Writes::prepare(self.kills, self.mails, &indexes, self.now)?.copy(connection).await?;
        }
        self.announce(connection, &plan, events).await
    }

    /// What this call changes, given what others have stored before it.
    async fn compare(&self, connection: &mut PgConnection, claimed: &BTreeSet<i64>) -> Result<Plan, Ended> {
        let others: Vec<i64> =
            self.writes.raw.iter().map(|raw| raw.killmail_id).filter(|id| !claimed.contains(id)).collect();
        let mut stored: HashMap<i64, i64> = self.stored(connection, STORED, &others).await?.into_iter().collect();
        if stored.len() < others.len() {
            return Err(Error::Transient("kills were there and are not any more".to_owned()).into());
        }
        let first = plan(&self.ranks, &stored);
        let richer: Vec<i64> =
            first.writes.iter().map(|&index| self.ranks[index].0).filter(|id| stored.contains_key(id)).collect();
        if richer.is_empty() {
            return Ok(first);
        }
        // Another worker may be at the same: once the rows are ours, look again.
        stored.extend(self.stored(connection, STORED_LOCKED, &richer).await?);
        Ok(plan(&self.ranks, &stored))
    }

    async fn stored(
        &self,
        connection: &mut PgConnection,
        sql: &'static str,
        ids: &[i64],
    ) -> Result<Vec<(i64, i64)>, sqlx::Error> {
        sqlx::query_as(sql).bind(ids).bind(self.span.0).bind(self.span.1).fetch_all(connection).await
    }

    /// Puts the richer copies' raw rows in the places of the poorer ones', and takes the rest of those away.
    async fn replace(&self, connection: &mut PgConnection, indexes: &[&usize]) -> Result<(), Ended> {
        let ids: Vec<i64> = indexes.iter().map(|&&index| self.ranks[index].0).collect();
        for table in ["killmail_participants", "killmails_enriched"] {
            let sql = format!(
                "DELETE FROM {table} WHERE killmail_id = ANY ($1) AND killmail_time >= $2 AND killmail_time < $3"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(&ids).bind(self.span.0).bind(self.span.1);
            query.execute(&mut *connection).await?;
        }
        let raw = indexes.iter().map(|&&index| rows::raw(self.kills[index], self.mails[index]));
        write_raw(connection, ENRICH, &raw.collect::<Result<Vec<_>, _>>()?, self.span).await?;
        Ok(())
    }

    /// Events for the kills that are new, in their order.
    async fn announce(&self, connection: &mut PgConnection, plan: &Plan, events: bool) -> Result<Vec<Change>, Ended> {
        let new = || plan.steps.iter().zip(self.mails).filter(|(step, _)| **step == Step::New).map(|(_, mail)| mail);
        if !events || new().next().is_none() {
            return Ok(changes(plan, &self.ranks, &HashMap::new()));
        }
        let query = sqlx::query_as(EVENTS)
            .bind(new().map(|mail| mail.solar_system_id.get()).collect::<Vec<_>>())
            .bind(new().map(|mail| mail.killmail_id.get()).collect::<Vec<_>>())
            .bind(new().map(|mail| stamp(mail.killmail_time)).collect::<Vec<_>>())
            .bind(stamp(self.now));
        let ids: HashMap<i64, i64> = query.fetch_all(connection).await?.into_iter().collect();
        Ok(changes(plan, &self.ranks, &ids))
    }
}

/// Writes raw rows ([`CLAIM`]: of kills that are not there; [`ENRICH`]: of those that are), in the order of their ids; answers which.
async fn write_raw(
    connection: &mut PgConnection,
    sql: &'static str,
    raw: &[Raw<'_>],
    span: Span,
) -> Result<BTreeSet<i64>, sqlx::Error> {
    let mut raw: Vec<&Raw<'_>> = raw.iter().collect();
    raw.sort_unstable_by_key(|raw| raw.killmail_id);
    let query = sqlx::query_scalar(sql)
        .bind(raw.iter().map(|raw| raw.killmail_id).collect::<Vec<_>>())
        .bind(raw.iter().map(|raw| raw.killmail_hash.as_deref()).collect::<Vec<_>>())
        .bind(raw.iter().map(|raw| stamp(raw.killmail_time)).collect::<Vec<_>>())
        .bind(raw.iter().map(|raw| raw.solar_system_id).collect::<Vec<_>>())
        .bind(raw.iter().map(|raw| raw.source).collect::<Vec<_>>())
        .bind(raw.iter().map(|raw| stamp(raw.received_at)).collect::<Vec<_>>())
        .bind(raw.iter().map(|raw| raw.form as i16).collect::<Vec<_>>())
        .bind(raw.iter().map(|raw| raw.payload).collect::<Vec<_>>())
        .bind(span.0)
        .bind(span.1);
    Ok(query.fetch_all(connection).await?.into_iter().collect())
}

/// What a transaction writes for kills that are its own.
pub(super) struct Writes<'a> {
    pub(super) raw: Vec<Raw<'a>>,
    pub(super) enriched: Vec<u8>,
    pub(super) participants: Vec<u8>,
}

impl<'a> Writes<'a> {
    pub(super) fn prepare(
        kills: &[&'a Kill],
        mails: &[&Killmail],
        indexes: &[usize],
        now: Timestamp,
    ) -> Result<Self, Error> {
        let raw = indexes.iter().map(|&index| rows::raw(kills[index], mails[index])).collect::<Result<Vec<_>, _>>()?;
        let (mut enriched, mut participants) = (Rows::new(), Rows::new());
        for &index in indexes {
            put_enriched(&mut enriched, &rows::enriched(mails[index], now));
            rows::participants(mails[index]).for_each(|row| put_participant(&mut participants, &row));
        }
        Ok(Self { raw, enriched: enriched.finish(), participants: participants.finish() })
    }

    async fn copy(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        copy(connection, "killmails_enriched", &rows::ENRICHED, &self.enriched).await?;
        copy(connection, "killmail_participants", &rows::PARTICIPANT, &self.participants).await
    }
}

pub(super) async fn copy(
    connection: &mut PgConnection,
    table: &str,
    columns: &[&str],
    rows: &[u8],
) -> Result<(), sqlx::Error> {
    let sql = format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", columns.join(", "));
    let mut copy = connection.copy_in_raw(&sql).await?;
    copy.send(rows).await?;
    copy.finish().await.map(drop)
}

fn put_enriched(rows: &mut Rows, row: &Enriched) {
    rows.row(rows::ENRICHED.len());
    rows.put(row.killmail_id).put(row.killmail_time).put(row.solar_system_id).put(row.region_id);
    rows.put(row.victim_character_id).put(row.victim_corporation_id).put(row.victim_alliance_id);
    rows.put(row.victim_faction_id).put(row.victim_ship_type_id).put(row.attacker_count as i32);
    for money in [row.total_value, row.destroyed_value, row.dropped_value, row.fitted_value] {
        rows.put(money.map(Cents));
    }
    rows.put(row.price_source).put(row.module_tags).put(row.npc).put(row.solo).put(row.awox);
    rows.put(row.enrichment_status).put(row.enriched_at);
}

fn put_participant(rows: &mut Rows, row: &Participant) {
    rows.row(rows::PARTICIPANT.len());
    rows.put(row.killmail_id).put(row.killmail_time).put(row.position as i32).put(row.is_victim);
    rows.put(row.character_id).put(row.corporation_id).put(row.alliance_id).put(row.faction_id);
    rows.put(row.ship_type_id).put(row.weapon_type_id).put(row.damage_done).put(row.final_blow);
    rows.put(row.security_status);
}
