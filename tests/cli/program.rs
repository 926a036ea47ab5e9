//! The binary in a folder of its own, with an environment of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// A working folder.
pub(crate) struct World {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A command under way.
pub(crate) struct Running {
    child: Child,
    out: Stream,
    err: Stream,
}

/// Lines as they come.
struct Stream {
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, text).expect("written");
        path
    }

    fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_broadside"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TMPDIR", self.folder.path());
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let mut child = self.command(arguments, environment).spawn().expect("the binary runs");
        let out = Stream::of(child.stdout.take().expect("piped"));
        let err = Stream::of(child.stderr.take().expect("piped"));
        Running { child, out, err }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Done {
        self.start(arguments, environment).wait()
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("readable");
        let mut names: Vec<String> =
            entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Stream {
    fn of(read: impl Read + Send + 'static) -> Self {
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(read).split(b'\n').map_while(Result::ok) {
                if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        Self { lines, seen: Vec::new() }
    }

    /// The next line with this text in it.
    fn line(&mut self, needle: &str) -> Result<String, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(needle) {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(format!("no line with {needle:?}; there were:\n{}", self.seen.join("\n")));
                }
            }
        }
    }

    fn rest(mut self) -> String {
        self.seen.extend(self.lines.iter());
        self.seen.join("\n")
    }
}

impl Running {
    /// Waits for a line on standard output.
    pub(crate) fn out(&mut self, needle: &str) -> String {
        self.out.line(needle).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Waits for a line on standard error.
    pub(crate) fn err(&mut self, needle: &str) -> String {
        self.err.line(needle).unwrap_or_else(|why| panic!("{why}"))
    }

    /// `TERM` or `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    pub(crate) fn wait(mut self) -> Done {
        let deadline = Instant::now() + PATIENCE;
        while self.is_running() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("it does not end:\n{}", std::mem::replace(&mut self.err, Stream::of(std::io::empty())).rest());
            }
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let status = self.child.wait().expect("a child");
        let take = |stream: &mut Stream| std::mem::replace(stream, Stream::of(std::io::empty())).rest();
        let (out, err) = (take(&mut self.out), take(&mut self.err));
        Done { code: status.code().unwrap_or(-1), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first number after `label`, thousands separators apart.
pub(crate) fn figure(text: &str, label: &str) -> u64 {
    let after = text.split(label).nth(1).unwrap_or_else(|| panic!("no {label:?} in {text}"));
    let digits: String =
        after.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',').collect();
    digits.parse().unwrap_or_else(|_| panic!("no number after {label:?} in {text}"))
}

/// Killmails in ESI's form, one a line.
pub(crate) fn kills(count: u32) -> String {
    let kill = |n: u32| {
        format!(
            "{{\"killmail_id\":{},\"killmail_time\":\"2026-01-02T03:04:05Z\",\"solar_system_id\":{},\"victim\":{{\"character_id\":92000001,\
             \"damage_taken\":100,\"ship_type_id\":587}},\"attackers\":[{{\"damage_done\":100,\"final_blow\":true,\"ship_type_id\":588}}]}}\n",
            1_000_000 + n,
            30_000_142 + n % 7
        )
    };
    (0..count).map(kill).collect()
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The body of `GET path` at an address.
pub(crate) fn get(address: &str, path: &str) -> String {
    ask("GET", address, path)
}

/// The same of a POST without a body.
pub(crate) fn post(address: &str, path: &str) -> String {
    ask("POST", address, path)
}

fn ask(method: &str, address: &str, path: &str) -> String {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
