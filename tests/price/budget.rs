//! How few calls it takes, however kills come.

use broadside::duration::Span;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::server::Reply;
use crate::world::{World, kill, one, row, rows, run};

const PATIENT: Span = Span::from_secs(20);

#[tokio::test(start_paused = true)]
async fn kills_that_come_one_by_one_cost_two_calls_for_a_hundred_types_at_most() {
    let world = World::new(4_000).await;
    let stage = world.stage(PATIENT);
    let mut random = StdRng::seed_from_u64(7);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let types: Vec<i64> = (0..5).map(|_| random.random_range(1..=4_000)).collect();
        seen.extend(types.iter().copied());
        let (_, _, refresh) = one(&stage, kill(types[0], &types)).await;
        assert!(!refresh);
    }
    let calls = world.server.count();
    assert!(calls * 100 <= 2 * seen.len(), "{calls} calls for {} types", seen.len());
}

#[tokio::test(start_paused = true)]
async fn lost_lines_cost_few_calls_more() {
    let world = World::new(4_000).await;
    let random = std::sync::Mutex::new(StdRng::seed_from_u64(3));
    world.janice(move |ids| {
        let mut random = random.lock().unwrap();
        let kept: Vec<i64> = ids.iter().copied().filter(|_| random.random_range(0..10) > 0).collect();
        rows(&kept)
    });
    let stage = world.stage(PATIENT);
    let mut priced = 0;
    for n in 0..200 {
        let types: Vec<i64> = (1..=20).map(|k| n * 20 + k).collect();
        let (_, source, refresh) = one(&stage, kill(types[0], &types)).await;
        assert!(!refresh);
        priced +=
            source.strip_prefix("janice:").and_then(|rest| rest.split(',').next()?.parse::<usize>().ok()).unwrap_or(0);
    }
    let has_price = (1..=4_000).filter(|id| id % 10 > 1).count();
    // Off the market a lost line counts as unknown at once: a tenth of a seventh. On it a thousandth is lost three times.
    assert!(priced * 100 >= has_price * 98, "{priced} of {has_price}");
    let calls = world.server.count();
    assert!(calls <= 80, "{calls} calls for 4000 types");
}

#[tokio::test(start_paused = true)]
async fn a_janice_that_knows_little_is_asked_little_more_than_one_that_knows_all() {
    let world = World::new(10_000).await;
    world.janice(|ids| rows(&ids.iter().copied().filter(|id| *id <= 100).collect::<Vec<_>>()));
    let stage = world.stage(PATIENT);
    for n in 0..200 {
        let types: Vec<i64> = (0..50).map(|k| 1 + n + k * 200).collect();
        one(&stage, kill(types[0], &types)).await;
    }
    let calls = world.server.count();
    // Each line twice would be 40.
    assert!(calls <= 50, "{calls} calls for 10000 types");
}

#[tokio::test(start_paused = true)]
async fn a_lost_line_is_asked_for_twice_more_before_its_type_counts_as_unknown() {
    let world = World::new(100).await;
    let losses = std::sync::Mutex::new(0);
    world.janice(move |ids| {
        let mut losses = losses.lock().unwrap();
        *losses += 1;
        // 22 comes the third time, 23 never.
        let lines = ids.iter().filter(|id| !(**id == 22 && *losses < 3) && **id != 23);
        Reply::new(200, format!("[{}]", lines.filter_map(|id| row(*id)).collect::<Vec<_>>().join(",")))
    });
    let stage = world.stage(PATIENT);
    assert_eq!(one(&stage, kill(22, &[23])).await, (Some(2_222), "janice:1,none:1".to_owned(), false));
    let asked = |type_id: &str| {
        world.requests("/pricer").iter().filter(|request| request.body.lines().any(|line| line == type_id)).count()
    };
    assert_eq!((asked("22"), asked("23"), asked("24")), (3, 3, 1));
    run(&stage, vec![kill(23, &[])]).await;
    assert_eq!(asked("23"), 3, "unknown for an hour");
}
