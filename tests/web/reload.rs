//! Reloads and explanations over HTTP: who does a reload is played by the test.

use std::sync::Arc;
use std::time::Duration;

use broadside::http::{Reload, ReloadChange, ReloadOutcome, Reloads};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::memory_store::MemoryStore;
use crate::world::{HandMade, World};

async fn post(world: &World) -> Answer {
    request(world.address, "POST", "/api/reload", &[]).await
}

fn done() -> Reload {
    let change = ReloadChange {
        pipeline: "kills".into(),
        setting: "processor.parse.concurrency".into(),
        from: Some("2".into()),
        to: Some("3".into()),
        how: "in_place",
    };
    Reload { at: Timestamp::UNIX_EPOCH, outcome: ReloadOutcome::Done, problems: Vec::new(), changes: vec![change] }
}

async fn world(reloads: &Reloads, change_max: Duration) -> World {
    let pipelines = Arc::new(HandMade::default());
    let settle = |state: broadside::http::State| state.with_reloads(Some(reloads.clone())).with_change_max(change_max);
    World::over_with(Arc::new(MemoryStore::default()), Arc::default(), pipelines, settle).await
}

#[tokio::test]
async fn a_reload_is_answered_with_what_it_came_to_and_shown_from_then_on() {
    let (reloads, mut requests) = Reloads::new();
    let world = world(&reloads, Duration::from_secs(60)).await;
    let shown = async || world.get("/api/pipelines").await.json()["reload"].clone();
    assert_eq!(shown().await, Value::Null);
    let told = reloads.clone();
    let reloader = tokio::spawn(async move {
        let asked = requests.recv().await.unwrap();
        told.note(done());
        asked.send(done()).unwrap();
    });
    let answer = post(&world).await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "at": "1970-01-01T00:00:00Z", "outcome": "done", "problems": [],
        "changes": [{"pipeline": "kills", "setting": "processor.parse.concurrency", "from": "2", "to": "3", "how": "in_place"}],
    });
    assert_eq!((answer.json(), shown().await), (expected.clone(), expected));
    reloader.await.unwrap();
}

#[tokio::test]
async fn one_that_takes_longer_is_under_way() {
    let (reloads, requests) = Reloads::new();
    let world = world(&reloads, Duration::from_millis(1)).await;
    let answer = post(&world).await;
    assert_eq!((answer.status, &answer.json()["outcome"]), (202, &json!("working")));
    drop(requests);
    assert_eq!(post(&world).await.status, 409, "nobody reloads any more");
}

#[tokio::test]
async fn a_worker_without_files_has_nothing_to_reload() {
    let answer = post(&World::new().await).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (409, &json!("no_files")));
}

#[tokio::test]
async fn what_has_only_just_started_is_not_explained_yet() {
    let world = World::new().await;
    let said = world.get("/api/explain").await.json();
    let kills = &said["pipelines"][0];
    assert_eq!(kills["pipeline"], "kills");
    assert_eq!(kills["groups"].as_array().unwrap().len(), 5);
    for wrong in ["1", "61", "x", "-1"] {
        assert_eq!(world.get(&format!("/api/explain?seconds={wrong}")).await.status, 400, "{wrong}");
    }
}
