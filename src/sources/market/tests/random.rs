//! Whatever happens: no page is asked for before it has expired, no more calls are under way than allowed, and in the end the store is in step.

use std::time::Duration;

use broadside::regions::State;
use proptest::prelude::*;

use super::esi::{Call, Expires, Fault, order};
use super::world::{Fate, World};

const REGIONS: i64 = 3;

fn expires() -> impl Strategy<Value = Expires> {
    let time = |range: std::ops::Range<u64>| range.prop_map(Duration::from_secs);
    prop_oneof![
        4 => time(20..600).prop_map(Expires::Window),
        2 => time(0..900).prop_map(Expires::In),
        1 => Just(Expires::Unsaid),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::Failed),
        1 => (1_u64..400).prop_map(|wait| Fault::Busy(Duration::from_secs(wait))),
        2 => Just(Fault::Missing),
        1 => Just(Fault::Panic),
        1 => Just(Fault::Body("<html>")),
        1 => Just(Fault::Body("[{}]")),
    ]
}

/// One thing that happens; pages are taken modulo how many there are.
#[derive(Debug, Clone)]
enum Event {
    Expires(Expires),
    ExpiresOf(u32, Expires),
    Fault(u32, Vec<Fault>),
    Fate(u32, Fate),
    Change(usize),
    Come(usize),
    Go(usize),
    MorePages,
    FewerPages,
    Announce(u32),
    Takes(u64),
    Remove,
    Add,
    Shut,
    Open,
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let page = 0_u32..6;
    prop_oneof![
        1 => expires().prop_map(Event::Expires),
        1 => (page.clone(), expires()).prop_map(|(page, expires)| Event::ExpiresOf(page, expires)),
        3 => (page.clone(), prop::collection::vec(fault(), 1..4)).prop_map(|(page, faults)| Event::Fault(page, faults)),
        2 => (page, prop_oneof![Just(Fate::Fails), Just(Fate::Dropped)]).prop_map(|(page, fate)| Event::Fate(page, fate)),
        3 => (0_usize..20).prop_map(Event::Change),
        3 => (0_usize..20).prop_map(Event::Come),
        3 => (0_usize..20).prop_map(Event::Go),
        1 => Just(Event::MorePages),
        1 => Just(Event::FewerPages),
        1 => (1_u32..9).prop_map(Event::Announce),
        1 => (1_u64..5000).prop_map(Event::Takes),
        1 => Just(Event::Remove),
        1 => Just(Event::Add),
        1 => Just(Event::Shut),
        2 => Just(Event::Open),
        1 => Just(Event::Restart),
    ]
}

fn clock() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

async fn happen(world: &mut World, region: i64, event: Event, place: i64) {
    let pages = world.esi.change(region, |region| region.pages.len());
    let of = |page: u32| page % pages as u32 + 1;
    let page = place as usize % pages;
    match event {
        Event::Expires(expires) => world.esi.change(region, |region| region.expires = expires),
        Event::ExpiresOf(page, expires) => {
            world.esi.change(region, |region| region.expires_of.insert(of(page), expires));
        }
        Event::Fault(page, faults) => world.esi.change(region, |region| region.fault(of(page), faults)),
        Event::Fate(page, fate) => world.gate.next(region, page % (pages as u32 + 1), fate),
        Event::Change(at) => world.esi.change(region, |region| {
            if let Some(order) = region.pages[page].get_mut(at) {
                order.volume_remain -= 1;
            }
        }),
        Event::Come(at) => world.esi.change(region, |the| {
            let at = at.min(the.pages[page].len());
            the.pages[page].insert(at, order(region * 1000 + 500 + place));
        }),
        Event::Go(at) => world.esi.change(region, |region| {
            if at < region.pages[page].len() {
                region.pages[page].remove(at);
            }
        }),
        Event::MorePages => {
            world.esi.change(region, |the| the.pages.push(vec![order(region * 1000 + 900 + place)]));
        }
        Event::FewerPages => world.esi.change(region, |region| region.pages.truncate((region.pages.len() - 1).max(1))),
        Event::Announce(pages) => world.esi.change(region, |region| region.announced = Some(pages)),
        Event::Takes(millis) => world.esi.change(region, |region| region.takes = Duration::from_millis(millis)),
        Event::Remove => drop(world.remove(region).await),
        Event::Add => drop(world.add(&region.to_string()).await),
        Event::Shut => world.gate.set_open(false),
        Event::Open => world.gate.set_open(true),
        Event::Restart => world.restart().await,
    }
}

/// From here on nothing is wrong, and nothing changes.
async fn heal(world: &mut World) {
    world.gate.set_open(true);
    world.gate.forget();
    for region in 1..=REGIONS {
        world.esi.change(region, |region| {
            region.faults.clear();
            region.announced = None;
            region.expires_of.clear();
            region.expires = Expires::Window(Duration::from_secs(300));
            region.takes = Duration::from_millis(50);
        });
        drop(world.add(&region.to_string()).await);
    }
    // What was said to hold, the longest wait after crashes, and then enough sweeps for whatever is gone.
    world.pass(2000.0 + 6.0 * 300.0).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_pages_are_not_asked_for_early_and_the_store_comes_into_step(
        concurrency in 1_usize..6,
        workers in 1_usize..4,
        expires in prop::collection::vec(expires(), 3),
        events in prop::collection::vec((1..=REGIONS, 0.0_f64..200.0, event()), 0..40),
    ) {
        clock().block_on(async {
            let mut world = World::new(&[(1, &[3, 3, 3, 3]), (2, &[4, 4]), (3, &[2])]);
            (1..).zip(expires).for_each(|(region, expires)| world.esi.change(region, |region| region.expires = expires));
            (world.config.concurrency, world.sink_workers) = (concurrency, workers);
            world.start();
            for (place, (region, wait, event)) in (0..).zip(events) {
                world.pass(wait).await;
                happen(&mut world, region, event, place).await;
            }
            heal(&mut world).await;
            for region in 1..=REGIONS {
                let standing = world.standing(region);
                assert_eq!((standing.state, standing.failures), (State::Waiting, 0), "{standing:?}");
                assert!(world.is_in_step(region), "{standing:?}");
            }
            let report = world.stop().await;
            assert_eq!((report.ledger.imbalance(), report.deadline_passed), (0, false));
        });
    }

    #[test]
    fn with_nothing_in_the_way_a_region_is_asked_for_as_soon_as_it_may_be(
        expires in prop::collection::vec(expires(), 3),
        takes in prop::collection::vec(1_u64..300, 3),
    ) {
        clock().block_on(async {
            let mut world = World::new(&[(1, &[3, 3, 3, 3]), (2, &[4, 4]), (3, &[2])]);
            for ((region, expires), takes) in (1..).zip(expires).zip(takes) {
                world.esi.change(region, |region| (region.expires, region.takes) = (expires, Duration::from_millis(takes)));
            }
            world.start();
            world.until(3000.0).await;
            let calls = world.esi.calls();
            for region in 1..=REGIONS {
                let first: Vec<&Call> = calls.iter().filter(|call| (call.region, call.page) == (region, 1)).collect();
                for pair in first.windows(2) {
                    let gap = (pair[1].at - pair[0].at).as_secs_f64();
                    let holds = pair[0].holds.map_or(300.0, |holds| holds.as_secs_f64()).max(30.0);
                    // A call takes up to 0.3 s, and those for the last page begin three later.
                    assert!((holds + 2.0..holds + 3.5).contains(&gap), "region {region}: {gap} s, {holds} s: {pair:?}");
                }
                assert!(first.len() > 2, "region {region}");
            }
        });
    }
}
