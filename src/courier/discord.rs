//! What Discord's webhooks take: an embed a kill, and lists of kills as digests.
//!
//! Nobody is ever mentioned (`allowed_mentions` is empty), and whatever a player may have named is escaped, so that it is shown as it is. Discord's limits on lengths are held: 256
//! letters of a title, 1,024 of a field, 4,096 of a description, 6,000 of all of them.

use serde_json::{Value, json};

use super::line::Parcel;
use super::message::{Content, ship_name, system_name, url};
use crate::killmail::{SystemId, TypeId, is_plain};
use crate::statics::Statics;
use crate::store::{Alert, ToldKill};

const TITLE_MAX: usize = 256;
const FIELD_MAX: usize = 1024;
/// Of a description, less than Discord allows: title and footer count too.
const LIST_MAX: usize = 4000;
const COLOR: u32 = 0x00c0_392b;

/// The body, and how many of the parcel's alerts are in it; `None`: the kill is gone.
pub(super) fn body(content: &Content<'_>) -> Option<(String, usize)> {
    let (embed, covers) = if content.parcel.is_digest { digest(content) } else { (single(content)?, 1) };
    Some((json!({ "allowed_mentions": { "parse": [] }, "embeds": [embed] }).to_string(), covers))
}

fn single(content: &Content<'_>) -> Option<Value> {
    let alert = content.parcel.alerts.first()?;
    let kill = content.kills.get(&alert.of.killmail_id)?;
    let mut fields = vec![
        field("Value", &kill.total_value.map_or_else(|| "unknown".to_owned(), isk), true),
        field("Attackers", &kill.attacker_count.to_string(), true),
    ];
    for (name, words) in [("Tags", &kill.module_tags), ("Labels", &kill.labels)] {
        if !words.is_empty() {
            fields.push(field(name, &escaped(&words.join(", ")), false));
        }
    }
    let mut embed = json!({
        "title": bounded(&escaped(&title(content.statics, kill)), TITLE_MAX),
        "url": url(kill.killmail_id),
        "color": COLOR,
        "timestamp": kill.killmail_time.to_string(),
        "fields": fields,
        "footer": { "text": bounded(&plain(content.name), TITLE_MAX) },
    });
    if let (Some(ship), Some(embed)) = (kill.ship_type_id, embed.as_object_mut()) {
        let image = format!("https://images.evetech.net/types/{ship}/render?size=64");
        embed.insert("thumbnail".to_owned(), json!({ "url": image }));
    }
    Some(embed)
}

/// As many as fit, one a line.
fn digest(content: &Content<'_>) -> (Value, usize) {
    let Parcel { alerts, sent, .. } = content.parcel;
    let (mut list, mut covers) = (String::new(), 0);
    for alert in alerts {
        let line = line(content, alert);
        if covers > 0 && length(&list) + 1 + length(&line) > LIST_MAX {
            break;
        }
        if covers > 0 {
            list.push('\n');
        }
        list.push_str(&line);
        covers += 1;
    }
    let count = sent + alerts.len();
    let part = if *sent == 0 && covers == count {
        format!("{count} more kills")
    } else {
        format!("{count} more kills: {} to {}", sent + 1, sent + covers)
    };
    let embed = json!({
        "title": part,
        "description": list,
        "color": COLOR,
        "footer": { "text": bounded(&plain(content.name), TITLE_MAX) },
    });
    (embed, covers)
}

fn line(content: &Content<'_>, alert: &Alert) -> String {
    let id = alert.of.killmail_id;
    let link = format!("[{id}]({})", url(id));
    let Some(kill) = content.kills.get(&id) else { return link };
    let value = kill.total_value.map_or_else(String::new, |cents| format!(", {}", isk(cents)));
    let place = bounded(&escaped(&title(content.statics, kill)), 200);
    format!("{link} {place}{value}")
}

/// `Rifter in Jita`.
fn title(statics: &Statics, kill: &ToldKill) -> String {
    let ship = |id: TypeId| ship_name(statics, id).map_or_else(|| format!("Type {id}"), str::to_owned);
    let system = |id: SystemId| system_name(statics, id).map_or_else(|| format!("system {id}"), str::to_owned);
    let lost = kill.ship_type_id.map_or_else(|| "Something".to_owned(), ship);
    format!("{lost} in {}", system(kill.system_id))
}

fn field(name: &str, value: &str, inline: bool) -> Value {
    json!({ "name": name, "value": bounded(value, FIELD_MAX), "inline": inline })
}

/// `1.23B ISK`.
fn isk(cents: i64) -> String {
    let isk = cents as f64 / 100.0;
    let (value, unit) = match isk.abs() {
        1e12.. => (isk / 1e12, "T"),
        1e9.. => (isk / 1e9, "B"),
        1e6.. => (isk / 1e6, "M"),
        1e3.. => (isk / 1e3, "k"),
        _ => (isk, ""),
    };
    format!("{value:.2}{unit} ISK")
}

/// Without what steers a reader's screen.
fn plain(text: &str) -> String {
    text.chars().filter(|character| is_plain(*character)).collect()
}

/// As it is, in Discord's Markdown.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in plain(text).chars() {
        if c.is_ascii_punctuation()
            && !matches!(c, ',' | '.' | '\'' | '"' | '%' | '/' | '&' | ';' | '?' | '!' | '=' | '$')
        {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// As Discord counts: a letter beyond the first 65,536 may be two.
fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// No longer than that; cut, it ends with an ellipsis, and in no half of an escape.
fn bounded(text: &str, max: usize) -> String {
    if length(text) <= max {
        return text.to_owned();
    }
    let (mut out, mut length) = (String::new(), 0);
    for c in text.chars() {
        if length + c.len_utf16() > max - 1 {
            break;
        }
        length += c.len_utf16();
        out.push(c);
    }
    if out.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
        out.pop();
    }
    out.push('…');
    out
}
