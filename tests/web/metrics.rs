//! `/metrics`: what Prometheus reads.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use broadside::store::DeadLetterState;
use broadside::telemetry::METRICS;

use crate::world::World;

async fn scraped() -> String {
    let world = World::new().await;
    world.store.set_letters(vec![("kills".into(), DeadLetterState::Open, 7)]);
    metrics::counter!("broadside_messages_settled_total", "pipeline" => "kills", "outcome" => "successful")
        .increment(5);
    for (name, label, value) in [
        ("broadside_stage_seconds", "stage", 0.000_3),
        ("broadside_batch_seconds", "batcher", 0.02),
        ("broadside_batch_size", "batcher", 100.0),
        ("broadside_source_lag_seconds", "source", 4000.0),
    ] {
        metrics::histogram!(name, "pipeline" => "kills", label => "x").record(value);
    }
    let answer = world.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(world.pipelines.published.load(Ordering::SeqCst), 1, "the pipelines were asked for their figures");
    answer.body
}

#[tokio::test]
async fn every_sample_is_a_row_of_the_table_with_its_labels_and_no_other() {
    let text = scraped().await;
    assert!(text.contains("broadside_queue_depth{pipeline=\"kills\",group=\"match\"} 900"), "{text}");
    assert!(text.contains("broadside_dead_letters{pipeline=\"kills\",state=\"open\"} 7"), "{text}");
    assert!(
        text.contains("broadside_source_lag_seconds_bucket{pipeline=\"kills\",source=\"x\",le=\"7200\"} "),
        "{text}"
    );
    keeps_to_the_table(&text);
}

pub(crate) fn keeps_to_the_table(text: &str) {
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let metric = METRICS.iter().find(|m| m.name == name || Some(m.name) == stem);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
        let labels: Vec<&str> = labels.split("\",").filter_map(|l| l.split_once("=\"")).map(|(name, _)| name).collect();
        assert_eq!(labels.iter().copied().filter(|l| *l != "le").collect::<Vec<_>>(), metric.labels, "{line}");
    }
}

#[tokio::test]
async fn every_family_has_help_type_and_samples() {
    let text = scraped().await;
    for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        assert!(text.lines().any(|sample| sample.starts_with(name)), "{name} is empty");
    }
}

#[tokio::test]
async fn promtool_finds_nothing() {
    passes_promtool(&scraped().await);
}

/// Prometheus' own checker, where it is installed.
pub(crate) fn passes_promtool(text: &str) {
    let checking =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = checking else {
        eprintln!("skipped: promtool is not installed");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
