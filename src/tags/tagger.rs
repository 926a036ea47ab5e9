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
        let (fitted, unknown) = self.fitted(statics, mail);
        let lacking = lacking(statics, mail, unknown);
        let tagged = Tagged {
            module_tags: self.modules.names(fitted),
            ship_class: class.map(|class| class.name.clone()),
            ship_group_id: victim.and_then(|ship| statics.group(ship)).map(|group| group.group_id.get()),
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

    /// The tags of everything fitted, and what is fitted and not known.
    fn fitted(&self, statics: &Statics, mail: &Killmail) -> (Set, Vec<TypeId>) {
        let (mut all, mut unknown) = (Set::default(), Vec::new());
        for item in &mail.victim.items {
            let role = self.modules.role(statics, item);
            all.join(role.tags());
            if let Role::Unknown(_) = role {
                unknown.push(item.item_type_id);
            }
        }
        (all, unknown)
    }
}

/// What is lacking beside what was fitted.
fn lacking(statics: &Statics, mail: &Killmail, fitted: Vec<TypeId>) -> Lacking {
    let ships = mail.attackers.iter().map(|attacker| attacker.ship_type_id);
    let ships = std::iter::once(mail.victim.ship_type_id).chain(ships).flatten();
    let mut types = fitted;
    types.extend(ships.filter(|ship| statics.group(*ship).is_none()));
    types.sort_unstable();
    types.dedup();
    let system = (!statics.systems.contains_key(&mail.solar_system_id)).then_some(mail.solar_system_id);
    Lacking { types, system }
}
