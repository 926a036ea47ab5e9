//! The pipelines of a worker, each with the definition that it follows. The set can change while it is looked at.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broadside_engine::{Outcome, Pipeline};
use futures::future::join_all;
use tokio::sync::Notify;

use super::ending::Ended;
use crate::definition::Definition;
use crate::feeds::Feeds;
use crate::http::{PipelineView, Pipelines, Running};

/// A pipeline at work. Cheap to clone; what was cloned stays as it was when the set changes.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// What it follows now.
    pub(super) definition: Arc<Definition>,
    pub(super) pipeline: Arc<Pipeline>,
    /// It is drained in order to be started again: its end is not the end.
    is_restarting: bool,
    is_logged: Arc<AtomicBool>,
}

impl Member {
    fn new(definition: Arc<Definition>, pipeline: Pipeline) -> Self {
        Self { definition, pipeline: Arc::new(pipeline), is_restarting: false, is_logged: Arc::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.definition.name
    }

    /// Waits for its end, which is logged once, whoever waits for it.
    pub(super) async fn finished(&self) -> Ended {
        let ended = Ended { pipeline: self.name().to_owned(), report: self.pipeline.finished().await };
        if !self.is_logged.swap(true, Ordering::Relaxed) {
            log_end(&ended);
        }
        ended
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Fleet {
    members: Mutex<Vec<Member>>,
    /// Those that were taken out.
    gone: Mutex<Vec<Ended>>,
    /// Those that were started again after a drain that took too long.
    abandoned: Mutex<BTreeSet<String>>,
    is_draining: AtomicBool,
    changed: Notify,
    feeds: Arc<Feeds>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fleet {
    /// None yet. `feeds`: where it stands which feed serves each.
    pub(super) fn new(feeds: Arc<Feeds>) -> Self {
        Self {
            members: Mutex::default(),
            gone: Mutex::default(),
            abandoned: Mutex::default(),
            is_draining: AtomicBool::new(false),
            changed: Notify::new(),
            feeds,
        }
    }

    /// As they are now, in the order in which they were added.
    pub(super) fn members(&self) -> Vec<Member> {
        lock(&self.members).clone()
    }

    /// The one of this name.
    pub(super) fn get(&self, name: &str) -> Option<Member> {
        lock(&self.members).iter().find(|member| member.name() == name).cloned()
    }

    /// What they all follow now.
    pub(super) fn definitions(&self) -> Vec<Arc<Definition>> {
        lock(&self.members).iter().map(|member| member.definition.clone()).collect()
    }

    /// Adds a pipeline, or puts it in the place of the one of its name. One that comes during the drain is drained at once.
    pub(super) fn put(&self, definition: Arc<Definition>, pipeline: Pipeline) {
        let fresh = Member::new(definition, pipeline);
        let mut members = lock(&self.members);
        if self.is_draining() {
            fresh.pipeline.drain();
        }
        match members.iter_mut().find(|member| member.name() == fresh.name()) {
            Some(member) => *member = fresh,
            None => members.push(fresh),
        }
        drop(members);
        self.changed.notify_waiters();
    }

    /// Takes out a pipeline that has ended.
    pub(super) fn remove(&self, ended: Ended) {
        lock(&self.members).retain(|member| member.name() != ended.pipeline);
        lock(&self.gone).push(ended);
        self.changed.notify_waiters();
    }

    /// A pipeline lost messages when it was drained to be started again: that counts at the end.
    pub(super) fn note_abandoned(&self, name: &str) {
        lock(&self.abandoned).insert(name.to_owned());
    }

    /// The pipeline goes on, and follows this from now on.
    pub(super) fn follow(&self, definition: Arc<Definition>) {
        if let Some(member) = lock(&self.members).iter_mut().find(|member| member.name() == definition.name) {
            member.definition = definition;
        }
    }

    /// Says whether a pipeline that ends is about to be started again.
    pub(super) fn set_restarting(&self, name: &str, is_restarting: bool) {
        if let Some(member) = lock(&self.members).iter_mut().find(|member| member.name() == name) {
            member.is_restarting = is_restarting;
        }
        self.changed.notify_waiters();
    }

    /// Begins the drain of every pipeline.
    pub(super) fn drain(&self) {
        let members = lock(&self.members);
        self.is_draining.store(true, Ordering::SeqCst);
        members.iter().for_each(|member| member.pipeline.drain());
    }

    /// Whether the end has begun.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    /// Waits until every pipeline has ended, and none is about to be started again. Those that were taken out are told of too.
    pub(super) async fn ended(&self) -> Vec<Ended> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let members = self.members();
            let is_final = !members.iter().any(|member| member.is_restarting);
            let all = join_all(members.iter().map(Member::finished));
            tokio::select! {
                biased;
                // first: one that has ended may be about to be started again
                () = changed => {}
                ended = all, if is_final => return self.with_what_was(ended),
            }
        }
    }
}

impl Fleet {
    fn with_what_was(&self, mut ended: Vec<Ended>) -> Vec<Ended> {
        let abandoned = lock(&self.abandoned);
        for ended in &mut ended {
            ended.report.deadline_passed |= abandoned.contains(&ended.pipeline);
        }
        lock(&self.gone).iter().cloned().chain(ended).collect()
    }
}

impl Pipelines for Fleet {
    fn views(&self) -> Vec<PipelineView> {
        let view = |member: Member| {
            let sinks = member.definition.sink_names();
            Running { pipeline: member.pipeline, sinks, feeds: self.feeds.clone() }.view()
        };
        self.members().into_iter().map(view).collect()
    }

    fn publish(&self) {
        self.members().iter().for_each(|member| member.pipeline.publish());
    }
}

fn log_end(ended: &Ended) {
    let ledger = &ended.report.ledger;
    tracing::info!(
        pipeline = ended.pipeline,
        received = ledger.received,
        successful = ledger.outcome(Outcome::Successful),
        failed = ledger.outcome(Outcome::Failed),
        dead_lettered = ledger.outcome(Outcome::DeadLettered),
        filtered = ledger.outcome(Outcome::Filtered),
        abandoned = ledger.outcome(Outcome::Abandoned),
        imbalance = ledger.imbalance(),
        took = ?ended.report.took,
        "pipeline ended"
    );
}
