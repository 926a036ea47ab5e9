//! The live feed's source against servers that misbehave: scripts of bytes, and the simulator with its faults.
//! And the simulator's market, by itself.

mod contract;
mod faults;
mod manners;
mod market;
mod server;
mod wire;

use std::time::Duration;

use broadside::killmail::Kill;
use broadside::sources::wanderer::{Config, Stream};
use broadside_engine::{Demand, Factory, Message, Source};

/// Longer than anything here takes, so that a fault shows as a failure and not as a hang.
const PATIENCE: Duration = Duration::from_secs(100);

fn config(url: &str) -> Config {
    Config { url: url.to_owned(), ..Config::default() }
}

fn enhanced(url: &str) -> Config {
    Config { stream: Stream::Enhanced, ..config(url) }
}

async fn source(config: &Config) -> Box<dyn Source<Kill>> {
    let factory = config.factory("test", None).expect("a definition that works");
    factory.build(0).await.expect("a source")
}

async fn pull(source: &mut dyn Source<Kill>, room: usize) -> Vec<Message<Kill>> {
    let mut demand = Demand::of(room);
    tokio::time::timeout(PATIENCE, source.pull(&mut demand)).await.expect("in time").expect("no error");
    let messages = demand.into_messages();
    assert!(messages.len() <= room, "more than was asked for");
    messages
}

/// The bodies of the next `count` messages.
async fn bodies(source: &mut dyn Source<Kill>, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        found.extend(pull(source, count - found.len()).await.iter().map(body));
    }
    found
}

fn body(message: &Message<Kill>) -> String {
    String::from_utf8(message.payload.raw.to_vec()).expect("clean text")
}
