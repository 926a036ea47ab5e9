//! Who may change something, and who may not.

use std::net::SocketAddr;

use serde_json::json;

use crate::client::{Answer, send};
use crate::world::{LOOPBACK, World};

const BEYOND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 4010);
/// Where nobody serves a market: who is let in is told so.
const LET_IN: (u16, &str) = (409, "no_pipeline");

async fn add(world: &World, headers: &[(&str, &str)]) -> Answer {
    let body = r#"{"region":10000002}"#;
    let length = body.len().to_string();
    let usual = [("content-type", "application/json"), ("content-length", length.as_str())];
    send(world.address, "POST", "/api/market/regions", &[&usual[..], headers].concat(), body).await
}

#[track_caller]
fn told(answer: &Answer, expected: (u16, &str), what: &str) {
    let body = answer.json();
    assert_eq!((answer.status, &body["error"]["code"]), (expected.0, &json!(expected.1)), "{what}: {body}");
    assert!(body["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{body}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
}

#[tokio::test]
async fn on_this_machine_alone_no_token_is_needed() {
    let world = World::new().await;
    let port = world.address.port();
    told(&add(&world, &[]).await, LET_IN, "plain");
    for host in
        [format!("localhost:{port}"), format!("LOCALHOST:{port}"), "[::1]:4010".to_owned(), "127.0.0.1".to_owned()]
    {
        told(&add(&world, &[("host", &host)]).await, LET_IN, &host);
    }
    told(&add(&world, &[("authorization", "Bearer whatever")]).await, LET_IN, "a token that nobody asked for");
}

#[tokio::test]
async fn a_name_that_a_site_could_point_here_is_refused_without_a_token() {
    let world = World::new().await;
    for host in
        ["rebound.example.com", "rebound.example.com:4010", "localhost.example.com", "127.0.0.1.example.com", "", "a b"]
    {
        told(&add(&world, &[("host", host)]).await, (403, "forbidden"), host);
    }
    let two = [("host", "127.0.0.1"), ("host", "127.0.0.1")];
    told(&add(&world, &two).await, (400, "bad_request"), "two hosts");
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_with_and_without_a_token() {
    for token in [None, Some("secret")] {
        let world = World::with_access(LOOPBACK, token).await;
        let own = format!("http://{}", world.address);
        let other_port = "http://127.0.0.1:1".to_owned();
        for (name, value, expected) in [
            ("origin", own.as_str(), LET_IN),
            ("origin", &other_port, (403, "forbidden")),
            ("origin", "https://evil.example.com", (403, "forbidden")),
            ("origin", "null", (403, "forbidden")),
            ("origin", &own[7..], (403, "forbidden")),
            ("sec-fetch-site", "same-origin", LET_IN),
            ("sec-fetch-site", "none", LET_IN),
            ("sec-fetch-site", "same-site", (403, "forbidden")),
            ("sec-fetch-site", "cross-site", (403, "forbidden")),
        ] {
            let headers = [("authorization", "Bearer secret"), (name, value)];
            told(&add(&world, &headers).await, expected, &format!("{name}: {value}, {token:?}"));
        }
    }
}

#[tokio::test]
async fn a_token_that_is_set_is_asked_for_on_loopback_too() {
    for listen in [LOOPBACK, BEYOND] {
        let world = World::with_access(listen, Some("secret")).await;
        for given in ["Bearer secret", "bearer  secret"] {
            told(&add(&world, &[("authorization", given)]).await, LET_IN, given);
        }
        let named = [("authorization", "Bearer secret"), ("host", "worker.example.com")];
        told(&add(&world, &named).await, LET_IN, "behind a name");
        for given in ["Bearer", "Bearer wrong", "Bearer secre", "Bearer secrets", "Basic secret", "secret", ""] {
            let answer = add(&world, &[("authorization", given)]).await;
            told(&answer, (401, "unauthorized"), given);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert!(!answer.body.contains("secret"), "{}", answer.body);
        }
        told(&add(&world, &[]).await, (401, "unauthorized"), "none");
        let twice = [("authorization", "Bearer secret"), ("authorization", "Bearer wrong")];
        told(&add(&world, &twice).await, (400, "bad_request"), "two of them");
    }
}

#[tokio::test]
async fn beyond_this_machine_without_a_token_all_can_be_read_and_nothing_changed() {
    let world = World::with_access(BEYOND, None).await;
    for headers in [&[][..], &[("authorization", "Bearer x")], &[("host", "localhost")]] {
        let answer = add(&world, headers).await;
        told(&answer, (403, "forbidden"), "beyond");
        assert!(answer.body.contains("BROADSIDE_API_TOKEN"), "{}", answer.body);
    }
    for method in ["PUT", "DELETE", "PATCH"] {
        let answer = send(world.address, method, "/api/market/regions/1", &[], "").await;
        told(&answer, (403, "forbidden"), method);
    }
    assert_eq!(world.get("/api/market").await.status, 200);
    assert_eq!(world.get("/").await.status, 200);
}

#[tokio::test]
async fn a_body_must_be_json_and_small() {
    let world = World::new().await;
    let path = "/api/market/regions";
    let kind = ("content-type", "application/json");
    let large = "x".repeat(70 * 1024);
    for (headers, body, expected) in [
        (vec![], "{}", (415, "unsupported_media_type")),
        (vec![("content-type", "text/plain")], "{}", (415, "unsupported_media_type")),
        (vec![("content-type", "application/x-www-form-urlencoded")], "region=1", (415, "unsupported_media_type")),
        (vec![kind], large.as_str(), (413, "too_large")),
        (vec![kind], "{\"region\":", (400, "bad_request")),
        (vec![kind], "", (400, "bad_request")),
        (vec![("content-type", "Application/JSON; charset=utf-8")], r#"{"region":1}"#, LET_IN),
    ] {
        let length = body.len().to_string();
        let headers = [&headers[..], &[("content-length", length.as_str())]].concat();
        told(&send(world.address, "POST", path, &headers, body).await, expected, &format!("{headers:?}"));
    }
    // The same without a length that was announced.
    let chunked = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let answer = send(world.address, "POST", path, &[kind, ("transfer-encoding", "chunked")], &chunked).await;
    told(&answer, (413, "too_large"), "chunked");
}
