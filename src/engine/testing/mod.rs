//! A kit to test pipelines and components with: it ships, so that your tests need no copy of it.
//!
//! * [`push_source`]: a source that gives what a test pushes; nothing passes by demand, permits or the rate limit.
//! * [`Caller`]: an acknowledger that tells the test what became of its messages.
//! * [`test_message`] and [`test_batch`]: push, and wait for the outcome.
//! * [`contract`]: what every source, stage and sink must keep, as functions to call from your tests.
//!
//! ```
//! use broadside_engine::testing::{push_source, test_message};
//! use broadside_engine::topology::{Processor, Source, Topology};
//! use broadside_engine::{Components, Message, Outcome, Pipeline, stage};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! let (pusher, source) = push_source(16);
//! let topology = Topology::new("numbers", Source::new("test"))
//!     .processor(Processor { stages: vec!["double".into()], ..Processor::new("work") });
//! let components = Components::new(source).stage("double", stage::each(|m: &mut Message<u32>| m.payload *= 2));
//! let pipeline = Pipeline::start(topology, components).unwrap();
//!
//! let settled = test_message(&pusher, 21).await;
//! assert_eq!((settled.payload, settled.outcome), (42, Outcome::Successful));
//!
//! pipeline.drain();
//! assert_eq!(pipeline.finished().await.ledger.imbalance(), 0);
//! # });
//! ```

pub mod contract;
mod push;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::ack::Acknowledger;
use crate::failure::Failure;
use crate::message::{BatchMode, Message, Outcome};

pub use push::{PushSource, Pusher, push_source};

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled<T> {
    pub payload: T,
    pub outcome: Outcome,
    pub failure: Option<Failure>,
    pub reference: u64,
    pub position: u64,
}

/// One call of the acknowledger: messages of one reference, in the order in which they were settled.
pub type Settlement<T> = Vec<Settled<T>>;

/// Tells a test of each acknowledgement.
#[derive(Debug)]
pub struct Caller<T> {
    settlements: mpsc::Sender<Settlement<T>>,
}

impl<T> Caller<T> {
    /// An acknowledger and where its calls arrive. It waits while `capacity` calls are not taken.
    #[must_use]
    pub fn new(capacity: usize) -> (Arc<Self>, mpsc::Receiver<Settlement<T>>) {
        let (settlements, calls) = mpsc::channel(capacity);
        (Arc::new(Self { settlements }), calls)
    }
}

#[async_trait]
impl<T: Clone + Send + Sync> Acknowledger<T> for Caller<T> {
    async fn acknowledge(&self, _reference: u64, messages: &mut [Message<T>]) {
        let settlement = messages.iter().map(settled).collect();
        // a test that no longer listens does not mind
        let _ = self.settlements.send(settlement).await;
    }
}

fn settled<T: Clone>(message: &Message<T>) -> Settled<T> {
    Settled {
        payload: message.payload.clone(),
        outcome: message.outcome(),
        failure: message.failure().cloned(),
        reference: message.reference(),
        position: message.position(),
    }
}

/// Sends one message through, flushing its batch, and waits for its outcome.
///
/// # Panics
/// The pipeline ends without settling it.
pub async fn test_message<T: Clone + Send + Sync + 'static>(pusher: &Pusher<T>, payload: T) -> Settled<T> {
    test_batch(pusher, vec![payload], BatchMode::Flush).await.remove(0)
}

/// Sends messages through and waits for all their outcomes, in the order in which they were settled.
///
/// # Panics
/// The pipeline ends without settling them.
pub async fn test_batch<T: Clone + Send + Sync + 'static>(
    pusher: &Pusher<T>,
    payloads: Vec<T>,
    mode: BatchMode,
) -> Vec<Settled<T>> {
    let count = payloads.len();
    let (caller, mut calls) = Caller::new(count.max(1));
    for payload in payloads {
        let mut message = Message::new(payload).with_acknowledger(caller.clone());
        message.put_batch_mode(mode);
        pusher.push(message).await;
    }
    drop(caller);
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(calls.recv().await.expect("the pipeline settles every message"));
    }
    all
}
