//! `/api/cache/prices`: the price cache job, shown and told what to do.

use axum::Json;
use axum::extract::State as Extract;

use super::State;
use super::error::ApiError;
use crate::price::job::{Action, Status};
use crate::price_job::Refusal;

type Answer = Result<Json<Status>, ApiError>;

/// From memory while this process is at the job.
pub(super) async fn status(Extract(state): Extract<State>) -> Answer {
    Ok(Json(state.price_job.status(&*state.store).await?))
}

pub(super) async fn start(state: Extract<State>) -> Answer {
    act(state, Action::Start).await
}

pub(super) async fn stop(state: Extract<State>) -> Answer {
    act(state, Action::Stop).await
}

pub(super) async fn pause(state: Extract<State>) -> Answer {
    act(state, Action::Pause).await
}

pub(super) async fn resume(state: Extract<State>) -> Answer {
    act(state, Action::Resume).await
}

pub(super) async fn reset(state: Extract<State>) -> Answer {
    act(state, Action::Reset).await
}

/// Answers how the job stands then.
async fn act(Extract(state): Extract<State>, action: Action) -> Answer {
    match state.price_job.act(&*state.store, action).await {
        Ok(status) => Ok(Json(status)),
        Err(Refusal::Store(error)) => Err(error.into()),
        Err(refusal) => Err(ApiError::conflict(code(&refusal), refusal.to_string())),
    }
}

fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Illegal(_) => "illegal",
        Refusal::NoPipeline => "no_pipeline",
        Refusal::Elsewhere => "elsewhere",
        Refusal::Busy => "busy",
        Refusal::Refused(_) | Refusal::Store(_) => "refused",
    }
}
