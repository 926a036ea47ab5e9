//! The description of the API holds: it has every route, and what is answered is as it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use broadside::store::{Letters, NewDeadLetter, fingerprint};
use serde_json::{Value, json};

use crate::client::{Answer, head, request, send};
use crate::world::World;

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

async fn document(world: &World) -> Value {
    world.get("/api/openapi.json").await.json()
}

/// A path with something in the place of its parameters.
fn asked(path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.filter(|parameter| parameter["in"] == "path").fold(path.to_owned(), |path, parameter| {
        let example = parameter["example"].to_string();
        path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), example.trim_matches('"'))
    })
}

#[tokio::test]
async fn a_path_takes_the_methods_that_are_described_and_no_other() {
    let world = World::new().await;
    let document = document(&world).await;
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let any = methods.as_object().unwrap().values().next().unwrap();
        for method in METHODS {
            let (path, upper) = (asked(path, any), method.to_uppercase());
            let status = match method {
                // Streams have no end.
                "get" => head(world.address, &path).await.split(' ').nth(1).unwrap().parse().unwrap(),
                _ => request(world.address, &upper, &path, &[]).await.status,
            };
            let is_described = methods.get(method).is_some();
            assert_eq!(status != 405, is_described, "{upper} {path}: {status}");
            operations += usize::from(is_described);
        }
    }
    assert!(operations > 30, "{operations}");
}

#[test]
fn no_route_is_added_past_the_list_that_describes_them() {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && [".route(", ".nest(", ".merge("].iter().any(|word| fs::read_to_string(&path).unwrap().contains(word))
            {
                found.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut found);
    // The other is what answers while the worker starts.
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["openapi.rs", "waiting.rs"]);
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_operation_says_enough() {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| walk(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let world = World::new().await;
    let document = document(&world).await;
    let mut found = Vec::new();
    walk(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for reference in found {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
    let mut ids = BTreeSet::new();
    for operation in document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
    {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{id}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status < &"300".to_owned()) && answers.contains_key("503"), "{id}");
        for parameter in operation["parameters"].as_array().unwrap() {
            assert!(!parameter["example"].is_null() && parameter["schema"].is_object(), "{id}: {parameter}");
        }
    }
}

/// What is wrong with a value, by its schema: of JSON Schema what types make use of. A member that no schema names is wrong, too.
fn wrong(document: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return wrong(document, target, value, place);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let all: Option<Vec<String>> = any.iter().map(|one| wrong(document, one, value, place)).collect();
        return all.map(|all| all.join(" or "));
    }
    let is_a = |kind: &Value| match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => true,
    };
    let is_right = schema["type"].as_array().map_or_else(|| is_a(&schema["type"]), |kinds| kinds.iter().any(is_a));
    if !is_right || schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        return Some(format!("{place}: {value} is no {schema}"));
    }
    match value {
        Value::Object(members) => {
            let missing = schema["required"].as_array().into_iter().flatten();
            let missing = missing.filter_map(Value::as_str).find(|name| !members.contains_key(*name));
            missing.map(|name| format!("{place}: {name} is missing")).or_else(|| {
                members.iter().find_map(|(name, member)| {
                    let place = format!("{place}.{name}");
                    match (&schema["properties"][name], &schema["additionalProperties"]) {
                        (Value::Null, Value::Object(_)) => {
                            wrong(document, &schema["additionalProperties"], member, &place)
                        }
                        (Value::Null, _) if schema["properties"].is_object() => Some(format!("{place} is not named")),
                        (schema, _) => wrong(document, schema, member, &place),
                    }
                })
            })
        }
        Value::Array(items) => items.iter().find_map(|item| wrong(document, &schema["items"], item, place)),
        _ => None,
    }
}

#[tokio::test]
async fn what_is_answered_is_as_it_is_described() {
    let world = World::new().await;
    (1..=5).for_each(|id| world.kill(id, 1 + id % 2));
    let document = document(&world).await;
    let profile = json!({"name": "a", "filter": {"field": "system_id", "operator": "eq", "value": 1}, "targets": [{"url": "https://example.com/x"}]});
    let done = json!({"client_id": "map", "offsets": {"1": 2}});
    let nothing = Value::Null;
    let letter = NewDeadLetter { sqlstate: Some("23514".to_owned()), ..NewDeadLetter::default() };
    let group = format!("/api/dead-letters/groups/{}", fingerprint(&letter).hash);
    world.store.add_dead_letters(&[letter]).await.unwrap();
    for (method, path, asked, body, status) in [
        ("get", "/livez", "/livez", &nothing, 200),
        ("get", "/readyz", "/readyz", &nothing, 200),
        ("get", "/api/pipelines", "/api/pipelines", &nothing, 200),
        ("get", "/api/market", "/api/market", &nothing, 200),
        ("get", "/api/market/{region}", "/api/market/1", &nothing, 404),
        ("post", "/api/market/regions", "/api/market/regions", &json!({"region": 1}), 409),
        ("post", "/api/market/regions", "/api/market/regions", &json!({}), 400),
        ("get", "/api/cache/prices/status", "/api/cache/prices/status", &nothing, 200),
        ("post", "/api/profiles", "/api/profiles", &profile, 201),
        ("post", "/api/profiles", "/api/profiles", &json!({}), 422),
        ("get", "/api/profiles", "/api/profiles", &nothing, 200),
        ("get", "/api/profiles", "/api/profiles?limit=0", &nothing, 400),
        ("get", "/api/profiles", "/api/profiles?owner=%00", &nothing, 400),
        ("get", "/api/profiles/{id}", "/api/profiles/1", &nothing, 200),
        ("delete", "/api/profiles/{id}", "/api/profiles/1", &nothing, 200),
        ("get", "/api/dead-letters", "/api/dead-letters?state=all", &nothing, 200),
        ("get", "/api/dead-letters", "/api/dead-letters?limit=0", &nothing, 400),
        ("get", "/api/dead-letters/{id}", "/api/dead-letters/1", &nothing, 200),
        ("get", "/api/dead-letters/{id}", "/api/dead-letters/2", &nothing, 404),
        ("get", "/api/dead-letters/groups", "/api/dead-letters/groups", &nothing, 200),
        ("get", "/api/dead-letters/stats", "/api/dead-letters/stats", &nothing, 200),
        ("post", "/api/dead-letters/groups/{fingerprint}", &group, &json!({"state": "fixed"}), 200),
        (
            "post",
            "/api/dead-letters/discard",
            "/api/dead-letters/discard",
            &json!({"ids": [1], "reason": "no use"}),
            200,
        ),
        ("post", "/api/dead-letters/discard", "/api/dead-letters/discard", &json!({"reason": "no use"}), 400),
        ("get", "/api/kills/recent", "/api/kills/recent?limit=3", &nothing, 200),
        ("get", "/api/kills/recent", "/api/kills/recent?limits=3", &nothing, 400),
        ("get", "/api/killfeed", "/api/killfeed?client_id=map&systems=1&from=earliest", &nothing, 200),
        ("get", "/api/killfeed/next", "/api/killfeed/next?client_id=map&systems=2&from=earliest", &nothing, 200),
        ("get", "/api/killfeed/next", "/api/killfeed/next?systems=2", &nothing, 400),
        ("post", "/api/killfeed/commit", "/api/killfeed/commit", &done, 200),
        ("get", "/api/killfeed/clients", "/api/killfeed/clients", &nothing, 200),
        ("get", "/api/killfeed/clients", "/api/killfeed/clients?after=%00", &nothing, 400),
        ("get", "/api/killfeed/clients/{id}", "/api/killfeed/clients/map", &nothing, 200),
        ("delete", "/api/killfeed/clients/{id}", "/api/killfeed/clients/map", &nothing, 200),
        ("get", "/api/killfeed/stream", "/api/killfeed/stream?systems=x", &nothing, 400),
        ("get", "/api/killfeed/ws", "/api/killfeed/ws", &nothing, 400),
    ] {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let length = text.len().to_string();
        let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
        let answer: Answer = send(world.address, &method.to_uppercase(), asked, &headers, &text).await;
        assert_eq!(answer.status, status, "{method} {asked}: {}", answer.body);
        let described = &document["paths"][path][method]["responses"][status.to_string()];
        let schema = &described["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path}: {status} is not described");
        assert_eq!(wrong(&document, schema, &answer.json(), ""), None, "{method} {asked}");
    }
}
