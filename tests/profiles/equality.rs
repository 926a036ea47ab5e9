//! The index says what the interpreter says: of any filters and kills, while filters come and go.

use broadside::profile::index::Index;
use broadside::profile::workload::Workload;
use broadside::profile::{Field, Filter, Subject, interpret};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::draw::Draw;
use crate::world::{World, churn};

/// So many pairs of profiles and kills are compared by [`as_many_pairs_as_are_asked_for`]; without it some hundred thousand.
const PAIRS: &str = "BROADSIDE_PROFILE_PAIRS";

fn drawing(seed: u64) -> Box<Draw<'static>> {
    let mut rng = StdRng::seed_from_u64(seed);
    Box::new(move |below| rng.random_range(0..below))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_index_matches_what_the_interpreter_matches(seed: u64, profiles in 1_u32..150) {
        churn(&mut *drawing(seed), profiles, 12);
    }
}

#[test]
fn as_many_pairs_as_are_asked_for() {
    let wanted = std::env::var(PAIRS).ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(200_000);
    let (mut pairs, mut matches, mut seed) = (0, 0, 0x5eed);
    while pairs < wanted {
        seed += 1;
        let mut draw = drawing(seed);
        // Now and then so many that lists grow long.
        let profiles = if seed % 16 == 0 { 6_000 } else { 1 + draw(400) };
        let (more, matching) = churn(&mut *draw, profiles, 10);
        pairs += more;
        matches += matching;
    }
    assert!(matches > pairs / 20, "{matches} of {pairs} matched: too few to tell");
    println!("{pairs} pairs, {matches} matches, 0 differences");
}

#[test]
fn many_filters_of_the_workload_match_as_they_should_while_they_change() {
    let mut workload = Workload::new(3);
    let kills: Vec<_> = (0..200).map(|_| workload.kill()).collect();
    let mut world = World::new(&kills);
    for id in 0..5_000 {
        world.insert(id, workload.filter());
    }
    for id in (0..5_000).step_by(3) {
        world.remove(id);
        world.insert(id / 2, workload.filter());
    }
    let matches: usize = (0..40).map(|_| world.compare(&workload.kill())).sum();
    assert!(matches > 40 * 10, "{matches} matches of 40 kills");
}

#[test]
fn thousands_share_a_filter_and_each_is_matched_once() {
    let mut workload = Workload::new(4);
    let (kills, filters): (Vec<_>, Vec<_>) = (0..50).map(|_| (workload.kill(), workload.filter())).unzip();
    let mut world = World::new(&kills);
    for id in 0..3_000 {
        world.insert(id, filters[id as usize % filters.len()].clone());
    }
    assert_eq!(world.index.stats().filters, filters.len());
    for kill in &kills {
        world.compare(kill);
    }
    // Those whom the others followed go first.
    (0..2_900).for_each(|id| world.remove(id));
    assert_eq!((world.index.stats().profiles, world.index.stats().filters), (100, filters.len()));
    for kill in &kills {
        world.compare(kill);
    }
    assert!(kills.iter().any(|kill| filters.iter().any(|filter| interpret::holds(&filter.root, kill))));
}

#[test]
fn followers_are_matched_with_a_profile_that_stands_in_a_list_twice() {
    let any = |values: &str, more: &str| {
        let pilots = format!(r#"{{"field": "victim_character_id", "operator": "in", "value": {values}}}"#);
        format!(r#"{{"condition": "and", "rules": [{pilots}, {more}]}}"#)
    };
    let dear = any("[1, 2]", r#"{"field": "isk_value", "operator": "gte", "value": 1000}"#);
    let late = any("[2, 3]", r#"{"field": "hour", "operator": "gte", "value": 22}"#);
    let filter = Filter::parse(&format!(r#"{{"condition": "or", "rules": [{dear}, {late}]}}"#)).unwrap();
    let mut world = World::new(&[]);
    (0..3).for_each(|id| world.insert(id, filter.clone()));
    for (hour, isk, matching) in [(23, 5, 3), (3, 5_000_000, 3), (3, 5, 0)] {
        let mut kill = Subject::default();
        kill.set(Field::VictimCharacterId, &[2]);
        kill.set(Field::Hour, &[hour]);
        kill.set(Field::IskValue, &[isk]);
        assert_eq!(world.compare(&kill), matching);
    }
    // The one whom the others follow goes.
    world.remove(0);
    let mut kill = Subject::default();
    kill.set(Field::VictimCharacterId, &[2]);
    kill.set(Field::Hour, &[23]);
    assert_eq!(world.compare(&kill), 2);
}

#[test]
fn what_is_asked_beside_an_or_is_asked_of_each_of_its_members() {
    let rule = |field: &str, operator: &str, value: &str| {
        format!(r#"{{"field": "{field}", "operator": "{operator}", "value": {value}}}"#)
    };
    let all = |condition: &str, rules: &[String]| {
        format!(r#"{{"condition": "{condition}", "rules": [{}]}}"#, rules.join(", "))
    };
    // The first member of the `or` is decided by one test; of whom three or four shot it is more to be asked.
    let ships = rule("ship_type_id", "in", "[1, 2, 3, 4]");
    let there = all("and", &[ships, rule("region_id", "in", "[5, 6, 7]")]);
    let either = all("or", &[there, rule("system_id", "in", "[9]")]);
    let few = rule("attacker_count", "gte", "4");
    let mut world = World::new(&[]);
    world.insert(0, Filter::parse(&all("and", &[either, few])).unwrap());
    for (attackers, region, matching) in [(4, 6, 1), (3, 6, 0), (9, 6, 1), (9, 8, 0), (4, 8, 0)] {
        let mut kill = Subject::default();
        kill.set(Field::ShipTypeId, &[2]);
        kill.set(Field::RegionId, &[region]);
        kill.set(Field::AttackerCount, &[attackers]);
        assert_eq!(world.compare(&kill), matching, "{attackers} in {region}");
    }
}

/// Ships, and one of two things besides.
fn hunted(either: &str, or: &str) -> Filter {
    let ships = r#"{"field": "ship_type_id", "operator": "in", "value": [1, 2, 3, 4]}"#;
    let either = format!(r#"{{"condition": "or", "rules": [{either}, {or}]}}"#);
    Filter::parse(&format!(r#"{{"condition": "and", "rules": [{ships}, {either}]}}"#)).unwrap()
}

const SOLO: &str = r#"{"field": "solo", "operator": "eq", "value": true}"#;

fn hunt(region: i64, solo: bool, attackers: i64) -> Subject<'static> {
    let mut kill = Subject::default();
    kill.set(Field::ShipTypeId, &[2]);
    kill.set(Field::RegionId, &[region]);
    kill.set(Field::Solo, &[i64::from(solo)]);
    kill.set(Field::AttackerCount, &[attackers]);
    kill
}

#[test]
fn what_fails_one_member_of_an_or_may_match_another() {
    let mut world = World::new(&[]);
    world.insert(0, hunted(SOLO, r#"{"field": "region_id", "operator": "in", "value": [5, 6, 7]}"#));
    // Of some regions the guard says that they may be among the three.
    for region in 0..2_000 {
        assert_eq!(world.compare(&hunt(region, true, 1)), 1, "{region}");
        assert_eq!(world.compare(&hunt(region, false, 1)), usize::from((5..=7).contains(&region)), "{region}");
    }
    assert!(world.scratch.evaluated > 0, "the guard knows all regions");
}

#[test]
fn an_or_of_what_guards_say_needs_no_evaluation() {
    let mut world = World::new(&[]);
    let many = r#"{"field": "attacker_count", "operator": "gte", "value": 11}"#;
    world.insert(0, hunted(SOLO, many));
    world.insert(1, hunted(many, r#"{"field": "isk_value", "operator": "gte", "value": 1000}"#));
    for attackers in 1..20 {
        for solo in [true, false] {
            let matching = usize::from(solo || attackers > 10) + usize::from(attackers > 10);
            assert_eq!(world.compare(&hunt(5, solo, attackers)), matching, "{attackers}");
        }
    }
    assert_eq!(world.scratch.evaluated, 0);
    world.remove(0);
    world.remove(1);
    assert_eq!(world.compare(&hunt(5, true, 12)), 0);
}

#[test]
fn nested_ors_do_not_multiply() {
    let mut filter = r#"{"field": "ship_type_id", "operator": "in", "value": [1, 2]}"#.to_owned();
    for level in 0..14 {
        let either = format!(
            r#"{{"condition": "or", "rules": [{SOLO}, {{"field": "attacker_count", "operator": "gte", "value": {}}}]}}"#,
            30 + level
        );
        let ship = format!(r#"{{"field": "ship_type_id", "operator": "eq", "value": {}}}"#, 10 + level);
        let or = format!(r#"{{"condition": "or", "rules": [{filter}, {ship}]}}"#);
        filter = format!(r#"{{"condition": "and", "rules": [{either}, {or}]}}"#);
    }
    let filter = Filter::parse(&filter).unwrap();
    let mut index = Index::default();
    let keys = index.insert(0, &filter).unwrap().keys;
    assert!(keys <= 256, "{keys} entries");
    let mut world = World::new(&[]);
    world.insert(0, filter);
    for attackers in [1, 29, 30, 43, 44, 60] {
        for solo in [true, false] {
            assert_eq!(world.compare(&hunt(5, solo, attackers)), usize::from(solo || attackers >= 43), "{attackers}");
        }
    }
}
