//! A worker of our own, as the commands ask it: over the HTTP interface that it serves.

use std::fmt;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};

use super::address;
use super::answer::Answer;
use super::service::{self, Manners, Service};

const MANNERS: Manners = Manners {
    name: "worker",
    per_second: None,
    concurrency: 1,
    body_max: 16 * 1024 * 1024,
    // A change may take the worker five.
    call_timeout: Duration::from_secs(10),
    read_timeout: Duration::from_secs(10),
    headers: &[("accept", "application/json")],
};

/// Why there is no answer. Texts fit after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Call(#[from] service::Error),
    #[error("have it done: {message} ({status})")]
    Refused { status: u16, code: String, message: String },
    #[error("understand what answers there ({status}): is it a worker?")]
    Stranger { status: u16 },
}

impl Error {
    /// Whether no worker is there, or it is not ready to answer.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Call(_) | Self::Refused { status: 500.., .. } | Self::Stranger { status: 500.. })
    }
}

/// Not connected until it is asked something.
pub struct Worker {
    service: Service,
    token: Option<String>,
}

impl Worker {
    /// The worker at an address, with its API token if it has one.
    ///
    /// # Errors
    /// The address cannot be used: see [`address::base`].
    pub fn new(base: &str, contact: Option<&str>, token: Option<&str>) -> Result<Self, address::Error> {
        let token = token.map(|token| token.trim().to_owned());
        Ok(Self { service: Service::new(base, contact, &MANNERS)?, token })
    }

    /// Where each region of the market stands.
    ///
    /// # Errors
    /// No answer, or no good one.
    pub async fn market(&self) -> Result<Value, Error> {
        self.ask(Method::GET, "/api/market", None).await
    }

    /// Adds a region, named by its id or its name.
    ///
    /// # Errors
    /// As [`market`](Self::market); or the worker refuses.
    pub async fn add_region(&self, region: &str) -> Result<Value, Error> {
        self.ask(Method::POST, "/api/market/regions", Some(json!({"region": region}))).await
    }

    /// Removes a region.
    ///
    /// # Errors
    /// As [`add_region`](Self::add_region).
    pub async fn remove_region(&self, region: i64) -> Result<Value, Error> {
        self.ask(Method::DELETE, &format!("/api/market/regions/{region}"), None).await
    }

    /// The pipelines, with their figures.
    ///
    /// # Errors
    /// As [`market`](Self::market).
    pub async fn pipelines(&self) -> Result<Value, Error> {
        self.ask(Method::GET, "/api/pipelines", None).await
    }

    /// What limits each pipeline, by the last so many seconds.
    ///
    /// # Errors
    /// As [`market`](Self::market).
    pub async fn explain(&self, seconds: u32) -> Result<Value, Error> {
        self.ask(Method::GET, &format!("/api/explain?seconds={seconds}"), None).await
    }

    /// Has the pipeline files read again; answers what that came to.
    ///
    /// # Errors
    /// As [`add_region`](Self::add_region).
    pub async fn reload(&self) -> Result<Value, Error> {
        self.ask(Method::POST, "/api/reload", None).await
    }

    /// How the price cache job stands.
    ///
    /// # Errors
    /// As [`market`](Self::market).
    pub async fn prices(&self) -> Result<Value, Error> {
        self.ask(Method::GET, "/api/cache/prices/status", None).await
    }

    /// Tells the price cache job what to do: `start`, `pause`, …; answers how it stands then.
    ///
    /// # Errors
    /// As [`market`](Self::market); or the worker refuses.
    pub async fn tell_prices(&self, action: &str) -> Result<Value, Error> {
        self.ask(Method::POST, &format!("/api/cache/prices/{action}"), None).await
    }

    /// Whether it is ready, or only whether it lives, and what it says of it. Not to be ready is no error.
    ///
    /// # Errors
    /// No answer, or none of a worker's.
    pub async fn health(&self, live: bool) -> Result<(bool, Value), Error> {
        let (route, word) = if live { ("/livez", "alive") } else { ("/readyz", "ready") };
        let answer = self.service.send(Method::GET, route, &[], None).await?;
        let stranger = Error::Stranger { status: answer.status };
        let value: Value = serde_json::from_slice(&answer.body).map_err(|_| stranger.clone())?;
        value[word].as_bool().map(|well| (well && answer.is_success(), value)).ok_or(stranger)
    }

    /// Orders a replay of dead letters: which, and how; answers where it stands.
    ///
    /// # Errors
    /// As [`market`](Self::market); or the worker refuses.
    pub async fn order_replay(&self, order: &Value) -> Result<Value, Error> {
        self.ask(Method::POST, "/api/dead-letters/replay", Some(order.clone())).await
    }

    /// How far a replay is, with its reports from this number on.
    ///
    /// # Errors
    /// As [`market`](Self::market).
    pub async fn replay(&self, id: u64, after: u64) -> Result<Value, Error> {
        self.ask(Method::GET, &format!("/api/dead-letters/replays/{id}?after={after}"), None).await
    }

    /// Has a replay hand out no further letter.
    ///
    /// # Errors
    /// As [`market`](Self::market).
    pub async fn stop_replay(&self, id: u64) -> Result<Value, Error> {
        self.ask(Method::DELETE, &format!("/api/dead-letters/replays/{id}"), None).await
    }

    async fn ask(&self, method: Method, route: &str, body: Option<Value>) -> Result<Value, Error> {
        let mut headers: Vec<(HeaderName, String)> = Vec::new();
        headers.extend(self.token.as_ref().map(|token| (AUTHORIZATION, format!("Bearer {token}"))));
        headers.extend(body.as_ref().map(|_| (CONTENT_TYPE, "application/json".to_owned())));
        let answer = self.service.send(method, route, &headers, body.map(|body| body.to_string())).await?;
        read(&answer)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("token", &self.token.as_ref().map(|_| "…")).finish_non_exhaustive()
    }
}

fn read(answer: &Answer) -> Result<Value, Error> {
    let status = answer.status;
    let value: Value = serde_json::from_slice(&answer.body).map_err(|_| Error::Stranger { status })?;
    match value["error"]["message"].as_str() {
        _ if answer.is_success() => Ok(value),
        Some(message) => {
            let code = value["error"]["code"].as_str().unwrap_or_default().to_owned();
            Err(Error::Refused { status, code, message: message.to_owned() })
        }
        None => Err(Error::Stranger { status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer { status, headers: Default::default(), body: body.into() }
    }

    #[test]
    fn a_refusal_brings_its_reason_and_a_stranger_is_told_from_a_worker() {
        assert_eq!(read(&answer(200, "{\"a\":1}")), Ok(json!({"a": 1})));
        let refused = read(&answer(409, r#"{"error":{"code":"refused","message":"no such region"}}"#));
        assert_eq!(refused.expect_err("refused").to_string(), "have it done: no such region (409)");
        for (status, body, is_away) in [(200, "<html>", false), (404, "{}", false), (502, "<html>", true)] {
            assert_eq!(read(&answer(status, body)).expect_err("a stranger").is_away(), is_away, "{status}");
        }
        let starting = read(&answer(503, r#"{"error":{"code":"starting","message":"not yet"}}"#));
        assert!(starting.expect_err("starting").is_away());
    }

    #[test]
    fn the_token_is_not_shown() {
        let worker = Worker::new("http://127.0.0.1:1", None, Some("hunter2\n")).expect("an address");
        assert!(!format!("{worker:?}").contains("hunter2"));
    }
}
