//! An answer that came whole, whatever its status; and the headers that say when to ask again.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{self, HeaderMap};

/// However long a service asks us to wait, look again after an hour.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Status, headers and the whole body, unpacked.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// `Retry-After`, as seconds or as a date; an hour at most.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.text(header::RETRY_AFTER)?, Timestamp::now())
    }

    /// When it was made, by the service's clock, in whole seconds.
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        date(self.text(header::DATE)?)
    }

    /// When the service has something new at the earliest, if it says so.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        date(self.text(header::EXPIRES)?)
    }

    /// The tag to send back in `If-None-Match`.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.text(header::ETAG)
    }

    /// A header as text.
    #[must_use]
    pub fn text(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// Whether it is a page for people: what gateways send in the place of what was asked for.
    #[must_use]
    pub fn looks_like_html(&self) -> bool {
        self.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
    }

    /// The beginning of the body in one printable line, for an error.
    #[must_use]
    pub fn excerpt(&self) -> String {
        super::printable(&String::from_utf8_lossy(&self.body[..self.body.len().min(200)]))
    }
}

/// An HTTP date.
fn date(text: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}

/// Seconds, or a date; an hour at most.
pub(crate) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = text
        .parse()
        .map(Duration::from_secs)
        .ok()
        .or_else(|| Some(Duration::try_from(date(text)?.duration_since(now)).unwrap_or_default()))?;
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_as_seconds_or_as_a_date_and_bounded() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        for (text, seconds) in [
            (" 7 ", Some(7)),
            ("Fri, 02 Jan 2026 03:05:05 GMT", Some(60)),
            ("Fri, 02 Jan 2026 03:00:00 GMT", Some(0)),
            ("99999999", Some(3600)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_page_is_told_from_data() {
        let answer = |body: &'static str| Answer { status: 200, headers: HeaderMap::new(), body: body.into() };
        assert!(answer(" \n<!DOCTYPE html>").looks_like_html());
        assert!(!answer("{\"a\":\"<\"}").looks_like_html() && !answer("").looks_like_html());
    }
}
