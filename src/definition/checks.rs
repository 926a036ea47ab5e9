//! What is refused although it is well written: names, numbers, and shapes that could not work or would defeat themselves.

use std::collections::HashSet;
use std::time::Duration;

use broadside_engine::topology::{BATCHERS_MAX, Invalid};

use super::Definition;
use super::document::Document;
use super::file::{Batcher, Breaker, DeadLetters, Limits, PartitionBy, Processor};
use super::problem::suggest;
use crate::record::Record;
use crate::sources;

/// A file's sections as far as they could be read, with their index in the file.
pub(super) struct Sections {
    pub(super) enabled: Option<bool>,
    pub(super) source: Option<sources::Config>,
    pub(super) processors: Vec<(usize, Processor)>,
    pub(super) batchers: Vec<(usize, Batcher)>,
    pub(super) dead_letters: DeadLetters,
    pub(super) limits: Limits,
}

const CONCURRENCY_MAX: usize = 1024;
const GROUP_MAX: usize = 100_000;
const CAPACITY_MAX: usize = 1_000_000;
const BYTES_MAX: usize = 1 << 30;
const RATE_MAX: u32 = 10_000_000;
const NAME_MAX: usize = 40;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Checks each section by itself.
pub(super) fn each(document: &mut Document<'_>, sections: &Sections, pipeline: &str) {
    name(document, "", pipeline);
    for (index, processor) in &sections.processors {
        check_processor(document, &format!("processor[{index}]"), processor);
    }
    for (index, batcher) in &sections.batchers {
        check_batcher(document, &format!("batcher[{index}]"), batcher);
    }
    check_dead_letters(document, &sections.dead_letters);
    check_limits(document, &sections.limits);
}

/// Checks what the source alone can tell.
pub(super) fn source(document: &mut Document<'_>, source: &sources::Config, pipeline: &str) {
    if let Err(problem) = source.validate(pipeline) {
        document.problem_with_key(&format!("source.{}", source.name()), problem, None);
    }
}

/// Names become labels in metrics and parts of addresses.
fn name(document: &mut Document<'_>, path: &str, name: &str) {
    let what = if path.is_empty() { "the file's name, which is the pipeline's," } else { "the name" };
    let path = format!("{path}.name");
    if name.is_empty() {
        document.problem(&path, format!("{what} is empty"), None);
    } else if name.len() > NAME_MAX {
        document.problem(
            &path,
            format!("{what} is {} characters long", name.len()),
            Some(format!("at most {NAME_MAX}")),
        );
    } else if !name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')) {
        let hint = "it becomes a label in metrics: use a-z, 0-9, _ and -".to_owned();
        document.problem(&path, format!("{what} {name:?} has characters that it may not have"), Some(hint));
    }
}

fn at_most(document: &mut Document<'_>, path: &str, value: usize, max: usize, reason: &str) {
    if value > max {
        let field = path.rsplit('.').next().unwrap_or(path);
        document.problem(path, format!("{field} {value} is too large: {reason}"), Some(format!("at most {max}")));
    }
}

fn no_longer(document: &mut Document<'_>, path: &str, value: Duration, max: Duration, reason: &str) {
    if value > max {
        let field = path.rsplit('.').next().unwrap_or(path);
        let hint = format!("at most {}", crate::duration::Span(max));
        document.problem(path, format!("{field} is too long: {reason}"), Some(hint));
    }
}

fn check_processor(document: &mut Document<'_>, path: &str, processor: &Processor) {
    name(document, path, &processor.name);
    let at = |field: &str| format!("{path}.{field}");
    let workers = "each worker is a task with a group of messages in hand";
    at_most(document, &at("concurrency"), processor.concurrency, CONCURRENCY_MAX, workers);
    at_most(document, &at("max_demand"), processor.max_demand, GROUP_MAX, "a worker would take everything at once");
    let capacity = processor.capacity.unwrap_or(1);
    at_most(document, &at("capacity"), capacity, CAPACITY_MAX, "a queue that long only hides that something is slow");
    if processor.stages.is_empty() {
        let hint = format!("known here: {}", crate::stages::NAMES.join(", "));
        document.problem(&at("stages"), "a processor without stages does nothing", Some(hint));
    }
}

fn check_batcher(document: &mut Document<'_>, path: &str, batcher: &Batcher) {
    name(document, path, &batcher.name);
    let at = |field: &str| format!("{path}.{field}");
    let workers = "each worker may hold a connection to the outside";
    at_most(document, &at("concurrency"), batcher.concurrency, CONCURRENCY_MAX, workers);
    at_most(document, &at("batch_size"), batcher.batch_size, GROUP_MAX, "one transaction that large blocks all others");
    let capacity = batcher.capacity.unwrap_or(1);
    at_most(document, &at("capacity"), capacity, CAPACITY_MAX, "a queue that long only hides that the sink is slow");
    at_most(document, &at("batch_bytes"), batcher.batch_bytes.unwrap_or(1), BYTES_MAX, "a batch is held in memory");
    no_longer(
        document,
        &at("batch_timeout"),
        batcher.batch_timeout.0,
        HOUR,
        "messages would wait that long in an open batch",
    );
}

fn check_dead_letters(document: &mut Document<'_>, letters: &DeadLetters) {
    if letters.attempts_max == 0 {
        document.problem(
            "dead_letters.attempts_max",
            "attempts_max must be at least 1",
            Some("the first attempt counts".into()),
        );
    }
    at_most(
        document,
        "dead_letters.attempts_max",
        letters.attempts_max as usize,
        1000,
        "what failed so often will fail again",
    );
    if !(0.0..=1.0).contains(&letters.alert_above) {
        let hint = "a share: 0.01 is one in a hundred".to_owned();
        document.problem("dead_letters.alert_above", "alert_above must be from 0 to 1", Some(hint));
    }
    if letters.retry_every.0 < Duration::from_secs(1) {
        document.problem("dead_letters.retry_every", "retry_every must be at least 1s", None);
    }
    check_breaker(document, &letters.breaker);
}

fn check_breaker(document: &mut Document<'_>, breaker: &Breaker) {
    let at = |field: &str| format!("dead_letters.breaker.{field}");
    for (field, number) in [("window", breaker.window), ("run", breaker.run), ("successes", breaker.successes)] {
        if number == 0 {
            let hint = Some("enabled = false does without a breaker".to_owned());
            document.problem(&at(field), format!("{field} must be at least 1"), hint);
        }
        at_most(document, &at(field), number, GROUP_MAX, "it would hardly ever trip, or never be closed again");
    }
    if !(breaker.share > 0.0 && breaker.share <= 1.0) {
        let hint = Some("a share: 0.5 is one in two".to_owned());
        document.problem(&at("share"), "share must be more than 0 and at most 1", hint);
    }
    if breaker.probe_every.0.is_zero() {
        document.problem(&at("probe_every"), "probe_every must be more than 0s", Some("1s is the default".to_owned()));
    }
    no_longer(
        document,
        &at("probe_every"),
        breaker.probe_every.0,
        HOUR,
        "a source that is well again would wait that long",
    );
}

fn check_limits(document: &mut Document<'_>, limits: &Limits) {
    let memory = "each message keeps its raw bytes, some 3 kB: this would be gigabytes";
    at_most(document, "limits.in_flight_max", limits.in_flight_max, CAPACITY_MAX, memory);
    if let Some(limit) = limits.rate_limit {
        let none = "no limit at all would say the same";
        at_most(document, "limits.rate_limit.messages", limit.messages as usize, RATE_MAX as usize, none);
        no_longer(document, "limits.rate_limit.per", limit.per.0, DAY, "the pipeline would stand still for most of it");
    }
    no_longer(
        document,
        "limits.drain_deadline",
        limits.drain_deadline.0,
        HOUR,
        "whoever stops the worker will not wait",
    );
    if limits.drain_deadline.0.is_zero() {
        let hint = Some("30s is the default".to_owned());
        document.problem(
            "limits.drain_deadline",
            "drain_deadline must be more than 0s: every drain would abandon messages",
            hint,
        );
    }
}

/// Checks sections against each other.
pub(super) fn together(document: &mut Document<'_>, definition: &Definition) {
    if let Err(found) = definition.topology.validate() {
        found.iter().for_each(|invalid| note(document, definition, invalid));
    }
    one_kind_of_record(document, definition);
    order_of_stages(document, definition);
    needs_of_batchers(document, definition);
    unfed_batchers(document, definition);
    if !definition.dead_letters.enabled && !definition.source.redelivers() {
        let source = definition.source.name();
        let message =
            format!("dead letters are off, and `{source}` cannot hand out a message again: what fails would be lost");
        document.problem("dead_letters.enabled", message, Some("leave dead letters on".into()));
    }
}

fn path_of(definition: &Definition, group: &str) -> String {
    let topology = &definition.topology;
    if let Some(index) = topology.processors.iter().position(|p| p.name == group) {
        return format!("processor[{index}]");
    }
    topology.batcher_index(group).map_or_else(String::new, |index| format!("batcher[{index}]"))
}

/// Says of what the engine refuses where it stands in the file.
fn note(document: &mut Document<'_>, definition: &Definition, invalid: &Invalid) {
    let message = invalid.to_string();
    let at = |group: &str, field: &str| format!("{}.{field}", path_of(definition, group));
    match invalid {
        Invalid::NoProcessor => {
            let hint = "add [[processor]] with name = \"parse\" and stages = [\"decode\"]".to_owned();
            document.problem("", message, Some(hint));
        }
        Invalid::TooMany { what: "batchers", .. } => {
            document.problem(&format!("batcher[{BATCHERS_MAX}]"), message, None)
        }
        // Noted for each group, with its place.
        Invalid::TooMany { .. } => {}
        Invalid::Duplicate(name) => duplicate(document, definition, name, message),
        Invalid::TooSmall { group, field, .. } => too_small(document, definition, group, field),
        Invalid::Capacity { group, .. } => {
            let hint = Some("leave capacity out: it follows by itself".to_owned());
            document.problem(&at(group, "capacity"), message, hint);
        }
        Invalid::UnknownAfter { batcher, after } => {
            let names: Vec<&str> = definition.topology.batchers.iter().map(|b| b.name.as_str()).collect();
            let others: Vec<&str> = names.into_iter().filter(|name| name != batcher).collect();
            let hint = if others.is_empty() {
                "it is the only batcher: leave `after` out".to_owned()
            } else {
                suggest(after, &others)
            };
            document.problem(&at(batcher, "after"), message, Some(hint));
        }
        Invalid::Circle(batcher) => {
            let hint = "one batcher, the first, has no `after`".to_owned();
            document.problem(&at(batcher, "after"), message, Some(hint));
        }
        Invalid::Fork { second, .. } => document.problem(&at(second, "after"), message, None),
        Invalid::InFlight { batcher, needed, .. } => {
            let path = if document.has("limits.in_flight_max") {
                "limits.in_flight_max".to_owned()
            } else {
                at(batcher, "batch_size")
            };
            document.problem(
                &path,
                message,
                Some(format!("in_flight_max = {} or more, or smaller batches", needed.saturating_mul(2))),
            );
        }
    }
}

fn duplicate(document: &mut Document<'_>, definition: &Definition, name: &str, message: String) {
    let topology = &definition.topology;
    let processors = topology.processors.iter().enumerate().map(|(i, p)| (format!("processor[{i}].name"), &p.name));
    let batchers = topology.batchers.iter().enumerate().map(|(i, b)| (format!("batcher[{i}].name"), &b.name));
    let same = processors.chain(batchers).filter(|(_, other)| *other == name);
    let second = same.skip(1).map(|(path, _)| path).next().unwrap_or_default();
    document.problem(&second, message, Some("names tell worker groups apart in metrics and in `after`".into()));
}

fn too_small(document: &mut Document<'_>, definition: &Definition, group: &str, field: &str) {
    let (path, name) = match field.strip_prefix("rate_limit ") {
        Some(part) => (format!("limits.rate_limit.{part}"), part),
        None if field == "in_flight_max" => ("limits.in_flight_max".to_owned(), field),
        None => (format!("{}.{field}", path_of(definition, group)), field),
    };
    let least = if matches!(name, "batch_timeout" | "per") { "more than 0s" } else { "at least 1" };
    document.problem(&path, format!("{name} must be {least}"), None);
}

/// All components of a pipeline work on what its source brings.
fn one_kind_of_record(document: &mut Document<'_>, definition: &Definition) {
    let (brought, source) = (definition.record(), definition.source.name());
    let other = |record: Record| record != brought;
    let message =
        |what: String, record: Record| format!("{what} works on {record}, and source `{source}` brings {brought}");
    let mut stages = definition.stages.iter();
    for (index, processor) in definition.topology.processors.iter().enumerate() {
        for (position, stage) in stages.by_ref().take(processor.stages.len()).enumerate() {
            if other(stage.record()) {
                let path = format!("processor[{index}].stages[{position}]");
                document.problem(&path, message(format!("stage `{}`", stage.name()), stage.record()), None);
            }
        }
    }
    for (index, batcher) in definition.topology.batchers.iter().enumerate() {
        let sink = definition.sinks.get(&batcher.name);
        if let Some((sink, record)) = sink.and_then(|sink| Some((sink, sink.record().filter(|r| other(*r))?))) {
            let path = format!("batcher[{index}].sink");
            document.problem(&path, message(format!("sink `{}`", sink.name()), record), None);
        }
    }
    for (group, by) in definition.partitions.iter().filter(|(_, by)| other(by.record())) {
        let path = format!("{}.partition_by", path_of(definition, group));
        document.problem(&path, message("partition_by".to_owned(), by.record()), None);
    }
    if brought != Record::Kills && document.has("dead_letters.enabled") && definition.dead_letters.enabled {
        let message = match brought {
            Record::Pages => "a page of market orders is not kept as a dead letter: one that fails is asked for again",
            _ => "a product without a price is not kept as a dead letter: the next run asks for it again",
        };
        document.problem("dead_letters.enabled", message, Some("leave the section out".to_owned()));
    }
}

fn order_of_stages(document: &mut Document<'_>, definition: &Definition) {
    let mut seen = HashSet::new();
    let mut stages = definition.stages.iter();
    let later: HashSet<&str> = definition.stages.iter().map(crate::stages::Config::name).collect();
    for (index, processor) in definition.topology.processors.iter().enumerate() {
        partition_before_decode(document, definition, index, &seen);
        for (position, stage) in stages.by_ref().take(processor.stages.len()).enumerate() {
            let path = format!("processor[{index}].stages[{position}]");
            for need in stage.needs().iter().filter(|need| !seen.contains(*need)) {
                let hint = if later.contains(need) {
                    format!("move `{need}` before it")
                } else {
                    format!("add `{need}` before it")
                };
                document.problem(
                    &path,
                    format!("stage `{}` stands before `{need}`, which it needs", stage.name()),
                    Some(hint),
                );
            }
            // Whether there is a contact is a question for the start.
            if let Err(problem) = stage.check(Some("check")) {
                document.problem(&path, problem, None);
            }
            if !seen.insert(stage.name()) {
                document.problem(&path, format!("stage `{}` stands in the pipeline twice", stage.name()), None);
            }
        }
    }
}

fn partition_before_decode(document: &mut Document<'_>, definition: &Definition, index: usize, seen: &HashSet<&str>) {
    let processor = &definition.topology.processors[index];
    if definition.partitions.get(&processor.name) == Some(&PartitionBy::SolarSystem) && !seen.contains("decode") {
        let hint = "decode in a processor of its own before this one".to_owned();
        let message = "partition_by needs kills that are decoded when they come in: all would be in one partition";
        document.problem(&format!("processor[{index}].partition_by"), message, Some(hint));
    }
}

fn needs_of_batchers(document: &mut Document<'_>, definition: &Definition) {
    if definition.stages.is_empty() {
        return;
    }
    let done: HashSet<&str> = definition.stages.iter().map(crate::stages::Config::name).collect();
    for (index, batcher) in definition.topology.batchers.iter().enumerate() {
        let Some(sink) = definition.sinks.get(&batcher.name) else { continue };
        for need in sink.needs().iter().filter(|need| !done.contains(*need)) {
            let message = format!("sink `{}` needs `{need}`, and no processor has that stage", sink.name());
            document.problem(&format!("batcher[{index}].sink"), message, Some(format!("stages = [\"{need}\", …]")));
        }
        if definition.partitions.get(&batcher.name) == Some(&PartitionBy::SolarSystem) && !done.contains("decode") {
            let message = "partition_by needs kills that are decoded, and no processor has that stage";
            document.problem(&format!("batcher[{index}].partition_by"), message, None);
        }
    }
}

/// No stage chooses a batcher, so only the first one without `after` is fed by processors.
fn unfed_batchers(document: &mut Document<'_>, definition: &Definition) {
    let topology = &definition.topology;
    let mut roots = topology.batchers.iter().enumerate().filter(|(_, b)| b.after.is_none());
    let Some((_, first)) = roots.next() else { return };
    let last = topology.chain(&first.name).last().copied().unwrap_or(&first.name);
    for (index, batcher) in roots {
        let message =
            format!("nothing feeds `{}`: messages go to `{}`, and from there only `after`", batcher.name, first.name);
        document.problem_with_key(&format!("batcher[{index}].name"), message, Some(format!("after = \"{last}\"")));
    }
}
