//! The source against the simulator: whatever it does, every kill that it delivered arrives.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use broadside::simulator::{Config as Feed, Faults, Simulator};
use broadside::sources::wanderer::Config;
use broadside_engine::Demand;

use crate::{PATIENCE, body, config, enhanced, source};

/// What came, by kill, and what came besides.
#[derive(Debug, Default)]
struct Received {
    kills: BTreeMap<i64, usize>,
    attackers_max: usize,
    others: Vec<String>,
}

/// Pulls until everything published has arrived; checks that nothing was lost on the way, and nothing invented.
async fn receive(simulator: &Simulator, config: &Config) -> Received {
    receive_until(simulator, config, |received, published| {
        received.kills.len() + received.others.len() >= published.len()
    })
    .await
}

async fn receive_until(
    simulator: &Simulator,
    config: &Config,
    is_enough: impl Fn(&Received, &[i64]) -> bool,
) -> Received {
    let mut source = source(config).await;
    let mut received = Received::default();
    let end = Instant::now() + PATIENCE;
    loop {
        let mut demand = Demand::of(100);
        let _ = tokio::time::timeout(Duration::from_millis(100), source.pull(&mut demand)).await;
        for message in demand.into_messages() {
            note(&mut received, body(&message));
        }
        let counts = simulator.counts();
        let arrived = received.kills.values().sum::<usize>() + received.others.len();
        let is_through = simulator.has_published_all() && arrived as u64 >= counts.delivered + counts.spoilt;
        if is_through && is_enough(&received, &simulator.published()) {
            break;
        }
        assert!(Instant::now() < end, "{arrived} arrived of {counts:?}");
    }
    let published: HashSet<_> = simulator.published().into_iter().collect();
    assert!(received.kills.keys().all(|id| published.contains(id)), "a kill was invented");
    assert!(simulator.delivered().iter().all(|id| received.kills.contains_key(id)), "a kill was lost");
    received
}

fn note(received: &mut Received, body: String) {
    let json: Option<serde_json::Value> = serde_json::from_str(&body).ok();
    match json.as_ref().and_then(|json| json["killmail_id"].as_i64()) {
        Some(id) => {
            *received.kills.entry(id).or_default() += 1;
            let attackers = json.as_ref().and_then(|json| json["attackers"].as_array()).map_or(0, Vec::len);
            received.attackers_max = received.attackers_max.max(attackers);
        }
        None => received.others.push(body),
    }
}

async fn simulate(faults: Faults) -> Simulator {
    let feed = Feed { rate: 400.0, count: Some(200), record: true, faults, ..Feed::default() };
    Simulator::start(feed).await.expect("a simulator")
}

/// Runs both dialects; gives what each received.
async fn both(faults: Faults) -> [(Simulator, Received); 2] {
    let (basic, named) = (simulate(faults.clone()).await, simulate(faults).await);
    let (basic_config, named_config) = (config(&basic.url()), enhanced(&named.url()));
    let (one, two) = tokio::join!(receive(&basic, &basic_config), receive(&named, &named_config));
    [(basic, one), (named, two)]
}

#[tokio::test]
async fn in_fair_weather_every_kill_arrives_once() {
    for (simulator, received) in both(Faults::default()).await {
        assert_eq!(received.kills.len(), 200);
        assert_eq!(simulator.counts().connections, 1);
        assert!(received.kills.values().all(|times| *times == 1) && received.others.is_empty());
        simulator.stop().await;
    }
}

#[tokio::test]
async fn duplicates_arrive_as_often_as_they_are_sent() {
    for (simulator, received) in both(Faults { duplicates: 0.5, ..Faults::default() }).await {
        assert_eq!(received.kills.values().sum::<usize>() as u64, simulator.counts().delivered);
        assert!(received.kills.values().any(|times| *times == 2));
    }
}

#[tokio::test]
async fn line_ends_and_split_writes_change_nothing() {
    for (_, received) in both(Faults { crlf: true, pieces: 7, ..Faults::default() }).await {
        assert_eq!(received.kills.len(), 200);
    }
}

#[tokio::test]
async fn broken_json_arrives_with_its_bytes() {
    for (simulator, received) in both(Faults { bad_json: 0.3, ..Faults::default() }).await {
        assert_eq!(received.others.len() as u64, simulator.counts().spoilt);
        assert!(!received.others.is_empty() && received.others.iter().all(|body| body.starts_with('{')));
    }
}

#[tokio::test]
async fn empty_attackers_and_a_huge_kill_arrive() {
    for (_, received) in both(Faults { empty_attackers: 0.5, huge_attackers: 10_000, ..Faults::default() }).await {
        assert_eq!(received.kills.len(), 200);
    }
    for (_, received) in both(Faults { huge_attackers: 10_000, ..Faults::default() }).await {
        assert_eq!(received.attackers_max, 10_000);
    }
}

#[tokio::test]
async fn after_a_cut_frame_and_refusals_the_rest_arrives() {
    let faults = Faults { cut_after: Some(30), cuts: 1, refusals: 1, ..Faults::default() };
    let feed = |faults| Feed { rate: 100.0, record: true, faults, ..Feed::default() };
    let simulator = Simulator::start(feed(faults)).await.expect("a simulator");
    let config = config(&simulator.url());
    let has_last =
        |received: &Received, published: &[i64]| published.last().is_some_and(|last| received.kills.contains_key(last));
    // It publishes for as long as it takes to come back, and some more.
    let until_it_is_back = async {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        while simulator.counts().connections < 3 || simulator.counts().delivered < 100 {
            looks.tick().await;
        }
        simulator.stop_publishing();
    };
    let (received, ()) = tokio::join!(receive_until(&simulator, &config, has_last), until_it_is_back);
    assert_eq!(simulator.counts().connections, 3);
    assert!(received.kills.len() > 30 && received.others.is_empty(), "{}", received.kills.len());
}

#[tokio::test]
async fn a_silence_within_the_timeout_is_waited_out() {
    let faults = Faults { silence: Some((50, Duration::from_secs(2))), ..Faults::default() };
    for (simulator, received) in both(faults).await {
        assert_eq!((simulator.counts().connections, received.kills.len()), (1, 200));
    }
}

#[tokio::test]
async fn history_comes_in_batches_when_asked_for() {
    let simulator = simulate(Faults::default()).await;
    receive(&simulator, &config(&simulator.url())).await;
    let config = Config { preload_days: 1, ..enhanced(&simulator.url()) };
    let mut late = source(&config).await;
    assert_eq!(crate::bodies(&mut *late, 200).await.len(), 200);
}

#[tokio::test]
async fn only_kills_of_the_wanted_systems_come() {
    // As many as are kept for who comes later.
    let feed = Feed { rate: 400.0, count: Some(200), record: true, ..Feed::default() };
    let simulator = Simulator::start(feed).await.expect("a simulator");
    let everything = config(&simulator.url());
    let mut first = source(&everything).await;
    let one = &crate::bodies(&mut *first, 1).await[0];
    let kill: serde_json::Value = serde_json::from_str(one).expect("a kill");
    let system = kill["system_id"].as_i64().expect("a system");
    let config = Config { system_ids: vec![system], preload_days: 1, ..enhanced(&simulator.url()) };
    let mut filtered = source(&config).await;
    assert_eq!(&crate::bodies(&mut *filtered, 1).await[0], one);
}
