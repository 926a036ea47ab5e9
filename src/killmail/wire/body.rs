//! The objects of a killmail. Envelopes and bodies have no field name in common that means two things, so one visitor
//! reads both into one [`Draft`], and `esi`, `killmail` and `package` are read by the same visitor again.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::scalar::{Bool, Cents, Count, Float, Hash, Int, Small, Text, Time};
use super::{ATTACKERS_MAX, Error, ITEM_DEPTH_MAX, LABELS_MAX};
use crate::killmail::{
    Attacker, Form, Item, Killmail, KillmailHash, KillmailId, Position, SystemId, TypeId, Victim, Zkb,
};

/// `package`, and within it `esi` or `killmail`.
const ENVELOPES_MAX: u8 = 2;

/// Room taken for items at once: most fits have as many, and growing step by step costs a tenth of the decoding.
const USUAL_ITEMS: usize = 16;

/// What was found so far.
#[derive(Default)]
pub(super) struct Draft {
    id: Option<KillmailId>,
    hash: Option<KillmailHash>,
    zkb_hash: Option<KillmailHash>,
    time: Option<Timestamp>,
    system: Option<SystemId>,
    moon: Option<i64>,
    war: Option<i64>,
    victim: Option<VictimBody>,
    /// Some boards keep the items beside the victim.
    items: Option<Vec<Item>>,
    attackers: Option<Vec<Attacker>>,
    zkb: Option<Zkb>,
    /// `esi.` or `killmail.`, when the body is within one.
    envelope: &'static str,
    feed_names: bool,
}

/// The fast reading: `None` when anything at all is wrong.
pub(super) fn read(text: &str) -> Option<Draft> {
    let mut draft = Draft::default();
    let mut json = serde_json::Deserializer::from_str(text);
    Body::new(&mut draft).deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(draft)
}

impl Draft {
    /// Takes the form, and refuses what lacks a part that every form has.
    pub(super) fn finish(self) -> Result<Killmail, Error> {
        let missing = |field: &str| Error::field(format!("{}{field}", self.envelope), "missing");
        let killmail_id = self.id.ok_or_else(|| missing("killmail_id"))?;
        let killmail_time = self.time.ok_or_else(|| missing("killmail_time"))?;
        let solar_system_id = self.system.ok_or_else(|| missing("solar_system_id"))?;
        let VictimBody { mut victim, has_items } = self.victim.ok_or_else(|| missing("victim"))?;
        let attackers = self.attackers.ok_or_else(|| missing("attackers"))?;
        let whole = has_items || self.items.is_some() || !self.envelope.is_empty();
        let form = match &self.zkb {
            _ if !whole && (self.feed_names || self.zkb.is_some()) => Form::Feed,
            Some(_) => Form::Package,
            None => Form::Esi,
        };
        if let Some(items) = self.items.filter(|_| victim.items.is_empty()) {
            victim.items = items;
        }
        Ok(Killmail {
            killmail_id,
            killmail_hash: self.hash.or(self.zkb_hash),
            killmail_time,
            solar_system_id,
            moon_id: self.moon,
            war_id: self.war,
            victim,
            attackers,
            zkb: self.zkb,
            form,
        })
    }
}

/// Keeps what is there if the new value is absent.
fn keep<T>(slot: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *slot = value;
    }
}

fn positive(id: Int) -> Option<i64> {
    id.0.filter(|id| *id > 0)
}

/// Declares how an object is visited: `null` is `$absent`, and anything else is an error that names `$expecting`.
macro_rules! object {
    ($seed:ty => $value:ty, $expecting:literal, $absent:expr) => {
        impl<'de> DeserializeSeed<'de> for $seed {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<$value, D::Error> {
                deserializer.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $seed {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<$value, E> {
                Ok($absent)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$value, A::Error> {
                self.object(map)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<$value, A::Error> {
                self.list(list)
            }
        }
    };
}

/// For visitors of objects only.
macro_rules! no_list {
    ($value:ty) => {
        fn list<'de, A: SeqAccess<'de>>(self, _list: A) -> Result<$value, A::Error> {
            Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self))
        }
    };
}

/// For visitors of lists only.
macro_rules! no_object {
    ($value:ty) => {
        fn object<'de, A: MapAccess<'de>>(self, _map: A) -> Result<$value, A::Error> {
            Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self))
        }
    };
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum BodyKey {
    #[serde(alias = "killID")]
    KillmailId,
    #[serde(alias = "killmail_hash")]
    Hash,
    KillmailTime,
    KillTime,
    SolarSystemId,
    SystemId,
    MoonId,
    WarId,
    Victim,
    Attackers,
    Items,
    Zkb,
    Esi,
    Killmail,
    Package,
    #[serde(alias = "attacker_count")]
    SolarSystemName,
    #[serde(other)]
    Other,
}

/// Reads an envelope or a body into the draft.
pub(super) struct Body<'a> {
    draft: &'a mut Draft,
    depth: u8,
}

impl<'a> Body<'a> {
    pub(super) fn new(draft: &'a mut Draft) -> Self {
        Self { draft, depth: 0 }
    }

    fn object<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let draft = self.draft;
        while let Some(key) = map.next_key()? {
            match key {
                BodyKey::KillmailId => map.next_value_seed(IdSeed(&mut draft.id))?,
                BodyKey::Hash => keep(&mut draft.hash, map.next_value::<Hash>()?.0),
                BodyKey::KillmailTime => keep(&mut draft.time, map.next_value::<Time>()?.0),
                BodyKey::KillTime => {
                    keep(&mut draft.time, map.next_value::<Time>()?.0);
                    draft.feed_names = true;
                }
                BodyKey::SolarSystemId => keep(&mut draft.system, positive(map.next_value()?).and_then(SystemId::new)),
                BodyKey::SystemId => {
                    keep(&mut draft.system, positive(map.next_value()?).and_then(SystemId::new));
                    draft.feed_names = true;
                }
                BodyKey::MoonId => keep(&mut draft.moon, positive(map.next_value()?)),
                BodyKey::WarId => keep(&mut draft.war, positive(map.next_value()?)),
                BodyKey::Victim => keep(&mut draft.victim, map.next_value_seed(VictimSeed)?),
                BodyKey::Attackers => keep(&mut draft.attackers, map.next_value_seed(Attackers)?),
                BodyKey::Items => keep(&mut draft.items, map.next_value_seed(Items { depth: 1 })?),
                BodyKey::Zkb => {
                    if let Some((zkb, hash)) = map.next_value_seed(ZkbSeed)? {
                        draft.zkb = Some(zkb);
                        keep(&mut draft.zkb_hash, hash);
                    }
                }
                BodyKey::Esi | BodyKey::Killmail | BodyKey::Package if self.depth == ENVELOPES_MAX => {
                    return Err(A::Error::custom("envelopes nested too deep"));
                }
                BodyKey::Esi => {
                    draft.envelope = "esi.";
                    map.next_value_seed(Body { draft, depth: self.depth + 1 })?;
                }
                BodyKey::Killmail => {
                    draft.envelope = "killmail.";
                    map.next_value_seed(Body { draft, depth: self.depth + 1 })?;
                }
                BodyKey::Package => map.next_value_seed(Body { draft, depth: self.depth + 1 })?,
                BodyKey::SolarSystemName => {
                    map.next_value::<IgnoredAny>()?;
                    draft.feed_names = true;
                }
                BodyKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    no_list!(());
}

object!(Body<'_> => (), "an object", ());

/// The same id may stand outside and inside of an envelope; two ids are two kills.
struct IdSeed<'a>(&'a mut Option<KillmailId>);

impl<'de> DeserializeSeed<'de> for IdSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Some(id) = Int::deserialize(deserializer)?.0.and_then(KillmailId::new) else { return Ok(()) };
        match self.0.replace(id) {
            Some(other) if other != id => {
                Err(D::Error::custom(format_args!("{id}, and {other} before it: two kills in one")))
            }
            _ => Ok(()),
        }
    }
}

struct VictimBody {
    victim: Victim,
    has_items: bool,
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

struct VictimSeed;

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

/// An id of any kind.
fn id<'de, A: MapAccess<'de>, I: FromId>(map: &mut A) -> Result<Option<I>, A::Error> {
    Ok(map.next_value::<Int>()?.0.and_then(I::from_id))
}

trait FromId: Sized {
    fn from_id(id: i64) -> Option<Self>;
}

macro_rules! from_id {
    ($($name:ident),+) => {$(
        impl FromId for crate::killmail::$name {
            fn from_id(id: i64) -> Option<Self> {
                Self::new(id)
            }
        }
    )+};
}

from_id!(CharacterId, CorporationId, AllianceId, FactionId, TypeId);

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

/// A list of items, at a depth from 1.
struct Items {
    depth: usize,
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

struct Attackers;

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

struct ZkbSeed;

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
