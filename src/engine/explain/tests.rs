//! Each verdict, from made-up figures.

use super::*;
use crate::pipeline::{Ledger, State};
use crate::topology::{Batcher, BreakerRules, Processor, RateLimit, Source};
use crate::{BreakerStatus, Latencies, Recent};

const CORES: usize = 4;

fn topology() -> Topology {
    let mut topology = Topology::new("kills", Source::new("feed"))
        .processor(Processor { stages: vec!["decode".into()], ..Processor::new("parse") })
        .processor(Processor {
            stages: vec!["tag".into(), "price".into()],
            concurrency: 10,
            ..Processor::new("enrich")
        })
        .batcher(Batcher { concurrency: 2, ..Batcher::new("db") })
        .batcher(Batcher { after: Some("db".into()), ..Batcher::new("publish") });
    topology.breaker = Some(BreakerRules::default());
    topology
}

fn status() -> Status {
    let group = |name: &str, kind, workers| GroupStatus {
        name: name.into(),
        kind,
        workers,
        queue_capacity: 1_000,
        ..GroupStatus::default()
    };
    let stage =
        |group: &str, stage: &str| StageStatus { group: group.into(), stage: stage.into(), ..StageStatus::default() };
    Status {
        state: State::Running,
        ledger: Ledger::default(),
        groups: vec![
            group("feed", "producer", 1),
            group("parse", "processor", 2),
            group("enrich", "processor", 10),
            group("db", "batcher", 2),
            group("publish", "batcher", 1),
        ],
        stages: vec![stage("parse", "decode"), stage("enrich", "tag"), stage("enrich", "price")],
        oldest_unsettled: None,
        source_restarts: 0,
        source_failure: None,
        acknowledgements: 0,
        acknowledgements_panicked: 0,
        in_flight_max: 5_000,
        rate_limit: None,
        breaker: None,
        recent: Recent::default(),
        latencies: Latencies::default(),
    }
}

/// Ten seconds later: the shares (busy, starved, blocked, limited) of each group's time.
fn after(shares: [[f64; 4]; 5]) -> Status {
    let mut status = status();
    for (group, [busy, starved, blocked, limited]) in status.groups.iter_mut().zip(shares) {
        let time = |share: f64| Duration::from_secs_f64(10.0 * share * group.workers as f64);
        (group.busy, group.starved, group.blocked, group.limited) =
            (time(busy), time(starved), time(blocked), time(limited));
        (group.messages, group.groups) = (10_000, 100);
    }
    status.ledger = Ledger { received: 10_000, settled: [9_000, 0, 0, 0, 0], in_flight: 1_000 };
    status
}

fn said(after: &Status) -> Explanation {
    explain(&status(), after, Duration::from_secs(10), &topology(), CORES)
}

fn spend(status: &mut Status, stage: usize, spent: f64, computing: f64) {
    let seconds = Duration::from_secs_f64;
    let stage = &mut status.stages[stage];
    (stage.spent, stage.computing, stage.messages) = (seconds(spent), seconds(computing), 10_000);
}

#[test]
fn a_slow_sink_is_named_and_who_waits_for_it() {
    let shares = [
        [0.0, 0.1, 0.9, 0.0],
        [0.1, 0.0, 0.9, 0.0],
        [0.3, 0.0, 0.7, 0.0],
        [0.97, 0.03, 0.0, 0.0],
        [0.1, 0.9, 0.0, 0.0],
    ];
    let said = said(&after(shares));
    assert_eq!((said.verdict, said.subject.as_deref()), (Verdict::Sink, Some("db")));
    assert_eq!(
        said.sentence,
        "Sink `db` limits it: its 2 sink workers are busy 97 % of the time, 194.0 ms for a batch of 100; `enrich` waits for it 70 % of the time. More \
         workers in `parse`, `enrich`, `publish` or a higher rate_limit or in_flight_max would not help; larger batches or more sink workers may."
    );
    assert_eq!(said.groups[2].blocked_by.as_deref(), Some("db"));
    assert_eq!((said.received_per_second, said.settled_per_second), (1_000.0, 900.0));
}

#[test]
fn a_chain_of_sinks_ends_at_the_one_that_is_slow() {
    let shares =
        [[0.0, 0.1, 0.9, 0.0], [0.1, 0.0, 0.9, 0.0], [0.3, 0.0, 0.7, 0.0], [0.2, 0.0, 0.8, 0.0], [1.0, 0.0, 0.0, 0.0]];
    assert_eq!(said(&after(shares)).subject.as_deref(), Some("publish"));
}

#[test]
fn a_stage_that_waits_is_told_from_a_processor_that_computes() {
    let shares = [
        [0.0, 0.1, 0.9, 0.0],
        [0.2, 0.0, 0.8, 0.0],
        [0.99, 0.0, 0.01, 0.0],
        [0.1, 0.9, 0.0, 0.0],
        [0.1, 0.9, 0.0, 0.0],
    ];
    let mut after = after(shares);
    spend(&mut after, 1, 4.0, 4.0);
    spend(&mut after, 2, 95.0, 1.0);
    let waits = said(&after);
    assert_eq!((waits.verdict, waits.subject.as_deref()), (Verdict::Stage, Some("price")));
    assert!(
        waits.sentence.contains("waits for something outside 99 % of its time (9.5 ms a message)"),
        "{}",
        waits.sentence
    );
    spend(&mut after, 2, 95.0, 90.0);
    let computes = said(&after);
    assert_eq!((computes.verdict, computes.subject.as_deref()), (Verdict::Processor, Some("enrich")));
    assert!(
        computes.sentence.contains("nor would more workers in `enrich`: there are 4 cores"),
        "{}",
        computes.sentence
    );
}

#[test]
fn too_few_workers_are_named_while_there_are_cores_for_more() {
    let shares =
        [[0.0, 0.1, 0.9, 0.0], [1.0, 0.0, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0]];
    let mut after = after(shares);
    spend(&mut after, 0, 20.0, 19.0);
    let said = said(&after);
    assert_eq!((said.verdict, said.subject.as_deref()), (Verdict::Processor, Some("parse")));
    assert!(
        said.sentence.ends_with("would not help; more workers in `parse` would: there are 4 cores."),
        "{}",
        said.sentence
    );
}

#[test]
fn the_source_and_the_limits_that_were_set_are_told_apart() {
    let quiet = [0.1, 0.9, 0.0, 0.0];
    let with = |producer| after([producer, quiet, quiet, quiet, quiet]);
    let source = said(&with([0.05, 0.9, 0.05, 0.0]));
    assert_eq!((source.verdict, source.subject.as_deref()), (Verdict::Source, Some("feed")));
    assert!(source.sentence.contains("has 90 % of its time to spare"), "{}", source.sentence);
    let mut limited = topology();
    limited.source.rate_limit = Some(RateLimit { messages: 100, per: Duration::from_secs(1) });
    let limited = explain(&status(), &with([0.0, 0.2, 0.0, 0.8]), Duration::from_secs(10), &limited, CORES);
    assert_eq!(limited.verdict, Verdict::RateLimit);
    assert!(limited.sentence.contains("of 100 messages in 1s"), "{}", limited.sentence);
    let mut full = with([0.0, 0.05, 0.95, 0.0]);
    full.groups[0].held = full.groups[0].blocked;
    (full.ledger.in_flight, full.groups[3].queue_depth) = (5_000, 1_900);
    let full = said(&full);
    assert_eq!(full.verdict, Verdict::InFlight);
    assert!(full.sentence.contains("1900 of them wait at `db`"), "{}", full.sentence);
}

#[test]
fn one_partition_that_others_wait_behind_is_a_limit_though_workers_are_idle() {
    let quiet = [0.1, 0.9, 0.0, 0.0];
    let mut after =
        after([[0.0, 0.1, 0.9, 0.0], [0.1, 0.1, 0.8, 0.0], [0.1, 0.1, 0.8, 0.0], [0.5, 0.5, 0.0, 0.0], quiet]);
    after.groups[3].queue_depth = 1_000;
    let said = said(&after);
    assert_eq!((said.verdict, said.subject.as_deref()), (Verdict::Sink, Some("db")));
    assert!(said.sentence.contains("those of one partition for each other"), "{}", said.sentence);
}

#[test]
fn a_state_explains_itself() {
    let quiet = [0.0, 1.0, 0.0, 0.0];
    let verdict = |change: fn(&mut Status)| {
        let mut after = after([quiet; 5]);
        change(&mut after);
        said(&after).verdict
    };
    assert_eq!(verdict(|s| s.state = State::Paused), Verdict::Paused);
    assert_eq!(verdict(|s| s.state = State::Draining), Verdict::Ending);
    assert_eq!(verdict(|s| s.state = State::Stopped), Verdict::Ending);
    assert_eq!(verdict(|s| s.ledger = Ledger::default()), Verdict::Idle);
    assert_eq!(
        verdict(|s| s.breaker = Some(BreakerStatus { open: true, ..BreakerStatus::default() })),
        Verdict::Breaker
    );
}

#[test]
fn nothing_at_all_is_explained_too() {
    let said = explain(&status(), &status(), Duration::ZERO, &topology(), CORES);
    assert_eq!((said.verdict, said.received_per_second), (Verdict::Idle, 0.0));
}
