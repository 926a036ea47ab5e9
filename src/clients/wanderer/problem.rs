//! Why a connection to the feed ended, and what that means for the next one.

use std::time::Duration;

use eventsource_client::{Error as ClientError, Response};
use futures::StreamExt;
use launchdarkly_sdk_transport::ByteStream;

use crate::clients::answer;

/// A request that the service calls wrong will be wrong again: it is asked again, but slowly.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// What is read of the text of a refusal.
const BODY_MAX: usize = 4096;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Texts fit after "failed to".
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("hear anything for {0:?}")]
    Silence(Duration),
    #[error("read on: the server ended the stream")]
    Ended,
    #[error("be let in: status {status}")]
    Refused { status: u16, retry_after: Option<Duration> },
    #[error("{0}")]
    Other(String),
}

impl Problem {
    /// The problem, and the body that explains it if there is one.
    pub(super) fn of(error: ClientError) -> (Self, Option<ByteStream>) {
        match error {
            ClientError::Eof | ClientError::UnexpectedEof => (Self::Ended, None),
            ClientError::UnexpectedResponse(response, body) => (
                Self::Refused { status: response.status(), retry_after: retry_after(&response) },
                Some(body.into_stream()),
            ),
            error => (Self::Other(causes(&error)), None),
        }
    }

    /// What is to be waited at least.
    pub(super) fn least_wait(&self) -> Duration {
        match self {
            Self::Refused { retry_after: Some(wait), .. } => *wait,
            Self::Refused { status: 400..=499, .. } if !self.is_busy() => REFUSED_WAIT,
            _ => Duration::ZERO,
        }
    }

    fn is_busy(&self) -> bool {
        matches!(self, Self::Refused { status: 408 | 420 | 425 | 429, .. })
    }
}

/// The whole chain in one line: "error sending request" alone helps nobody.
fn causes(error: &ClientError) -> String {
    let mut text = match error {
        ClientError::Transport(_) => "read the feed".to_owned(),
        other => format!("read the feed: {other}"),
    };
    let mut next = error.source().and_then(|transport| transport.source());
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    crate::clients::printable(&text)
}

fn retry_after(response: &Response) -> Option<Duration> {
    answer::retry_after(response.get_header_value("retry-after").ok()??, jiff::Timestamp::now())
}

/// The message of `{"error":{"message":…}}`, or the beginning of whatever it is, in one printable line.
pub(super) async fn explanation(mut body: ByteStream) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while let Some(Ok(chunk)) = body.next().await {
            bytes.extend_from_slice(&chunk[..chunk.len().min(BODY_MAX - bytes.len())]);
            if bytes.len() == BODY_MAX {
                break;
            }
        }
    };
    // Late text explains nothing: what has come by then will do.
    let _ = tokio::time::timeout(BODY_TIMEOUT, read).await;
    message(&bytes)
}

fn message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let said = json.as_ref().and_then(|json| {
        let error = json.get("error")?;
        error.get("message").unwrap_or(error).as_str()
    });
    said.map_or_else(|| crate::clients::printable(&String::from_utf8_lossy(body)), crate::clients::printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_refusal_is_one_bounded_printable_line() {
        assert_eq!(message(br#"{"error":{"type":"x","message":"bad\n\u001b[31mids"}}"#), "bad  [31mids");
        assert_eq!(message(br#"{"error":"gone"}"#), "gone");
        assert_eq!(message(b"<html>\r\n"), "<html>");
        assert!(message(&[b'x'; 5000]).len() <= 200);
    }

    #[test]
    fn a_wrong_request_is_asked_again_slowly_and_a_busy_service_as_it_says() {
        let wait = |status, retry_after| Problem::Refused { status, retry_after }.least_wait();
        assert_eq!(wait(400, None), REFUSED_WAIT);
        assert_eq!(wait(503, None), Duration::ZERO);
        assert_eq!(wait(429, None), Duration::ZERO);
        assert_eq!(wait(429, Some(Duration::from_secs(7))), Duration::from_secs(7));
    }
}
