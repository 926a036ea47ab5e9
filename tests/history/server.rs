//! A server of daily files that answers as it is told, well or badly, one request a connection.

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a request gets.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Whole(Vec<u8>),
    /// Announces the whole and breaks off behind so many bytes.
    Cut(Vec<u8>, usize),
    /// The same from a server that can go on where it broke off. `None`: does not break off.
    Resumable(Vec<u8>, Option<usize>),
    /// Likewise; behind so many bytes of the whole, nothing comes until the client goes.
    ResumableStalled(Vec<u8>, usize),
    /// Sends so many bytes, and then nothing until the client goes.
    Stalled(Vec<u8>, usize),
    /// A status, and headers with their line ends.
    Status(u16, &'static str),
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<HashMap<String, VecDeque<Answer>>>,
    seen: Mutex<Vec<String>>,
    stalls: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let shared = serving.clone();
                // The client may go at any time.
                std::thread::spawn(move || drop(serve(socket, &shared)));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// These answers to requests of a path, one after the other; the last one stays. A path without any is not found.
    pub(crate) fn answer(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        self.shared.answers.lock().expect("no panic").insert(path.to_owned(), answers.into_iter().collect());
    }

    /// A day as zKillboard has it.
    pub(crate) fn day(&self, day: &str, list: &str, kills: &str) {
        self.answer(&format!("/history/{day}.json"), [Answer::Whole(list.into())]);
        self.answer(&format!("/history/raw/{day}.json"), [Answer::Whole(kills.into())]);
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.shared.seen.lock().expect("no panic").clone()
    }

    /// How often it has fallen silent.
    pub(crate) fn stalls(&self) -> usize {
        self.shared.stalls.load(Ordering::SeqCst)
    }

    /// The paths of all requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        let path = |head: &String| head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.heads().iter().map(path).collect()
    }
}

fn serve(mut socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let range = header(&head, "range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    shared.seen.lock().expect("no panic").push(head);
    let answer = {
        let mut answers = shared.answers.lock().expect("no panic");
        let left = answers.entry(path).or_default();
        if left.len() > 1 { left.pop_front() } else { left.front().cloned() }
    };
    match answer.unwrap_or(Answer::Status(404, "")) {
        Answer::Whole(body) => send(&mut socket, "200 OK", "", &body, body.len()),
        Answer::Cut(body, at) => send(&mut socket, "200 OK", "", &body, at),
        Answer::Stalled(body, at) => {
            send(&mut socket, "200 OK", "", &body, at)?;
            shared.stalls.fetch_add(1, Ordering::SeqCst);
            socket.read(&mut [0]).map(drop)
        }
        Answer::Status(status, headers) => send(&mut socket, &format!("{status} Well"), headers, b"<html>", 6),
        Answer::Resumable(body, cut) => resume(&mut socket, &body, range.unwrap_or(0), cut),
        Answer::ResumableStalled(body, at) => {
            let start = range.unwrap_or(0);
            resume(&mut socket, &body, start, Some(at - start))?;
            socket.read(&mut [0]).map(drop)
        }
    }
}

fn resume(socket: &mut TcpStream, body: &[u8], start: usize, cut: Option<usize>) -> std::io::Result<()> {
    let (status, place) = if start > 0 {
        let whole = body.len();
        ("206 Partial Content", format!("content-range: bytes {start}-{}/{whole}\r\n", whole - 1))
    } else {
        ("200 OK", String::new())
    };
    let headers = format!("accept-ranges: bytes\r\netag: \"one\"\r\n{place}");
    let rest = &body[start..];
    send(socket, status, &headers, rest, cut.unwrap_or(rest.len()))
}

fn header(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn send(socket: &mut TcpStream, status: &str, headers: &str, body: &[u8], bytes: usize) -> std::io::Result<()> {
    let length = body.len();
    write!(socket, "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n")?;
    socket.write_all(&body[..bytes])?;
    socket.flush()
}
