//! Where the source goes on: after a restart, after a crash, after a failure.

use broadside_engine::{Factory, Failure};

use crate::server::{Server, ok};
use crate::{body, checkpoint, factory, package, resources, resources_at, source, take};

async fn every_file() -> Server {
    Server::start(|path, _| match path {
        "/ephemeral/sequence.json" => ok(r#"{"sequence":90}"#),
        _ => ok(&package(path.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0))),
    })
    .await
}

async fn stored(resources: &broadside::resources::Resources) -> serde_json::Value {
    let text = resources.store.checkpoint("zkillboard/test").await.unwrap().unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn without_a_checkpoint_it_begins_with_the_newest() {
    let (server, resources) = (every_file().await, resources().await);
    let factory = factory(&server.url(), &resources);
    let mut source = source(&factory).await;
    assert_eq!(body(&take(&mut *source, 1).await[0]), package(90));
    source.close().await;
    assert_eq!(stored(&resources).await["sequence"], 90);
}

#[tokio::test]
async fn a_checkpoint_that_makes_no_sense_is_no_obstacle() {
    let (server, resources) = (every_file().await, resources_at("nonsense").await);
    let factory = factory(&server.url(), &resources);
    assert_eq!(body(&take(&mut *source(&factory).await, 1).await[0]), package(90));
}

#[tokio::test]
async fn nothing_is_passed_that_is_not_settled() {
    let (server, resources) = (every_file().await, resources_at(&checkpoint(41, &[])).await);
    let first = factory(&server.url(), &resources);
    let mut reader = source(&first).await;
    let mut messages = take(&mut *reader, 4).await;
    let reference = messages[0].reference();
    // 41, 42 and 44 are settled, 43 is not.
    let mut last = messages.split_off(3);
    first.acknowledger().acknowledge(reference, &mut last).await;
    first.acknowledger().acknowledge(reference, &mut messages[..2]).await;
    reader.close().await;
    assert_eq!(stored(&resources).await["sequence"], 43);
    let again = factory(&server.url(), &resources);
    assert_eq!(body(&take(&mut *source(&again).await, 1).await[0]), package(43));
}

#[tokio::test]
async fn what_is_settled_after_a_crash_of_the_source_changes_nothing() {
    let (server, resources) = (every_file().await, resources_at(&checkpoint(41, &[])).await);
    let factory = factory(&server.url(), &resources);
    let mut old = take(&mut *source(&factory).await, 2).await;
    let mut reader = source(&factory).await;
    let new = take(&mut *reader, 1).await;
    assert_eq!(body(&new[0]), package(41), "what was in flight is handed over again");
    assert_ne!(new[0].reference(), old[0].reference());
    factory.acknowledger().acknowledge(old[0].reference(), &mut old).await;
    reader.close().await;
    assert_eq!(stored(&resources).await["sequence"], 41);
}

#[tokio::test]
async fn what_failed_for_good_is_named_until_it_is_stored() {
    let (server, resources) = (every_file().await, resources_at(&checkpoint(41, &[])).await);
    let factory = factory(&server.url(), &resources);
    let mut reader = source(&factory).await;
    let mut messages = take(&mut *reader, 2).await;
    messages[0].fail(Failure::permanent("store it"));
    factory.acknowledger().acknowledge(messages[0].reference(), &mut messages).await;
    reader.close().await;
    let mark = stored(&resources).await;
    assert_eq!((&mark["sequence"], &mark["missing"]), (&43.into(), &serde_json::json!([41])));
}

#[tokio::test]
async fn numbers_that_were_missing_are_looked_at_again() {
    let (server, resources) = (every_file().await, resources_at(&checkpoint(50, &[41, 43])).await);
    let factory = factory(&server.url(), &resources);
    let mut source = source(&factory).await;
    let found: Vec<_> = take(&mut *source, 4).await.iter().map(body).collect();
    assert!(found.contains(&package(41)) && found.contains(&package(50)), "{found:?}");
}
