//! The workers of one group: started, added, removed, restarted after a fault of the engine itself, and joined.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::worker::fence;

/// Why a worker's loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its queue is closed and empty.
    Drained,
    /// It is one too many.
    Dismissed,
}

/// One worker's loop.
pub(crate) type Run = Arc<dyn Fn(Place) -> BoxFuture<'static, End> + Send + Sync>;

/// A worker's seat: it leaves when the crew has shrunk below its number.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    index: usize,
    wanted: Arc<Wanted>,
}

/// How many workers there should be. Not a `watch` channel: that wakes its receivers in random order, and a simulation could not repeat it.
#[derive(Debug)]
struct Wanted {
    workers: AtomicUsize,
    changed: Notify,
}

impl Wanted {
    fn workers(&self) -> usize {
        self.workers.load(Ordering::SeqCst)
    }

    fn set(&self, workers: usize) {
        self.workers.store(workers, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}

impl Place {
    /// Whether this worker is one too many.
    pub(crate) fn is_dismissed(&self) -> bool {
        self.index >= self.wanted.workers()
    }

    /// Ready when this worker is one too many.
    pub(crate) async fn dismissed(&self) {
        loop {
            let changed = self.wanted.changed.notified();
            if self.is_dismissed() {
                return;
            }
            changed.await;
        }
    }
}

/// One group's workers.
pub(crate) struct Crew {
    run: Run,
    wanted: Arc<Wanted>,
    /// Seats that are taken.
    seats: Arc<Mutex<Vec<bool>>>,
    tracker: TaskTracker,
    abort: CancellationToken,
}

impl Crew {
    /// Starts `workers` workers. `abort` ends them at once, wherever they wait.
    pub(crate) fn start(workers: usize, abort: CancellationToken, run: Run) -> Self {
        let wanted = Arc::new(Wanted { workers: AtomicUsize::new(workers), changed: Notify::new() });
        let crew = Self { run, wanted, seats: Arc::default(), tracker: TaskTracker::new(), abort };
        crew.fill();
        crew
    }

    /// Changes the number of workers: new ones start now, those too many leave after their present group.
    pub(crate) fn resize(&self, workers: usize) {
        self.wanted.set(workers);
        self.fill();
    }

    fn fill(&self) {
        let wanted = self.wanted.workers();
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        for index in 0..wanted {
            if index == seats.len() {
                seats.push(false);
            }
            if !std::mem::replace(&mut seats[index], true) {
                let worker = stay(index, self.run.clone(), self.wanted.clone(), self.seats.clone());
                let abort = self.abort.clone();
                self.tracker.spawn(async move { abort.run_until_cancelled(worker).await });
            }
        }
    }

    /// Waits until every worker has ended.
    pub(crate) async fn join(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Runs one worker, again after a crash, until it is drained or dismissed.
async fn stay(index: usize, run: Run, wanted: Arc<Wanted>, seats: Arc<Mutex<Vec<bool>>>) {
    loop {
        let place = Place { index, wanted: wanted.clone() };
        match fence::guard(run(place)).await {
            Ok(End::Drained) => return,
            Ok(End::Dismissed) => {
                let mut seats = seats.lock().unwrap_or_else(PoisonError::into_inner);
                // wanted again meanwhile: stay
                if index >= wanted.workers() {
                    seats[index] = false;
                    return;
                }
            }
            Err(failure) => tracing::error!(%failure, "a worker crashed and starts again"),
        }
    }
}
