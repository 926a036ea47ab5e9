//! The ledger and the in-flight permits: every message is entered once and settled once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::judge::Judge;
use crate::message::{Message, Outcome};
use crate::pipeline::Ledger;

/// Counts what came in and how it was settled, and lends in-flight permits. One lock, so that a reader always sees it balanced.
#[derive(Debug)]
pub(crate) struct Book {
    entries: Mutex<Entries>,
    permits: Semaphore,
    /// Hears of what is settled.
    pub(crate) judge: Judge,
}

#[derive(Debug)]
struct Entries {
    ledger: Ledger,
    /// How many messages of each pull are not settled.
    unsettled: BTreeMap<Instant, usize>,
    limit: usize,
    /// Permits to withhold as they come back, after the limit was lowered.
    debt: usize,
    /// After the deadline: what is dropped late is already counted as abandoned.
    closed: bool,
}

impl Book {
    /// Goes on counting where a ledger stood with nothing in flight.
    pub(crate) fn new(limit: usize, ledger: Ledger, judge: Judge) -> Self {
        let entries = Entries { ledger, unsettled: BTreeMap::new(), limit, debt: 0, closed: false };
        Self { entries: Mutex::new(entries), permits: Semaphore::new(limit), judge }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.entries().ledger
    }

    /// The age of the oldest message that is not settled.
    pub(crate) fn oldest_unsettled(&self) -> Option<Duration> {
        self.entries().unsettled.keys().next().map(Instant::elapsed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.entries().limit
    }

    /// Changes the in-flight limit.
    pub(crate) fn set_limit(&self, limit: usize) {
        let mut entries = self.entries();
        let before = std::mem::replace(&mut entries.limit, limit);
        if limit >= before {
            let paid = entries.debt.min(limit - before);
            entries.debt -= paid;
            self.permits.add_permits(limit - before - paid);
        } else {
            entries.debt += before - limit - self.permits.forget_permits(before - limit);
        }
    }

    /// Waits for a permit, then takes as many as there are, up to `wanted`.
    pub(crate) async fn acquire(&self, wanted: usize) -> usize {
        take_up_to(&self.permits, wanted).await
    }

    /// The same without waiting: 0 when there is none.
    pub(crate) fn try_acquire(&self, wanted: usize) -> usize {
        try_take_up_to(&self.permits, wanted)
    }

    /// Takes exactly `wanted`, however long it takes.
    pub(crate) async fn acquire_all(&self, wanted: usize) {
        for _ in 0..wanted {
            if let Ok(permit) = self.permits.acquire().await {
                permit.forget();
            }
        }
    }

    /// Returns permits that were not used.
    pub(crate) fn release(&self, permits: usize) {
        let mut entries = self.entries();
        self.give_back(&mut entries, permits);
    }

    fn give_back(&self, entries: &mut Entries, permits: usize) {
        let withheld = entries.debt.min(permits);
        entries.debt -= withheld;
        self.permits.add_permits(permits - withheld);
    }

    /// Enters received messages, whose permits the caller holds.
    fn receive<T>(&self, messages: &[Message<T>]) {
        let mut entries = self.entries();
        entries.ledger.received += messages.len() as u64;
        entries.ledger.in_flight += messages.len() as u64;
        for (at, count) in pulls(messages) {
            *entries.unsettled.entry(at).or_default() += count;
        }
    }

    /// Settles messages, by their outcome or as abandoned, and returns their permits.
    fn settle<T>(&self, messages: &[Message<T>], abandoned: bool) {
        let mut outcomes = [0; 5];
        for message in messages {
            outcomes[if abandoned { Outcome::Abandoned } else { message.outcome() } as usize] += 1;
        }
        let mut entries = self.entries();
        if entries.closed {
            return;
        }
        for (settled, count) in entries.ledger.settled.iter_mut().zip(outcomes) {
            *settled += count;
        }
        entries.ledger.in_flight -= messages.len() as u64;
        for (at, count) in pulls(messages) {
            if let Some(left) = entries.unsettled.get_mut(&at) {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    entries.unsettled.remove(&at);
                }
            }
        }
        if entries.ledger.in_flight == 0 {
            // a stage may have put a message of its own making in the place of one
            entries.unsettled.clear();
        }
        self.give_back(&mut entries, messages.len());
    }

    /// The deadline passed: all that is in flight counts as abandoned, wherever it still is.
    pub(crate) fn abandon_rest(&self) {
        let mut entries = self.entries();
        let left = std::mem::take(&mut entries.ledger.in_flight);
        entries.ledger.settled[Outcome::Abandoned as usize] += left;
        entries.unsettled.clear();
        entries.closed = true;
    }
}

/// Messages that were received together stand together.
fn pulls<T>(messages: &[Message<T>]) -> impl Iterator<Item = (Instant, usize)> + '_ {
    let together = messages.chunk_by(|a, b| a.received_at() == b.received_at());
    together.filter_map(|messages| Some((messages[0].received_at()?, messages.len())))
}

/// Waits for one permit, takes up to `wanted`, and keeps them.
pub(crate) async fn take_up_to(permits: &Semaphore, wanted: usize) -> usize {
    let Ok(first) = permits.acquire().await else { return 0 };
    first.forget();
    1 + try_take_up_to(permits, wanted - 1)
}

/// Takes up to `wanted` permits and keeps them: what is there now.
pub(crate) fn try_take_up_to(permits: &Semaphore, wanted: usize) -> usize {
    let mut taken = 0;
    while taken < wanted {
        let more = permits.available_permits().min(wanted - taken);
        if more == 0 {
            break;
        }
        // another may have been faster: look again
        if let Ok(permit) = permits.try_acquire_many(u32::try_from(more).unwrap_or(u32::MAX)) {
            permit.forget();
            taken += more;
        }
    }
    taken
}

/// Messages that the engine holds. Dropped with messages inside, it counts them as abandoned: whatever happens to a worker, the ledger knows.
#[derive(Debug)]
pub(crate) struct Group<T> {
    messages: Vec<Message<T>>,
    book: Arc<Book>,
}

impl<T> Group<T> {
    /// Enters freshly received messages.
    pub(crate) fn received(messages: Vec<Message<T>>, book: &Arc<Book>) -> Self {
        book.receive(&messages);
        Self { messages, book: book.clone() }
    }

    /// Takes over messages that are entered already.
    pub(crate) fn of(messages: Vec<Message<T>>, book: &Arc<Book>) -> Self {
        Self { messages, book: book.clone() }
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn messages(&mut self) -> &mut [Message<T>] {
        &mut self.messages
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Message<T>> {
        self.messages.iter()
    }

    /// Takes the messages out; the caller answers for them from now on.
    pub(crate) fn into_messages(mut self) -> Vec<Message<T>> {
        std::mem::take(&mut self.messages)
    }

    /// The first `count` messages; the rest stays.
    pub(crate) fn split_front(&mut self, count: usize) -> Self {
        let rest = self.messages.split_off(count);
        Self { messages: std::mem::replace(&mut self.messages, rest), book: self.book.clone() }
    }

    /// The last `count` messages; the rest stays.
    pub(crate) fn split_back(&mut self, count: usize) -> Self {
        let at = self.messages.len() - count;
        let back = if at == 0 { std::mem::take(&mut self.messages) } else { self.messages.split_off(at) };
        Self { messages: back, book: self.book.clone() }
    }

    /// Moves out those for which `pick` holds, in order.
    pub(crate) fn extract(&mut self, pick: impl Fn(&Message<T>) -> bool) -> Self {
        let mut picked = Vec::new();
        if self.messages.iter().any(&pick) {
            let (out, kept) = std::mem::take(&mut self.messages).into_iter().partition(|m| pick(m));
            (picked, self.messages) = (out, kept);
        }
        Self { messages: picked, book: self.book.clone() }
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.messages.append(&mut other.messages);
    }

    /// Puts back what [`extract`](Self::extract) took, each in its place: `places` says for every message of both whether it is one of `others`.
    pub(crate) fn weave(&mut self, others: Self, places: &[bool]) {
        let (mut ours, mut others) =
            (std::mem::take(&mut self.messages).into_iter(), others.into_messages().into_iter());
        self.messages.extend(places.iter().filter_map(|other| if *other { others.next() } else { ours.next() }));
    }

    /// Settles every message by its present outcome: the end of all of them.
    pub(crate) fn settle(mut self) {
        let messages = std::mem::take(&mut self.messages);
        self.book.judge.settled(&messages);
        self.book.settle(&messages, false);
        // last, because dropping a payload is user code
        drop(messages);
    }
}

impl<T> Drop for Group<T> {
    fn drop(&mut self) {
        if !self.messages.is_empty() {
            self.book.judge.abandoned(&self.messages);
            self.book.settle(&self.messages, true);
        }
    }
}
