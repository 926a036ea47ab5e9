//! What every store promises of prices: see [`crate::contract`].

use broadside::killmail::TypeId;
use broadside::market::Cents;
use broadside::price::{Quote, Source};
use jiff::Timestamp;

use crate::contract::{Look, Shared};

fn quote(type_id: i64, source: Source, cents: i64, fetched_at: &str) -> Quote {
    Quote {
        type_id: TypeId::new(type_id).unwrap(),
        source,
        market: if source == Source::Janice { 2 } else { 0 },
        price: Cents(cents),
        fetched_at: fetched_at.parse().unwrap(),
    }
}

pub(crate) async fn quotes_come_back_by_time_and_by_day(store: &Shared, look: &dyn Look) {
    let yesterday = quote(34, Source::Janice, 485, "2026-02-28T23:59:59.999Z");
    let today = quote(34, Source::Janice, 500, "2026-03-01T00:00:00Z");
    let other = quote(35, Source::Janice, i64::MAX / 100, "2026-03-01T10:00:00.5Z");
    let esi = quote(34, Source::Esi, 1, "2026-03-01T10:00:00Z");
    let elsewhere = Quote { market: 115, ..other };
    store.store_quotes(&[other, yesterday, esi, today, elsewhere]).await.unwrap();
    let since = |time: &str| time.parse::<Timestamp>().unwrap();
    let janice = async |time| store.quotes_since(Source::Janice, 2, since(time)).await.unwrap();
    assert_eq!(janice("2026-02-01T00:00:00Z").await, [yesterday, today, other]);
    assert_eq!(janice("2026-02-28T23:59:59.999Z").await, [yesterday, today, other]);
    assert_eq!(janice("2026-03-01T00:00:00.001Z").await, [other]);
    assert_eq!(janice("2026-03-01T10:00:01Z").await, []);
    let day = "2026-03-01".parse().unwrap();
    assert_eq!(store.quotes_of(Source::Janice, 2, day).await.unwrap(), [today, other]);
    assert_eq!(store.quotes_of(Source::Janice, 115, day).await.unwrap(), [elsewhere]);
    assert_eq!(store.quotes_of(Source::Esi, 0, day).await.unwrap(), [esi]);
    assert_eq!(store.quotes_of(Source::Market, 0, day).await.unwrap(), []);
    let rows =
        look.rows("SELECT type_id, source, market, day, price, fetched_at FROM prices ORDER BY 2, 3, 4, 1").await;
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0], "34|esi|0|2026-03-01|1|2026-03-01T10:00:00.000Z");
}

pub(crate) async fn of_a_day_the_newest_quote_stays(store: &Shared, _: &dyn Look) {
    let at = |cents, time| quote(34, Source::Janice, cents, time);
    let day = "2026-03-01".parse().unwrap();
    store.store_quotes(&[at(2, "2026-03-01T10:00:00Z"), at(1, "2026-03-01T09:00:00Z")]).await.unwrap();
    store.store_quotes(&[at(3, "2026-03-01T08:00:00Z")]).await.unwrap();
    assert_eq!(store.quotes_of(Source::Janice, 2, day).await.unwrap(), [at(2, "2026-03-01T10:00:00Z")]);
    let again = [at(4, "2026-03-01T10:00:00Z"), at(5, "2026-03-01T11:00:00Z"), at(6, "2026-03-01T11:00:00Z")];
    store.store_quotes(&again).await.unwrap();
    assert_eq!(store.quotes_of(Source::Janice, 2, day).await.unwrap(), [again[2]]);
    store.store_quotes(&[]).await.unwrap();
}

pub(crate) async fn workers_that_store_the_same_quotes_at_once_lose_nothing(store: &Shared, _: &dyn Look) {
    let tasks = (0..6_i64).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            let time = format!("2026-03-01T10:00:0{task}Z");
            let mut quotes: Vec<_> = (1..=700).map(|id| quote(id, Source::Janice, task + 1, &time)).collect();
            if task % 2 == 1 {
                quotes.reverse();
            }
            store.store_quotes(&quotes).await.unwrap();
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let stored = store.quotes_of(Source::Janice, 2, "2026-03-01".parse().unwrap()).await.unwrap();
    assert_eq!((stored.len(), stored.iter().all(|quote| quote.price == Cents(6))), (700, true));
}

pub(crate) async fn quotes_of_old_days_are_forgotten_so_many_at_a_time(store: &Shared, look: &dyn Look) {
    let at = |type_id, source, market, time| Quote { market, ..quote(type_id, source, 1, time) };
    let (old, older, kept) = ("2026-02-28T23:59:59.999Z", "2025-12-01T10:00:00Z", "2026-03-01T00:00:00Z");
    let sides = [(Source::Janice, 2), (Source::Janice, 115), (Source::Esi, 0), (Source::Base, 0)];
    for (source, market) in sides {
        let quotes = [at(34, source, market, old), at(35, source, market, older), at(34, source, market, kept)];
        store.store_quotes(&quotes).await.unwrap();
    }
    let forget = async |limit| store.forget_quotes("2026-03-01".parse().unwrap(), limit).await.unwrap();
    assert_eq!((forget(0).await, forget(3).await, forget(3).await, forget(3).await), (0, 3, 3, 2));
    assert_eq!(forget(3).await, 0);
    let rows = look.rows("SELECT source, market, type_id, day FROM prices ORDER BY 1, 2").await;
    let left = ["base|0|34|2026-03-01", "esi|0|34|2026-03-01", "janice|2|34|2026-03-01", "janice|115|34|2026-03-01"];
    assert_eq!(rows, left);
}
