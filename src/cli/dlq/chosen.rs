//! Which letters a command is to act on.

use serde::Serialize;

use crate::dead_letter::Selection;

/// Letters to act on: never all of them by an oversight.
#[derive(Debug, Clone, Default, clap::Args, Serialize)]
pub struct Chosen {
    /// These letters.
    #[arg(long = "id", value_name = "ID", value_delimiter = ',')]
    pub ids: Vec<i64>,
    /// Letters of these groups, by fingerprint.
    #[arg(long = "group", value_name = "FINGERPRINT", value_delimiter = ',')]
    pub groups: Vec<String>,
    /// Letters of this pipeline.
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// Letters that failed in this stage or sink.
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// Letters of this class: invalid, permanent, transient or panic.
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Letters of this kill.
    #[arg(long = "kill", value_name = "ID")]
    pub killmail_id: Option<i64>,
    /// Letters that failed last at this time or later: 2026-01-31T12:00:00Z, 2026-01-31, or how long ago, such as 2h.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Letters that failed last before this time.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// All of them (that meet the conditions, when there are any).
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
}

impl Chosen {
    /// As the store is asked.
    pub(super) fn selection(&self) -> Selection {
        let Self { ids, groups, pipeline, stage, class, killmail_id, since, until, all } = self.clone();
        Selection { ids, groups, pipeline, stage, class, killmail_id, since, until, all }
    }
}
