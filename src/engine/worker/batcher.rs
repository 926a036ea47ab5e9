//! A batcher: one worker that groups messages and hands batches to idle sink workers.
//!
//! A batch is handed over only to a sink worker that waits for one; so an eager batch grows for as long as all of them are
//! busy, and what waits is counted here, within `capacity`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Histogram};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::batch::{Batch, Trigger};
use crate::book::{Book, Group};
use crate::components::{PartitionBy, SizeOf};
use crate::message::Message;
use crate::pure::accumulator::{Accumulator, Closed, Id, Rules};
use crate::shared::Shared;
use crate::telemetry::{Activity, Meter};
use crate::worker::crew::{End, Place};
use crate::worker::fence;
use crate::worker::queue::{Queue, partitions};

/// A batch on its way to a sink worker.
pub(crate) struct Handed<T> {
    pub(crate) head: Batch,
    pub(crate) group: Group<T>,
}

/// Between a batcher and its sink workers.
pub(crate) struct Hatch<T> {
    /// One permit for each sink worker that waits for a batch.
    pub(crate) idle: Semaphore,
    pub(crate) batches: async_channel::Sender<Handed<T>>,
    pub(crate) served: async_channel::Receiver<Handed<T>>,
    /// Partitions whose batch is delivered.
    pub(crate) done: async_channel::Sender<u64>,
    pub(crate) finished: async_channel::Receiver<u64>,
}

impl<T> Hatch<T> {
    pub(crate) fn new() -> Self {
        // never full: each batch and each note answers to one sink worker's permit
        let (batches, served) = async_channel::bounded(2 * crate::topology::WORKERS_MAX);
        let (done, finished) = async_channel::bounded(2 * crate::topology::WORKERS_MAX);
        Self { idle: Semaphore::new(0), batches, served, done, finished }
    }
}

/// When batches close: it can change.
#[derive(Debug)]
pub(crate) struct Tuned {
    rules: Mutex<Rules>,
    is_new: AtomicBool,
    told: Notify,
}

impl Tuned {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules: Mutex::new(rules), is_new: AtomicBool::new(false), told: Notify::new() }
    }

    /// Has the batcher look again: at the rules, and at how much room there is.
    pub(crate) fn set(&self, rules: Rules) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
        self.is_new.store(true, Ordering::Release);
        self.told.notify_one();
    }

    fn rules(&self) -> Rules {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Batcher<T> {
    pub(crate) name: Arc<str>,
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) queue: Arc<Queue<T>>,
    pub(crate) tuned: Arc<Tuned>,
    pub(crate) partition_by: Option<PartitionBy<T>>,
    pub(crate) size_of: Option<SizeOf<T>>,
    pub(crate) hatch: Arc<Hatch<T>>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) sizes: Histogram,
    /// Batches emitted, by trigger.
    pub(crate) emitted: [Counter; Trigger::ALL.len()],
    /// Messages in open and closed batches, for whoever looks.
    pub(crate) held: Arc<AtomicUsize>,
}

/// The batches, and the duty to account for them if the batcher ends early.
struct Held<T> {
    batches: Accumulator<Message<T>>,
    book: Arc<Book>,
    count: Arc<AtomicUsize>,
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.batches.close_all(Trigger::Drain);
        while let Some(closed) = self.batches.take(|_| false) {
            drop(Group::of(closed.messages, &self.book));
        }
        self.count.store(0, Ordering::Relaxed);
    }
}

/// What the batcher woke up for.
enum Wake<T> {
    Idle,
    Done(u64),
    Input(Option<Group<T>>),
    Deadline,
    Tuned,
}

impl<T: Send + 'static> Batcher<T> {
    /// There is one batcher to a group, so it is never dismissed.
    pub(crate) async fn run(self: Arc<Self>, _place: Place) -> End {
        let book = self.shared.book.clone();
        let batches = Accumulator::new(self.tuned.rules());
        let mut held = Held { batches, book, count: self.held.clone() };
        let mut busy = HashSet::new();
        let mut worker = self.meter.worker();
        let mut open = true;
        loop {
            self.held.store(held.batches.len(), Ordering::Relaxed);
            if !open && held.batches.len() == 0 {
                self.hatch.batches.close();
                return End::Drained;
            }
            let wake = self.wait(&mut held.batches, &busy, open).await;
            worker.enter(Activity::Busy);
            match wake {
                Wake::Idle => self.hand_over(&mut held.batches, &mut busy),
                Wake::Done(partition) => {
                    busy.remove(&partition);
                }
                Wake::Input(Some(group)) => self.add(&mut held.batches, group).await,
                Wake::Input(None) => {
                    open = false;
                    held.batches.close_all(Trigger::Drain);
                }
                Wake::Deadline => held.batches.close_due(Instant::now()),
                Wake::Tuned => {
                    held.batches.set_rules(self.tuned.rules());
                    self.end_delivery(&mut held.batches, Instant::now());
                }
            }
            let blocked = open && held.batches.len() >= self.queue.capacity();
            worker.enter(if blocked || !open { Activity::Blocked } else { Activity::Starved });
        }
    }

    async fn wait(&self, batches: &mut Accumulator<Message<T>>, busy: &HashSet<u64>, open: bool) -> Wake<T> {
        // asked first, for there may always be something else to do; waited for last, for that costs more
        if self.tuned.is_new.load(Ordering::Relaxed) && self.tuned.is_new.swap(false, Ordering::Acquire) {
            return Wake::Tuned;
        }
        let has_batch = batches.has_batch(|p| busy.contains(&p));
        let deadline = batches.deadline();
        let room = self.queue.capacity().saturating_sub(batches.len());
        tokio::select! {
            biased;
            done = self.hatch.finished.recv(), if !busy.is_empty() => Wake::Done(done.unwrap_or_default()),
            () = sleep_until(deadline), if deadline.is_some_and(|at| at <= Instant::now()) => Wake::Deadline,
            permit = self.hatch.idle.acquire(), if has_batch => {
                if let Ok(permit) = permit {
                    permit.forget();
                }
                Wake::Idle
            }
            taken = self.queue.take_at_most(room), if open && room > 0 => Wake::Input(taken.map(|mut taken| taken.group())),
            () = sleep_until(deadline), if deadline.is_some() => Wake::Deadline,
            () = self.tuned.told.notified() => Wake::Tuned,
        }
    }

    /// Gives the idle sink worker, whose permit is taken, the next batch.
    fn hand_over(&self, batches: &mut Accumulator<Message<T>>, busy: &mut HashSet<u64>) {
        let Some(Closed { id, trigger, messages }) = batches.take(|p| busy.contains(&p)) else {
            self.hatch.idle.add_permits(1);
            return;
        };
        busy.extend(id.partition);
        self.sizes.record(messages.len() as f64);
        self.emitted[trigger as usize].increment(1);
        let head =
            Batch { batcher: self.name.clone(), key: id.key, partition: id.partition, size: messages.len(), trigger };
        let group = Group::of(messages, &self.shared.book);
        if self.hatch.batches.try_send(Handed { head, group }).is_err() {
            tracing::error!(batcher = %self.name, "no room for a batch that a sink worker waits for");
        }
    }

    async fn add(&self, batches: &mut Accumulator<Message<T>>, mut group: Group<T>) {
        let partitions = self.partition_by.as_ref().map(|by| partitions(group.messages(), by));
        let sizes = self.size_of.as_ref().filter(|_| batches.rules().bytes.is_some());
        let sizes = sizes.map(|size_of| sizes_of(group.messages(), size_of));
        if partitions.is_some() || sizes.is_some() {
            // user code may have failed some; take their places out too
            return self.add_measured(batches, group, partitions, sizes).await;
        }
        let now = Instant::now();
        for message in group.into_messages() {
            let id = Id { key: message.batch_key(), partition: None };
            let flush = message.batch_mode() == crate::message::BatchMode::Flush;
            batches.push(id, message, 0, flush, now);
        }
        self.end_delivery(batches, now);
    }

    async fn add_measured(
        &self,
        batches: &mut Accumulator<Message<T>>,
        group: Group<T>,
        partitions: Option<Vec<u64>>,
        sizes: Option<Vec<usize>>,
    ) {
        let now = Instant::now();
        let mut failed = Vec::new();
        for (index, message) in group.into_messages().into_iter().enumerate() {
            if !message.is_active() {
                failed.push(message);
                continue;
            }
            let partition = partitions.as_ref().map(|p| p[index]);
            let bytes = sizes.as_ref().map_or(0, |s| s[index]);
            let id = Id { key: message.batch_key(), partition };
            let flush = message.batch_mode() == crate::message::BatchMode::Flush;
            batches.push(id, message, bytes, flush, now);
        }
        self.end_delivery(batches, now);
        let mut failed = Group::of(failed, &self.shared.book);
        for message in failed.messages() {
            if let Some(failure) = message.failure_mut() {
                failure.place(&self.name, &self.name);
            }
        }
        self.meter.count_failed(failed.len());
        self.shared.settle(failed).await;
    }

    fn end_delivery(&self, batches: &mut Accumulator<Message<T>>, now: Instant) {
        batches.end_delivery();
        batches.close_due(now);
        // many keys with few messages each: better a small batch than to wait for the timeout
        while batches.len() >= self.queue.capacity() && batches.has_no_closed() {
            batches.close_oldest(Trigger::Capacity);
        }
    }
}

/// Each message's size. User code: a panic fails the message.
fn sizes_of<T>(messages: &mut [Message<T>], size_of: &SizeOf<T>) -> Vec<usize> {
    messages
        .iter_mut()
        .map(|message| match fence::call(|| size_of(&message.payload)) {
            Ok(size) => size,
            Err(failure) => {
                message.fail(failure);
                0
            }
        })
        .collect()
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}
