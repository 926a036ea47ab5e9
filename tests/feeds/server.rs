//! A server that writes what it is told, byte by byte, one script a connection; by tokio's clock, as its client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

pub(crate) const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// As it is.
    Raw(Vec<u8>),
    /// As one HTTP chunk, which the client gets as one piece however the network splits it.
    Chunk(Vec<u8>),
    /// The server takes its time.
    Pause(Duration),
    /// The same chunk until the client no longer reads; then the bytes written so far are noted.
    Flood(Vec<u8>),
    /// Until the client goes.
    Hold,
}

pub(crate) type Script = Vec<Step>;

/// A stream of these chunks that stays open.
pub(crate) fn stream<B: AsRef<[u8]>>(chunks: impl IntoIterator<Item = B>) -> Script {
    let mut script = cut(chunks);
    script.push(Step::Hold);
    script
}

/// A stream of these chunks that breaks off.
pub(crate) fn cut<B: AsRef<[u8]>>(chunks: impl IntoIterator<Item = B>) -> Script {
    let chunks = chunks.into_iter().filter(|chunk| !chunk.as_ref().is_empty());
    std::iter::once(Step::Raw(HEAD.into())).chain(chunks.map(|chunk| Step::Chunk(chunk.as_ref().to_vec()))).collect()
}

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Script {
    let length = body.len();
    vec![Step::Raw(
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}").into(),
    )]
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) head: String,
}

#[derive(Debug)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    flooded: watch::Sender<Option<usize>>,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// The last script serves every further connection.
    pub(crate) async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen { requests: Mutex::default(), flooded: watch::Sender::new(None) });
        let task = tokio::spawn(serve(listener, scripts, seen.clone()));
        Self { address, seen, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().expect("no panic").clone()
    }

    /// The time between two requests.
    pub(crate) fn gap(&self, second: usize) -> Duration {
        let requests = self.requests();
        requests[second].at - requests[second - 1].at
    }

    /// How many bytes went out before the client stopped reading.
    pub(crate) async fn flooded(&self) -> usize {
        let mut flooded = self.seen.flooded.subscribe();
        let written = flooded.wait_for(Option::is_some).await.expect("the server runs");
        written.expect("waited for")
    }
}

async fn serve(listener: TcpListener, scripts: Vec<Script>, seen: Arc<Seen>) {
    let mut connections = tokio::task::JoinSet::new();
    for number in 0.. {
        let Ok((socket, _)) = listener.accept().await else { return };
        let script = scripts[number.min(scripts.len() - 1)].clone();
        let seen = seen.clone();
        connections.spawn(async move {
            // The client may go at any time: then the script is over.
            let _ = play(socket, script, &seen).await;
        });
    }
}

async fn play(mut socket: TcpStream, script: Script, seen: &Seen) -> std::io::Result<()> {
    let at = Instant::now();
    // Nothing is held back until the client's system says that it has what came before: that takes time, of the real clock.
    socket.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    seen.requests.lock().expect("no panic").push(Request { at, head });
    for step in script {
        match step {
            Step::Raw(bytes) => socket.write_all(&bytes).await?,
            Step::Chunk(bytes) => socket.write_all(&chunk(&bytes)).await?,
            Step::Pause(pause) => tokio::time::sleep_until(Instant::now() + pause).await,
            Step::Flood(bytes) => {
                let (chunk, mut written) = (chunk(&bytes), 0);
                while let Ok(done) = tokio::time::timeout(Duration::from_millis(500), socket.write_all(&chunk)).await {
                    done?;
                    written += chunk.len();
                }
                seen.flooded.send_replace(Some(written));
                std::future::pending::<()>().await;
            }
            Step::Hold => while socket.read(&mut [0; 64]).await? > 0 {},
        }
    }
    Ok(())
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
