//! What a pipeline tells about itself.
//!
//! Histograms are recorded through the `metrics` facade as things happen; counters and gauges are kept by the pipeline
//! ([`Pipeline::status`](crate::pipeline::Pipeline::status)) and written to the facade by [`Pipeline::publish`](crate::pipeline::Pipeline::publish), which a program calls before each
//! scrape. So a scrape sees one moment, and the hot path pays for no gauge.
//!
//! | metric | kind | labels | meaning |
//! |---|---|---|---|
//! | `broadside_source_received_total` | counter | pipeline, source | messages pulled |
//! | `broadside_source_restarts_total` | counter | pipeline, source | incarnations after the first |
//! | `broadside_messages_settled_total` | counter | pipeline, outcome | settled, by outcome |
//! | `broadside_in_flight` | gauge | pipeline | received and not settled |
//! | `broadside_oldest_unsettled_seconds` | gauge | pipeline | the age of the oldest message that is not settled; 0 when there is none |
//! | `broadside_ledger_imbalance` | gauge | pipeline | received − settled − in flight: 0, or the engine has a fault |
//! | `broadside_breaker_open` | gauge | pipeline | 1 while the breaker has tripped (pipelines with one) |
//! | `broadside_breaker_trips_total` | counter | pipeline | how often it has |
//! | `broadside_failure_ratio` | gauge | pipeline | failures among the messages of the last five minutes |
//! | `broadside_failure_alert` | gauge | pipeline | 1 when there were at least a hundred, and too many failed |
//! | `broadside_pipeline_state` | gauge | pipeline, state | 1 for the present state (running, paused, draining, stopped) |
//! | `broadside_queue_depth`, `broadside_queue_capacity` | gauge | pipeline, group | messages waiting, and how many may |
//! | `broadside_workers` | gauge | pipeline, group | workers |
//! | `broadside_worker_busy_seconds_total` | counter | pipeline, group | in user code, summed over workers |
//! | `broadside_worker_starved_seconds_total` | counter | pipeline, group | waiting for messages |
//! | `broadside_worker_blocked_seconds_total` | counter | pipeline, group | waiting for room downstream |
//! | `broadside_worker_limited_seconds_total` | counter | pipeline, group | waiting for the rate limit: producers |
//! | `broadside_worker_messages_total`, `broadside_worker_failed_total` | counter | pipeline, group | messages passed, and failed here |
//! | `broadside_acknowledgements_total` | counter | pipeline, result | calls of acknowledgers that returned (`ok`) or panicked |
//! | `broadside_stage_seconds` | histogram | pipeline, stage | a call's time over its messages, once a message |
//! | `broadside_batch_size` | histogram | pipeline, batcher | messages a batch |
//! | `broadside_batch_seconds` | histogram | pipeline, batcher | delivery of a batch, splits included |
//! | `broadside_batches_total` | counter | pipeline, batcher, trigger | batches emitted |
//! | `broadside_end_to_end_seconds` | histogram | pipeline | received → settled |
//!
//! During a drain `broadside_in_flight` and `broadside_queue_depth` are its progress.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::time::Instant;

use crate::message::Outcome;
use crate::pipeline::{GroupStatus, StageStatus, State, Status};

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    Busy,
    Starved,
    Blocked,
    /// Waiting for a permit in flight.
    Held,
    /// Waiting for the rate limit.
    Limited,
}

const ACTIVITIES: usize = 5;

/// The times of one worker group, live: time spent so far in the present activity counts too.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) name: Arc<str>,
    kind: &'static str,
    origin: Instant,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    /// Sum over workers of (end − start) of finished spells, less the start of those that still last.
    sums: [i128; ACTIVITIES],
    /// Workers in each activity.
    active: [usize; ACTIVITIES],
    computing: Duration,
    groups: u64,
    messages: u64,
    failed: u64,
}

impl Meter {
    pub(crate) fn new(name: Arc<str>, kind: &'static str) -> Arc<Self> {
        Self::after(name, kind, None)
    }

    /// Goes on counting where the group of this name and kind stood.
    pub(crate) fn after(name: Arc<str>, kind: &'static str, before: Option<&Status>) -> Arc<Self> {
        let groups = before.map(|before| &before.groups[..]).unwrap_or_default();
        let before = groups.iter().find(|group| *group.name == *name && group.kind == kind);
        let times = before.map(Times::of).unwrap_or_default();
        Arc::new(Self { name, kind, origin: Instant::now(), times: Mutex::new(times) })
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_origin(&self) -> i128 {
        self.origin.elapsed().as_nanos().cast_signed()
    }

    /// A worker starts, starved.
    pub(crate) fn worker(self: &Arc<Self>) -> Worker {
        let at = self.since_origin();
        let mut times = self.times();
        times.active[Activity::Starved as usize] += 1;
        times.sums[Activity::Starved as usize] -= at;
        drop(times);
        Worker { meter: self.clone(), activity: Activity::Starved }
    }

    pub(crate) fn count_failed(&self, messages: usize) {
        if messages > 0 {
            self.times().failed += messages as u64;
        }
    }

    /// Adds time in which user code was at work itself, rather than waiting.
    pub(crate) fn count_computing(&self, time: Duration) {
        self.times().computing += time;
    }

    pub(crate) fn status(&self, queue_depth: usize, queue_capacity: usize) -> GroupStatus {
        let at = self.since_origin();
        let times = self.times();
        let spent = |activity: Activity| {
            let nanos = times.sums[activity as usize] + times.active[activity as usize] as i128 * at;
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
        };
        GroupStatus {
            name: self.name.to_string(),
            kind: self.kind,
            workers: times.active.iter().sum(),
            queue_depth,
            queue_capacity,
            busy: spent(Activity::Busy),
            starved: spent(Activity::Starved),
            blocked: spent(Activity::Blocked) + spent(Activity::Held),
            held: spent(Activity::Held),
            limited: spent(Activity::Limited),
            computing: times.computing,
            groups: times.groups,
            messages: times.messages,
            failed: times.failed,
        }
    }
}

impl Times {
    fn of(status: &GroupStatus) -> Self {
        let nanos = |time: Duration| time.as_nanos().cast_signed();
        let mut times = Self {
            computing: status.computing,
            groups: status.groups,
            messages: status.messages,
            failed: status.failed,
            ..Self::default()
        };
        times.sums[Activity::Busy as usize] = nanos(status.busy);
        times.sums[Activity::Starved as usize] = nanos(status.starved);
        times.sums[Activity::Blocked as usize] = nanos(status.blocked.saturating_sub(status.held));
        times.sums[Activity::Held as usize] = nanos(status.held);
        times.sums[Activity::Limited as usize] = nanos(status.limited);
        times
    }
}

/// The time that a stage has taken, all workers together.
#[derive(Debug, Default)]
pub(crate) struct StageMeter {
    group: String,
    stage: String,
    spent: AtomicU64,
    computing: AtomicU64,
    messages: AtomicU64,
}

impl StageMeter {
    /// Goes on counting where the stage stood.
    pub(crate) fn after(group: &str, stage: &str, before: Option<&Status>) -> Arc<Self> {
        let stages = before.map(|before| &before.stages[..]).unwrap_or_default();
        let before = stages.iter().find(|status| status.group == group && status.stage == stage);
        let before = before.cloned().unwrap_or_default();
        Arc::new(Self {
            group: group.to_owned(),
            stage: stage.to_owned(),
            spent: nanos(before.spent).into(),
            computing: nanos(before.computing).into(),
            messages: before.messages.into(),
        })
    }

    pub(crate) fn count(&self, messages: usize, spent: Duration, computing: Duration) {
        self.spent.fetch_add(nanos(spent), Ordering::Relaxed);
        self.computing.fetch_add(nanos(computing), Ordering::Relaxed);
        self.messages.fetch_add(messages as u64, Ordering::Relaxed);
    }

    pub(crate) fn status(&self) -> StageStatus {
        let time = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Ordering::Relaxed));
        StageStatus {
            group: self.group.clone(),
            stage: self.stage.clone(),
            spent: time(&self.spent),
            computing: time(&self.computing),
            messages: self.messages.load(Ordering::Relaxed),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Awaits work, and tells how long it was at work itself: the rest of its time it waited for something.
pub(crate) async fn timed<R>(work: impl Future<Output = R>) -> (R, Duration) {
    let mut work = std::pin::pin!(work);
    let mut computing = Duration::ZERO;
    let done = std::future::poll_fn(|context| {
        let began = Instant::now();
        let polled = work.as_mut().poll(context);
        computing += began.elapsed();
        polled
    });
    let done = done.await;
    (done, computing)
}

/// One worker's place in its group's meter.
#[derive(Debug)]
pub(crate) struct Worker {
    meter: Arc<Meter>,
    activity: Activity,
}

impl Worker {
    pub(crate) fn enter(&mut self, activity: Activity) {
        self.enter_with(activity, 0);
    }

    /// Changes activity, and counts messages that it has taken up.
    pub(crate) fn enter_with(&mut self, activity: Activity, messages: usize) {
        let at = self.meter.since_origin();
        let mut times = self.meter.times();
        times.messages += messages as u64;
        times.groups += u64::from(messages > 0);
        times.active[self.activity as usize] -= 1;
        times.sums[self.activity as usize] += at;
        times.active[activity as usize] += 1;
        times.sums[activity as usize] -= at;
        self.activity = activity;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let at = self.meter.since_origin();
        let mut times = self.meter.times();
        times.active[self.activity as usize] -= 1;
        times.sums[self.activity as usize] += at;
    }
}

/// Writes a status to the `metrics` recorder.
pub(crate) fn publish(pipeline: &str, source: &str, status: &Status) {
    let name = pipeline.to_owned();
    let ledger = &status.ledger;
    counter!("broadside_source_received_total", "pipeline" => name.clone(), "source" => source.to_owned())
        .absolute(ledger.received);
    counter!("broadside_source_restarts_total", "pipeline" => name.clone(), "source" => source.to_owned())
        .absolute(status.source_restarts);
    for outcome in Outcome::ALL {
        counter!("broadside_messages_settled_total", "pipeline" => name.clone(), "outcome" => outcome.as_str())
            .absolute(ledger.outcome(outcome));
    }
    gauge!("broadside_in_flight", "pipeline" => name.clone()).set(ledger.in_flight as f64);
    let oldest = status.oldest_unsettled.unwrap_or_default();
    gauge!("broadside_oldest_unsettled_seconds", "pipeline" => name.clone()).set(oldest.as_secs_f64());
    gauge!("broadside_ledger_imbalance", "pipeline" => name.clone()).set(ledger.imbalance() as f64);
    for state in [State::Running, State::Paused, State::Draining, State::Stopped] {
        gauge!("broadside_pipeline_state", "pipeline" => name.clone(), "state" => state.as_str())
            .set(f64::from(u8::from(status.state == state)));
    }
    if let Some(breaker) = &status.breaker {
        gauge!("broadside_breaker_open", "pipeline" => name.clone()).set(f64::from(u8::from(breaker.open)));
        counter!("broadside_breaker_trips_total", "pipeline" => name.clone()).absolute(breaker.trips);
    }
    gauge!("broadside_failure_ratio", "pipeline" => name.clone()).set(status.recent.ratio());
    gauge!("broadside_failure_alert", "pipeline" => name.clone()).set(f64::from(u8::from(status.recent.alert)));
    for (result, count) in [("ok", status.acknowledgements), ("panicked", status.acknowledgements_panicked)] {
        counter!("broadside_acknowledgements_total", "pipeline" => name.clone(), "result" => result).absolute(count);
    }
    for group in &status.groups {
        publish_group(&name, group);
    }
}

fn publish_group(pipeline: &str, group: &GroupStatus) {
    let labels = [("pipeline", pipeline.to_owned()), ("group", group.name.clone())];
    gauge!("broadside_queue_depth", &labels).set(group.queue_depth as f64);
    gauge!("broadside_queue_capacity", &labels).set(group.queue_capacity as f64);
    gauge!("broadside_workers", &labels).set(group.workers as f64);
    counter!("broadside_worker_messages_total", &labels).absolute(group.messages);
    counter!("broadside_worker_failed_total", &labels).absolute(group.failed);
    gauge!("broadside_worker_busy_seconds_total", &labels).set(group.busy.as_secs_f64());
    gauge!("broadside_worker_starved_seconds_total", &labels).set(group.starved.as_secs_f64());
    gauge!("broadside_worker_blocked_seconds_total", &labels).set(group.blocked.as_secs_f64());
    gauge!("broadside_worker_limited_seconds_total", &labels).set(group.limited.as_secs_f64());
}
