//! Lives of the pipeline, one after the other from the checkpoint, with someone at the controls, until the log is finished.

use std::time::Duration;

use broadside_engine::pipeline::Report;
use broadside_engine::{Outcome, Pipeline};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use crate::components::components;
use crate::watch::Watch;
use crate::world;

/// Lives with trouble; after them the world is calm.
const TROUBLED_LIVES: u32 = 4;
/// Lives after which the log must be finished.
const LIVES_MAX: u32 = 8;
/// Workers that are told to stop, and components that close, may take this long.
const GRACE: Duration = Duration::from_secs(2);
/// No life takes this long on the paused clock, unless it is stuck.
const STUCK: Duration = Duration::from_secs(2 * 3600);

/// What came of a seed.
pub(crate) struct Course {
    pub(crate) faults: Vec<String>,
    pub(crate) hash: u64,
    pub(crate) delivered: u64,
}

/// Runs one seed from start to end.
pub(crate) fn simulate(seed: u64, verbose: bool) -> Course {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = world::draw(seed);
        if verbose {
            println!("{world:#?}");
        }
        let watch = Watch::new(world, verbose);
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed);
        for life in 0..LIVES_MAX {
            live(&watch, &mut rng, life).await;
            if watch.is_done() || !watch.state().faults.is_empty() {
                break;
            }
        }
        let sound = watch.state().faults.is_empty();
        if sound {
            watch.check(watch.is_done(), || "the log is not finished".to_owned());
        }
        let state = watch.state();
        Course { faults: state.faults.clone(), hash: state.hash(), delivered: state.delivered() }
    })
}

async fn live(watch: &Watch, rng: &mut StdRng, life: u32) {
    let calm = life >= TROUBLED_LIVES;
    watch.begin(life, calm);
    watch.note(("life", life));
    let mut topology = watch.world.topology.clone();
    if calm {
        topology.drain_deadline = STUCK;
    }
    let pipeline = Pipeline::start(topology, components(watch)).unwrap();
    if !calm {
        steer(&pipeline, watch, rng).await;
    }
    match tokio::time::timeout(STUCK, watched(&pipeline, watch)).await {
        Ok(report) => settle_accounts(watch, &report),
        Err(_) => watch.check(false, || format!("stuck: {:?}", pipeline.status())),
    }
}

/// Turns every knob at random, then drains, or leaves the pipeline to finish by itself.
async fn steer(pipeline: &Pipeline, watch: &Watch, rng: &mut StdRng) {
    for _ in 0..rng.random_range(0..60) {
        // also several at one moment, and between two steps of the workers
        match rng.random_range(0..4) {
            0 => {}
            1 => tokio::task::yield_now().await,
            _ => tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await,
        }
        probe(pipeline, watch);
        turn(pipeline, watch, rng);
        probe(pipeline, watch);
    }
    if rng.random_bool(0.6) {
        watch.note("drain");
        pipeline.drain();
        // it stays harmless
        turn(pipeline, watch, rng);
    } else {
        pipeline.resume();
    }
}

fn turn(pipeline: &Pipeline, watch: &Watch, rng: &mut StdRng) {
    match rng.random_range(0..8) {
        0 => {
            watch.note("pause");
            pipeline.pause();
        }
        1 | 2 => {
            watch.note("resume");
            pipeline.resume();
        }
        3 => {
            let limit = rng.random_range(1..250);
            pipeline.set_in_flight_max(limit).unwrap();
            watch.note(("in flight", limit));
            let mut state = watch.state();
            state.in_flight_bound = state.in_flight_bound.max(limit as u64);
            state.limit_set = Instant::now();
        }
        4 => pipeline.set_rate_limit(rng.random_bool(0.7).then(|| world::rate_limit(rng))).unwrap(),
        5 | 6 => {
            let shape = pipeline.topology();
            let processors = shape.processors.iter().map(|p| &p.name);
            let groups: Vec<&String> = processors.chain(shape.batchers.iter().map(|b| &b.name)).collect();
            let (group, workers) = (groups[rng.random_range(0..groups.len())], rng.random_range(1..8));
            pipeline.set_concurrency(group, workers).unwrap();
            watch.note((group.as_str(), workers));
        }
        _ => {}
    }
}

/// Waits for the end and looks in on the way.
async fn watched(pipeline: &Pipeline, watch: &Watch) -> Report {
    let mut ended = std::pin::pin!(pipeline.finished());
    let mut pause = Duration::from_millis(7);
    loop {
        tokio::select! {
            biased;
            report = &mut ended => return report,
            () = tokio::time::sleep(pause) => probe(pipeline, watch),
        }
        pause = (pause + pause / 8).min(Duration::from_secs(10));
    }
}

/// What must hold at every moment.
fn probe(pipeline: &Pipeline, watch: &Watch) {
    let status = pipeline.status();
    let mut state = watch.state();
    let ledger = status.ledger;
    state.check(ledger.imbalance() == 0, || format!("the ledger is out of balance: {ledger:?}"));
    let bound = state.in_flight_bound;
    state.check(ledger.in_flight <= bound, || format!("{} in flight, at most {bound}", ledger.in_flight));
    // a lowered limit holds once it has been reached; permits may be on their way to a producer at the moment of the change
    if ledger.in_flight <= status.in_flight_max as u64 && state.limit_set < Instant::now() {
        state.in_flight_bound = status.in_flight_max as u64;
    }
    let handed = state.handed;
    state.check(ledger.received <= handed, || format!("{} received of {handed}", ledger.received));
    for group in status.groups.iter().skip(1) {
        state.check(group.queue_depth <= group.queue_capacity, || format!("queue: {group:?}"));
    }
    state.note(("probe", ledger.received, ledger.in_flight));
}

/// What must hold when a life has ended.
fn settle_accounts(watch: &Watch, report: &Report) {
    let mut state = watch.state();
    let ledger = report.ledger;
    state.note(("end", ledger.received, ledger.settled, report.took));
    state.check(ledger.imbalance() == 0 && ledger.in_flight == 0, || format!("at the end: {ledger:?}"));
    let abandoned = ledger.outcome(Outcome::Abandoned);
    state.check(report.source_failure.is_none(), || format!("the source gave up: {:?}", report.source_failure));
    let most = watch.world.topology.drain_deadline + GRACE;
    let in_time = state.calm || report.took <= most;
    state.check(in_time, || format!("the drain took {:?}", report.took));
    let (handed, told) = (state.handed, state.acknowledged);
    if report.deadline_passed {
        state.check(ledger.received <= handed, || format!("{} received of {handed}", ledger.received));
        let known = told + abandoned;
        state.check(known >= ledger.received, || format!("{told} told, {abandoned} abandoned of {ledger:?}"));
    } else {
        state.check(abandoned == 0, || format!("{abandoned} abandoned without a deadline"));
        state.check(ledger.received == handed, || format!("{} received of {handed}", ledger.received));
        state.check(told == ledger.received, || format!("{told} told of {}", ledger.received));
    }
}
