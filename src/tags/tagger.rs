//! All that can be told of one kill.

use super::labels::{self, Facts};
use super::modules::{Modules, Role, Set};
use super::places::Place;
use super::ships::Ships;
use super::{measures, zkillboard};
use crate::killmail::{Form, Killmail, SystemId, Tagged, TypeId};
use crate::statics::Statics;

/// The rules. Cheap to ask: some microseconds a kill.
#[derive(Debug, Clone, Default)]
pub struct Tagger {
    pub modules: Modules,
    pub ships: Ships,
}

/// What was told, and what would have to be known to tell the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub tagged: Tagged,
    pub lacking: Lacking,
}

/// What the static data lack of a kill: ships of victim and attackers, what was fitted, the system. Cargo and weapons decide nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lacking {
    pub types: Vec<TypeId>,
    pub system: Option<SystemId>,
}

impl Lacking {
    /// Nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types.is_empty() && self.system.is_none()
    }
}

impl Tagger {
    /// Tells what there is to tell. The same kill and the same data give the same answer.
    #[must_use]
    pub fn tag(&self, statics: &Statics, mail: &Killmail) -> Found {
        let victim = mail.victim.ship_type_id;
        let system = statics.systems.get(&mail.solar_system_id);
        let place = Place::of(mail.solar_system_id, system);
        let class = victim.and_then(|ship| self.ships.class(statics, ship));
        let category = victim.and_then(|ship| statics.category(ship));
        let npc = zkillboard::npc(mail);
        let (solo, awox) = (zkillboard::solo(mail, statics, npc), zkillboard::awox(mail, statics, npc));
        let facts = Facts {
            npc,
            solo,
            awox,
            category: category.map(|category| category.get()),
            place,
            class: category.map(|_| class.and_then(|class| class.label.as_deref())),
        };
        let mass = victim.and_then(|ship| statics.types.get(&ship)).map(|ship| ship.mass);
        let weight = |ship: Option<TypeId>| self.ships.class(statics, ship?).map(|class| class.weight);
        let lacking = self.lacking(statics, mail);
        let tagged = Tagged {
            module_tags: self.modules.names(self.fitted(statics, mail)),
            ship_class: class.map(|class| class.name.clone()),
            system_class: place.class(),
            constellation_id: system.map(|system| system.constellation_id.get()),
            region_id: system.map(|system| system.region_id.get()),
            security_status: system.map(|system| system.security_status),
            npc,
            solo,
            awox,
            points: zkillboard::points(mail, statics, npc),
            labels: labels::of(mail, &facts),
            measures: measures::of(mail, mass, |attacker| weight(attacker.ship_type_id)),
            is_whole: mail.form != Form::Feed && lacking.is_empty(),
        };
        Found { tagged, lacking }
    }

    /// The tags of everything fitted.
    fn fitted(&self, statics: &Statics, mail: &Killmail) -> Set {
        let mut all = Set::default();
        mail.victim.items.iter().for_each(|item| all.join(self.modules.role(statics, item).tags()));
        all
    }

    fn lacking(&self, statics: &Statics, mail: &Killmail) -> Lacking {
        let ships = mail.attackers.iter().map(|attacker| attacker.ship_type_id);
        let ships = std::iter::once(mail.victim.ship_type_id).chain(ships).flatten();
        let unknown = |ship: &TypeId| statics.group(*ship).is_none();
        let mut types: Vec<TypeId> = ships.filter(unknown).collect();
        let fitted = mail.victim.items.iter();
        let fitted = fitted.filter(|item| matches!(self.modules.role(statics, item), Role::Unknown(_)));
        types.extend(fitted.map(|item| item.item_type_id));
        types.sort_unstable();
        types.dedup();
        let system = (!statics.systems.contains_key(&mail.solar_system_id)).then_some(mail.solar_system_id);
        Lacking { types, system }
    }
}
