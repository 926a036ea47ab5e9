//! [Janice](https://janice.e-351.com), which appraises items: what many types cost on one market, in one call.
//!
//! * It wants a key (`X-ApiKey`) and a User-Agent that says who asks. No limit is published; "excessive traffic" is blocked.
//! * One type a line is asked for; **lines that it does not know are left out of the answer without a word**, and so are some of a very long list. Answers are
//!   joined by their ids, never by their places.
//! * A price of 0 with no orders behind it means that it has none.
//!
//! A call is one attempt. After 429 nothing is asked before the time that it names. After a refused key nothing is asked for 20 seconds; after ten in a row, for five
//! minutes: a key that is refused by mistake is soon taken again, a wrong one is no nuisance.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use super::address;
use super::answer::Answer;
use super::service::{self, Manners, Service};
use crate::killmail::TypeId;
use crate::killmail::wire::cents;
use crate::market::Cents;

/// Lines in a call: what its users send at most, and it answers in full.
pub const LINES_MAX: usize = 500;
/// Jita 4-4.
pub const JITA: i64 = 2;

const MANNERS: Manners = Manners {
    name: "janice",
    per_second: None,
    concurrency: 4,
    body_max: 8 * 1024 * 1024,
    call_timeout: Duration::from_secs(10),
    read_timeout: Duration::from_secs(8),
    headers: &[("accept", "application/json")],
};
/// While it is down it is looked for this often at least: kills wait to be priced better.
const PROBED_EVERY: Duration = Duration::from_secs(8);
const KEY: HeaderName = HeaderName::from_static("x-apikey");
/// After 429 without a time.
const PAUSE: Duration = Duration::from_secs(10);
/// After a refused key …
const REFUSED: Duration = Duration::from_secs(20);
/// … and after so many in a row: somebody has to set another.
const REFUSALS: u32 = 10;
const REFUSED_FOR_GOOD: Duration = Duration::from_secs(300);

/// Which of a type's prices counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pricing {
    /// What buyers offer.
    Buy,
    /// Halfway between.
    Split,
    /// What sellers ask.
    #[default]
    Sell,
}

/// How the price of a side is reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The best order's.
    #[default]
    Immediate,
    /// The average of the best 5 % of the units.
    Top5percent,
}

/// A market and the price that counts there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Choice {
    /// 2 is Jita 4-4, 115 is Amarr.
    pub market: i64,
    pub pricing: Pricing,
    pub variant: Variant,
}

/// Why there are no prices. Texts fit after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("use Janice: it refuses the key (HTTP status {status})")]
    KeyRefused { status: u16 },
    #[error("ask Janice before its pause is over, in {retry_in:.0?}")]
    Paused { retry_in: Duration },
    #[error("{0}")]
    Service(#[from] service::Error),
    #[error("use Janice's answer: HTTP status {status}: {text}")]
    Status { status: u16, text: String },
    #[error("read Janice's answer: {0}")]
    Unusable(String),
}

/// Cheap to clone: all clones share connections, breaker and pauses.
#[derive(Clone)]
pub struct Janice(Arc<Inner>);

struct Inner {
    service: Service,
    key: Box<str>,
    rest: Mutex<Option<Rest>>,
    /// Refusals of the key in a row.
    refusals: AtomicU32,
}

/// Nothing is asked until then.
#[derive(Clone)]
struct Rest {
    until: Instant,
    refused: Option<u16>,
}

impl Janice {
    /// Not connected yet.
    ///
    /// # Errors
    /// The address cannot be used: see [`address::base`].
    pub fn new(base: &str, key: &str, contact: Option<&str>) -> Result<Self, address::Error> {
        let service = Service::new(base, contact, &MANNERS)?.probed_every(PROBED_EVERY);
        let (key, refusals) = (key.trim().into(), AtomicU32::new(0));
        Ok(Self(Arc::new(Inner { service, key, rest: Mutex::default(), refusals })))
    }

    /// What each of these types costs, [`LINES_MAX`] of them at most. A type that is absent from the answer was left out by Janice: it does not know it, or
    /// lost the line; `None`: it knows it, and has no price.
    ///
    /// # Errors
    /// No answer that could be used came, or none may be asked for now.
    pub async fn prices(&self, choice: Choice, types: &[TypeId]) -> Result<HashMap<TypeId, Option<Cents>>, Error> {
        debug_assert!(types.len() <= LINES_MAX, "{} lines", types.len());
        self.may_ask()?;
        let lines = types.iter().map(|id| id.to_string()).collect::<Vec<_>>().join("\n");
        let headers = [(CONTENT_TYPE, "text/plain".to_owned()), (KEY, self.0.key.to_string())];
        let route = format!("/pricer?market={}", choice.market);
        let answer = self.0.service.send(Method::POST, &route, &headers, Some(lines)).await?;
        self.read(&answer, choice)
    }

    /// How long nothing may be asked, because of a pause, a refused key or calls that keep failing; `None`: it may.
    #[must_use]
    pub fn rests_for(&self) -> Option<Duration> {
        self.pause().max(self.0.service.rests_for())
    }

    fn pause(&self) -> Option<Duration> {
        let rest = self.0.rest.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        rest.until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    fn may_ask(&self) -> Result<(), Error> {
        let rest = self.0.rest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (self.pause(), rest.and_then(|rest| rest.refused)) {
            (Some(_), Some(status)) => Err(Error::KeyRefused { status }),
            (Some(retry_in), None) => Err(Error::Paused { retry_in }),
            (None, _) => Ok(()),
        }
    }

    fn read(&self, answer: &Answer, choice: Choice) -> Result<HashMap<TypeId, Option<Cents>>, Error> {
        match answer.status {
            200 => self.0.refusals.store(0, Ordering::Relaxed),
            429 => {
                let retry_in = answer.retry_after().unwrap_or(PAUSE);
                self.rest(Rest { until: Instant::now() + retry_in, refused: None });
                self.0.service.decided("paused_by_429");
                return Err(Error::Paused { retry_in });
            }
            status @ (401 | 403) => {
                let refusals = self.0.refusals.fetch_add(1, Ordering::Relaxed) + 1;
                let rest = if refusals < REFUSALS { REFUSED } else { REFUSED_FOR_GOOD };
                self.rest(Rest { until: Instant::now() + rest, refused: Some(status) });
                if refusals == 1 {
                    tracing::error!(
                        status,
                        "Janice refuses the key (JANICE_API_KEY): kills get other prices meanwhile"
                    );
                }
                return Err(Error::KeyRefused { status });
            }
            status => return Err(Error::Status { status, text: answer.excerpt() }),
        }
        if answer.looks_like_html() {
            return Err(Error::Unusable("a page in the place of prices".to_owned()));
        }
        let rows: Vec<Row> =
            serde_json::from_slice(&answer.body).map_err(|error| Error::Unusable(error.to_string()))?;
        let price = |row: Row| Some((TypeId::new(row.item_type.eid)?, row.price(choice)));
        Ok(rows.into_iter().filter_map(price).collect())
    }

    /// The longer of two rests holds.
    fn rest(&self, rest: Rest) {
        let mut kept = self.0.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|kept| kept.until < rest.until) {
            *kept = Some(rest);
        }
    }
}

impl fmt::Debug for Janice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Janice").field("service", &self.0.service).field("key", &"…").finish_non_exhaustive()
    }
}

/// Janice's clients, one for each address and key: its pauses are theirs.
#[derive(Debug, Default)]
pub struct Addresses(Mutex<HashMap<(String, String), Janice>>);

impl Addresses {
    /// The client of an address; made when it is first asked for.
    ///
    /// # Errors
    /// As [`Janice::new`].
    pub fn at(&self, base: &str, key: &str, contact: Option<&str>) -> Result<Janice, address::Error> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (base.trim().trim_end_matches('/').to_owned(), key.trim().to_owned());
        if let Some(janice) = known.get(&place) {
            return Ok(janice.clone());
        }
        let janice = Janice::new(&place.0, &place.1, contact)?;
        known.insert(place, janice.clone());
        Ok(janice)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    item_type: ItemType,
    #[serde(default)]
    immediate_prices: Sides,
    #[serde(default)]
    top5_average_prices: Sides,
}

#[derive(Deserialize)]
struct ItemType {
    eid: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Sides {
    buy_price: Option<f64>,
    split_price: Option<f64>,
    sell_price: Option<f64>,
}

impl Row {
    /// `None` of 0, which stands for "no orders".
    fn price(&self, choice: Choice) -> Option<Cents> {
        let sides = match choice.variant {
            Variant::Immediate => &self.immediate_prices,
            Variant::Top5percent => &self.top5_average_prices,
        };
        let price = match choice.pricing {
            Pricing::Buy => sides.buy_price,
            Pricing::Split => sides.split_price,
            Pricing::Sell => sides.sell_price,
        };
        cents(price?).filter(|cents| *cents > 0).map(Cents)
    }
}
