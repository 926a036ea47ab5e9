//! What it takes to get from the pipelines that run to those that the files ask for: pure.
//!
//! Numbers change in place. What a source, a stage or a sink is, and who follows whom, is built again: that pipeline alone is drained and started, the others
//! go on. A pipeline that the files no longer have is drained; a new one is started.

use std::fmt;
use std::time::Duration;

use broadside_engine::topology::{Batcher, Processor, RateLimit};

use super::Definition;
use crate::duration::Span;

/// How a change is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// While the pipeline runs.
    InPlace,
    /// The pipeline is drained and started again.
    Rebuild,
    /// The pipeline is new.
    Start,
    /// The pipeline is drained, and gone.
    Stop,
}

impl How {
    /// As it is written in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InPlace => "in_place",
            Self::Rebuild => "rebuild",
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

/// One setting that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub pipeline: String,
    /// As it stands in the file, with a worker group's name in place of its number: `batcher.db_insert.batch_size`.
    pub setting: String,
    /// What it was; `None` where there was nothing, and for what may hold addresses and keys.
    pub from: Option<String>,
    /// What it is now.
    pub to: Option<String>,
    pub how: How,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pipeline, self.setting)?;
        match (&self.from, &self.to) {
            (None, None) => Ok(()),
            (from, to) => {
                let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
                write!(f, " {} → {}", shown(from), shown(to))
            }
        }
    }
}

/// Everything that differs, in the order of the pipelines' names and then of the file.
#[must_use]
pub fn changes<'d>(running: impl IntoIterator<Item = &'d Definition>, wanted: &[Definition]) -> Vec<Change> {
    let mut running: Vec<&Definition> = running.into_iter().collect();
    running.sort_by_key(|definition| &definition.name);
    let whole = |definition: &Definition, how| Change {
        pipeline: definition.name.clone(),
        setting: "enabled".to_owned(),
        from: Some((how == How::Stop).to_string()),
        to: Some((how == How::Start).to_string()),
        how,
    };
    let mut found = Vec::new();
    for before in &running {
        match wanted.iter().find(|after| after.name == before.name) {
            Some(after) => found.append(&mut between(before, after)),
            None => found.push(whole(before, How::Stop)),
        }
    }
    let is_new = |after: &&Definition| !running.iter().any(|before| before.name == after.name);
    found.extend(wanted.iter().filter(is_new).map(|after| whole(after, How::Start)));
    found
}

/// How the whole pipeline is changed: as its gravest change is.
#[must_use]
pub fn step(changes: &[Change], pipeline: &str) -> Option<How> {
    changes.iter().filter(|change| change.pipeline == pipeline).map(|change| change.how).max()
}

/// What differs between two definitions of one pipeline.
struct Differences {
    pipeline: String,
    found: Vec<Change>,
}

impl Differences {
    fn note(&mut self, setting: impl Into<String>, from: Option<String>, to: Option<String>, how: How) {
        self.found.push(Change { pipeline: self.pipeline.clone(), setting: setting.into(), from, to, how });
    }

    fn in_place<V: PartialEq>(&mut self, setting: impl Into<String>, from: &V, to: &V, shown: impl Fn(&V) -> String) {
        if from != to {
            self.note(setting, Some(shown(from)), Some(shown(to)), How::InPlace);
        }
    }

    /// A number.
    fn number(&mut self, setting: impl Into<String>, from: usize, to: usize) {
        self.in_place(setting, &from, &to, ToString::to_string);
    }

    fn span(&mut self, setting: impl Into<String>, from: Duration, to: Duration) {
        self.in_place(setting, &Span(from), &Span(to), ToString::to_string);
    }

    /// Something whose value may be secret, or is too long to be told.
    fn rebuild(&mut self, setting: impl Into<String>, is_same: bool) {
        if !is_same {
            self.note(setting, None, None, How::Rebuild);
        }
    }
}

fn between(before: &Definition, after: &Definition) -> Vec<Change> {
    let mut differences = Differences { pipeline: before.name.clone(), found: Vec::new() };
    differences.rebuild(format!("source.{}", after.source.name()), before.source == after.source);
    processors(&mut differences, before, after);
    batchers(&mut differences, before, after);
    dead_letters(&mut differences, before, after);
    limits(&mut differences, before, after);
    differences.found
}

fn names<G>(groups: &[G], name: impl Fn(&G) -> &str) -> String {
    groups.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The settings of a processor's stages, in order.
fn stages<'d>(definition: &'d Definition, processor: &str) -> &'d [crate::stages::Config] {
    let mut start = 0;
    for other in &definition.topology.processors {
        let end = start + other.stages.len();
        if other.name == processor {
            return definition.stages.get(start..end).unwrap_or_default();
        }
        start = end;
    }
    &[]
}

fn processors(differences: &mut Differences, before: &Definition, after: &Definition) {
    let name = |processor: &Processor| processor.name.clone();
    let (from, to) = (&before.topology.processors, &after.topology.processors);
    if !from.iter().map(name).eq(to.iter().map(name)) {
        let shown = |groups: &[Processor]| Some(names(groups, |processor| &processor.name));
        return differences.note("processor", shown(from), shown(to), How::Rebuild);
    }
    for (from, to) in from.iter().zip(to) {
        let at = |field: &str| format!("processor.{}.{field}", to.name);
        differences.number(at("concurrency"), from.concurrency, to.concurrency);
        differences.number(at("max_demand"), from.max_demand, to.max_demand);
        differences.number(at("capacity"), from.capacity, to.capacity);
        partition_by(differences, &at("partition_by"), before, after, &to.name);
        let (old, new) = (stages(before, &to.name), stages(after, &to.name));
        if from.stages != to.stages {
            differences.note(at("stages"), Some(from.stages.join(", ")), Some(to.stages.join(", ")), How::Rebuild);
            continue;
        }
        for (old, new) in old.iter().zip(new) {
            differences.rebuild(at(&format!("stages.{}", new.name())), old == new);
        }
    }
}

fn batchers(differences: &mut Differences, before: &Definition, after: &Definition) {
    let name = |batcher: &Batcher| batcher.name.clone();
    let (from, to) = (&before.topology.batchers, &after.topology.batchers);
    if !from.iter().map(name).eq(to.iter().map(name)) {
        let shown = |groups: &[Batcher]| Some(names(groups, |batcher| &batcher.name));
        return differences.note("batcher", shown(from), shown(to), How::Rebuild);
    }
    for (from, to) in from.iter().zip(to) {
        let at = |field: &str| format!("batcher.{}.{field}", to.name);
        if from.after != to.after {
            differences.note(at("after"), from.after.clone(), to.after.clone(), How::Rebuild);
        }
        differences.number(at("batch_size"), from.batch_size, to.batch_size);
        differences.span(at("batch_timeout"), from.batch_timeout, to.batch_timeout);
        let bytes = |bytes: &Option<usize>| bytes.map_or_else(|| "none".to_owned(), |bytes| bytes.to_string());
        differences.in_place(at("batch_bytes"), &from.batch_bytes, &to.batch_bytes, bytes);
        differences.in_place(at("eager"), &from.eager, &to.eager, ToString::to_string);
        differences.number(at("concurrency"), from.concurrency, to.concurrency);
        differences.number(at("capacity"), from.capacity, to.capacity);
        partition_by(differences, &at("partition_by"), before, after, &to.name);
        differences.rebuild(at("sink"), before.sinks.get(&to.name) == after.sinks.get(&to.name));
    }
}

fn partition_by(differences: &mut Differences, setting: &str, before: &Definition, after: &Definition, group: &str) {
    let of = |definition: &Definition| definition.partitions.get(group).map(|by| format!("{by:?}"));
    if of(before) != of(after) {
        differences.note(setting, of(before), of(after), How::Rebuild);
    }
}

fn dead_letters(differences: &mut Differences, before: &Definition, after: &Definition) {
    let (from, to) = (&before.dead_letters, &after.dead_letters);
    if from.enabled != to.enabled {
        let shown = |enabled: bool| Some(enabled.to_string());
        differences.note("dead_letters.enabled", shown(from.enabled), shown(to.enabled), How::Rebuild);
    }
    differences.span("dead_letters.retry_every", from.retry_every.0, to.retry_every.0);
    differences.number("dead_letters.attempts_max", from.attempts_max as usize, to.attempts_max as usize);
    differences.in_place("dead_letters.alert_above", &from.alert_above, &to.alert_above, ToString::to_string);
    let (from, to) = (&from.breaker, &to.breaker);
    let at = |field: &str| format!("dead_letters.breaker.{field}");
    differences.in_place(at("enabled"), &from.enabled, &to.enabled, ToString::to_string);
    differences.number(at("window"), from.window, to.window);
    differences.in_place(at("share"), &from.share, &to.share, ToString::to_string);
    differences.number(at("run"), from.run, to.run);
    differences.span(at("probe_every"), from.probe_every.0, to.probe_every.0);
    differences.number(at("successes"), from.successes, to.successes);
}

fn limits(differences: &mut Differences, before: &Definition, after: &Definition) {
    let (from, to) = (&before.topology, &after.topology);
    differences.number("limits.in_flight_max", from.in_flight_max, to.in_flight_max);
    let rate = |limit: &Option<RateLimit>| match limit {
        Some(limit) => format!("{} in {}", limit.messages, Span(limit.per)),
        None => "none".to_owned(),
    };
    differences.in_place("limits.rate_limit", &from.source.rate_limit, &to.source.rate_limit, rate);
    differences.span("limits.drain_deadline", from.drain_deadline, to.drain_deadline);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::parse;

    const KILLS: &str = include_str!("../../pipelines/kills.toml");

    fn kills(edits: &[(&str, &str)]) -> Definition {
        let edit = |text: String, (from, to): &(&str, &str)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        };
        let text = edits.iter().fold(KILLS.to_owned(), edit);
        let set = |name: &str| (name == "WANDERER_URL").then(|| "http://127.0.0.1:1".to_owned());
        parse("kills", "kills.toml", &text, &set).expect("a pipeline")
    }

    /// Each change of the shipped pipeline in a line.
    fn lines(edits: &[(&str, &str)]) -> Vec<String> {
        let (before, after) = (kills(&[]), kills(edits));
        let found = changes([&before], std::slice::from_ref(&after));
        found.iter().map(|change| format!("{change} ({})", change.how.as_str())).collect()
    }

    #[test]
    fn what_is_said_in_other_words_is_no_change() {
        let edits = [("silence = \"90s\"", "silence = \"1m30s\""), ("\"match\"]", "{ match = {} }]"), ("# Live", "#")];
        assert_eq!(lines(&edits), Vec::<String>::new());
    }

    #[test]
    fn numbers_change_in_place() {
        let edits = [
            ("concurrency = 2 ", "concurrency = 5 "),
            ("batch_size = 100 ", "batch_size = 200 "),
            ("\"200ms\"", "\"1s\""),
            ("eager = true   ", "batch_bytes = 5000 "),
            ("messages = 2000", "messages = 3000"),
            ("in_flight_max = 5000", "in_flight_max = 800"),
            ("\"30s\" ", "\"10s\" "),
            ("attempts_max = 3", "attempts_max = 5"),
            ("run = 100", "run = 50"),
        ];
        assert_eq!(
            lines(&edits),
            [
                "kills: processor.parse.concurrency 2 → 5 (in_place)",
                "kills: batcher.db_insert.batch_size 100 → 200 (in_place)",
                "kills: batcher.db_insert.batch_timeout 200ms → 1s (in_place)",
                "kills: batcher.db_insert.batch_bytes none → 5000 (in_place)",
                "kills: batcher.db_insert.eager true → false (in_place)",
                "kills: batcher.db_insert.capacity 1000 → 2000 (in_place)",
                "kills: dead_letters.attempts_max 3 → 5 (in_place)",
                "kills: dead_letters.breaker.run 100 → 50 (in_place)",
                "kills: limits.in_flight_max 5000 → 800 (in_place)",
                "kills: limits.rate_limit 2000 in 1s → 3000 in 1s (in_place)",
                "kills: limits.drain_deadline 30s → 10s (in_place)",
            ]
        );
    }

    #[test]
    fn components_and_their_order_are_built_again_and_their_settings_are_not_told() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("silence = \"90s\"", "silence = \"91s\"")], "kills: source.failover (rebuild)"),
            (
                &[("key = \"${JANICE_API_KEY:-}\"", "key = \"hunter2\"")],
                "kills: processor.enrich.stages.price (rebuild)",
            ),
            (
                &[("[\"decode\", \"deduplicate\"]", "[\"decode\"]")],
                "kills: processor.parse.stages decode, deduplicate → decode (rebuild)",
            ),
            (&[("failures_max = 5", "failures_max = 6")], "kills: batcher.alerts.sink (rebuild)"),
            (
                &[("partition_by = \"solar_system\"", "")],
                "kills: batcher.pubsub.partition_by SolarSystem → none (rebuild)",
            ),
            (
                &[("name = \"parse\"", "name = \"read\"")],
                "kills: processor parse, enrich, match → read, enrich, match (rebuild)",
            ),
            (
                &[("[dead_letters]\nenabled = true", "[dead_letters]\nenabled = false")],
                "kills: dead_letters.enabled true → false (rebuild)",
            ),
        ];
        for (edits, line) in cases {
            assert_eq!(lines(edits), [*line]);
        }
    }

    #[test]
    fn pipelines_come_and_go_and_the_gravest_change_is_the_step() {
        let (mut one, two) = (kills(&[]), kills(&[("in_flight_max = 5000", "in_flight_max = 900")]));
        let mut other = kills(&[]);
        other.name = "other".into();
        let found = changes([&one, &other], std::slice::from_ref(&two));
        assert_eq!((step(&found, "kills"), step(&found, "other")), (Some(How::InPlace), Some(How::Stop)));
        one.name = "gone".into();
        let found = changes([&one], &[two, other]);
        let steps = ["gone", "kills", "other", "nobody"].map(|name| step(&found, name));
        assert_eq!(steps, [Some(How::Stop), Some(How::Start), Some(How::Start), None]);
        let both =
            kills(&[("in_flight_max = 5000", "in_flight_max = 900"), ("silence = \"90s\"", "silence = \"91s\"")]);
        assert_eq!(step(&changes([&kills(&[])], &[both]), "kills"), Some(How::Rebuild));
    }
}
