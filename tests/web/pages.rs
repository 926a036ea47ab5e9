//! The page, its assets, refusals, and the headers that everything has.

use serde_json::json;

use crate::client::request;
use crate::world::World;

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let world = World::new().await;
    world.readiness.block("starting", "not yet");
    for path in ["/", "/assets/flow.js", "/nothing", "/readyz", "/metrics", "/api/killfeed/stream?systems=x"] {
        let answer = world.get(path).await;
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path}"));
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert!(answer.header("cache-control").is_some(), "{path}");
    }
}

#[tokio::test]
async fn the_page_keeps_to_its_own_policy() {
    let world = World::new().await;
    let page = world.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for inline in ["style=", "onclick=", "<style", "javascript:", "=\"http"] {
        assert!(!page.body.contains(inline), "{inline}");
    }
    for asset in ["flow.js", "charts.js", "letters.js", "kills.js", "prices.js", "market.js", "page.css", "uplot.js"] {
        assert!(page.body.contains(&format!("\"assets/{asset}\"")), "{asset}");
    }
    for asset in assets(&world).await {
        let asset = world.get(&format!("/assets/{asset}")).await;
        assert_eq!(asset.status, 200);
        for unsafe_sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!asset.body.contains(unsafe_sink), "{unsafe_sink}");
        }
    }
}

#[tokio::test]
async fn what_the_scripts_import_is_there_and_the_charts_come_with_their_licence() {
    let world = World::new().await;
    let names = assets(&world).await;
    for name in names.iter().filter(|name| name.ends_with(".js")) {
        let script = world.get(&format!("/assets/{name}")).await;
        assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"), "{name}");
        for imported in script.body.lines().filter_map(|line| line.split(" from \"./").nth(1)) {
            let imported = imported.trim_end_matches("\";");
            assert!(names.iter().any(|name| name == imported), "{name} imports {imported}");
        }
    }
    assert!(world.get("/assets/uplot-license.txt").await.body.starts_with("The MIT License (MIT)"));
}

/// As the description of the API lists them.
async fn assets(world: &World) -> Vec<String> {
    let document = world.get("/api/openapi.json").await.json();
    let parameters = document["paths"]["/assets/{name}"]["get"]["parameters"].as_array().unwrap().clone();
    let of_path = parameters.iter().find(|parameter| parameter["in"] == "path").unwrap();
    serde_json::from_value(of_path["schema"]["enum"].clone()).unwrap()
}

#[tokio::test]
async fn an_asset_the_browser_has_is_not_sent_again() {
    let world = World::new().await;
    for path in ["/", "/assets/base.js", "/assets/uplot.js", "/assets/page.css"] {
        let first = world.get(path).await;
        let tag = first.header("etag").unwrap();
        let again = request(world.address, "GET", path, &[("if-none-match", tag)]).await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag)), "{path}");
        let other = request(world.address, "GET", path, &[("if-none-match", "\"0\"")]).await;
        assert_eq!(other.status, 200, "{path}");
    }
}

#[tokio::test]
async fn refusals_are_json() {
    let world = World::new().await;
    for (method, path, status, code) in [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/assets/../page.js", 404, "not_found"),
        ("POST", "/api/pipelines", 405, "method_not_allowed"),
        ("DELETE", "/", 405, "method_not_allowed"),
        ("GET", "/api/kills/recent?limit=0", 400, "bad_request"),
        ("GET", "/api/kills/recent?limit=501", 400, "bad_request"),
        ("GET", "/api/kills/recent?limit=%ff%zz", 400, "bad_request"),
    ] {
        let answer = request(world.address, method, path, &[]).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["error"]["code"]), (status, &json!(code)), "{method} {path}");
        assert!(body["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn recent_kills_are_the_newest_oldest_first_also_across_holes() {
    let world = World::new().await;
    assert_eq!(world.get("/api/kills/recent").await.json(), json!({"events": []}));
    (1..=300).for_each(|id| world.kill(id, 1));
    world.store.skip_ids(5000);
    (301..=310).for_each(|id| world.kill(id, 1));
    for (query, count) in [("", 100), ("?limit=3", 3), ("?limit=150", 150), ("?limit=500", 310)] {
        let body = world.get(&format!("/api/kills/recent{query}")).await.json();
        let events = body["events"].as_array().unwrap();
        let kills: Vec<i64> = events.iter().map(|e| e["killmail"]["killmail_id"].as_i64().unwrap()).collect();
        assert_eq!(kills, (311 - count..=310).collect::<Vec<_>>(), "{query}");
    }
}

#[tokio::test]
async fn a_request_that_is_no_http_ends_only_its_own_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let world = World::new().await;
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"\x16\x03\x01 not http\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400") || answer.is_empty());
    assert_eq!(world.get("/livez").await.status, 200);
}
