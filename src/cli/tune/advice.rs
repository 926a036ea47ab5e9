//! Which number of a pipeline to change next, and why: pure.
//!
//! Little's law is the measure: workers at work = messages a second × a worker's time for one. What limits is doubled, within bounds; what is set by
//! somebody on purpose (a rate limit) or lies outside (the source) is left alone.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::explain::{Explanation, Group, percent, time};
use crate::definition::edit::{Edit, Place};

/// How far a number may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Workers of a group.
    pub(super) concurrency: usize,
    pub(super) batch_size: usize,
    pub(super) in_flight: usize,
    /// Workers of a group that computes: there are no more cores.
    pub(super) cores: usize,
}

/// A change, and what speaks for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proposal {
    pub(super) edit: Edit,
    pub(super) from: usize,
    pub(super) why: String,
}

/// The numbers of a pipeline as they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers(Value);

impl Numbers {
    /// From what `/api/pipelines` answers.
    pub(super) fn of(answer: &Value, pipeline: &str) -> Self {
        let all = answer["pipelines"].as_array().into_iter().flatten();
        Self(all.clone().find(|one| one["name"] == pipeline).cloned().unwrap_or_default())
    }

    fn get(&self, place: &Place, field: &str) -> Option<usize> {
        let (list, name) = match place {
            Place::Limits => return self.0["limits"][field].as_u64().map(|n| n as usize),
            Place::Processor(name) => ("processors", name),
            Place::Batcher(name) => ("batchers", name),
        };
        let mut groups = self.0["topology"][list].as_array()?.iter();
        groups.find(|group| group["name"] == name.as_str())?[field].as_u64().map(|n| n as usize)
    }
}

/// How much is at work in each group, by Little's law.
pub(super) fn evidence(said: &Explanation) -> Vec<String> {
    let groups = said.groups.iter().filter(|group| group.kind != "producer");
    let line = |group: &Group| {
        let each = group.group_seconds / group.group_size.max(1.0);
        format!(
            "{}: {:.0}/s × {} a message = {:.1} of {} workers at work ({} busy)",
            group.name,
            group.messages_per_second,
            time(each),
            group.messages_per_second * each,
            group.workers,
            percent(group.busy)
        )
    };
    groups.map(line).collect()
}

/// The next change worth trying; those whose setting is in `tried` are left out.
pub(super) fn next(
    said: &Explanation,
    numbers: &Numbers,
    bounds: Bounds,
    tried: &BTreeSet<String>,
) -> Option<Proposal> {
    let group = |name: &str| said.groups.iter().find(|group| group.name == name);
    let candidates: Vec<(Place, &'static str, usize, String)> = match said.verdict.as_str() {
        "sink" => {
            let sink = group(said.subject.as_deref()?)?;
            let place = Place::Batcher(sink.name.clone());
            let batch_size = numbers.get(&place, "batch_size")?;
            let is_full = sink.group_size >= 0.9 * batch_size as f64;
            let most = bounds.batch_size.min(numbers.get(&Place::Limits, "in_flight_max")? / 2);
            let took = format!(
                "sink workers are busy {}, {} for a batch of {:.0}",
                percent(sink.busy),
                time(sink.group_seconds),
                sink.group_size
            );
            let larger =
                (place.clone(), "batch_size", most, format!("{took}: batches are full, and each costs its round trip"));
            let more = (place, "concurrency", bounds.concurrency, took);
            if is_full { vec![larger, more] } else { vec![more] }
        }
        "stage" => {
            let stage = said.stages.iter().find(|stage| said.subject.as_deref() == Some(&stage.stage))?;
            let waits = format!(
                "{} of the time goes into stage `{}`, which waits {} of it, {} a message: {:.0}/s need more workers that wait",
                percent(stage.share),
                stage.stage,
                percent(1.0 - stage.computing),
                time(stage.message_seconds),
                said.received_per_second
            );
            vec![(Place::Processor(stage.group.clone()), "concurrency", bounds.concurrency, waits)]
        }
        "processor" => {
            let processor = group(said.subject.as_deref()?)?;
            let each = processor.group_seconds / processor.group_size.max(1.0);
            let why = format!(
                "{} busy, {} of computing a message, on {} cores",
                percent(processor.busy),
                time(each),
                bounds.cores
            );
            vec![(Place::Processor(processor.name.clone()), "concurrency", bounds.concurrency.min(bounds.cores), why)]
        }
        "in_flight" => {
            let why =
                format!("{} of {} are in flight, and nobody is busy all the time", said.in_flight, said.in_flight_max);
            vec![(Place::Limits, "in_flight_max", bounds.in_flight, why)]
        }
        _ => Vec::new(),
    };
    candidates.into_iter().find_map(|(place, field, most, why)| {
        let from = numbers.get(&place, field)?;
        let edit = Edit { place, field, value: from.saturating_mul(2).min(most) };
        (edit.value > from && !tried.contains(&edit.setting())).then_some(Proposal { edit, from, why })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::explain::{read, tests::answer};
    use super::*;

    const BOUNDS: Bounds = Bounds { concurrency: 16, batch_size: 1_000, in_flight: 20_000, cores: 2 };

    fn numbers() -> Numbers {
        let topology = json!({
            "processors": [{"name": "enrich", "concurrency": 10}],
            "batchers": [{"name": "db", "concurrency": 2, "batch_size": 100}],
        });
        Numbers::of(
            &json!({"pipelines": [{"name": "kills", "topology": topology, "limits": {"in_flight_max": 5000}}]}),
            "kills",
        )
    }

    fn proposed(verdict: &str, subject: &str, tried: &[&str]) -> Option<(String, usize, usize)> {
        let mut said = read(&answer()).expect("an answer").remove(0);
        (said.verdict, said.subject) = (verdict.to_owned(), Some(subject.to_owned()));
        let tried = tried.iter().map(|tried| (*tried).to_owned()).collect();
        let proposal = next(&said, &numbers(), BOUNDS, &tried)?;
        Some((proposal.edit.setting(), proposal.from, proposal.edit.value))
    }

    #[test]
    fn what_limits_is_doubled_within_bounds() {
        let batch = "batcher.db.batch_size";
        assert_eq!(proposed("sink", "db", &[]), Some((batch.into(), 100, 200)));
        assert_eq!(proposed("sink", "db", &[batch]), Some(("batcher.db.concurrency".into(), 2, 4)));
        assert_eq!(proposed("sink", "db", &[batch, "batcher.db.concurrency"]), None);
        assert_eq!(proposed("stage", "price", &[]), Some(("processor.enrich.concurrency".into(), 10, 16)));
        assert_eq!(proposed("in_flight", "", &[]), Some(("limits.in_flight_max".into(), 5_000, 10_000)));
        assert_eq!(proposed("processor", "enrich", &[]), None, "it computes, and there are two cores");
        for settled in ["source", "rate_limit", "idle", "breaker"] {
            assert_eq!(proposed(settled, "feed", &[]), None);
        }
    }

    #[test]
    fn littles_law_is_written_out() {
        let said = read(&answer()).expect("an answer").remove(0);
        assert_eq!(evidence(&said)[1], "db: 950/s × 2.0 ms a message = 1.9 of 2 workers at work (97 % busy)");
    }
}
