//! What an event of the feed holds; pure.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What to do about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Bodies of kills, or what came in the place of one: decoding tells.
    Kills(Vec<Bytes>),
    /// The feed speaks of itself: `connected`, `heartbeat`, `transition`.
    State,
    /// The feed's `error`, for the log: one line, bounded.
    Complaint(String),
}

/// A batch, of which only the list matters; each kill keeps its own bytes.
#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    kills: Vec<&'a RawValue>,
}

/// The kills of one event, byte for byte.
///
/// Nothing is judged here: what is no kill goes on as one, so that it ends as a dead letter with its bytes.
/// A batch that cannot be read goes on as a whole, for the same reason.
#[must_use]
pub fn kills(kind: &str, data: String) -> Content {
    match kind {
        "connected" | "heartbeat" | "transition" => Content::State,
        "error" => Content::Complaint(data.chars().filter(|c| !c.is_control()).take(200).collect()),
        "batch" => Content::Kills(match serde_json::from_str::<Batch<'_>>(&data) {
            // Copies: one slow kill must not hold the memory of its whole batch.
            Ok(batch) => batch.kills.iter().map(|kill| Bytes::copy_from_slice(kill.get().as_bytes())).collect(),
            Err(_) => vec![Bytes::from(data)],
        }),
        _ if data.trim().is_empty() => Content::State,
        _ => Content::Kills(vec![Bytes::from(data)]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bodies(kind: &str, data: &str) -> Vec<String> {
        match kills(kind, data.to_owned()) {
            Content::Kills(kills) => {
                kills.iter().map(|kill| String::from_utf8(kill.to_vec()).expect("clean text")).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_kill_keeps_its_bytes_under_any_name() {
        let body = "{ \"killmail_id\":1,\n\"x\": 1.0e3}";
        for kind in ["message", "killmail", "something_new"] {
            assert_eq!(bodies(kind, body), [body]);
        }
    }

    #[test]
    fn a_batch_gives_each_kill_its_own_bytes() {
        let batch = r#"{"kills":[ {"killmail_id": 1} ,{"killmail_id":2,"v":1.50}],"count":2}"#;
        assert_eq!(bodies("batch", batch), [r#"{"killmail_id": 1}"#, r#"{"killmail_id":2,"v":1.50}"#]);
        assert!(bodies("batch", r#"{"kills":[]}"#).is_empty());
    }

    #[test]
    fn what_cannot_be_read_goes_on_whole() {
        for broken in [r#"{"kills":[{"a":1},"#, "<html>", r#"{"count":3}"#, "[]"] {
            assert_eq!(bodies("batch", broken), [broken]);
            assert_eq!(bodies("message", broken), [broken]);
        }
    }

    #[test]
    fn the_feed_may_speak_of_itself() {
        for kind in ["connected", "heartbeat", "transition"] {
            assert_eq!(kills(kind, "{}".into()), Content::State);
        }
        assert_eq!(kills("message", String::new()), Content::State);
        assert_eq!(kills("error", "{\u{1b}}\n".into()), Content::Complaint("{}".into()));
    }

    proptest! {
        #[test]
        fn a_batch_loses_no_kill(numbers in proptest::collection::vec(any::<i64>(), 0..20)) {
            let list: Vec<_> = numbers.iter().map(|n| format!(r#"{{"killmail_id":{n}}}"#)).collect();
            prop_assert_eq!(bodies("batch", &format!(r#"{{"kills":[{}]}}"#, list.join(" , "))), list);
        }
    }
}
