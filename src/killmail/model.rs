//! A killmail as ESI defines it, with what zKillboard adds. Every field that ESI does not require is optional.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::ids::{AllianceId, CharacterId, CorporationId, FactionId, KillmailHash, KillmailId, SystemId, TypeId};

/// How much a body holds, least first: a richer copy of a kill replaces a poorer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// wanderer-kills' own: no items, no factions.
    Feed,
    /// ESI's, whole.
    Esi,
    /// ESI's, with zKillboard's block.
    Package,
}

/// One killmail.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Killmail {
    pub killmail_id: KillmailId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9a-f]{40}$"))]
    pub killmail_hash: Option<KillmailHash>,
    /// Whole seconds, UTC.
    pub killmail_time: Timestamp,
    pub solar_system_id: SystemId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moon_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub war_id: Option<i64>,
    pub victim: Victim,
    pub attackers: Vec<Attacker>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zkb: Option<Zkb>,
    #[serde(skip)]
    pub form: Form,
}

/// Who lost what.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Victim {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub character_id: Option<CharacterId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corporation_id: Option<CorporationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alliance_id: Option<AllianceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faction_id: Option<FactionId>,
    /// Absent only in the feed's form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ship_type_id: Option<TypeId>,
    pub damage_taken: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    pub items: Vec<Item>,
}

/// Metres from the sun.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Position {
    pub x: f64,
    pub y: f64,
    pub z: f64,
}

/// A stack in the victim's ship; containers hold one more level.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Item {
    pub flag: i32,
    pub item_type_id: TypeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_destroyed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_dropped: Option<i64>,
    /// 0 stackable, 1 assembled, 2 blueprint copy.
    pub singleton: i32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
}

/// Who shot. NPCs have only some of the ids; the feed may send an attacker with nothing at all.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Attacker {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub character_id: Option<CharacterId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corporation_id: Option<CorporationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alliance_id: Option<AllianceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faction_id: Option<FactionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ship_type_id: Option<TypeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weapon_type_id: Option<TypeId>,
    pub damage_done: i64,
    pub final_blow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_status: Option<f64>,
}

/// What zKillboard says of a kill. Money in ISK cents, exact.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Zkb {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "isk")]
    #[schemars(with = "Option<f64>")]
    pub total_value: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "isk")]
    #[schemars(with = "Option<f64>")]
    pub destroyed_value: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "isk")]
    #[schemars(with = "Option<f64>")]
    pub dropped_value: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "isk")]
    #[schemars(with = "Option<f64>")]
    pub fitted_value: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub npc: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solo: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awox: Option<bool>,
    pub labels: Vec<String>,
}

/// Cents as a JSON number of ISK.
fn isk<S: serde::Serializer>(cents: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match cents {
        Some(cents) => serializer.serialize_f64(*cents as f64 / 100.0),
        None => serializer.serialize_none(),
    }
}

/// A party to a kill, in the order in which they are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Participant<'a> {
    Victim(&'a Victim),
    Attacker(&'a Attacker),
}

impl Killmail {
    /// As JSON: ESI's field names, with `killmail_hash`, and `zkb` in snake case.
    #[must_use]
    pub fn to_public_json(&self) -> String {
        serde_json::to_string(self).expect("a killmail has neither maps with odd keys nor failing fields")
    }

    /// Everyone, by position: 0 is the victim, then the attackers in their order.
    pub fn participants(&self) -> impl Iterator<Item = (usize, Participant<'_>)> {
        let attackers = self.attackers.iter().map(Participant::Attacker);
        std::iter::once(Participant::Victim(&self.victim)).chain(attackers).enumerate()
    }

    /// How many attacked.
    #[must_use]
    pub fn attacker_count(&self) -> usize {
        self.attackers.len()
    }
}
