//! Publishes kills at a steady pace to everyone who listens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::shelf::Shelf;
use super::supply::{Published, Supply};
use super::{BACKLOG, Config};

/// Recent kills kept for clients that ask for history.
const HISTORY: usize = 200;
/// Pauses shorter than this are not worth a timer: the kills of that time go out together.
const TICK: Duration = Duration::from_millis(1);

/// Who listens, and what there is to hear of the past.
#[derive(Debug)]
pub(super) struct Audience {
    ledger: Ledger,
    shelf: Shelf,
    seats: Mutex<Seats>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Seats {
    clients: Vec<mpsc::Sender<Arc<Published>>>,
    history: VecDeque<Arc<Published>>,
}

impl Audience {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { ledger, shelf: Shelf::default(), seats: Mutex::default(), arrived: Notify::new() }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    fn seats<R>(&self, use_them: impl FnOnce(&mut Seats) -> R) -> R {
        use_them(&mut self.seats.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many listen.
    pub(super) fn len(&self) -> usize {
        self.seats(|seats| {
            seats.clients.retain(|client| !client.is_closed());
            seats.clients.len()
        })
    }

    /// Takes a seat: the recent past, and everything from now on.
    pub(super) fn join(&self) -> (Vec<Arc<Published>>, mpsc::Receiver<Arc<Published>>) {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let history = self.seats(|seats| {
            seats.clients.push(sender);
            seats.history.iter().cloned().collect()
        });
        self.arrived.notify_one();
        (history, receiver)
    }

    fn publish(&self, kill: &Arc<Published>) {
        self.ledger.publish(kill.id);
        self.shelf.put(kill);
        self.seats(|seats| {
            if seats.history.len() == HISTORY {
                seats.history.pop_front();
            }
            seats.history.push_back(kill.clone());
            seats.clients.retain(|client| match client.try_send(kill.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Closed(_)) => false,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    self.ledger.drop_client();
                    false
                }
            });
        });
    }
}

/// Until the supply or the count is used up, or publishing is stopped.
///
/// Kill number n is due n / rate seconds after the start, so a late tick is caught up with and the pace does not drift.
pub(super) async fn run(config: Config, supply: Supply, audience: Arc<Audience>, stop: CancellationToken) {
    let work = async {
        if config.wait_for_client {
            audience.arrived.notified().await;
        }
        publish(&config, supply, &audience).await;
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn publish(config: &Config, mut supply: Supply, audience: &Audience) {
    let start = Instant::now();
    let mut published = 0_u64;
    while config.count.is_none_or(|count| published < count) {
        let due = start + Duration::from_secs_f64(published as f64 / config.rate);
        if due > Instant::now() + TICK {
            tokio::time::sleep_until(due).await;
        } else {
            tokio::task::consume_budget().await;
        }
        match supply.next() {
            Ok(Some(kill)) => audience.publish(&Arc::new(kill)),
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "the simulator's input is broken: nothing more is published");
                break;
            }
        }
        published += 1;
    }
}
