//! zKillboard's points, worked out by hand.

use broadside::killmail::{Form, Killmail};

use crate::world::{edit, kill, lost, npc, player, statics, tag, without_attributes};

fn points(mail: &Killmail) -> Option<i64> {
    tag(&statics(), mail).tagged.points
}

#[test]
fn a_fit_without_danger_is_worth_one_point() {
    assert_eq!(points(&lost(1, &[])), Some(1));
    assert_eq!(points(&lost(1, &[(11, 113), (5, 101), (27, 200)])), Some(1), "no heat, cargo, a charge");
}

#[test]
fn danger_counts_up_to_four_as_a_share_and_beyond_as_a_bonus() {
    let guns = |count: i32| (0..count).map(|slot| (27 + slot, 101)).collect::<Vec<_>>();
    // (5 + 2) × 2/4 = 3.5, against a cruiser of 25: × 0.5
    assert_eq!(points(&lost(1, &guns(2))), Some(1));
    // (5 + 8) × 1 = 13, × 0.5
    assert_eq!(points(&lost(1, &guns(8))), Some(6));
    // a cruiser lost to a frigate: (25 + 8) × 1, × 1.2
    let mut mail = lost(3, &guns(8));
    mail.attackers = vec![player(1, 1)];
    assert_eq!(points(&mail), Some(39));
    // to four frigates, of which each is worth a little: (25 + 8) / (4 × 2) × 1.2
    mail.attackers = (0..4).map(|number| player(number, 1)).collect();
    assert_eq!(points(&mail), Some(4));
}

#[test]
fn meta_level_drone_damage_and_mining_count_too() {
    let mut statics = statics();
    edit(&mut statics, 101, |made| made.meta_level = Some(5));
    let mut mail = lost(3, &[(27, 101), (11, 118), (28, 119), (29, 119)]);
    mail.attackers = vec![player(1, 3)];
    edit(&mut statics, 119, |made| made.has_heat_damage = Some(false));
    // 1 + 5/2 = 3, and 1 for the drones, less 2 for the lasers: (25 + 2) × 2/4
    assert_eq!(tag(&statics, &mail).tagged.points, Some(13));
}

#[test]
fn capsules_count_as_larger_than_what_they_killed_and_strategic_cruisers_as_cruisers() {
    let guns: Vec<_> = (0..8).map(|slot| (27 + slot, 101)).collect();
    let mut mail = lost(7, &guns);
    mail.attackers = vec![player(1, 4)];
    // 25 + 8, against a capsule that counts as 125: × 0.5
    assert_eq!(points(&mail), Some(16));
}

#[test]
fn npcs_structures_and_nobody_make_one_point() {
    let guns: Vec<_> = (0..8).map(|slot| (27 + slot, 101)).collect();
    let mut mail = lost(3, &guns);
    for attackers in [vec![npc(1)], vec![player(1, 1), player(2, 20)], vec![]] {
        mail.attackers = attackers;
        assert_eq!(points(&mail), Some(1));
    }
}

#[test]
fn without_attributes_or_items_points_are_not_told_and_the_kill_is_whole_all_the_same() {
    let mail = lost(3, &[(27, 101)]);
    let found = tag(&without_attributes(), &mail);
    assert_eq!(found.tagged.points, None);
    assert!(found.tagged.is_whole && found.lacking.is_empty());
    assert_eq!(tag(&without_attributes(), &kill(1, vec![npc(1)])).tagged.points, Some(1));
    assert_eq!(points(&Killmail { form: Form::Feed, ..mail }), None);
}
