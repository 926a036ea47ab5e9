//! The server goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use broadside::killmail::{Form, Kill};
use broadside::store::{self, Error, Options, Store, retry};
use tokio::task::JoinHandle;

use super::rows;
use crate::kills::kill;
use crate::server::Server;

async fn open() -> (Server, Arc<dyn Store>) {
    let server = Server::start().await;
    let store = store::connect(&server.url(), &Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    (server, store)
}

fn held(store: Arc<dyn Store>, kills: Vec<Kill>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let kills: Vec<_> = kills.iter().collect();
        retry::hold(store.health(), "store kills", || store.insert_kills(&kills, true)).await.unwrap();
    })
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let waiting = async {
        while !holds() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(100), waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_is_waited_for() {
    let (server, store) = open().await;
    store.insert_kills(&[&kill(1, Form::Esi, 1)], true).await.unwrap();
    server.stop_immediate().await;
    for _ in 0..3 {
        let answer = store.insert_kills(&[&kill(2, Form::Esi, 1)], true).await;
        assert!(matches!(answer, Err(Error::Transient(_))), "{answer:?}");
    }
    assert!(matches!(store.ping().await, Err(Error::Transient(_))));
    let held = held(store.clone(), vec![kill(1, Form::Esi, 1), kill(2, Form::Esi, 1)]);
    until("the outage is known", || store.health().trouble().is_some()).await;
    assert!(!held.is_finished());
    server.start_again().await;
    held.await.unwrap();
    assert_eq!(store.health().trouble(), None);
    assert_eq!(store.count_kills().await, Ok(2));
    assert_eq!(rows(&server.url(), "SELECT killmail_id FROM killmail_events ORDER BY 1").await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_twice_when_the_server_stops_under_writers() {
    let (server, store) = open().await;
    let (done, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let writers = (0..4_i64).map(|writer| {
        let (store, done, over) = (store.clone(), done.clone(), over.clone());
        tokio::spawn(async move {
            let mut calls = 0;
            while !over.load(Ordering::SeqCst) {
                // Half of each call comes from another writer too.
                let own = 1_000_000 * (writer + 1) + 10 * calls;
                let shared = 10_000_000 + 10 * calls;
                let kills = (own..own + 5).chain(shared..shared + 5).map(|id| kill(id, Form::Esi, 2)).collect();
                held(store.clone(), kills).await.unwrap();
                calls += 1;
                done.fetch_add(1, Ordering::SeqCst);
            }
            calls
        })
    });
    let writers: Vec<_> = writers.collect();
    for outage in 1..=3 {
        until("calls go through", || done.load(Ordering::SeqCst) >= 20 * outage).await;
        server.stop_immediate().await;
        until("the outage is known", || store.health().trouble().is_some()).await;
        let before = done.load(Ordering::SeqCst);
        server.start_again().await;
        until("calls go through again", || done.load(Ordering::SeqCst) >= before + 4).await;
    }
    over.store(true, Ordering::SeqCst);
    let mut calls = Vec::new();
    for writer in writers {
        calls.push(writer.await.unwrap());
    }
    let kills = 5 * (calls.iter().sum::<i64>() + calls.iter().max().unwrap());
    assert_eq!(store.count_kills().await, Ok(kills));
    let url = server.url();
    for table in ["killmails_raw", "killmails_enriched", "killmail_events"] {
        let counts = rows(&url, &format!("SELECT count(*), count(DISTINCT killmail_id) FROM {table}")).await;
        assert_eq!(counts, [format!("{kills}|{kills}")], "{table}");
    }
    let odd = "SELECT killmail_id FROM killmail_participants GROUP BY killmail_id HAVING count(*) <> 3";
    assert!(rows(&url, odd).await.is_empty());
    assert_eq!(rows(&url, "SELECT count(*) FROM killmail_participants").await, [format!("{}", 3 * kills)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_server_ends_breaks_one_call_at_most() {
    let (server, store) = open().await;
    store.insert_kills(&[&kill(1, Form::Esi, 1)], true).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    rows(&server.url(), end).await;
    held(store.clone(), vec![kill(2, Form::Esi, 1)]).await.unwrap();
    assert_eq!(store.count_kills().await, Ok(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_only_reads_is_waited_for() {
    let (server, store) = open().await;
    rows(&server.url(), "ALTER SYSTEM SET default_transaction_read_only = on").await;
    rows(&server.url(), "SELECT pg_reload_conf()").await;
    let held = held(store.clone(), vec![kill(1, Form::Esi, 1)]);
    until("the outage is known", || store.health().trouble().is_some()).await;
    assert!(store.health().trouble().unwrap().why.contains("read-only"), "{:?}", store.health().trouble());
    rows(&server.url(), "ALTER SYSTEM RESET default_transaction_read_only").await;
    rows(&server.url(), "SELECT pg_reload_conf()").await;
    held.await.unwrap();
    assert_eq!(store.count_kills().await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_another_holds_is_a_transient_error_in_time() {
    let server = Server::start().await;
    let hasty = Options { busy_timeout: Duration::from_millis(50), call_timeout: Duration::from_secs(10) };
    let store = store::connect(&server.url(), &hasty).await.unwrap();
    store.migrate().await.unwrap();
    store.insert_kills(&[&kill(1, Form::Feed, 1)], true).await.unwrap();
    let mut other = <sqlx::PgConnection as sqlx::Connection>::connect(&server.url()).await.unwrap();
    sqlx::Executor::execute(&mut other, "BEGIN").await.unwrap();
    sqlx::Executor::execute(&mut other, "SELECT FROM killmails_raw FOR UPDATE").await.unwrap();
    let answer = store.insert_kills(&[&kill(1, Form::Package, 1)], true).await;
    assert!(matches!(answer, Err(Error::Transient(_))), "{answer:?}");
    let held = held(store.clone(), vec![kill(1, Form::Package, 1)]);
    until("the wait is known", || store.health().trouble().is_some()).await;
    sqlx::Executor::execute(&mut other, "ROLLBACK").await.unwrap();
    held.await.unwrap();
}
