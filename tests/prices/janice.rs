//! A Janice of our own: counts what it is asked, and misbehaves when told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(100);
/// Types that it does not know.
pub(crate) const UNKNOWN: i64 = 13;
/// Types that nobody trades.
pub(crate) const UNTRADED: i64 = 17;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) market: i64,
    pub(crate) types: Vec<i64>,
    pub(crate) key: String,
    pub(crate) status: u16,
}

#[derive(Debug)]
struct State {
    asked: watch::Sender<Vec<Asked>>,
    /// Statuses, each with its headers, of the next answers.
    faults: Mutex<VecDeque<(u16, &'static str)>>,
    /// So many requests are answered; the next one waits.
    answered: watch::Sender<usize>,
}

#[derive(Debug)]
pub(crate) struct Janice {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _task: AbortOnDropHandle<()>,
}

#[allow(dead_code, reason = "each test binary uses its part")]
impl Janice {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State {
            asked: watch::Sender::default(),
            faults: Mutex::default(),
            answered: watch::Sender::new(usize::MAX),
        };
        let state = Arc::new(state);
        let serving = state.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, serving.clone()));
            }
        });
        Self { address, state, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next answers are these.
    pub(crate) fn fail(&self, faults: &[(u16, &'static str)]) {
        self.state.faults.lock().expect("no panic").extend(faults);
    }

    /// Only so many requests are answered, until told otherwise.
    pub(crate) fn answer_only(&self, requests: usize) {
        self.state.answered.send_replace(requests);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.borrow().clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn heard(&self, requests: usize) {
        let mut asked = self.state.asked.subscribe();
        let heard = tokio::time::timeout(PATIENCE, asked.wait_for(|asked| asked.len() >= requests)).await;
        heard.expect("in time").expect("it is there");
    }

    /// Every type that was asked for and answered, by market, in order.
    pub(crate) fn fetched(&self) -> Vec<(i64, i64)> {
        let answered = self.asked().into_iter().filter(|asked| asked.status == 200);
        answered.flat_map(|asked| asked.types.into_iter().map(move |id| (asked.market, id))).collect()
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    while let Some((market, key, types)) = request(&mut stream).await {
        let (status, headers) = state.faults.lock().expect("no panic").pop_front().unwrap_or((200, ""));
        let mut number = 0;
        state.asked.send_modify(|asked| {
            asked.push(Asked { market, types: types.clone(), key, status });
            number = asked.len();
        });
        let mut answered = state.answered.subscribe();
        if answered.wait_for(|answered| *answered >= number).await.is_err() {
            return;
        }
        let body = if status == 200 { prices(&types) } else { json!({"title": "no"}) }.to_string();
        let head = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n", body.len());
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Market, key, types.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<(i64, String, Vec<i64>)> {
    let (mut market, mut key, mut length) = (0, String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some((_, rest)) = line.split_once("market=") {
            market = rest.split([' ', '&']).next()?.parse().ok()?;
        } else if let Some(value) = line.strip_prefix("x-apikey: ") {
            value.clone_into(&mut key);
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let types = String::from_utf8(body).ok()?.lines().filter_map(|line| line.trim().parse().ok()).collect();
    Some((market, key, types))
}

/// A type costs its id in ISK, to sell.
fn prices(types: &[i64]) -> serde_json::Value {
    let known = types.iter().filter(|id| **id % 100 != UNKNOWN);
    let row = |id: &i64| {
        let price = if id % 100 == UNTRADED { 0 } else { *id };
        json!({"itemType": {"eid": id}, "immediatePrices": {"sellPrice": price, "buyPrice": price, "splitPrice": price}})
    };
    known.map(row).collect()
}
