//! Tags of fits.

use broadside::killmail::Item;
use broadside::tags::Modules;
use broadside::tags::modules::Role;
use proptest::prelude::*;

use crate::world::{edit, item, lost, statics, tag, tags};

#[test]
fn a_gun_is_tagged_by_slot_make_and_kind_and_its_charge_not_at_all() {
    assert_eq!(tags(&[(27, 101), (27, 200)]), "High, Hybrid, T2");
    assert_eq!(tags(&[(27, 200)]), "");
}

#[test]
fn each_tag_is_given_once_however_many_modules_have_it() {
    assert_eq!(tags(&[(27, 101), (28, 101), (29, 104), (19, 105)]), "High, Hybrid, Mid, Missile, Shield Extender, T2");
}

#[test]
fn every_make_has_its_tag() {
    assert_eq!(tags(&[(27, 100)]), "High, Hybrid, T1");
    assert_eq!(tags(&[(27, 102)]), "High, Hybrid, Officer");
    assert_eq!(tags(&[(27, 103)]), "Faction, High, Projectile", "storyline counts as faction");
    assert_eq!(tags(&[(19, 106)]), "Deadspace, Mid, Shield Extender");
    assert_eq!(tags(&[(19, 111)]), "Abyssal, Microwarpdrive, Mid, Propulsion");
    assert_eq!(tags(&[(125, 115)]), "Defensive Subsystem, Subsystem, T3");
    assert_eq!(tags(&[(11, 113)]), "Damage Control, Low, T1", "without a meta group, without a tech level");
    assert_eq!(tags(&[(27, 116)]), "Cloak, High", "given away for a time: of no make");
}

#[test]
fn without_a_meta_group_the_tech_level_says_the_make() {
    for (level, make) in [(1, "T1"), (2, "T2"), (3, "T3"), (7, "T1")] {
        let mut statics = statics();
        edit(&mut statics, 113, |made| made.tech_level = Some(level));
        let found = tag(&statics, &lost(1, &[(11, 113)]));
        assert!(found.tagged.module_tags.iter().any(|tag| &**tag == make), "{level}");
    }
}

#[test]
fn effects_tell_modules_of_one_group_apart() {
    assert_eq!(tags(&[(19, 107)]), "Mid, T2, Warp Disruptor");
    assert_eq!(tags(&[(19, 108)]), "Mid, T2, Warp Scrambler");
    assert_eq!(tags(&[(19, 109)]), "Microwarpdrive, Mid, Propulsion, T1");
    assert_eq!(tags(&[(19, 110)]), "Afterburner, Faction, Mid, Propulsion");
    let mut without_effects = statics();
    edit(&mut without_effects, 107, |made| made.effects = Box::default());
    let found = tag(&without_effects, &lost(1, &[(19, 107)]));
    assert_eq!(found.tagged.module_tags.join(", "), "Mid, T2, Warp Scrambler", "by its group");
}

#[test]
fn drones_fighters_rigs_services_and_implants_have_slots_of_their_own() {
    assert_eq!(tags(&[(87, 24)]), "Drone, Drone Bay, T1");
    assert_eq!(tags(&[(158, 23), (161, 23)]), "Fighter, Fighter Bay, T2");
    assert_eq!(tags(&[(94, 114)]), "Armor Rig, Rig, T1");
    assert_eq!(tags(&[(164, 120)]), "Service, T1");
    assert_eq!(tags(&[(89, 201)]), "Implant", "of no make");
}

#[test]
fn cargo_and_what_lies_in_containers_gives_nothing() {
    assert_eq!(tags(&[(5, 101), (155, 105), (134, 202), (0, 101), (172, 202), (4242, 101)]), "");
    let mut mail = lost(1, &[(27, 100)]);
    mail.victim.items[0].items = vec![item(27, 101)];
    assert_eq!(tag(&statics(), &mail).tagged.module_tags.join(", "), "High, Hybrid, T1");
}

#[test]
fn destroyed_and_dropped_count_alike() {
    let mut mail = lost(1, &[(27, 101)]);
    (mail.victim.items[0].quantity_destroyed, mail.victim.items[0].quantity_dropped) = (Some(1), None);
    assert_eq!(tag(&statics(), &mail).tagged.module_tags.join(", "), "High, Hybrid, T2");
}

#[test]
fn of_an_unknown_type_only_the_slot_is_told_and_it_is_asked_for() {
    let found = tag(&statics(), &lost(1, &[(27, 777), (5, 778)]));
    assert_eq!(found.tagged.module_tags.join(", "), "High");
    assert!(!found.tagged.is_whole);
    assert_eq!(found.lacking.types.iter().map(|id| id.get()).collect::<Vec<_>>(), [777], "cargo decides nothing");
}

#[test]
fn a_group_without_a_rule_is_named() {
    let modules = Modules::default();
    let role = |type_id| modules.role(&statics(), &item(27, type_id));
    assert!(matches!(role(121), Role::Unruled(_)));
    assert!(matches!(role(117), Role::Fitted(_)), "no tag, for a reason, is a rule too");
    assert_eq!(modules.names(role(117).tags()).join(", "), "High, T1");
    assert_eq!(modules.place(27), Some("High"));
    assert_eq!(modules.place(5), Some("Cargo"));
    assert_eq!(modules.place(4242), None);
}

#[test]
fn classes_of_ships_and_places_are_told() {
    let class = |ship: i64| tag(&statics(), &lost(ship, &[])).tagged.ship_class;
    assert_eq!(class(1).as_deref(), Some("frigate"));
    assert_eq!(class(4).as_deref(), Some("capsule"));
    assert_eq!(class(20).as_deref(), Some("structure"));
    assert_eq!(class(21).as_deref(), Some("deployable"));
    assert_eq!(class(26), None, "a group that the table does not have");
    let found = tag(&statics(), &lost(1, &[])).tagged;
    assert_eq!((found.system_class, found.region_id), (Some("lowsec"), Some(10_000_001)));
    assert_eq!((found.constellation_id, found.security_status), (Some(20_000_007), Some(0.3)));
    assert!(found.is_whole);
}

fn any_item() -> impl Strategy<Value = Item> {
    let flags = prop_oneof![0..200_i32, prop::sample::select(vec![11, 19, 27, 87, 89, 92, 125])];
    (flags, prop_oneof![1..30_i64, 100..125_i64, 200..205_i64]).prop_map(|(flag, type_id)| item(flag, type_id))
}

proptest! {
    #[test]
    fn tags_are_sorted_distinct_and_do_not_depend_on_the_order_of_items(items in prop::collection::vec(any_item(), 0..40)) {
        let statics = statics();
        let mut mail = lost(1, &[]);
        mail.victim.items = items;
        let tags = tag(&statics, &mail).tagged.module_tags;
        prop_assert!(tags.windows(2).all(|pair| pair[0] < pair[1]));
        mail.victim.items.reverse();
        prop_assert_eq!(tags, tag(&statics, &mail).tagged.module_tags);
    }
}
