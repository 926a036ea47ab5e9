//! A receiver of webhooks that notes what comes, and answers as it is told: per path, one answer after the other, then 204.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What a request is met with.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status line, further headers, body.
    Answer(&'static str, &'static str, &'static str),
    /// The connection is closed without a word.
    Close,
    /// Nothing, until the client goes.
    Hold,
}

#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) path: String,
    /// In small letters.
    pub(crate) head: String,
    pub(crate) body: serde_json::Value,
    pub(crate) at: Instant,
}

impl Post {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The kill that it tells of.
    pub(crate) fn kill(&self) -> i64 {
        self.body["killmail"]["killmail_id"].as_i64().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Inner {
    replies: Mutex<HashMap<String, VecDeque<Reply>>>,
    posts: watch::Sender<Vec<Post>>,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    base: String,
    inner: Arc<Inner>,
    _task: AbortOnDropHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::<Inner>::default();
        let task = AbortOnDropHandle::new(tokio::spawn(serve(listener, inner.clone())));
        Self { base, inner, _task: task }
    }

    pub(crate) fn url(&self, hook: &str) -> String {
        format!("{}/{hook}", self.base)
    }

    /// What the next requests to this hook are met with.
    pub(crate) fn script(&self, hook: &str, replies: impl IntoIterator<Item = Reply>) {
        self.inner.replies.lock().unwrap().entry(format!("/{hook}")).or_default().extend(replies);
    }

    /// What came to this hook, in order.
    pub(crate) fn posts(&self, hook: &str) -> Vec<Post> {
        self.inner.posts.borrow().iter().filter(|post| post.path == format!("/{hook}")).cloned().collect()
    }

    /// The same, once there are so many.
    pub(crate) async fn wait(&self, hook: &str, count: usize) -> Vec<Post> {
        let path = format!("/{hook}");
        let has_come = |posts: &Vec<Post>| posts.iter().filter(|post| post.path == path).count() >= count;
        let mut posts = self.inner.posts.subscribe();
        let came = tokio::time::timeout(Duration::from_secs(100), posts.wait_for(has_come)).await;
        assert!(came.is_ok(), "only {} of {count} came", self.posts(hook).len());
        drop(came);
        self.posts(hook)
    }
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let inner = inner.clone();
        connections.spawn(async move { drop(meet(socket, &inner).await) });
    }
}

async fn meet(mut socket: TcpStream, inner: &Inner) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let reply = inner.replies.lock().unwrap().get_mut(&path).and_then(VecDeque::pop_front);
    let post = Post { path, head, body: serde_json::from_slice(&body).unwrap_or_default(), at: Instant::now() };
    inner.posts.send_modify(|posts| posts.push(post));
    match reply.unwrap_or(Reply::Answer("204 No Content", "", "")) {
        Reply::Answer(status, headers, body) => {
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
            socket.write_all(answer.as_bytes()).await
        }
        Reply::Close => Ok(()),
        Reply::Hold => {
            while socket.read(&mut [0; 64]).await? > 0 {}
            Ok(())
        }
    }
}
