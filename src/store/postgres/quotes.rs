//! [`Quotes`] on PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use super::{Postgres, stamp};
use crate::price::{Quote, Source};
use crate::store::quotes::{day, newest, quote};
use crate::store::{Error, Quotes};

/// Days travel as texts, prices as cents. Rows are locked in the order in which they come: the same for all.
const WRITE: &str = "INSERT INTO prices AS old (source, market, day, type_id, price, fetched_at)
    SELECT source, market, day::date, type_id, cents * 0.01, fetched_at
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::timestamptz[])
        AS given (source, market, day, type_id, cents, fetched_at)
    ON CONFLICT (source, market, day, type_id) DO UPDATE SET price = excluded.price, fetched_at = excluded.fetched_at
    WHERE excluded.fetched_at >= old.fetched_at";

const SINCE: &str = "SELECT type_id, (price * 100)::bigint, fetched_at FROM prices
    WHERE source = $1 AND market = $2 AND day >= $3::text::date AND fetched_at >= $4 ORDER BY fetched_at, type_id";

const OF: &str = "SELECT type_id, (price * 100)::bigint, fetched_at FROM prices
    WHERE source = $1 AND market = $2 AND day = $3::text::date ORDER BY type_id";

/// One of a source after the other: the key begins with them, so that a day is found without a scan.
const NEXT_MARKET: &str = "SELECT min(market) FROM prices WHERE source = $1 AND market > $2";

const FORGET: &str = "DELETE FROM prices WHERE ctid = ANY (ARRAY (SELECT ctid FROM prices
    WHERE source = $1 AND market = $2 AND day < $3::text::date ORDER BY day, type_id LIMIT $4))";

#[async_trait]
impl Quotes for Postgres {
    async fn store_quotes(&self, quotes: &[Quote]) -> Result<(), Error> {
        let rows = newest(quotes);
        if rows.is_empty() {
            return Ok(());
        }
        let column = |value: fn(&Quote) -> i64| rows.values().map(|quote| value(quote)).collect::<Vec<_>>();
        let times: Vec<_> = rows.values().map(|quote| stamp(quote.fetched_at)).collect();
        let query = sqlx::query(WRITE)
            .bind(rows.values().map(|quote| quote.source.as_str()).collect::<Vec<_>>())
            .bind(column(|quote| quote.market))
            .bind(rows.keys().map(|(_, _, day, _)| day.to_string()).collect::<Vec<_>>())
            .bind(column(|quote| quote.type_id.get()))
            .bind(column(|quote| quote.price.0))
            .bind(times);
        self.bounded(async { Ok(query.execute(&self.writers).await.map(drop)?) }).await
    }

    async fn quotes_since(&self, source: Source, market: i64, since: Timestamp) -> Result<Vec<Quote>, Error> {
        let query = sqlx::query_as(SINCE).bind(source.as_str()).bind(market);
        let query = query.bind(day(since).to_string()).bind(stamp(since));
        Ok(read(source, market, self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?))
    }

    async fn quotes_of(&self, source: Source, market: i64, day: Date) -> Result<Vec<Quote>, Error> {
        let query = sqlx::query_as(OF).bind(source.as_str()).bind(market).bind(day.to_string());
        Ok(read(source, market, self.bounded(async { Ok(query.fetch_all(&self.readers).await?) }).await?))
    }

    async fn forget_quotes(&self, before: Date, limit: u32) -> Result<u64, Error> {
        self.bounded(async {
            let (mut forgotten, limit) = (0, u64::from(limit));
            for source in Source::ALL {
                let mut after = i64::MIN;
                while forgotten < limit {
                    let query = sqlx::query_scalar(NEXT_MARKET).bind(source.as_str()).bind(after);
                    let market: Option<i64> = query.fetch_one(&self.writers).await?;
                    let Some(market) = market else { break };
                    let query = sqlx::query(FORGET).bind(source.as_str()).bind(market).bind(before.to_string());
                    let query = query.bind((limit - forgotten) as i64);
                    forgotten += query.execute(&self.writers).await?.rows_affected();
                    after = market;
                }
            }
            Ok(forgotten)
        })
        .await
    }
}

fn read(source: Source, market: i64, rows: Vec<(i64, i64, jiff_sqlx::Timestamp)>) -> Vec<Quote> {
    let quote = |(type_id, price, time): (i64, i64, jiff_sqlx::Timestamp)| {
        quote(source, market, type_id, price, time.to_jiff())
    };
    rows.into_iter().filter_map(quote).collect()
}
