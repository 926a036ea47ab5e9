//! Kills a second into SQLite, against the same rows given straight to sqlx in the same batches, in one run.
//!
//! `cargo bench --bench store [-- --kills N] [--batch N]`; real killmails from `../shared/data` when they are there, else made-up ones.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broadside::killmail::{Attacker, CharacterId, Form, Kill, Killmail, KillmailId, SystemId, Victim, wire};
use broadside::store::{self, Options, Store};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Column, QueryBuilder, Row, TypeInfo, ValueRef};

const TABLES: [&str; 4] = ["killmails_raw", "killmails_enriched", "killmail_participants", "killmail_events"];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(default)
    };
    let kills = load(number("--kills", 100_000))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(compare(&kills, number("--batch", 100)))
}

async fn compare(kills: &[Kill], batch: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ours = folder.path().join("ours.db");
    for writers in [1, 2] {
        let _ = std::fs::remove_file(&ours);
        let took = insert(&ours, kills, batch, writers).await?;
        report(&format!("insert_kills, {writers} at a time"), kills.len(), took, None);
    }
    let once = insert(&folder.path().join("again.db"), kills, batch, 1).await?;
    let again = insert(&folder.path().join("again.db"), kills, batch, 1).await?;
    report("insert_kills, all known", kills.len(), again, None);

    let rows = Rows::read(&ours).await?;
    for (name, how) in [("plain sqlx, a statement a row", How::Row), ("plain sqlx, push_values", How::Values)] {
        let took = plain(&folder.path().join(format!("{how:?}.db")), &rows, batch, how).await?;
        report(name, kills.len(), took, Some(once));
    }
    Ok(())
}

/// Time on the clock, and on the processors: the second says more on a machine that does other things.
#[derive(Clone, Copy)]
struct Took {
    wall: Duration,
    cpu: f64,
}

struct Stopwatch(Instant, f64);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now(), cpu())
    }

    fn stop(self) -> Took {
        Took { wall: self.0.elapsed(), cpu: cpu() - self.1 }
    }
}

/// Seconds of this process on the processors so far; 0 where the system does not say.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default();
    after.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn report(name: &str, kills: usize, took: Took, ours: Option<Took>) {
    let Took { wall, cpu } = took;
    let rate = kills as f64 / wall.as_secs_f64();
    let ratio = ours.map(|ours| {
        let (wall, cpu) = (wall.as_secs_f64() / ours.wall.as_secs_f64(), cpu / ours.cpu);
        format!("  insert_kills: {wall:.2}x the rate, by processor time {cpu:.2}x")
    });
    println!("{name:30} {rate:7.0} kills/s  {wall:7.2?}  cpu {cpu:5.2}s{}", ratio.unwrap_or_default());
}

async fn insert(path: &Path, kills: &[Kill], batch: usize, writers: usize) -> anyhow::Result<Took> {
    let store = store::connect(&format!("sqlite://{}", path.display()), &Options::default()).await?;
    store.migrate().await?;
    let watch = Stopwatch::start();
    let batches = futures::stream::iter(kills.chunks(batch)).map(|batch| {
        let store: Arc<dyn Store> = store.clone();
        async move { store.insert_kills(&batch.iter().collect::<Vec<_>>(), true).await }
    });

    batches.buffered(writers).try_for_each(|_| async { Ok(()) }).await?;
    let took = watch.stop();
    store.close().await;
    Ok(took)
}

/// A value as SQLite keeps it.
enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

/// One table's rows, by kill.
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
    /// Where each kill's rows end.
    ends: Vec<usize>,
}

struct Rows(Vec<(&'static str, Table)>);

impl Rows {
    async fn read(path: &Path) -> anyhow::Result<Self> {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await?;
        let mut tables = Vec::new();
        for name in TABLES {
            tables.push((name, Table::read(&pool, name).await?));
        }
        Ok(Self(tables))
    }
}

impl Table {
    async fn read(pool: &SqlitePool, name: &str) -> anyhow::Result<Self> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT * FROM {name} ORDER BY killmail_id"));
        let found = sqlx::query(sql).fetch_all(pool).await?;
        let columns: Vec<_> = found[0].columns().iter().map(|column| column.name().to_owned()).collect();
        let id = columns.iter().position(|column| column == "killmail_id").expect("every table has it");
        let ids: Vec<i64> = found.iter().map(|row| row.get(id)).collect();
        let ends = (1..=ids.len()).filter(|end| ids.get(*end) != Some(&ids[end - 1])).collect();
        let cell = |row: &SqliteRow, index| {
            let value = row.try_get_raw(index).expect("in range");
            match value.type_info().name() {
                _ if value.is_null() => Cell::Null,
                "REAL" => Cell::Real(row.get(index)),
                "TEXT" => Cell::Text(row.get(index)),
                _ => Cell::Int(row.get(index)),
            }
        };
        let rows = found.iter().map(|row| (0..columns.len()).map(|index| cell(row, index)).collect()).collect();
        Ok(Self { columns, rows, ends })
    }

    /// The rows of kills `from..to`.
    fn of(&self, from: usize, to: usize) -> &[Vec<Cell>] {
        let start = if from == 0 { 0 } else { self.ends[from - 1] };
        &self.rows[start..self.ends[to.min(self.ends.len()) - 1]]
    }
}

#[derive(Debug, Clone, Copy)]
enum How {
    Row,
    Values,
}

async fn plain(path: &Path, rows: &Rows, batch: usize, how: How) -> anyhow::Result<Took> {
    let url = format!("sqlite://{}", path.display());
    let store = store::connect(&url, &Options::default()).await?;
    store.migrate().await?;
    store.close().await;
    let options = SqliteConnectOptions::new().filename(path).journal_mode(SqliteJournalMode::Wal);
    let options = options.synchronous(SqliteSynchronous::Normal);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    let kills = rows.0[0].1.rows.len();
    let watch = Stopwatch::start();
    for from in (0..kills).step_by(batch) {
        let mut transaction = pool.begin().await?;
        for (name, table) in &rows.0 {
            let found = table.of(from, from + batch);
            match how {
                How::Row => one_by_one(&mut transaction, name, table, found).await?,
                How::Values => many(&mut transaction, name, table, found).await?,
            }
        }
        transaction.commit().await?;
    }
    let took = watch.stop();
    pool.close().await;
    Ok(took)
}

async fn one_by_one(
    connection: &mut sqlx::SqliteConnection,
    name: &str,
    table: &Table,
    rows: &[Vec<Cell>],
) -> anyhow::Result<()> {
    let marks = vec!["?"; table.columns.len()].join(",");
    let sql: Arc<str> = format!("INSERT INTO {name} ({}) VALUES ({marks})", table.columns.join(",")).into();
    for row in rows {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.clone()));
        for cell in row {
            query = match cell {
                Cell::Null => query.bind(None::<i64>),
                Cell::Int(value) => query.bind(value),
                Cell::Real(value) => query.bind(value),
                Cell::Text(value) => query.bind(value),
            };
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn many(
    connection: &mut sqlx::SqliteConnection,
    name: &str,
    table: &Table,
    rows: &[Vec<Cell>],
) -> anyhow::Result<()> {
    for rows in rows.chunks(30_000 / table.columns.len()) {
        let mut query = QueryBuilder::new(format!("INSERT INTO {name} ({}) ", table.columns.join(",")));
        query.push_values(rows, |mut values, row| {
            for cell in row {
                match cell {
                    Cell::Null => values.push_bind(None::<i64>),
                    Cell::Int(value) => values.push_bind(*value),
                    Cell::Real(value) => values.push_bind(*value),
                    Cell::Text(value) => values.push_bind(value.clone()),
                };
            }
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn load(limit: usize) -> anyhow::Result<Vec<Kill>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/killmails");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("no real killmails at hand: made-up ones");
        return Ok((1..=limit.min(60_000) as i64).filter_map(made_up).collect());
    };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("20")));
    files.sort();
    let mut kills = Vec::new();
    for file in files {
        for line in BufReader::new(flate2::read::MultiGzDecoder::new(std::fs::File::open(file)?)).lines() {
            kills.extend(decode(line?));
        }
    }
    kills.truncate(limit);
    println!("{} real kills", kills.len());
    Ok(kills)
}

fn decode(line: String) -> Option<Kill> {
    let mail = wire::decode(line.as_bytes()).ok()?;
    let mut kill = Kill::new(line.into(), "file", Timestamp::now(), true);
    kill.mail = Some(Arc::new(mail));
    Some(kill)
}

fn made_up(id: i64) -> Option<Kill> {
    let person = |at: i64| CharacterId::new(90_000_000 + id * 7919 * at % 1_000_003);
    let attackers = (1..=id % 15 + 1).map(|at| Attacker { character_id: person(at), ..Attacker::default() });
    let mail = Killmail {
        killmail_id: KillmailId::new(id)?,
        killmail_hash: None,
        killmail_time: Timestamp::from_second(1_638_000_000 + id).ok()?,
        solar_system_id: SystemId::new(30_000_001 + id % 5000)?,
        moon_id: None,
        war_id: None,
        victim: Victim { character_id: person(17), ..Victim::default() },
        attackers: attackers.collect(),
        zkb: None,
        form: Form::Esi,
    };
    let mut kill = Kill::new(" ".repeat(2000).into(), "generator", Timestamp::now(), false);
    kill.mail = Some(Arc::new(mail));
    Some(kill)
}
