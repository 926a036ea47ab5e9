//! Whoever reads "what changed after N" misses nothing, however those who write at once overlap; and the server says when to look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use broadside::store::{NewProfile, ProfileNews, Store, Which};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinHandle;

use super::{all_wait_or_have_ended, open};
use crate::contract::Look;
use crate::profiles::{changed, profile, put};

/// Keeps a copy as a worker does: from its mark, a few at a time, until all is written and nothing more comes.
fn copier(store: Arc<dyn Store>, written: Arc<AtomicBool>) -> JoinHandle<std::collections::BTreeMap<i64, String>> {
    tokio::spawn(async move {
        let (mut copy, mut mark) = (std::collections::BTreeMap::new(), 0);
        loop {
            let last = written.load(Ordering::SeqCst);
            let changes = store.profile_changes(mark, 7).await.unwrap();
            if last && changes.is_empty() {
                return copy;
            }
            for change in changes {
                assert!(change.change_id > mark, "in order");
                mark = change.change_id;
                match change.now {
                    Some(now) => copy.insert(change.profile_id.get(), now.name),
                    None => copy.remove(&change.profile_id.get()),
                };
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_what_is_there_after_many_writers_in_any_interleaving() {
    let open = open().await;
    let written = Arc::new(AtomicBool::new(false));
    let copiers = [copier(open.another().await, written.clone()), copier(open.store.clone(), written.clone())];
    let mut writers = Vec::new();
    for hand in 0..6 {
        let mut connection = open.connection().await;
        writers.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(hand);
            for transaction in 0..20 {
                by_hand(&mut connection, hand * 100 + transaction, &mut random).await;
            }
        }));
    }
    for _ in 0..2 {
        let store = open.store.clone();
        writers.push(tokio::spawn(async move {
            for round in 0..20 {
                let ids = put(&store, &["x", "y", "z"]).await;
                store.enable_profiles(&ids[..1], false).await.unwrap();
                let again = NewProfile { profile_id: Some(ids[1]), ..profile(&round.to_string()) };
                store.put_profiles(&[again, profile("new")]).await.unwrap();
                store.remove_profiles(&ids[2..]).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    written.store(true, Ordering::SeqCst);
    let there = open.store.profiles(&Which::default()).await.unwrap();
    let there = there.into_iter().filter(|profile| profile.enabled).map(|p| (p.profile_id.get(), p.name)).collect();
    for copier in copiers {
        assert_eq!(copier.await.unwrap(), there);
    }
    assert!(there.len() > 80, "{}", there.len());
}

/// One transaction of up to three statements that takes its time in between, and in one of five cases is undone. It removes only what was added by hand.
async fn by_hand(connection: &mut PgConnection, number: u64, random: &mut StdRng) {
    let mut transaction = connection.begin().await.unwrap();
    for _ in 0..random.random_range(1..=3) {
        let statement = match random.random_range(0..4) {
            0 | 1 => format!(
                "INSERT INTO surveillance_profiles (name, filter) VALUES ('{number}', '{{}}'), ('{number}b', '')"
            ),
            2 => format!("UPDATE surveillance_profiles SET name = 'u{number}' WHERE profile_id % 10 = {}", number % 10),
            _ => format!("DELETE FROM surveillance_profiles WHERE filter = '{{}}' AND profile_id % 5 = {}", number % 5),
        };
        transaction.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
        let work = format!("SELECT count(*) FROM generate_series(1, {})", random.random_range(1..=30_000));
        transaction.execute(sqlx::AssertSqlSafe(work)).await.unwrap();
    }
    if random.random_range(0..5) == 0 {
        transaction.rollback().await.unwrap()
    } else {
        transaction.commit().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_committed_late_is_not_missed() {
    let open = open().await;
    let mut slow = open.connection().await;
    let mut transaction = slow.begin().await.unwrap();
    transaction.execute("INSERT INTO surveillance_profiles (name, filter) VALUES ('slow', '')").await.unwrap();
    let store = open.store.clone();
    let fast = [tokio::spawn(async move { drop(put(&store, &["fast"]).await) })];
    all_wait_or_have_ended(&open, &fast).await;
    let (_, mark) = changed(&open.store, 0).await;
    transaction.commit().await.unwrap();
    for writer in fast {
        writer.await.unwrap();
    }
    let seen: Vec<_> = changed(&open.store, mark).await.0.into_iter().filter_map(|(_, name)| name).collect();
    assert_eq!(seen, ["slow", "fast"]);
}

#[tokio::test]
async fn a_table_that_was_emptied_at_once_is_a_change_of_all() {
    let open = open().await;
    let ids = put(&open.store, &["a", "b"]).await;
    let (_, mark) = changed(&open.store, 0).await;
    open.execute("TRUNCATE surveillance_profiles").await;
    let mut seen = changed(&open.store, mark).await.0;
    seen.sort_unstable();
    assert_eq!(seen, [(ids[0].get(), None), (ids[1].get(), None)]);
    assert!(put(&open.store, &["c"]).await[0] > ids[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_news_is_told_at_once_also_after_the_connection_was_cut() {
    let open = open().await;
    let mut news = open.store.profile_news();
    // The first begins to listen, and looks then.
    news.wait().await;
    told_at_once(&open.store, &mut news).await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()";
    assert_eq!(open.rows(cut).await, ["1"]);
    // It learns of that, begins to listen again, …
    news.wait().await;
    news.wait().await;
    // … and is told as before.
    told_at_once(&open.store, &mut news).await;
}

/// Before the look that comes anyway, of some tries on a machine that has other work too.
async fn told_at_once(store: &Arc<dyn Store>, news: &mut Box<dyn ProfileNews>) {
    for _ in 0..10 {
        let begun = Instant::now();
        tokio::join!(news.wait(), put(store, &["a"]));
        if begun.elapsed() < Duration::from_millis(1_900) {
            return;
        }
    }
    panic!("it was never told before it looked by itself");
}
