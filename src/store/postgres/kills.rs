//! Storing kills: one transaction a call.
//!
//! 1. One statement stores what is new (`statements`): raw rows are **claimed**, in the order of their ids, with `ON CONFLICT DO NOTHING`, which waits for
//!    whoever is storing the same kill; enriched rows and participants follow for the kills that were claimed. Everyone claims in the same
//!    order, so nobody waits in a circle.
//! 2. Only when some kills were there already it is looked at whether they are poorer than what came.
//! 3. Events come last, because from there on others wait (see the migration that makes `killmail_events`).
//!
//! Rows travel as one array a column, encoded before any connection is taken. That reaches seven to nine tenths of the rate of a bare COPY
//! (`broadside bench --database …` compares), in a third of the round trips. COPY in this place was a tenth faster over a socket and five times
//! slower over TCP: sqlx 0.9.0 leaves Nagle's algorithm on, which holds the end of each COPY back for 40 ms.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use sqlx::Executor;
use sqlx::postgres::{PgArguments, PgConnection, PgPool};

use super::error::lacks_partition;
use super::lease::Lease;
use super::rules::{Broken, broken};
use super::statements::{self, Rows, store_new};
use super::{Postgres, alerts, matches, partitions, refreshes, stamp};
use crate::killmail::{Form, Kill, Killmail, KillmailId};
use crate::store::alerts::of_kills;
use crate::store::plan::{Plan, Step, changes, plan};
use crate::store::rehearsal::{self, Rehearsed};
use crate::store::rows;
use crate::store::{Change, Error, Month};

const STORED: &str = "SELECT killmail_id, form::bigint * 2 FROM killmails_raw
    WHERE killmail_id = ANY ($1) AND killmail_time >= $2 AND killmail_time < $3";

/// In one order for all, as claims are.
const STORED_LOCKED: &str = "SELECT killmail_id, form::bigint * 2 FROM killmails_raw
    WHERE killmail_id = ANY ($1) AND killmail_time >= $2 AND killmail_time < $3 ORDER BY killmail_id FOR UPDATE";

const EVENTS: &str = "INSERT INTO killmail_events (system_id, killmail_id, killmail_time, created_at)
    SELECT system, id, time, $4 FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) WITH ORDINALITY AS new (system, id, time, place)
    ORDER BY place RETURNING killmail_id, event_id";

/// Why an attempt ended.
enum Ended {
    /// A month that was there is not any more.
    NoPartition,
    /// A rule refuses a row, and maybe others.
    Refused(Broken, Error),
    Failed(Error),
}

impl From<sqlx::Error> for Ended {
    fn from(error: sqlx::Error) -> Self {
        match broken(&error) {
            _ if lacks_partition(&error) => Self::NoPartition,
            Some(broken) => Self::Refused(broken, error.into()),
            None => Self::Failed(error.into()),
        }
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
            Err(Ended::Refused(_, error) | Ended::Failed(error)) => return Err(error),
        }
    }
    Err(Error::Transient("somebody keeps dropping the months that these kills need".to_owned()))
}

/// What [`insert`] would do, in a transaction that is undone.
pub(super) async fn rehearse(store: &Postgres, kill: &Kill) -> Result<Rehearsed, Error> {
    let kills = [kill];
    let mails = [rows::checked(kill)?];
    let call = Call::new(&kills, &mails)?;
    let arguments = call.rows.arguments(call.span)?;
    let mut lease = Lease::new(store.writers.acquire().await?);
    lease.execute("BEGIN").await?;
    let lacks_month = store.known.lacks(&call.months);
    let outcome = call.rehearse(&mut lease, arguments, lacks_month).await;
    if let Err(Ended::Failed(error)) = &outcome
        && !matches!(error, Error::Data { .. })
    {
        return Err(error.clone());
    }
    // The conversation is intact: it was the server that refused.
    lease.execute("ROLLBACK").await?;
    lease.done();
    match outcome {
        Ok(rehearsed) => Ok(rehearsed),
        Err(Ended::NoPartition) => Err(Error::Transient("somebody dropped the month of this kill".to_owned())),
        Err(Ended::Refused(_, error) | Ended::Failed(error)) => Err(error),
    }
}

pub(super) async fn lacking(
    pool: &PgPool,
    ids: &[KillmailId],
    form: Form,
    day: Date,
) -> Result<Vec<KillmailId>, Error> {
    let midnight = |day: Date| day.to_zoned(TimeZone::UTC).map(|midnight| stamp(midnight.timestamp()));
    let unfit = |error| Error::Permanent(format!("look at the kills of {day}: {error}"));
    let (start, end) =
        (midnight(day).map_err(unfit)?, midnight(day.saturating_add(Span::new().days(1))).map_err(unfit)?);
    let sql = "SELECT id FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, place) WHERE NOT EXISTS
        (SELECT 1 FROM killmails_raw WHERE killmail_id = id AND killmail_time >= $2 AND killmail_time < $3 AND form >= $4)
        ORDER BY place";
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let query = sqlx::query_scalar(sql).bind(ids).bind(start).bind(end).bind(rows::rank(form));
    let lacking: Vec<i64> = query.fetch_all(pool).await?;
    Ok(lacking.into_iter().filter_map(KillmailId::new).collect())
}

/// Kills to store, on the assumption that all of them are new.
struct Call<'a> {
    kills: &'a [&'a Kill],
    mails: &'a [&'a Killmail],
    ranks: Vec<(i64, i64)>,
    assumed: Plan,
    rows: Rows<'a>,
    months: BTreeSet<Month>,
    span: statements::Span,
    now: Timestamp,
}

impl<'a> Call<'a> {
    fn new(kills: &'a [&'a Kill], mails: &'a [&'a Killmail]) -> Result<Self, Error> {
        let weigh = |(kill, mail): (&&Kill, &&Killmail)| (mail.killmail_id.get(), rows::weight(kill, mail));
        let ranks: Vec<_> = kills.iter().zip(mails).map(weigh).collect();
        let now = Timestamp::now();
        let assumed = plan(&ranks, &HashMap::new());
        let rows = Rows::new(kills, mails, &assumed.writes, now)?;
        let months: BTreeSet<_> = mails.iter().map(|mail| Month::of(mail.killmail_time)).collect();
        let first = months.first().map_or(Timestamp::MIN, |month| month.start());
        let end = months.last().map_or(Timestamp::MIN, |month| month.plus(1).start());
        Ok(Self { kills, mails, ranks, assumed, rows, months, span: (first.into(), end.into()), now })
    }

    async fn attempt(&self, store: &Postgres, events: bool) -> Result<Vec<Change>, Ended> {
        let arguments = self.rows.arguments(self.span)?;
        let mut lease = Lease::new(store.writers.acquire().await?);
        lease.execute("BEGIN").await?;
        let outcome = self.store(&mut lease, arguments, events).await;
        let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
        match outcome {
            Err(Ended::Failed(error)) if !matches!(error, Error::Data { .. }) => Err(Ended::Failed(error)),
            // The conversation is intact: it was the server that refused.
            mut outcome => {
                lease.execute(end).await?;
                if let Err(Ended::Refused(broken, Error::Data { killmail_ids, .. })) = &mut outcome {
                    let offenders = self.rows.offenders(&mut lease, broken).await?;
                    killmail_ids.extend(offenders);
                }
                lease.done();
                outcome
            }
        }
    }

    /// Stores within a transaction of the caller's, who undoes it.
    async fn rehearse(
        &self,
        connection: &mut PgConnection,
        arguments: PgArguments,
        lacks_month: bool,
    ) -> Result<Rehearsed, Ended> {
        let id = self.ranks[0].0;
        if lacks_month {
            // made, and undone with the rest
            partitions::ensure_within(connection, self.months.iter().copied()).await?;
        }
        let before = self.snapshot(connection, id).await?;
        let changes = self.store(connection, arguments, false).await?;
        let after = self.snapshot(connection, id).await?;
        let change = changes.first().copied().unwrap_or(Change::Same);
        Ok(Rehearsed { change, rows: rehearsal::changes(before, after) })
    }

    /// Every row of this kill, by table.
    async fn snapshot(&self, connection: &mut PgConnection, id: i64) -> Result<Vec<rehearsal::Rows>, sqlx::Error> {
        let mut tables = Vec::with_capacity(rehearsal::TABLES.len());
        for (table, _) in rehearsal::TABLES {
            // names of our own tables alone; a month's rows are found by the kill's time
            let sql = format!(
                "SELECT (CASE WHEN j ? 'payload' THEN j - 'payload' || jsonb_build_object('payload_bytes', octet_length(j ->> 'payload')) ELSE j END)::text
                 FROM (SELECT to_jsonb(t) AS j FROM {table} t WHERE killmail_id = $1 AND killmail_time >= $2 AND killmail_time < $3) rows"
            );
            let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(id).bind(self.span.0).bind(self.span.1);
            tables.push(rehearsal::objects(query.fetch_all(&mut *connection).await?));
        }
        Ok(tables)
    }

    async fn store(
        &self,
        connection: &mut PgConnection,
        arguments: PgArguments,
        events: bool,
    ) -> Result<Vec<Change>, Ended> {
        let claimed: BTreeSet<i64> = store_new(connection, arguments).await?.into_iter().collect();
        if claimed.len() == self.rows.raw.len() {
            matches::store(
                connection,
                self.kills,
                self.mails,
                self.assumed.writes.iter().copied(),
                self.span,
                self.now,
            )
            .await?;
            self.note(connection, &self.assumed).await?;
            return self.announce(connection, &self.assumed, events, &claimed, &HashSet::new()).await;
        }
        let plan = self.compare(connection, &claimed).await?;
        let is_new = |index: &usize| claimed.contains(&self.ranks[*index].0);
        let (new, richer): (Vec<usize>, Vec<usize>) = plan.writes.iter().partition(|index| is_new(index));
        matches::store(connection, self.kills, self.mails, new.into_iter(), self.span, self.now).await?;
        let mut new_matches = HashSet::new();
        if !richer.is_empty() {
            Rows::new(self.kills, self.mails, &richer, self.now)?.replace(connection, self.span).await?;
            let found = matches::replace(connection, self.kills, self.mails, &richer, self.span, self.now).await?;
            new_matches.extend(found);
            refreshes::forget(connection, richer.iter().map(|&index| self.ranks[index].0).collect()).await?;
        }
        self.note(connection, &plan).await?;
        self.announce(connection, &plan, events, &claimed, &new_matches).await
    }

    /// What this call changes, given what others have stored before it.
    async fn compare(&self, connection: &mut PgConnection, claimed: &BTreeSet<i64>) -> Result<Plan, Ended> {
        let others: Vec<i64> =
            self.rows.raw.iter().map(|raw| raw.killmail_id).filter(|id| !claimed.contains(id)).collect();
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

    /// What of it is to be completed later.
    async fn note(&self, connection: &mut PgConnection, plan: &Plan) -> Result<(), sqlx::Error> {
        refreshes::note(connection, &rows::unfinished(self.kills, self.mails, &plan.writes), self.now).await
    }

    /// Events for the kills that are new, in their order, and alerts in the same.
    async fn announce(
        &self,
        connection: &mut PgConnection,
        plan: &Plan,
        events: bool,
        claimed: &BTreeSet<i64>,
        new_matches: &HashSet<(i64, i64)>,
    ) -> Result<Vec<Change>, Ended> {
        let new = || plan.steps.iter().zip(self.mails).filter(|(step, _)| **step == Step::New).map(|(_, mail)| mail);
        let mut ids: HashMap<i64, i64> = HashMap::new();
        if events && new().next().is_some() {
            let query = sqlx::query_as(EVENTS)
                .bind(new().map(|mail| mail.solar_system_id.get()).collect::<Vec<_>>())
                .bind(new().map(|mail| mail.killmail_id.get()).collect::<Vec<_>>())
                .bind(new().map(|mail| stamp(mail.killmail_time)).collect::<Vec<_>>())
                .bind(stamp(self.now));
            let rows: Vec<(i64, i64)> = query.fetch_all(&mut *connection).await?;
            ids.extend(rows);
        }
        let is_new = |id| claimed.contains(&id);
        let told = of_kills(self.kills, self.mails, &plan.writes, is_new, new_matches, &ids);
        alerts::add(connection, &told, self.now).await?;
        Ok(changes(plan, &self.ranks, &ids))
    }
}
