//! Which surveillance profiles match the kills of a call: rows of `profile_matches`, in the transaction that stores the kills.
//!
//! A kill may have hundreds. They travel as arrays, in statements of their own, which kills without matches never pay for. Of new kills the rows are plainly inserted: with
//! `ON CONFLICT` that takes twice as long (measured: 82,000 rows a second, and 160,000 so, both indexes included).

use jiff::Timestamp;
use sqlx::postgres::PgConnection;

use super::stamp;
use super::statements::Span;
use crate::killmail::{Kill, Killmail};
use crate::store::rows::{self, Match};

/// Each row says which of the kills it is of, counted from 1.
const INSERT: &str = "INSERT INTO profile_matches (killmail_id, killmail_time, profile_id, matched_at)
    SELECT ($1::bigint[])[place], ($2::timestamptz[])[place], profile, $3
    FROM unnest($4::int[], $5::bigint[]) AS given (place, profile)";

/// What is left of kills that were deleted by hand.
const CLEAR_ALL: &str =
    "DELETE FROM profile_matches WHERE killmail_id = ANY ($1) AND killmail_time >= $2 AND killmail_time < $3";

const INSERT_TELLING: &str = "INSERT INTO profile_matches (killmail_id, killmail_time, profile_id, matched_at)
    SELECT id, time, profile, $4 FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[]) AS given (id, time, profile)
    ON CONFLICT DO NOTHING RETURNING killmail_id, profile_id";

/// Those that are not any more, of these kills.
const CLEAR: &str =
    "DELETE FROM profile_matches old WHERE killmail_id = ANY ($1) AND killmail_time >= $2 AND killmail_time < $3
    AND NOT EXISTS (SELECT FROM unnest($4::bigint[], $5::timestamptz[], $6::bigint[]) AS given (id, time, profile)
        WHERE id = old.killmail_id AND time = old.killmail_time AND profile = old.profile_id)";

/// Writes the matches of kills that are new.
pub(super) async fn store(
    connection: &mut PgConnection,
    kills: &[&Kill],
    mails: &[&Killmail],
    new: impl Iterator<Item = usize>,
    span: Span,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let (mut ids, mut times, mut places, mut profiles) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Match { killmail_id, killmail_time, profile_id } in rows::matches(kills, mails, new) {
        if ids.last() != Some(&killmail_id) {
            ids.push(killmail_id);
            times.push(stamp(killmail_time));
        }
        places.push(ids.len() as i32);
        profiles.push(profile_id);
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(CLEAR_ALL).bind(&ids).bind(span.0).bind(span.1).execute(&mut *connection).await?;
    let query = sqlx::query(INSERT).bind(ids).bind(times).bind(stamp(now)).bind(places).bind(profiles);
    query.execute(connection).await?;
    Ok(())
}

/// Makes the matches of kills that are stored exactly those that were found now; of kills that were not matched they stay. Answers which are new: kill and profile.
pub(super) async fn replace(
    connection: &mut PgConnection,
    kills: &[&Kill],
    mails: &[&Killmail],
    changed: &[usize],
    span: Span,
    now: Timestamp,
) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    let matched = || changed.iter().copied().filter(|&at| kills[at].matches.is_some());
    let ids: Vec<i64> = matched().map(|at| mails[at].killmail_id.get()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(rows::matches(kills, mails, matched()));
    let clear = sqlx::query(CLEAR).bind(ids).bind(span.0).bind(span.1);
    clear.bind(&columns.ids).bind(&columns.times).bind(&columns.profiles).execute(&mut *connection).await?;
    if columns.ids.is_empty() {
        return Ok(Vec::new());
    }
    let query = sqlx::query_as(INSERT_TELLING).bind(columns.ids).bind(columns.times).bind(columns.profiles);
    query.bind(stamp(now)).fetch_all(connection).await
}

#[derive(Default)]
struct Columns {
    ids: Vec<i64>,
    times: Vec<jiff_sqlx::Timestamp>,
    profiles: Vec<i64>,
}

impl Columns {
    fn of(matches: impl Iterator<Item = Match>) -> Self {
        let mut columns = Self::default();
        for Match { killmail_id, killmail_time, profile_id } in matches {
            columns.ids.push(killmail_id);
            columns.times.push(stamp(killmail_time));
            columns.profiles.push(profile_id);
        }
        columns
    }
}
