//! A live client whose offsets move by themselves: it takes events as a poll does, as soon as there are some.
//!
//! The store moves the offsets before it hands events out, and gives none of them to anybody else. So nothing comes to a client twice, over however many
//! streams and polls at once; what is on its way when a connection breaks is lost to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::entry::Entry;
use super::inbox::{Seat, Taken};
use super::query::Client;
use super::reader::Item;
use super::tail::Tail;
use super::topic::Topic;
use crate::killmail::SystemId;
use crate::store::{Ask, Commit, Error, Follow, Handed};

/// Events taken at once: what is lost at most when a connection breaks.
const TAKEN_MAX: u32 = 32;
const BYTES_MAX: usize = 256 << 10;
const RETRY: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Taker {
    tail: Arc<Tail>,
    seat: Seat,
    client: Client,
    /// Sorted.
    systems: Vec<SystemId>,
    has_joined: bool,
    /// There may be something to take.
    is_due: bool,
    /// Kept until it is done, however often somebody stops waiting for it.
    taking: Option<BoxFuture<'static, Result<Handed, Error>>>,
    ready: VecDeque<Item>,
    gap: Option<i64>,
}

impl Taker {
    /// Follows nothing yet.
    pub(super) fn open(tail: Arc<Tail>, client: Client) -> Self {
        let (seat, ready) = (tail.inboxes.enter(), VecDeque::new());
        let (systems, taking, gap) = (Vec::new(), None, None);
        Self { tail, seat, client, systems, has_joined: false, is_due: true, taking, ready, gap }
    }

    pub(super) fn systems(&self) -> &[SystemId] {
        &self.systems
    }

    /// Follows these systems too: what they have above the client's offsets.
    pub(super) async fn follow(&mut self, systems: &[SystemId]) -> Result<(), Error> {
        let follow = self.client.follow(systems);
        self.tail.store.follow(&follow).await?;
        self.seat.follow(systems.iter().copied().map(Topic::System));
        self.systems.extend(systems);
        self.systems.sort_unstable();
        self.systems.dedup();
        self.is_due = true;
        Ok(())
    }

    /// Follows these no more. What was taken of them already is still handed out: nobody else gets it.
    pub(super) fn leave(&mut self, systems: &[SystemId]) {
        self.seat.leave(systems.iter().copied().map(Topic::System));
        self.systems.retain(|system| !systems.contains(system));
    }

    /// Asks again, so that the store sees that the client is there.
    pub(super) fn touch(&mut self) {
        self.is_due = true;
    }

    /// The next item. Safe to cancel.
    pub(super) async fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return item;
            }
            if let Some(taking) = &mut self.taking {
                let taken = taking.await;
                self.taking = None;
                self.accept(taken);
            } else if !self.has_joined {
                self.has_joined = self.seat.join().is_some();
                if !self.has_joined {
                    self.seat.arrived().await;
                }
            } else if std::mem::take(&mut self.is_due) && !self.systems.is_empty() {
                self.taking = Some(self.take());
            } else {
                match self.seat.take() {
                    Taken::Events(_) => self.is_due = true,
                    Taken::LostAfter(_) => (self.is_due, self.has_joined) = (true, false),
                    Taken::Nothing => self.seat.arrived().await,
                }
            }
        }
    }

    fn take(&self) -> BoxFuture<'static, Result<Handed, Error>> {
        let follow = self.client.follow(&self.systems);
        let ask = Ask { follow, limit: TAKEN_MAX, bytes_max: BYTES_MAX, commit: Commit::Auto };
        let tail = self.tail.clone();
        async move {
            let turn = tail.reads.acquire().await;
            let handed = tail.store.hand_out(&ask).await;
            drop(turn);
            if let Err(error) = &handed {
                tracing::debug!(%error, "failed to take events for a live client");
                tokio::time::sleep(RETRY).await;
            }
            handed
        }
        .boxed()
    }

    fn accept(&mut self, taken: Result<Handed, Error>) {
        let Ok(handed) = taken else {
            self.is_due = true;
            return;
        };
        if handed.gap.is_some() && handed.gap != self.gap {
            self.ready.extend(handed.gap.map(|oldest| Item::Gap { oldest }));
        }
        self.gap = handed.gap;
        self.is_due |= handed.more;
        for event in &handed.events {
            self.ready.push_back(Item::Event(Arc::new(Entry::of(event)), Topic::System(event.system_id)));
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.seat.leave(self.systems.iter().copied().map(Topic::System));
    }
}

impl std::fmt::Debug for Taker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taker").field("client", &self.client).field("systems", &self.systems).finish_non_exhaustive()
    }
}

impl Client {
    /// What the store is asked for these systems.
    pub(super) fn follow(&self, systems: &[SystemId]) -> Follow {
        Follow { client: self.id.clone(), systems: systems.to_vec(), begin: self.begin, now: Timestamp::now() }
    }
}
