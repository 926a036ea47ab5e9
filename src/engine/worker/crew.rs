//! The workers of one group: started, added, removed, restarted after a fault of the engine itself, and joined.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::watch;
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
    wanted: watch::Receiver<usize>,
}

impl Place {
    /// Whether this worker is one too many.
    pub(crate) fn is_dismissed(&self) -> bool {
        self.index >= *self.wanted.borrow()
    }

    /// Ready when this worker is one too many.
    pub(crate) async fn dismissed(&mut self) {
        let index = self.index;
        if self.wanted.wait_for(|wanted| *wanted <= index).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// One group's workers.
pub(crate) struct Crew {
    run: Run,
    wanted: Arc<watch::Sender<usize>>,
    /// Seats that are taken.
    seats: Arc<Mutex<Vec<bool>>>,
    tracker: TaskTracker,
    abort: CancellationToken,
}

impl Crew {
    /// Starts `workers` workers. `abort` ends them at once, wherever they wait.
    pub(crate) fn start(workers: usize, abort: CancellationToken, run: Run) -> Self {
        let wanted = Arc::new(watch::Sender::new(workers));
        let crew = Self { run, wanted, seats: Arc::default(), tracker: TaskTracker::new(), abort };
        crew.fill();
        crew
    }

    /// Changes the number of workers: new ones start now, those too many leave after their present group.
    pub(crate) fn resize(&self, workers: usize) {
        self.wanted.send_replace(workers);
        self.fill();
    }

    fn fill(&self) {
        let wanted = *self.wanted.borrow();
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
async fn stay(index: usize, run: Run, wanted: Arc<watch::Sender<usize>>, seats: Arc<Mutex<Vec<bool>>>) {
    loop {
        let place = Place { index, wanted: wanted.subscribe() };
        match fence::guard(run(place)).await {
            Ok(End::Drained) => return,
            Ok(End::Dismissed) => {
                let mut seats = seats.lock().unwrap_or_else(PoisonError::into_inner);
                // wanted again meanwhile: stay
                if index >= *wanted.borrow() {
                    seats[index] = false;
                    return;
                }
            }
            Err(failure) => tracing::error!(%failure, "a worker crashed and starts again"),
        }
    }
}
