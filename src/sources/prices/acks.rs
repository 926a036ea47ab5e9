//! Hears what became of products.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Message, Outcome};
use tokio::time::Instant;

use super::Shared;
use crate::price::Product;
use crate::price::job::Settled;

/// Failed products are named …
const NAMED: u32 = 5;
/// … so many in this time; the others are counted.
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Acks(pub(super) Arc<Shared>);

#[async_trait]
impl Acknowledger<Product> for Acks {
    async fn acknowledge(&self, run: u64, messages: &mut [Message<Product>]) {
        let (shared, now) = (&self.0, Instant::now());
        for message in &*messages {
            let settled = match message.outcome() {
                Outcome::Successful => Settled::Priced,
                Outcome::Filtered => Settled::Returned,
                Outcome::Failed | Outcome::DeadLettered | Outcome::Abandoned => Settled::Failed,
            };
            let is_counted = shared.with_run(|own| {
                let is_own = own.id == run;
                if is_own {
                    own.settle(message.position(), settled, now);
                }
                is_own
            });
            if settled == Settled::Failed && is_counted == Some(true) {
                let error = message.failure().map(ToString::to_string).unwrap_or_default();
                shared.complaints().add(&message.payload, &error, now);
            }
        }
        shared.complaints().sum_up(now);
        // Nobody pulls during a drain.
        shared.save_if_due(now).await;
        shared.board.nudge();
    }
}

/// What is logged of products without a price.
#[derive(Debug)]
pub(super) struct Complaints {
    since: Instant,
    named: u32,
    more: u64,
}

impl Complaints {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, named: 0, more: 0 }
    }

    fn add(&mut self, product: &Product, error: &str, now: Instant) {
        self.sum_up(now);
        if self.named < NAMED {
            self.named += 1;
            let Product { market, type_id, .. } = product;
            tracing::warn!(market, %type_id, error, "a product is not priced");
        } else {
            self.more += 1;
        }
    }

    /// At the end of a window, how many more there were.
    pub(super) fn sum_up(&mut self, now: Instant) {
        if now.saturating_duration_since(self.since) < WINDOW {
            return;
        }
        self.tell();
        *self = Self::new(now);
    }

    /// How many more there were.
    pub(super) fn tell(&mut self) {
        if self.more > 0 {
            tracing::warn!(products = self.more, "more products are not priced");
            self.more = 0;
        }
    }
}
