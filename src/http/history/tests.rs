//! What is remembered of pipelines, for how long, and what is shown of it.

use broadside_engine::pipeline::{GroupStatus, Ledger, State as PipelineState};
use broadside_engine::{Latencies, Recent};

use super::*;

/// A pipeline that has settled so many messages in its life, the slow ones in a second.
fn status(settled: u64, slow: u64, waiting: usize) -> Status {
    let group = |name: &str, kind| GroupStatus {
        name: name.to_owned(),
        kind,
        workers: 1,
        queue_depth: waiting,
        queue_capacity: 100,
        busy: Duration::from_millis(settled),
        messages: settled,
        ..GroupStatus::default()
    };
    Status {
        state: PipelineState::Running,
        ledger: Ledger { received: settled, settled: [settled - slow, 0, slow, 0, 0], in_flight: waiting as u64 },
        groups: vec![group("feed", "producer"), group("parse", "processor")],
        stages: Vec::new(),
        oldest_unsettled: None,
        source_restarts: 0,
        source_failure: None,
        acknowledgements: 0,
        acknowledgements_panicked: 0,
        in_flight_max: 5000,
        rate_limit: None,
        breaker: None,
        recent: Recent::default(),
        latencies: Latencies::of([(Duration::from_millis(5), settled - slow), (Duration::from_secs(1), slow)]),
    }
}

struct Clock {
    history: History,
    start: Instant,
    seconds: u64,
}

impl Clock {
    fn new() -> Self {
        Self { history: History::default(), start: Instant::now(), seconds: 0 }
    }

    /// A second passes, and then a sample of these is taken.
    fn second(&mut self, all: &[(&str, Status)]) {
        self.seconds += 1;
        let clock = Timestamp::from_second(1_790_000_000 + self.seconds.cast_signed()).unwrap();
        let statuses = all.iter().map(|(name, status)| ((*name).to_owned(), status.clone()));
        self.history.sample(statuses, self.start + Duration::from_secs(self.seconds), clock);
    }

    fn lines(&self) -> Vec<Line> {
        let tracks = self.history.0.lock().unwrap();
        tracks.iter().map(|(name, track)| Line::of(name, track.points_after(0))).collect()
    }

    fn window(&self, seconds: u64) -> Option<(u64, u64, u64)> {
        let (before, after, took) = self.history.window("kills", Duration::from_secs(seconds))?;
        Some((before.ledger.received, after.ledger.received, took.as_secs()))
    }
}

#[test]
fn a_window_is_of_the_length_asked_for_or_as_long_as_there_are_samples_for() {
    let mut clock = Clock::new();
    assert_eq!(clock.window(10), None);
    clock.second(&[("kills", status(100, 0, 0))]);
    assert_eq!(clock.window(10), None);
    clock.second(&[("kills", status(200, 0, 0))]);
    assert_eq!(clock.window(10), Some((100, 200, 1)));
    (3..=100).for_each(|second| clock.second(&[("kills", status(second * 100, 0, 0))]));
    assert_eq!(clock.window(0), Some((9900, 10_000, 1)));
    assert_eq!(clock.window(10), Some((9000, 10_000, 10)));
    assert_eq!(clock.window(60), Some((4000, 10_000, 60)));
    assert_eq!(clock.window(3600), Some((3900, 10_000, 61)));
    assert!(clock.history.window("market", Duration::from_secs(10)).is_none());
}

#[test]
fn a_point_has_the_rates_the_peaks_and_the_latencies_of_its_ten_seconds() {
    let mut clock = Clock::new();
    for second in 0..=10 {
        let waiting = if second == 4 { 80 } else { 3 };
        clock.second(&[("kills", status(1000 + second * 50, second, waiting))]);
    }
    let lines = clock.lines();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((line.name.as_str(), line.at.as_slice()), ("kills", [1_790_000_011].as_slice()));
    assert_eq!((line.received_per_second[0], line.settled_per_second[0], line.failed_per_second[0]), (50.0, 50.0, 1.0));
    assert_eq!((line.in_flight[0], &line.queues), (80, &BTreeMap::from([("parse".to_owned(), vec![Some(80)])])));
    let (p50, p99) = (line.p50_seconds[0].unwrap(), line.p99_seconds[0].unwrap());
    assert!((0.0043..0.0057).contains(&p50) && (0.87..1.13).contains(&p99), "{p50} {p99}");
}

#[test]
fn a_pipeline_that_is_built_again_begins_a_new_minute_and_goes_on_with_its_hour() {
    let mut clock = Clock::new();
    (0..=10).for_each(|second| clock.second(&[("kills", status(5000 + second, 0, 0))]));
    clock.second(&[("kills", status(7, 0, 0))]);
    assert_eq!(clock.window(10), None);
    (1..=9).for_each(|second| clock.second(&[("kills", status(7 + second, 0, 0))]));
    assert_eq!((clock.window(60), clock.lines()[0].at.len()), (Some((7, 16, 9)), 1));
    clock.second(&[("kills", status(107, 0, 0))]);
    let line = &clock.lines()[0];
    assert_eq!((line.at.len(), line.received_per_second[1]), (2, 10.0));
}

#[test]
fn worker_groups_that_were_not_there_have_no_queue_then() {
    let mut clock = Clock::new();
    (0..=10).for_each(|second| clock.second(&[("kills", status(second, 0, 1))]));
    for second in 0..=10 {
        let mut other = status(second, 0, 2);
        other.groups[1].name = "enrich".into();
        clock.second(&[("kills", other)]);
    }
    let queues = clock.lines().remove(0).queues;
    let expected = [("enrich", vec![None, Some(2)]), ("parse", vec![Some(1), None])];
    assert_eq!(queues, expected.map(|(name, depths)| (name.to_owned(), depths)).into());
}

#[test]
fn a_pipeline_that_is_gone_is_shown_for_an_hour() {
    let mut clock = Clock::new();
    (0..=10).for_each(|second| clock.second(&[("kills", status(second, 0, 0)), ("market", status(second, 0, 0))]));
    (11..=100).for_each(|second| clock.second(&[("kills", status(second, 0, 0))]));
    assert!(clock.history.window("market", Duration::from_secs(10)).is_none());
    assert_eq!(clock.lines().iter().map(|line| line.at.len()).collect::<Vec<_>>(), [10, 1]);
    (101..=3700).for_each(|second| clock.second(&[("kills", status(second, 0, 0))]));
    assert_eq!(clock.lines().iter().map(|line| line.name.clone()).collect::<Vec<_>>(), ["kills"]);
}

#[test]
fn no_more_is_kept_than_a_minute_of_samples_an_hour_of_points_and_a_hundred_pipelines() {
    let mut clock = Clock::new();
    (0..=4000).for_each(|second| clock.second(&[("kills", status(second, 0, 0))]));
    assert_eq!(clock.lines()[0].at.len(), POINTS);
    let names: Vec<String> = (0..150).map(|index| format!("pipeline {index}")).collect();
    let all: Vec<(&str, Status)> = names.iter().map(|name| (name.as_str(), status(1, 0, 0))).collect();
    clock.second(&all);
    assert_eq!(clock.lines().len(), PIPELINES_MAX);
}
