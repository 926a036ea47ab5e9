//! Single calls.

use std::io::Write;
use std::time::{Duration, Instant};

use broadside::clients::service::Error;
use flate2::write::GzEncoder;

use crate::server::{Script, Server, Step, answer};
use crate::{READ_TIMEOUT, paced, service};

fn gzip(body: &[u8], cut: usize) -> Script {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    let packed = encoder.finish().unwrap();
    let length = packed.len() - cut;
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    vec![Step::Raw([head.as_bytes(), &packed[..length]].concat())]
}

#[tokio::test]
async fn a_call_says_who_asks_takes_gzip_and_brings_whatever_is_answered() {
    let server = Server::start(vec![answer("418 I'm a teapot", "etag: \"x\"\r\nretry-after: 7\r\n", "{}")]).await;
    let answer = service(&format!("{}/base/", server.url())).get("/route?page=2", &[]).await.unwrap();
    assert_eq!((answer.status, &answer.body[..], answer.etag()), (418, &b"{}"[..], Some("\"x\"")));
    assert_eq!(answer.retry_after(), Some(Duration::from_secs(7)));
    let head = server.requests()[0].head.to_lowercase();
    assert!(head.starts_with("get /base/route?page=2 http/1.1"), "{head}");
    for expected in ["(me@example.com)", "accept-encoding: gzip", "x-compatibility-date: 2025-12-16"] {
        assert!(head.contains(expected), "{expected} is not in {head}");
    }
}

#[tokio::test]
async fn a_packed_body_is_unpacked_and_one_that_is_cut_is_no_answer() {
    let server = Server::start(vec![gzip(b"{\"a\":1}", 0), gzip(b"{\"a\":1}", 9)]).await;
    let service = service(&server.url());
    assert_eq!(&service.get("/", &[]).await.unwrap().body[..], b"{\"a\":1}");
    assert!(matches!(service.get("/", &[]).await, Err(Error::Transport { .. })));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_answer() {
    let cut = vec![Step::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\":".to_vec())];
    let server = Server::start(vec![cut]).await;
    let error = service(&server.url()).get("/", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
    assert!(error.to_string().starts_with("reach test: "), "{error}");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_announced_or_not_packed_or_not() {
    let announced = answer("200 OK", "", &"x".repeat(1001));
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunked = vec![Step::Raw(head), Step::Flood(vec![b'x'; 600])];
    let bomb = gzip(&[b'x'; 1_000_000], 0);
    let fits = answer("200 OK", "", &"x".repeat(1000));
    let server = Server::start(vec![announced, chunked, bomb, fits]).await;
    let service = service(&server.url());
    for _ in 0..3 {
        assert_eq!(service.get("/", &[]).await.unwrap_err(), Error::TooLarge { service: "test", limit: 1000 });
    }
    assert_eq!(service.get("/", &[]).await.unwrap().body.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dribbles_or_says_nothing_is_given_up() {
    let dribble = vec![Step::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()), Step::Hold];
    let server = Server::start(vec![dribble, vec![Step::Hold]]).await;
    let service = service(&server.url());
    for _ in 0..2 {
        let asked = tokio::time::Instant::now();
        assert_eq!(service.get("/", &[]).await.unwrap_err(), Error::Timeout { service: "test" });
        let took = asked.elapsed();
        assert!(took >= READ_TIMEOUT && took < READ_TIMEOUT * 2, "{took:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only_and_not_for_ever() {
    let elsewhere = Server::start(vec![answer("200 OK", "", "stolen")]).await;
    let to = |place: &str| answer("302 Found", &format!("location: {place}\r\n"), "");
    let server = Server::start(vec![to("/b"), answer("200 OK", "", "b"), to(&elsewhere.url()), to("/loop")]).await;
    let service = service(&server.url());
    assert_eq!(&service.get("/a", &[]).await.unwrap().body[..], b"b");
    assert_eq!(service.get("/a", &[]).await.unwrap().status, 302);
    assert!(elsewhere.requests().is_empty());
    assert_eq!(service.get("/a", &[]).await.unwrap().status, 302);
    assert_eq!(server.requests().len(), 3 + 4);
}

#[tokio::test]
async fn a_service_that_keeps_failing_is_left_alone() {
    let server = Server::start(vec![answer("503 Service Unavailable", "", "")]).await;
    let service = service(&server.url());
    for _ in 0..8 {
        assert_eq!(service.get("/", &[]).await.unwrap().status, 503);
    }
    let error = service.get("/", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
    assert_eq!(server.requests().len(), 8);
}

#[tokio::test]
async fn calls_keep_to_the_rate_however_many_ask() {
    let server = Server::start(vec![answer("200 OK", "", "{}")]).await;
    let service = paced(&server.url(), 20);
    let started = Instant::now();
    let calls = futures::future::join_all((0..6).map(|_| service.get("/", &[]))).await;
    assert!(calls.iter().all(Result::is_ok));
    assert!(started.elapsed() >= Duration::from_millis(245), "{:?}", started.elapsed());
}
