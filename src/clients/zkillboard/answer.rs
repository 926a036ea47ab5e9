//! What an answer of the numbered files says; pure.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::clients::answer::Answer;
use crate::clients::service;

/// An answer, by what is to be done about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A file that holds a kill.
    Package(Package),
    /// A file that holds none: upstream had nothing to put under this number.
    Placeholder,
    /// The number that `sequence.json` names.
    Sequence(u64),
    /// 404: not there, not yet, or not any more.
    NotFound,
    /// 403: we asked too often, or do not say who we are.
    Blocked,
    /// 429, and how long to wait if it says so.
    Busy(Option<Duration>),
    /// Anything else: a page, an error, half a body, nothing at all.
    Broken(Broken),
}

/// A numbered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The file's exact bytes.
    pub raw: Bytes,
    /// An older number whose file was written anew.
    pub updated: Option<u64>,
    pub uploaded_at: Option<Timestamp>,
}

/// Of a body that is no file, so much is kept.
const BROKEN_MAX: usize = 64 * 1024;

/// What came in the place of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Broken {
    /// Fits after "failed to".
    pub problem: String,
    /// Empty when there was none.
    pub body: Bytes,
    /// What the service asks to be waited.
    pub wait: Option<Duration>,
}

/// The part of a package that reading on depends on. What is in it otherwise, decoding tells.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    killmail_id: Value,
    #[serde(default)]
    hash: Value,
    #[serde(default)]
    esi: Option<IgnoredAny>,
    /// One of these is in every file, a kill's or not.
    #[serde(default)]
    zkb: Option<IgnoredAny>,
    #[serde(default)]
    sequence_id: Option<IgnoredAny>,
    #[serde(default)]
    sequence_updated: Value,
    #[serde(default)]
    uploaded_at: Value,
}

#[derive(Deserialize)]
struct Sequence {
    sequence: u64,
}

/// Reads the answer to the request for a numbered file.
#[must_use]
pub(super) fn file(answer: Result<Answer, service::Error>) -> Reply {
    read(answer, |body| {
        let head: Head = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        // What still names a kill is handed on, whatever it lacks: decoding tells.
        let lacks = [is_nothing(&head.killmail_id), is_nothing(&head.hash), head.esi.is_none()];
        if lacks.iter().filter(|lacks| **lacks).count() > 1 {
            let is_file = head.zkb.is_some() || head.sequence_id.is_some();
            // An error in the place of a file must not pass for a number without a kill.
            return if is_file { Ok(Reply::Placeholder) } else { Err("it is about no kill".to_owned()) };
        }
        let uploaded_at = head.uploaded_at.as_i64().and_then(|second| Timestamp::from_second(second).ok());
        Ok(Reply::Package(Package { raw: body, updated: head.sequence_updated.as_u64(), uploaded_at }))
    })
}

/// Reads the answer to the request for `sequence.json`.
#[must_use]
pub(super) fn sequence(answer: Result<Answer, service::Error>) -> Reply {
    read(answer, |body| {
        let sequence: Sequence = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        Ok(Reply::Sequence(sequence.sequence))
    })
}

/// PHP's ways to say that there is none.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

fn is_object(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn read(answer: Result<Answer, service::Error>, body: impl FnOnce(Bytes) -> Result<Reply, String>) -> Reply {
    let broken = |problem: String, body: Bytes, wait| {
        // A copy: it may be kept for minutes, and must not hold the memory of all that came.
        let body = Bytes::copy_from_slice(&body[..body.len().min(BROKEN_MAX)]);
        Reply::Broken(Broken { problem, body, wait })
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(service::Error::Open { service, retry_in }) => {
            let problem = service::Error::Open { service, retry_in }.to_string();
            return broken(problem, Bytes::new(), Some(retry_in));
        }
        Err(error) => return broken(error.to_string(), Bytes::new(), None),
    };
    match answer.status {
        200 if answer.body.is_empty() => broken("read an empty file".to_owned(), Bytes::new(), None),
        // A list would do for serde, which fills structs from them.
        200 if !is_object(&answer.body) && !answer.looks_like_html() => {
            broken("read a file that is no JSON object".to_owned(), answer.body, None)
        }
        200 if answer.looks_like_html() => broken("read a page in place of a file".to_owned(), answer.body, None),
        200 => {
            let kept = answer.body.clone();
            body(answer.body).unwrap_or_else(|error| broken(format!("read a file: {error}"), kept, None))
        }
        403 => Reply::Blocked,
        404 => Reply::NotFound,
        429 => Reply::Busy(answer.retry_after()),
        status => {
            let wait = answer.retry_after();
            broken(format!("get a file: the answer is {status}"), Bytes::new(), wait)
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

    use super::*;

    fn answer(status: u16, body: &'static str) -> Result<Answer, service::Error> {
        Ok(Answer { status, headers: HeaderMap::new(), body: body.into() })
    }

    #[test]
    fn a_package_keeps_its_bytes_and_says_what_was_written_anew() {
        let text = " {\"killmail_id\":7,\"hash\":\"ab\",\"esi\":{\"x\":1.50},\"uploaded_at\":1770000026,\"sequence_updated\":41}";
        let Reply::Package(package) = file(answer(200, text)) else { panic!("a package") };
        assert_eq!(package.raw, text);
        assert_eq!(package.updated, Some(41));
        assert_eq!(package.uploaded_at.map(Timestamp::as_second), Some(1_770_000_026));
    }

    #[test]
    fn what_is_odd_in_a_package_is_left_to_decoding() {
        for text in [
            r#"{"killmail_id":7,"hash":"ab","esi":null}"#,
            r#"{"killmail_id":7,"esi":{}}"#,
            r#"{"killmail_id":null,"hash":"ab","esi":{}}"#,
            r#"{"killmail_id":"x","hash":5,"esi":[],"sequence_updated":"?","uploaded_at":-1e99}"#,
        ] {
            assert!(matches!(file(answer(200, text)), Reply::Package(_)), "{text}");
        }
    }

    #[test]
    fn a_file_without_a_kill_is_a_placeholder() {
        for text in [
            r#"{"killmail_id":null,"hash":null,"esi":null,"zkb":{"href":"/killmails///"}}"#,
            r#"{"killmail_id":0,"hash":"","zkb":{}}"#,
            r#"{"killmail_id":null,"hash":null,"sequence_id":7}"#,
        ] {
            assert_eq!(file(answer(200, text)), Reply::Placeholder, "{text}");
        }
    }

    #[test]
    fn what_is_no_file_is_broken_and_keeps_its_bytes() {
        let errors = ["{}", "{\"error\":\"no\"}", "{\"killmail_id\":7}"];
        for text in ["<!DOCTYPE html>", "{\"killmail_id\":7", "null", "[]", "7", ""].into_iter().chain(errors) {
            let Reply::Broken(broken) = file(answer(200, text)) else { panic!("{text} is broken") };
            assert_eq!(broken.body, text);
            assert!(matches!(sequence(answer(200, text)), Reply::Broken(_)), "{text}");
        }
        assert!(matches!(sequence(answer(200, r#"{"sequence":-1}"#)), Reply::Broken(_)));
        assert_eq!(sequence(answer(200, r#"{"sequence":96088891,"x":1}"#)), Reply::Sequence(96_088_891));
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(file(answer(404, "<html>")), Reply::NotFound);
        assert_eq!(file(answer(403, "<html>")), Reply::Blocked);
        assert_eq!(file(answer(429, "")), Reply::Busy(None));
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        let busy = Answer { status: 429, headers: headers.clone(), body: Bytes::new() };
        assert_eq!(file(Ok(busy)), Reply::Busy(Some(Duration::from_secs(7))));
        let down = Answer { status: 503, headers, body: Bytes::new() };
        let Reply::Broken(broken) = file(Ok(down)) else { panic!("broken") };
        assert_eq!(
            (broken.problem.as_str(), broken.wait),
            ("get a file: the answer is 503", Some(Duration::from_secs(7)))
        );
        let open = service::Error::Open { service: "zkillboard", retry_in: Duration::from_secs(5) };
        let Reply::Broken(broken) = file(Err(open)) else { panic!("broken") };
        assert_eq!(broken.wait, Some(Duration::from_secs(5)));
    }
}
