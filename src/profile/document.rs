//! A profile as a user writes it.

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use crate::killmail::ProfileId;

/// `{"name", "filter", "enabled": true, "targets": [{"url", "format"}], "owner"}`, with `profile_id` for one that exists.
#[derive(Debug, Clone)]
pub struct Document {
    pub profile_id: Option<ProfileId>,
    pub owner: Option<String>,
    pub name: String,
    pub filter: Filter,
    /// As it was written.
    pub filter_json: String,
    pub enabled: bool,
    pub targets: Vec<Target>,
}

/// Where a match is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// May hold a secret: it is never logged.
    pub url: String,
    pub format: Format,
}

/// What a target reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Json,
    /// Discord's webhooks.
    Discord,
}
