//! From the mirror of a file to a definition that holds together, or to everything that is wrong with it.

use std::collections::BTreeMap;

use broadside_engine::topology::{self, Topology};
use sha2::{Digest, Sha256};

use super::checks;
use super::document::Document;
use super::environment::Lookup;
use super::file::{Batcher, DeadLetters, Limits, PartitionBy, Processor};
use super::problem::Problems;
use super::{Definition, checks::Sections};
use crate::record::Record;
use crate::sources;

const FIELDS: &[&str] = &["enabled", "source", "processor", "batcher", "dead_letters", "limits"];
/// Room for a worker group's queue: this many of its groups or batches …
const CAPACITY_GROUPS: usize = 10;
/// … and at least this many messages.
const CAPACITY_MIN: usize = 1000;

/// Reads every section by itself, then checks them against each other.
pub(super) fn definition(name: &str, file: &str, text: &str, lookup: Lookup<'_>) -> Result<Definition, Problems> {
    let mut document = Document::parse(file, text, lookup)?;
    let filled = document.is_sound();
    let sections = read(&mut document);
    let whole = document.is_sound();
    checks::each(&mut document, &sections, name);
    if let (true, Some(source)) = (filled, &sections.source) {
        checks::source(&mut document, source, name);
    }
    let Some(source) = sections.source.clone() else { return Err(Problems(document.into_problems())) };
    let definition = Definition { hash: hash(text), ..assemble(name, &document, sections, source) };
    if whole {
        checks::together(&mut document, &definition);
    }
    if document.is_sound() { Ok(definition) } else { Err(Problems(document.into_problems())) }
}

fn read(document: &mut Document<'_>) -> Sections {
    document.only(FIELDS);
    if !document.has("source") {
        let hint = format!("add one of {}", sources::NAMES.map_join(|name| format!("[source.{name}]")));
        document.problem("", "a pipeline needs a source", Some(hint));
    }
    Sections {
        enabled: document.take("enabled"),
        source: document.take::<sources::Config>("source"),
        processors: document.take_each::<Processor>("processor"),
        batchers: document.take_each::<Batcher>("batcher"),
        dead_letters: document.take::<DeadLetters>("dead_letters").unwrap_or_default(),
        limits: document.take::<Limits>("limits").unwrap_or_default(),
    }
}

trait MapJoin {
    fn map_join(&self, map: impl Fn(&str) -> String) -> String;
}

impl MapJoin for [&str] {
    fn map_join(&self, map: impl Fn(&str) -> String) -> String {
        self.iter().map(|name| map(name)).collect::<Vec<_>>().join(", ")
    }
}

fn assemble(name: &str, document: &Document<'_>, sections: Sections, source: sources::Config) -> Definition {
    let Sections { enabled, processors, batchers, dead_letters, limits, .. } = sections;
    let mut definition = Definition {
        name: name.to_owned(),
        file: document.file().to_owned(),
        hash: String::new(),
        enabled: enabled.unwrap_or(true),
        source_place: document.place("source"),
        topology: shape(name, source.name(), &limits),
        source,
        stages: Vec::new(),
        sinks: BTreeMap::new(),
        partitions: BTreeMap::new(),
        dead_letters,
    };
    if definition.record() == Record::Kills && definition.source.is_live() {
        definition.topology.breaker = definition.dead_letters.breaker.rules();
    }
    definition.topology.alert_above = Some(definition.dead_letters.alert_above);
    // What is not a kill is asked for again.
    definition.dead_letters.enabled &= definition.record() == Record::Kills || document.has("dead_letters.enabled");
    processors.into_iter().for_each(|(_, processor)| add_processor(&mut definition, processor));
    batchers.into_iter().for_each(|(_, batcher)| add_batcher(&mut definition, batcher));
    definition
}

/// Of the text as it is written: what stands for secrets is not filled in.
fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn shape(name: &str, source: &str, limits: &Limits) -> Topology {
    let mut topology = Topology::new(name, topology::Source::new(source));
    topology.in_flight_max = limits.in_flight_max;
    topology.drain_deadline = limits.drain_deadline.0;
    topology.source.rate_limit =
        limits.rate_limit.map(|limit| topology::RateLimit { messages: limit.messages, per: limit.per.0 });
    topology
}

fn capacity(group: usize) -> usize {
    group.saturating_mul(CAPACITY_GROUPS).max(CAPACITY_MIN)
}

fn note_partition(definition: &mut Definition, group: &str, partition_by: Option<PartitionBy>) {
    if let Some(partition_by) = partition_by {
        definition.partitions.insert(group.to_owned(), partition_by);
    }
}

fn add_processor(definition: &mut Definition, processor: Processor) {
    note_partition(definition, &processor.name, processor.partition_by);
    definition.topology.processors.push(topology::Processor {
        stages: processor.stages.iter().map(|stage| stage.name().to_owned()).collect(),
        capacity: processor.capacity.unwrap_or_else(|| capacity(processor.max_demand)),
        max_demand: processor.max_demand,
        concurrency: processor.concurrency,
        ..topology::Processor::new(processor.name)
    });
    definition.stages.extend(processor.stages);
}

fn add_batcher(definition: &mut Definition, batcher: Batcher) {
    note_partition(definition, &batcher.name, batcher.partition_by);
    definition.sinks.insert(batcher.name.clone(), batcher.sink);
    definition.topology.batchers.push(topology::Batcher {
        after: batcher.after,
        batch_size: batcher.batch_size,
        batch_bytes: batcher.batch_bytes,
        batch_timeout: batcher.batch_timeout.0,
        eager: batcher.eager,
        concurrency: batcher.concurrency,
        capacity: batcher.capacity.unwrap_or_else(|| capacity(batcher.batch_size)),
        ..topology::Batcher::new(batcher.name)
    });
}
