//! The objects of a killmail. Envelopes and bodies have no field name in common that means two things, so one visitor
//! reads both into one [`Draft`], and `esi`, `killmail` and `package` are read by the same visitor again.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Error;
use super::scalar::{Hash, Int, Time};
use crate::killmail::{Attacker, Form, Item, Killmail, KillmailHash, KillmailId, SystemId, Zkb};

/// `package`, and within it `esi` or `killmail`.
const ENVELOPES_MAX: u8 = 2;

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

// After the macros, which they use.
mod attackers;
mod items;
mod victim;
mod zkb;

use attackers::Attackers;
use items::Items;
use victim::{VictimBody, VictimSeed};
use zkb::ZkbSeed;

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
