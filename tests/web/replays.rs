//! Replays over HTTP: what may be asked for, one at a time, watched and stopped.

use std::sync::Arc;

use async_trait::async_trait;
use broadside::dead_letter::{Replays, Rerun, Source};
use broadside::http::State;
use broadside::hub::Hub;
use broadside::store::{self, NewDeadLetter, Options, Store};
use broadside_engine::Pipeline;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::client::{self, Answer};
use crate::world::{HandMade, World};

/// Knows a pipeline, and cannot start it.
#[derive(Debug)]
struct Broken;

#[async_trait]
impl Rerun for Broken {
    async fn start(&self, _: &str, _: &Source, _: Option<u32>) -> Result<Pipeline, String> {
        Err("the pipeline is out of order".to_owned())
    }

    fn pipelines(&self) -> Vec<String> {
        vec!["kills".to_owned()]
    }
}

async fn letters() -> Arc<dyn Store> {
    let store = store::connect("sqlite::memory:", &Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    let letter = |pipeline: &str| NewDeadLetter {
        pipeline: pipeline.to_owned(),
        stage: "decode".to_owned(),
        class: "invalid".to_owned(),
        payload: b"rubbish".to_vec(),
        ..NewDeadLetter::default()
    };
    store.add_dead_letters(&[letter("kills"), letter("kills"), letter("other")]).await.unwrap();
    store
}

async fn world(store: &Arc<dyn Store>, settle: impl FnOnce(State) -> State) -> World {
    World::over_with(store.clone(), Arc::new(Hub::default()), Arc::new(HandMade::default()), settle).await
}

async fn order(world: &World, body: &Value) -> Answer {
    let body = body.to_string();
    let length = body.len().to_string();
    let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
    client::send(world.address, "POST", "/api/dead-letters/replay", &headers, &body).await
}

#[tokio::test]
async fn a_condition_that_is_misspelt_or_missing_never_means_more_letters() {
    let store = letters().await;
    let replays = Arc::new(Replays::new(store.clone(), Arc::new(Broken)));
    let world = world(&store, |state| state.with_replays(replays)).await;
    for (body, said) in [
        (json!({"pipeline": "kills", "stagee": "decode"}), "the body has no \"stagee\""),
        (json!({"dry_run": true}), "say which letters"),
        (json!({"all": true, "ids": [1]}), "say either which letters"),
        (json!({"all": true, "diff": true}), "diff goes with dry_run"),
        (json!({"all": true, "rate": 0}), "rate must be at least 1"),
        (json!({"ids": "all"}), "the body cannot be read"),
    ] {
        let answer = order(&world, &body).await;
        assert_eq!(answer.status, 400, "{body}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(said), "{body}: {message}");
    }
}

#[tokio::test]
async fn a_replay_is_ordered_watched_and_told_why_it_failed() {
    let store = letters().await;
    let replays = Arc::new(Replays::new(store.clone(), Arc::new(Broken)));
    let at_work = replays.clone();
    let world = world(&store, |state| state.with_replays(replays)).await;
    let refused = order(&world, &json!({"all": true})).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (409, &json!("elsewhere")),
        "one is of another pipeline"
    );
    let refused = order(&world, &json!({"pipeline": "kills", "database": "another"})).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &json!("other_database")));

    let database = store.database_identity().await.unwrap();
    let ordered = order(&world, &json!({"pipeline": "kills", "dry_run": true, "database": database})).await;
    assert_eq!((ordered.status, ordered.header("location")), (202, Some("/api/dead-letters/replays/1")));
    let snapshot = ordered.json();
    assert_eq!(
        (&snapshot["state"], &snapshot["letters"], &snapshot["dry_run"]),
        (&json!("running"), &json!(2), &json!(true))
    );
    let busy = order(&world, &json!({"pipeline": "kills"})).await;
    assert_eq!((busy.status, &busy.json()["error"]["code"]), (409, &json!("busy")));

    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let worker = tokio::spawn(async move { at_work.work(&stopping).await });
    let ended = loop {
        let shown = world.get("/api/dead-letters/replays/1?after=0").await.json();
        if shown["state"] != "running" {
            break shown;
        }
    };
    assert_eq!((&ended["state"], &ended["problem"]), (&json!("failed"), &json!("the pipeline is out of order")));
    assert_eq!((&ended["reports"], &ended["next"]), (&json!([]), &json!(0)));
    let stopped = client::request(world.address, "DELETE", "/api/dead-letters/replays/1", &[]).await;
    assert_eq!(stopped.status, 200);
    assert_eq!(world.get("/api/dead-letters/replays/2").await.status, 404);
    stop.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_process_without_replays_says_so() {
    let store = letters().await;
    let world = world(&store, |state| state).await;
    assert_eq!(order(&world, &json!({"all": true})).await.status, 503);
    assert_eq!(world.get("/api/dead-letters/replays/1").await.status, 404);
}
