//! The attackers.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::id;
use crate::killmail::Attacker;
use crate::killmail::wire::ATTACKERS_MAX;
use crate::killmail::wire::scalar::{Bool, Float, Int};

pub(super) struct Attackers;

impl Attackers {
    fn list<'de, A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<Vec<Attacker>>, A::Error> {
        let mut attackers = Vec::new();
        while attackers.len() < ATTACKERS_MAX {
            match list.next_element_seed(AttackerSeed)? {
                Some(attacker) => attackers.extend(attacker),
                None => return Ok(Some(attackers)),
            }
        }
        let mut count = ATTACKERS_MAX;
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        if count > ATTACKERS_MAX {
            return Err(A::Error::custom(format_args!("{count} attackers, at most {ATTACKERS_MAX}")));
        }
        Ok(Some(attackers))
    }

    no_object!(Option<Vec<Attacker>>);
}

object!(Attackers => Option<Vec<Attacker>>, "a list", None);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum AttackerKey {
    CharacterId,
    CorporationId,
    AllianceId,
    FactionId,
    ShipTypeId,
    WeaponTypeId,
    DamageDone,
    FinalBlow,
    SecurityStatus,
    #[serde(other)]
    Other,
}

struct AttackerSeed;

impl AttackerSeed {
    fn object<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Attacker>, A::Error> {
        let mut attacker = Attacker::default();
        while let Some(key) = map.next_key()? {
            match key {
                AttackerKey::CharacterId => attacker.character_id = id(&mut map)?,
                AttackerKey::CorporationId => attacker.corporation_id = id(&mut map)?,
                AttackerKey::AllianceId => attacker.alliance_id = id(&mut map)?,
                AttackerKey::FactionId => attacker.faction_id = id(&mut map)?,
                AttackerKey::ShipTypeId => attacker.ship_type_id = id(&mut map)?,
                AttackerKey::WeaponTypeId => attacker.weapon_type_id = id(&mut map)?,
                AttackerKey::DamageDone => attacker.damage_done = map.next_value::<Int>()?.0.unwrap_or_default(),
                AttackerKey::FinalBlow => attacker.final_blow = map.next_value::<Bool>()?.0.unwrap_or_default(),
                AttackerKey::SecurityStatus => attacker.security_status = map.next_value::<Float>()?.0,
                AttackerKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(attacker))
    }

    no_list!(Option<Attacker>);
}

object!(AttackerSeed => Option<Attacker>, "an object", None);
