//! What source, stage and those who ask tell one another.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::{Refusal, WISH_MAX, Wish};
use crate::price::job::{Action, Job, Outlook, State, Status};

/// Wishes that may wait.
const WISHES_MAX: usize = 16;

/// How much is asked for at once: the pipeline's shape, which the source hands out by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width {
    /// Products in a request.
    pub bulk: usize,
    /// Requests at once.
    pub requests: usize,
}

impl Default for Width {
    fn default() -> Self {
        Self { bulk: 500, requests: 1 }
    }
}

/// What this process is at.
#[derive(Debug)]
struct Live {
    job: Job,
    outlook: Outlook,
    progress_at: Instant,
}

#[derive(Debug, Default)]
struct Inner {
    live: Option<Live>,
    is_served: bool,
    wishes: Vec<Wish>,
    width: Width,
    /// Why nothing can be asked for.
    obstacle: Option<String>,
    /// Whether the job was changed in the store from here.
    is_changed: bool,
    /// A run that cannot go on, and why.
    broken: Option<(u64, String)>,
}

/// One for each process.
#[derive(Debug)]
pub struct PriceJob {
    inner: Mutex<Inner>,
    wished: Notify,
    nudged: Notify,
    /// The run that is to go on.
    wanted: watch::Sender<Option<u64>>,
}

impl Default for PriceJob {
    fn default() -> Self {
        let (inner, wished, nudged) = <(Mutex<Inner>, Notify, Notify)>::default();
        Self { inner, wished, nudged, wanted: watch::Sender::new(None) }
    }
}

// For those who ask.
impl PriceJob {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this process is at.
    pub(super) fn live(&self) -> Option<Status> {
        let inner = self.lock();
        let live = inner.live.as_ref()?;
        let waits = live.job.state == State::Processing;
        let waited = if waits { live.progress_at.elapsed().as_secs_f64() } else { 0.0 };
        Some(Status::new(&live.job, &Outlook { waited, ..live.outlook.clone() }))
    }

    /// The job was changed in the store from here: it is shown so at once, and whoever is at it looks.
    pub(super) fn changed(&self, job: &Job) {
        let mut inner = self.lock();
        inner.is_changed = true;
        if !job.state.is_begun() {
            inner.live = None;
        } else if let Some(live) = &mut inner.live {
            // The markets in memory are ahead of those in the store.
            live.job = Job { markets: std::mem::take(&mut live.job.markets), ..job.clone() };
        }
        drop(inner);
        if !job.state.is_running() {
            self.want(None);
        }
        self.nudge();
    }

    /// Asks the source, and waits for its answer.
    pub(super) async fn wish(&self, action: Action) -> Result<(), Refusal> {
        let (tell, told) = oneshot::channel();
        {
            let mut inner = self.lock();
            if !inner.is_served {
                return Err(Refusal::NoPipeline);
            }
            if inner.wishes.len() >= WISHES_MAX {
                return Err(Refusal::Busy);
            }
            inner.wishes.push(Wish { action, tell });
        }
        self.wished.notify_one();
        match tokio::time::timeout(WISH_MAX, told).await {
            Ok(told) => told.map_err(|_| Refusal::NoPipeline)?,
            Err(_) => Err(Refusal::Busy),
        }
    }
}

// For the source.
impl PriceJob {
    /// A source begins to work off wishes, or ends.
    pub fn serve(&self, is_served: bool) {
        let mut inner = self.lock();
        inner.is_served = is_served;
        if !is_served {
            // Dropped, which tells whoever waits.
            inner.wishes.clear();
        }
    }

    /// The wishes that wait, as soon as there are some.
    pub async fn wishes(&self) -> Vec<Wish> {
        loop {
            let wished = self.wished.notified();
            let wishes = std::mem::take(&mut self.lock().wishes);
            if !wishes.is_empty() {
                return wishes;
            }
            wished.await;
        }
    }

    /// Something happened that the source should look at.
    pub fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Ready after a nudge.
    pub async fn nudged(&self) {
        self.nudged.notified().await;
    }

    /// How the job stands that this process is at.
    pub fn show(&self, job: Job, outlook: Outlook, progress_at: Instant) {
        self.lock().live = Some(Live { job, outlook, progress_at });
    }

    /// This process is at nothing any more.
    pub fn show_nothing(&self) {
        self.lock().live = None;
    }

    /// Which run is to go on.
    pub fn want(&self, run: Option<u64>) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, run) != run);
    }

    /// The pipeline's shape.
    #[must_use]
    pub fn width(&self) -> Width {
        self.lock().width
    }

    /// Why nothing can be asked for.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        self.lock().obstacle.clone()
    }

    /// Whether that waits to be told.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.lock().is_changed
    }

    /// Whether the job was changed in the store from here, told once.
    pub fn take_changed(&self) -> bool {
        std::mem::take(&mut self.lock().is_changed)
    }

    /// Why a run cannot go on, told once.
    pub fn take_broken(&self, run: u64) -> Option<String> {
        self.lock().broken.take_if(|(broken, _)| *broken == run).map(|(_, why)| why)
    }
}

// For the pipeline and its stage.
impl PriceJob {
    /// Says what shape the pipeline has.
    pub fn set_width(&self, width: Width) {
        self.lock().width = width;
    }

    /// Says what keeps anything from being asked for; `None`: nothing.
    pub fn set_obstacle(&self, obstacle: Option<String>) {
        self.lock().obstacle = obstacle;
    }

    /// Whether this run is to go on.
    #[must_use]
    pub fn is_wanted(&self, run: u64) -> bool {
        *self.wanted.borrow() == Some(run)
    }

    /// Ready when it is not.
    pub async fn unwanted(&self, run: u64) {
        // The sender is here: it cannot be gone.
        let _ = self.wanted.subscribe().wait_for(|wanted| *wanted != Some(run)).await;
    }

    /// This run cannot go on.
    pub fn break_off(&self, run: u64, why: String) {
        self.lock().broken = Some((run, why));
        self.want(None);
        self.nudge();
    }
}
