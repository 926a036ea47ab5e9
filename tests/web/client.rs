//! HTTP by hand: what goes over the wire is what is tested.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.body).unwrap()
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

async fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (BufReader<TcpStream>, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head += &format!("host: {address}\r\n");
    }
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    // Who is refused before all was sent may see the connection close: the answer is what counts.
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes()).await;
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).await.unwrap() > 0, "closed before the head's end: {head:?}");
    }
    (stream, head)
}

pub(crate) async fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(address, method, path, headers, "").await
}

/// With a body, whose length is to be among the headers.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let asked = async {
        let (mut stream, head) = open(address, method, path, headers, body).await;
        let mut body = String::new();
        stream.read_to_string(&mut body).await.unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body }
    };
    tokio::time::timeout(Duration::from_secs(100), asked).await.expect("an answer")
}

/// Only the head of the answer.
pub(crate) async fn head(address: SocketAddr, path: &str) -> String {
    tokio::time::timeout(Duration::from_secs(100), open(address, "GET", path, &[], "")).await.expect("a head").1
}

/// One server-sent event.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) event: String,
    pub(crate) id: Option<i64>,
    pub(crate) data: Value,
}

/// An event stream.
pub(crate) struct Stream {
    stream: BufReader<TcpStream>,
    pub(crate) head: String,
    text: String,
}

impl Stream {
    /// Opened, and its head read: from then on the server has its place.
    pub(crate) async fn open(address: SocketAddr, query: &str, last_event_id: Option<i64>) -> Self {
        let id = last_event_id.map(|id| id.to_string());
        let headers: Vec<_> = id.iter().map(|id| ("last-event-id", id.as_str())).collect();
        let path = format!("/api/killfeed/stream{query}");
        let opening = open(address, "GET", &path, &headers, "");
        let (stream, head) = tokio::time::timeout(Duration::from_secs(100), opening).await.expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        Self { stream, head, text: String::new() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Sent> {
        tokio::time::timeout(Duration::from_secs(100), self.wait()).await.expect("an event or the end")
    }

    async fn wait(&mut self) -> Option<Sent> {
        loop {
            let frame = self.frame().await?;
            if !frame.starts_with(':') {
                return Some(sent(&frame));
            }
        }
    }

    /// The next comment, with the lines that came with it.
    pub(crate) async fn comment(&mut self) -> String {
        let frame = self.frame().await.expect("the stream goes on");
        assert!(frame.starts_with(':'), "{frame}");
        frame
    }

    async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                return Some(self.text.drain(..end + 2).collect());
            }
            let chunk = self.chunk().await?;
            self.text += &chunk;
        }
    }

    async fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.stream.read_line(&mut size).await.ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok().filter(|size| *size > 0)?;
        let mut bytes = vec![0; size + 2];
        self.stream.read_exact(&mut bytes).await.ok()?;
        bytes.truncate(size);
        Some(String::from_utf8(bytes).unwrap())
    }

    /// The ids of the next `count` events.
    pub(crate) async fn ids(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let sent = self.next().await.expect("the stream goes on");
            assert_eq!((sent.event.as_str(), &sent.data["event_id"]), ("killmail", &sent.id.into()));
            ids.extend(sent.id);
        }
        ids
    }
}

fn sent(frame: &str) -> Sent {
    let mut sent = Sent::default();
    for line in frame.lines().filter(|line| !line.is_empty()) {
        match line.split_once(": ").unwrap() {
            ("event", text) => sent.event = text.to_owned(),
            ("id", text) => sent.id = Some(text.parse().unwrap()),
            ("data", text) => sent.data = serde_json::from_str(text).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    sent
}
