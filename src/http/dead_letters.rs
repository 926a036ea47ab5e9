//! `/api/dead-letters`: what failed, by letter and by group; discarded, and groups marked, as the command `dlq` does it.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Extract};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::body::Body;
use super::error::ApiError;
use crate::dead_letter::{Group, Letter, Problem, Selection, Whole};
use crate::store::{DeadLetterFilter, DeadLetterState, GroupFilter, GroupNote, GroupSaid, GroupState, Settled, Store};

/// Letters, or groups, of an answer …
pub(super) const LIMIT: u32 = 100;
/// … and at most.
pub(super) const LIMIT_MAX: u32 = 1_000;
/// Letters that are moved in one go.
const SOME: usize = 1_000;
/// Characters of a reason, a version or a note.
const TEXT_MAX: usize = 500;

/// Which letters are asked for. Lists are `a,b`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    state: Option<String>,
    group: Option<String>,
    pipeline: Option<String>,
    stage: Option<String>,
    class: Option<String>,
    killmail_id: Option<i64>,
    since: Option<String>,
    until: Option<String>,
    after: i64,
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetters")]
pub(super) struct Listed<'a> {
    dead_letters: Vec<Letter<'a>>,
    /// Whether there are more, with greater ids.
    more: bool,
}

pub(super) async fn list(
    Extract(state): Extract<State>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = asked.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let limit = limit(asked.limit)?;
    let states = states(asked.state.as_deref().unwrap_or("open"), DeadLetterState::parse)?;
    let selection = Selection {
        groups: words(asked.group.as_deref()),
        pipeline: asked.pipeline,
        stage: asked.stage,
        class: asked.class,
        killmail_id: asked.killmail_id,
        since: asked.since,
        until: asked.until,
        ..Selection::default()
    };
    let filter = selection.any(&states, Timestamp::now()).map_err(unreadable)?;
    let filter = DeadLetterFilter { after: asked.after, limit: Some(limit + 1), ..filter };
    let mut letters = state.store.dead_letters(&filter).await?;
    let more = letters.len() > limit as usize;
    letters.truncate(limit as usize);
    Ok(Json(Listed { dead_letters: letters.iter().map(Letter::from).collect(), more }).into_response())
}

pub(super) async fn one(
    Extract(state): Extract<State>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("there is no such dead letter");
    let id = id.ok().and_then(|Path(id)| id.parse().ok()).ok_or_else(missing)?;
    let filter = DeadLetterFilter { ids: vec![id], payload: true, ..DeadLetterFilter::default() };
    let letters = state.store.dead_letters(&filter).await?;
    let letter = letters.first().ok_or_else(missing)?;
    Ok(Json(Whole::from(letter)).into_response())
}

/// Which groups are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AskedGroups {
    state: Option<String>,
    pipeline: Option<String>,
    stage: Option<String>,
    class: Option<String>,
    settled: Option<bool>,
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetterGroups")]
pub(super) struct Groups<'a> {
    groups: Vec<Group<'a>>,
    more: bool,
}

pub(super) async fn groups(
    Extract(state): Extract<State>,
    asked: Result<Query<AskedGroups>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = asked.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let limit = limit(asked.limit)?;
    let states = states(asked.state.as_deref().unwrap_or("all"), GroupState::parse)?;
    let filter = GroupFilter {
        pipeline: asked.pipeline,
        stage: asked.stage,
        class: asked.class,
        // Of what is fixed, hardly a letter is open.
        settled: asked.settled.unwrap_or_else(|| states.contains(&GroupState::Fixed)),
        states,
        limit: Some(limit + 1),
        ..GroupFilter::default()
    };
    let mut groups = state.store.dead_letter_groups(&filter, Timestamp::now()).await?;
    let more = groups.len() > limit as usize;
    groups.truncate(limit as usize);
    Ok(Json(Groups { groups: groups.iter().map(Group::from).collect(), more }).into_response())
}

/// What is said of a group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    state: Said,
    /// That it is fixed in; without it, the one that runs.
    version: Option<String>,
    note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Said {
    Open,
    Acknowledged,
    Fixed,
}

pub(super) async fn mark(
    Extract(state): Extract<State>,
    fingerprint: Result<Path<String>, PathRejection>,
    Body(mark): Body<Mark>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("there is no such group of dead letters");
    let Path(fingerprint) = fingerprint.map_err(|_| missing())?;
    [&mark.version, &mark.note].into_iter().flatten().try_for_each(|text| short("version and note", text))?;
    let version = mark.version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let said = match mark.state {
        Said::Open => GroupSaid::Open,
        Said::Acknowledged => GroupSaid::Acknowledged,
        Said::Fixed => GroupSaid::Fixed { version },
    };
    if fingerprint.contains('\0') {
        return Err(missing());
    }
    let note = GroupNote { said, note: mark.note };
    if !state.store.set_dead_letter_group(&fingerprint, &note, Timestamp::now()).await? {
        return Err(missing());
    }
    tracing::info!(group = fingerprint, state = ?mark.state, "a group of dead letters was marked");
    let filter = GroupFilter { fingerprints: vec![fingerprint], settled: true, ..GroupFilter::default() };
    let groups = state.store.dead_letter_groups(&filter, Timestamp::now()).await?;
    let group = groups.first().ok_or_else(missing)?;
    Ok(Json(Group::from(group)).into_response())
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetterStats")]
pub(super) struct Stats {
    states: Vec<OfState>,
    /// Of all payloads.
    bytes: i64,
    /// When the oldest open letter failed last.
    oldest_open: Option<Timestamp>,
    /// What tells the worker's database from others.
    database: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLettersOfState")]
pub(super) struct OfState {
    state: &'static str,
    count: i64,
    bytes: i64,
}

pub(super) async fn stats(Extract(state): Extract<State>) -> Result<Json<Stats>, ApiError> {
    let stats = state.store.dead_letter_stats().await?;
    let of = |state: DeadLetterState| {
        let found = stats.states.iter().find(|(of, _, _)| *of == state);
        let (count, bytes) = found.map_or((0, 0), |(_, count, bytes)| (*count, *bytes));
        OfState { state: state.as_str(), count, bytes }
    };
    Ok(Json(Stats {
        states: DeadLetterState::ALL.into_iter().map(of).collect(),
        bytes: stats.bytes(),
        oldest_open: stats.oldest_open,
        database: state.store.database_identity().await?,
    }))
}

/// Open letters to be given up.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Discard {
    #[serde(flatten)]
    which: Selection,
    /// Why, for whoever looks at it later.
    reason: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Discarded {
    discarded: usize,
}

pub(super) async fn discard(
    Extract(state): Extract<State>,
    Body(wanted): Body<Discard>,
) -> Result<Json<Discarded>, ApiError> {
    short("reason", &wanted.reason)?;
    if wanted.reason.trim().is_empty() {
        return Err(ApiError::bad_request("a reason is needed"));
    }
    let filter = wanted.which.filter(&[DeadLetterState::Open], Timestamp::now()).map_err(unreadable)?;
    let discarded = discard_all(&*state.store, filter, &wanted.reason).await?;
    tracing::info!(discarded, "dead letters were discarded");
    Ok(Json(Discarded { discarded }))
}

async fn discard_all(store: &dyn Store, filter: DeadLetterFilter, reason: &str) -> Result<usize, ApiError> {
    let ids: Vec<i64> = store.dead_letter_ids(&filter).await?.into_iter().map(|(id, _)| id).collect();
    let mut discarded = 0;
    for some in ids.chunks(SOME) {
        let moved = store.settle_dead_letters(some, &[DeadLetterState::Open], Settled::Discarded(reason)).await?;
        discarded += moved.len();
    }
    Ok(discarded)
}

fn limit(asked: Option<u32>) -> Result<u32, ApiError> {
    let limit = asked.unwrap_or(LIMIT);
    let in_bounds = (1..=LIMIT_MAX).contains(&limit);
    in_bounds.then_some(limit).ok_or_else(|| ApiError::bad_request(format!("limit is a number from 1 to {LIMIT_MAX}")))
}

fn words(list: Option<&str>) -> Vec<String> {
    list.into_iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
}

/// The states of a list; `all` is any.
fn states<S>(list: &str, parse: impl Fn(&str) -> Option<S>) -> Result<Vec<S>, ApiError> {
    if list == "all" {
        return Ok(Vec::new());
    }
    let unknown = |word: &str| ApiError::bad_request(format!("{word:?} is no state; all is any"));
    list.split(',').map(|word| parse(word).ok_or_else(|| unknown(word))).collect()
}

fn short(what: &str, text: &str) -> Result<(), ApiError> {
    if text.chars().count() > TEXT_MAX || text.contains('\0') {
        return Err(ApiError::bad_request(format!("{what}: at most {TEXT_MAX} characters, and no zero")));
    }
    Ok(())
}

fn unreadable(problem: Problem) -> ApiError {
    ApiError::bad_request(problem.to_string())
}
