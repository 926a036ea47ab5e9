//! Mass balance and usefulness.

use broadside::killmail::{Attacker, Measures};
use broadside::tags::measures;
use proptest::prelude::*;

use crate::world::{kill, npc, player, statics, tag};

fn by(damage_done: i64, attacker: Attacker) -> Attacker {
    Attacker { damage_done, ..attacker }
}

fn of(ship: i64, attackers: Vec<Attacker>) -> Vec<(Option<f64>, Option<f64>)> {
    let measures = tag(&statics(), &kill(ship, attackers)).tagged.measures;
    measures.iter().map(|of: &Measures| (of.mass_balance, of.usefulness)).collect()
}

#[test]
fn the_example_of_the_docs_holds() {
    // The cruiser that is type 3 has 3,000,000 kg here; a frigate weighs 1, a cruiser 3.
    let found = of(3, vec![by(600, player(1, 1)), by(300, player(2, 3)), npc(100)]);
    assert_eq!(found[0], (Some(-3_000_000.0), None));
    assert!((found[1].0.unwrap() - 1_800_000.0).abs() < 1e-3 && (found[1].1.unwrap() - 8.0 / 3.0).abs() < 1e-9);
    assert!((found[2].0.unwrap() - 900_000.0).abs() < 1e-3 && (found[2].1.unwrap() - 4.0 / 9.0).abs() < 1e-9);
    assert!((found[3].0.unwrap() - 300_000.0).abs() < 1e-3 && found[3].1.is_none());
}

#[test]
fn without_damage_the_final_blow_has_all_of_the_mass_and_nobody_was_useful() {
    let found = of(3, vec![by(0, player(1, 1)), Attacker { final_blow: true, ..by(0, player(2, 1)) }]);
    assert_eq!(found, [(Some(-3_000_000.0), None), (Some(0.0), None), (Some(3_000_000.0), None)]);
    let found = of(3, vec![by(0, player(1, 1)), by(-5, player(2, 1))]);
    assert_eq!(found, [(Some(-3_000_000.0), None), (Some(1_500_000.0), None), (Some(1_500_000.0), None)]);
}

#[test]
fn who_has_no_weight_is_left_out_of_usefulness() {
    // a capsule, nobody's ship, a ship of a class that is not known, one that did nothing
    let nowhere = Attacker { ship_type_id: None, ..player(2, 1) };
    let attackers = vec![
        by(500, player(1, 4)),
        by(500, nowhere),
        by(500, player(3, 999)),
        by(70, player(4, 1)),
        by(0, player(5, 1)),
    ];
    let useful: Vec<_> = of(3, attackers).into_iter().map(|(_, usefulness)| usefulness).collect();
    assert_eq!(useful, [None, None, None, None, Some(2.0), Some(0.0)]);
    assert_eq!(of(3, vec![by(10, player(1, 4))])[1].1, None);
}

#[test]
fn without_a_mass_or_an_attacker_nothing_is_said_of_mass() {
    assert_eq!(of(21, vec![player(1, 1)]), [(None, None), (None, Some(1.0))], "the static data have no mass");
    assert_eq!(of(999, vec![player(1, 1)]), [(None, None), (None, Some(1.0))]);
    assert_eq!(of(3, vec![]), [(None, None)]);
}

proptest! {
    #[test]
    fn over_a_kill_masses_sum_to_nothing_and_usefulness_to_what_was_expected(
        attackers in prop::collection::vec((-10..100_000_i64, prop_oneof![Just(0.0), 0.1..100.0_f64], any::<bool>()), 1..200),
        mass in 0.0..1e10_f64,
    ) {
        let weights: Vec<f64> = attackers.iter().map(|(_, weight, _)| *weight).collect();
        let of = |(number, (damage, _, final_blow)): (usize, &(i64, f64, bool))| {
            Attacker { final_blow: *final_blow, ..by(*damage, player(number as i64, 1)) }
        };
        let mail = kill(3, attackers.iter().enumerate().map(of).collect());
        let number = |attacker: &Attacker| (attacker.character_id.unwrap().get() - 96_000_000) as usize;
        let found = measures::of(&mail, Some(mass), |attacker| Some(weights[number(attacker)]));
        prop_assert_eq!(found.len(), mail.attackers.len() + 1);
        let sum: f64 = found.iter().filter_map(|of| of.mass_balance).sum();
        prop_assert!(sum.abs() <= mass * 1e-9, "{}", sum);
        prop_assert!(found.iter().filter_map(|of| of.mass_balance).all(|balance| (-mass..=mass * 1.000_001).contains(&balance)));
        let expected: f64 = weights.iter().sum();
        let useful: Vec<f64> = found[1..].iter().zip(&weights).filter_map(|(of, weight)| Some(of.usefulness? * weight / expected)).collect();
        if !useful.is_empty() {
            prop_assert!((useful.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        prop_assert!(found.iter().filter_map(|of| of.usefulness).all(|useful| useful >= 0.0));
    }
}
