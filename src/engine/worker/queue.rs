//! The bounded queue in front of a worker group: in one line, or with a line for each partition.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use crate::book::{Book, Group, take_up_to, try_take_up_to};
use crate::components::PartitionBy;
use crate::message::Message;
use crate::pure::partition::Lanes;
use crate::worker::fence;

/// Messages on their way to a worker group. Room is counted in messages.
pub(crate) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    room: Semaphore,
    /// Room to withhold as it comes back, after the capacity was lowered.
    debt: AtomicUsize,
    ready: Notify,
    capacity: AtomicUsize,
    /// The most messages a worker takes at once.
    max: AtomicUsize,
    resized: Notify,
    /// Held while the two are changed.
    resizing: Mutex<()>,
    partition_by: Option<PartitionBy<T>>,
    closed: AtomicBool,
    book: Arc<Book>,
}

enum Waiting<T> {
    /// Whole groups, so that a full group passes without touching its messages.
    Line {
        groups: VecDeque<Vec<Message<T>>>,
        len: usize,
    },
    Lanes(Lanes<Message<T>>),
}

/// What a worker has taken. A partition stays its worker's until this is dropped.
pub(crate) struct Taken<'a, T> {
    pub(crate) group: Group<T>,
    partition: Option<u64>,
    queue: &'a Queue<T>,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize, max: usize, partition_by: Option<PartitionBy<T>>, book: Arc<Book>) -> Self {
        let waiting = match partition_by {
            None => Waiting::Line { groups: VecDeque::new(), len: 0 },
            Some(_) => Waiting::Lanes(Lanes::new()),
        };
        Self {
            waiting: Mutex::new(waiting),
            room: Semaphore::new(capacity),
            debt: AtomicUsize::new(0),
            ready: Notify::new(),
            capacity: AtomicUsize::new(capacity),
            max: AtomicUsize::new(max),
            resized: Notify::new(),
            resizing: Mutex::new(()),
            partition_by,
            closed: AtomicBool::new(false),
            book,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        match &*self.waiting() {
            Waiting::Line { len, .. } => *len,
            Waiting::Lanes(lanes) => lanes.len(),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::SeqCst)
    }

    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::SeqCst)
    }

    /// Changes how many messages may wait, and how many a worker takes at once. What waits stays: when it is more than there is room for
    /// now, none is added until it has become less.
    pub(crate) fn resize(&self, capacity: usize, max: usize) {
        let resizing = self.resizing.lock().unwrap_or_else(PoisonError::into_inner);
        self.max.store(max, Ordering::SeqCst);
        let before = self.capacity.swap(capacity, Ordering::SeqCst);
        if capacity >= before {
            let more = capacity - before;
            self.room.add_permits(more - self.pay(more));
        } else {
            let less = before - capacity;
            self.debt.fetch_add(less - self.room.forget_permits(less), Ordering::SeqCst);
        }
        drop(resizing);
        // whoever waits for more room than there will ever be asks again
        self.resized.notify_waiters();
    }

    /// Pays the debt with up to so much room: how much was needed.
    fn pay(&self, room: usize) -> usize {
        if self.debt.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let paid = |debt: usize| Some(debt - debt.min(room));
        self.debt.fetch_update(Ordering::SeqCst, Ordering::SeqCst, paid).map_or(0, |debt| debt.min(room))
    }

    /// Waits for room, then takes room for as many messages as there is, up to `wanted`.
    pub(crate) async fn reserve(&self, wanted: usize) -> usize {
        take_up_to(&self.room, wanted).await
    }

    /// The same without waiting: 0 when there is none.
    pub(crate) fn try_reserve(&self, wanted: usize) -> usize {
        try_take_up_to(&self.room, wanted)
    }

    /// Returns room that was reserved and not used.
    pub(crate) fn release(&self, room: usize) {
        self.room.add_permits(room - self.pay(room));
    }

    /// Adds a group, waiting for room: in parts when a worker takes no more at once.
    pub(crate) async fn push(&self, mut group: Group<T>) {
        while !group.is_empty() {
            let part = self.reserve_all(group.len()).await;
            let front = group.split_front(part);
            self.push_reserved(front);
        }
    }

    /// Waits for room for all of them, or for as many as a worker takes at once.
    async fn reserve_all(&self, messages: usize) -> usize {
        loop {
            let mut resized = std::pin::pin!(self.resized.notified());
            resized.as_mut().enable();
            let wanted = messages.min(self.max());
            let permits = u32::try_from(wanted).unwrap_or(u32::MAX);
            // first without waiting: that costs least, and is the rule
            let permit = match self.room.try_acquire_many(permits) {
                Ok(permit) => Some(permit),
                Err(_) => tokio::select! {
                    biased;
                    permit = self.room.acquire_many(permits) => permit.ok(),
                    () = resized => None,
                },
            };
            if let Some(permit) = permit {
                permit.forget();
                return wanted;
            }
        }
    }

    /// Adds a group for which room is reserved.
    pub(crate) fn push_reserved(&self, mut group: Group<T>) {
        if group.is_empty() {
            return;
        }
        let partitions = self.partition_by.as_ref().map(|partition_by| partitions(group.messages(), partition_by));
        match &mut *self.waiting() {
            Waiting::Line { groups, len } => {
                *len += group.len();
                groups.push_back(group.into_messages());
            }
            Waiting::Lanes(lanes) => {
                for (message, partition) in group.into_messages().into_iter().zip(partitions.into_iter().flatten()) {
                    lanes.push(partition, message);
                }
            }
        }
        self.ready.notify_one();
    }

    /// Waits for messages and takes up to the worker group's demand; `None` once closed and empty. Dropping it while it waits loses nothing.
    pub(crate) async fn take(&self) -> Option<Taken<'_, T>> {
        self.take_at_most(usize::MAX).await
    }

    /// As [`take`](Self::take), for a worker with room for no more than `limit`.
    pub(crate) async fn take_at_most(&self, limit: usize) -> Option<Taken<'_, T>> {
        loop {
            let ready = self.ready.notified();
            tokio::pin!(ready);
            ready.as_mut().enable();
            if let Some(taken) = self.try_take(limit.min(self.max())) {
                return Some(taken);
            }
            if self.closed.load(Ordering::Acquire) && self.len() == 0 {
                // wake the next one that waits, so that it sees the end too
                self.ready.notify_one();
                return None;
            }
            ready.await;
        }
    }

    /// What waits now, up to `max`.
    pub(crate) fn try_take(&self, max: usize) -> Option<Taken<'_, T>> {
        let mut waiting = self.waiting();
        let (messages, partition, more) = match &mut *waiting {
            Waiting::Line { groups, len } => {
                let messages = take_line(groups, max)?;
                *len -= messages.len();
                (messages, None, *len > 0)
            }
            Waiting::Lanes(lanes) => {
                let (partition, messages) = lanes.take(max)?;
                (messages, Some(partition), lanes.has_ready())
            }
        };
        drop(waiting);
        self.release(messages.len());
        if more {
            self.ready.notify_one();
        }
        Some(Taken { group: Group::of(messages, &self.book), partition, queue: self })
    }

    /// Nothing more will be pushed: what waits can still be taken.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.ready.notify_one();
    }

    fn done(&self, partition: u64) {
        let more = match &mut *self.waiting() {
            Waiting::Line { .. } => false,
            Waiting::Lanes(lanes) => lanes.done(partition) || lanes.len() == 0,
        };
        if more {
            self.ready.notify_one();
        }
    }

    /// Drops what waits, as abandoned.
    pub(crate) fn clear(&self) {
        let left: Vec<_> = match &mut *self.waiting() {
            Waiting::Line { groups, len } => {
                *len = 0;
                std::mem::take(groups).into_iter().flatten().collect()
            }
            Waiting::Lanes(lanes) => lanes.drain().collect(),
        };
        drop(Group::of(left, &self.book));
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T> Taken<'_, T> {
    /// Takes the group out; the partition is still held.
    pub(crate) fn group(&mut self) -> Group<T> {
        let empty = Group::of(Vec::new(), &self.queue.book);
        std::mem::replace(&mut self.group, empty)
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        if let Some(partition) = self.partition {
            self.queue.done(partition);
        }
    }
}

/// The first group whole when it fits, with the small ones behind it; else the front of it.
fn take_line<T>(groups: &mut VecDeque<Vec<Message<T>>>, max: usize) -> Option<Vec<Message<T>>> {
    let mut taken = groups.pop_front()?;
    if taken.len() > max {
        let rest = taken.split_off(max);
        groups.push_front(rest);
        return Some(taken);
    }
    while groups.front().is_some_and(|next| taken.len() + next.len() <= max) {
        if let Some(mut next) = groups.pop_front() {
            taken.append(&mut next);
        }
    }
    Some(taken)
}

/// Each message's partition. User code: a panic fails the message.
pub(crate) fn partitions<T>(messages: &mut [Message<T>], partition_by: &PartitionBy<T>) -> Vec<u64> {
    messages
        .iter_mut()
        .map(|message| match fence::call(|| partition_by(&message.payload)) {
            Ok(partition) => partition,
            Err(failure) => {
                message.fail(failure);
                0
            }
        })
        .collect()
}
