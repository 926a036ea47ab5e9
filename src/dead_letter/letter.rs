//! A failed message as a dead letter.

use broadside_engine::{Class, Message, Topology};
use jiff::Timestamp;

use super::{ATTEMPTS, Origin};
use crate::killmail::{Kill, KillmailId, progress};
use crate::store::NewDeadLetter;

/// What the letters of one pipeline have in common.
#[derive(Debug)]
pub(super) struct Writer {
    pipeline: String,
    /// In the order of the topology, by which a message knows who has it.
    batchers: Vec<String>,
    /// In the order in which kills pass them.
    stages: Vec<String>,
    origin: Origin,
}

impl Writer {
    pub(super) fn new(topology: &Topology, origin: Origin) -> Self {
        let batchers = topology.batchers.iter().map(|batcher| batcher.name.clone()).collect();
        let stages = topology.stages().map(str::to_owned).collect();
        Self { pipeline: topology.name.clone(), batchers, stages, origin }
    }

    /// What the stages before the one that failed have found.
    fn progress(&self, message: &Message<Kill>) -> Option<String> {
        let failed_at = message.failure()?.stage.as_deref()?;
        let passed = self.stages.iter().position(|stage| stage == failed_at);
        let is_sink = || self.batchers.iter().any(|batcher| batcher == failed_at);
        let passed = passed.or_else(|| is_sink().then_some(self.stages.len()))?;
        progress::write(&message.payload, &self.stages[..passed])
    }

    /// The index of a batcher.
    pub(super) fn batcher(&self, name: &str) -> Option<usize> {
        self.batchers.iter().position(|batcher| batcher == name)
    }

    /// The message, its cause, and the sinks that have it.
    pub(super) fn letter(&self, message: &Message<Kill>, now: Timestamp) -> NewDeadLetter {
        let kill = &message.payload;
        let delivered = message.delivered();
        let has_it = |(index, name): (usize, &String)| delivered.contains(index).then(|| name.clone());
        let failure = message.failure();
        let detail = |name: &str| failure.and_then(|failure| failure.detail(name));
        let place = |name: Option<&str>| name.unwrap_or("unknown").to_owned();
        let class = failure.map_or(Class::Permanent, |failure| failure.class);
        let tried: u32 = message.metadata(ATTEMPTS).and_then(|attempts| attempts.parse().ok()).unwrap_or(0);
        NewDeadLetter {
            pipeline: self.pipeline.clone(),
            source: kill.source.to_owned(),
            position: position(message),
            group: place(failure.and_then(|failure| failure.group.as_deref())),
            stage: place(failure.and_then(|failure| failure.stage.as_deref())),
            sinks_done: self.batchers.iter().enumerate().filter_map(has_it).collect(),
            class: class.as_str().to_owned(),
            error: cause(failure.map_or("no cause was given", |failure| &failure.error), &detail),
            sqlstate: detail("sqlstate").map(str::to_owned),
            http_status: detail("http_status").and_then(|status| status.parse().ok()),
            killmail_id: kill.mail.as_ref().map(|mail| mail.killmail_id).or_else(|| guess_id(&kill.raw)),
            failed_at: now,
            payload: kill.raw.to_vec(),
            definition_hash: self.origin.definition_hash.clone(),
            program_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            progress: self.progress(message),
            retry_at: self.origin.schedule.next(class, tried + 1, now),
        }
    }
}

/// The number that the source gave it, of a source that numbers.
fn position(message: &Message<Kill>) -> Option<String> {
    match (message.reference(), message.position()) {
        (0, 0) => None,
        (0, position) => Some(position.to_string()),
        (reference, position) => Some(format!("{reference}:{position}")),
    }
}

/// The error, with the column and constraint when it does not name them itself.
fn cause<'a>(error: &str, detail: &impl Fn(&str) -> Option<&'a str>) -> String {
    let named = ["column", "constraint"].into_iter().filter_map(|name| Some((name, detail(name)?)));
    let missing: Vec<_> = named.filter(|(_, value)| !error.contains(value)).collect();
    let facts: Vec<_> = missing.iter().map(|(name, value)| format!("{name} {value}")).collect();
    if facts.is_empty() { error.to_owned() } else { format!("{error} ({})", facts.join(", ")) }
}

/// The killmail's id in bytes that are no JSON or no killmail: digits after the first `"killmail_id":`. For people to search by, nothing else.
fn guess_id(raw: &[u8]) -> Option<KillmailId> {
    const KEY: &[u8] = b"\"killmail_id\"";
    let after = raw.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let rest = raw[after..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok().and_then(KillmailId::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_broken_json() {
        let guess = |text: &str| guess_id(text.as_bytes()).map(KillmailId::get);
        assert_eq!(guess(r#"{"a":1,"killmail_id" : 97030352,"victim":"#), Some(97_030_352));
        assert_eq!(guess(r#"{"killmail_id":"97030352"}"#), None);
        assert_eq!(guess(r#"{"killmail_id":99999999999999999999}"#), None);
        assert_eq!(guess("{\"killmail_id\""), None);
        assert_eq!(guess(""), None);
    }

    #[test]
    fn a_cause_names_column_and_constraint_once() {
        let detail = |name: &str| match name {
            "column" => Some("npc"),
            "constraint" => Some("npc_known"),
            _ => None,
        };
        assert_eq!(cause("npc_known is violated", &detail), "npc_known is violated");
        assert_eq!(cause("store kills", &detail), "store kills (column npc, constraint npc_known)");
    }
}
