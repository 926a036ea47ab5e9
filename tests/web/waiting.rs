//! Before the worker works.

use std::net::SocketAddr;
use std::sync::Arc;

use broadside::http::{self, Waiting};
use broadside::store::{Error, Health, retry};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, request};
use crate::world::recorder;

async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, &[]).await
}

/// Serves while `asks` lasts, and until it has ended by itself.
async fn waiting<T>(health: Arc<Health>, asks: impl AsyncFnOnce(SocketAddr) -> T) -> (TcpListener, T) {
    waiting_for(Waiting::Store(health), asks).await
}

async fn waiting_for<T>(what: Waiting, asks: impl AsyncFnOnce(SocketAddr) -> T) -> (TcpListener, T) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let opened = CancellationToken::new();
    let asking = async {
        let answer = asks(address).await;
        opened.cancel();
        answer
    };
    let (answer, ()) = tokio::join!(asking, http::serve_waiting(&listener, what, recorder(), opened.clone()));
    (listener, answer)
}

#[tokio::test]
async fn a_worker_whose_database_is_being_opened_lives_and_is_not_ready() {
    waiting(Arc::default(), async |address| {
        assert_eq!(get(address, "/livez").await.status, 200);
        assert_eq!(get(address, "/metrics").await.status, 200);
        let ready = get(address, "/readyz").await;
        let reasons = json!([{"what": "store", "why": "the database is being opened"}]);
        assert_eq!((ready.status, ready.json()), (503, json!({"ready": false, "not_ready": reasons, "details": []})));
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_loads_what_it_works_with_lives_and_is_not_ready() {
    waiting_for(Waiting::Loading, async |address| {
        assert_eq!(get(address, "/livez").await.status, 200);
        let ready = get(address, "/readyz").await;
        let reasons = json!([{"what": "starting", "why": "static data and profiles are being loaded"}]);
        assert_eq!((ready.status, ready.json()), (503, json!({"ready": false, "not_ready": reasons, "details": []})));
    })
    .await;
}

#[tokio::test]
async fn everything_else_is_refused_in_the_shape_of_every_refusal() {
    waiting(Arc::default(), async |address| {
        for path in ["/", "/api/pipelines", "/api/killfeed/stream", "/nonsense"] {
            let answer = get(address, path).await;
            assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("starting")), "{path}");
            assert_eq!(answer.header("retry-after"), Some("2"));
        }
        assert_eq!(request(address, "POST", "/livez", &[]).await.status, 405);
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_away_is_said_to_be_and_its_words_stay_inside() {
    let health = Arc::new(Health::default());
    let opening = async || Err::<(), _>(Error::Transient("connect to db.internal: refused".to_owned()));
    let (_, ready) = waiting(health.clone(), async |address| {
        tokio::select! {
            _ = retry::hold(&health, "be opened", opening) => panic!("it is held for ever"),
            ready = async {
                loop {
                    let ready = get(address, "/readyz").await;
                    if ready.body.contains("away since 20") {
                        break ready;
                    }
                }
            } => ready,
        }
    })
    .await;
    assert_eq!((ready.status, ready.body.contains("db.internal")), (503, false), "{}", ready.body);
}

#[tokio::test]
async fn who_connects_between_waiting_and_serving_is_not_refused() {
    let (listener, _) = waiting(Arc::default(), async |_| ()).await;
    let mut early = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    early.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::select! {
        () = http::serve_waiting(&listener, Waiting::Loading, recorder(), CancellationToken::new()) => panic!("untold"),
        read = early.read_to_string(&mut answer) => read.unwrap(),
    };
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
