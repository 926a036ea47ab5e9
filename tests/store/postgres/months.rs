//! Kills are kept by months, which are made when kills need them.

use std::collections::BTreeMap;

use broadside::store::{Change, Error, Month};
use futures::future::join_all;

use super::open;
use crate::contract::Look;
use crate::kills::dated;

const TABLES: [&str; 4] = ["killmails_raw", "killmails_enriched", "killmail_participants", "profile_matches"];

fn month(text: &str) -> Month {
    Month::parse(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_is_kept_in_the_partition_of_its_month() {
    let open = open().await;
    let kills = [
        dated(1, "2007-12-05T11:00:00Z"),
        dated(2, "2007-12-31T23:59:59Z"),
        dated(3, "2008-01-01T00:00:00Z"),
        dated(4, "2003-05-06T00:00:00Z"),
        dated(5, "2021-11-30T00:00:00Z"),
    ];
    open.store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.unwrap();
    for table in &TABLES[..3] {
        let found =
            open.rows(&format!("SELECT DISTINCT killmail_id, tableoid::regclass FROM {table} ORDER BY 1")).await;
        let expected = [(1, "2007_12"), (2, "2007_12"), (3, "2008_01"), (4, "2003_05"), (5, "2021_11")];
        assert_eq!(found, expected.map(|(id, month)| format!("{id}|{table}_{month}")));
    }
    for table in TABLES {
        let months: Vec<_> =
            open.store.partitions().await.unwrap().into_iter().filter(|one| one.table == table).collect();
        for wanted in ["2003-05", "2007-12", "2008-01", "2021-11"].map(month) {
            let found: Vec<_> = months.iter().filter(|one| one.month == wanted).collect();
            assert_eq!(found.len(), 1, "{table} {wanted}: {months:?}");
            assert_eq!(found[0].name, format!("{table}_{}", wanted.suffix()));
        }
        assert!(months.is_sorted_by_key(|one| one.month), "oldest first: {months:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_that_comes_again_finds_its_month() {
    let open = open().await;
    let kill = dated(1, "2009-02-01T00:00:00Z");
    open.store.insert_kills(&[&kill], true).await.unwrap();
    let another = open.another().await;
    assert_eq!(another.insert_kills(&[&kill], true).await, Ok(vec![Change::Same]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_at_once_make_each_month_once() {
    let open = open().await;
    let months: Vec<_> = month("2007-12").through(month("2009-07")).collect();
    assert_eq!(months.len(), 20);
    let before = open.store.partitions().await.unwrap();
    assert!(before.iter().all(|one| !months.contains(&one.month)), "{before:?}");

    let stores = [open.store.clone(), open.another().await, open.another().await];
    let tasks = (0..8_usize).map(|task| {
        let (store, months) = (stores[task % 3].clone(), months.clone());
        tokio::spawn(async move {
            // The same months, each task in an order of its own, five in a call.
            let step = [1, 3, 7, 9, 11, 13, 17, 19][task];
            let kill = |at: usize| {
                dated(
                    (1000 * (task + 1) + at) as i64,
                    &months[at * step % 20]
                        .plus(1)
                        .start()
                        .saturating_sub(jiff::SignedDuration::from_secs(1))
                        .unwrap()
                        .to_string(),
                )
            };
            let kills: Vec<_> = (0..20).map(kill).collect();
            for call in kills.chunks(5) {
                store.insert_kills(&call.iter().collect::<Vec<_>>(), true).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(open.store.count_kills().await, Ok(160));
    let mut counts = BTreeMap::new();
    for partition in open.store.partitions().await.unwrap() {
        *counts.entry((partition.table, partition.month)).or_insert(0) += 1;
    }
    for table in TABLES {
        for wanted in &months {
            assert_eq!(counts.get(&(table.to_owned(), *wanted)), Some(&1), "{table} {wanted}");
        }
    }
    // Nothing that was made is left beside its table.
    let loose = "SELECT relname FROM pg_class c WHERE relkind = 'r' AND relname ~ '_[0-9]{4}_[0-9]{2}$'
        AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)";
    assert!(open.rows(loose).await.is_empty());
    let wrong = "SELECT killmail_id FROM killmails_raw
        WHERE tableoid::regclass::text <> 'killmails_raw_' || to_char(killmail_time AT TIME ZONE 'UTC', 'YYYY_MM')";
    assert!(open.rows(wrong).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn months_are_made_ahead_once_by_whoever_comes_first() {
    let open = open().await;
    let stores = [open.store.clone(), open.another().await, open.another().await];
    let (first, last) = (month("2030-11"), month("2031-02"));
    let made = join_all(stores.iter().map(|store| store.ensure_partitions(first, last))).await;
    let mut made: Vec<String> = made.into_iter().flat_map(Result::unwrap).collect();
    made.sort();
    let mut expected: Vec<_> = TABLES
        .iter()
        .flat_map(|table| first.through(last).map(move |month| format!("{table}_{}", month.suffix())))
        .collect();
    expected.sort();
    assert_eq!(made, expected, "each by one of them");
    assert_eq!(open.store.ensure_partitions(first, last).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_is_dropped_with_its_kills_and_their_events_and_others_stay() {
    let open = open().await;
    let kills = [dated(1, "2007-12-31T23:59:59Z"), dated(2, "2008-01-01T00:00:00Z"), dated(3, "2021-11-30T00:00:00Z")];
    open.store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.unwrap();
    let another = open.another().await;
    another.insert_kills(&[&kills[0]], true).await.unwrap();
    let went = open.store.drop_partitions(month("2008-01")).await.unwrap();
    let mut names: Vec<_> = went.iter().map(|one| one.name.clone()).collect();
    names.sort();
    let mut expected = TABLES.map(|table| format!("{table}_2007_12"));
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(open.rows("SELECT killmail_id FROM killmails_raw ORDER BY 1").await, ["2", "3"]);
    assert_eq!(open.rows("SELECT DISTINCT killmail_id FROM killmail_participants ORDER BY 1").await, ["2", "3"]);
    let events = open.store.events_after(0, &[], 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.killmail_id.get()).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(open.rows("SELECT killmail_id FROM killmail_events ORDER BY 1").await, ["2", "3"]);
    assert_eq!(open.store.drop_partitions(month("2008-01")).await, Ok(vec![]));

    // A month that is needed again is made again, also by a store that knew it and does not know that it went.
    for (store, id) in [(&another, 4), (&open.store, 5)] {
        let changes = store.insert_kills(&[&dated(id, "2007-12-05T11:00:00Z")], true).await.unwrap();
        assert!(matches!(changes[..], [Change::New { event_id: Some(_) }]), "{changes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impossible_date_makes_no_month() {
    let open = open().await;
    let before = open.store.partitions().await.unwrap().len();
    let answer = open.store.insert_kills(&[&dated(1, "2002-01-01T00:00:00Z")], true).await;
    assert!(matches!(answer, Err(Error::Data { .. })), "{answer:?}");
    assert_eq!(open.store.partitions().await.unwrap().len(), before);
}
