//! Items, and items within items.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::killmail::wire::ITEM_DEPTH_MAX;
use crate::killmail::wire::scalar::{Count, Int, Small};
use crate::killmail::{Item, TypeId};

/// Room taken for items at once: most fits have as many, and growing step by step costs a tenth of the decoding.
const USUAL_ITEMS: usize = 16;

/// A list of items, at a depth from 1.
pub(super) struct Items {
    pub(super) depth: usize,
}

impl Items {
    fn list<'de, A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<Vec<Item>>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(ItemSeed { depth: self.depth })? {
            if items.is_empty() {
                items.reserve(USUAL_ITEMS);
            }
            items.extend(item);
        }
        Ok(Some(items))
    }

    no_object!(Option<Vec<Item>>);
}

object!(Items => Option<Vec<Item>>, "a list", None);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum ItemKey {
    Flag,
    ItemTypeId,
    QuantityDestroyed,
    QuantityDropped,
    Singleton,
    Items,
    #[serde(other)]
    Other,
}

struct ItemSeed {
    depth: usize,
}

impl ItemSeed {
    fn object<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Item>, A::Error> {
        if self.depth > ITEM_DEPTH_MAX {
            return Err(A::Error::custom("items nested deeper than an item within an item"));
        }
        let (mut flag, mut item_type_id) = (None, None);
        let (mut quantity_destroyed, mut quantity_dropped, mut singleton) = (None, None, 0);
        let mut items = Vec::new();
        while let Some(key) = map.next_key()? {
            match key {
                ItemKey::Flag => flag = map.next_value::<Small>()?.0,
                ItemKey::ItemTypeId => item_type_id = map.next_value::<Int>()?.0.and_then(TypeId::new),
                ItemKey::QuantityDestroyed => quantity_destroyed = map.next_value::<Count>()?.0,
                ItemKey::QuantityDropped => quantity_dropped = map.next_value::<Count>()?.0,
                ItemKey::Singleton => singleton = map.next_value::<Small>()?.0.unwrap_or_default() as i32,
                ItemKey::Items => items = map.next_value_seed(Items { depth: self.depth + 1 })?.unwrap_or_default(),
                ItemKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let flag = flag.ok_or_else(|| A::Error::custom("flag is missing"))? as i32;
        let item_type_id = item_type_id.ok_or_else(|| A::Error::custom("item_type_id is missing"))?;
        Ok(Some(Item { flag, item_type_id, quantity_destroyed, quantity_dropped, singleton, items }))
    }

    no_list!(Option<Item>);
}

object!(ItemSeed => Option<Item>, "an object", None);
