//! One outside service over HTTP: its manners, its breaker, its figures. What every client but the event stream's is built on.
//!
//! A call is one attempt. It waits for its turn (so many calls a second, so many at once), is refused while the breaker is open, and is
//! bounded in time (connecting, each read, the whole) and in size. Redirects are followed on the same host only, each in a turn of its own. Any status is an [`Answer`]; an [`Error`] is for what brought no whole one.
//! Whether a call is worth repeating, its client knows.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use governor::clock::{Clock, MonotonicClock};
use governor::{Quota, RateLimiter, state};
use metrics::{counter, gauge, histogram};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::answer::Answer;
use super::breaker::{Breaker, Verdict};
use super::{REDIRECTS_MAX, address, user_agent};

/// How long the head of an answer may take whose body is read by the caller.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How a service wants to be treated.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// In metrics and logs: a word.
    pub name: &'static str,
    /// Calls a second at most, evenly spread; `None`: as the service says in its headers.
    pub per_second: Option<NonZeroU32>,
    /// Calls at once at most.
    pub concurrency: usize,
    /// Bytes of a body at most, unpacked.
    pub body_max: usize,
    /// The whole call, from its turn on.
    pub call_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// Sent with every call.
    pub headers: &'static [(&'static str, &'static str)],
}

/// Why there is no whole answer. Texts fit after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("call {service}: it keeps failing and is left alone for {retry_in:.0?}")]
    Open { service: &'static str, retry_in: Duration },
    #[error("get an answer from {service} in time")]
    Timeout { service: &'static str },
    #[error("take the answer of {service}: more than {limit} bytes")]
    TooLarge { service: &'static str, limit: usize },
    #[error("reach {service}: {reason}")]
    Transport { service: &'static str, reason: String },
}

/// Whether the breaker is asked, and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    Breaker,
    None,
}

/// Cheap to clone: all clones share turns, breaker and connections.
#[derive(Debug, Clone)]
pub struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    manners: Manners,
    base: Url,
    http: reqwest::Client,
    turns: Option<RateLimiter<state::NotKeyed, state::InMemoryState, MonotonicClock>>,
    seats: Semaphore,
    breaker: Mutex<Breaker>,
}

impl Service {
    /// Not connected yet.
    ///
    /// # Errors
    /// The address cannot be used: see [`address::base`].
    pub fn new(base: &str, contact: Option<&str>, manners: &Manners) -> Result<Self, address::Error> {
        let base = address::base(base, contact)?;
        let fixed = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let http = super::http(&base, &user_agent(contact))
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(manners.headers.iter().map(fixed).collect::<HeaderMap>())
            .read_timeout(manners.read_timeout)
            .build()
            .map_err(|error| address::Error::Http(error.to_string()))?;
        let turns = manners.per_second.map(|rate| {
            let quota = Quota::per_second(rate).allow_burst(NonZeroU32::MIN);
            RateLimiter::direct_with_clock(quota, MonotonicClock)
        });
        gauge!("broadside_http_client_breaker_open", "service" => manners.name).set(0.0);
        let seats = Semaphore::new(manners.concurrency.max(1));
        Ok(Self(Arc::new(Inner { manners: *manners, base, http, turns, seats, breaker: Mutex::default() })))
    }

    /// Once it is left alone, it is looked for at least this often: for a service whose return others wait for.
    #[must_use]
    pub fn probed_every(self, open_most: Duration) -> Self {
        self.breaker(|breaker| *breaker = Breaker::open_for_at_most(open_most));
        self
    }

    /// How long it is left alone because calls keep failing; `None`: it is not.
    #[must_use]
    pub fn rests_for(&self) -> Option<Duration> {
        self.breaker(|breaker| breaker.rests_for(Instant::now()))
    }

    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.manners.name
    }

    /// Counts a decision that a client made: to wait, to try again, to do without.
    pub fn decided(&self, decision: &'static str) {
        counter!("broadside_http_client_decisions_total", "service" => self.name(), "decision" => decision)
            .increment(1);
    }

    /// GET of a route below the base.
    ///
    /// # Errors
    /// No whole answer came.
    pub async fn get(&self, route: &str, headers: &[(HeaderName, String)]) -> Result<Answer, Error> {
        self.whole(Method::GET, route, headers, None, Guard::Breaker).await
    }

    /// [`get`](Self::get) past the breaker: for one of many things, each of which may be broken by itself, and whose client leaves a broken one alone.
    ///
    /// # Errors
    /// No whole answer came.
    pub async fn get_apart(&self, route: &str, headers: &[(HeaderName, String)]) -> Result<Answer, Error> {
        self.whole(Method::GET, route, headers, None, Guard::None).await
    }

    /// POST of a JSON body.
    ///
    /// # Errors
    /// No whole answer came.
    pub async fn post_json(&self, route: &str, body: String) -> Result<Answer, Error> {
        let kind = [(reqwest::header::CONTENT_TYPE, "application/json".to_owned())];
        self.whole(Method::POST, route, &kind, Some(body), Guard::Breaker).await
    }

    /// Any other call.
    pub(super) async fn send(
        &self,
        method: Method,
        route: &str,
        headers: &[(HeaderName, String)],
        body: Option<String>,
    ) -> Result<Answer, Error> {
        self.whole(method, route, headers, body, Guard::Breaker).await
    }

    async fn whole(
        &self,
        method: Method,
        route: &str,
        headers: &[(HeaderName, String)],
        body: Option<String>,
        guard: Guard,
    ) -> Result<Answer, Error> {
        let _seat = self.0.seats.acquire().await;
        let mut url = address::below(&self.0.base, route);
        let mut hops_left = REDIRECTS_MAX;
        loop {
            let mut request = self.request(method.clone(), url.clone(), headers).timeout(self.0.manners.call_timeout);
            if let Some(body) = body.clone() {
                request = request.body(body);
            }
            self.turn(guard).await?;
            let call = async {
                let response = request.send().await.map_err(|error| self.failed(&error))?;
                let onward = onward(&response).filter(|_| method == Method::GET && hops_left > 0);
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                Ok((Answer { status, headers, body: self.body(response).await? }, onward))
            };
            match self.measured(call, |(answer, _)| answer.status, guard).await? {
                (_, Some(onward)) => (url, hops_left) = (onward, hops_left - 1),
                (answer, None) => return Ok(answer),
            }
        }
    }

    /// The head of a GET's answer, past redirects; the body is to be read by the caller.
    pub(super) async fn head(&self, route: &str, headers: &[(HeaderName, String)]) -> Result<Response, Error> {
        let mut url = address::below(&self.0.base, route);
        let mut hops_left = REDIRECTS_MAX;
        loop {
            self.turn(Guard::Breaker).await?;
            let sent = self.request(Method::GET, url.clone(), headers).send();
            let call = async {
                let late = |_| Error::Timeout { service: self.name() };
                let head = tokio::time::timeout(HEAD_TIMEOUT, sent).await.map_err(late)?;
                head.map_err(|error| self.failed(&error))
            };
            let response = self.measured(call, |response| response.status().as_u16(), Guard::Breaker).await?;
            match onward(&response).filter(|_| hops_left > 0) {
                Some(onward) => (url, hops_left) = (onward, hops_left - 1),
                None => return Ok(response),
            }
        }
    }

    fn request(&self, method: Method, url: Url, headers: &[(HeaderName, String)]) -> RequestBuilder {
        let request = self.0.http.request(method, url);
        headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Waits for the next call's turn, unless the breaker is open.
    async fn turn(&self, guard: Guard) -> Result<(), Error> {
        while let Some(Err(not_yet)) = self.0.turns.as_ref().map(RateLimiter::check) {
            tokio::time::sleep(not_yet.wait_time_from(MonotonicClock.now())).await;
        }
        if guard == Guard::None {
            return Ok(());
        }
        match self.breaker(|breaker| breaker.ask(Instant::now())) {
            Verdict::Pass => Ok(()),
            Verdict::Probe => {
                self.decided("probed");
                Ok(())
            }
            Verdict::Refuse { retry_in } => {
                self.decided("refused_by_breaker");
                Err(Error::Open { service: self.name(), retry_in })
            }
        }
    }

    /// Counts and times a call, and tells the breaker how it went.
    async fn measured<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
        status: impl Fn(&T) -> u16,
        guard: Guard,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let answer = call.await;
        histogram!("broadside_http_client_seconds", "service" => self.name()).record(started.elapsed());
        let (label, is_broken) = match &answer {
            Ok(answer) => (status(answer).to_string(), status(answer) >= 500),
            Err(Error::Timeout { .. }) => ("timeout".to_owned(), true),
            // It works, only not as we would have it.
            Err(Error::TooLarge { .. }) => ("too_large".to_owned(), false),
            Err(Error::Open { .. } | Error::Transport { .. }) => ("error".to_owned(), true),
        };
        counter!("broadside_http_client_requests_total", "service" => self.name(), "status" => label).increment(1);
        if guard == Guard::Breaker {
            self.note(is_broken);
        }
        answer
    }

    fn note(&self, is_broken: bool) {
        let (has_changed, is_open) = self.breaker(|breaker| {
            let has_changed = if is_broken { breaker.failed(Instant::now()) } else { breaker.succeeded() };
            (has_changed, breaker.is_open())
        });
        if has_changed {
            gauge!("broadside_http_client_breaker_open", "service" => self.name()).set(f64::from(is_open));
            if is_open {
                self.decided("breaker_opened");
                tracing::warn!(service = self.name(), "calls keep failing: the service is left alone for a while");
            } else {
                tracing::info!(service = self.name(), "calls work again");
            }
        }
    }

    fn breaker<T>(&self, use_it: impl FnOnce(&mut Breaker) -> T) -> T {
        use_it(&mut self.0.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn body(&self, response: Response) -> Result<Bytes, Error> {
        let limit = self.0.manners.body_max;
        let too_large = Error::TooLarge { service: self.name(), limit };
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large);
        }
        let mut pieces = response.bytes_stream();
        let mut body = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| self.failed(&error))?;
            if body.len() + piece.len() > limit {
                return Err(too_large);
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    pub(super) fn failed(&self, error: &reqwest::Error) -> Error {
        if error.is_timeout() {
            return Error::Timeout { service: self.name() };
        }
        // The outermost text repeats the address, which may hold a secret, and says little.
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
        let mut texts = Vec::new();
        while let Some(error) = cause {
            texts.push(error.to_string());
            cause = error.source();
        }
        let reason = if texts.is_empty() { "no connection".to_owned() } else { texts.join(": ") };
        Error::Transport { service: self.name(), reason: super::printable(&reason) }
    }
}

/// Where a redirect leads, if that is the same host: a service has no business sending us to others.
fn onward(response: &Response) -> Option<Url> {
    if !response.status().is_redirection() {
        return None;
    }
    let from = response.url();
    let to = from.join(response.headers().get(reqwest::header::LOCATION)?.to_str().ok()?).ok()?;
    let origin = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    (origin(from) == origin(&to)).then_some(to)
}
