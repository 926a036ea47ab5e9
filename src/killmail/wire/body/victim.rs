//! The victim, and where it was.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{id, items::Items};
use crate::killmail::wire::scalar::{Float, Int};
use crate::killmail::{Position, Victim};

pub(super) struct VictimBody {
    pub(super) victim: Victim,
    pub(super) has_items: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum VictimKey {
    CharacterId,
    CorporationId,
    AllianceId,
    FactionId,
    ShipTypeId,
    DamageTaken,
    Position,
    Items,
    #[serde(other)]
    Other,
}

pub(super) struct VictimSeed;

impl VictimSeed {
    fn object<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Option<VictimBody>, A::Error> {
        let mut victim = Victim::default();
        let mut has_items = false;
        while let Some(key) = map.next_key()? {
            match key {
                VictimKey::CharacterId => victim.character_id = id(&mut map)?,
                VictimKey::CorporationId => victim.corporation_id = id(&mut map)?,
                VictimKey::AllianceId => victim.alliance_id = id(&mut map)?,
                VictimKey::FactionId => victim.faction_id = id(&mut map)?,
                VictimKey::ShipTypeId => victim.ship_type_id = id(&mut map)?,
                VictimKey::DamageTaken => victim.damage_taken = map.next_value::<Int>()?.0.unwrap_or_default(),
                VictimKey::Position => victim.position = map.next_value_seed(PositionSeed)?,
                VictimKey::Items => {
                    if let Some(items) = map.next_value_seed(Items { depth: 1 })? {
                        victim.items = items;
                        has_items = true;
                    }
                }
                VictimKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(VictimBody { victim, has_items }))
    }

    no_list!(Option<VictimBody>);
}

object!(VictimSeed => Option<VictimBody>, "an object", None);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum PositionKey {
    X,
    Y,
    Z,
    #[serde(other)]
    Other,
}

struct PositionSeed;

impl PositionSeed {
    fn object<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Position>, A::Error> {
        let (mut x, mut y, mut z) = (None, None, None);
        while let Some(key) = map.next_key()? {
            match key {
                PositionKey::X => x = map.next_value::<Float>()?.0,
                PositionKey::Y => y = map.next_value::<Float>()?.0,
                PositionKey::Z => z = map.next_value::<Float>()?.0,
                PositionKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(x.zip(y).zip(z).map(|((x, y), z)| Position { x, y, z }))
    }

    no_list!(Option<Position>);
}

object!(PositionSeed => Option<Position>, "an object", None);
