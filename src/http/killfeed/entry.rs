//! An event as it goes out.

use crate::killmail::{SystemId, wire};
use crate::store::Event;

/// Rendered once, for all who get it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event_id: i64,
    pub(super) system_id: SystemId,
    /// `{"event_id","system_id","killmail"}`, on one line.
    pub(super) data: String,
}

impl Entry {
    pub(super) fn of(event: Event) -> Self {
        Self { event_id: event.event_id, system_id: event.system_id, data: json(&event) }
    }
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

    #[test]
    fn an_entry_is_one_line_whatever_the_payload_looks_like() {
        let event = |payload: &str| Event {
            event_id: 5,
            system_id: SystemId::new(30_000_142).expect("positive"),
            killmail_id: crate::killmail::KillmailId::new(1).expect("positive"),
            payload: payload.to_owned(),
            region_id: None,
            known: crate::killmail::Known::default(),
            matches: Vec::new(),
        };
        for payload in ["{\n  \"a\": \"x\\n\"\r\n}", "not JSON", ""] {
            let entry = Entry::of(event(payload));
            assert!(!entry.data.contains(['\n', '\r']), "{:?}", entry.data);
            assert!(entry.data.starts_with(r#"{"event_id":5,"system_id":30000142,"killmail":"#));
            serde_json::from_str::<serde_json::Value>(&entry.data).expect("an object");
        }
    }
}
