//! A pipeline on a SQLite file whose rules refuse kills, and what sends letters through it again.

use std::sync::Arc;

use async_trait::async_trait;
use broadside::dead_letter::{Outcome, Plan, Replay, Rerun, Source, Told, choose};
use broadside::definition::{self, Definition};
use broadside::killmail::Kill;
use broadside::killmail::sample::Sampler;
use broadside::resources::Resources;
use broadside::store::{self, DeadLetter, DeadLetterFilter, DeadLetterState, Options, Store};
use broadside_engine::testing::push_source;
use broadside_engine::topology::{RateLimit, Source as SourceShape};
use broadside_engine::{Message, Pipeline};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use tempfile::TempDir;

/// Every stage that needs nothing from outside.
const PIPELINE: &str = "[source.generator]\n\
    [[processor]]\nname = \"parse\"\nstages = [\"decode\", \"deduplicate\"]\n\
    [[processor]]\nname = \"find\"\nstages = [\"match\"]\n\
    [[batcher]]\nname = \"db_insert\"\nbatch_size = 20\nbatch_timeout = \"10ms\"\nsink.database = {}\n\
    [[batcher]]\nname = \"pubsub\"\nafter = \"db_insert\"\nsink.pubsub = {}\n";

/// The database, and who works on it.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) pipelines: Arc<Pipelines>,
    folder: TempDir,
}

/// Starts the one pipeline on letters, as a worker does.
#[derive(Debug)]
pub(crate) struct Pipelines {
    pub(crate) definition: Definition,
    pub(crate) resources: Resources,
}

#[async_trait]
impl Rerun for Pipelines {
    async fn start(&self, _pipeline: &str, source: &Source, rate: Option<u32>) -> Result<Pipeline, String> {
        let mut shape = self.definition.topology.clone();
        let rate_limit = rate.map(|messages| RateLimit { messages, per: std::time::Duration::from_secs(1) });
        shape.source = SourceShape { rate_limit, ..SourceShape::new("dead_letters") };
        shape.breaker = None;
        source.feeds(&shape, self.definition.origin());
        let feed = Arc::new(source.clone());
        let components = if source.way().dry_run {
            self.definition.build_rehearsal(&self.resources, feed)
        } else {
            self.definition.build_with_source(&self.resources, feed)
        };
        Pipeline::start(shape, components).map_err(|error| error.to_string())
    }

    fn pipelines(&self) -> Vec<String> {
        vec!["kills".to_owned()]
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// With more in its pipeline file.
    pub(crate) async fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store::connect(&url(&folder), &Options::default()).await.unwrap();
        store.migrate().await.unwrap();
        let text = format!("{PIPELINE}{more}");
        let definition = definition::parse("kills", "kills.toml", &text, &|_| None).unwrap_or_else(|p| panic!("{p}"));
        let resources = Resources::new(store.clone());
        Self { store, pipelines: Arc::new(Pipelines { definition, resources }), folder }
    }

    async fn connection(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join("kills.db"));
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection().await).await.unwrap();
    }

    /// Numbers of the first column.
    pub(crate) async fn numbers(&self, sql: &str) -> Vec<i64> {
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut self.connection().await).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Every row of every table, as text.
    pub(crate) async fn everything(&self) -> String {
        let mut connection = self.connection().await;
        let names =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY 1";
        let tables: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut connection).await.unwrap();
        let mut text = String::new();
        for table in tables {
            let columns = format!(
                "SELECT group_concat('quote(\"' || name || '\")', '||''|''||') FROM pragma_table_info('{table}')"
            );
            let columns: Option<String> =
                sqlx::query_scalar(AssertSqlSafe(columns)).fetch_one(&mut connection).await.unwrap();
            let rows = format!("SELECT {} FROM \"{table}\" ORDER BY 1", columns.unwrap_or_else(|| "''".to_owned()));
            let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut connection).await.unwrap();
            text.push_str(&format!("{table}\n{}\n", rows.join("\n")));
        }
        text
    }

    /// A rule of the database that refuses some kills with a message.
    pub(crate) async fn refuse(&self, name: &str, table: &str, when: &str) {
        self.execute(&format!(
            "CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN {when} BEGIN SELECT RAISE(ABORT, 'the rule {name}'); END"
        ))
        .await;
    }

    /// So many kills through the pipeline, as a feed brings them; answers their ids.
    pub(crate) async fn bring(&self, count: usize) -> Vec<i64> {
        let (pusher, source) = push_source(count);
        let mut sampler = Sampler::new(7);
        let mut ids = Vec::new();
        for _ in 0..count {
            let sample = sampler.next("2026-01-02T03:04:05Z".parse().unwrap());
            let json = sample.package_json();
            ids.push(broadside::killmail::wire::decode(json.as_bytes()).unwrap().killmail_id.get());
            let kill = Kill::new(json.into(), "generator", "2026-01-02T03:05:00Z".parse().unwrap(), true);
            pusher.push(Message::new(kill)).await;
        }
        pusher.finish();
        let mut shape = self.pipelines.definition.topology.clone();
        shape.breaker = None;
        let components = self.pipelines.definition.build_with_source(&self.pipelines.resources, Arc::new(source));
        let report = Pipeline::start(shape, components).unwrap().finished().await;
        assert_eq!(report.ledger.imbalance(), 0);
        ids.sort_unstable();
        ids
    }

    pub(crate) async fn letters(&self, states: &[DeadLetterState]) -> Vec<DeadLetter> {
        let filter = DeadLetterFilter { states: states.to_vec(), payload: true, ..DeadLetterFilter::default() };
        self.store.dead_letters(&filter).await.unwrap()
    }

    pub(crate) async fn open(&self) -> usize {
        self.letters(&[DeadLetterState::Open]).await.len()
    }

    /// All open letters, by a plan.
    pub(crate) async fn replay(&self, plan: Plan) -> Replay {
        let filter = DeadLetterFilter { states: vec![DeadLetterState::Open], ..DeadLetterFilter::default() };
        let replay = Replay::new(1, plan, choose(&*self.store, &filter, None).await.unwrap());
        replay.run(&self.store, &*self.pipelines).await;
        replay
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("kills.db").display())
}

/// How many letters came to which end.
pub(crate) fn count(told: &[Told], outcome: Outcome) -> usize {
    told.iter().filter(|told| told.outcome == outcome).count()
}
