//! The regions of the market: read, added, removed.

use std::sync::Arc;
use std::time::Duration;

use broadside::killmail::RegionId;
use broadside::regions::{Change, LastSweep, Regions, Standing, State, Tokens, Which};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::client::{Answer, send};
use crate::world::World;

fn region(id: i64) -> RegionId {
    RegionId::new(id).unwrap()
}

fn standing(id: i64, name: &str) -> Standing {
    Standing::new(region(id), Some(name.to_owned()), "market", Timestamp::UNIX_EPOCH)
}

/// Does what is asked for, as a source would: unknown names are refused.
fn serve(regions: &Arc<Regions>) -> AbortOnDropHandle<()> {
    regions.serve(true);
    let regions = regions.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            for wish in regions.wishes().await {
                let told = match wish.change {
                    Change::Add(Which::Id(id)) => {
                        regions.put(standing(id.get(), "Somewhere"));
                        Ok(id)
                    }
                    Change::Add(Which::Name(name)) if name == "The Forge" => {
                        regions.put(standing(10_000_002, &name));
                        Ok(region(10_000_002))
                    }
                    Change::Add(Which::Name(name)) => Err(format!("there is no region {name}")),
                    Change::Remove(id) => {
                        regions.remove(id);
                        Ok(id)
                    }
                };
                let _ = wish.tell.send(told);
            }
        }
    }))
}

async fn add(world: &World, body: &Value) -> Answer {
    let body = body.to_string();
    let length = body.len().to_string();
    let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
    send(world.address, "POST", "/api/market/regions", &headers, &body).await
}

#[tokio::test]
async fn regions_are_shown_as_they_stand() {
    let world = World::new().await;
    assert_eq!(world.get("/api/market").await.json(), json!({"regions": [], "tokens": null, "trouble": {}}));
    let mut forge = standing(10_000_002, "The Forge");
    forge.enter(State::Failing, Some("page 3: 502".to_owned()), Timestamp::UNIX_EPOCH);
    forge.last_sweep = Some(LastSweep {
        ended_at: Timestamp::UNIX_EPOCH,
        seconds: 1.5,
        fetched: 3,
        unchanged: 1,
        fresh: 0,
        share_unchanged: 0.25,
        quality: "mixed",
        reason: Some("two snapshots".to_owned()),
        lag_seconds: 2.5,
        new: 1,
        changed: 2,
        closed: 3,
    });
    world.regions.put(forge);
    world.regions.put(standing(10_000_043, "Domain"));
    world.regions.set_trouble("market", Some("ESI is away".to_owned()));
    let tokens =
        Tokens { limit: 12_000, window_seconds: 900.0, remaining: 9_000, stretch_hubs: 1.0, stretch_others: 1.5 };
    world.regions.set_tokens(tokens);
    let body = world.get("/api/market").await.json();
    let ids: Vec<_> = body["regions"].as_array().unwrap().iter().map(|region| &region["region_id"]).collect();
    assert_eq!(ids, [10_000_002, 10_000_043]);
    assert_eq!(body["trouble"], json!({"market": "ESI is away"}));
    assert_eq!((&body["tokens"]["limit"], &body["tokens"]["stretch_others"]), (&json!(12_000), &json!(1.5)));
    let one = world.get("/api/market/10000002").await.json();
    assert_eq!(one, body["regions"][0]);
    assert_eq!((&one["state"], &one["reason"]), (&json!("failing"), &json!("page 3: 502")));
    assert_eq!(one["last_sweep"]["share_unchanged"], 0.25);
}

#[tokio::test]
async fn a_region_that_is_not_there_is_not_found() {
    let world = World::new().await;
    for id in ["10000002", "0", "-1", "the-forge", "99999999999999999999"] {
        let answer = world.get(&format!("/api/market/{id}")).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("not_found")), "{id}");
        let answer = send(world.address, "DELETE", &format!("/api/market/regions/{id}"), &[], "").await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("not_found")), "{id}");
    }
}

#[tokio::test]
async fn a_region_is_added_by_its_id_or_its_name_and_removed() {
    let world = World::new().await;
    let _source = serve(&world.regions);
    for (wanted, id) in
        [(json!(10_000_043), 10_000_043), (json!(" 10000044 "), 10_000_044), (json!("The Forge"), 10_000_002)]
    {
        let answer = add(&world, &json!({"region": wanted})).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["region_id"]), (201, &json!(id)), "{body}");
        assert!(body["name"].is_string() && body["note"].as_str().is_some_and(|note| note.contains("pipeline file")));
        let path = format!("/api/market/regions/{id}");
        let removed = send(world.address, "DELETE", &path, &[], "").await;
        assert_eq!((removed.status, &removed.json()["region_id"]), (200, &json!(id)));
        assert_eq!(world.get(&format!("/api/market/{id}")).await.status, 404);
    }
}

#[tokio::test]
async fn what_cannot_be_added_is_refused_with_the_reason() {
    let world = World::new().await;
    let _source = serve(&world.regions);
    let refused = add(&world, &json!({"region": "Nowhere"})).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &json!("refused")));
    assert_eq!(refused.json()["error"]["message"], "there is no region Nowhere");
    for body in [
        json!({}),
        json!({"region": null}),
        json!({"region": 0}),
        json!({"region": 1.5}),
        json!({"region": "-5"}),
        json!({"region": ""}),
        json!({"region": "a\u{1b}b"}),
        json!({"region": "x".repeat(101)}),
        json!({"region": 1, "more": 2}),
        json!("The Forge"),
    ] {
        let answer = add(&world, &body).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!("bad_request")), "{body}");
    }
}

#[tokio::test]
async fn a_change_that_is_not_made_in_time_is_said_to_wait() {
    let world = World::with(|state| state.with_change_max(Duration::ZERO)).await;
    world.regions.serve(true);
    let answer = add(&world, &json!({"region": 1})).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("timeout")));
    assert_eq!(world.regions.wishes().await.len(), 1, "it waits still");
    world.regions.serve(false);
    let answer = add(&world, &json!({"region": 1})).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (409, &json!("no_pipeline")));
}

#[tokio::test]
async fn more_changes_than_can_wait_are_refused() {
    let world = World::with(|state| state.with_change_max(Duration::ZERO)).await;
    world.regions.serve(true);
    for _ in 0..64 {
        assert_eq!(add(&world, &json!({"region": 1})).await.json()["error"]["code"], "timeout");
    }
    let answer = add(&world, &json!({"region": 1})).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("busy")));
    assert_eq!(answer.header("retry-after"), Some("2"));
}
