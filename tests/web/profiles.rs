//! Surveillance profiles over HTTP.

use serde_json::{Value, json};

use crate::client::Answer;
use crate::world::World;

const HOOK: &str = "https://discord.com/api/webhooks/1/hunter2";

fn document(name: &str) -> Value {
    json!({"name": name, "filter": {"field": "solo", "operator": "eq", "value": true}})
}

async fn send(world: &World, method: &str, path: &str, body: &str) -> Answer {
    with(world, method, path, &[], body).await
}

async fn with(world: &World, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
    let length = body.len().to_string();
    let mut headers = vec![("content-type", "application/json"), ("content-length", &length)];
    headers.extend(more);
    crate::client::send(world.address, method, path, &headers, body).await
}

async fn post(world: &World, body: &Value) -> Answer {
    send(world, "POST", "/api/profiles", &body.to_string()).await
}

#[tokio::test]
async fn a_profile_is_added_shown_replaced_and_removed() {
    let world = World::new().await;
    let mut given = document("a");
    given["targets"] = json!([{"url": HOOK, "format": "discord"}]);
    let added = post(&world, &given).await;
    assert_eq!((added.status, added.json()), (201, json!({"profile_id": 1, "warnings": []})));
    let shown = world.get("/api/profiles/1").await.json();
    assert_eq!((&shown["name"], &shown["filter"], &shown["version"]), (&json!("a"), &given["filter"], &json!(1)));
    assert_eq!(shown["targets"], json!([{"url": "https://discord.com/***", "format": "discord"}]));
    let masked = json!({"name": "a", "filter": given["filter"], "targets": shown["targets"]});
    let refused = send(&world, "PUT", "/api/profiles/1", &masked.to_string()).await;
    assert_eq!(refused.status, 422, "the masked URL does not take the place of the URL");
    assert!(
        refused.json()["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("at targets[0].url: found a URL that is masked")
    );

    let broad = json!({"name": "b", "filter": {"field": "npc", "operator": "eq", "value": false}});
    let replaced = send(&world, "PUT", "/api/profiles/1", &broad.to_string()).await;
    assert_eq!((replaced.status, replaced.json()["warnings"].as_array().unwrap().len()), (200, 1));
    let shown = world.get("/api/profiles/1").await.json();
    assert_eq!((&shown["name"], &shown["version"], &shown["targets"]), (&json!("b"), &json!(2), &json!([])));
    assert_eq!(send(&world, "DELETE", "/api/profiles/1", "").await.status, 200);
    for (method, body) in [("GET", ""), ("DELETE", ""), ("PUT", &broad.to_string()[..])] {
        let gone = send(&world, method, "/api/profiles/1", body).await;
        assert_eq!((gone.status, &gone.json()["error"]["code"]), (404, &json!("not_found")), "{method}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_place_and_nothing_is_stored() {
    let world = World::new().await;
    let deep = json!({"name": "a", "filter": {"condition": "and", "rules": [document("b")["filter"], {"field": "solo", "operator": "gt", "value": 1}]}});
    let replacing = json!({"name": "a", "profile_id": 7, "filter": document("b")["filter"]});
    for (body, status, says) in [
        ("{", 400, "the body is no JSON"),
        ("", 400, "the body is no JSON"),
        ("[]", 422, "at the top: found a list"),
        (r#"{"name": "a"}"#, 422, "at filter: found nothing"),
        (&deep.to_string()[..], 422, "at filter.rules[1].operator: found \"gt\"; allowed: eq, ne, exists for solo"),
        (&replacing.to_string()[..], 422, "at profile_id: found 7; allowed: no profile_id: PUT /api/profiles/7"),
    ] {
        let answer = send(&world, "POST", "/api/profiles", body).await;
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(answer.status == status && message.starts_with(says), "{body}: {} {message}", answer.status);
    }
    let large = [("content-type", "application/json"), ("content-length", "400000")];
    assert_eq!(crate::client::send(world.address, "POST", "/api/profiles", &large, "").await.status, 413);
    let plain = [("content-type", "text/plain"), ("content-length", "2")];
    assert_eq!(crate::client::send(world.address, "POST", "/api/profiles", &plain, "{}").await.status, 415);
    assert_eq!(world.get("/api/profiles").await.json(), json!({"profiles": [], "more": false, "next": null}));
    for path in ["/api/profiles/0", "/api/profiles/x", "/api/profiles/99999999999999999999"] {
        assert_eq!(world.get(path).await.status, 404, "{path}");
    }
    assert_eq!(world.get("/api/profiles?limit=x").await.status, 400);
}

#[tokio::test]
async fn profiles_are_listed_in_pages() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        post(&world, &document(name)).await;
    }
    let page = world.get("/api/profiles?limit=2").await.json();
    assert_eq!(
        (page["profiles"].as_array().unwrap().len(), &page["more"], &page["next"]),
        (2, &json!(true), &json!(2))
    );
    let rest = world.get("/api/profiles?limit=2&after=2").await.json();
    assert_eq!((&rest["profiles"][0]["name"], &rest["more"]), (&json!("c"), &json!(false)));
    assert_eq!(world.get("/api/profiles?owner=me").await.json()["profiles"], json!([]));
    let schema = world.get("/api/profiles/schema").await.json();
    assert_eq!(schema["required"], json!(["name", "filter"]));
}

#[tokio::test]
async fn changes_are_guarded_and_a_store_that_is_away_is_said() {
    let world = World::with_access(crate::world::LOOPBACK, Some("hunter2")).await;
    assert_eq!(post(&world, &document("a")).await.status, 401);
    let body = document("a").to_string();
    let add = async || with(&world, "POST", "/api/profiles", &[("authorization", "Bearer hunter2")], &body).await;
    assert_eq!(add().await.status, 201);
    assert_eq!(send(&world, "DELETE", "/api/profiles/1", "").await.status, 401);
    assert_eq!(world.get("/api/profiles/1").await.status, 200);
    world.store.set_away(true);
    assert_eq!((add().await.status, world.get("/api/profiles").await.status), (503, 503));
}
