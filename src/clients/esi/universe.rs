//! What there is in the game: types, groups and constellations by their ids, as static data have them.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Ask, Error, Esi};
use crate::killmail::{CategoryId, ConstellationId, GroupId, RegionId, TypeId};
use crate::statics::{Constellation, Group, Type, name};

#[derive(Deserialize)]
struct TypeBody {
    type_id: i64,
    name: String,
    group_id: i64,
    #[serde(default)]
    published: bool,
    #[serde(default)]
    mass: f64,
    #[serde(default)]
    volume: f64,
    market_group_id: Option<i64>,
    #[serde(default)]
    dogma_attributes: Vec<Attribute>,
    #[serde(default)]
    dogma_effects: Vec<Effect>,
}

#[derive(Deserialize)]
struct Attribute {
    attribute_id: i64,
    value: f64,
}

#[derive(Deserialize)]
struct Effect {
    effect_id: i64,
}

#[derive(Deserialize)]
struct GroupBody {
    group_id: i64,
    name: String,
    category_id: i64,
}

#[derive(Deserialize)]
struct ConstellationBody {
    constellation_id: i64,
    name: String,
    region_id: i64,
}

impl Esi {
    /// A type, without a base price, which ESI does not tell.
    ///
    /// # Errors
    /// As [`get`](Self::get); an unknown type is [`Error::Status`] with 404.
    pub async fn item_type(&self, id: TypeId, ask: Ask) -> Result<Type, Error> {
        let body: TypeBody = self.thing("types", id.get(), ask).await?;
        let group_id = GroupId::new(body.group_id).filter(|_| body.type_id == id.get());
        let group_id = group_id.ok_or_else(|| other("type", id.get()))?;
        let mut effects: Vec<i64> = body.dogma_effects.iter().map(|effect| effect.effect_id).collect();
        effects.sort_unstable();
        effects.dedup();
        let mut made = Type {
            type_id: id,
            name: name(&body.name),
            group_id,
            meta_group_id: None,
            is_on_market: body.market_group_id.is_some(),
            is_published: body.published,
            mass: body.mass.max(0.0),
            volume: body.volume.max(0.0),
            base_price: None,
            effects: effects.into(),
            tech_level: None,
            meta_level: None,
            rig_size: None,
            has_heat_damage: Some(false),
        };
        body.dogma_attributes.iter().for_each(|of| made.take_attribute(of.attribute_id, of.value));
        Ok(made)
    }

    /// A group of types.
    ///
    /// # Errors
    /// As [`get`](Self::get); an unknown group is [`Error::Status`] with 404.
    pub async fn item_group(&self, id: GroupId, ask: Ask) -> Result<Group, Error> {
        let body: GroupBody = self.thing("groups", id.get(), ask).await?;
        let category_id = CategoryId::new(body.category_id).filter(|_| body.group_id == id.get());
        let category_id = category_id.ok_or_else(|| other("group", id.get()))?;
        Ok(Group { group_id: id, category_id, name: name(&body.name) })
    }

    /// A constellation.
    ///
    /// # Errors
    /// As [`get`](Self::get); an unknown constellation is [`Error::Status`] with 404.
    pub async fn constellation(&self, id: ConstellationId, ask: Ask) -> Result<Constellation, Error> {
        let body: ConstellationBody = self.thing("constellations", id.get(), ask).await?;
        let region_id = RegionId::new(body.region_id).filter(|_| body.constellation_id == id.get());
        let region_id = region_id.ok_or_else(|| other("constellation", id.get()))?;
        Ok(Constellation { constellation_id: id, region_id, name: name(&body.name) })
    }

    async fn thing<T: DeserializeOwned>(&self, what: &str, id: i64, ask: Ask) -> Result<T, Error> {
        let fresh = Box::pin(self.get(&format!("/universe/{what}/{id}"), ask)).await?;
        serde_json::from_slice(&fresh.body).map_err(|error| Error::Unusable(error.to_string()))
    }
}

fn other(what: &str, id: i64) -> Error {
    Error::Unusable(format!("it is not {what} {id}"))
}
