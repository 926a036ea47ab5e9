//! `/livez` and `/readyz`.

use std::time::Duration;

use broadside::store::{self, DeadLetterState, Store};
use broadside_engine::pipeline::State;
use broadside_engine::{BreakerStatus, Recent};
use serde_json::json;

use crate::world::World;

async fn not_ready(world: &World) -> (u16, Vec<(String, String)>) {
    let answer = world.get("/readyz").await;
    let body = answer.json();
    let reasons = body["not_ready"].as_array().unwrap();
    assert_eq!(body["ready"], reasons.is_empty());
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (answer.status, reasons.iter().map(|r| (text(&r["what"]), text(&r["why"]))).collect())
}

#[tokio::test]
async fn a_worker_that_runs_is_alive_and_ready() {
    let world = World::new().await;
    assert_eq!(world.get("/livez").await.status, 200);
    assert_eq!(not_ready(&world).await, (200, Vec::new()));
}

#[tokio::test]
async fn readiness_turns_false_before_a_drain_and_while_one_lasts() {
    let world = World::new().await;
    world.readiness.block("draining", "a signal asked for it");
    assert_eq!(not_ready(&world).await, (503, vec![("draining".into(), "a signal asked for it".into())]));
    world.pipelines.change(|status| status.state = State::Draining);
    world.readiness.clear("draining");
    assert_eq!(not_ready(&world).await, (503, vec![("pipeline kills".into(), "it is draining".into())]));
    assert_eq!(world.get("/livez").await.status, 200, "it must not be killed for it");
}

#[tokio::test]
async fn a_source_that_gave_up_is_named_with_its_cause() {
    let world = World::new().await;
    world.pipelines.change(|status| status.source_failure = Some("connect to the feed: refused".into()));
    let (status, reasons) = not_ready(&world).await;
    assert_eq!(status, 503);
    assert_eq!(reasons[0].1, "its source gave up: connect to the feed: refused");
}

#[tokio::test]
async fn a_ledger_that_does_not_balance_is_not_ready() {
    let world = World::new().await;
    world.pipelines.change(|status| status.ledger.in_flight -= 2);
    assert_eq!(not_ready(&world).await, (503, vec![("pipeline kills".into(), "its ledger is off by 2".into())]));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_ready_and_its_words_stay_inside() {
    let world = World::new().await;
    world.store.set_away(true);
    let (status, reasons) = not_ready(&world).await;
    assert_eq!((status, reasons[0].0.as_str()), (503, "store"));
    assert!(!reasons[0].1.contains("away"));
}

#[tokio::test]
async fn a_call_that_is_held_is_not_ready_although_a_ping_comes_through() {
    let world = World::new().await;
    let held = store::retry::hold(world.store.health(), "insert kills", || async {
        Err::<(), _>(store::Error::Transient("busy".into()))
    });
    let waiting = async {
        while world.get("/readyz").await.status == 200 {}
        not_ready(&world).await
    };
    tokio::select! {
        _ = held => panic!("it is held for ever"),
        (status, reasons) = waiting => {
            assert_eq!((status, reasons[0].0.as_str()), (503, "store"));
            assert!(reasons[0].1.starts_with("calls have been held since 20"), "{reasons:?}");
        }
    }
}

#[tokio::test]
async fn a_breaker_that_has_tripped_and_too_many_failures_are_details_of_a_ready_worker() {
    let world = World::new().await;
    world.pipelines.change(|status| {
        let breaker = BreakerStatus {
            open: true,
            open_for: Some(Duration::from_secs(90)),
            successes: 3,
            ..BreakerStatus::default()
        };
        status.breaker = Some(breaker);
        status.recent = Recent { messages: 1_000, failed: 25, alert: true };
    });
    let answer = world.get("/readyz").await;
    let why = |n: usize| answer.json()["details"][n]["why"].as_str().unwrap().to_owned();
    assert_eq!(answer.status, 200);
    assert_eq!(
        why(0),
        "its breaker has tripped: for 90 s only probes have been read, and 3 of them succeeded in a row"
    );
    assert_eq!(why(1), "2.5 % of its messages failed within five minutes (25 of 1000)");
    let kills = &world.get("/api/pipelines").await.json()["pipelines"][0];
    assert_eq!((&kills["breaker"]["open"], &kills["breaker"]["open_seconds"]), (&json!(true), &json!(90.0)));
    assert_eq!(kills["failures"], json!({"messages": 1000, "failed": 25, "ratio": 0.025, "alert": true}));
}

#[tokio::test]
async fn the_pipelines_are_listed_with_their_shape_figures_and_ledger() {
    let world = World::new().await;
    world
        .store
        .set_letters(vec![("kills".into(), DeadLetterState::Open, 7), ("other".into(), DeadLetterState::Open, 1)]);
    let body = world.get("/api/pipelines").await.json();
    let kills = &body["pipelines"][0];
    assert_eq!((&kills["name"], &kills["state"]), (&json!("kills"), &json!("running")));
    assert_eq!(kills["topology"]["source"]["name"], "wanderer");
    assert_eq!(kills["topology"]["processors"][0]["stages"], json!(["decode", "deduplicate"]));
    let batcher = &kills["topology"]["batchers"][0];
    assert_eq!((&batcher["sink"], &batcher["batch_timeout_seconds"]), (&json!("database"), &json!(0.2)));
    assert_eq!(kills["topology"]["batchers"][1]["after"], "db_insert");
    let parse = &kills["groups"][1];
    assert_eq!((&parse["queue_depth"], &parse["busy_seconds"]), (&json!(120), &json!(1.5)));
    assert_eq!(
        kills["ledger"],
        json!({
            "received": 1250, "in_flight": 40, "imbalance": 0, "settled_total": 1210,
            "settled": {"successful": 1000, "failed": 3, "dead_lettered": 7, "filtered": 200, "abandoned": 0},
        })
    );
    assert_eq!(kills["limits"]["rate_limit"], json!({"messages": 2000, "per_seconds": 1.0}));
    assert_eq!(kills["dead_letters"], json!({"open": 7}));
}
