//! Which letters are meant: as the commands and the HTTP API take it, never all of them by an oversight.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::duration::Span;
use crate::killmail::KillmailId;
use crate::store::{DeadLetterFilter, DeadLetterState};

/// What was said of the letters that are meant. What was not said does not matter; all that was said must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Selection {
    /// These letters.
    #[schemars(inner(range(min = 1)))]
    pub ids: Vec<i64>,
    /// Letters of these groups, by fingerprint.
    #[schemars(inner(regex(pattern = "^[0-9a-f]{16}$")))]
    pub groups: Vec<String>,
    pub pipeline: Option<String>,
    /// That failed in this stage or sink.
    pub stage: Option<String>,
    /// invalid, permanent, transient or panic.
    pub class: Option<String>,
    #[schemars(range(min = 1))]
    pub killmail_id: Option<i64>,
    /// That failed last at this time or later: a time, a date, or how long ago (`2h`).
    pub since: Option<String>,
    /// That failed last before this time.
    pub until: Option<String>,
    /// All of them: needed where nothing else is said.
    pub all: bool,
}

/// Why it selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("say which letters: by id, group, pipeline, stage, class, kill, since or until, or say all")]
    Nothing,
    #[error("say either which letters, by id, or all")]
    IdsAndAll,
    #[error("{0:?} is no group: 16 hexadecimal digits, as the list of groups has them")]
    Group(String),
    #[error("{0:?} is no class: invalid, permanent, transient or panic")]
    Class(String),
    #[error("{0} is no killmail's id")]
    Kill(i64),
    #[error("{0:?} is no time: write 2026-01-31T12:00:00Z, 2026-01-31, or how long ago, such as 2h")]
    Time(String),
}

const CLASSES: [&str; 4] = ["invalid", "permanent", "transient", "panic"];

impl Selection {
    /// For acting on letters: something must be said.
    ///
    /// # Errors
    /// Nothing is said, or what is said cannot be read.
    pub fn filter(&self, states: &[DeadLetterState], now: Timestamp) -> Result<DeadLetterFilter, Problem> {
        if self.all && !self.ids.is_empty() {
            return Err(Problem::IdsAndAll);
        }
        let filter = self.any(states, now)?;
        let says = DeadLetterFilter { states: Vec::new(), ..filter.clone() };
        if !self.all && says == DeadLetterFilter::default() { Err(Problem::Nothing) } else { Ok(filter) }
    }

    /// For looking at letters: nothing said is any of them.
    ///
    /// # Errors
    /// What is said cannot be read.
    pub fn any(&self, states: &[DeadLetterState], now: Timestamp) -> Result<DeadLetterFilter, Problem> {
        let is_group =
            |group: &&String| group.len() == 16 && group.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        if let Some(group) = self.groups.iter().find(|group| !is_group(group)) {
            return Err(Problem::Group(group.clone()));
        }
        if let Some(class) = self.class.as_ref().filter(|class| !CLASSES.contains(&class.as_str())) {
            return Err(Problem::Class(class.clone()));
        }
        let time = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
        Ok(DeadLetterFilter {
            ids: self.ids.clone(),
            groups: self.groups.clone(),
            pipeline: self.pipeline.clone(),
            stage: self.stage.clone(),
            class: self.class.clone(),
            states: states.to_vec(),
            since: time(&self.since)?,
            until: time(&self.until)?,
            killmail_id: self.killmail_id.map(|id| KillmailId::new(id).ok_or(Problem::Kill(id))).transpose()?,
            ..DeadLetterFilter::default()
        })
    }
}

/// A time, a date (its start, UTC), or how long ago.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let ago = |span: Span| now.checked_sub(SignedDuration::try_from(span.0).ok()?).ok();
    let date = |date: jiff::civil::Date| Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp());
    let time = text.parse().ok();
    let time = time.or_else(|| text.parse().ok().and_then(date)).or_else(|| text.parse().ok().and_then(ago));
    time.ok_or_else(|| Problem::Time(text.chars().take(40).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &[DeadLetterState] = &[DeadLetterState::Open];

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn nothing_said_is_never_everything() {
        assert_eq!(Selection::default().filter(OPEN, now()), Err(Problem::Nothing));
        let all = Selection { all: true, ..Selection::default() };
        assert!(all.filter(OPEN, now()).is_ok());
        let both = Selection { ids: vec![1], ..all };
        assert_eq!(both.filter(OPEN, now()), Err(Problem::IdsAndAll));
        assert!(Selection::default().any(OPEN, now()).is_ok(), "looking is no harm");
    }

    #[test]
    fn any_one_condition_is_enough() {
        let text = || Some("decode".to_owned());
        let some = [
            Selection { ids: vec![1], ..Selection::default() },
            Selection { groups: vec!["0123456789abcdef".to_owned()], ..Selection::default() },
            Selection { pipeline: text(), ..Selection::default() },
            Selection { stage: text(), ..Selection::default() },
            Selection { class: Some("panic".to_owned()), ..Selection::default() },
            Selection { killmail_id: Some(1), ..Selection::default() },
            Selection { since: Some("2h".to_owned()), ..Selection::default() },
            Selection { until: Some("2026-01-31".to_owned()), ..Selection::default() },
        ];
        assert!(some.iter().all(|selection| selection.filter(OPEN, now()).is_ok()));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let of = |selection: Selection| selection.filter(OPEN, now()).err();
        let group = |group: &str| Selection { groups: vec![group.to_owned()], ..Selection::default() };
        assert!(matches!(of(group("0123456789ABCDEF")), Some(Problem::Group(_))));
        assert!(matches!(of(group("")), Some(Problem::Group(_))));
        assert!(matches!(of(Selection { class: Some("bad".into()), ..Selection::default() }), Some(Problem::Class(_))));
        assert!(matches!(of(Selection { since: Some("soon".into()), ..Selection::default() }), Some(Problem::Time(_))));
    }

    #[test]
    fn times_are_given_in_three_ways() {
        let at = |text: &str| moment(text, now()).map(|time| time.to_string());
        assert_eq!(at("2026-02-28T01:02:03Z").as_deref(), Ok("2026-02-28T01:02:03Z"));
        assert_eq!(at("2026-02-28").as_deref(), Ok("2026-02-28T00:00:00Z"));
        assert_eq!(at("1d 2h").as_deref(), Ok("2026-02-28T10:00:00Z"));
    }
}
