//! `POST /api/reload`: reads the pipeline files again and follows what has changed; and what the last reload came to, which `/api/pipelines` shows.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::State;
use super::error::ApiError;

/// Reloads that may wait for the one under way.
const WAITING_MAX: usize = 8;

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reload {
    /// When the files were read.
    pub at: Timestamp,
    pub outcome: Outcome,
    /// What is wrong with the files, each with its place.
    pub problems: Vec<String>,
    pub changes: Vec<Change>,
}

/// How a reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ReloadOutcome")]
pub enum Outcome {
    /// It is under way: pipelines that are built again are drained first.
    Working,
    /// Everything that has changed is followed.
    Done,
    /// Nothing has changed.
    Unchanged,
    /// Something is wrong with a file: nothing was changed.
    Refused,
    /// A pipeline could not be started again: see `problems`.
    Failed,
}

impl Outcome {
    /// As it is written in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// One setting that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ReloadChange")]
pub struct Change {
    pub pipeline: String,
    /// As it stands in the file, with a worker group's name in place of its number.
    pub setting: String,
    /// Not of what may hold addresses and keys.
    pub from: Option<String>,
    pub to: Option<String>,
    /// `in_place`, `rebuild`, `start`, `stop`.
    pub how: &'static str,
}

/// Who waits for a reload is told here what it came to.
pub type Asked = oneshot::Sender<Reload>;

/// Between those who ask for a reload and the one who does it.
#[derive(Debug, Clone)]
pub struct Reloads {
    last: Arc<Mutex<Option<Reload>>>,
    asked: mpsc::Sender<Asked>,
}

impl Reloads {
    /// With the end at which requests come out.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (asked, requests) = mpsc::channel(WAITING_MAX);
        (Self { last: Arc::default(), asked }, requests)
    }

    /// Asks for a reload; `None`: too many have asked already, or nobody reloads any more.
    #[must_use]
    pub fn ask(&self) -> Option<oneshot::Receiver<Reload>> {
        let (answer, told) = oneshot::channel();
        self.asked.try_send(answer).ok().map(|()| told)
    }

    /// Notes what a reload came to, or how far it is.
    pub fn note(&self, reload: Reload) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reload);
    }

    /// What the last one came to.
    #[must_use]
    pub fn last(&self) -> Option<Reload> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers when it is done, or, when a drain takes longer than an answer may, that it is under way.
pub(super) async fn reload(Extract(state): Extract<State>) -> Result<(StatusCode, Json<Reload>), ApiError> {
    let Some(reloads) = &state.reloads else {
        return Err(ApiError::conflict("no_files", "the pipelines of this worker are not read from files"));
    };
    let Some(told) = reloads.ask() else {
        return Err(ApiError::conflict("busy", "reloads are waiting already"));
    };
    match tokio::time::timeout(state.change_max, told).await {
        Ok(Ok(reload)) => Ok((StatusCode::OK, Json(reload))),
        Ok(Err(_)) => Err(ApiError::conflict("draining", "the worker is being stopped")),
        Err(_) => {
            let (at, outcome) = (Timestamp::now(), Outcome::Working);
            let unknown = Reload { at, outcome, problems: Vec::new(), changes: Vec::new() };
            Ok((StatusCode::ACCEPTED, Json(reloads.last().filter(|last| last.outcome == outcome).unwrap_or(unknown))))
        }
    }
}
