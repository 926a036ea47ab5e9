//! Tests of what a kill is worth.

use proptest::prelude::*;

use super::*;
use crate::killmail::sample::Sampler;
use crate::killmail::wire;
use crate::killmail::{GroupId, Victim};
use crate::statics::{Group, Type};

fn id(id: i64) -> TypeId {
    TypeId::new(id).expect("an id")
}

fn kill(ship: i64, items: Vec<Item>) -> Killmail {
    let sample = Sampler::new(1).next("2026-02-03T04:05:06Z".parse().expect("a time"));
    let mail = wire::decode(sample.esi_json().as_bytes()).expect("a kill");
    Killmail { victim: Victim { ship_type_id: TypeId::new(ship), items, ..Victim::default() }, ..mail }
}

fn item(type_id: i64, flag: i32, destroyed: i64, dropped: i64) -> Item {
    Item {
        flag,
        item_type_id: id(type_id),
        quantity_destroyed: (destroyed != 0).then_some(destroyed),
        quantity_dropped: (dropped != 0).then_some(dropped),
        singleton: 0,
        items: Vec::new(),
    }
}

/// Type 900 is a SKIN.
fn statics() -> Statics {
    let mut statics = Statics::default();
    let (group_id, category_id) = (GroupId::new(1950).expect("an id"), CategoryId::new(91).expect("an id"));
    statics.groups.insert(group_id, Group { group_id, category_id, name: "SKINs".into() });
    let skin = Type {
        type_id: id(900),
        name: "a SKIN".into(),
        group_id,
        meta_group_id: None,
        is_on_market: true,
        is_published: true,
        mass: 0.0,
        volume: 0.0,
        base_price: None,
        effects: Box::default(),
        tech_level: None,
        meta_level: None,
        rig_size: None,
        has_heat_damage: None,
    };
    statics.types.insert(id(900), skin);
    statics
}

/// A type costs a hundred times its id, in cents; those divisible by 50 nothing.
fn price(type_id: TypeId) -> Option<Price> {
    let source = Source::ALL[type_id.get() as usize % 5];
    let cents = Cents(type_id.get().saturating_mul(100));
    (type_id.get() % 50 != 0).then_some(Price { cents, source, is_of_another_day: false })
}

#[test]
fn hull_and_stacks_are_summed_by_what_became_of_them() {
    let container = Item { items: vec![item(3, 0, 10, 0), item(4, 27, 0, 5)], ..item(2, 5, 0, 1) };
    let mail = kill(1, vec![item(5, 11, 1, 0), item(6, 27, 0, 2), item(7, 5, 3, 0), container]);
    let (worth, tally) = worth(&mail, &Statics::default(), price);
    assert_eq!(worth.destroyed, Some(100 + 500 + 2_100 + 3_000));
    assert_eq!(worth.dropped, Some(1_200 + 200 + 2_000));
    assert_eq!(worth.total, Some(5_700 + 3_400));
    assert_eq!(worth.fitted, Some(100 + 500 + 1_200), "what is nested is not fitted, whatever its flag");
    assert_eq!(worth.source, "janice:1,mutamarket:2,market:2,esi:1,base:1");
    assert_eq!(tally.counts().map(|(_, count)| count).sum::<u32>(), 7);
}

#[test]
fn some_things_cost_a_hundredth_by_rule_and_are_not_asked_for() {
    let copy = Item { singleton: 2, ..item(11, 5, 1, 0) };
    let escape = Item { items: vec![item(13, 0, 2, 0)], ..item(12, 179, 1, 0) };
    let mail = kill(1, vec![copy, item(900, 5, 3, 0), escape, item(11, 5, 1, 0), item(100, 5, 7, 0)]);
    assert_eq!(needed(&mail, &statics()), [1, 11, 100].map(id));
    let (worth, _) = worth(&mail, &statics(), price);
    assert_eq!(worth.total, Some(100 + 1 + 3 + 1 + 2 + 1_100));
    assert_eq!(worth.source, "mutamarket:2,rule:4,none:1");
}

#[test]
fn prices_of_another_day_are_marked() {
    let todays = |type_id| Some(Price { is_of_another_day: type_id == id(2), ..price(type_id)? });
    let one = |items| worth(&kill(1, items), &Statics::default(), todays).0.source;
    assert_eq!(one(vec![]), "mutamarket:1");
    assert_eq!(one(vec![item(2, 5, 1, 0)]), "mutamarket:1,market:1;today");
}

#[test]
fn every_fitting_slot_counts_and_nothing_else() {
    let fitted: Vec<i32> = (-5..300).filter(|flag| is_fitted(*flag)).collect();
    let expected: Vec<i32> =
        (11..=34).chain([87, 89]).chain(92..=99).chain(125..=132).chain(158..=163).chain([172]).collect();
    assert_eq!(fitted, expected);
}

#[test]
fn more_than_can_be_written_down_is_absent() {
    let mail = kill(1, vec![item(i64::MAX, 5, i64::MAX, i64::MAX), item(3, 5, i64::MIN, -1), item(7, 5, 0, 2)]);
    let all =
        |type_id: TypeId| Some(Price { cents: Cents(type_id.get()), source: Source::Janice, is_of_another_day: false });
    let (worth, _) = worth(&mail, &Statics::default(), all);
    assert_eq!((worth.total, worth.destroyed, worth.dropped, worth.fitted), (None, None, None, Some(1)));
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let flag = prop_oneof![Just(5), Just(11), Just(87), Just(179), any::<i32>()];
    let quantity = || prop_oneof![0..10_i64, any::<i64>()];
    let leaf = (1..200_i64, flag, quantity(), quantity(), 0..3_i32).prop_map(
        |(type_id, flag, destroyed, dropped, singleton)| Item { singleton, ..item(type_id, flag, destroyed, dropped) },
    );
    let nested =
        (leaf.clone(), prop::collection::vec(leaf.clone(), 0..3)).prop_map(|(outer, items)| Item { items, ..outer });
    prop::collection::vec(prop_oneof![leaf, nested], 0..12)
}

proptest! {
    #[test]
    fn the_total_is_what_was_destroyed_and_dropped_and_holds_what_is_fitted(items in items()) {
        let (worth, _) = worth(&kill(1, items), &statics(), price);
        if let (Some(total), Some(destroyed), Some(dropped)) = (worth.total, worth.destroyed, worth.dropped) {
            prop_assert_eq!(total, destroyed + dropped);
            prop_assert!(worth.fitted.is_some_and(|fitted| (0..=total).contains(&fitted)));
        } else {
            prop_assert_eq!(worth.total, None);
        }
    }

    #[test]
    fn the_order_of_items_does_not_matter(items in items(), by in 0..12_usize) {
        let mail = kill(1, items.clone());
        let mut turned = items;
        let by = by % turned.len().max(1);
        turned.rotate_left(by);
        turned.iter_mut().for_each(|item| item.items.reverse());
        let other = kill(1, turned);
        prop_assert_eq!(worth(&mail, &statics(), price), worth(&other, &statics(), price));
        prop_assert_eq!(needed(&mail, &statics()), needed(&other, &statics()));
    }
}
