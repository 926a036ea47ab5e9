//! The price cache job over HTTP, where nobody of this process works on it.

use broadside::price::job::{Job, Market, State};
use jiff::Timestamp;
use serde_json::json;

use crate::client::{Answer, request};
use crate::world::World;

async fn post(world: &World, action: &str) -> Answer {
    request(world.address, "POST", &format!("/api/cache/prices/{action}"), &[]).await
}

fn job(state: State) -> Job {
    let first = Market { successful: 90, failed: 10, position: Some(99), seconds: 50.0, ..Market::new(2, 100) };
    let changed_at = Some(Timestamp::UNIX_EPOCH);
    Job { state, epoch: 3, changed_at, markets: vec![first, Market::new(115, 300)], ..Job::default() }
}

#[tokio::test]
async fn a_job_that_was_never_started_is_idle_and_empty() {
    let world = World::new().await;
    let status = world.get("/api/cache/prices/status").await.json();
    assert_eq!(
        status,
        json!({
            "state": "idle", "current_market": null, "markets": [], "overall_progress": 0.0, "total_eta_minutes": null,
            "analytics": {"total": 0, "completed": 0, "successful": 0, "failed": 0, "success_rate": 0.0, "seconds": 0.0,
                "average_milliseconds": null, "markets": []},
            "reason": null, "started_at": null, "changed_at": null,
        })
    );
}

#[tokio::test]
async fn a_job_is_shown_by_market_and_over_all() {
    let world = World::new().await;
    world.store.set_job(job(State::Paused));
    let status = world.get("/api/cache/prices/status").await.json();
    assert_eq!((&status["state"], &status["current_market"]), (&json!("paused"), &json!(115)));
    assert_eq!(status["overall_progress"], 0.25);
    assert_eq!(
        status["markets"][0],
        json!({"market_id": 2, "total": 100, "completed": 100, "successful": 90, "failed": 10, "success_rate": 0.9, "eta_minutes": 0.0})
    );
    assert_eq!((&status["markets"][1]["eta_minutes"], &status["total_eta_minutes"]), (&json!(2.5), &json!(2.5)));
    assert_eq!(status["analytics"]["average_milliseconds"], 500.0);
}

#[tokio::test]
async fn what_is_not_legal_is_refused_with_the_state_and_what_is_and_changes_nothing() {
    for (state, refused) in [
        (State::Idle, vec!["pause", "stop"]),
        (State::Paused, vec!["pause"]),
        (State::Completed, vec!["pause", "stop"]),
        (State::Error, vec!["pause", "stop"]),
        (State::Processing, vec!["reset"]),
        (State::Initializing, vec!["reset"]),
    ] {
        let world = World::new().await;
        world.store.set_job(job(state));
        world.store.set_claimed(state.is_running());
        for action in refused {
            let answer = post(&world, action).await;
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert_eq!((answer.status, &answer.json()["error"]["code"]), (409, &json!("illegal")), "{state} {action}");
            let start = format!("the job is {state}: it cannot {action}; it can ");
            assert!(message.starts_with(&start) && message.len() > start.len(), "{message}");
            assert_eq!(world.store.job(), job(state));
        }
    }
}

#[tokio::test]
async fn without_a_pipeline_it_can_be_paused_stopped_and_reset_and_not_started() {
    let world = World::new().await;
    world.store.set_job(job(State::Processing));
    world.store.set_claimed(true);
    assert_eq!(post(&world, "pause").await.json()["state"], "paused");
    for action in ["start", "resume"] {
        let answer = post(&world, action).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (409, &json!("no_pipeline")), "{action}");
    }
    assert_eq!(post(&world, "stop").await.json()["state"], "idle");
    assert_eq!(world.store.job().markets.len(), 2, "to be seen");
    assert_eq!(post(&world, "reset").await.json()["markets"], json!([]));
    let job = world.store.job();
    assert!(job.epoch > 3 && job.markets.is_empty(), "what the run still writes is refused: {job:?}");
}

#[tokio::test]
async fn a_run_that_nobody_is_at_is_shown_as_paused_and_one_that_another_process_has_as_it_is() {
    let world = World::new().await;
    world.store.set_job(job(State::Processing));
    world.store.set_claimed(true);
    assert_eq!(world.get("/api/cache/prices/status").await.json()["state"], "processing");
    world.store.set_claimed(false);
    let status = world.get("/api/cache/prices/status").await.json();
    assert_eq!((&status["state"], &status["reason"]), (&json!("paused"), &json!("the worker that was at it is gone")));
    assert_eq!(world.store.job().state, State::Paused);
}

#[tokio::test]
async fn another_site_may_not_touch_it_and_a_store_that_is_away_is_said() {
    let world = World::new().await;
    let foreign = [("sec-fetch-site", "cross-site")];
    assert_eq!(request(world.address, "POST", "/api/cache/prices/reset", &foreign).await.status, 403);
    assert_eq!(request(world.address, "GET", "/api/cache/prices/start", &[]).await.status, 405);
    world.store.set_away(true);
    assert_eq!(world.get("/api/cache/prices/status").await.status, 503);
    assert_eq!(post(&world, "reset").await.status, 503);
}
