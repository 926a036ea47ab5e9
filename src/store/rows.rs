//! A kill as rows: what every engine writes, built before any connection is taken.
//!
//! The rows are plain values in the order of the columns; an engine adds the SQL.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Error;
use crate::killmail::{Attacker, Form, Kill, Killmail, Measures, Tagged, Victim};

/// Columns of `killmails_raw`, in the order of [`Raw`]'s fields.
pub(super) const RAW: [&str; 8] =
    ["killmail_id", "killmail_hash", "killmail_time", "solar_system_id", "source", "received_at", "form", "payload"];

/// Columns of `killmails_enriched`, in the order of [`Enriched`]'s fields.
pub(super) const ENRICHED: [&str; 27] = [
    "killmail_id",
    "killmail_time",
    "solar_system_id",
    "constellation_id",
    "region_id",
    "security_status",
    "system_class",
    "victim_character_id",
    "victim_corporation_id",
    "victim_alliance_id",
    "victim_faction_id",
    "victim_ship_type_id",
    "ship_class",
    "attacker_count",
    "total_value",
    "destroyed_value",
    "dropped_value",
    "fitted_value",
    "price_source",
    "module_tags",
    "npc",
    "solo",
    "awox",
    "points",
    "labels",
    "enrichment_status",
    "enriched_at",
];

/// Columns of `killmail_participants`, in the order of [`Participant`]'s fields.
pub(super) const PARTICIPANT: [&str; 15] = [
    "killmail_id",
    "killmail_time",
    "position",
    "is_victim",
    "character_id",
    "corporation_id",
    "alliance_id",
    "faction_id",
    "ship_type_id",
    "weapon_type_id",
    "damage_done",
    "final_blow",
    "security_status",
    "mass_balance",
    "usefulness",
];

/// Columns of `profile_matches`.
pub(super) const MATCH: [&str; 4] = ["killmail_id", "killmail_time", "profile_id", "matched_at"];

/// The first day on which a ship could be lost: the game opened on it.
const FIRST_KILL: Timestamp = Timestamp::constant(1_052_179_200, 0);

/// How far a kill may be ahead of the clock that received it.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);

/// A row of `killmails_raw`.
#[derive(Debug)]
pub(super) struct Raw<'a> {
    pub(super) killmail_id: i64,
    pub(super) killmail_hash: Option<String>,
    pub(super) killmail_time: Timestamp,
    pub(super) solar_system_id: i64,
    pub(super) source: &'a str,
    pub(super) received_at: Timestamp,
    pub(super) form: i64,
    pub(super) payload: &'a str,
}

/// A row of `killmails_enriched`. Money in cents.
#[derive(Debug)]
pub(super) struct Enriched<'a> {
    pub(super) killmail_id: i64,
    pub(super) killmail_time: Timestamp,
    pub(super) solar_system_id: i64,
    pub(super) constellation_id: Option<i64>,
    pub(super) region_id: Option<i64>,
    pub(super) security_status: Option<f64>,
    pub(super) system_class: Option<&'static str>,
    pub(super) victim_character_id: Option<i64>,
    pub(super) victim_corporation_id: Option<i64>,
    pub(super) victim_alliance_id: Option<i64>,
    pub(super) victim_faction_id: Option<i64>,
    pub(super) victim_ship_type_id: Option<i64>,
    pub(super) ship_class: Option<&'a str>,
    pub(super) attacker_count: i64,
    pub(super) total_value: Option<i64>,
    pub(super) destroyed_value: Option<i64>,
    pub(super) dropped_value: Option<i64>,
    pub(super) fitted_value: Option<i64>,
    pub(super) price_source: Option<&'a str>,
    pub(super) module_tags: &'a [Arc<str>],
    pub(super) npc: Option<bool>,
    pub(super) solo: Option<bool>,
    pub(super) awox: Option<bool>,
    pub(super) points: Option<i64>,
    pub(super) labels: Option<Vec<&'a str>>,
    pub(super) enrichment_status: &'static str,
    pub(super) enriched_at: Timestamp,
}

/// A row of `killmail_participants`.
#[derive(Debug)]
pub(super) struct Participant {
    pub(super) killmail_id: i64,
    pub(super) killmail_time: Timestamp,
    pub(super) position: i64,
    pub(super) is_victim: bool,
    pub(super) character_id: Option<i64>,
    pub(super) corporation_id: Option<i64>,
    pub(super) alliance_id: Option<i64>,
    pub(super) faction_id: Option<i64>,
    pub(super) ship_type_id: Option<i64>,
    pub(super) weapon_type_id: Option<i64>,
    pub(super) damage_done: Option<i64>,
    pub(super) final_blow: bool,
    pub(super) security_status: Option<f64>,
    pub(super) mass_balance: Option<f64>,
    pub(super) usefulness: Option<f64>,
}

/// What of a row of `profile_matches` its kill says.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) killmail_id: i64,
    pub(super) killmail_time: Timestamp,
    pub(super) profile_id: i64,
}

/// The profiles that match these kills of a call.
pub(super) fn matches<'a>(
    kills: &'a [&'a Kill],
    mails: &'a [&'a Killmail],
    indexes: impl Iterator<Item = usize> + 'a,
) -> impl Iterator<Item = Match> + 'a {
    indexes.flat_map(|at| {
        let (killmail_id, killmail_time) = (mails[at].killmail_id.get(), mails[at].killmail_time);
        let profiles = kills[at].matches.as_deref().unwrap_or_default();
        profiles.iter().map(move |id| Match { killmail_id, killmail_time, profile_id: id.get() })
    })
}

/// How rich a copy is, as a number to keep and compare.
pub(super) const fn rank(form: Form) -> i64 {
    match form {
        Form::Feed => 0,
        Form::Esi => 1,
        Form::Package => 2,
    }
}

/// What decides between a copy and the one that is stored, whose own is twice its [`rank`]: a richer copy wins, and a correction wins over its like.
pub(super) fn weight(kill: &Kill, mail: &Killmail) -> i64 {
    rank(mail.form) * 2 + i64::from(kill.revises)
}

/// Kills of these that are to be completed later: id and time.
pub(super) fn unfinished(kills: &[&Kill], mails: &[&Killmail], indexes: &[usize]) -> Vec<(i64, Timestamp)> {
    let unfinished = indexes.iter().filter(|&&index| kills[index].refresh);
    unfinished.map(|&index| (mails[index].killmail_id.get(), mails[index].killmail_time)).collect()
}

/// What `decode` made of the kill, if it is fit to be kept.
///
/// # Errors
/// It was not decoded, or is dated before the game or more than a day after it was received.
pub(super) fn checked(kill: &Kill) -> Result<&Killmail, Error> {
    let Some(mail) = kill.mail.as_deref() else {
        return Err(Error::column("payload", "the kill was not decoded", None));
    };
    let (time, id) = (mail.killmail_time, Some(mail.killmail_id.get()));
    if time < FIRST_KILL {
        return Err(Error::column("killmail_time", format!("killmail_time {time} is before the game began"), id));
    }
    if time.duration_since(kill.received_at) > AHEAD_MAX {
        let text = format!("killmail_time {time} is more than a day ahead of {}, when it came", kill.received_at);
        return Err(Error::column("killmail_time", text, id));
    }
    Ok(mail)
}

/// The payload as received, or as completed.
///
/// # Errors
/// The bytes are not text.
pub(super) fn raw<'a>(kill: &'a Kill, mail: &Killmail) -> Result<Raw<'a>, Error> {
    let payload = std::str::from_utf8(kill.body()).map_err(|error| {
        Error::column("payload", format!("the payload is not UTF-8: {error}"), Some(mail.killmail_id.get()))
    })?;
    Ok(Raw {
        killmail_id: mail.killmail_id.get(),
        killmail_hash: mail.killmail_hash.map(|hash| hash.to_string()),
        killmail_time: mail.killmail_time,
        solar_system_id: mail.solar_system_id.get(),
        source: kill.source,
        received_at: kill.received_at,
        form: rank(mail.form),
        payload,
    })
}

/// What is known of the kill so far. What the stages found holds; what they did not look for, or could not know, is as zKillboard says.
pub(super) fn enriched<'a>(kill: &'a Kill, mail: &'a Killmail, now: Timestamp) -> Enriched<'a> {
    let victim = &mail.victim;
    let (tagged, values) = (kill.tagged.as_deref().unwrap_or(UNTAGGED), kill.values());
    Enriched {
        killmail_id: mail.killmail_id.get(),
        killmail_time: mail.killmail_time,
        solar_system_id: mail.solar_system_id.get(),
        constellation_id: tagged.constellation_id,
        region_id: tagged.region_id,
        security_status: tagged.security_status,
        system_class: tagged.system_class,
        victim_character_id: victim.character_id.map(|id| id.get()),
        victim_corporation_id: victim.corporation_id.map(|id| id.get()),
        victim_alliance_id: victim.alliance_id.map(|id| id.get()),
        victim_faction_id: victim.faction_id.map(|id| id.get()),
        victim_ship_type_id: victim.ship_type_id.map(|id| id.get()),
        ship_class: tagged.ship_class.as_deref(),
        attacker_count: mail.attackers.len() as i64,
        total_value: values.total,
        destroyed_value: values.destroyed,
        dropped_value: values.dropped,
        fitted_value: values.fitted,
        price_source: values.source,
        module_tags: &tagged.module_tags,
        npc: kill.npc(),
        solo: kill.solo(),
        awox: kill.awox(),
        points: kill.points(),
        labels: kill.labels(),
        enrichment_status: enrichment_status(kill, mail),
        enriched_at: now,
    }
}

/// What was found by nobody.
const UNTAGGED: &Tagged = &Tagged {
    module_tags: Vec::new(),
    ship_class: None,
    ship_group_id: None,
    system_class: None,
    constellation_id: None,
    region_id: None,
    security_status: None,
    npc: false,
    solo: None,
    awox: None,
    points: None,
    labels: Vec::new(),
    measures: Vec::new(),
    is_whole: false,
};

/// `partial` while something that could be known is missing: the items, which the feed's form leaves out, or what a stage could not learn in time.
fn enrichment_status(kill: &Kill, mail: &Killmail) -> &'static str {
    let is_poor =
        mail.form == Form::Feed || kill.refresh || kill.tagged.as_ref().is_some_and(|tagged| !tagged.is_whole);
    if is_poor { "partial" } else { "complete" }
}

/// The victim, then the attackers.
pub(super) fn participants(kill: &Kill, mail: &Killmail) -> impl Iterator<Item = Participant> {
    let measures = kill.tagged.as_ref().map_or(&[][..], |tagged| &tagged.measures);
    let measured = |position: usize| measures.get(position).copied().unwrap_or_default();
    let loser = loser(mail, &mail.victim, measured(0));
    let attackers = mail.attackers.iter().zip(1..);
    let shooters = attackers.map(move |(attacker, position)| shooter(mail, attacker, position, measured(position)));
    std::iter::once(loser).chain(shooters)
}

fn loser(mail: &Killmail, victim: &Victim, measures: Measures) -> Participant {
    Participant {
        killmail_id: mail.killmail_id.get(),
        killmail_time: mail.killmail_time,
        position: 0,
        is_victim: true,
        character_id: victim.character_id.map(|id| id.get()),
        corporation_id: victim.corporation_id.map(|id| id.get()),
        alliance_id: victim.alliance_id.map(|id| id.get()),
        faction_id: victim.faction_id.map(|id| id.get()),
        ship_type_id: victim.ship_type_id.map(|id| id.get()),
        weapon_type_id: None,
        damage_done: None,
        final_blow: false,
        security_status: None,
        mass_balance: measures.mass_balance,
        usefulness: measures.usefulness,
    }
}

fn shooter(mail: &Killmail, attacker: &Attacker, position: usize, measures: Measures) -> Participant {
    Participant {
        killmail_id: mail.killmail_id.get(),
        killmail_time: mail.killmail_time,
        position: position as i64,
        is_victim: false,
        character_id: attacker.character_id.map(|id| id.get()),
        corporation_id: attacker.corporation_id.map(|id| id.get()),
        alliance_id: attacker.alliance_id.map(|id| id.get()),
        faction_id: attacker.faction_id.map(|id| id.get()),
        ship_type_id: attacker.ship_type_id.map(|id| id.get()),
        weapon_type_id: attacker.weapon_type_id.map(|id| id.get()),
        damage_done: Some(attacker.damage_done),
        final_blow: attacker.final_blow,
        security_status: attacker.security_status,
        mass_balance: measures.mass_balance,
        usefulness: measures.usefulness,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_kill_is_from_the_day_the_game_opened() {
        assert_eq!(FIRST_KILL.to_string(), "2003-05-06T00:00:00Z");
    }
}
