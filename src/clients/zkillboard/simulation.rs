//! The course against a made-up service with every oddity of the real one: each file is handed over once, and every rule on waiting is kept.

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use rand::RngExt;
use tokio::time::Instant;

use super::*;
use world::{FIRST, Faults, Kind, World};

#[derive(Debug, Default)]
struct Seen {
    kills: BTreeMap<u64, u32>,
    poison: BTreeSet<u64>,
    skipped: BTreeMap<(u64, &'static str), u64>,
    gone: Vec<(u64, u64)>,
    revised: BTreeSet<u64>,
}

impl Seen {
    fn take(&mut self, event: Event) {
        match event {
            Event::Kill { number, raw, revises, .. } => {
                assert_eq!(raw, number.to_string());
                if revises {
                    self.revised.insert(number);
                } else {
                    *self.kills.entry(number).or_default() += 1;
                }
            }
            Event::Poison { number, .. } => assert!(self.poison.insert(number), "{number} was given up twice"),
            Event::Skipped { number, count, reason } => *self.skipped.entry((number, reason)).or_default() += count,
            Event::Gone { from, to, .. } => self.gone.push((from, to)),
            Event::Tip | Event::Ahead { .. } | Event::Trouble { .. } => {}
        }
    }
}

/// Runs until `is_done`, for at most so many simulated hours.
fn run(world: &mut World, start: &Start, hours: u64, is_done: impl Fn(&World, &Seen) -> bool) -> (Seen, Duration) {
    let (begin, mut now) = (world.start, world.start);
    let mut course = Course::new(start, now);
    let mut seen = Seen::default();
    while now < begin + Duration::from_secs(hours * 3600) {
        match course.step(now) {
            Step::Wait(until) => {
                assert!(until > now, "a wait that is none");
                now = until;
            }
            Step::Fetch(request) => {
                world.manners.request(request.target, now);
                let half = Duration::from_micros(world.random.random_range(500..30_000));
                now += half;
                let reply = world.answer(request.target, now);
                now += half;
                world.manners.answer(request.target, &reply, now);
                let chance = world.random.random();
                for event in course.answered(request, reply, chance, now) {
                    seen.take(event);
                }
                assert!(course.missing().count() <= 1000);
                if is_done(world, &seen) {
                    return (seen, now - begin);
                }
            }
        }
    }
    let lacking = world.files.iter().filter(|(n, file)| file.kind == Kind::Kill && !seen.kills.contains_key(n));
    panic!("after {hours} h there lack {:?}; {course:?}", lacking.map(|(n, _)| n).collect::<Vec<_>>());
}

/// Whether every file was handed over, or passed over for what it is.
fn everything(world: &World, seen: &Seen) -> bool {
    seen.kills.len() == world.kills
        && world.files.iter().all(|(number, file)| match file.kind {
            Kind::Kill => seen.kills.contains_key(number),
            Kind::Poison => seen.poison.contains(number),
            Kind::Placeholder => seen.skipped.contains_key(&(*number, "placeholder")),
            Kind::Gap => true,
        })
}

fn check(world: &World, seen: &Seen) {
    for (number, times) in &seen.kills {
        assert_eq!(*times, 1, "{number} was handed over {times} times");
        assert_eq!(world.files[number].kind, Kind::Kill);
    }
    for (number, reason) in seen.skipped.keys() {
        let expected = match world.files.get(number).map_or(Kind::Gap, |file| file.kind) {
            Kind::Gap => "gap",
            Kind::Placeholder => "placeholder",
            kind => panic!("{number}, a {kind:?}, was passed over as {reason}"),
        };
        assert_eq!(*reason, expected, "{number}");
    }
}

fn none() -> Faults {
    Faults {
        gaps: 0.0,
        placeholders: 0.0,
        poison: 0.0,
        late: 0.0,
        stale_404: false,
        updates: 0.0,
        down: 0.0,
        busy: 0.0,
        blocked: 0.0,
        bad_sequence: 0.0,
    }
}

fn from_the_first() -> Start {
    Start { next: Some(FIRST), ..Start::default() }
}

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..0.12]
}

prop_compose! {
    fn faults()(
        gaps in share(), placeholders in share(), poison in prop_oneof![3 => Just(0.0), 1 => 0.0..0.02], late in share(),
        stale_404 in any::<bool>(), down in prop_oneof![2 => Just(0.0), 1 => 0.0..0.4], busy in prop_oneof![2 => Just(0.0), 1 => 0.0..0.01],
        blocked in prop_oneof![3 => Just(0.0), 1 => 0.0..0.003], bad_sequence in prop_oneof![Just(0.0), Just(0.3), Just(1.0)],
    ) -> Faults {
        Faults { gaps, placeholders, poison, late, stale_404, updates: 0.0, down, busy, blocked, bad_sequence }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_file_is_handed_over_once_and_every_rule_is_kept(
        seed in any::<u64>(), faults in faults(), count in 1_u64..600,
        per_second in prop_oneof![Just(0.05), Just(0.2), Just(5.0), Just(50.0), Just(1e6)],
    ) {
        let mut world = World::new(seed, faults, count, per_second);
        let (seen, _) = run(&mut world, &from_the_first(), 60, everything);
        check(&world, &seen);
    }
}

#[test]
fn a_backlog_is_read_at_the_allowed_rate() {
    let mut world = World::new(1, none(), 3600, 1e6);
    let (_, took) = run(&mut world, &from_the_first(), 1, everything);
    // 100 ms, and 30 ms on average for an answer.
    assert!(took < Duration::from_secs(3600 * 140 / 1000), "{took:?}");
}

#[test]
fn at_the_tip_a_kill_is_read_within_seconds_and_few_requests_are_made() {
    let mut world = World::new(2, none(), 200, 0.2);
    let (_, took) = run(&mut world, &from_the_first(), 1, everything);
    assert!(took < Duration::from_secs(199 * 5 + 15), "{took:?}");
    assert!(world.manners.requests < 200 + 2 * 1000 / 6, "{} requests", world.manners.requests);
}

#[test]
fn a_gap_at_the_tip_is_passed_while_the_sequence_says_nothing() {
    let mut world = World::new(3, none(), 30, 0.1);
    for number in [FIRST + 5, FIRST + 6, FIRST + 20] {
        world.make_gap(number);
    }
    let (seen, took) = run(&mut world, &from_the_first(), 2, everything);
    assert!(took < Duration::from_secs(29 * 10 + 60), "{took:?}");
    assert!(seen.skipped.is_empty());
}

#[test]
fn gaps_are_counted_after_an_hour() {
    let mut world = World::new(4, none(), 400, 5.0);
    world.make_gap(FIRST + 100);
    let is_counted = |_: &World, seen: &Seen| seen.skipped.contains_key(&(FIRST + 100, "gap"));
    let (_, took) = run(&mut world, &from_the_first(), 3, is_counted);
    assert!((3600..3800).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn without_a_place_to_go_on_from_reading_begins_with_the_newest() {
    let mut world = World::new(5, none(), 500, 1e6);
    world.announced = (FIRST + 490, world.start);
    let end = |_: &World, seen: &Seen| seen.kills.contains_key(&(FIRST + 499));
    let (seen, _) = run(&mut world, &Start::default(), 1, end);
    assert_eq!(seen.kills.keys().next(), Some(&(FIRST + 490)));
}

#[test]
fn files_that_are_gone_are_leapt_over_to_the_first_that_is_there() {
    for (is_stale, questions) in [(true, 100), (false, 120)] {
        let mut world = World::new(6, Faults { gaps: 0.02, ..none() }, 20_000, 1e6);
        world.expired = FIRST + 15_000;
        world.announced = (FIRST + 19_999, world.start);
        let start = Start { missing: vec![FIRST - 7], is_stale, ..from_the_first() };
        let (seen, _) = run(&mut world, &start, 1, |_, seen| !seen.kills.is_empty());
        let first = (FIRST + 15_000..).find(|number| world.files[number].kind == Kind::Kill).expect("one");
        assert_eq!(seen.gone, [(FIRST - 7, first)]);
        assert_eq!(seen.kills.keys().collect::<Vec<_>>(), [&first]);
        assert_eq!(seen.skipped[&(FIRST - 7, "expired")], first - FIRST + 1);
        assert!(world.manners.requests < questions, "{} requests", world.manners.requests);
    }
}

#[test]
fn a_sequence_that_names_what_is_not_there_leads_nowhere() {
    let mut world = World::new(7, none(), 30, 0.5);
    world.announced = (900_000_000_000, world.start);
    let (seen, took) = run(&mut world, &from_the_first(), 2, everything);
    assert!(seen.gone.is_empty());
    assert!(took < Duration::from_secs(1800), "{took:?}");
}

#[test]
fn updated_files_are_read_again() {
    let mut world = World::new(8, Faults { updates: 0.1, ..none() }, 300, 5.0);
    let expected: BTreeSet<u64> =
        world.files.iter().filter_map(|(number, file)| file.updated.filter(|updated| updated < number)).collect();
    let all = |world: &World, seen: &Seen| everything(world, seen) && seen.revised.is_superset(&expected);
    let (seen, _) = run(&mut world, &from_the_first(), 1, all);
    assert!(seen.revised.is_subset(&world.files.keys().copied().collect()));
    check(&world, &seen);
}

#[test]
fn a_file_that_was_updated_and_is_gone_is_passed_over() {
    let mut world = World::new(9, none(), 20, 5.0);
    world.files.get_mut(&(FIRST + 3)).expect("a file").updated = Some(FIRST - 500);
    let gone = |world: &World, seen: &Seen| {
        everything(world, seen) && seen.skipped.contains_key(&(FIRST - 500, "update_gone"))
    };
    run(&mut world, &from_the_first(), 1, gone);
}

#[test]
fn a_service_that_is_down_for_an_hour_costs_no_file() {
    let mut world = World::new(10, Faults { down: 1.0, ..none() }, 50, 1.0);
    let mut course = Course::new(&from_the_first(), world.start);
    let mut now = world.start;
    let mut requests = 0;
    while now < world.start + Duration::from_secs(3600) {
        match course.step(now) {
            Step::Wait(until) => now = until,
            Step::Fetch(request) => {
                requests += 1;
                let reply = world.answer(request.target, now);
                let events = course.answered(request, reply, 0.5, now);
                assert!(events.iter().all(|event| matches!(event, Event::Trouble { .. })), "{events:?}");
            }
        }
    }
    assert!(requests < 120, "{requests} requests");
    assert_eq!(course.next(), Some(FIRST));
}

#[test]
fn a_position_of_another_numbering_is_told_from_the_end_of_this_one() {
    let now = Instant::now();
    let seen = |next: u64| {
        let mut course = Course::new(&Start { next: Some(next), ..Start::default() }, now);
        let Step::Fetch(request) = course.step(now) else { panic!("nothing holds the first request back") };
        course.answered(request, Reply::NotFound, 0.5, now);
        let later = now + Duration::from_secs(1);
        let Step::Fetch(request) = course.step(later) else { panic!("the sequence may be asked for") };
        course.answered(request, Reply::Sequence(5000), 0.5, later)
    };
    assert_eq!(seen(5001), [Event::Tip]);
    assert_eq!(seen(15_000), [Event::Tip]);
    assert_eq!(seen(15_001), [Event::Ahead { next: 15_001, newest: 5000 }]);
}
