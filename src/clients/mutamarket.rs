//! [MutaMarket](https://mutamarket.com), which lists abyssal modules: what those of a type are estimated to be worth.
//!
//! * It asks for a User-Agent with a contact, and about one call a second.
//! * The list of a type comes in pages, `{data, links, meta}`; some versions put that, or each module, into one more `data`, or send the modules bare.
//! * A module's `estimated_value` may be null: nobody has estimated it yet.
//!
//! A call is one attempt. After 429 nothing is asked before the time that it names.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::address;
use super::answer::Answer;
use super::service::{self, Manners, Service};
use crate::killmail::TypeId;
use crate::killmail::wire::cents;
use crate::market::Cents;

const MANNERS: Manners = Manners {
    name: "mutamarket",
    per_second: NonZeroU32::new(1),
    concurrency: 1,
    body_max: 8 * 1024 * 1024,
    call_timeout: Duration::from_secs(10),
    read_timeout: Duration::from_secs(5),
    headers: &[("accept", "application/json")],
};
/// While it is down it is looked for this often at least.
const PROBED_EVERY: Duration = Duration::from_secs(10);
/// After 429 without a time.
const PAUSE: Duration = Duration::from_secs(30);

/// Why there is no page. Texts fit after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("ask MutaMarket before its pause is over, in {retry_in:.0?}")]
    Paused { retry_in: Duration },
    #[error("{0}")]
    Service(#[from] service::Error),
    #[error("use MutaMarket's answer: HTTP status {status}: {text}")]
    Status { status: u16, text: String },
    #[error("read MutaMarket's answer: {0}")]
    Unusable(String),
}

/// Some of the modules of a type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// What those are estimated to be worth that have an estimate.
    pub values: Vec<Cents>,
    /// Whether there is another page.
    pub has_next: bool,
}

/// Cheap to clone: all clones share connections, turns, breaker and pauses.
#[derive(Debug, Clone)]
pub struct Mutamarket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: Service,
    rests_until: Mutex<Option<Instant>>,
}

impl Mutamarket {
    /// Not connected yet.
    ///
    /// # Errors
    /// The address cannot be used: see [`address::base`].
    pub fn new(base: &str, contact: Option<&str>) -> Result<Self, address::Error> {
        let service = Service::new(base, contact, &MANNERS)?.probed_every(PROBED_EVERY);
        Ok(Self(Arc::new(Inner { service, rests_until: Mutex::default() })))
    }

    /// A page, from 1, of the modules of a type that are listed. A type that it does not know has none.
    ///
    /// # Errors
    /// No answer that could be used came, or none may be asked for now.
    pub async fn modules(&self, type_id: TypeId, page: u32) -> Result<Page, Error> {
        if let Some(retry_in) = self.pause() {
            return Err(Error::Paused { retry_in });
        }
        let answer = self.0.service.get(&format!("/modules/type/{type_id}?page={page}"), &[]).await?;
        match answer.status {
            200 => read(&answer, type_id, page),
            404 => Ok(Page::default()),
            429 => {
                let retry_in = answer.retry_after().unwrap_or(PAUSE);
                let mut until = self.0.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
                *until = (*until).max(Some(Instant::now() + retry_in));
                self.0.service.decided("paused_by_429");
                Err(Error::Paused { retry_in })
            }
            status => Err(Error::Status { status, text: answer.excerpt() }),
        }
    }

    /// How long nothing may be asked, because of a pause or calls that keep failing; `None`: it may.
    #[must_use]
    pub fn rests_for(&self) -> Option<Duration> {
        self.pause().max(self.0.service.rests_for())
    }

    fn pause(&self) -> Option<Duration> {
        let until = (*self.0.rests_until.lock().unwrap_or_else(PoisonError::into_inner))?;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

fn read(answer: &Answer, type_id: TypeId, page: u32) -> Result<Page, Error> {
    if answer.looks_like_html() {
        return Err(Error::Unusable("a page for people".to_owned()));
    }
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| Error::Unusable(error.to_string()))?;
    let (mut paged, mut modules) = (&body, &body);
    while let Some(inner) = modules.get("data") {
        (paged, modules) = (modules, inner);
    }
    let Some(modules) = modules.as_array() else {
        return Err(Error::Unusable("no list of modules".to_owned()));
    };
    let values = modules.iter().map(unwrapped).filter(|module| is_of(module, type_id)).filter_map(estimate).collect();
    // Where the figures stand in the outer of two envelopes.
    let figures = if paged.get("meta").is_some() || paged.get("links").is_some() { paged } else { &body };
    Ok(Page { values, has_next: !modules.is_empty() && has_next(figures, page) })
}

/// A module without its envelope.
fn unwrapped(module: &Value) -> &Value {
    module.get("data").filter(|inner| inner.is_object()).unwrap_or(module)
}

/// What says that it is of another type is left out.
fn is_of(module: &Value, type_id: TypeId) -> bool {
    let id = module.get("type").map(|kind| kind.get("id").unwrap_or(kind));
    id.and_then(Value::as_i64).is_none_or(|id| id == type_id.get())
}

fn estimate(module: &Value) -> Option<Cents> {
    let value = match module.get("estimated_value")? {
        Value::String(text) => text.parse().ok()?,
        value => value.as_f64()?,
    };
    cents(value).filter(|cents| *cents > 0).map(Cents)
}

fn has_next(figures: &Value, page: u32) -> bool {
    let last = figures.pointer("/meta/last_page").and_then(Value::as_u64);
    let next = figures.pointer("/links/next").is_some_and(Value::is_string);
    last.map_or(next, |last| u64::from(page) < last)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn page(body: &str, number: u32) -> Result<Page, Error> {
        let answer = Answer { status: 200, headers: HeaderMap::new(), body: body.to_owned().into() };
        read(&answer, TypeId::new(47702).expect("an id"), number)
    }

    #[test]
    fn modules_are_found_in_every_envelope() {
        let one = r#"{"type":{"id":47702},"estimated_value":12.5}"#;
        let pages = [
            format!(r#"{{"data":[{one}],"meta":{{"last_page":2}},"links":{{"next":null}}}}"#),
            format!(r#"{{"data":[{{"data":{one}}}],"links":{{"next":"?page=2"}}}}"#),
            format!(r#"{{"data":{{"data":[{one}],"links":{{"next":"?page=2"}}}}}}"#),
            format!(r#"{{"data":{{"data":[{one}]}},"meta":{{"last_page":2}}}}"#),
        ];
        for body in pages {
            assert_eq!(page(&body, 1), Ok(Page { values: vec![Cents(1_250)], has_next: true }), "{body}");
        }
        assert_eq!(page(&format!("[{one}]"), 1), Ok(Page { values: vec![Cents(1_250)], has_next: false }));
        assert!(
            !page(r#"{"data":[],"meta":{"last_page":9}}"#, 1).expect("a page").has_next,
            "nothing comes after nothing"
        );
    }

    #[test]
    fn only_estimates_of_the_type_count() {
        let body = r#"[{"estimated_value":null},{"estimated_value":0},{"estimated_value":-1},{},{"estimated_value":"7.01"},
            {"type":{"id":1},"estimated_value":9},{"type":47702,"estimated_value":1},{"estimated_value":1e300},null,5]"#;
        assert_eq!(page(body, 1).expect("a page").values, [Cents(701), Cents(100)]);
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for body in ["<html>", "", "{}", "null", r#"{"data":7}"#, r#"{"message":"Server Error"}"#, "[{]"] {
            assert!(matches!(page(body, 1), Err(Error::Unusable(_))), "{body}");
        }
    }
}
