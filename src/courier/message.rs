//! What is posted to a target: JSON for programs, and the choice between that and `discord`.
//!
//! A match:
//!
//! ```json
//! {"type": "match", "event_id": 17, "profile": {"id": 7, "name": "Titans"}, "killmail": {…}, "values": {"total": 1234.50, "destroyed": 1000.00, "dropped": 234.50,
//!  "fitted": null}, "tags": ["T2"], "labels": ["pvp"], "system": {"id": 30000142, "name": "Jita"}, "ship": {"id": 587, "name": "Rifter"},
//!  "url": "https://zkillboard.com/kill/97030352/"}
//! ```
//!
//! `killmail` is as in the killfeed; `event_id` is its event's, null where there was none, as when an alert is made again for a dead letter. Money is ISK, exact. Names
//! are null where the static data lack them.
//!
//! What a profile matches beyond so many kills a minute comes as digests, of which each names some of the kills, in order: `from` counts those in digests before it, `count` is all of them.
//!
//! ```json
//! {"type": "digest", "profile": {"id": 7, "name": "Titans"}, "count": 40, "from": 0, "kills": [{"event_id": 48, "killmail_id": 97030352, "killmail_time": "2026-01-02T03:04:05Z",
//!  "system": {…}, "ship": {…}, "value": 1234.50, "url": "…"}, …]}
//! ```
//!
//! The header `Idempotency-Key` is the same for every attempt at a message: an alert may come more than once, when nobody could tell whether it had arrived.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::discord;
use super::line::Parcel;
use crate::killmail::{KillmailId, ProfileId, SystemId, TargetId, TypeId, wire};
use crate::profile::document::Format;
use crate::statics::Statics;
use crate::store::{Alert, ToldKill};

/// To be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub body: String,
    /// The same for every attempt.
    pub key: String,
    /// How many of the parcel's alerts are in it, from the first on.
    pub covers: usize,
}

/// What a message is made of.
#[derive(Debug)]
pub struct Content<'a> {
    pub name: &'a str,
    pub target: TargetId,
    pub parcel: &'a Parcel,
    /// Those that are stored.
    pub kills: &'a HashMap<KillmailId, ToldKill>,
    pub statics: &'a Statics,
}

/// Puts it into words; `None`: there is nothing to tell, because the kill is gone.
#[must_use]
pub fn compose(format: Format, content: &Content<'_>) -> Option<Message> {
    let (body, covers) = match format {
        Format::Json => (json(content)?, content.parcel.alerts.len()),
        Format::Discord => discord::body(content)?,
    };
    Some(Message { body, key: key(content, covers), covers })
}

fn key(content: &Content<'_>, covers: usize) -> String {
    let Parcel { profile_id, is_digest, alerts, .. } = content.parcel;
    let ids: Vec<i64> = alerts.iter().take(covers).map(|alert| alert.of.killmail_id.get()).collect();
    let (first, target) = (ids.first().copied().unwrap_or_default(), content.target);
    if *is_digest {
        // Of ids that stay the same for as long as they are all to be told.
        let last = ids.last().copied().unwrap_or_default();
        format!("digest-{profile_id}-{first}-{last}-{}-{target}", ids.len())
    } else {
        format!("match-{profile_id}-{first}-{target}")
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Body<'a> {
    Match {
        event_id: Option<i64>,
        profile: Profile<'a>,
        killmail: Box<RawValue>,
        values: Values,
        tags: &'a [String],
        labels: &'a [String],
        system: Named<'a>,
        ship: Option<Named<'a>>,
        url: String,
    },
    Digest {
        profile: Profile<'a>,
        count: usize,
        from: usize,
        kills: Vec<Entry<'a>>,
    },
}

#[derive(Serialize)]
struct Profile<'a> {
    id: ProfileId,
    name: &'a str,
}

#[derive(Serialize)]
struct Values {
    total: Option<Box<RawValue>>,
    destroyed: Option<Box<RawValue>>,
    dropped: Option<Box<RawValue>>,
    fitted: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Named<'a> {
    id: i64,
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Entry<'a> {
    event_id: Option<i64>,
    killmail_id: KillmailId,
    killmail_time: String,
    system: Option<Named<'a>>,
    ship: Option<Named<'a>>,
    value: Option<Box<RawValue>>,
    url: String,
}

fn json(content: &Content<'_>) -> Option<String> {
    let profile = Profile { id: content.parcel.profile_id, name: content.name };
    let body = if content.parcel.is_digest {
        let kills: Vec<Entry<'_>> = content.parcel.alerts.iter().map(|alert| entry(content, alert)).collect();
        let sent = content.parcel.sent;
        Body::Digest { profile, count: sent + kills.len(), from: sent, kills }
    } else {
        let alert = content.parcel.alerts.first()?;
        let kill = content.kills.get(&alert.of.killmail_id)?;
        Body::Match {
            event_id: alert.of.event_id,
            profile,
            killmail: killmail(&kill.payload),
            values: Values {
                total: kill.total_value.map(isk),
                destroyed: kill.destroyed_value.map(isk),
                dropped: kill.dropped_value.map(isk),
                fitted: kill.fitted_value.map(isk),
            },
            tags: &kill.module_tags,
            labels: &kill.labels,
            system: system(content.statics, kill.system_id),
            ship: kill.ship_type_id.map(|id| ship(content.statics, id)),
            url: url(kill.killmail_id),
        }
    };
    serde_json::to_string(&body).ok()
}

fn entry<'a>(content: &Content<'a>, alert: &Alert) -> Entry<'a> {
    let (id, kill) = (alert.of.killmail_id, content.kills.get(&alert.of.killmail_id));
    Entry {
        event_id: alert.of.event_id,
        killmail_id: id,
        killmail_time: alert.of.killmail_time.to_string(),
        system: kill.map(|kill| system(content.statics, kill.system_id)),
        ship: kill.and_then(|kill| kill.ship_type_id).map(|id| ship(content.statics, id)),
        value: kill.and_then(|kill| kill.total_value).map(isk),
        url: url(id),
    }
}

/// As the killfeed has it; a payload that cannot be decoded, which the store should not hold, as it is.
fn killmail(payload: &str) -> Box<RawValue> {
    let text = match wire::decode(payload.as_bytes()) {
        Ok(mail) => serde_json::to_string(&mail).unwrap_or_default(),
        Err(_) => payload.to_owned(),
    };
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Cents as ISK, exact.
fn isk(cents: i64) -> Box<RawValue> {
    let (sign, cents) = (if cents < 0 { "-" } else { "" }, cents.unsigned_abs());
    let text = format!("{sign}{}.{:02}", cents / 100, cents % 100);
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn system(statics: &Statics, id: SystemId) -> Named<'_> {
    Named { id: id.get(), name: system_name(statics, id) }
}

fn ship(statics: &Statics, id: TypeId) -> Named<'_> {
    Named { id: id.get(), name: ship_name(statics, id) }
}

pub(super) fn system_name(statics: &Statics, id: SystemId) -> Option<&str> {
    statics.systems.get(&id).map(|system| &*system.name)
}

pub(super) fn ship_name(statics: &Statics, id: TypeId) -> Option<&str> {
    statics.types.get(&id).map(|ship| &*ship.name)
}

/// Where people look at a kill.
pub(super) fn url(id: KillmailId) -> String {
    format!("https://zkillboard.com/kill/{id}/")
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
