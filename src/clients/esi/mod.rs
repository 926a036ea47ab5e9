//! ESI, the game's own interface: one client a process and address, because its limits are an address's.
//!
//! ```text
//! killmail · get · names · affiliations · …      what is cached is answered at once; one call for all who ask for the same
//!       └─ call: attempts with waits between them, until the asker's deadline
//!             └─ attempt: a place within the limits ─► a seat ─► the service ─► the limits learn from the answer
//! ```
//!
//! A call that was begun is finished even if who asked for it has gone: its tokens are spent, and ESI must not be asked for the same again before
//! it expires. Such calls are tasks of the client's own, few and bounded in time.

mod addresses;
mod clock;
mod error;
mod fresh;
mod killmail;
pub mod limits;
mod market;
mod names;
mod pauses;
mod prices;
mod search;
mod universe;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{HeaderName, IF_NONE_MATCH};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::address;
use super::answer::Answer;
use super::cache::{self, Cache};
use super::retry::Plan;
use super::service::{self, Manners, Service};
use crate::killmail::KillmailId;
pub use addresses::Addresses;
use clock::Clock;
pub use error::Error;
pub use fresh::Fresh;
pub use killmail::Detail;
pub use limits::Urgency;
use limits::{Limits, Place, Reading, Verdict};
pub use market::{Paged, Tokens};
pub use names::{Employment, Name, Resolved, System};
pub use pauses::Pauses;
pub use prices::Averages;

/// The interface as it was on this day is what this client understands.
pub const COMPATIBILITY_DATE: &str = "2025-12-16";
/// Calls at once: more are unwelcome. Pages of market orders take 16 of them at most, beyond which ESI gets slower: so a live kill need not wait for those.
pub const CONCURRENCY: usize = 20;

const MANNERS: Manners = Manners {
    name: "esi",
    per_second: None,
    concurrency: CONCURRENCY,
    body_max: 16 * 1024 * 1024,
    call_timeout: Duration::from_secs(20),
    read_timeout: Duration::from_secs(10),
    headers: &[("x-compatibility-date", COMPATIBILITY_DATE), ("accept", "application/json")],
};

const RETRIES: Plan =
    Plan { attempts: 5, first_wait: Duration::from_millis(200), longest_wait: Duration::from_secs(10) };
/// Calls that have been begun and not finished, waiting ones included.
const TASKS_MAX: usize = 256;
/// No answer holds for longer.
const HOLDS_MAX: Duration = Duration::from_hours(24 * 366);
/// An error's text is quoted up to here.
const TEXT_MAX: usize = 120;

/// For whom a call is, and until when it is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    deadline: Instant,
    urgency: Urgency,
}

impl Ask {
    /// For something that waits for it.
    #[must_use]
    pub fn live(within: Duration) -> Self {
        Self { deadline: Instant::now() + within, urgency: Urgency::Live }
    }

    /// For something that can wait: it takes only from the upper half of the limits.
    #[must_use]
    pub fn background(within: Duration) -> Self {
        Self { deadline: Instant::now() + within, urgency: Urgency::Background }
    }
}

/// Cheap to clone: all clones share limits, caches and connections.
#[derive(Debug, Clone)]
pub struct Esi(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: Service,
    limits: Mutex<Limits>,
    clock: Mutex<Clock>,
    /// Told of every answer.
    answered: Notify,
    /// Told when a pause begins.
    paused: Notify,
    seats: Semaphore,
    tasks: Mutex<JoinSet<()>>,
    task_seats: Arc<Semaphore>,
    caches: Caches,
    doors: fresh::Doors,
    /// One list of ids at a time, so that the next finds in the cache what it has in common with the one before.
    list: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Caches {
    killmails: Cache<KillmailId, Bytes>,
    answers: Cache<String, Arc<Fresh>>,
    names: Cache<i64, Arc<Name>>,
    corporations: Cache<i64, i64>,
    unknown: Cache<(names::Kind, i64), ()>,
    histories: Cache<i64, Arc<Vec<Employment>>>,
    systems: Cache<i64, Arc<System>>,
}

impl Caches {
    fn new() -> Self {
        Self {
            killmails: Cache::new(cache::ENRICHMENT),
            answers: Cache::new(cache::ANSWERS),
            names: Cache::new(cache::NAMES),
            corporations: Cache::new(cache::CHARACTER_CORPORATION),
            unknown: Cache::new(cache::UNKNOWN_IDS),
            histories: Cache::new(cache::CORPORATION_HISTORY),
            systems: Cache::new(cache::SYSTEM),
        }
    }
}

/// An answer that can be used, and when it expires, if it says so.
#[derive(Debug)]
struct Heard {
    answer: Answer,
    expires: Option<Instant>,
}

/// One request.
#[derive(Debug, Clone, Copy)]
enum Request<'a> {
    Get {
        path: &'a str,
        etag: Option<&'a str>,
    },
    /// One of many, past the breaker.
    Page {
        path: &'a str,
        etag: Option<&'a str>,
    },
    /// A list of ids: as safe to repeat as a GET.
    Post {
        path: &'a str,
        body: &'a str,
    },
}

impl Request<'_> {
    fn path(&self) -> &str {
        match self {
            Self::Get { path, .. } | Self::Page { path, .. } | Self::Post { path, .. } => path,
        }
    }
}

impl Esi {
    /// Not connected yet. One for each address in a process: a second would know nothing of what the first has spent.
    ///
    /// # Errors
    /// The address cannot be used: see [`address::base`].
    pub fn new(base: &str, contact: Option<&str>) -> Result<Self, address::Error> {
        Ok(Self(Arc::new(Inner {
            service: Service::new(base, contact, &MANNERS)?,
            limits: Mutex::default(),
            clock: Mutex::default(),
            answered: Notify::new(),
            paused: Notify::new(),
            seats: Semaphore::new(CONCURRENCY),
            tasks: Mutex::default(),
            task_seats: Arc::new(Semaphore::new(TASKS_MAX)),
            caches: Caches::new(),
            doors: fresh::Doors::new(),
            list: tokio::sync::Mutex::default(),
        })))
    }

    /// Whether the address can be used.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn check(base: &str, contact: Option<&str>) -> Result<(), address::Error> {
        address::base(base, contact).map(drop)
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.0.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attempts until one is answered with what can be used, with 304 for a tag, or it makes no sense to go on.
    async fn call(&self, request: Request<'_>, ask: Ask) -> Result<Heard, Error> {
        self.retried(ask, || self.attempt(request, ask)).await
    }

    async fn retried<T, F>(&self, ask: Ask, attempt: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.retried_by(&RETRIES, ask, attempt).await
    }

    async fn retried_by<T, F>(&self, plan: &Plan, ask: Ask, attempt: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let note = |error: &Error, wait: Duration| {
            self.0.service.decided("retried");
            tracing::debug!(%error, ?wait, "ESI is asked again");
        };
        plan.run(ask.deadline, attempt, Error::advice, note).await
    }

    async fn attempt(&self, request: Request<'_>, ask: Ask) -> Result<Heard, Error> {
        let mut turn = self.turn(request.path(), ask).await?;
        let sent = Instant::now();
        turn.sent = Some(sent);
        let answer = match request {
            Request::Get { path, etag } => self.0.service.get(path, tag(etag).as_slice()).await,
            Request::Page { path, etag } => self.0.service.get_apart(path, tag(etag).as_slice()).await,
            Request::Post { path, body } => self.0.service.post_json(path, body.to_owned()).await,
        };
        match &answer {
            Ok(answer) => turn.settle(&Reading::of(answer)),
            Err(service::Error::Open { .. }) => turn.sent = None,
            Err(_) => turn.settle(&Reading::default()),
        }
        let answer = match request {
            // What is no page, whoever reads it says; with the answer's word on when to ask again, which holds all the same.
            Request::Page { .. } => decent(answer?),
            Request::Get { .. } | Request::Post { .. } => usable(answer?),
        }?;
        let expires = self.expires(&answer, sent, Instant::now());
        Ok(Heard { answer, expires })
    }

    /// When an answer expires, by the server's clock, which need not be ours; `None`: it does not say, or not so that it can be read.
    fn expires(&self, answer: &Answer, sent: Instant, received: Instant) -> Option<Instant> {
        let passed = |date| self.0.clock.lock().unwrap_or_else(PoisonError::into_inner).passed(date, sent, received);
        let (date, passed) =
            answer.date().map_or_else(|| (Timestamp::now(), Duration::ZERO), |date| (date, passed(date)));
        let holds = Duration::try_from(answer.expires()?.duration_since(date)).unwrap_or_default();
        Some(received + holds.saturating_sub(passed).min(HOLDS_MAX))
    }

    /// A place within the limits, and a seat; whatever has closed meanwhile is open again.
    async fn turn<'a>(&'a self, path: &str, ask: Ask) -> Result<Turn<'a>, Error> {
        let (at, place) = self.admitted(path, ask).await?;
        let mut turn = Turn { esi: self, place: Some(place), sent: None, _seat: None };
        if at > Instant::now() {
            self.0.service.decided("held_by_limit");
            sleep_until(at).await;
        }
        let seat = timeout_at(ask.deadline.max(at), self.0.seats.acquire()).await.map_err(|_| Error::Late)?;
        // Nobody closes it.
        turn._seat = seat.ok();
        while let Some(until) = turn.still_closed() {
            if until > ask.deadline {
                self.0.service.decided("refused_by_limit");
                return Err(Error::Busy { retry_in: until - Instant::now() });
            }
            self.0.service.decided("held_by_limit");
            sleep_until(until).await;
        }
        Ok(turn)
    }

    async fn admitted(&self, path: &str, ask: Ask) -> Result<(Instant, Place), Error> {
        loop {
            let mut answered = std::pin::pin!(self.0.answered.notified());
            // From here on no answer is missed.
            answered.as_mut().enable();
            let now = Instant::now();
            let patience = ask.deadline.saturating_duration_since(now);
            let verdict = self.limits().admit(path, ask.urgency, patience, now);
            match verdict {
                Verdict::Go { at, place } => return Ok((at, place)),
                Verdict::AfterNext => timeout_at(ask.deadline, answered).await.map_err(|_| Error::Late)?,
                Verdict::Busy { until } => {
                    self.0.service.decided("refused_by_limit");
                    return Err(Error::Busy { retry_in: until - now });
                }
            }
        }
    }

    /// Runs to its end, even if the asker does not wait for it beyond its deadline.
    async fn begun<T: Send + 'static>(
        &self,
        ask: Ask,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let seat =
            timeout_at(ask.deadline, self.0.task_seats.clone().acquire_owned()).await.map_err(|_| Error::Late)?;
        let (tell, told) = tokio::sync::oneshot::channel();
        self.spawn(async move {
            let _seat = seat;
            // Whoever asked may have gone.
            let _ = tell.send(work.await);
        });
        match timeout_at(ask.deadline, told).await {
            Ok(Ok(result)) => result,
            // Late, or the task was ended with the process.
            Ok(Err(_)) | Err(_) => {
                self.0.service.decided("left_behind");
                Err(Error::Late)
            }
        }
    }

    /// A task of the client's own.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

fn tag(etag: Option<&str>) -> Option<(HeaderName, String)> {
    etag.map(|etag| (IF_NONE_MATCH, etag.to_owned()))
}

/// An answer that has what was asked for, or 304; else why not.
fn usable(answer: Answer) -> Result<Answer, Error> {
    match decent(answer)? {
        answer if answer.looks_like_html() => Err(Error::Unusable("a page in the place of JSON".to_owned())),
        answer => Ok(answer),
    }
}

/// An answer with a body, or 304; else why not.
fn decent(answer: Answer) -> Result<Answer, Error> {
    match answer.status {
        200..300 | 304 => Ok(answer),
        status => {
            let text: String = answer.excerpt().chars().take(TEXT_MAX).collect();
            Err(Error::Status { status, text })
        }
    }
}

/// A place among the calls in flight, given back when dropped: as a call that was never made, or that was answered with nothing.
#[derive(Debug)]
struct Turn<'a> {
    esi: &'a Esi,
    place: Option<Place>,
    sent: Option<Instant>,
    _seat: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    fn still_closed(&self) -> Option<Instant> {
        self.esi.limits().still_closed(self.place.as_ref()?, Instant::now())
    }

    fn settle(&mut self, reading: &Reading) {
        let (Some(place), Some(sent)) = (self.place.take(), self.sent) else { return };
        let settled = self.esi.limits().settle(&place, sent, reading, Instant::now());
        self.esi.0.answered.notify_waiters();
        if let Some((group, tokens)) = settled.tokens {
            let labels = [("service", self.esi.0.service.name().to_owned()), ("group", group.to_string())];
            metrics::gauge!("broadside_rate_limit_tokens_remaining", &labels).set(tokens);
        }
        if settled.all_closed.or(settled.group_closed).is_some() {
            self.esi.0.paused.notify_one();
        }
        if let Some(wait) = settled.all_closed {
            self.esi.0.service.decided("closed_all_routes");
            tracing::warn!(?wait, "ESI's error limit is spent, or it asks to be left alone: every route rests");
        }
        if let Some(wait) = settled.group_closed {
            self.esi.0.service.decided("closed_by_429");
            tracing::warn!(?wait, "ESI asks for a pause");
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.sent.is_some() {
            return self.settle(&Reading::default());
        }
        if let Some(place) = self.place.take() {
            self.esi.limits().cancel(&place);
            self.esi.0.answered.notify_waiters();
        }
    }
}
