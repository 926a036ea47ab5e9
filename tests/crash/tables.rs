//! What stands in a database, seen from outside of the program.

use std::collections::BTreeMap;
use std::str::FromStr;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

/// As many looks take some ten milliseconds.
pub(crate) const LOOKS: usize = 20;

/// One statement, so that it sees one moment: what a server had still to commit when the program died may come between two.
const FLAWS: &str = "SELECT
    (SELECT count(*) FROM killmails_raw WHERE killmail_id NOT IN (SELECT killmail_id FROM killmails_enriched)),
    (SELECT count(*) FROM killmails_enriched WHERE killmail_id NOT IN (SELECT killmail_id FROM killmails_raw)),
    (SELECT count(*) FROM killmails_enriched LEFT JOIN
        (SELECT killmail_id AS id, count(*) AS found, count(CASE WHEN position = 0 THEN 1 END) AS victims FROM killmail_participants GROUP BY 1)
        AS those ON id = killmail_id WHERE found IS NULL OR found <> attacker_count + 1 OR victims <> 1),
    (SELECT count(*) FROM killmail_participants WHERE killmail_id NOT IN (SELECT killmail_id FROM killmails_enriched)),
    (SELECT count(*) - count(DISTINCT killmail_id) FROM killmails_raw),
    (SELECT count(*) - count(DISTINCT killmail_id) FROM killmails_enriched),
    (SELECT count(*) - count(DISTINCT killmail_id) FROM killmail_events),
    (SELECT count(*) FROM killmail_events WHERE killmail_id NOT IN (SELECT killmail_id FROM killmails_raw)),
    (SELECT count(*) FROM killmails_raw WHERE killmail_id NOT IN (SELECT killmail_id FROM killmail_events) AND EXISTS (SELECT 1 FROM killmail_events)),
    (SELECT count(*) FROM dead_letters)";

const NAMES: [&str; 10] = [
    "raw without enriched",
    "enriched without raw",
    "enriched without all participants",
    "participants without a kill",
    "raw twice",
    "enriched twice",
    "events twice",
    "events without a kill",
    "kills without an event, among others that have one",
    "dead letters",
];

/// A look from outside: it writes nothing, and so does not mend either what the program left.
pub(crate) enum Tables {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Tables {
    pub(crate) async fn open(url: &str) -> Self {
        if url.starts_with("postgres") {
            return Self::Postgres(PgConnection::connect(url).await.expect("the server answers"));
        }
        let options = SqliteConnectOptions::from_str(url).expect("a URL").read_only(true);
        Self::Sqlite(options.connect().await.expect("the file opens"))
    }

    /// Rows of whole numbers.
    pub(crate) async fn numbers(&mut self, sql: &str) -> Vec<Vec<i64>> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(connection) => {
                let rows = sqlx::query(sql).fetch_all(connection).await.expect("it answers");
                rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
            }
            Self::Postgres(connection) => {
                let rows = sqlx::query(sql).fetch_all(connection).await.expect("it answers");
                rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
            }
        }
    }

    pub(crate) async fn stored(&mut self) -> i64 {
        self.numbers("SELECT count(*) FROM killmails_enriched").await[0][0]
    }

    /// So often, which brings whoever waits for it to any point between two commits.
    pub(crate) async fn look(&mut self, times: usize) {
        for _ in 0..times {
            self.stored().await;
        }
    }

    /// Every kill that is there is whole, once, and announced once if any is, and nothing was put aside.
    pub(crate) async fn are_sound(&mut self, when: &str) {
        let found = self.numbers(FLAWS).await.remove(0);
        let flaws: Vec<_> = NAMES.iter().zip(found).filter(|(_, count)| *count > 0).collect();
        assert!(flaws.is_empty(), "{when}: {flaws:?}");
    }

    /// How many took part in each kill.
    pub(crate) async fn participants(&mut self) -> BTreeMap<i64, i64> {
        let sql = "SELECT killmail_id, count(*) FROM killmail_participants GROUP BY 1";
        self.numbers(sql).await.into_iter().map(|row| (row[0], row[1])).collect()
    }

    /// Ids of a table's rows, in their order.
    pub(crate) async fn ids(&mut self, of: &str) -> Vec<i64> {
        let (table, column) = of.split_once('.').expect("table.column");
        let rows = self.numbers(&format!("SELECT {column} FROM {table} ORDER BY 1")).await;
        rows.into_iter().map(|row| row[0]).collect()
    }
}
