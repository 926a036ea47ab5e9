//! Whoever reads "everything after N" misses nothing, however those who write at once overlap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use broadside::killmail::{Form, Kill};
use broadside::store::Store;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinHandle;

use super::{Open, open};
use crate::contract::Look;
use crate::kills::kill;

/// Reads as a subscriber does: from its mark, a few at a time, until it is told that all is written and nothing more comes.
fn reader(store: Arc<dyn Store>, written: Arc<AtomicBool>) -> JoinHandle<Vec<i64>> {
    tokio::spawn(async move {
        let mut read: Vec<i64> = Vec::new();
        loop {
            let last = written.load(Ordering::SeqCst);
            let mark = read.last().copied().unwrap_or(0);
            let events = store.events_after(mark, &[], 7).await.unwrap();
            if last && events.is_empty() {
                return read;
            }
            read.extend(events.iter().map(|event| event.event_id));
        }
    })
}

/// The whole table, as it is in the end.
async fn table(open: &Open) -> Vec<i64> {
    let rows = open.rows("SELECT event_id FROM killmail_events ORDER BY event_id").await;
    rows.iter().map(|row| row.parse().unwrap()).collect()
}

/// An event written by hand, of a kill that is stored.
fn event(killmail: i64) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!(
        "INSERT INTO killmail_events (system_id, killmail_id, killmail_time, created_at)
            SELECT solar_system_id, killmail_id, killmail_time, now() FROM killmails_raw WHERE killmail_id = {killmail}"
    ))
}

async fn insert(store: &Arc<dyn Store>, kills: &[Kill], events: bool) {
    store.insert_kills(&kills.iter().collect::<Vec<_>>(), events).await.unwrap();
}

/// Until each of the writers has either ended or waits in the server for another.
async fn all_wait_or_have_ended(open: &Open, writers: &[JoinHandle<()>]) {
    let waiting = "SELECT count(DISTINCT pid) FROM pg_locks l JOIN pg_stat_activity USING (pid)
        WHERE NOT granted AND datname = current_database()";
    let settled = async {
        loop {
            let waiting: usize = open.rows(waiting).await[0].parse().unwrap();
            if waiting + writers.iter().filter(|writer| writer.is_finished()).count() >= writers.len() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), settled).await.expect("writers end or wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_committed_late_is_not_missed() {
    let open = open().await;
    insert(&open.store, &[kill(1, Form::Esi, 1), kill(2, Form::Esi, 1)], false).await;
    let written = Arc::new(AtomicBool::new(false));
    let reader = reader(open.another().await, written.clone());

    // The slow one draws its id first.
    let mut slow = open.connection().await;
    let mut transaction = slow.begin().await.unwrap();
    transaction.execute(event(1)).await.unwrap();
    let fast: Vec<_> = [10, 20, 30].map(|first| (open.store.clone(), first)).into_iter().collect();
    let fast: Vec<JoinHandle<()>> = fast
        .into_iter()
        .map(|(store, first)| {
            tokio::spawn(async move {
                let kills: Vec<_> = (first..first + 10).map(|id| kill(id, Form::Esi, 1)).collect();
                insert(&store, &kills, true).await;
            })
        })
        .collect();
    all_wait_or_have_ended(&open, &fast).await;
    // It draws another while they wait, or after they are through.
    transaction.execute(event(2)).await.unwrap();
    transaction.commit().await.unwrap();
    for writer in fast {
        writer.await.unwrap();
    }
    written.store(true, Ordering::SeqCst);
    let (read, table) = (reader.await.unwrap(), table(&open).await);
    assert_eq!(table.len(), 32);
    assert_eq!(read, table);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_transaction_that_is_undone_holds_nobody_up_for_good() {
    let open = open().await;
    insert(&open.store, &[kill(1, Form::Esi, 1)], false).await;
    let mut slow = open.connection().await;
    slow.execute("BEGIN").await.unwrap();
    slow.execute(event(1)).await.unwrap();
    let store = open.store.clone();
    let fast = [tokio::spawn(async move { insert(&store, &[kill(10, Form::Esi, 1)], true).await })];
    all_wait_or_have_ended(&open, &fast).await;
    // As when its process dies: the connection ends without a word.
    drop(slow);
    for writer in fast {
        writer.await.unwrap();
    }
    let events = open.store.events_after(0, &[], 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.killmail_id.get()).collect::<Vec<_>>(), [10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_reader_misses_nothing_of_many_writers_in_any_interleaving() {
    const BY_HAND: i64 = 6;
    const STORES: i64 = 4;
    let open = open().await;
    let known: Vec<_> = (100..100 * (BY_HAND + 1)).map(|id| kill(id, Form::Esi, 1)).collect();
    insert(&open.store, &known, false).await;
    let written = Arc::new(AtomicBool::new(false));
    let readers = [reader(open.another().await, written.clone()), reader(open.store.clone(), written.clone())];

    let mut writers = Vec::new();
    for hand in 1..=BY_HAND {
        let mut connection = open.connection().await;
        writers.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(hand as u64);
            for transaction in 0..20 {
                by_hand(&mut connection, 100 * hand + 3 * transaction, &mut random).await;
            }
        }));
    }
    for writer in 1..=STORES {
        let store = if writer % 2 == 0 { open.store.clone() } else { open.another().await };
        writers.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(100 + writer as u64);
            for call in 0..20 {
                let first = 1000 * writer + 10 * call;
                let kills: Vec<_> =
                    (first..first + random.random_range(1..=10)).map(|id| kill(id, Form::Esi, 1)).collect();
                insert(&store, &kills, true).await;
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    written.store(true, Ordering::SeqCst);
    let table = table(&open).await;
    for reader in readers {
        assert_eq!(reader.await.unwrap(), table);
    }
    assert!(table.len() > 200, "{}", table.len());
}

/// One transaction of up to three events that takes its time in between, and in one of five cases is undone.
async fn by_hand(connection: &mut PgConnection, killmail: i64, random: &mut StdRng) {
    let mut transaction = connection.begin().await.unwrap();
    for at in 0..random.random_range(1..=3) {
        transaction.execute(event(killmail + at)).await.unwrap();
        let work = format!("SELECT count(*) FROM generate_series(1, {})", random.random_range(1..=30_000));
        transaction.execute(sqlx::AssertSqlSafe(work)).await.unwrap();
    }
    if random.random_range(0..5) == 0 {
        transaction.rollback().await.unwrap();
    } else {
        transaction.commit().await.unwrap();
    }
}
