//! Streams of regions and profiles, pings that say where to resume, and what is shown of a kill.

use serde_json::json;

use crate::client::Stream;
use crate::world::World;

#[tokio::test]
async fn a_stream_is_the_union_of_what_is_named() {
    let world = World::new().await;
    let kills = |from: i64| {
        world.kill_in(from, 1, 7, &[]);
        world.kill_in(from + 1, 2, 8, &[]);
        world.kill_in(from + 2, 2, 9, &[5]);
        world.kill_in(from + 3, 3, 9, &[6]);
        world.kill_in(from + 4, 1, 8, &[5, 6]);
    };
    kills(1);
    for start in [None, Some(0)] {
        let past = if start.is_some() { world.store.ids().len() as i64 } else { 0 };
        let offset = world.store.ids().len() as i64 - past;
        let mut union = Stream::open(world.address, "?systems=3&regions[]=7&profiles=5", start).await;
        let mut profile = Stream::open(world.address, "?profiles[]=6", start).await;
        kills(offset + past + 1);
        let expected = |of: &[i64]| -> Vec<i64> {
            let rounds = (offset..world.store.ids().len() as i64).step_by(5);
            rounds.flat_map(|round| of.iter().map(move |id| round + id)).collect()
        };
        let (all, some) = (expected(&[1, 3, 4, 5]), expected(&[4, 5]));
        assert_eq!(union.ids(all.len()).await, all);
        assert_eq!(profile.ids(some.len()).await, some);
    }
}

#[tokio::test]
async fn a_profile_that_is_followed_while_the_worker_runs_has_its_matches_from_then_on() {
    let world = World::new().await;
    let mut all = Stream::open(world.address, "", None).await;
    world.kill_in(1, 1, 7, &[5]);
    assert_eq!(all.ids(1).await, [1]);
    let mut profile = Stream::open(world.address, "?profiles=5", None).await;
    world.kill_in(2, 1, 7, &[5]);
    assert_eq!(profile.ids(1).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_ping_says_where_to_resume_though_nothing_of_the_stream_happened() {
    let world = World::new().await;
    let mut quiet = Stream::open(world.address, "?systems=9", None).await;
    (1..=20).for_each(|id| world.kill(id, 1));
    while !quiet.comment().await.contains("\nid: 20\n") {}
}

#[tokio::test]
async fn bad_topics_are_refused() {
    let world = World::new().await;
    for query in [
        "regions=x",
        "profiles[]=",
        "regions[]=0",
        "profiles=-1",
        "client_id=",
        "client_id=a%20b",
        "from=then",
        "commit=x",
    ] {
        let answer = world.get(&format!("/api/killfeed/stream?{query}")).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!("bad_request")), "{query}");
    }
}
