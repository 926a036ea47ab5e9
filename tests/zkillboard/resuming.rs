//! Where the source goes on: after a restart, after a crash, after a failure.

use broadside_engine::{Factory, Failure};

use broadside::sources::zkillboard::Config;

use crate::server::{Server, not_found, ok};
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

#[tokio::test]
async fn days_that_are_left_are_read_from_the_history_beside_the_live_files() {
    let hash = "0123456789abcdef0123456789abcdef01234567";
    let day = |ids: [u64; 3]| ids.map(|id| format!(r#""{id}":{{"killmail_id":{id},"x":1}}"#)).join(",");
    let list = format!(r#"{{"1":"{hash}","2":"{hash}","3":"{hash}"}}"#);
    let server = Server::start(move |path, _| match path {
        "/history/20260102.json" => ok(&list),
        "/history/raw/20260102.json" => ok(&format!("{{{}}}", day([1, 2, 3]))),
        path if path.starts_with("/history/") => not_found(),
        "/ephemeral/sequence.json" => ok(r#"{"sequence":90}"#),
        _ => ok(&package(path.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0))),
    })
    .await;
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let mark = format!(r#"{{"sequence":41,"at":"{}","days":["2026-01-02","{today}"]}}"#, jiff::Timestamp::now());
    let (resources, spool) = (resources_at(&mark).await, tempfile::tempdir().unwrap());
    let folder = spool.path().join("spool");
    let config = Config { url: server.url(), spool: Some(folder.clone()), ..Config::default() };
    let factory = config.open("test", &resources).unwrap();
    let mut source = factory.build(0).await.unwrap();
    let mut messages = Vec::new();
    let is_day = |text: &String| text.contains(hash);
    while messages.iter().map(body).filter(is_day).count() < 3 || messages.len() < 5 {
        messages.extend(take(&mut *source, 1).await);
    }
    let texts: Vec<_> = messages.iter().map(body).filter(is_day).collect();
    let first = format!(r#"{{"killmail_id":1,"hash":"{hash}","esi":{{"killmail_id":1,"x":1}}}}"#);
    assert_eq!((texts.len(), &texts[0]), (3, &first));
    assert!(folder.exists() && messages.iter().all(|message| message.payload.source == "zkillboard"));
    // All but the last of the day are safe: the day is not done.
    let last = messages.iter().rposition(|message| is_day(&body(message))).unwrap();
    let mut unsettled = vec![messages.remove(last)];
    let reference = unsettled[0].reference();
    factory.acknowledger().acknowledge(reference, &mut messages).await;
    messages.extend(take(&mut *source, 2).await);
    source.close().await;
    assert_eq!(stored(&resources).await["days"], serde_json::json!(["2026-01-02", today]));
    factory.acknowledger().acknowledge(reference, &mut unsettled).await;
    factory.acknowledger().acknowledge(reference, &mut messages).await;
    source.close().await;
    assert_eq!(stored(&resources).await["days"], serde_json::json!([today]));
    assert!(!folder.exists(), "the day's files are not needed any more");
}
