//! What a feed waits for while it is read, such as a connection to the store, others wait for too.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside::clients::pulse::Pulse;
use broadside::killmail::Kill;
use broadside::sources::failover::judge::Limits;
use broadside::sources::failover::{Failover, Feed};
use broadside_engine::ack::Noop;
use broadside_engine::testing::push_source;
use broadside_engine::{Acknowledger, Demand, Factory, Failure, Flow, Message, Source};
use tokio::sync::{Notify, Semaphore};

use crate::world::{BEHIND, HEALTHY_FOR, SILENCE, kill};

/// Takes a seat to note where it stands, and brings nothing.
#[derive(Debug, Clone)]
struct Noting {
    seats: Arc<Semaphore>,
    /// Told when it waits in line.
    waits: Arc<Notify>,
}

#[async_trait]
impl Factory<Kill> for Noting {
    async fn build(&self, _: usize) -> Result<Box<dyn Source<Kill>>, Failure> {
        Ok(Box::new(self.clone()))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Kill>> {
        Arc::new(Noop)
    }
}

#[async_trait]
impl Source<Kill> for Noting {
    async fn pull(&mut self, demand: &mut Demand<Kill>) -> Result<Flow, Failure> {
        let mut seat = pin!(self.seats.acquire());
        if futures::poll!(&mut seat).is_pending() {
            self.waits.notify_one();
            drop(seat.await);
        }
        demand.interrupted().await;
        Ok(Flow::More)
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_was_given_its_turn_while_nobody_pulls_keeps_it_from_nobody() {
    let fallback = Noting { seats: Arc::new(Semaphore::new(1)), waits: Arc::default() };
    let Noting { seats, waits } = fallback.clone();
    let (primary, source) = push_source(10);
    let failover = Failover::new(
        "kills",
        (Feed { name: "primary", factory: Arc::new(source) }, Pulse::default()),
        Feed { name: "fallback", factory: Arc::new(fallback) },
        Limits { silence: SILENCE, behind: BEHIND, healthy_for: HEALTHY_FOR },
        Arc::default(),
    );
    let mut both = failover.build(0).await.unwrap();
    let sink = seats.acquire().await.unwrap();
    let pushed = async {
        waits.notified().await;
        primary.push(Message::new(kill("primary", 1))).await;
    };
    let mut demand = Demand::of(10);
    let (flow, ()) = tokio::join!(both.pull(&mut demand), pushed);
    assert_eq!((flow.unwrap(), demand.into_messages().len()), (Flow::More, 1));
    // Now it is its turn, and the pipeline is full, or drains.
    drop(sink);
    let again = tokio::time::timeout(Duration::from_secs(30), seats.acquire()).await;
    assert!(again.is_ok(), "whoever stores the kills of the pipeline waits for it for ever");
    both.close().await;
}
