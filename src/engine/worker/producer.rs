//! A producer: pulls from its source when there is demand, and builds the source again when it crashes.
//!
//! Demand is the least of four: a worker's demand, room in the first queue, in-flight permits, the rate limit. All are held
//! before the source is asked, so that what it hands over never waits outside a bound.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::book::Group;
use crate::failure::Failure;
use crate::judge::Pass;
use crate::pure::rate_limiter::RateLimiter;
use crate::pure::restart_budget::Restarts;
use crate::shared::Shared;
use crate::source::{Demand, Factory, Flow, Source};
use crate::telemetry::{Activity, Meter, Worker};
use crate::topology::{RateLimit, RestartBudget};
use crate::worker::fence;
use crate::worker::queue::Queue;

/// How the pipeline's producers are steered, all together.
#[derive(Debug)]
pub(crate) struct Valve {
    paused: AtomicBool,
    resumed: Notify,
    /// Cancelled once, at the start of the drain.
    pub(crate) drain: CancellationToken,
    /// Cancelled at each pause and at the drain; a new one at each resume.
    interrupt: Mutex<Arc<CancellationToken>>,
    limiter: Mutex<Option<RateLimiter>>,
    limit_changed: Notify,
    /// How long the drain may take.
    deadline: Mutex<Duration>,
    pub(crate) restarts: AtomicU64,
    failure: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Valve {
    /// `restarts`: how many there were before.
    pub(crate) fn new(limit: Option<RateLimit>, deadline: Duration, restarts: u64) -> Self {
        let drain = CancellationToken::new();
        Self {
            paused: AtomicBool::new(false),
            resumed: Notify::new(),
            interrupt: Mutex::new(Arc::new(drain.child_token())),
            drain,
            limiter: Mutex::new(limit.map(|limit| RateLimiter::new(limit, Instant::now()))),
            limit_changed: Notify::new(),
            deadline: Mutex::new(deadline),
            restarts: AtomicU64::new(restarts),
            failure: Mutex::new(None),
        }
    }

    pub(crate) fn pause(&self) {
        let interrupt = lock(&self.interrupt);
        self.paused.store(true, Ordering::SeqCst);
        interrupt.cancel();
    }

    pub(crate) fn resume(&self) {
        let mut interrupt = lock(&self.interrupt);
        if !self.is_paused() {
            // the pulls under way hold the present one
            return;
        }
        *interrupt = Arc::new(self.drain.child_token());
        self.paused.store(false, Ordering::SeqCst);
        self.resumed.notify_waiters();
    }

    /// Calls back the pulls under way, so that a changed limit holds from now on.
    pub(crate) fn call_back(&self) {
        let mut interrupt = lock(&self.interrupt);
        if !self.is_paused() {
            std::mem::replace(&mut *interrupt, Arc::new(self.drain.child_token())).cancel();
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub(crate) fn set_limit(&self, limit: Option<RateLimit>) {
        *lock(&self.limiter) = limit.map(|limit| RateLimiter::new(limit, Instant::now()));
        self.limit_changed.notify_waiters();
        self.call_back();
    }

    pub(crate) fn deadline(&self) -> Duration {
        *lock(&self.deadline)
    }

    /// For a drain that has not begun.
    pub(crate) fn set_deadline(&self, deadline: Duration) {
        *lock(&self.deadline) = deadline;
    }

    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    async fn wait_while_paused(&self) {
        loop {
            let resumed = self.resumed.notified();
            if !self.is_paused() {
                return;
            }
            resumed.await;
        }
    }

    /// Waits until the rate limit lets at least one message pass, if nobody is faster.
    async fn wait_for_rate(&self) {
        let changed = self.limit_changed.notified();
        let wait = lock(&self.limiter).as_mut().and_then(|limiter| limiter.available(1, Instant::now()).err());
        let Some(wait) = wait else { return };
        tokio::select! {
            biased;
            () = changed => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// Takes up to `wanted` messages' worth of the rate limit; or says how long to wait.
    fn try_take_rate(&self, wanted: usize) -> Result<Rate, Duration> {
        let mut limiter = lock(&self.limiter);
        let Some(limiter) = limiter.as_mut() else { return Ok(Rate { messages: wanted, at: None }) };
        let now = Instant::now();
        let messages = limiter.available(wanted, now)?;
        limiter.spend(messages);
        Ok(Rate { messages, at: Some(now) })
    }

    fn correct_rate(&self, taken: Rate, used: usize, now: Instant) {
        if let Some(limiter) = lock(&self.limiter).as_mut() {
            limiter.correct(taken.messages, taken.at, used, now);
        }
    }
}

pub(crate) struct Producer<T> {
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) factory: Arc<dyn Factory<T>>,
    pub(crate) queue: Arc<Queue<T>>,
    pub(crate) valve: Arc<Valve>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) restart: RestartBudget,
}

/// Demand that is held: to be used or returned.
struct Reserved<'j> {
    pass: Pass<'j>,
    permits: usize,
    room: usize,
    rate: Rate,
}

/// What is set aside of the rate limit, and since when, if there is a limit.
struct Rate {
    messages: usize,
    at: Option<Instant>,
}

impl<T: Send + 'static> Producer<T> {
    /// Pulls until the drain, the source's end, or the end of its restart budget; gives back the source, to be closed when everything is settled.
    pub(crate) async fn run(self) -> Option<Box<dyn Source<T>>> {
        let mut restarts = Restarts::new(self.restart);
        let mut worker = self.meter.worker();
        let mut source = None;
        loop {
            let ended = match &mut source {
                None => self.build(&mut source).await,
                Some(source) => self.pull_until_end(source.as_mut(), &mut worker).await,
            };
            let failure = match ended {
                Ok(true) => return source,
                Ok(false) => continue,
                Err(failure) => failure,
            };
            source = None;
            let Some(wait) = restarts.crashed(Instant::now()) else {
                tracing::error!(pipeline = %self.shared.pipeline, source = %self.name, %failure, "source gave up");
                *lock(&self.valve.failure) = Some(failure.to_string());
                self.valve.drain.cancel();
                return None;
            };
            self.valve.restarts.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(pipeline = %self.shared.pipeline, source = %self.name, %failure, ?wait, "source restarts");
            self.or_drain(tokio::time::sleep(wait)).await?;
        }
    }

    /// `Ok(false)`: built. `Ok(true)`: the drain came first.
    async fn build(&self, source: &mut Option<Box<dyn Source<T>>>) -> Result<bool, Failure> {
        match self.or_drain(fence::guard(self.factory.build(self.index))).await {
            None => Ok(true),
            Some(built) => {
                *source = Some(built??);
                Ok(false)
            }
        }
    }

    /// Waits for something that may be given up when the drain comes.
    async fn or_drain<R>(&self, wait: impl Future<Output = R>) -> Option<R> {
        self.valve.drain.run_until_cancelled(wait).await
    }

    async fn pull_until_end(&self, source: &mut dyn Source<T>, worker: &mut Worker) -> Result<bool, Failure> {
        loop {
            worker.enter(Activity::Blocked);
            // before it is asked what may be pulled, so that no trip is missed
            let changed = self.shared.book.judge.changed();
            let Some(reserved) = self.reserve(worker).await else { return Ok(true) };
            worker.enter(Activity::Starved);
            let interrupt = lock(&self.valve.interrupt).clone();
            let mut demand = Demand::new(reserved.rate.messages, interrupt);
            if reserved.pass.is_distrustful() {
                demand = demand.distrustful();
            }
            let pulled = self.pull(source, &mut demand, reserved.pass.is_probe(), changed).await;
            worker.enter(Activity::Busy);
            let messages = demand.take();
            if !messages.is_empty() {
                worker.enter_with(Activity::Blocked, messages.len());
            }
            self.accept(messages, reserved).await;
            match pulled?? {
                Flow::Finished => return Ok(true),
                // a source that returns at once with nothing must not keep a thread to itself
                Flow::More => tokio::task::consume_budget().await,
            }
        }
    }

    /// Pulls; called back when the breaker trips meanwhile, because what it then brings is too much.
    async fn pull(
        &self,
        source: &mut dyn Source<T>,
        demand: &mut Demand<T>,
        is_probe: bool,
        changed: Notified<'_>,
    ) -> Result<Result<Flow, Failure>, Failure> {
        let judge = &self.shared.book.judge;
        let mut pull = std::pin::pin!(fence::guard(source.pull(demand)));
        let mut changed = std::pin::pin!(changed);
        if is_probe {
            return pull.await;
        }
        loop {
            tokio::select! {
                biased;
                pulled = &mut pull => return pulled,
                () = &mut changed => changed.set(judge.changed()),
            }
            if judge.is_tripped() {
                self.valve.call_back();
                break;
            }
        }
        pull.await
    }

    /// Waits until at least one message may be pulled; `None` when the drain comes first.
    async fn reserve(&self, worker: &mut Worker) -> Option<Reserved<'_>> {
        let judge = &self.shared.book.judge;
        loop {
            if judge.is_tripped() {
                self.or_drain(judge.turn()).await?;
            }
            let (room, permits) = self.reserve_room(worker).await?;
            // a pause or the drain may have come while it waited for room; and nothing is held while it waits for the rate limit
            let shut = self.valve.is_paused() || self.valve.drain.is_cancelled();
            let pass = if shut { None } else { judge.admit() };
            let rate = pass.as_ref().and_then(|pass| self.valve.try_take_rate(pass.most(permits)).ok());
            if let (Some(pass), Some(rate)) = (pass, rate) {
                return Some(Reserved { pass, permits, room, rate });
            }
            self.queue.release(room);
            self.shared.book.release(permits);
            if !shut {
                worker.enter(Activity::Limited);
            }
            self.or_drain(self.valve.wait_for_rate()).await?;
            worker.enter(Activity::Blocked);
        }
    }

    /// Waits until it is not paused and there is room and a permit for at least one message.
    async fn reserve_room(&self, worker: &mut Worker) -> Option<(usize, usize)> {
        let book = &self.shared.book;
        if self.valve.drain.is_cancelled() {
            return None;
        }
        if self.valve.is_paused() {
            self.or_drain(self.valve.wait_while_paused()).await?;
        }
        // each first without waiting: a future that watches for the drain costs more than a message
        let room = match self.queue.try_reserve(self.queue.max()) {
            0 => self.or_drain(self.queue.reserve(self.queue.max())).await?,
            room => room,
        };
        let permits = match book.try_acquire(room) {
            0 => {
                worker.enter(Activity::Held);
                self.or_drain(book.acquire(room)).await
            }
            permits => Some(permits),
        };
        let Some(permits) = permits else {
            self.queue.release(room);
            return None;
        };
        Some((room, permits))
    }

    /// Enters what was pulled in the ledger and sends it on; returns what was reserved for more.
    async fn accept(&self, mut messages: Vec<crate::message::Message<T>>, reserved: Reserved<'_>) {
        let pulled = messages.len();
        let Reserved { pass, permits, room, rate } = reserved;
        let now = Instant::now();
        pass.send(&mut messages, now);
        self.valve.correct_rate(rate, pulled, now);
        messages.iter_mut().for_each(|message| message.stamp(now));
        let mut group = Group::received(messages, &self.shared.book);
        let beyond = pulled.saturating_sub(permits);
        if beyond > 0 {
            tracing::warn!(source = %self.name, beyond, "the source pushed more than was asked for");
        }
        self.shared.book.release(permits - pulled.min(permits));
        let fits = pulled.min(room);
        self.queue.release(room - fits);
        let front = group.split_front(fits);
        self.queue.push_reserved(front);
        if !group.is_empty() {
            self.queue.push(group).await;
        }
        // only after the push: it may be these very messages whose permits come back
        self.shared.book.acquire_all(beyond).await;
    }
}

/// How long a source may take to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Closes a source after everything is settled.
pub(crate) async fn close<T>(name: &str, mut source: Box<dyn Source<T>>) {
    match tokio::time::timeout(CLOSE_TIMEOUT, fence::guard(source.close())).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => tracing::error!(source = name, %failure, "closing the source"),
        Err(_) => tracing::error!(source = name, timeout = ?CLOSE_TIMEOUT, "closing the source takes too long"),
    }
}
