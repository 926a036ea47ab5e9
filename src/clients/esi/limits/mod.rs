//! ESI's two limits, held before they are hit. Pure: time is an argument, and nothing here waits.
//!
//! * **Errors**: 100 a minute over all routes without tokens; past them every route answers 420. Such routes stop while 10 are left.
//! * **Tokens**: a group of routes may spend so many in a floating window (2xx 2, 3xx 1, 4xx 5, 5xx 0). While there are plenty, calls go at once;
//!   below a fifth they are spaced at the rate at which tokens come back, and the wider the fewer are left.
//!
//! Which routes have a group, answers say. Until the first one, a route is asked by one call at a time.

mod bucket;
mod errors;
mod reading;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use bucket::Bucket;
use errors::{Errors, Lack};
pub use reading::Reading;

/// What a call costs that succeeds.
const COST: u32 = 2;
/// What a call costs at most.
const COST_MAX: u32 = 5;
/// How long a group rests after a 429 that does not say; doubled each time in a row …
const REFUSED: Duration = Duration::from_secs(10);
/// … and at most.
const REFUSED_MAX: Duration = Duration::from_secs(120);

/// For whom a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Urgency {
    /// A live kill waits for it.
    #[default]
    Live,
    /// It can wait: it takes only what is beyond half of the tokens, and half of the errors.
    Background,
}

/// Whether a call may go.
#[derive(Debug)]
pub enum Verdict {
    /// At this moment or after, [`Limits::still_closed`] permitting. The place is taken: it must be [settled](Limits::settle).
    Go { at: Instant, place: Place },
    /// Not before an answer to a call in flight: ask again after the next one.
    AfterNext,
    /// Not within the patience.
    Busy { until: Instant },
}

/// A call's place among those in flight.
#[derive(Debug)]
#[must_use = "a place that is not settled is held for ever"]
pub struct Place {
    route: String,
    group: Arc<str>,
}

/// What an answer changed, for metrics and logs; what was closed already is not said again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// A group's tokens left, as the server counts them.
    pub tokens: Option<(Arc<str>, u32)>,
    /// Every route rests for this long.
    pub all_closed: Option<Duration>,
    /// The call's group rests for this long.
    pub group_closed: Option<Duration>,
}

/// All that is known of the limits of one address.
#[derive(Debug, Default)]
pub struct Limits {
    errors: Errors,
    /// The group of each route that was asked; a route's own name until it is known.
    routes: HashMap<String, Arc<str>>,
    groups: HashMap<Arc<str>, Group>,
}

#[derive(Debug, Default)]
struct Group {
    kind: Kind,
    in_flight: u32,
    closed_until: Option<Instant>,
    /// 429s in a row.
    refusals: u32,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Unknown,
    /// All routes that have no tokens are one group.
    Errors,
    Tokens(Bucket),
}

/// The group of those that have none.
const NO_GROUP: &str = "";

impl Limits {
    /// Asks for a call of a route, that can wait for `patience`.
    pub fn admit(&mut self, path: &str, urgency: Urgency, patience: Duration, now: Instant) -> Verdict {
        let route = route(path);
        let name = self.routes.get(&route).cloned().unwrap_or_else(|| route.as_str().into());
        let group = self.groups.entry(name.clone()).or_default();
        let closed = self.errors.closed(now).max(group.closed_until).unwrap_or(now).max(now);
        let at = match &group.kind {
            Kind::Unknown if group.in_flight > 0 => return Verdict::AfterNext,
            Kind::Unknown => closed,
            Kind::Tokens(bucket) => match bucket.opens(group.in_flight, urgency, now) {
                Some(at) => at.max(closed),
                None => return Verdict::AfterNext,
            },
            Kind::Errors => match self.errors.affords(group.in_flight, urgency, closed) {
                Ok(()) => closed,
                Err(Lack::Until(at)) => at.max(closed),
                Err(Lack::InFlight) => return Verdict::AfterNext,
            },
        };
        if at > now + patience {
            return Verdict::Busy { until: at };
        }
        if let Kind::Tokens(bucket) = &mut group.kind {
            bucket.take(group.in_flight + 1, at);
        }
        group.in_flight += 1;
        Verdict::Go { at, place: Place { route, group: name } }
    }

    /// Until when a call must not go although it was let go: something closed meanwhile.
    #[must_use]
    pub fn still_closed(&self, place: &Place, now: Instant) -> Option<Instant> {
        let group = self.groups.get(&place.group).and_then(|group| group.closed_until);
        self.errors.closed(now).max(group).filter(|until| *until > now)
    }

    /// Gives a place back that was not used.
    pub fn cancel(&mut self, place: &Place) {
        if let Some(group) = self.groups.get_mut(&place.group) {
            group.in_flight = group.in_flight.saturating_sub(1);
        }
    }

    /// Notes what became of a call that was sent at `sent`.
    pub fn settle(&mut self, place: &Place, sent: Instant, reading: &Reading, now: Instant) -> Settled {
        self.cancel(place);
        let mut settled = Settled::default();
        self.errors.note(reading.errors_left, reading.errors_reset, now);
        let name = self.learn(place, reading, now);
        let group = self.groups.entry(name.clone()).or_default();
        if let Kind::Tokens(bucket) = &mut group.kind {
            let cost = reading.cost();
            if let Some(remaining) = reading.remaining {
                bucket.reading(remaining, cost, sent, now);
                settled.tokens = Some((name, remaining));
            }
            bucket.spend(cost, sent, now);
        }
        match reading.status {
            Some(420) => {
                let was_open = self.errors.closed(now).is_none();
                self.errors.close(reading.errors_reset, now);
                settled.all_closed = self.errors.closed(now).filter(|_| was_open).map(|until| until - now);
            }
            Some(429) => {
                let wait = reading.retry_after.filter(|wait| !wait.is_zero());
                let wait = wait.unwrap_or_else(|| (REFUSED * (1 << group.refusals.min(4))).min(REFUSED_MAX));
                let was_open = group.closed_until.is_none_or(|until| until <= now);
                group.refusals += u32::from(was_open);
                group.closed_until = group.closed_until.max(Some(now + wait));
                if let Kind::Tokens(bucket) = &mut group.kind {
                    bucket.refused(now + wait);
                }
                settled.group_closed = Some(wait).filter(|_| was_open);
            }
            Some(status) if status < 500 => group.refusals = 0,
            // A 503 that says for how long: it is the whole service that is away.
            _ => {
                let was_open = self.errors.closed(now).is_none();
                if let Some(wait) = reading.retry_after.filter(|wait| !wait.is_zero()) {
                    self.errors.leave_alone(now + wait);
                    settled.all_closed = Some(wait).filter(|_| was_open);
                }
            }
        }
        settled
    }

    /// The group that an answer shows its route to be in.
    fn learn(&mut self, place: &Place, reading: &Reading, now: Instant) -> Arc<str> {
        // Gateways answer without ESI's headers.
        let is_esi = reading.status.is_some_and(|status| status < 500 && status != 420 && status != 429);
        let name: Arc<str> = match &reading.group {
            Some(group) => group.as_str().into(),
            None if is_esi && (reading.errors_left.is_some() || self.is_unknown(&place.group)) => NO_GROUP.into(),
            None => return place.group.clone(),
        };
        let group = self.groups.entry(name.clone()).or_default();
        match (&mut group.kind, reading.limit) {
            (Kind::Tokens(bucket), Some((limit, window))) => bucket.set_limit(limit, window),
            (kind, Some((limit, window))) => *kind = Kind::Tokens(Bucket::new(limit, window, now)),
            (kind @ Kind::Unknown, None) if *name == *NO_GROUP => *kind = Kind::Errors,
            _ => {}
        }
        if name != place.group {
            self.routes.insert(place.route.clone(), name.clone());
        }
        name
    }

    fn is_unknown(&self, group: &str) -> bool {
        self.groups.get(group).is_none_or(|group| matches!(group.kind, Kind::Unknown))
    }

    /// Until when every route rests, and until when single ones do.
    #[must_use]
    pub fn pauses(&self, now: Instant) -> (Option<Instant>, Vec<(String, Instant)>) {
        let closed = |name: &Arc<str>| self.groups.get(name)?.closed_until.filter(|until| *until > now);
        let routes = self.routes.iter().filter_map(|(route, name)| Some((route.clone(), closed(name)?)));
        // A route whose group is not known yet is a group by itself.
        let alone = self.groups.keys().filter_map(|name| Some((name.to_string(), closed(name)?)));
        let alone = alone.filter(|(name, _)| name.starts_with('/') && !self.routes.contains_key(name));
        (self.errors.closed(now), routes.chain(alone).collect())
    }

    /// Keeps pauses of before.
    pub fn keep_pauses<'r>(&mut self, all: Option<Instant>, routes: impl Iterator<Item = (&'r str, Instant)>) {
        if let Some(until) = all {
            self.errors.leave_alone(until);
        }
        for (route, until) in routes {
            let group = self.groups.entry(route.into()).or_default();
            group.closed_until = group.closed_until.max(Some(until));
        }
    }

    /// The tokens of a route's group: how many in which time, and how many are left; `None` while they are not known.
    #[must_use]
    pub fn tokens(&self, path: &str, now: Instant) -> Option<(u32, Duration, u32)> {
        match &self.groups.get(self.routes.get(&route(path))?)?.kind {
            Kind::Tokens(bucket) => Some(bucket.tokens(now)),
            Kind::Unknown | Kind::Errors => None,
        }
    }

    /// Errors left in this window, as far as is known.
    #[must_use]
    pub fn errors_left(&self, now: Instant) -> u32 {
        self.errors.left(now)
    }
}

/// A path without its ids, numbers and hashes: there are only so many.
fn route(path: &str) -> String {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let mut route = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let is_id = part.bytes().all(|byte| byte.is_ascii_digit()) || part.len() >= 40;
        route.push('/');
        route.push_str(if is_id { "*" } else { part });
    }
    route
}
