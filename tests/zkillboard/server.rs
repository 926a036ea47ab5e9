//! A server that answers each path as it is told, byte by byte, one connection a request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// As it is.
    Raw(String),
    /// The server takes its time.
    Pause(Duration),
}

pub(crate) type Script = Vec<Step>;

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Script {
    let length = body.len();
    vec![Step::Raw(format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))]
}

pub(crate) fn ok(body: &str) -> Script {
    answer("200 OK", "content-type: application/json\r\n", body)
}

pub(crate) fn not_found() -> Script {
    answer("404 Not Found", "", "<html>no such object</html>")
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) head: String,
}

#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// `answer` gets the path, and how often it was asked for before.
    pub(crate) async fn start(answer: impl Fn(&str, usize) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, Arc::new(answer), requests.clone()));
        Self { address, requests, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }

    /// The time between a request and the one before.
    pub(crate) fn gap(&self, second: usize) -> Duration {
        let requests = self.requests();
        requests[second].at - requests[second - 1].at
    }
}

type Answer = dyn Fn(&str, usize) -> Script + Send + Sync;

async fn serve(listener: TcpListener, answer: Arc<Answer>, requests: Arc<Mutex<Vec<Request>>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (answer, requests) = (answer.clone(), requests.clone());
        // The client may go at any time: then the script is over.
        connections.spawn(async move { play(socket, &*answer, &requests).await.ok() });
    }
}

async fn play(mut socket: TcpStream, answer: &Answer, requests: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let script = {
        let mut requests = requests.lock().unwrap();
        let before = requests.iter().filter(|request| request.path == path).count();
        requests.push(Request { at: Instant::now(), path: path.clone(), head });
        answer(&path, before)
    };
    for step in script {
        match step {
            Step::Raw(text) => socket.write_all(text.as_bytes()).await?,
            Step::Pause(pause) => tokio::time::sleep_until(tokio::time::Instant::now() + pause).await,
        }
    }
    Ok(())
}
