//! A sink worker: delivers one batch at a time, splits it when its data are bad, sends on what is committed.

use std::sync::Arc;

use metrics::Histogram;
use tokio::time::Instant;

use crate::batch::Batch;
use crate::book::Group;
use crate::failure::{Class, Failure};
use crate::message::{Message, Status};
use crate::shared::Shared;
use crate::sink::Sink;
use crate::telemetry::{Activity, Meter, timed};
use crate::worker::batcher::{Handed, Hatch};
use crate::worker::crew::{End, Place};
use crate::worker::fence;
use crate::worker::processor::fail_active;
use crate::worker::queue::Queue;

pub(crate) struct BatchProcessor<T> {
    pub(crate) name: Arc<str>,
    /// The batcher's place in the topology: its bit in `Delivered`.
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) hatch: Arc<Hatch<T>>,
    pub(crate) sink: Arc<dyn Sink<T>>,
    /// The queue of the batcher that comes after this one.
    pub(crate) next: Option<Arc<Queue<T>>>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) seconds: Histogram,
}

/// Frees a partition for its next batch, however the worker ends.
struct Serving<'a, T> {
    partition: Option<u64>,
    hatch: &'a Hatch<T>,
}

impl<T> Drop for Serving<'_, T> {
    fn drop(&mut self) {
        if let Some(partition) = self.partition {
            let _ = self.hatch.done.try_send(partition);
        }
    }
}

impl<T: Send + 'static> BatchProcessor<T> {
    pub(crate) async fn run(self: Arc<Self>, place: Place) -> End {
        let mut worker = self.meter.worker();
        loop {
            self.hatch.idle.add_permits(1);
            let handed = tokio::select! {
                biased;
                handed = self.hatch.served.recv() => handed,
                () = place.dismissed() => {
                    if let Ok(permit) = self.hatch.idle.try_acquire() {
                        permit.forget();
                        return End::Dismissed;
                    }
                    // the batcher has taken the permit: a batch is on its way
                    self.hatch.served.recv().await
                }
            };
            let Ok(Handed { head, mut group }) = handed else { return End::Drained };
            let _serving = Serving { partition: head.partition, hatch: &self.hatch };
            worker.enter_with(Activity::Busy, group.len());
            self.deliver(&head, &mut group).await;
            worker.enter(Activity::Blocked);
            self.send_on(group).await;
            worker.enter(Activity::Starved);
        }
    }

    async fn deliver(&self, head: &Batch, group: &mut Group<T>) {
        let has_it = |m: &Message<T>| m.delivered().contains(self.index);
        let places: Vec<bool> = group.iter().map(has_it).collect();
        let delivered_before = group.extract(has_it);
        if !group.is_empty() {
            let started = Instant::now();
            let ((), computing) = timed(self.deliver_splitting(head, group.messages())).await;
            self.meter.count_computing(computing);
            self.seconds.record(started.elapsed());
            self.shared.acknowledge_early(group).await;
        }
        if !delivered_before.is_empty() {
            group.weave(delivered_before, &places);
        }
    }

    /// Delivers, and halves what fails for its data until the bad messages stand alone: k bad ones of n cost about k·log₂(n) further deliveries.
    async fn deliver_splitting(&self, head: &Batch, messages: &mut [Message<T>]) {
        let mut left = vec![(0, messages.len())];
        while let Some((start, end)) = left.pop() {
            let part = &mut messages[start..end];
            let delivered = fence::guard(self.sink.deliver(head, part)).await;
            let failure = match delivered {
                Ok(Ok(())) => {
                    self.mark_delivered(part);
                    continue;
                }
                Ok(Err(failure)) if failure.class == Class::Invalid && part.len() > 1 => {
                    let middle = start + part.len() / 2;
                    left.extend([(middle, end), (start, middle)]);
                    continue;
                }
                Ok(Err(failure)) => failure,
                Err(panic) => {
                    tracing::error!(pipeline = %self.shared.pipeline, sink = %self.name, failure = %panic, "sink");
                    panic
                }
            };
            self.fail(part, &failure);
        }
    }

    fn mark_delivered(&self, messages: &mut [Message<T>]) {
        for message in messages {
            if message.status() == Status::Failed {
                self.place(message);
            } else {
                message.set_delivered(self.index);
            }
        }
    }

    fn fail(&self, messages: &mut [Message<T>], failure: &Failure) {
        fail_active(messages, failure);
        messages.iter_mut().for_each(|message| self.place(message));
    }

    fn place(&self, message: &mut Message<T>) {
        if let Some(failure) = message.failure_mut() {
            failure.place(&self.name, &self.name);
        }
    }

    async fn send_on(&self, mut group: Group<T>) {
        let Some(next) = &self.next else { return self.settle(group).await };
        let ended = group.extract(|m| !m.is_active());
        self.settle(ended).await;
        if !group.is_empty() {
            next.push(group).await;
        }
    }

    async fn settle(&self, group: Group<T>) {
        self.meter.count_failed(group.iter().filter(|m| m.status() == Status::Failed).count());
        self.shared.settle(group).await;
    }
}
