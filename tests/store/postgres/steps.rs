//! Opening and migrating.

use broadside::killmail::Form;
use broadside::store::{self, Error, Options, Store};
use std::sync::Arc;

use super::open;
use crate::kills::kill;
use crate::server::{Server, database};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_that_migrate_at_once_take_each_step_once() {
    let database = database().await;
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(store::connect(database.url(), &Options::default()).await.unwrap());
    }
    let pending = stores[0].pending_migrations().await.unwrap();
    assert_eq!(pending[0], "0001 killmails");
    let tasks: Vec<_> =
        stores.iter().cloned().map(|store| tokio::spawn(async move { store.migrate().await })).collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap().unwrap());
    }
    taken.sort();
    assert_eq!(taken, pending);
    for store in stores {
        assert_eq!(store.pending_migrations().await, Ok(vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrating_again_takes_no_step() {
    let open = open().await;
    assert_eq!(open.store.migrate().await, Ok(vec![]));
    assert_eq!(open.another().await.migrate().await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_builds_database_is_refused() {
    let open = open().await;
    open.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (9999, 'x', true, '\\x00', 0)",
    )
    .await;
    let error = open.store.migrate().await.unwrap_err();
    assert!(error.to_string().contains("a newer one made it"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_migrated_is_a_permanent_error() {
    let database = database().await;
    let store = store::connect(database.url(), &Options::default()).await.unwrap();
    let answer = store.insert_kills(&[&kill(1, Form::Esi, 1)], true).await;
    assert!(matches!(answer, Err(Error::Permanent(_))), "{answer:?}");
}

/// What the first use of a store at this address says.
async fn trouble(url: &str) -> Error {
    let opened: Result<Arc<dyn Store>, Error> = store::connect(url, &Options::default()).await;
    match opened {
        Err(error) => error,
        Ok(store) => store.ping().await.unwrap_err(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_or_a_role_that_does_not_exist_is_permanent_and_named_without_the_password() {
    // One that lets everybody in: a server that asks for the password first says no more than that it is wrong.
    let server = Server::start().await;
    let url = reqwest::Url::parse(&server.url()).unwrap();
    let with = |change: fn(&mut reqwest::Url)| {
        let mut url = url.clone();
        url.set_password(Some("sekret")).unwrap();
        change(&mut url);
        url.to_string()
    };
    for (url, name) in [
        (with(|url| url.set_path("/no_such_database")), "no_such_database"),
        (with(|url| url.set_username("no_such_role").unwrap()), "no_such_role"),
    ] {
        let error = trouble(&url).await;
        assert!(matches!(error, Error::Permanent(_)), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(!format!("{error:?} {error}").contains("sekret"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_transient() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://me:sekret@localhost:5432/kills?host={}", folder.path().display());
    let error = trouble(&url).await;
    assert!(matches!(error, Error::Transient(_)), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("sekret"), "{error}");
}
