//! Word, within the process, that kills were stored: the `pubsub` sink gives it, and who reads the log of events waits for it.
//!
//! It says nothing of the kills. Sinks work in parallel, and what they say may come in any order; in the log, events are in order.

use tokio::sync::watch;

/// See the module. Saying something never waits, and costs the same however many listen.
#[derive(Debug)]
pub struct Hub {
    said: watch::Sender<()>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { said: watch::Sender::new(()) }
    }
}

impl Hub {
    /// Kills were stored.
    pub fn publish(&self) {
        self.said.send_replace(());
    }

    /// Listens from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription { said: self.said.subscribe() }
    }
}

/// Somebody who listens.
#[derive(Debug)]
pub struct Subscription {
    said: watch::Receiver<()>,
}

impl Subscription {
    /// Waits until something was said that it has not heard: once for any number of times. Safe to cancel. Without a hub any more, it waits for ever.
    pub async fn recv(&mut self) {
        if self.said.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
