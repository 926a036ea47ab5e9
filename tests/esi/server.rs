//! A stand-in for ESI on a real socket that answers as a test wants, request by request.
//!
//! It goes by tokio's clock, as the client does: on a paused one, waits are exact and take no time. What either writes the other has at once.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The ids in a body.
    pub(crate) fn ids(&self) -> Vec<i64> {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
    /// Bytes that are announced and never sent.
    pub(crate) cut: usize,
    /// Before the body's second half.
    pub(crate) pause: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: String::new(), body: body.into(), cut: 0, pause: Duration::ZERO }
    }

    pub(crate) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(crate) fn cut(mut self, bytes: usize) -> Self {
        self.cut = bytes;
        self
    }

    pub(crate) fn slow(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    pub(crate) fn gzip(mut self) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&self.body).unwrap();
        self.body = encoder.finish().unwrap();
        self.with("content-encoding", "gzip")
    }
}

type Handler = Box<dyn Fn(&Request, usize) -> Reply + Send + Sync>;

pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    /// Requests that are being answered, and the most at once.
    busy: Arc<Mutex<(usize, usize)>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// The handler is told how many requests there were before.
    pub(crate) async fn start(handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let busy: Arc<Mutex<(usize, usize)>> = Arc::default();
        let (seen, noted) = (requests.clone(), busy.clone());
        let handler: Arc<Handler> = Arc::new(Box::new(handler));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (seen, noted, handler) = (seen.clone(), noted.clone(), handler.clone());
                connections.spawn(async move {
                    begin(&noted);
                    // The client may go at any time.
                    drop(serve(socket, &seen, &handler).await);
                    noted.lock().unwrap().0 -= 1;
                });
            }
        });
        Self { address, requests, busy, _task: AbortOnDropHandle::new(task) }
    }

    /// These answers in turn; the last for ever.
    pub(crate) async fn script(replies: Vec<Reply>) -> Self {
        let replies = Mutex::new(VecDeque::from(replies));
        Self::start(move |_, _| {
            let mut replies = replies.lock().unwrap();
            if replies.len() > 1 { replies.pop_front().unwrap() } else { replies[0].clone() }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/esi", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.busy.lock().unwrap().1
    }

    /// Between two requests.
    pub(crate) fn gap(&self, second: usize) -> Duration {
        let requests = self.requests.lock().unwrap();
        requests[second].at - requests[second - 1].at
    }
}

fn begin(busy: &Mutex<(usize, usize)>) {
    let mut busy = busy.lock().unwrap();
    *busy = (busy.0 + 1, busy.1.max(busy.0 + 1));
}

async fn serve(mut socket: TcpStream, seen: &Mutex<Vec<Request>>, handler: &Handler) -> std::io::Result<()> {
    // Nothing is held back until the client's system says that it has what came before: that takes time, of the real clock.
    socket.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let at = Instant::now();
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    let request = Request { at, line, head, body: String::from_utf8_lossy(&body).into_owned() };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let Reply { status, headers, body, cut, pause } = handler(&request, before);
    let (head, half) = (format!("HTTP/1.1 {status} X\r\n{headers}connection: close\r\n"), body.len() / 2);
    socket.write_all(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes()).await?;
    socket.write_all(&body[..half]).await?;
    tokio::time::sleep_until(Instant::now() + pause).await;
    socket.write_all(&body[half..body.len() - cut.min(body.len() - half)]).await?;
    socket.shutdown().await
}
