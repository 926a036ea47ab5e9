//! Dead letters and their groups as JSON: the same from the commands and over HTTP.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::killmail::KillmailId;
use crate::store::{Attempt, DeadLetter, DeadLetterGroup, NewDeadLetter};

/// A letter without what is long.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
pub struct Letter<'a> {
    id: i64,
    pipeline: &'a str,
    source: &'a str,
    /// What the source calls its place.
    position: Option<&'a str>,
    /// open, retrying, replayed or discarded.
    state: &'static str,
    /// The worker group …
    group: &'a str,
    /// … and the stage or sink in which it failed.
    stage: &'a str,
    /// Batchers whose sinks have it.
    sinks_done: &'a [String],
    /// invalid, permanent, transient or panic.
    class: &'a str,
    error: &'a str,
    sqlstate: Option<&'a str>,
    http_status: Option<u16>,
    killmail_id: Option<KillmailId>,
    attempts: i64,
    first_failed_at: Timestamp,
    last_failed_at: Timestamp,
    /// When it is tried again by itself.
    retry_at: Option<Timestamp>,
    /// Until when whoever retries it has it.
    held_until: Option<Timestamp>,
    /// When it went through or was given up.
    settled_at: Option<Timestamp>,
    /// Why it was discarded.
    note: Option<&'a str>,
    /// Of its group.
    fingerprint: &'a str,
    /// Of the pipeline file that it failed under.
    definition_hash: Option<&'a str>,
    program_version: Option<&'a str>,
    payload_bytes: i64,
    /// Whether the payload is not as received any more.
    is_edited: bool,
}

impl<'a> From<&'a DeadLetter> for Letter<'a> {
    fn from(kept: &'a DeadLetter) -> Self {
        let letter = &kept.letter;
        Self {
            id: kept.id,
            pipeline: &letter.pipeline,
            source: &letter.source,
            position: letter.position.as_deref(),
            state: kept.state.as_str(),
            group: &letter.group,
            stage: &letter.stage,
            sinks_done: &letter.sinks_done,
            class: &letter.class,
            error: &letter.error,
            sqlstate: letter.sqlstate.as_deref(),
            http_status: letter.http_status,
            killmail_id: letter.killmail_id,
            attempts: kept.attempts,
            first_failed_at: kept.first_failed_at,
            last_failed_at: kept.last_failed_at,
            retry_at: letter.retry_at,
            held_until: kept.held_until,
            settled_at: kept.settled_at,
            note: kept.note.as_deref(),
            fingerprint: &kept.fingerprint,
            definition_hash: letter.definition_hash.as_deref(),
            program_version: letter.program_version.as_deref(),
            payload_bytes: kept.payload_bytes,
            is_edited: kept.is_edited,
        }
    }
}

/// A letter with all of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "WholeDeadLetter")]
pub struct Whole<'a> {
    #[serde(flatten)]
    letter: Letter<'a>,
    /// The attempts, oldest first: the first and the last twenty.
    history: &'a [Attempt],
    /// As text; bytes that are none are replaced.
    payload: Cow<'a, str>,
    /// The payload as received, when it was edited.
    original: Option<Cow<'a, str>>,
}

impl<'a> From<&'a DeadLetter> for Whole<'a> {
    fn from(kept: &'a DeadLetter) -> Self {
        Self {
            letter: kept.into(),
            history: &kept.history,
            payload: String::from_utf8_lossy(&kept.letter.payload),
            original: kept.original.as_deref().map(String::from_utf8_lossy),
        }
    }
}

/// Letters that failed alike.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetterGroup")]
pub struct Group<'a> {
    fingerprint: &'a str,
    pipeline: &'a str,
    stage: &'a str,
    class: &'a str,
    /// With placeholders for what differs.
    error: &'a str,
    /// SQLSTATE or HTTP status.
    status: Option<Cow<'a, str>>,
    /// open, acknowledged, fixed or regressed.
    state: &'static str,
    /// The version that is said to have fixed it.
    fixed_in: Option<&'a str>,
    /// When its state was said.
    changed_at: Option<Timestamp>,
    note: Option<&'a str>,
    /// Letters that are open or on their way.
    open: i64,
    /// All that are kept.
    total: i64,
    first_failed_at: Timestamp,
    last_failed_at: Timestamp,
    /// Letters by the hour in which they failed last: 24, oldest first, the last one not yet over.
    trend: &'a [i64],
    /// The one that failed last.
    sample: Letter<'a>,
}

impl<'a> From<&'a DeadLetterGroup> for Group<'a> {
    fn from(group: &'a DeadLetterGroup) -> Self {
        let letter = &group.sample.letter;
        let status = letter.http_status.map(|status| Cow::from(status.to_string()));
        Self {
            fingerprint: &group.fingerprint,
            pipeline: &letter.pipeline,
            stage: &letter.stage,
            class: &letter.class,
            error: &group.sample.error_text,
            status: letter.sqlstate.as_deref().map(Cow::from).or(status),
            state: group.state.as_str(),
            fixed_in: group.fixed_in.as_deref(),
            changed_at: group.changed_at,
            note: group.note.as_deref(),
            open: group.open,
            total: group.total,
            first_failed_at: group.first_failed_at,
            last_failed_at: group.last_failed_at,
            trend: &group.trend,
            sample: (&group.sample).into(),
        }
    }
}

/// A letter on its way to another database, or to a test: a line of an export. Text where it is text.
#[derive(Debug, Clone, Serialize)]
pub struct Exported<'a> {
    /// The identity of the database that it is of.
    database: &'a str,
    #[serde(flatten)]
    letter: Letter<'a>,
    history: &'a [Attempt],
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<&'a str>,
    #[serde(flatten)]
    payload: Payload,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Payload {
    #[serde(rename = "payload")]
    Text(String),
    #[serde(rename = "payload_base64")]
    Bytes(String),
}

impl<'a> Exported<'a> {
    /// Of this database.
    #[must_use]
    pub fn new(kept: &'a DeadLetter, database: &'a str) -> Self {
        let payload = match std::str::from_utf8(&kept.letter.payload) {
            Ok(text) => Payload::Text(text.to_owned()),
            Err(_) => Payload::Bytes(STANDARD.encode(&kept.letter.payload)),
        };
        let progress = kept.letter.progress.as_deref();
        Self { database, letter: kept.into(), history: &kept.history, progress, payload }
    }
}

/// A line of an export, read. What it may leave out, it need not know: a line written by hand for a test has few fields.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    database: Option<String>,
    pipeline: String,
    #[serde(default)]
    source: String,
    position: Option<String>,
    group: String,
    stage: String,
    #[serde(default)]
    sinks_done: Vec<String>,
    class: String,
    error: String,
    sqlstate: Option<String>,
    http_status: Option<u16>,
    killmail_id: Option<i64>,
    #[serde(default = "one")]
    attempts: i64,
    first_failed_at: Timestamp,
    last_failed_at: Timestamp,
    definition_hash: Option<String>,
    program_version: Option<String>,
    progress: Option<String>,
    #[serde(default)]
    history: Vec<Attempt>,
    #[serde(flatten)]
    payload: Payload,
}

const fn one() -> i64 {
    1
}

/// Reads a line of an export for this database. Of another one's letter it is not taken over which sinks have it, nor what was found of it: here
/// it goes through the whole pipeline to every sink.
///
/// # Errors
/// It is no such line: why not.
pub fn imported(line: &str, database: &str) -> Result<DeadLetter, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let payload = match line.payload {
        Payload::Text(text) => text.into_bytes(),
        Payload::Bytes(text) => STANDARD.decode(text).map_err(|error| format!("payload_base64: {error}"))?,
    };
    let is_ours = line.database.as_deref() == Some(database);
    let letter = NewDeadLetter {
        pipeline: line.pipeline,
        source: line.source,
        position: line.position,
        group: line.group,
        stage: line.stage,
        sinks_done: if is_ours { line.sinks_done } else { Vec::new() },
        class: line.class,
        error: line.error,
        sqlstate: line.sqlstate,
        http_status: line.http_status,
        killmail_id: line.killmail_id.and_then(KillmailId::new),
        failed_at: line.last_failed_at,
        payload,
        definition_hash: line.definition_hash,
        program_version: line.program_version,
        progress: line.progress.filter(|_| is_ours),
        retry_at: None,
    };
    Ok(DeadLetter {
        attempts: line.attempts.max(1),
        first_failed_at: line.first_failed_at,
        last_failed_at: line.last_failed_at,
        history: line.history,
        letter,
        ..DeadLetter::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(payload: &[u8]) -> DeadLetter {
        let letter = NewDeadLetter {
            pipeline: "kills".to_owned(),
            group: "enrich".to_owned(),
            stage: "price".to_owned(),
            sinks_done: vec!["db_insert".to_owned()],
            class: "transient".to_owned(),
            error: "no price".to_owned(),
            http_status: Some(502),
            killmail_id: KillmailId::new(7),
            payload: payload.to_vec(),
            progress: Some("{}".to_owned()),
            ..NewDeadLetter::default()
        };
        let history = vec![Attempt::from(&letter)];
        DeadLetter { id: 3, attempts: 2, history, letter, ..DeadLetter::default() }
    }

    #[test]
    fn a_letter_comes_back_as_it_was_exported_whatever_its_bytes() {
        for payload in [&b"{\"a\": 1}"[..], b"", b"\xff\x00{", "ä\n\u{1}".as_bytes()] {
            let kept = kept(payload);
            let line = serde_json::to_string(&Exported::new(&kept, "here")).expect("it serializes");
            assert!(!line.contains('\n'), "one line");
            let back = imported(&line, "here").expect("it is a line of ours");
            assert_eq!(back, DeadLetter { id: 0, ..kept });
        }
    }

    #[test]
    fn a_letter_of_another_database_goes_to_every_sink_here() {
        let line = serde_json::to_string(&Exported::new(&kept(b"x"), "there")).expect("it serializes");
        let NewDeadLetter { sinks_done, progress, .. } = imported(&line, "here").expect("a line").letter;
        assert_eq!((sinks_done, progress), (Vec::new(), None));
    }

    #[test]
    fn a_line_without_a_payload_is_refused() {
        let line = serde_json::to_string(&Letter::from(&kept(b"x"))).expect("it serializes");
        assert!(imported(&line, "here").is_err());
        assert!(imported("{}", "here").is_err());
    }
}
