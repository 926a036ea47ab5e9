//! What all workers of a pipeline share, and the one way in which messages are settled.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::Histogram;
use tokio::time::Instant;

use crate::ack::Acknowledger;
use crate::book::{Book, Group};
use crate::components::FailureHandler;
use crate::message::{Message, Status};
use crate::pipeline;
use crate::pure::latency::Recorder;
use crate::worker::fence;

pub(crate) struct Shared<T> {
    pub(crate) pipeline: Arc<str>,
    pub(crate) book: Arc<Book>,
    pub(crate) acknowledger: Arc<dyn Acknowledger<T>>,
    pub(crate) failure_handler: Arc<dyn FailureHandler<T>>,
    pub(crate) acks: Arc<AckCounts>,
    pub(crate) end_to_end: Histogram,
    /// The same, for the status.
    pub(crate) latencies: Arc<Recorder>,
}

/// Calls of acknowledgers.
#[derive(Debug, Default)]
pub(crate) struct AckCounts {
    pub(crate) ok: AtomicU64,
    pub(crate) panicked: AtomicU64,
}

impl AckCounts {
    /// Goes on counting where a pipeline stood.
    pub(crate) fn after(before: Option<&pipeline::Status>) -> Self {
        let (ok, panicked) =
            before.map_or((0, 0), |before| (before.acknowledgements, before.acknowledgements_panicked));
        Self { ok: ok.into(), panicked: panicked.into() }
    }
}

impl<T: Send> Shared<T> {
    /// The end of these messages: the failure handler sees what failed, the acknowledgers hear of all, the ledger is written.
    pub(crate) async fn settle(&self, mut group: Group<T>) {
        if group.is_empty() {
            return;
        }
        let mut failed = group.extract(|m| m.status() == Status::Failed);
        if !failed.is_empty() {
            if let Err(failure) = fence::guard(self.failure_handler.handle(failed.messages())).await {
                tracing::error!(pipeline = %self.pipeline, messages = failed.len(), %failure, "failure handler");
            }
            group.append(failed);
        }
        self.record_latency(&group);
        self.acknowledge_and_settle(group).await;
    }

    /// Acknowledges messages that asked for it before their end.
    pub(crate) async fn acknowledge_early(&self, group: &mut Group<T>) {
        let mut asked = Vec::new();
        for (index, message) in group.messages().iter_mut().enumerate() {
            if message.take_acknowledge_now() {
                asked.push(index);
            }
        }
        for index in asked {
            self.tell(&mut group.messages()[index..=index]).await;
            group.messages()[index].set_acknowledged();
        }
    }

    /// One call for each acknowledger and reference, in the order of their first messages. Each is settled right after its call: what
    /// an acknowledger was told of must not count as abandoned because the next one hangs.
    async fn acknowledge_and_settle(&self, mut group: Group<T>) {
        if same_at_the_end(group.messages()) == group.len() {
            self.tell(group.messages()).await;
            return group.settle();
        }
        sort_by_recipient(group.messages());
        while !group.is_empty() {
            let count = same_at_the_end(group.messages());
            let mut told = group.split_back(count);
            self.tell(told.messages()).await;
            told.settle();
        }
    }

    /// Calls the acknowledger of these messages, who all have the same, unless it has heard of them.
    async fn tell(&self, messages: &mut [Message<T>]) {
        if messages[0].is_acknowledged() {
            return;
        }
        let acknowledger = messages[0].acknowledger().unwrap_or(&self.acknowledger).clone();
        let reference = messages[0].reference();
        self.call(&acknowledger, reference, messages).await;
    }

    async fn call(&self, acknowledger: &Arc<dyn Acknowledger<T>>, reference: u64, messages: &mut [Message<T>]) {
        match fence::guard(acknowledger.acknowledge(reference, messages)).await {
            Ok(()) => self.acks.ok.fetch_add(1, Ordering::Relaxed),
            Err(failure) => {
                tracing::error!(pipeline = %self.pipeline, messages = messages.len(), %failure, "acknowledger");
                self.acks.panicked.fetch_add(1, Ordering::Relaxed)
            }
        };
    }

    /// Messages received together have waited equally long.
    fn record_latency(&self, group: &Group<T>) {
        let now = Instant::now();
        let mut run: Option<(Instant, usize)> = None;
        for message in group.iter() {
            let Some(at) = message.received_at() else { continue };
            match &mut run {
                Some((start, count)) if *start == at => *count += 1,
                _ => {
                    if let Some((start, count)) = run.replace((at, 1)) {
                        self.record_run(now.saturating_duration_since(start), count);
                    }
                }
            }
        }
        if let Some((start, count)) = run {
            self.record_run(now.saturating_duration_since(start), count);
        }
    }

    fn record_run(&self, took: Duration, messages: usize) {
        self.end_to_end.record_many(took, messages);
        self.latencies.record(took, messages);
    }
}

/// Who hears of a message: whether anyone still does, whose acknowledger, which reference.
fn recipient<T>(message: &Message<T>) -> (bool, Option<usize>, u64) {
    let acknowledger = message.acknowledger().map(|a| Arc::as_ptr(a).cast::<()>().addr());
    (message.is_acknowledged(), acknowledger, message.reference())
}

/// How many messages at the end have the same recipient.
fn same_at_the_end<T>(messages: &[Message<T>]) -> usize {
    let last = messages.last().map(recipient);
    messages.iter().rev().take_while(|m| Some(recipient(m)) == last).count()
}

/// Brings messages of one recipient together, the recipient that appears first at the end; otherwise the order stays.
fn sort_by_recipient<T>(messages: &mut [Message<T>]) {
    let mut seen = Vec::new();
    messages.sort_by_cached_key(|message| {
        let recipient = recipient(message);
        Reverse(seen.iter().position(|s| *s == recipient).unwrap_or_else(|| {
            seen.push(recipient);
            seen.len() - 1
        }))
    });
}
