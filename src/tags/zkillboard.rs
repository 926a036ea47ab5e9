//! zKillboard's rules, one function each. They answer `None` when static data lack what decides.
//!
//! A player is a character above 3,999,999; a corporation of players is one above 1,999,999. Both bounds are zKillboard's.

use std::collections::BTreeSet;

use crate::killmail::{Attacker, Form, Killmail, TypeId};
use crate::statics::{Statics, Type};

const SHIPS: i64 = 6;
const MODULES: i64 = 7;
const STRUCTURES: i64 = 65;

const CAPSULES: i64 = 29;
const SHUTTLES: i64 = 31;
const MINING_LASERS: i64 = 54;
const CORVETTES: i64 = 237;
const DRONE_DAMAGE_MODULES: i64 = 645;
const STRATEGIC_CRUISERS: i64 = 963;

/// Where a fit's danger lies: low, middle and high slots, subsystems.
const DANGEROUS: [std::ops::RangeInclusive<i32>; 2] = [11..=34, 125..=132];

fn player(attacker: &Attacker) -> Option<i64> {
    attacker.character_id.map(|id| id.get()).filter(|id| *id > 3_999_999)
}

fn group_of(statics: &Statics, type_id: Option<TypeId>) -> Option<i64> {
    statics.group(type_id?).map(|group| group.group_id.get())
}

fn category_of(statics: &Statics, type_id: Option<TypeId>) -> Option<i64> {
    statics.category(type_id?).map(|category| category.get())
}

/// Whether a structure is among the attackers. Attackers without a ship are none.
fn structure_attacks(mail: &Killmail, statics: &Statics) -> Option<bool> {
    let mut is_known = true;
    for type_id in mail.attackers.iter().filter_map(|attacker| attacker.ship_type_id) {
        match statics.category(type_id) {
            Some(category) if category.get() == STRUCTURES => return Some(true),
            Some(_) => {}
            None => is_known = false,
        }
    }
    is_known.then_some(false)
}

/// No player and no corporation of players attacked. Of a kill without attackers, as feeds may send it, zKillboard's own word is better.
#[must_use]
pub fn npc(mail: &Killmail) -> bool {
    let said = mail.zkb.as_ref().and_then(|zkb| zkb.npc);
    if let (true, Some(npc)) = (mail.attackers.is_empty(), said) {
        return npc;
    }
    mail.attackers.iter().all(|attacker| {
        player(attacker).is_none() && attacker.corporation_id.is_none_or(|corporation| corporation.get() <= 1_999_999)
    })
}

/// Exactly one player attacked, without a structure, and what was lost is a ship: no capsule, shuttle or corvette.
#[must_use]
pub fn solo(mail: &Killmail, statics: &Statics, npc: bool) -> Option<bool> {
    let players: BTreeSet<i64> = mail.attackers.iter().filter_map(player).collect();
    if npc || players.len() != 1 {
        return Some(false);
    }
    let group = group_of(statics, mail.victim.ship_type_id);
    if matches!(group, Some(CAPSULES | SHUTTLES | CORVETTES)) {
        return Some(false);
    }
    match (category_of(statics, mail.victim.ship_type_id), structure_attacks(mail, statics)) {
        (Some(category), _) if category != SHIPS => Some(false),
        (_, Some(true)) => Some(false),
        (Some(_), Some(false)) => Some(true),
        _ => None,
    }
}

/// A player of the victim's own player corporation struck the final blow, and what was lost is neither capsule nor corvette.
#[must_use]
pub fn awox(mail: &Killmail, statics: &Statics, npc: bool) -> Option<bool> {
    let own = mail.victim.corporation_id.filter(|corporation| corporation.get() > 1_999_999);
    let by_own = |attacker: &Attacker| {
        attacker.final_blow && player(attacker).is_some() && own.is_some() && attacker.corporation_id == own
    };
    if npc || !mail.attackers.iter().any(by_own) {
        return Some(false);
    }
    group_of(statics, mail.victim.ship_type_id).map(|group| !matches!(group, CAPSULES | CORVETTES))
}

/// What the kill is worth in zKillboard's points: at least 1.
///
/// A hull's size is 5 to the power of its rig size (1 where it has none; strategic cruisers count as 2). Danger is what was fitted to fight with: modules
/// that can be overheated, and drone damage, less mining lasers, each 1 and half its meta level. Hull and danger, less the fewer than
/// four dangers there were, are divided among the attackers by more than their number, and corrected by how large they flew themselves: a capsule
/// counts as one size above the victim.
#[must_use]
pub fn points(mail: &Killmail, statics: &Statics, npc: bool) -> Option<i64> {
    let players = mail.attackers.iter().filter(|attacker| attacker.character_id.is_some()).count();
    if npc || players == 0 || structure_attacks(mail, statics) == Some(true) {
        return Some(1);
    }
    if mail.form == Form::Feed {
        return None;
    }
    let rig_size = rig_size(statics, mail.victim.ship_type_id)?;
    let base = 5_f64.powi(rig_size);
    let danger = danger(mail, statics)?;
    let mut size = 0.0;
    for attacker in &mail.attackers {
        let is_capsule = group_of(statics, attacker.ship_type_id) == Some(CAPSULES);
        size += 5_f64.powi(if is_capsule { rig_size + 1 } else { self::rig_size(statics, attacker.ship_type_id)? });
    }
    let players = players as f64;
    let shared = (base + danger) * (danger / 4.0).clamp(0.01, 1.0) / (players * (players / 2.0).max(1.0));
    let average = (size / players).max(1.0);
    Some(((shared * (base / average).clamp(0.5, 1.2)).floor() as i64).max(1))
}

/// Attributes of a type, where they were imported. A type of which ESI told has them all.
fn with_attributes(statics: &Statics, type_id: TypeId) -> Option<&Type> {
    statics.types.get(&type_id).filter(|kind| kind.has_heat_damage.is_some())
}

fn rig_size(statics: &Statics, type_id: Option<TypeId>) -> Option<i32> {
    let Some(type_id) = type_id else { return Some(1) };
    let kind = with_attributes(statics, type_id)?;
    if kind.group_id.get() == STRATEGIC_CRUISERS {
        return Some(2);
    }
    // The game knows 1 to 4.
    Some(kind.rig_size.unwrap_or(1).clamp(1, 9) as i32)
}

fn danger(mail: &Killmail, statics: &Statics) -> Option<f64> {
    let mut danger = 0.0;
    for item in &mail.victim.items {
        if !DANGEROUS.iter().any(|flags| flags.contains(&item.flag)) {
            continue;
        }
        if statics.category(item.item_type_id)?.get() != MODULES {
            continue;
        }
        let kind = with_attributes(statics, item.item_type_id)?;
        let quantity = item.quantity_destroyed.unwrap_or(0).saturating_add(item.quantity_dropped.unwrap_or(0));
        let each = 1 + kind.meta_level.unwrap_or(0).max(0) / 2;
        let heated = i64::from(kind.has_heat_damage == Some(true));
        let group = match kind.group_id.get() {
            DRONE_DAMAGE_MODULES => 1,
            MINING_LASERS => -1,
            _ => 0,
        };
        danger += quantity as f64 * each as f64 * (heated + group) as f64;
    }
    Some(danger)
}
