//! A small game: types of a few groups, systems of each kind; and kills in it.

use std::collections::HashMap;

use broadside::killmail::{
    Attacker, CategoryId, CharacterId, ConstellationId, CorporationId, Form, GroupId, Item, Killmail, KillmailId,
    MetaGroupId, RegionId, SystemId, TypeId, Victim,
};
use broadside::statics::{Group, Statics, System, Type};
use broadside::tags::{Found, Tagger};

/// Group, its category, and the types in it: id, meta group, effects.
type Row = (i64, i64, &'static [(i64, i64, &'static [i64])]);

const TYPES: &[Row] = &[
    // ships
    (25, 6, &[(1, 1, &[]), (2, 4, &[])]),
    (26, 6, &[(3, 1, &[])]),
    (29, 6, &[(4, 0, &[])]),
    (31, 6, &[(5, 1, &[])]),
    (237, 6, &[(6, 1, &[])]),
    (963, 6, &[(7, 14, &[])]),
    (485, 6, &[(8, 1, &[])]),
    (832, 6, &[(9, 2, &[])]),
    (547, 6, &[(10, 1, &[])]),
    // what is no ship
    (1657, 65, &[(20, 0, &[])]),
    (1250, 22, &[(21, 1, &[])]),
    (550, 11, &[(22, 0, &[])]),
    (1652, 87, &[(23, 2, &[])]),
    (100, 18, &[(24, 1, &[]), (25, 4, &[])]),
    (4_900_001, 6, &[(26, 1, &[])]),
    // modules
    (74, 7, &[(100, 1, &[12, 42]), (101, 2, &[12, 42]), (102, 5, &[12, 42])]),
    (55, 7, &[(103, 3, &[12, 42])]),
    (509, 7, &[(104, 2, &[12, 40])]),
    (38, 7, &[(105, 2, &[13]), (106, 6, &[13])]),
    (52, 7, &[(107, 2, &[13, 39]), (108, 2, &[13, 5934])]),
    (46, 7, &[(109, 1, &[13, 6730]), (110, 4, &[13, 6731]), (111, 15, &[13, 6730])]),
    (62, 7, &[(112, 2, &[11])]),
    (60, 7, &[(113, 0, &[11])]),
    (773, 7, &[(114, 1, &[2663])]),
    (954, 32, &[(115, 14, &[3772])]),
    (330, 7, &[(116, 19, &[12])]),
    (501, 7, &[(117, 1, &[12])]),
    (645, 7, &[(118, 2, &[11])]),
    (54, 7, &[(119, 1, &[12])]),
    (1321, 66, &[(120, 54, &[])]),
    (9_000_000, 7, &[(121, 1, &[12])]),
    // charges, implants, minerals
    (85, 8, &[(200, 2, &[])]),
    (300, 20, &[(201, 4, &[])]),
    (18, 4, &[(202, 1, &[])]),
];

/// Id, region, security.
const SYSTEMS: &[(i64, i64, f64)] = &[
    (30_000_001, 10_000_001, 0.95),
    (30_000_002, 10_000_001, 0.3),
    (30_000_003, 10_000_001, 0.0),
    (30_000_004, 10_000_001, -0.4),
    (30_000_005, 10_000_070, -1.0),
    (31_000_100, 11_000_005, -0.99),
];

/// Everything there is, with attributes.
pub(crate) fn statics() -> Statics {
    let mut statics = Statics::default();
    for (group, category, types) in TYPES {
        let (group_id, category_id) = (GroupId::new(*group).unwrap(), CategoryId::new(*category).unwrap());
        statics.groups.insert(group_id, Group { group_id, category_id, name: format!("Group {group}").into() });
        for (id, meta, effects) in *types {
            let made = Type {
                type_id: TypeId::new(*id).unwrap(),
                name: format!("Type {id}").into(),
                group_id,
                meta_group_id: MetaGroupId::new(*meta),
                is_on_market: true,
                is_published: true,
                mass: if *category == 22 { 0.0 } else { 1_000_000.0 * (*id as f64) },
                volume: 1.0,
                base_price: None,
                effects: (*effects).into(),
                tech_level: None,
                meta_level: None,
                rig_size: (*category == 6).then(|| size(*group)),
                has_heat_damage: Some(*category == 7 && !matches!(group, 645 | 60 | 38)),
            };
            statics.types.insert(made.type_id, made);
        }
    }
    for (id, region, security_status) in SYSTEMS {
        let system_id = SystemId::new(*id).unwrap();
        let system = System {
            system_id,
            name: format!("System {id}").into(),
            constellation_id: ConstellationId::new(20_000_007).unwrap(),
            region_id: RegionId::new(*region).unwrap(),
            security_status: *security_status,
        };
        statics.systems.insert(system_id, system);
    }
    statics
}

fn size(group: i64) -> i64 {
    match group {
        26 | 832 => 2,
        485 | 547 => 4,
        _ => 1,
    }
}

/// Without the attributes, as a plain import has them.
pub(crate) fn without_attributes() -> Statics {
    let mut statics = statics();
    for made in statics.types.values_mut() {
        (made.rig_size, made.has_heat_damage) = (None, None);
    }
    statics
}

pub(crate) fn edit(statics: &mut Statics, id: i64, change: impl Fn(&mut Type)) {
    change(statics.types.get_mut(&TypeId::new(id).unwrap()).unwrap());
}

/// Of this ship, by this attacker in low security.
pub(crate) fn kill(ship: i64, attackers: Vec<Attacker>) -> Killmail {
    Killmail {
        killmail_id: KillmailId::new(1).unwrap(),
        killmail_hash: None,
        killmail_time: "2026-02-03T12:00:00Z".parse().unwrap(),
        solar_system_id: SystemId::new(30_000_002).unwrap(),
        moon_id: None,
        war_id: None,
        victim: Victim {
            character_id: CharacterId::new(95_000_001),
            corporation_id: CorporationId::new(98_000_001),
            ship_type_id: TypeId::new(ship),
            damage_taken: 100,
            ..Victim::default()
        },
        attackers,
        zkb: None,
        form: Form::Esi,
    }
}

/// A player of a corporation of their own.
pub(crate) fn player(number: i64, ship: i64) -> Attacker {
    Attacker {
        character_id: CharacterId::new(96_000_000 + number),
        corporation_id: CorporationId::new(98_500_000 + number),
        ship_type_id: TypeId::new(ship),
        damage_done: 100,
        ..Attacker::default()
    }
}

pub(crate) fn npc(damage_done: i64) -> Attacker {
    Attacker {
        corporation_id: CorporationId::new(1_000_125),
        ship_type_id: TypeId::new(22),
        damage_done,
        ..Attacker::default()
    }
}

/// One of it, dropped.
pub(crate) fn item(flag: i32, type_id: i64) -> Item {
    Item {
        flag,
        item_type_id: TypeId::new(type_id).unwrap(),
        quantity_destroyed: None,
        quantity_dropped: Some(1),
        singleton: 0,
        items: Vec::new(),
    }
}

pub(crate) fn lost(ship: i64, items: &[(i32, i64)]) -> Killmail {
    let mut mail = kill(ship, vec![player(1, 3)]);
    mail.victim.items = items.iter().map(|(flag, type_id)| item(*flag, *type_id)).collect();
    mail
}

thread_local! {
    static TAGGER: Tagger = Tagger::default();
}

pub(crate) fn tag(statics: &Statics, mail: &Killmail) -> Found {
    TAGGER.with(|tagger| tagger.tag(statics, mail))
}

/// The tags of a fit, joined.
pub(crate) fn tags(items: &[(i32, i64)]) -> String {
    let found = tag(&statics(), &lost(1, items));
    let counts: HashMap<_, usize> = found.tagged.module_tags.iter().map(|tag| (tag.clone(), 1)).collect();
    assert_eq!(counts.len(), found.tagged.module_tags.len(), "each once");
    assert!(found.tagged.module_tags.is_sorted());
    found.tagged.module_tags.join(", ")
}
