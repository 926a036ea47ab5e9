//! A processor's worker: takes a group, runs the stages on it, sends on what is still active and settles the rest.

use std::sync::Arc;

use metrics::Histogram;
use tokio::time::Instant;

use crate::book::Group;
use crate::failure::Failure;
use crate::message::Message;
use crate::shared::Shared;
use crate::stage::Stage;
use crate::telemetry::{Activity, Meter, StageMeter, timed};
use crate::worker::crew::{End, Place};
use crate::worker::fence;
use crate::worker::queue::Queue;

/// A stage under its name.
pub(crate) struct Named<T> {
    pub(crate) name: Arc<str>,
    /// Its place among all stages of the topology.
    pub(crate) index: usize,
    pub(crate) stage: Arc<dyn Stage<T>>,
    pub(crate) seconds: Histogram,
    pub(crate) meter: Arc<StageMeter>,
}

/// Where a processor's messages go.
pub(crate) enum Exit<T> {
    /// The next processor.
    Processor(Arc<Queue<T>>),
    /// The batchers that processors feed; the first is the one for messages that name none.
    Batchers(Vec<(Arc<str>, Arc<Queue<T>>)>),
    /// There are no batchers: messages end here.
    Settle,
}

pub(crate) struct Processor<T> {
    pub(crate) name: Arc<str>,
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) queue: Arc<Queue<T>>,
    pub(crate) stages: Vec<Named<T>>,
    pub(crate) exit: Exit<T>,
    pub(crate) meter: Arc<Meter>,
}

impl<T: Send + 'static> Processor<T> {
    pub(crate) async fn run(self: Arc<Self>, place: Place) -> End {
        let mut worker = self.meter.worker();
        loop {
            if place.is_dismissed() {
                return End::Dismissed;
            }
            let taken = match self.queue.try_take(self.queue.max()) {
                Some(taken) => Some(taken),
                None => tokio::select! {
                    biased;
                    () = place.dismissed() => return End::Dismissed,
                    taken = self.queue.take() => taken,
                },
            };
            let Some(mut taken) = taken else { return End::Drained };
            let mut group = taken.group();
            worker.enter_with(Activity::Busy, group.len());
            self.process(&mut group).await;
            worker.enter(Activity::Blocked);
            self.send_on(group).await;
            worker.enter(Activity::Starved);
        }
    }

    async fn process(&self, group: &mut Group<T>) {
        self.settle_inactive(group).await;
        for stage in &self.stages {
            if group.is_empty() {
                return;
            }
            self.run_stage_on_its_own(stage, group).await;
            self.settle_inactive(group).await;
        }
    }

    /// Runs a stage on those that do not pass over it; all stay in their order.
    async fn run_stage_on_its_own(&self, named: &Named<T>, group: &mut Group<T>) {
        let passes = |message: &Message<T>| message.passes_over(named.index);
        if !group.iter().any(passes) {
            return self.run_stage(named, group).await;
        }
        let places: Vec<bool> = group.iter().map(passes).collect();
        let passing = group.extract(passes);
        if !group.is_empty() {
            self.run_stage(named, group).await;
        }
        group.weave(passing, &places);
    }

    async fn run_stage(&self, named: &Named<T>, group: &mut Group<T>) {
        let (started, messages) = (Instant::now(), group.len());
        let (processed, computing) = timed(fence::guard(named.stage.process(group.messages()))).await;
        if let Err(panic) = processed {
            tracing::error!(pipeline = %self.shared.pipeline, stage = %named.name, failure = %panic, "stage");
            fail_active(group.messages(), &panic);
        }
        let spent = started.elapsed();
        named.meter.count(messages, spent, computing);
        self.meter.count_computing(computing);
        let each = spent / u32::try_from(messages).unwrap_or(u32::MAX).max(1);
        named.seconds.record_many(each, messages);
        self.place(group, &named.name);
        self.shared.acknowledge_early(group).await;
    }

    fn place(&self, group: &mut Group<T>, stage: &Arc<str>) {
        for message in group.messages() {
            if let Some(failure) = message.failure_mut() {
                failure.place(&self.name, stage);
            }
        }
    }

    /// Settles what is no longer active.
    async fn settle_inactive(&self, group: &mut Group<T>) {
        let mut inactive = group.extract(|m| !m.is_active());
        if !inactive.is_empty() {
            // a failure that no stage has caused: `partition_by` panicked
            self.place(&mut inactive, &self.name);
            self.meter.count_failed(inactive.iter().filter(|m| m.failure().is_some()).count());
            self.shared.settle(inactive).await;
        }
    }

    async fn send_on(&self, mut group: Group<T>) {
        if group.is_empty() {
            return;
        }
        let batchers = match &self.exit {
            Exit::Settle => return self.shared.settle(group).await,
            Exit::Processor(queue) => return queue.push(group).await,
            Exit::Batchers(batchers) => batchers,
        };
        if group.iter().any(|m| m.batcher().is_some()) {
            for (name, queue) in batchers {
                let routed = group.extract(|m| m.batcher() == Some(name));
                if !routed.is_empty() {
                    queue.push(routed).await;
                }
            }
            self.settle_misrouted(&mut group).await;
        }
        if !group.is_empty() {
            batchers[0].1.push(group).await;
        }
    }

    async fn settle_misrouted(&self, group: &mut Group<T>) {
        let mut misrouted = group.extract(|m| m.batcher().is_some());
        for message in misrouted.messages() {
            let name = message.batcher().unwrap_or_default().to_owned();
            message.fail(Failure::permanent(format!("no batcher `{name}` is fed by processors")));
        }
        self.place(&mut misrouted, &self.name);
        self.meter.count_failed(misrouted.len());
        self.shared.settle(misrouted).await;
    }
}

/// Fails every message that is still active.
pub(crate) fn fail_active<T>(messages: &mut [Message<T>], failure: &Failure) {
    for message in messages.iter_mut().filter(|m| m.is_active()) {
        message.fail(failure.clone());
    }
}
