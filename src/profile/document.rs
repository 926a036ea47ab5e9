//! A profile as a user writes it, read and checked.
//!
//! ```
//! use broadside::profile::Document;
//! let document = r#"{"name": "Solo in Jita", "targets": [{"url": "https://example.org/hook", "format": "json"}], "filter":
//!     {"field": "solo", "operator": "eq", "value": true}}"#;
//! assert!(Document::parse(document).is_ok());
//! let error = Document::parse(r#"{"name": "", "filter": {}}"#).expect_err("a name is needed");
//! assert!(error.to_string().starts_with("at name: found \"\"; allowed: 1 to 200 characters"));
//! ```

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::filter::Filter;
use super::json::{self, Raw};
use super::layout::compact;
use super::parse;
use super::problem::{Path, Problem};
use crate::killmail::ProfileId;

/// Characters of a name.
pub const NAME_MAX: usize = 200;
/// Characters of an owner.
pub const OWNER_MAX: usize = 100;
/// Targets of a profile.
pub const TARGETS_MAX: usize = 10;
/// Bytes of a URL.
pub const URL_MAX: usize = 2_000;
/// Bytes of a document: its filter's, and room for the rest.
pub const BYTES_MAX: usize = parse::BYTES_MAX + 64 * 1024;
/// Stands for what is not shown of a URL. No document may hold it.
const MASK: &str = "***";

const KEYS: [&str; 6] = ["profile_id", "owner", "name", "filter", "enabled", "targets"];
const DOCUMENT: &str = "an object with `name` and `filter`";
const TARGET: &str = r#"an object such as {"url": "https://…", "format": "json or discord"}"#;

/// `{"name", "filter", "enabled": true, "targets": [{"url", "format"}], "owner"}`, with `profile_id` for one that exists.
#[derive(Debug, Clone)]
pub struct Document {
    pub profile_id: Option<ProfileId>,
    pub owner: Option<String>,
    pub name: String,
    pub filter: Filter,
    /// As it was written, without blanks.
    pub filter_json: String,
    pub enabled: bool,
    pub targets: Vec<Target>,
}

/// Where a match is told.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// May hold a secret: it is never logged.
    pub url: String,
    #[serde(default)]
    pub format: Format,
}

/// What a target reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Json,
    /// Discord's webhooks.
    Discord,
}

impl Format {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Discord => "discord",
        }
    }
}

impl Target {
    /// Its URL without what may be secret: who it is, not how to get in. No document is accepted with it.
    #[must_use]
    pub fn masked(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", ""));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}/{MASK}")
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("url", &self.masked()).field("format", &self.format).finish()
    }
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// The first thing that is not as it must be, with its place. Of a URL nothing is repeated.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let path = Path::default();
        if text.len() > BYTES_MAX {
            return Err(Problem::said(&path, format!("{} bytes", text.len()), format!("at most {BYTES_MAX} bytes")));
        }
        let raw = json::value(text)?;
        let members = json::object(raw, &path, DOCUMENT).map_err(|problem| {
            if problem.path == path { Problem::said(&path, sort(raw), DOCUMENT) } else { problem }
        })?;
        if let Some((key, _)) = members.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) {
            return Err(Problem::said(&path.key(key), "an unknown key", KEYS.join(", ")));
        }
        let optional = |key: &str| members.iter().find(|(name, _)| name == key).map(|(_, raw)| *raw);
        let given = |key: &str| optional(key).filter(|raw| raw.get() != "null");
        let needed = |key: &str| optional(key).ok_or_else(|| Problem::said(&path.key(key), "nothing", of(key)));
        let (name, filter) = (needed("name")?, needed("filter")?);
        Ok(Self {
            profile_id: given("profile_id").map(|raw| id(raw, &path.key("profile_id"))).transpose()?,
            owner: given("owner").map(|raw| words(raw, &path.key("owner"), OWNER_MAX)).transpose()?,
            name: words(name, &path.key("name"), NAME_MAX)?,
            filter: Filter::read(filter, &path.key("filter"))?,
            filter_json: compact(filter.get()),
            enabled: optional("enabled").map(|raw| json::flag(raw, &path.key("enabled"))).transpose()?.unwrap_or(true),
            targets: optional("targets").map(|raw| targets(raw, &path.key("targets"))).transpose()?.unwrap_or_default(),
        })
    }

    /// Its targets as JSON: what is stored.
    #[must_use]
    pub fn targets_json(&self) -> String {
        serde_json::to_string(&self.targets).expect("strings serialize")
    }
}

/// Reads targets as they are stored.
///
/// # Errors
/// They are not as they must be. Of a URL nothing is repeated.
pub fn parse_targets(text: &str) -> Result<Vec<Target>, Problem> {
    let path = Path::default().key("targets");
    if text == "[]" {
        return Ok(Vec::new());
    }
    let raw = serde_json::from_str(text).map_err(|_| Problem::said(&path, "no JSON", "a list of targets"))?;
    targets(raw, &path)
}

/// A stored profile as JSON: a document, and maybe what else is known of it. Filter and targets are as they are stored.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Profile")]
pub struct Written<'a> {
    pub profile_id: ProfileId,
    pub owner: Option<&'a str>,
    pub name: &'a str,
    pub enabled: bool,
    #[schemars(with = "serde_json::Value")]
    pub filter: Box<RawValue>,
    #[schemars(with = "serde_json::Value")]
    pub targets: Box<RawValue>,
    #[serde(flatten)]
    pub figures: Option<Figures>,
}

/// What is known of a profile that no document says.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Figures {
    /// Counts its changes, from 1.
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub matches: i64,
    pub last_matched_at: Option<Timestamp>,
}

/// A filter as it is stored; one that is no JSON as the text that it is.
#[must_use]
pub fn written_filter(text: &str) -> Box<RawValue> {
    let compact =
        serde_json::from_str::<&RawValue>(text).ok().and_then(|raw| RawValue::from_string(compact(raw.get())).ok());
    compact.unwrap_or_else(|| raw(&text))
}

/// Targets as they are stored. Without `reveal`, URLs are masked; what cannot be read is then left out, as it may hold some.
#[must_use]
pub fn written_targets(text: &str, reveal: bool) -> Box<RawValue> {
    if reveal {
        return written_filter(text);
    }
    let masked = |target: Target| Target { url: target.masked(), format: target.format };
    let read = parse_targets(text).map(|targets| targets.into_iter().map(masked).collect::<Vec<_>>());
    raw(&read.ok())
}

fn raw<T: Serialize>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("strings serialize")
}

/// What stands there, without what is in it: a secret, maybe.
fn sort(raw: Raw<'_>) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b'{') => "an object that cannot be read",
        _ => "something else",
    }
}

fn of(key: &str) -> String {
    match key {
        "name" => format!("a name of 1 to {NAME_MAX} characters"),
        _ => "a filter: an object with `condition` and `rules`, or one with `field`, `operator` and `value`".to_owned(),
    }
}

fn id(raw: Raw<'_>, path: &Path) -> Result<ProfileId, Problem> {
    let id = serde_json::from_str(raw.get()).ok().and_then(ProfileId::new);
    id.ok_or_else(|| Problem::new(path, raw.get(), "the id of a profile that there is (a whole number above 0)"))
}

fn words(raw: Raw<'_>, path: &Path, most: usize) -> Result<String, Problem> {
    let allowed = format!("1 to {most} characters, no control characters among them");
    let words = json::text(raw, path, &allowed)?;
    let is_fit = !words.trim().is_empty() && words.chars().count() <= most && !words.chars().any(char::is_control);
    if is_fit { Ok(words) } else { Err(Problem::new(path, raw.get(), allowed)) }
}

fn targets(raw: Raw<'_>, path: &Path) -> Result<Vec<Target>, Problem> {
    let said = |found: String, allowed: String| Problem::said(path, found, allowed);
    // The list itself is not shown: it may hold secrets.
    let elements = json::list(raw, path, "").map_err(|_| said("no list".to_owned(), "a list of targets".to_owned()))?;
    if elements.len() > TARGETS_MAX {
        return Err(said(format!("{} targets", elements.len()), format!("at most {TARGETS_MAX}")));
    }
    let mut targets: Vec<Target> = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        let at = path.index(index);
        let target = target(element, &at)?;
        if targets.iter().any(|earlier| earlier.url == target.url) {
            return Err(Problem::said(&at.key("url"), "the same URL twice", "each URL once"));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn target(raw: Raw<'_>, path: &Path) -> Result<Target, Problem> {
    let no_object = |problem: Problem| {
        // A key that stands there twice has its own path; else what was found may hold a secret.
        if problem.path == *path { Problem::said(path, sort(raw), TARGET) } else { problem }
    };
    let members = json::object(raw, path, TARGET).map_err(no_object)?;
    if let Some((key, _)) = members.iter().find(|(key, _)| key != "url" && key != "format") {
        return Err(Problem::said(&path.key(key), "an unknown key", "url, format"));
    }
    let member = |key: &str| members.iter().find(|(name, _)| name == key).map(|(_, raw)| *raw);
    let at = path.key("url");
    let url = member("url").and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let url = url.ok_or_else(|| Problem::said(&at, "no text", "an http:// or https:// URL"))?;
    check(&url, &at)?;
    let at = path.key("format");
    let format = match member("format") {
        None => Format::default(),
        Some(raw) => {
            serde_json::from_str(raw.get()).map_err(|_| Problem::new(&at, raw.get(), "\"json\" or \"discord\""))?
        }
    };
    Ok(Target { url, format })
}

/// What is wrong is said without the URL.
fn check(url: &str, path: &Path) -> Result<(), Problem> {
    let refuse = |found: &str, allowed: &str| Err(Problem::said(path, found, allowed));
    if url.len() > URL_MAX {
        return refuse("a URL that is too long", &format!("at most {URL_MAX} bytes"));
    }
    if url.contains(MASK) {
        return refuse(
            "a URL that is masked, as `profiles show` prints it",
            "the URL itself: `profiles show ID --reveal` prints that",
        );
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(
            "a URL with blanks, control characters or letters beyond ASCII",
            "a URL with those percent-encoded",
        );
    }
    let lower = url.get(..8).unwrap_or(url).to_ascii_lowercase();
    let rest = match (lower.starts_with("http://"), lower.starts_with("https://")) {
        (true, _) => &url[7..],
        (_, true) => &url[8..],
        _ => return refuse("a URL of another kind", "an http:// or https:// URL"),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if is_place(authority.rsplit('@').next().unwrap_or_default()) {
        Ok(())
    } else {
        refuse("a URL without a proper host", "a host's name or address, with a port from 1 to 65535 if any")
    }
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`.
fn is_place(place: &str) -> bool {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => (address, port),
        Some(_) => return false,
        None => place.find(':').map_or((place, ""), |at| place.split_at(at)),
    };
    let is_named = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    let is_ported = port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok_and(|p| p > 0));
    is_named && is_ported
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
