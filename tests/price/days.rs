//! Kills of days that are over.

use broadside::duration::Span;
use broadside::market::Cents;
use broadside::price::{Quote, Source};
use broadside::store::Quotes;
use jiff::{SignedDuration, Timestamp};

use crate::world::{World, dated, id, one};

#[tokio::test(start_paused = true)]
async fn a_kill_of_a_day_that_is_over_gets_what_was_kept_of_it_and_else_todays() {
    let world = World::new(100).await;
    let day = |hours: i64| Timestamp::now() - SignedDuration::from_hours(hours);
    let quote = |type_id, source, cents, fetched_at| Quote {
        type_id: id(type_id),
        source,
        market: if source == Source::Janice { 2 } else { 0 },
        price: Cents(cents),
        fetched_at,
    };
    let old = day(24 * 40);
    let kept = [
        quote(2, Source::Janice, 50, old),
        quote(2, Source::Esi, 60, old),
        quote(12, Source::Esi, 7, old),
        quote(90_001, Source::Mutamarket, 1_000, old),
        quote(90_001, Source::Janice, 1, old),
    ];
    world.store.store_quotes(&kept).await.unwrap();
    let stage = world.stage(Span::from_secs(20));
    let of = async |types: &[i64], time| one(&stage, dated(types[0], &types[1..], time)).await;
    let expected = "janice:1,mutamarket:1,esi:1".to_owned();
    assert_eq!(of(&[2, 12, 90_001], old).await, (Some(1_057), expected, false));
    assert_eq!((world.asked("/pricer"), world.asked("/modules")), (0, 0), "nothing of today is needed");
    assert_eq!(of(&[2, 3], old).await, (Some(50 + 303), "janice:2;today".to_owned(), false));
    assert_eq!(of(&[30], old).await, (Some(500), "base:1".to_owned(), false), "a base price is no day's");
    assert_eq!(of(&[2], day(24 * 39)).await, (Some(202), "janice:1;today".to_owned(), false));
    assert_eq!(of(&[2], day(1)).await, (Some(202), "janice:1".to_owned(), false));
    // A day is read once, also one of which nothing was kept.
    world.store.set_away(true);
    assert_eq!(of(&[2], old).await.0, Some(50));
    assert_eq!(of(&[2], day(24 * 39)).await.0, Some(202));
}
