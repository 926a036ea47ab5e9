//! Janice at its worst: no kill fails, none waits for longer than it may, and what was to be priced again can be.

use std::time::Duration;

use broadside::duration::Span;
use broadside::killmail::Kill;
use broadside_engine::Stage;
use tokio::time::Instant;

use crate::server::Reply;
use crate::world::{World, kill, one, rows, until};

const MAX_WAIT: Span = Span::from_millis(400);

/// Type 60 has an average at ESI, and Janice has none; 62 only Janice has.
async fn timed(stage: &dyn Stage<Kill>, kill: Kill) -> (String, bool, Duration) {
    let started = Instant::now();
    let (_, source, refresh) = one(stage, kill).await;
    (source, refresh, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn answers_of_no_use_are_replaced_by_the_next_source_and_asked_for_again_later() {
    let replies: [fn() -> Reply; 7] = [
        || Reply::new(500, "{\"title\":\"Internal Server Error\"}"),
        || Reply::new(401, "{\"title\":\"Unauthorized\"}"),
        || Reply::new(200, "<html>down for maintenance</html>"),
        || Reply::new(200, "[{\"itemType\":{\"eid\":62},\"immediatePr"),
        || rows(&[62]).cut(5),
        || Reply::new(200, vec![b' '; 9 << 20]),
        || Reply::new(302, ""),
    ];
    for reply in replies {
        let world = World::new(100).await;
        world.janice(move |_| reply());
        let stage = world.stage(Span::from_secs(5));
        let (source, refresh, took) = timed(&stage, kill(62, &[60])).await;
        assert_eq!((source.as_str(), refresh), ("esi:1,none:1", true));
        assert!(took < Duration::from_secs(5), "{took:?}");
        // It is left alone now: nothing is asked, nothing waited for.
        let (asked, started) = (world.asked("/pricer"), Instant::now());
        for _ in 0..5 {
            assert!(timed(&stage, kill(62, &[60])).await.1);
        }
        assert!(started.elapsed() < Duration::from_millis(900));
        assert!(world.asked("/pricer") <= asked + 1, "{} calls", world.asked("/pricer"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_janice_asks_for_is_kept() {
    let world = World::new(100).await;
    world.janice(|_| Reply::new(429, "{}").with("retry-after", 2));
    let stage = world.stage(Span::from_secs(5));
    assert!(timed(&stage, kill(62, &[])).await.1);
    world.janice(rows);
    let first = world.requests("/pricer")[0].at;
    let deadline = Instant::now() + Duration::from_secs(20);
    while timed(&stage, kill(62, &[])).await.1 {
        assert!(Instant::now() < deadline);
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    let calls = world.requests("/pricer");
    assert_eq!(calls.len(), 2);
    assert!(calls[1].at - first >= Duration::from_secs(2), "{:?}", calls[1].at - first);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_not_waited_for_and_serves_the_next() {
    let world = World::new(100).await;
    world.janice(|ids| rows(ids).slow(Duration::from_secs(2)));
    let stage = world.stage(MAX_WAIT);
    let (source, refresh, took) = timed(&stage, kill(62, &[60])).await;
    assert!(refresh && source.ends_with("none:1"), "{source}");
    assert!(took >= MAX_WAIT.0 && took < Duration::from_millis(1_900), "{took:?}");
    // The call goes on, and is not waited for any more.
    let (_, refresh, took) = timed(&stage, kill(62, &[])).await;
    assert!(refresh && took < MAX_WAIT.0, "{took:?}");
    until("it lands", || world.resources.quotes.len() > 50).await;
    assert_eq!(one(&stage, kill(62, &[])).await, (Some(62 * 101), "janice:1".to_owned(), false));
    assert_eq!(world.asked("/pricer"), 1);
}

#[tokio::test(start_paused = true)]
async fn when_esi_is_away_too_the_base_price_serves_and_the_kill_is_marked() {
    let world = World::new(100).await;
    let mut config = world.config(Span::from_secs(5));
    (config.esi, config.max_wait) = ("http://127.0.0.1:1".to_owned(), MAX_WAIT);
    let stage = config.build("test", &world.resources);
    let (source, refresh, _) = timed(&stage, kill(30, &[2])).await;
    assert_eq!((source.as_str(), refresh), ("janice:1,base:1", true));
    let (_, refresh, took) = timed(&stage, kill(30, &[2])).await;
    assert!(refresh && took < MAX_WAIT.0, "it is not waited for again: {took:?}");
}
