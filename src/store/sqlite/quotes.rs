//! [`Quotes`] on SQLite.

use std::sync::LazyLock;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteArguments;

use super::statements::{self, Insert, Row};
use super::{Sqlite, stamp};
use crate::price::{Quote, Source};
use crate::store::quotes::{Key, day, newest, quote};
use crate::store::{Error, Quotes};

static WRITE: LazyLock<Insert> = LazyLock::new(|| {
    let tail = "ON CONFLICT (source, market, day, type_id) DO UPDATE SET price = excluded.price, fetched_at = excluded.fetched_at
         WHERE excluded.fetched_at >= old.fetched_at";
    Insert::new("prices AS old", &["source", "market", "day", "type_id", "price", "fetched_at"], tail)
});

/// One of a source after the other: the key begins with them, so that a day is found without a scan.
const NEXT_MARKET: &str = "SELECT min(market) FROM prices WHERE source = ? AND market > ?";

const FORGET: &str = "DELETE FROM prices WHERE (source, market, day, type_id) IN
    (SELECT source, market, day, type_id FROM prices WHERE source = ? AND market = ? AND day < ? LIMIT ?)";

impl Row for (Key, &Quote) {
    fn bind(&self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        let ((source, market, day, type_id), quote) = self;
        arguments.add(source.as_str())?;
        arguments.add(*market)?;
        arguments.add(day.to_string())?;
        arguments.add(type_id.get())?;
        arguments.add(quote.price.0)?;
        arguments.add(stamp(quote.fetched_at))
    }
}

#[async_trait]
impl Quotes for Sqlite {
    async fn store_quotes(&self, quotes: &[Quote]) -> Result<(), Error> {
        let rows: Vec<(Key, &Quote)> = newest(quotes).into_iter().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let prepared = WRITE.prepare(&rows)?;
        self.bounded(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            statements::execute(&mut transaction, prepared).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn quotes_since(&self, source: Source, market: i64, since: Timestamp) -> Result<Vec<Quote>, Error> {
        let sql = "SELECT type_id, price, fetched_at FROM prices
            WHERE source = ? AND market = ? AND day >= ? AND fetched_at >= ? ORDER BY fetched_at, type_id";
        let query = sqlx::query_as(sql).bind(source.as_str()).bind(market);
        let query = query.bind(day(since).to_string()).bind(stamp(since)).fetch_all(&self.readers);
        read(source, market, self.bounded(async { Ok(query.await?) }).await?)
    }

    async fn quotes_of(&self, source: Source, market: i64, day: Date) -> Result<Vec<Quote>, Error> {
        let sql = "SELECT type_id, price, fetched_at FROM prices WHERE source = ? AND market = ? AND day = ? ORDER BY type_id";
        let query = sqlx::query_as(sql).bind(source.as_str()).bind(market).bind(day.to_string());
        read(source, market, self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?)
    }

    async fn forget_quotes(&self, before: Date, limit: u32) -> Result<u64, Error> {
        self.bounded(async {
            let (mut forgotten, limit) = (0, u64::from(limit));
            for source in Source::ALL {
                let mut after = i64::MIN;
                while forgotten < limit {
                    let query = sqlx::query_scalar(NEXT_MARKET).bind(source.as_str()).bind(after);
                    let market: Option<i64> = query.fetch_one(&self.readers).await?;
                    let Some(market) = market else { break };
                    let query = sqlx::query(FORGET).bind(source.as_str()).bind(market).bind(before.to_string());
                    let query = query.bind((limit - forgotten) as i64);
                    forgotten += query.execute(&self.writer).await?.rows_affected();
                    after = market;
                }
            }
            Ok(forgotten)
        })
        .await
    }
}

fn read(source: Source, market: i64, rows: Vec<(i64, i64, String)>) -> Result<Vec<Quote>, Error> {
    let unreadable = |error| Error::Permanent(format!("read when a price was fetched: {error}"));
    let mut quotes = Vec::with_capacity(rows.len());
    for (type_id, price, fetched_at) in rows {
        quotes.extend(quote(source, market, type_id, price, fetched_at.parse().map_err(unreadable)?));
    }
    Ok(quotes)
}
