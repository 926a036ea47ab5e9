//! zKillboard's block.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{keep, positive};
use crate::killmail::wire::LABELS_MAX;
use crate::killmail::wire::scalar::{Bool, Cents, Hash, Int, Text};
use crate::killmail::{KillmailHash, Zkb};

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum ZkbKey {
    #[serde(alias = "locationID", alias = "location_id")]
    LocationId,
    Hash,
    #[serde(alias = "total_value")]
    TotalValue,
    #[serde(alias = "destroyed_value")]
    DestroyedValue,
    #[serde(alias = "dropped_value")]
    DroppedValue,
    #[serde(alias = "fitted_value")]
    FittedValue,
    Points,
    Npc,
    Solo,
    Awox,
    Labels,
    #[serde(other)]
    Other,
}

pub(super) struct ZkbSeed;

impl ZkbSeed {
    #[allow(clippy::type_complexity)]
    fn object<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Option<(Zkb, Option<KillmailHash>)>, A::Error> {
        let (mut zkb, mut hash) = (Zkb::default(), None);
        while let Some(key) = map.next_key()? {
            match key {
                ZkbKey::LocationId => keep(&mut zkb.location_id, positive(map.next_value()?)),
                ZkbKey::Hash => hash = map.next_value::<Hash>()?.0,
                ZkbKey::TotalValue => keep(&mut zkb.total_value, map.next_value::<Cents>()?.0),
                ZkbKey::DestroyedValue => keep(&mut zkb.destroyed_value, map.next_value::<Cents>()?.0),
                ZkbKey::DroppedValue => keep(&mut zkb.dropped_value, map.next_value::<Cents>()?.0),
                ZkbKey::FittedValue => keep(&mut zkb.fitted_value, map.next_value::<Cents>()?.0),
                ZkbKey::Points => zkb.points = map.next_value::<Int>()?.0,
                ZkbKey::Npc => zkb.npc = map.next_value::<Bool>()?.0,
                ZkbKey::Solo => zkb.solo = map.next_value::<Bool>()?.0,
                ZkbKey::Awox => zkb.awox = map.next_value::<Bool>()?.0,
                ZkbKey::Labels => zkb.labels = map.next_value_seed(Labels)?,
                ZkbKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some((zkb, hash)))
    }

    no_list!(Option<(Zkb, Option<KillmailHash>)>);
}

object!(ZkbSeed => Option<(Zkb, Option<KillmailHash>)>, "an object", None);

/// A list of labels; or an object of them, as PHP writes a list with holes.
struct Labels;

impl Labels {
    fn list<'de, A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
        let mut labels = Vec::new();
        while let Some(Text(label)) = list.next_element()? {
            push_label(&mut labels, label)?;
        }
        Ok(labels)
    }

    fn object<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut labels = Vec::new();
        while let Some((IgnoredAny, Text(label))) = map.next_entry()? {
            push_label(&mut labels, label)?;
        }
        Ok(labels)
    }
}

fn push_label<E: serde::de::Error>(labels: &mut Vec<String>, label: Option<String>) -> Result<(), E> {
    if labels.len() == LABELS_MAX {
        return Err(E::custom(format_args!("more than {LABELS_MAX} labels")));
    }
    labels.extend(label);
    Ok(())
}

object!(Labels => Vec<String>, "a list", Vec::new());
