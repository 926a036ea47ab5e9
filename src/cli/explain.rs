//! `explain`: what limits each pipeline of the running worker, in one sentence with its figures.

use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::columns::align;
use super::drawing::paragraph;
use super::market::{failed, url};
use super::text::clean;
use super::{Usage, print};
use crate::clients::worker::Worker;
use crate::settings::Settings;

/// Say what limits each pipeline of the running worker, and what would not help.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Columns: BUSY, STARVED (waits for messages), BLOCKED (waits for room behind it), LIMITED (by the rate limit): shares of the
workers' time; BY: who it is blocked by; EACH: messages that a worker takes up at once, TOOK: how long it is busy with them.

Examples:
  broadside explain
  broadside explain kills --seconds 60
  broadside explain --json --worker http://127.0.0.1:4010"
)]
pub struct Args {
    /// Only this pipeline.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: Option<String>,
    /// Look so far back.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=60))]
    pub seconds: u32,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
    /// The running worker: its address, or its URL [default: http://127.0.0.1:4010].
    #[arg(long, value_name = "URL", env = "BROADSIDE_LISTEN")]
    pub worker: Option<String>,
}

/// As a worker tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Explanation {
    pub(super) pipeline: String,
    pub(super) verdict: String,
    pub(super) subject: Option<String>,
    pub(super) sentence: String,
    pub(super) received_per_second: f64,
    pub(super) settled_per_second: f64,
    pub(super) in_flight: u64,
    pub(super) in_flight_max: u64,
    pub(super) oldest_unsettled_seconds: Option<f64>,
    pub(super) groups: Vec<Group>,
    pub(super) stages: Vec<Stage>,
}

/// A worker group's shares.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) workers: usize,
    pub(super) busy: f64,
    pub(super) starved: f64,
    pub(super) blocked: f64,
    pub(super) limited: f64,
    pub(super) blocked_by: Option<String>,
    pub(super) computing: f64,
    pub(super) queue_depth: u64,
    pub(super) queue_capacity: u64,
    pub(super) messages_per_second: f64,
    pub(super) group_size: f64,
    pub(super) group_seconds: f64,
}

/// A stage's shares.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Stage {
    pub(super) group: String,
    pub(super) stage: String,
    pub(super) share: f64,
    pub(super) computing: f64,
    pub(super) message_seconds: f64,
}

/// Asks, and prints what is answered.
///
/// # Errors
/// No worker is there, or it has no such pipeline.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let (worker, url) = worker(args.worker.as_deref(), &settings)?;
    let answer = worker.explain(args.seconds).await.map_err(|error| failed(&url, &error))?;
    let wanted = |said: &Explanation| args.pipeline.as_ref().is_none_or(|name| *name == said.pipeline);
    let said: Vec<Explanation> = read(&answer)?.into_iter().filter(wanted).collect();
    if said.is_empty() {
        let name = args.pipeline.unwrap_or_default();
        return Err(Usage(format!("the worker runs no pipeline {}", clean(&name, false))).into());
    }
    if args.json {
        let lines = answer["pipelines"].as_array().into_iter().flatten();
        let wanted = lines.filter(|line| said.iter().any(|said| line["pipeline"] == said.pipeline.as_str()));
        print(&wanted.map(Value::to_string).collect::<Vec<_>>().join("\n"));
    } else {
        print(&said.iter().map(text).collect::<Vec<_>>().join("\n\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Who is asked, and where that is.
pub(super) fn worker(wanted: Option<&str>, settings: &Settings) -> Result<(Worker, String), Usage> {
    let url = url(wanted);
    let worker = Worker::new(&url, settings.contact.as_deref(), settings.api_token.as_deref());
    Ok((worker.map_err(|error| Usage(format!("failed to {error}")))?, url))
}

/// What `/api/explain` answers.
pub(super) fn read(answer: &Value) -> anyhow::Result<Vec<Explanation>> {
    let said = Vec::<Explanation>::deserialize(&answer["pipelines"]);
    said.map_err(|error| anyhow::anyhow!("failed to understand the worker's answer: {error}"))
}

/// For people.
fn text(said: &Explanation) -> String {
    let age = said.oldest_unsettled_seconds.map_or_else(String::new, |age| format!(", the oldest for {}", time(age)));
    let head = format!(
        "{}: {:.0}/s received, {:.0}/s settled; {} of {} in flight{age}",
        clean(&said.pipeline, false),
        said.received_per_second,
        said.settled_per_second,
        said.in_flight,
        said.in_flight_max
    );
    format!("{head}\n{}\n\n{}", paragraph(&clean(&said.sentence, false)), align(&rows(said)).trim_end())
}

/// A line for each group, below a heading.
pub(super) fn rows(said: &Explanation) -> Vec<[String; 11]> {
    let heading =
        ["GROUP", "WORKERS", "BUSY", "STARVED", "BLOCKED", "LIMITED", "BY", "QUEUE", "PER SECOND", "EACH", "TOOK"];
    let row = |group: &Group| {
        let queue = if group.queue_capacity == 0 {
            "-".to_owned()
        } else {
            format!("{}/{}", group.queue_depth, group.queue_capacity)
        };
        [
            clean(&group.name, false),
            group.workers.to_string(),
            percent(group.busy),
            percent(group.starved),
            percent(group.blocked),
            percent(group.limited),
            group.blocked_by.as_deref().map_or_else(|| "-".to_owned(), |by| clean(by, false)),
            queue,
            format!("{:.0}", group.messages_per_second),
            format!("{:.0}", group.group_size),
            time(group.group_seconds),
        ]
    };
    std::iter::once(heading.map(str::to_owned)).chain(said.groups.iter().map(row)).collect()
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Seconds in the unit that fits.
pub(super) fn time(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds).unwrap_or_default() {
        time if time >= Duration::from_secs(1) => format!("{seconds:.1} s"),
        time if time >= Duration::from_millis(1) => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{:.0} µs", seconds * 1e6),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A worker's answer: one pipeline whose sink is slow.
    pub(crate) fn answer() -> Value {
        let group = |name: &str, kind: &str, workers: u32, shares: [f64; 4]| {
            json!({"name": name, "kind": kind, "workers": workers, "busy": shares[0], "starved": shares[1], "blocked": shares[2],
                "limited": shares[3], "blocked_by": (shares[2] > 0.15).then_some("db"), "computing": 0.1, "queue_depth": 900,
                "queue_capacity": 1000, "messages_per_second": 950.0, "group_size": 100.0, "group_seconds": 0.2})
        };
        json!({"pipelines": [{
            "pipeline": "kills", "verdict": "sink", "subject": "db", "sentence": "Sink `db` limits it.", "seconds": 10.0,
            "received_per_second": 951.0, "settled_per_second": 949.0, "in_flight": 4900, "in_flight_max": 5000,
            "oldest_unsettled_seconds": 5.25,
            "groups": [group("feed", "producer", 1, [0.0, 0.1, 0.9, 0.0]), group("enrich", "processor", 10, [0.3, 0.0, 0.7, 0.0]),
                group("db", "batcher", 2, [0.97, 0.03, 0.0, 0.0])],
            "stages": [{"group": "enrich", "stage": "price", "share": 0.8, "computing": 0.1, "message_seconds": 0.0024}],
        }]})
    }

    #[test]
    fn the_sentence_stands_above_its_figures() {
        let said = read(&answer()).expect("an answer");
        let text = text(&said[0]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "kills: 951/s received, 949/s settled; 4900 of 5000 in flight, the oldest for 5.2 s");
        assert!(lines[1].contains("Sink `db` limits it."), "{text}");
        let last: Vec<&str> = lines.last().expect("a row").split_whitespace().collect();
        assert_eq!(last[..5], ["db", "2", "97", "%", "3"], "{text}");
    }

    #[test]
    fn an_answer_of_another_kind_is_refused() {
        assert!(read(&json!({"pipelines": [{"pipeline": 1}]})).is_err());
    }
}
