//! A source that gives what a test pushes.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::ack::{Acknowledger, Noop};
use crate::failure::Failure;
use crate::message::Message;
use crate::source::{Demand, Factory, Flow, Source};

enum Order<T> {
    Message(Message<T>),
    Crash(Failure),
    Panic,
}

/// Gives messages to a [`PushSource`]. Dropping all of them finishes the source.
#[derive(Debug)]
pub struct Pusher<T> {
    orders: async_channel::Sender<Order<T>>,
}

impl<T> Clone for Pusher<T> {
    fn clone(&self) -> Self {
        Self { orders: self.orders.clone() }
    }
}

impl<T> Pusher<T> {
    async fn send(&self, order: Order<T>) {
        // the pipeline is gone: the caller sees it by what does not arrive
        let _ = self.orders.send(order).await;
    }

    /// Waits for room, then hands over a message.
    pub async fn push(&self, message: Message<T>) {
        self.send(Order::Message(message)).await;
    }

    /// Makes the next pull fail.
    pub async fn crash(&self, failure: Failure) {
        self.send(Order::Crash(failure)).await;
    }

    /// Makes the next pull panic.
    pub async fn panic(&self) {
        self.send(Order::Panic).await;
    }

    /// How many messages wait to be pulled.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.orders.len()
    }

    /// Ends the source once everything pushed is pulled.
    pub fn finish(&self) {
        self.orders.close();
    }
}

/// The factory of a source fed by a [`Pusher`].
pub struct PushSource<T> {
    orders: async_channel::Receiver<Order<T>>,
    acknowledger: Arc<dyn Acknowledger<T>>,
    built: Arc<Mutex<usize>>,
}

/// A source with room for `capacity` messages, and its pusher.
#[must_use]
pub fn push_source<T: Send>(capacity: usize) -> (Pusher<T>, PushSource<T>) {
    let (sender, orders) = async_channel::bounded(capacity);
    (Pusher { orders: sender }, PushSource { orders, acknowledger: Arc::new(Noop), built: Arc::default() })
}

impl<T> PushSource<T> {
    /// Lets `acknowledger` hear of messages that have none of their own.
    #[must_use]
    pub fn with_acknowledger(mut self, acknowledger: Arc<dyn Acknowledger<T>>) -> Self {
        self.acknowledger = acknowledger;
        self
    }
}

impl<T> std::fmt::Debug for PushSource<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushSource").field("built", &self.built).finish_non_exhaustive()
    }
}

#[async_trait]
impl<T: Send + 'static> Factory<T> for PushSource<T> {
    async fn build(&self, _index: usize) -> Result<Box<dyn Source<T>>, Failure> {
        *self.built.lock().await += 1;
        Ok(Box::new(Pulling { orders: self.orders.clone() }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<T>> {
        self.acknowledger.clone()
    }
}

struct Pulling<T> {
    orders: async_channel::Receiver<Order<T>>,
}

#[async_trait]
impl<T: Send> Source<T> for Pulling<T> {
    async fn pull(&mut self, demand: &mut Demand<T>) -> Result<Flow, Failure> {
        let first = tokio::select! {
            biased;
            () = demand.interrupted() => return Ok(Flow::More),
            order = self.orders.recv() => order,
        };
        let Ok(mut order) = first else { return Ok(Flow::Finished) };
        loop {
            match order {
                Order::Message(message) => demand.push(message),
                Order::Crash(failure) => return Err(failure),
                Order::Panic => panic!("told to panic"),
            }
            if demand.room() == 0 {
                return Ok(Flow::More);
            }
            match self.orders.try_recv() {
                Ok(next) => order = next,
                Err(_) => return Ok(Flow::More),
            }
        }
    }
}
