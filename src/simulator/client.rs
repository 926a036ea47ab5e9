//! One open stream of the simulator: greeting, history, kills, signs of life.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::faults::{Dice, Faults, pieces, spoil};
use super::publisher::Audience;
use super::routes::Filters;
use super::supply::Published;

/// Kills in one event of history.
const BATCH: usize = 50;

/// What a stream needs to know.
pub(super) struct Client {
    pub(super) enhanced: bool,
    pub(super) filters: Filters,
    pub(super) faults: Arc<Faults>,
    /// Whether this is one of the connections to be cut.
    pub(super) to_be_cut: bool,
    pub(super) quiet_after: Duration,
    pub(super) kills: mpsc::Receiver<Arc<Published>>,
    pub(super) audience: Arc<Audience>,
    pub(super) dice: Dice,
    pub(super) stop: CancellationToken,
}

/// The connection is cut on purpose: the server drops it without the closing chunk.
#[derive(Debug, thiserror::Error)]
#[error("cut on purpose")]
pub(super) struct Cut;

/// A piece to be written, and what has then been delivered.
enum Write {
    Bytes(Bytes),
    /// The last piece of a kill's frame.
    Kill(Bytes, i64),
    Cut(Bytes),
    Break,
}

impl Client {
    /// The body of the answer.
    pub(super) fn stream(self, history: &[Arc<Published>]) -> impl Stream<Item = Result<Bytes, Cut>> + use<> {
        let mut state = State { sent: 0, last_write: Instant::now(), writes: VecDeque::new(), client: self };
        state.greet(history);
        stream::unfold(state, |mut state| async move { Some((state.next().await?, state)) })
    }
}

struct State {
    client: Client,
    writes: VecDeque<Write>,
    /// Kills on this connection.
    sent: u64,
    last_write: Instant,
}

impl State {
    fn greet(&mut self, history: &[Arc<Published>]) {
        if !self.client.enhanced {
            return self.write(&[("retry", "2000")]);
        }
        let now = now();
        let filters = self.client.filters.view();
        self.event("connected", &json!({"status": "connected", "filters": filters, "timestamp": now}).to_string());
        if self.client.filters.preload_days == 0 {
            return;
        }
        let wanted: Vec<_> = history.iter().filter(|kill| self.client.filters.accept(kill, true)).collect();
        let batches = wanted.len().div_ceil(BATCH);
        for (number, batch) in wanted.chunks(BATCH).enumerate() {
            let bodies: Vec<_> = batch.iter().map(|kill| String::from_utf8_lossy(&kill.json)).collect();
            let (kills, count, number) = (bodies.join(","), batch.len(), number + 1);
            self.event(
                "batch",
                &format!(r#"{{"kills":[{kills}],"count":{count},"batch_number":{number},"total_batches":{batches}}}"#),
            );
            for kill in batch {
                self.writes.push_back(Write::Kill(Bytes::new(), kill.id));
            }
        }
        let end = json!({"status": "historical_complete", "total_historical": wanted.len(), "timestamp": now});
        self.event("transition", &end.to_string());
    }

    fn event(&mut self, name: &str, data: &str) {
        self.write(&[("event", name), ("data", data)]);
    }

    fn write(&mut self, fields: &[(&str, &str)]) {
        let frame = frame(fields, self.client.faults.crlf);
        self.writes.push_back(Write::Bytes(frame));
    }

    async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        loop {
            match self.writes.pop_front() {
                Some(Write::Kill(bytes, id)) => {
                    self.client.audience.ledger().deliver(id);
                    if !bytes.is_empty() {
                        return Some(Ok(bytes));
                    }
                }
                Some(Write::Bytes(bytes)) => return Some(Ok(bytes)),
                Some(Write::Cut(bytes)) => {
                    self.writes.push_back(Write::Break);
                    return Some(Ok(bytes));
                }
                Some(Write::Break) => {
                    // Lets the half frame out before the connection goes.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    return Some(Err(Cut));
                }
                None => self.wait().await?,
            }
        }
    }

    /// For a kill, or for the time to show a sign of life. `None`: the stream ends.
    async fn wait(&mut self) -> Option<()> {
        if let Some((after, pause)) = self.client.faults.silence
            && self.sent == after
        {
            self.sent += 1;
            tokio::time::sleep(pause).await;
        }
        let quiet_until = self.last_write + self.client.quiet_after;
        tokio::select! {
            biased;
            () = self.client.stop.cancelled() => return None,
            kill = self.client.kills.recv() => self.kill(&*kill?),
            () = tokio::time::sleep_until(quiet_until) => {
                self.last_write = Instant::now();
                if self.client.enhanced {
                    self.event("heartbeat", &json!({"timestamp": now(), "mode": "realtime"}).to_string());
                } else {
                    self.write(&[("", "ping")]);
                }
            }
        }
        Some(())
    }

    fn kill(&mut self, kill: &Published) {
        let client = &mut self.client;
        if !client.filters.accept(kill, client.enhanced) {
            return;
        }
        if !client.enhanced {
            // The basic stream pings after silence; the other one beats on its own clock.
            self.last_write = Instant::now();
        }
        let copies = 1 + usize::from(client.dice.roll(client.faults.duplicates));
        for _ in 0..copies {
            let (body, is_whole) = spoil(kill, &client.faults, &mut client.dice);
            let text = String::from_utf8_lossy(&body);
            let fields = [("event", "killmail"), ("data", &*text)];
            let frame = frame(if client.enhanced { &fields } else { &fields[1..] }, client.faults.crlf);
            if client.to_be_cut && client.faults.cut_after.is_some_and(|after| self.sent >= after) {
                self.writes.push_back(Write::Cut(frame.slice(..frame.len() / 2)));
                return;
            }
            self.sent += 1;
            let mut written: VecDeque<_> = pieces(frame, client.faults.pieces).map(Write::Bytes).collect();
            match written.pop_back() {
                Some(Write::Bytes(last)) if is_whole => written.push_back(Write::Kill(last, kill.id)),
                Some(last) => {
                    client.audience.ledger().spoil();
                    written.push_back(last);
                }
                None => {}
            }
            self.writes.append(&mut written);
        }
    }
}

fn frame(fields: &[(&str, &str)], crlf: bool) -> Bytes {
    let eol = if crlf { "\r\n" } else { "\n" };
    let lines = fields.iter().map(|(name, value)| format!("{name}: {value}{eol}"));
    Bytes::from(lines.chain([eol.to_owned()]).collect::<String>())
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}
