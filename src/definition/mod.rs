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
pub mod diff;
mod document;
pub mod edit;
pub mod environment;
pub mod file;
mod problem;
mod resolve;
mod select;

use std::collections::BTreeMap;
use std::sync::Arc;

use broadside_engine::components::{self, LeaveFailed};
use broadside_engine::pipeline::Status;
use broadside_engine::topology::Processor;
use broadside_engine::{Components, Factory, FailureHandler, Pipeline, Topology};

use crate::killmail::Kill;
use crate::market::Page;
use crate::price::Product;
use crate::price_job::Width;
use crate::record::{Record, Typed};
use crate::resources::Resources;
use crate::{dead_letter, sinks, sources, stages};

pub use environment::Lookup;
pub use file::{Breaker, DeadLetters, PartitionBy};
pub use problem::{Place, Problem, Problems};
pub use select::{PIPELINES, Selection, fingerprint, load, select};

/// A pipeline that can be started.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The pipeline's name: the file's, without `.toml`.
    pub name: String,
    /// Where it was read.
    pub file: String,
    /// Of the file's text: 16 hexadecimal digits, which letters that fail under it keep.
    pub hash: String,
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
    /// What its messages carry.
    #[must_use]
    pub fn record(&self) -> Record {
        self.source.record()
    }

    /// The code behind the topology's names.
    ///
    /// # Errors
    /// The source lacks something that the surroundings should give: an address, a contact.
    pub fn build(&self, resources: &Resources) -> Result<Built, Problem> {
        let source = self.source.build(&self.name, resources).map_err(|error| self.source_problem(&error))?;
        Ok(match source {
            Typed::Kills(source) => Built(Typed::Kills(self.build_with_source(resources, source))),
            Typed::Pages(source) => Built(Typed::Pages(self.build_market(resources, source))),
            Typed::Products(source) => Built(Typed::Products(self.build_prices(resources, source))),
        })
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

    /// [`build`](Self::build) with another source of kills: a file for a backfill, dead letters for a replay.
    #[must_use]
    pub fn build_with_source(&self, resources: &Resources, source: Arc<dyn Factory<Kill>>) -> Components<Kill> {
        let stages = self.built_stages(resources).filter_map(|(name, stage)| Some((name, stage.kills()?)));
        let sinks = self.built_sinks(resources).filter_map(|(name, sink)| Some((name, sink.kills()?)));
        let partitions = self.partitions.iter().filter_map(|(group, by)| Some((group.clone(), by.of_kills()?)));
        Components {
            source,
            stages: stages.collect(),
            sinks: sinks.collect(),
            failure_handler: self.failure_handler(resources),
            partition_by: partitions.collect(),
            size_of: Some(Arc::new(|kill: &Kill| kill.raw.len())),
        }
    }

    /// The same, to be tried out: stages on [`Resources::for_rehearsal`], and what stands in for sinks. What fails is left to the source's acknowledger.
    #[must_use]
    pub fn build_rehearsal(&self, resources: &Resources, source: Arc<dyn Factory<Kill>>) -> Components<Kill> {
        let resources = resources.for_rehearsal();
        let built =
            |stage: &stages::Config| Some((stage.name().to_owned(), stage.rehearse(&self.name, &resources).kills()?));
        let partitions = self.partitions.iter().filter_map(|(group, by)| Some((group.clone(), by.of_kills()?)));
        Components {
            source,
            stages: self.stages.iter().filter_map(built).collect(),
            sinks: self.sinks.iter().map(|(batcher, sink)| (batcher.clone(), sink.rehearse(&resources))).collect(),
            failure_handler: Arc::new(LeaveFailed),
            partition_by: partitions.collect(),
            size_of: Some(Arc::new(|kill: &Kill| kill.raw.len())),
        }
    }

    /// A page that fails is asked for again: nothing of it is kept.
    fn build_market(&self, resources: &Resources, source: Arc<dyn Factory<Page>>) -> Components<Page> {
        let stages = self.built_stages(resources).filter_map(|(name, stage)| Some((name, stage.pages()?)));
        let sinks = self.built_sinks(resources).filter_map(|(name, sink)| Some((name, sink.pages()?)));
        let partitions = self.partitions.iter().filter_map(|(group, by)| Some((group.clone(), by.of_pages()?)));
        Components {
            source,
            stages: stages.collect(),
            sinks: sinks.collect(),
            failure_handler: Arc::new(LeaveFailed),
            partition_by: partitions.collect(),
            size_of: Some(Arc::new(Page::size)),
        }
    }

    /// A product that fails is counted, and asked for again by the next run. The source hands out as much as the stage asks for at once.
    fn build_prices(&self, resources: &Resources, source: Arc<dyn Factory<Product>>) -> Components<Product> {
        self.tell_width(resources);
        let stages = self.built_stages(resources).filter_map(|(name, stage)| Some((name, stage.products()?)));
        let sinks = self.built_sinks(resources).filter_map(|(name, sink)| Some((name, sink.products()?)));
        Components {
            source,
            stages: stages.collect(),
            sinks: sinks.collect(),
            failure_handler: Arc::new(LeaveFailed),
            partition_by: Default::default(),
            size_of: Some(Arc::new(|_| std::mem::size_of::<Product>())),
        }
    }

    /// Tells the price cache job how much is asked for at once, if this is its pipeline: also when those numbers have changed.
    pub fn tell_width(&self, resources: &Resources) {
        let asks = |processor: &&Processor| processor.stages.iter().any(|stage| stage == "quote");
        if let Some(processor) = self.topology.processors.iter().find(asks) {
            resources.price_job.set_width(Width { bulk: processor.max_demand, requests: processor.concurrency });
        }
    }

    // Components for other records, which `checks` refuses, would be missed by the engine.

    fn built_stages(&self, resources: &Resources) -> impl Iterator<Item = (String, stages::Built)> {
        self.stages.iter().map(|stage| (stage.name().to_owned(), stage.build(&self.name, resources)))
    }

    fn built_sinks(&self, resources: &Resources) -> impl Iterator<Item = (String, sinks::Built)> {
        self.sinks.iter().map(|(batcher, sink)| (batcher.clone(), sink.build(self.record(), resources)))
    }

    fn failure_handler(&self, resources: &Resources) -> Arc<dyn FailureHandler<Kill>> {
        if self.dead_letters.enabled {
            Arc::new(dead_letter::Keeper::new(resources, &self.topology, self.origin()))
        } else {
            Arc::new(LeaveFailed)
        }
    }

    /// What its dead letters say of where they come from.
    #[must_use]
    pub fn origin(&self) -> dead_letter::Origin {
        let DeadLetters { retry_every, attempts_max, .. } = self.dead_letters;
        let schedule = dead_letter::Schedule { every: retry_every.0, attempts_max };
        dead_letter::Origin { definition_hash: Some(self.hash.clone()), schedule }
    }

    /// The batcher that tells the targets of profiles, if there is one, and how.
    #[must_use]
    pub fn webhook(&self) -> Option<(&str, crate::courier::Settings)> {
        self.sinks.iter().find_map(|(batcher, sink)| match sink {
            sinks::Config::Webhook(config) => Some((batcher.as_str(), config.0)),
            _ => None,
        })
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

/// The code of a pipeline, of whatever records.
#[derive(Debug)]
pub struct Built(Typed<Components<Kill>, Components<Page>, Components<Product>>);

impl Built {
    /// Starts it in this shape.
    ///
    /// # Errors
    /// As [`Pipeline::start`].
    pub fn start(self, topology: Topology) -> Result<Pipeline, broadside_engine::pipeline::StartError> {
        match self.0 {
            Typed::Kills(components) => Pipeline::start(topology, components),
            Typed::Pages(components) => Pipeline::start(topology, components),
            Typed::Products(components) => Pipeline::start(topology, components),
        }
    }

    /// Starts it in the place of one that has ended.
    ///
    /// # Errors
    /// As [`Pipeline::start_after`].
    pub fn start_after(
        self,
        before: Status,
        topology: Topology,
    ) -> Result<Pipeline, broadside_engine::pipeline::StartError> {
        match self.0 {
            Typed::Kills(components) => Pipeline::start_after(before, topology, components),
            Typed::Pages(components) => Pipeline::start_after(before, topology, components),
            Typed::Products(components) => Pipeline::start_after(before, topology, components),
        }
    }
}

impl PartitionBy {
    /// What it divides.
    #[must_use]
    pub fn record(self) -> Record {
        match self {
            Self::SolarSystem => Record::Kills,
            Self::Region => Record::Pages,
        }
    }

    fn of_kills(self) -> Option<components::PartitionBy<Kill>> {
        match self {
            Self::SolarSystem => Some(Arc::new(Kill::system_partition)),
            Self::Region => None,
        }
    }

    fn of_pages(self) -> Option<components::PartitionBy<Page>> {
        match self {
            Self::Region => Some(Arc::new(|page: &Page| page.region.get().unsigned_abs())),
            Self::SolarSystem => None,
        }
    }
}
