//! Which surveillance profiles match the kills of a call: rows of `profile_matches`, in the transaction that stores the kills.

use std::collections::HashSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};

use super::statements::{self, Insert, Prepared, Row};
use super::{id_list, stamp};
use crate::killmail::{Kill, Killmail};
use crate::store::Error;
use crate::store::rows::{self, MATCH, Match};

/// A match may be there already: one that stays, or of a kill that was deleted by hand.
static INSERT: LazyLock<Insert> = LazyLock::new(|| Insert::new("profile_matches", &MATCH, "ON CONFLICT DO NOTHING"));

/// The rows of these kills, as statements.
pub(super) fn prepare(
    kills: &[&Kill],
    mails: &[&Killmail],
    indexes: &[usize],
    now: Timestamp,
) -> Result<Vec<Prepared>, Error> {
    let now = stamp(now);
    let mut rows = Vec::new();
    let mut time = (Timestamp::MIN, String::new());
    for found in rows::matches(kills, mails, indexes.iter().copied()) {
        if time.0 != found.killmail_time {
            time = (found.killmail_time, found.killmail_time.to_string());
        }
        rows.push(Written { found, time: time.1.clone(), now: now.clone() });
    }
    INSERT.prepare(&rows)
}

/// Deletes what is no match any more of kills that are stored, as far as they were matched again; answers which were matches before: kill and profile.
pub(super) async fn clear(
    connection: &mut SqliteConnection,
    kills: &[&Kill],
    mails: &[&Killmail],
    changed: impl Iterator<Item = usize>,
) -> Result<HashSet<(i64, i64)>, Error> {
    let changed: Vec<usize> = changed.filter(|&at| kills[at].matches.is_some()).collect();
    if changed.is_empty() {
        return Ok(HashSet::new());
    }
    let ids = || id_list(changed.iter().map(|&at| mails[at].killmail_id.get()));
    let sql =
        "SELECT killmail_id, profile_id FROM profile_matches WHERE killmail_id IN (SELECT value FROM json_each(?))";
    let before: Vec<(i64, i64)> = sqlx::query_as(sql).bind(ids()).fetch_all(&mut *connection).await?;
    if before.is_empty() {
        return Ok(HashSet::new());
    }
    for &at in &changed {
        let profiles = kills[at].matches.iter().flat_map(|matches| matches.iter());
        let sql = "DELETE FROM profile_matches WHERE killmail_id = ?
            AND (killmail_time <> ? OR profile_id NOT IN (SELECT value FROM json_each(?)))";
        let query = sqlx::query(sql).bind(mails[at].killmail_id.get()).bind(mails[at].killmail_time.to_string());
        query.bind(id_list(profiles.map(|id| id.get()))).execute(&mut *connection).await?;
    }
    Ok(before.into_iter().collect())
}

/// The matches of these kills that were none before: kill and profile. Asked of nobody whose kill is to be told to nobody.
pub(super) fn new(
    kills: &[&Kill],
    mails: &[&Killmail],
    indexes: &[usize],
    before: &HashSet<(i64, i64)>,
) -> HashSet<(i64, i64)> {
    let told = indexes.iter().copied().filter(|&at| kills[at].alerts.as_deref().is_some_and(|to| !to.is_empty()));
    let found = rows::matches(kills, mails, told).map(|found| (found.killmail_id, found.profile_id));
    found.filter(|found| !before.contains(found)).collect()
}

pub(super) async fn execute(connection: &mut SqliteConnection, prepared: Vec<Prepared>) -> Result<(), Error> {
    statements::execute(connection, prepared).await.map(drop)
}

/// A row of `profile_matches`.
struct Written {
    found: Match,
    time: String,
    now: String,
}

impl Row for Written {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        arguments.add(self.found.killmail_id)?;
        arguments.add(self.time.as_str())?;
        arguments.add(self.found.profile_id)?;
        arguments.add(self.now.as_str())
    }
}
