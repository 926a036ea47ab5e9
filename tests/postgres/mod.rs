//! A real PostgreSQL for tests: [`database`] gives a test an empty database of its own, [`Server`] a server of its own.
//!
//! `TEST_DATABASE_URL` names a server to make databases on (its role must be allowed to). Without it, one private cluster is made
//! from the installed binaries and shared by all tests of this checkout that run at the same time, in however many processes: the
//! first to come starts it, the last to leave stops it and removes it. It listens on a unix socket in its own folder, on no port.
//!
//! ```text
//! <temp>/broadside-tests-<uid>-<checkout>/
//!   lock       held for a moment by whoever comes or goes
//!   users      a shared lock is held on it by everybody who uses anything here
//!   <random>/  a cluster: its data, its socket and its log
//!   shared     says which of them is the shared one
//! ```
//!
//! A run that was killed leaves its cluster behind; it goes when the next one comes or leaves and finds itself alone. Only a
//! server that answers on the socket in such a folder is ever stopped, so none that was started elsewhere.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqlx::{Connection, Executor, PgConnection};

const MISSING: &str = "no PostgreSQL server is installed: tests need its binaries (initdb, pg_ctl, postgres).
    Debian, Ubuntu: apt-get install postgresql
    Fedora: dnf install postgresql-server
    macOS: brew install postgresql
Or name a running server that they may make databases on: TEST_DATABASE_URL=postgres://user:password@host/database";

/// What makes tests fast and nothing else different: `fsync` matters only when the machine stops, not when the server does.
const SETTINGS: &str = "listen_addresses = ''\nmax_connections = 400\nfsync = off\ntimezone = 'UTC'\n";

/// `sun_path` takes 108 bytes on Linux, 104 on macOS.
const SOCKET_PATH_MAX: usize = 100;

/// An empty database of this test's own, dropped with this.
#[derive(Debug)]
pub(crate) struct Database {
    url: String,
    name: String,
    /// Where databases are made and dropped.
    server: String,
    /// None on a server that is not ours.
    lease: Option<Lease>,
}

/// An empty database on the shared cluster.
pub(crate) async fn database() -> Database {
    let (server, lease) = match std::env::var("TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => (url, None),
        _ => {
            let (url, lease) = blocking(|| {
                let lease = Lease::take();
                (lease.shared().url(), lease)
            })
            .await;
            (url, Some(lease))
        }
    };
    let name = format!("broadside_test_{:016x}", rand::random::<u64>());
    execute(&server, &format!("CREATE DATABASE {name}")).await.expect("make a database");
    Database { url: with_database(&server, &name), name, server, lease }
}

impl Database {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // A drop cannot await, and its thread is a runtime's.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(execute(&server, &drop)).map_err(|error| error.to_string())
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            eprintln!("the database {} is left behind", self.name);
        }
    }
}

/// A server of this test's own, to be stopped and started; gone with this.
#[derive(Debug)]
pub(crate) struct Server {
    cluster: Cluster,
    _lease: Lease,
}

impl Server {
    /// Makes and starts it.
    pub(crate) async fn start() -> Self {
        blocking(|| {
            let lease = Lease::take();
            let server =
                Self { cluster: Cluster(lease.0.join(format!("{:08x}", rand::random::<u32>()))), _lease: lease };
            server.cluster.make().unwrap_or_else(|why| panic!("{why}"));
            server.cluster.start().unwrap_or_else(|why| panic!("{why}"));
            server
        })
        .await
    }

    /// An empty database on it.
    pub(crate) fn url(&self) -> String {
        self.cluster.url()
    }

    /// As when its process dies: connections break, what is not committed is lost.
    pub(crate) async fn stop_immediate(&self) {
        let cluster = self.cluster.clone();
        blocking(move || cluster.stop("immediate")).await.unwrap_or_else(|why| panic!("{why}"));
    }

    pub(crate) async fn start_again(&self) {
        let cluster = self.cluster.clone();
        blocking(move || cluster.start()).await.unwrap_or_else(|why| panic!("{why}"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cluster.remove();
    }
}

/// The right to use this checkout's folder, which stays as long as anybody has it.
#[derive(Debug)]
struct Lease(PathBuf, File);

impl Lease {
    fn take() -> Self {
        let folder = folder();
        let _lock = lock(&folder);
        let users = open(&folder.join("users")).expect("a file to lock");
        if users.try_lock().is_ok() {
            sweep(&folder);
            users.unlock().expect("unlock");
        }
        users.lock_shared().expect("a shared lock");
        Self(folder, users)
    }

    /// The shared cluster, running.
    fn shared(&self) -> Cluster {
        let _lock = lock(&self.0);
        let note = self.0.join("shared");
        let noted = fs::read_to_string(&note).map(|name| Cluster(self.0.join(name)));
        noted.ok().filter(Cluster::answers).unwrap_or_else(|| {
            let cluster = Cluster::start_new(&self.0);
            fs::write(note, cluster.0.file_name().expect("a name").as_encoded_bytes()).expect("a note");
            cluster
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _lock = lock(&self.0);
        if self.1.unlock().is_ok() && self.1.try_lock().is_ok() {
            sweep(&self.0);
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// One for each user and checkout.
fn folder() -> PathBuf {
    let mut checkout = DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut checkout);
    let name = format!("broadside-tests-{}-{:08x}", uid(), checkout.finish() as u32);
    let wanted = std::env::temp_dir().join(&name);
    let socket = wanted.join("12345678/.s.PGSQL.5432");
    if socket.as_os_str().len() < SOCKET_PATH_MAX { wanted } else { Path::new("/tmp").join(name) }
}

fn uid() -> u32 {
    tempfile::tempfile().and_then(|file| file.metadata()).expect("a temporary file").uid()
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

/// Waits for the one lock under which everybody comes and goes, in a folder that is there and ours.
fn lock(folder: &Path) -> File {
    loop {
        match DirBuilder::new().mode(0o700).create(folder) {
            // the server may run as another user, who must come through
            Ok(()) => fs::set_permissions(folder, Permissions::from_mode(0o711)).expect("permissions"),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => panic!("make {}: {error}", folder.display()),
        }
        // Whoever leaves may remove the folder at any moment before the lock is ours.
        let Ok(found) = fs::symlink_metadata(folder) else { continue };
        assert!(found.is_dir() && found.uid() == uid(), "{} is somebody else's", folder.display());
        let path = folder.join("lock");
        let file = match open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.unwrap_or_else(|error| panic!("open {}: {error}", path.display())),
        };
        file.lock().expect("a lock");
        let mine = file.metadata().expect("metadata");
        if fs::metadata(&path).is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino())) {
            return file;
        }
    }
}

/// Removes every cluster in the folder: nobody uses them.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            Cluster(entry.path()).remove();
        }
    }
}

/// A data folder.
#[derive(Debug, Clone)]
struct Cluster(PathBuf);

impl Cluster {
    fn url(&self) -> String {
        format!("postgres://postgres@localhost:5432/postgres?host={}", self.0.display())
    }

    /// A new one in this folder. Its name is new too, because a run that was killed may have left an `initdb` at work on the last.
    fn start_new(folder: &Path) -> Self {
        let cluster = Self(folder.join(format!("{:08x}", rand::random::<u32>())));
        cluster.make().and_then(|()| cluster.start()).unwrap_or_else(|why| panic!("{why}"));
        cluster
    }

    fn make(&self) -> Result<(), String> {
        DirBuilder::new().mode(0o700).create(&self.0).map_err(|error| error.to_string())?;
        if let Some((uid, gid)) = owner() {
            chown(&self.0, Some(uid), Some(gid)).map_err(|error| error.to_string())?;
        }
        let how = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"];
        run("initdb", [OsStr::new("-D"), self.0.as_os_str()].into_iter().chain(how.map(OsStr::new)))?;
        let folder = self.0.display().to_string().replace('\'', "''");
        let settings = format!("{SETTINGS}unix_socket_directories = '{folder}'\n");
        let file = File::options().append(true).open(self.0.join("postgresql.conf"));
        file.and_then(|mut file| file.write_all(settings.as_bytes())).map_err(|error| error.to_string())
    }

    /// Starts the server, in a session of its own and with its output in its log, and waits until it answers.
    fn start(&self) -> Result<(), String> {
        let log = self.0.join("log");
        self.pg_ctl(&[OsStr::new("start"), OsStr::new("-l"), log.as_os_str()])
            .map_err(|why| format!("{why}\n{}", fs::read_to_string(&log).unwrap_or_default()))
    }

    fn stop(&self, mode: &str) -> Result<(), String> {
        self.pg_ctl(&["stop", "-m", mode].map(OsStr::new))
    }

    fn pg_ctl(&self, arguments: &[&OsStr]) -> Result<(), String> {
        let folder = [OsStr::new("-D"), self.0.as_os_str(), OsStr::new("-w")];
        run("pg_ctl", folder.into_iter().chain(arguments.iter().copied()))
    }

    fn answers(&self) -> bool {
        UnixStream::connect(self.0.join(".s.PGSQL.5432")).is_ok()
    }

    /// Stops it if it runs. One that does not answer must not be stopped: the process that its folder names may be another by now.
    fn remove(&self) {
        if self.answers()
            && let Err(why) = self.stop("immediate")
        {
            eprintln!("a server is left behind: {why}");
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Who runs the server when this runs as root, as which it refuses to.
fn owner() -> Option<(u32, u32)> {
    let passwd = (uid() == 0).then(|| fs::read_to_string("/etc/passwd").expect("/etc/passwd"))?;
    let ids = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(|field| field.parse().ok());
        Some((fields.next()??, fields.next()??))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("a user `postgres` or `nobody` to run PostgreSQL as"))
}

/// Where the server's binaries are: what the path says, the newest of the distribution's, or what `pg_config` says.
fn binaries() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let entries = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = entries.map(|entry| entry.path()).collect();
    versions.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    let told = Command::new("pg_config").arg("--bindir").output();
    let told = told.map(|output| String::from_utf8_lossy(&output.stdout).trim().into()).unwrap_or_default();
    let all = |folder: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file());
    let folders = std::env::split_paths(&path).chain(versions.into_iter().map(|folder| folder.join("bin")));
    folders.chain([told]).find(all).unwrap_or_else(|| panic!("{MISSING}"))
}

fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<(), String> {
    let mut command = Command::new(binaries().join(program));
    command.args(arguments).current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    if let Some((uid, gid)) = owner() {
        command.uid(uid).gid(gid);
    }
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if output.status.success() { Ok(()) } else { Err(format!("{program} failed: {said}")) }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

async fn execute(url: &str, sql: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    connection.execute(sqlx::AssertSqlSafe(sql)).await?;
    connection.close().await
}

/// The same server's URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, parameters) = url.split_once('?').map_or((url, String::new()), |(a, p)| (a, format!("?{p}")));
    assert!(!parameters.contains("dbname="), "TEST_DATABASE_URL names its database in the path");
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    format!("{}/{name}{parameters}", &address[..end])
}
