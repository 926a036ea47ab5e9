//! What the other tests stand on: databases and servers of their own.

use sqlx::{Connection, PgConnection};

use super::rows;
use crate::server::{Server, database};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_test_has_an_empty_database_of_its_own_until_it_ends() {
    let (first, second) = tokio::join!(database(), database());
    rows(first.url(), "CREATE TABLE mine ()").await;
    let tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(rows(first.url(), tables).await, ["mine"]);
    assert!(rows(second.url(), tables).await.is_empty());
    let gone = first.url().to_owned();
    drop(first);
    assert!(PgConnection::connect(&gone).await.is_err());
    assert!(PgConnection::connect(second.url()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_again_has_what_was_committed() {
    let server = Server::start().await;
    rows(&server.url(), "CREATE TABLE kept AS SELECT 7 AS kill").await;
    server.stop_immediate().await;
    assert!(PgConnection::connect(&server.url()).await.is_err());
    server.start_again().await;
    assert_eq!(rows(&server.url(), "SELECT kill FROM kept").await, ["7"]);
}
