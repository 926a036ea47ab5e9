//! The sources that read zKillboard's files and queues, against servers on a real socket that misbehave.

#![allow(clippy::unwrap_used, reason = "tests")]

mod manners;
mod redisq;
mod resuming;
mod server;
mod simulator;

use std::time::Duration;

use broadside::killmail::Kill;
use broadside::resources::Resources;
use broadside::sources::zkillboard::{Config, Zkillboard};
use broadside::store;
use broadside_engine::{Demand, Factory, Message, Source};

/// Longer than anything here takes, so that a fault shows as a failure and not as a hang.
const PATIENCE: Duration = Duration::from_secs(100);

async fn resources() -> Resources {
    let store = store::connect("sqlite::memory:", &store::Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    Resources { events: false, ..Resources::new(store) }
}

/// Resources with a checkpoint of the pipeline `test`.
async fn resources_at(checkpoint: &str) -> Resources {
    let resources = resources().await;
    resources.store.set_checkpoint("zkillboard/test", Some(checkpoint)).await.unwrap();
    resources
}

/// A checkpoint made now.
fn checkpoint(sequence: u64, missing: &[u64]) -> String {
    format!(r#"{{"sequence":{sequence},"at":"{}","missing":{missing:?}}}"#, jiff::Timestamp::now())
}

fn factory(url: &str, resources: &Resources) -> Zkillboard {
    Config { url: url.to_owned(), ..Config::default() }.open("test", resources).unwrap()
}

async fn source(factory: &Zkillboard) -> Box<dyn Source<Kill>> {
    factory.build(0).await.unwrap()
}

async fn pull(source: &mut dyn Source<Kill>, room: usize) -> Vec<Message<Kill>> {
    let mut demand = Demand::of(room);
    tokio::time::timeout(PATIENCE, source.pull(&mut demand)).await.expect("in time").expect("no error");
    let messages = demand.into_messages();
    assert!(messages.len() <= room, "more than was asked for");
    messages
}

/// The next `count` messages.
async fn take(source: &mut dyn Source<Kill>, count: usize) -> Vec<Message<Kill>> {
    let mut found = Vec::new();
    while found.len() < count {
        found.extend(pull(source, count - found.len()).await);
    }
    found
}

fn body(message: &Message<Kill>) -> String {
    String::from_utf8(message.payload.raw.to_vec()).unwrap()
}

/// The file of a number.
fn package(number: u64) -> String {
    format!(r#"{{"killmail_id": {number},"hash":"ab","esi":{{"x":1.50}},"sequence_id":{number}}}"#)
}
