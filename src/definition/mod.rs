//! Pipeline files: from text to the parts of a running pipeline, in passes.
//!
//! ```text
//! text ─► document ─► file ─► resolve ─► checks ─► Definition ─► Components ─► running
//!         tree with   mirror   defaults   does it                with Resources
//!         places, ${}  (serde)             hold together
//! ```
//!
//! Each pass collects what is wrong with its place, so that one run of `check` shows everything. Syntax errors alone stop
//! at the first: what follows one is guesswork.

mod checks;
mod document;
pub mod environment;
pub mod file;
mod problem;
mod resolve;
mod select;

use std::collections::BTreeMap;
use std::sync::Arc;

use broadside_engine::components::LeaveFailed;
use broadside_engine::{Components, Factory, FailureHandler, Topology};

use crate::killmail::Kill;
use crate::resources::Resources;
use crate::{dead_letter, sinks, sources, stages};

pub use environment::Lookup;
pub use file::{DeadLetters, PartitionBy};
pub use problem::{Place, Problem, Problems};
pub use select::{PIPELINES, Selection, load, select};

/// A pipeline that can be started.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The pipeline's name: the file's, without `.toml`.
    pub name: String,
    /// Where it was read.
    pub file: String,
    /// Whether `run` starts it unasked.
    pub enabled: bool,
    pub topology: Topology,
    pub source: sources::Config,
    source_place: Option<Box<Place>>,
    /// In the order in which messages pass them.
    pub stages: Vec<stages::Config>,
    /// By batcher.
    pub sinks: BTreeMap<String, sinks::Config>,
    /// By worker group.
    pub partitions: BTreeMap<String, PartitionBy>,
    pub dead_letters: DeadLetters,
}

/// Reads a definition from text. `file` is what messages call it, `name` the pipeline's.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(name: &str, file: &str, text: &str, lookup: Lookup<'_>) -> Result<Definition, Problems> {
    resolve::definition(name, file, text, lookup)
}

/// The JSON Schema of a pipeline file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(file::File).to_value()
}

impl Definition {
    /// The code behind the topology's names.
    ///
    /// # Errors
    /// The source lacks something that the surroundings should give: an address, a contact.
    pub fn build(&self, resources: &Resources) -> Result<Components<Kill>, Problem> {
        let source = self.source.build(&self.name, resources).map_err(|error| self.source_problem(&error))?;
        Ok(self.build_with_source(resources, source))
    }

    /// Whether the source and the stages have what they need from their surroundings, without opening anything.
    ///
    /// # Errors
    /// An address or a contact is missing.
    pub fn check_source(&self, contact: Option<&str>) -> Result<(), Problem> {
        self.source.check(&self.name, contact).map_err(|error| self.source_problem(&error))?;
        let mut problems = self.stages.iter().filter_map(|stage| Some((stage.name(), stage.check(contact).err()?)));
        problems.next().map_or(Ok(()), |(name, error)| Err(Problem::whole(&self.file, format!("`{name}` {error}"))))
    }

    /// [`build`](Self::build) with another source: a file for a backfill, dead letters for a replay.
    #[must_use]
    pub fn build_with_source(&self, resources: &Resources, source: Arc<dyn Factory<Kill>>) -> Components<Kill> {
        Components {
            source,
            stages: self
                .stages
                .iter()
                .map(|stage| (stage.name().to_owned(), stage.build(&self.name, resources)))
                .collect(),
            sinks: self.sinks.iter().map(|(batcher, sink)| (batcher.clone(), sink.build(resources))).collect(),
            failure_handler: self.failure_handler(resources),
            partition_by: self.partitions.iter().map(|(group, by)| (group.clone(), by.function())).collect(),
            size_of: Some(Arc::new(|kill: &Kill| kill.raw.len())),
        }
    }

    fn failure_handler(&self, resources: &Resources) -> Arc<dyn FailureHandler<Kill>> {
        if self.dead_letters.enabled {
            Arc::new(dead_letter::Keeper::new(resources, &self.topology))
        } else {
            Arc::new(LeaveFailed)
        }
    }

    /// Settings that are checked and, as yet, change nothing: the operator must not count on them.
    #[must_use]
    pub fn without_effect(&self) -> Vec<&'static str> {
        let letters = &self.dead_letters;
        let set = [
            (letters.retry_every.is_some(), "dead_letters.retry_every"),
            (letters.alert_above.is_some(), "dead_letters.alert_above"),
        ];
        set.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name).collect()
    }

    /// The kind of each batcher's sink, by the batcher's name.
    #[must_use]
    pub fn sink_names(&self) -> BTreeMap<String, String> {
        self.sinks.iter().map(|(batcher, sink)| (batcher.clone(), sink.name().to_owned())).collect()
    }

    /// The most messages that this pipeline ever holds.
    #[must_use]
    pub fn worst_case_in_flight(&self) -> usize {
        self.topology.worst_case_in_flight().min(self.topology.in_flight_max)
    }

    fn source_problem(&self, error: &str) -> Problem {
        Problem { place: self.source_place.clone(), ..Problem::whole(&self.file, error) }
    }
}

impl PartitionBy {
    fn function(self) -> Arc<dyn Fn(&Kill) -> u64 + Send + Sync> {
        match self {
            Self::SolarSystem => Arc::new(Kill::system_partition),
        }
    }
}
