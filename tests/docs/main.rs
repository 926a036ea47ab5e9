//! The examples of the docs. Here those of `docs/killfeed.md`, run as they are written, but for the worker's address.
//!
//! Kills happen before and while they run, and the worker is gone for a moment: each example has to have them all.

#![allow(clippy::unwrap_used, reason = "tests")]

mod components;
mod examples;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use broadside::http::{self, Access, PipelineView, Pipelines, State};
use broadside::hub::Hub;
use broadside::killmail::{Kill, wire};
use broadside::store::{self, Options, Store};
use broadside::telemetry;
use metrics_exporter_prometheus::PrometheusHandle;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const WRITTEN: &str = "http://127.0.0.1:4010";
const SYSTEM: i64 = 30_000_142;

/// A block of code: its language, its text, and the heading that it stands under.
struct Block {
    language: String,
    text: String,
    heading: String,
}

fn blocks() -> Vec<Block> {
    let document = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/killfeed.md")).unwrap();
    let (mut blocks, mut open, mut heading) = (Vec::new(), None, String::new());
    for line in document.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (None, None) if line.starts_with('#') => heading = line.trim_start_matches(['#', ' ']).to_owned(),
            (None, None) => {}
            (Some((language, text)), Some(_)) => {
                let (language, text) = (std::mem::take(language), std::mem::take(text));
                blocks.push(Block { language, text, heading: heading.clone() });
                open = None;
            }
            (Some((_, text)), None) => *text += &format!("{line}\n"),
        }
    }
    blocks
}

/// The one block of this language under this heading, of those that say this.
fn block(language: &str, heading: &str, word: &str) -> String {
    let of = |block: &&Block| block.language == language && block.heading == heading && block.text.contains(word);
    let blocks = blocks();
    let mut found = blocks.iter().filter(of);
    let one = found.next().unwrap_or_else(|| panic!("no {language} under {heading} with {word}"));
    assert!(found.next().is_none(), "two of {language} under {heading} with {word}");
    one.text.clone()
}

/// Whether the program is here; says so when it is not.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

#[derive(Debug)]
struct NoPipelines;

impl Pipelines for NoPipelines {
    fn views(&self) -> Vec<PipelineView> {
        Vec::new()
    }

    fn publish(&self) {}
}

/// The process has one recorder, whichever test comes first.
fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| telemetry::install_metrics().unwrap()).clone()
}

/// One of several on an address, of which one may listen.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    // Connections of before are still known to the system.
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

/// A worker's server, which may be stopped and started again, as a worker may.
struct Worker {
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    /// Keeps the port while nobody listens on it.
    _port: TcpSocket,
    address: SocketAddr,
    running: Option<(CancellationToken, JoinHandle<()>)>,
    kills: i64,
    folder: TempDir,
}

impl Worker {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("broadside.db").display());
        let store = store::connect(&url, &Options::default()).await.unwrap();
        store.migrate().await.unwrap();
        let port = socket("127.0.0.1:0".parse().unwrap());
        let address = port.local_addr().unwrap();
        let mut worker = Self { store, hub: Arc::default(), _port: port, address, running: None, kills: 0, folder };
        worker.serve();
        worker
    }

    fn serve(&mut self) {
        let listener: TcpListener = socket(self.address).listen(1024).unwrap();
        let (store, hub) = (self.store.clone(), self.hub.clone());
        let state = State::new(Arc::new(NoPipelines), store, hub, Arc::default(), recorder(), Arc::default());
        let state = state.with_access(Access::new(self.address, None));
        let stop = CancellationToken::new();
        self.running = Some((stop.clone(), tokio::spawn(http::serve(listener, state, stop))));
    }

    async fn stop(&mut self) {
        let (stop, server) = self.running.take().unwrap();
        stop.cancel();
        server.await.unwrap();
    }

    async fn happen(&mut self, count: i64) {
        for _ in 0..count {
            self.kills += 1;
            let raw = format!(
                r#"{{"killmail_id":{},"killmail_time":"2026-11-20T10:00:00Z","solar_system_id":{SYSTEM},
                    "victim":{{"ship_type_id":587,"damage_taken":10,"items":[]}},
                    "attackers":[{{"damage_done":10,"final_blow":true,"security_status":-1.5}}]}}"#,
                130_000_000 + self.kills
            );
            let mut kill = Kill::new(raw.into(), "file", "2026-11-20T10:00:01Z".parse().unwrap(), true);
            kill.mail = Some(Arc::new(wire::decode(&kill.raw).unwrap()));
            self.store.insert_kills(&[&kill], true).await.unwrap();
        }
        self.hub.publish();
    }

    /// Starts an example in a folder of its own.
    fn run(&self, language: &str, text: &str) -> Example {
        let text = text.replace(WRITTEN, &format!("http://{}", self.address));
        assert!(!text.contains(":4010"), "another address than {WRITTEN}: {text}");
        let (program, flag) = if language == "python" { ("python3", "-c") } else { ("sh", "-c") };
        let mut command = Command::new(program);
        command
            .arg(flag)
            .arg(text)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).group().spawn().unwrap();
        let (sender, lines) = sync_channel(1000);
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Example { process, lines }
    }
}

trait Grouped {
    /// In a process group of its own, so that what it starts ends with it.
    fn group(&mut self) -> &mut Self;
}

impl Grouped for Command {
    fn group(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}

/// A running example and its output. Ends when dropped.
struct Example {
    process: std::process::Child,
    lines: Receiver<String>,
}

impl Example {
    /// The next line that has this, passing over others; `None`: it has ended.
    fn line(&self, word: &str) -> Option<String> {
        loop {
            match self.lines.recv_timeout(Duration::from_secs(100)) {
                Ok(line) if line.contains(word) => return Some(line),
                Ok(_) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("nothing with {word} came"),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// The kills of the next lines that name one, counted from 1.
    fn kills(&self, count: usize) -> Vec<i64> {
        (0..count).map(|_| kill(&self.line("1300").expect("it goes on"))).collect()
    }

    /// The same, but for those that it had: what was not committed comes again.
    fn kills_after(&self, last: i64, count: usize) -> Vec<i64> {
        let kills = std::iter::repeat_with(|| kill(&self.line("1300").expect("it goes on")));
        kills.skip_while(|kill| *kill <= last).take(count).collect()
    }
}

/// The kill that a line is of.
fn kill(line: &str) -> i64 {
    let at = line.find("13000").unwrap();
    line[at..at + 9].parse::<i64>().unwrap() - 130_000_000
}

impl Drop for Example {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

fn upto(from: i64, last: i64) -> Vec<i64> {
    (from..=last).collect()
}

/// A program that stays: it has what was, what comes, and what came while the worker was gone.
async fn survives(language: &str, text: &str, sees_what_was: bool) {
    let mut worker = Worker::start().await;
    worker.happen(5).await;
    let example = worker.run(language, text);
    let mut next = 1;
    if sees_what_was {
        assert_eq!(example.kills(5), upto(1, 5));
        next = 6;
    } else {
        next = first(&mut worker, &example, next).await;
    }
    worker.happen(3).await;
    let last = worker.kills;
    assert_eq!(example.kills((last - next + 1) as usize), upto(next, last));
    worker.stop().await;
    worker.happen(4).await;
    worker.serve();
    worker.happen(2).await;
    let rest = if sees_what_was { example.kills_after(last, 6) } else { example.kills(6) };
    assert_eq!(rest, upto(last + 1, last + 6));
    drop(example);
    worker.stop().await;
}

/// A stream that starts now: kills happen until it has one. Answers the next that it is to have.
async fn first(worker: &mut Worker, example: &Example, after: i64) -> i64 {
    loop {
        worker.happen(1).await;
        match example.lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) if line.contains("1300") => {
                assert!(kill(&line) > after);
                return kill(&line) + 1;
            }
            Ok(_) | Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_in_python_goes_on_where_it_was() {
    if has("python3") {
        survives("python", &block("python", "In Python", "Last-Event-ID"), false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_with_curl_goes_on_where_it_was() {
    if has("curl") {
        survives("sh", &block("sh", "With curl", "Last-Event-ID"), false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_poll_that_commits_has_everything() {
    if has("python3") {
        survives("python", &block("python", "At least once", "/commit"), true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_in_one_line_bring_kills() {
    if !has("curl") {
        return;
    }
    let mut worker = Worker::start().await;
    worker.happen(3).await;
    let live = worker.run("sh", &block("sh", "Streams", "curl -N"));
    first(&mut worker, &live, 3).await;
    let offsets = worker.run("sh", &block("sh", "A stream with offsets", "client_id"));
    assert_eq!(offsets.kills(3), upto(1, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_with_curl_move_offsets_and_the_clients_are_listed_and_forgotten() {
    if !has("curl") {
        return;
    }
    let mut worker = Worker::start().await;
    worker.happen(3).await;
    let polls = worker.run("sh", &block("sh", "Polls with offsets", "/next"));
    let answer = polls.line("130000003").expect("the poll and the next");
    assert!(answer.contains(r#""more":true"#) && answer.contains("130000002"), "{answer}");
    assert_eq!(polls.line(""), None);
    let by_hand = worker.run("sh", &block("sh", "At least once", "DELETE"));
    let answers: Vec<String> = std::iter::from_fn(|| by_hand.line("")).collect();
    let all = answers.concat();
    assert!(all.contains("130000001") && all.contains(r#""more":true"#), "{all}");
    assert!(all.contains(r#"{"client_id":"hand","offsets":{"30000142":1}}"#) && !all.contains("error"), "{all}");
    assert!(worker.store.clients("", 10).await.unwrap().iter().all(|client| client.client == "map"));
}

#[test]
fn every_block_is_run_or_known_not_to_be() {
    let kinds: Vec<(String, String)> = blocks().into_iter().map(|block| (block.language, block.heading)).collect();
    let of = |language: &str| kinds.iter().filter(|(of, _)| of == language).count();
    assert_eq!((of("sh"), of("python")), (5, 2), "{kinds:?}");
    // Pages are tried in a browser, and an answer and a proxy's file are no programs.
    assert_eq!((of("html"), of("json"), of("text"), of("nginx")), (2, 1, 1, 1), "{kinds:?}");
    assert_eq!(kinds.len(), 12);
}
