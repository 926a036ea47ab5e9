//! An event as it goes out.

use std::sync::{Mutex, PoisonError};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use schemars::JsonSchema;

use super::topic::Topic;
use crate::killmail::{Killmail, SystemId, wire};
use crate::store::Event;

/// Rendered once, and shared by all who get it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event_id: i64,
    topics: Box<[Topic]>,
    /// `event: killmail`, with its id and data.
    pub(super) frame: Bytes,
    /// Where in the frame the data are: a JSON object.
    data: std::ops::Range<usize>,
    /// As text messages, by topic: made for the first who gets one.
    messages: Mutex<Vec<(Topic, Utf8Bytes)>>,
}

impl Entry {
    pub(super) fn of(event: &Event) -> Self {
        let mut frame = format!("event: killmail\nid: {}\ndata: ", event.event_id);
        let start = frame.len();
        frame += &json(event);
        let data = start..frame.len();
        frame += "\n\n";
        Self {
            event_id: event.event_id,
            topics: Topic::of(event).collect(),
            frame: frame.into(),
            data,
            messages: Mutex::default(),
        }
    }

    /// Those that it is of, the narrowest first.
    pub(super) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The data with the topic that it is told under.
    pub(super) fn message(&self, topic: Topic) -> Utf8Bytes {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, message)) = messages.iter().find(|(of, _)| *of == topic) {
            return message.clone();
        }
        let data = std::str::from_utf8(&self.frame[self.data.clone()]).expect("it was made of text");
        let rest = data.strip_prefix('{').expect("it is an object");
        let message = Utf8Bytes::from(format!(r#"{{"event":"killmail","topic":"{topic}",{rest}"#));
        messages.push((topic, message.clone()));
        message
    }
}

/// An event as every answer has it; [`json`] writes it.
#[derive(JsonSchema)]
#[schemars(rename = "Event")]
#[allow(dead_code, reason = "says what is written")]
pub(in crate::http) struct Described {
    event_id: i64,
    system_id: SystemId,
    killmail: Killmail,
}

/// A stored event as every answer has it, `{"event_id","system_id","killmail"}` on one line: the same JSON for every feed's form, with
/// what is known of the kill in its `zkb` block. A payload that cannot be decoded, which the store should not hold, goes out as it is.
pub(super) fn json(event: &Event) -> String {
    let Event { event_id, system_id, payload, .. } = event;
    let killmail = match wire::decode(payload.as_bytes()) {
        Ok(mut mail) => {
            mail.show(event.known.clone());
            serde_json::to_string(&mail).expect("a killmail has string keys only")
        }
        Err(_) => serde_json::from_str::<serde_json::Value>(payload).unwrap_or_default().to_string(),
    };
    format!(r#"{{"event_id":{event_id},"system_id":{system_id},"killmail":{killmail}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::killmail::{ProfileId, RegionId};

    fn event(payload: &str) -> Event {
        Event {
            event_id: 5,
            system_id: SystemId::new(30_000_142).expect("positive"),
            killmail_id: crate::killmail::KillmailId::new(1).expect("positive"),
            payload: payload.to_owned(),
            region_id: RegionId::new(7),
            known: crate::killmail::Known::default(),
            matches: [3, 4].into_iter().filter_map(ProfileId::new).collect(),
        }
    }

    #[test]
    fn an_entry_is_one_line_whatever_the_payload_looks_like() {
        for payload in ["{\n  \"a\": \"x\\n\"\r\n}", "not JSON", ""] {
            let entry = Entry::of(&event(payload));
            let data = std::str::from_utf8(&entry.frame[entry.data.clone()]).expect("text");
            assert!(!data.contains(['\n', '\r']), "{data:?}");
            assert!(data.starts_with(r#"{"event_id":5,"system_id":30000142,"killmail":"#));
            serde_json::from_str::<serde_json::Value>(data).expect("an object");
            assert_eq!(entry.frame, format!("event: killmail\nid: 5\ndata: {data}\n\n"));
        }
    }

    #[test]
    fn a_message_has_the_topic_and_is_made_once() {
        let entry = Entry::of(&event("{}"));
        let topics: Vec<String> = entry.topics().iter().map(Topic::to_string).collect();
        assert_eq!(topics, ["profile:3", "profile:4", "system:30000142", "region:7", "all"]);
        let message = entry.message(Topic::All);
        assert_eq!(
            message.as_str(),
            r#"{"event":"killmail","topic":"all","event_id":5,"system_id":30000142,"killmail":{}}"#
        );
        assert_eq!(entry.message(Topic::All).as_ptr(), message.as_ptr());
        assert!(entry.message(Topic::Region(RegionId::new(7).expect("positive"))).contains(r#""topic":"region:7""#));
    }
}
