//! Which feed serves each pipeline, and why: written by `failover`, read by the page.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Where a pipeline with two feeds stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Feeds")]
pub struct Standing {
    /// The names of both feeds; the first is the one that serves when it can.
    pub primary: Option<&'static str>,
    pub fallback: &'static str,
    /// The one whose kills are taken as they come.
    pub serving: &'static str,
    /// `serving`, `suspect`, `switched` or `returning`.
    pub state: &'static str,
    /// What is wrong with the primary.
    pub reason: Option<String>,
    /// When the state began.
    pub since: Timestamp,
    /// Changes of the serving feed since the start, returns too.
    pub switches: u64,
    /// Kills of the fallback that wait for the primary to bring them.
    pub held: usize,
    /// Kills that only the fallback brought.
    pub gap_messages: u64,
}

/// All pipelines with two feeds, by name.
#[derive(Debug, Default)]
pub struct Feeds(Mutex<BTreeMap<String, Standing>>);

impl Feeds {
    /// Changes how a pipeline stands, which begins as `fresh`.
    pub fn set(&self, pipeline: &str, fresh: impl FnOnce() -> Standing, change: impl FnOnce(&mut Standing)) {
        change(self.lock().entry(pipeline.to_owned()).or_insert_with(fresh));
    }

    /// Changes how a pipeline stands, if it is known.
    pub fn update(&self, pipeline: &str, change: impl FnOnce(&mut Standing)) {
        if let Some(standing) = self.lock().get_mut(pipeline) {
            change(standing);
        }
    }

    /// A pipeline ends, or its source is another from now on.
    pub fn forget(&self, pipeline: &str) {
        self.lock().remove(pipeline);
    }

    /// How a pipeline stands, if it has two feeds.
    #[must_use]
    pub fn get(&self, pipeline: &str) -> Option<Standing> {
        self.lock().get(pipeline).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
