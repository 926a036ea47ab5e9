//! Webhooks: posts JSON to addresses that users gave, and tells what is to be done about the answer.
//!
//! An address holds a secret: nothing here repeats it but its host and the first characters of its path. Redirects are not followed: whoever moved a webhook gives
//! the new address. What is said is bounded, read and written, in size and in time.

use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use metrics::{counter, histogram};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::answer::Answer;
use super::{address, is_loopback, user_agent};

/// In metrics.
const NAME: &str = "webhook";
/// What is read of an answer: enough to find a wait in it.
const ANSWER_MAX: usize = 16 << 10;
/// However long a service asks to be left alone, it is tried again after an hour.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// Characters of a path that are shown.
const SHOWN: usize = 5;
/// Tells a receiver whether it had a message before.
const KEY: &str = "idempotency-key";

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken. `pause`: the service wants no more for so long.
    Taken { pause: Option<Duration> },
    /// Nobody knows whether it was taken, or it was not, for now: it is to be sent again, not before `wait` where the service has said so.
    Later { wait: Option<Duration>, reason: String },
    /// It will never be taken as it is.
    Refused { status: Option<u16>, reason: String },
}

/// Cheap to clone: all clones share connections.
#[derive(Debug, Clone)]
pub struct Webhook {
    outside: reqwest::Client,
    /// This machine's own services are not behind a proxy.
    own: reqwest::Client,
    timeout: Duration,
}

impl Webhook {
    /// `timeout`: for a whole call.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn new(contact: Option<&str>, timeout: Duration) -> Result<Self, address::Error> {
        let client = |url: &str| {
            let base: Url = url.parse().map_err(|error| address::Error::Http(format!("{error}")))?;
            let client = super::http(&base, &user_agent(contact)).redirect(reqwest::redirect::Policy::none()).build();
            client.map_err(|error| address::Error::Http(error.to_string()))
        };
        Ok(Self { outside: client("https://example.org")?, own: client("http://localhost")?, timeout })
    }

    /// Posts a JSON body. `key`: the same for every attempt at this message, and for no other.
    pub async fn post(&self, url: &str, key: &str, body: String) -> Outcome {
        let Some(url) = url.trim().parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return Outcome::Refused { status: None, reason: "its address is none".to_owned() };
        };
        let client = if is_loopback(&url) { &self.own } else { &self.outside };
        let request = client.post(url).header(CONTENT_TYPE, "application/json").header(KEY, key).body(body);
        let started = Instant::now();
        let answer = tokio::time::timeout(self.timeout, async { read(request.send().await?).await }).await;
        histogram!("broadside_http_client_seconds", "service" => NAME).record(started.elapsed());
        let label = match &answer {
            Ok(Ok(answer)) => answer.status.to_string(),
            Ok(Err(error)) if !error.is_timeout() => "error".to_owned(),
            _ => "timeout".to_owned(),
        };
        counter!("broadside_http_client_requests_total", "service" => NAME, "status" => label).increment(1);
        match answer {
            Ok(Ok(answer)) => judge(&answer),
            Ok(Err(error)) => Outcome::Later { wait: None, reason: reason(&error) },
            Err(_) => Outcome::Later { wait: None, reason: format!("there was no answer within {:?}", self.timeout) },
        }
    }
}

/// What of an address may be shown: its host, and the first characters of its path.
#[must_use]
pub fn shown(url: &str) -> String {
    let Some(url) = url.trim().parse::<Url>().ok().filter(Url::has_host) else {
        return "an address that is none".to_owned();
    };
    let path: String = url.path().chars().take(SHOWN).collect();
    let dots = if path.len() < url.path().len() || url.query().is_some() { "…" } else { "" };
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}{port}{path}{dots}", url.host_str().unwrap_or_default())
}

/// What matters of an answer; a body that is longer is cut off.
async fn read(response: Response) -> Result<Answer, reqwest::Error> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = BytesMut::new();
    // A success is one, whatever becomes of its body.
    if status == 429 {
        let mut pieces = response.bytes_stream();
        while let Some(Ok(piece)) = pieces.next().await {
            let room = ANSWER_MAX - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() >= room {
                break;
            }
        }
    }
    Ok(Answer { status, headers, body: body.freeze() })
}

fn judge(answer: &Answer) -> Outcome {
    let reason = || format!("the answer was {}", answer.status);
    match answer.status {
        200..300 => Outcome::Taken { pause: pause(answer) },
        429 => Outcome::Later { wait: wait(answer), reason: reason() },
        408 | 425 | 500.. => Outcome::Later { wait: wait(answer).filter(|wait| !wait.is_zero()), reason: reason() },
        status => Outcome::Refused { status: Some(status), reason: reason() },
    }
}

#[derive(Deserialize)]
struct Told {
    retry_after: f64,
}

/// The longest of the waits that it names: in its body (Discord), in `Retry-After`, and until its limit is a new one.
fn wait(answer: &Answer) -> Option<Duration> {
    let told: Option<Told> = serde_json::from_slice(&answer.body).ok();
    let header = answer.text(RETRY_AFTER).and_then(|text| text.parse().ok()).and_then(seconds);
    let waits =
        [told.and_then(|told| seconds(told.retry_after)), header.or_else(|| answer.retry_after()), pause(answer)];
    waits.into_iter().flatten().max()
}

/// How long nothing more is taken, as Discord's headers tell.
fn pause(answer: &Answer) -> Option<Duration> {
    let is_spent = answer.text("x-ratelimit-remaining").is_some_and(|left| left == "0");
    let reset = answer.text("x-ratelimit-reset-after").filter(|_| is_spent)?;
    seconds(reset.parse().ok()?)
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(WAIT_MAX))
}

/// Of an error, what does not repeat the address.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    let mut texts = Vec::new();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    if texts.is_empty() { "no connection".to_owned() } else { super::printable(&texts.join(": ")) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::header::{HeaderMap, HeaderName};

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answer {
        let header =
            |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().expect("a header"));
        let headers: HeaderMap = headers.iter().map(header).collect();
        Answer { status, headers, body: Bytes::from(body) }
    }

    #[test]
    fn an_answer_says_what_is_to_be_done() {
        let later = |answer: &Answer| match judge(answer) {
            Outcome::Later { wait, .. } => Some(wait),
            _ => None,
        };
        for status in [408, 425, 500, 502, 503, 520] {
            assert_eq!(later(&answer(status, &[], "")), Some(None), "{status}");
        }
        for status in [301, 307, 400, 401, 403, 404, 405, 410, 413, 422] {
            assert!(matches!(judge(&answer(status, &[], "")), Outcome::Refused { status: Some(_), .. }), "{status}");
        }
        for status in [200, 201, 204] {
            assert_eq!(judge(&answer(status, &[], "")), Outcome::Taken { pause: None }, "{status}");
        }
        let seconds = |seconds: f64| Some(Some(Duration::from_secs_f64(seconds)));
        assert_eq!(later(&answer(429, &[("retry-after", "3")], "")), seconds(3.0));
        assert_eq!(
            later(&answer(429, &[("retry-after", "0")], r#"{"retry_after":0.25,"global":false}"#)),
            seconds(0.25)
        );
        assert_eq!(later(&answer(429, &[("retry-after", "1.5")], "<html>")), seconds(1.5));
        assert_eq!(later(&answer(429, &[], "")), Some(None));
        assert_eq!(later(&answer(429, &[("retry-after", "1e30")], r#"{"retry_after":-1}"#)), Some(None));
        assert_eq!(later(&answer(429, &[("retry-after", "99999999")], "")), seconds(3600.0));
        assert_eq!(later(&answer(503, &[("retry-after", "7")], "")), seconds(7.0));
        assert_eq!(later(&answer(503, &[("retry-after", "0")], "")), Some(None), "as the backoff says");
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "1.25")];
        assert_eq!(judge(&answer(204, &spent, "")), Outcome::Taken { pause: Some(Duration::from_millis(1250)) });
        let left = [("x-ratelimit-remaining", "1"), ("x-ratelimit-reset-after", "1.25")];
        assert_eq!(judge(&answer(204, &left, "")), Outcome::Taken { pause: None });
    }

    #[test]
    fn of_an_address_the_secret_is_not_shown() {
        for (url, expected) in [
            ("https://discord.example/api/webhooks/123/secret", "discord.example/api/…"),
            ("http://me:secret@127.0.0.1:8080/h?token=secret", "127.0.0.1:8080/h…"),
            ("https://example.org", "example.org/"),
            ("secret", "an address that is none"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
