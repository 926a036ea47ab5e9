//! zKillboard's labels of a kill, but for that of its value, which is added when rows are made.
//!
//! What can be told from one kill and the static data is told here: exactly one of `solo` and `#:…`, one of `npc` and `pvp`, one `cat:…`, at most one `loc:…`,
//! `awox`, and the label of the victim's class (`capital`). What needs other kills or lists that nobody publishes (`padding`, `ganked`, `concord`, `atShip`,
//! `fw:…`) stays as the feed has it. So does `tz:…` where there is one: by which hours it goes is known of some only ([`time_zone`]).

use std::borrow::Cow;

use super::places::Place;
use crate::killmail::{Killmail, VALUE_LABELS};

/// A label.
pub type Label = Cow<'static, str>;

/// What labels are made of, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub npc: bool,
    pub solo: Option<bool>,
    pub awox: Option<bool>,
    /// Of the victim's type.
    pub category: Option<i64>,
    pub place: Place,
    /// Of the victim's class, where the class is known.
    pub class: Option<Option<&'a str>>,
}

/// All labels but those of the value, each once, sorted.
#[must_use]
pub fn of(mail: &Killmail, facts: &Facts<'_>) -> Vec<Label> {
    let said = mail.zkb.as_ref().map_or(&[][..], |zkb| &zkb.labels);
    let mut labels: Vec<Label> = Vec::with_capacity(8);
    labels.extend(said.iter().filter(|label| stays(label, facts)).map(|label| Cow::Owned(label.clone())));
    let is_padding = said.iter().any(|label| label == "padding");
    if !said.iter().any(|label| label.starts_with("tz:")) {
        labels.push(time_zone(mail.killmail_time.to_zoned(jiff::tz::TimeZone::UTC).hour()).into());
    }
    if facts.npc {
        labels.push("npc".into());
    } else if !is_padding {
        labels.push("pvp".into());
    }
    match facts.solo {
        Some(true) => labels.push("solo".into()),
        Some(false) => labels.push(count(mail.attackers.len()).into()),
        None => {}
    }
    if facts.awox == Some(true) {
        labels.push("awox".into());
    }
    labels.extend(facts.category.map(category));
    labels.extend(facts.place.label().map(Cow::Borrowed));
    labels.extend(facts.class.flatten().map(|label| Cow::Owned(label.to_owned())));
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// Whether the feed's label is kept: it is of a kind that is not told here, or what would tell it is not known.
fn stays(label: &str, facts: &Facts<'_>) -> bool {
    match label {
        "npc" | "pvp" => false,
        "solo" => facts.solo.is_none(),
        "awox" => facts.awox.is_none(),
        "capital" => facts.class.is_none(),
        label if label.starts_with("#:") => facts.solo.is_none(),
        label if label.starts_with("cat:") => facts.category.is_none(),
        label if label.starts_with("loc:") => facts.place == Place::Unknown,
        label => !label.starts_with(VALUE_LABELS),
    }
}

/// The greatest count that the attackers reach.
fn count(attackers: usize) -> &'static str {
    match attackers {
        0..2 => "#:1",
        2..5 => "#:2+",
        5..10 => "#:5+",
        10..25 => "#:10+",
        25..50 => "#:25+",
        50..100 => "#:50+",
        100..1000 => "#:100+",
        _ => "#:1000+",
    }
}

fn category(category: i64) -> Label {
    match category {
        6 => "cat:6".into(),
        22 => "cat:22".into(),
        65 => "cat:65".into(),
        other => format!("cat:{other}").into(),
    }
}

/// Whose evening the hour (0–23, UTC) is. zKillboard's own hours are not published; kills that it has labelled show 23–3 as `use`, 4–6 as `usw`, 9–13 as
/// `au` and 18–20 as `eu`, and the hours between are drawn here.
#[must_use]
pub fn time_zone(hour: i8) -> &'static str {
    match hour {
        4..8 => "tz:usw",
        8..14 => "tz:au",
        14..17 => "tz:ru",
        17..22 => "tz:eu",
        _ => "tz:use",
    }
}
