//! Abyssal modules: the median of those that are listed.

use broadside::duration::Span;
use tokio::time::Instant;

use crate::world::{World, kill, one};

fn page(values: &[&str], next: bool) -> String {
    let modules: Vec<String> = values.iter().map(|value| format!(r#"{{"estimated_value":{value}}}"#)).collect();
    let next = if next { r#""?page=9""# } else { "null" };
    format!(r#"{{"data":[{}],"links":{{"next":{next}}}}}"#, modules.join(","))
}

#[tokio::test]
async fn the_median_of_all_pages_holds_for_six_hours_and_so_does_its_absence() {
    let world = World::new(10).await;
    {
        let mut modules = world.modules.lock().unwrap();
        modules.insert(90_001, vec![page(&["1", "null", "9"], true), page(&["4", "2.01"], false)]);
        modules.insert(90_002, vec![page(&["5", "6", "null"], false)]);
    }
    let stage = world.stage(Span::from_secs(20));
    // (2.01 + 4) / 2 = 3.005, halves up. Two estimates are not enough; Janice is asked, which ends in 2 and so has a price.
    let expected = (Some(301 + 90_002 * 101), "janice:1,mutamarket:1".to_owned(), false);
    assert_eq!(one(&stage, kill(90_001, &[90_002])).await, expected);
    assert_eq!(world.asked("/modules"), 3);
    assert_eq!(one(&stage, kill(90_001, &[90_002])).await, expected);
    assert_eq!((world.asked("/modules"), world.asked("/pricer")), (3, 1));
}

#[tokio::test]
async fn what_is_too_far_behind_is_not_waited_for_and_is_there_later() {
    let world = World::new(10).await;
    for kind in 90_001..90_005 {
        world.modules.lock().unwrap().insert(kind, vec![page(&["1", "2", "3"], false)]);
    }
    let stage = world.stage(Span::from_millis(1_500));
    let begun = Instant::now();
    let (_, source, refresh) = one(&stage, kill(90_001, &[90_002, 90_003, 90_004])).await;
    assert!(refresh && source.contains("mutamarket"), "{source}");
    crate::world::until("all are there", || world.asked("/modules") == 4).await;
    crate::world::until("and are known", || {
        let look = world.resources.quotes.look();
        look.side(broadside::price::Source::Mutamarket, 0).is_some_and(|side| side.len() == 4)
    })
    .await;
    assert_eq!(one(&stage, kill(90_001, &[90_002, 90_003, 90_004])).await.1, "mutamarket:4");
    for (before, request) in world.requests("/modules").iter().enumerate() {
        let after = request.at - begun;
        assert!(after.as_millis() >= before as u128 * 990, "about one a second: {before} before {after:?}");
    }
}
