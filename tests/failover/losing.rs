//! Whatever becomes of the primary's copies, every kill is safe in the end, and the fallback's mark passes none that is not.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use crate::world::{BEHIND, World};

/// What happens to one kill.
#[derive(Debug, Clone, Copy)]
struct Story {
    /// The primary brings it: first, after the fallback, or not at all.
    brings: u8,
    /// The pipeline stores the primary's copy whole, in part, not at all, or never gets round to it.
    becomes: u8,
    /// Before it, the primary's connection is lost, made, or left as it is.
    connection: u8,
    /// Seconds until the next.
    pause: u64,
}

fn stories() -> impl Strategy<Value = Vec<Story>> {
    let story = (0_u8..4, 0_u8..6, 0_u8..12, 0_u64..40);
    let story = story.prop_map(|(brings, becomes, connection, pause)| Story { brings, becomes, connection, pause });
    prop::collection::vec(story, 1..40)
}

/// Kills that are safe by what passed the pipeline, and those whose place the fallback gave up.
#[derive(Debug, Default)]
struct Books {
    safe: BTreeSet<u64>,
    covered: BTreeSet<u64>,
}

async fn run(world: &mut World, time: Duration, becomes: u8, books: &mut Books) {
    for message in world.run(time).await {
        let id = message.position();
        if message.payload.source == "fallback" {
            books.safe.insert(id);
            continue;
        }
        match becomes {
            0..=2 => {
                world.stored(message, true).await;
                books.safe.insert(id);
            }
            3 => world.stored(message, false).await,
            4 => world.failed(message).await,
            // It is lost with the process that had it.
            _ => drop(message),
        }
    }
    books.covered.extend(world.covered());
}

async fn play(stories: &[Story]) -> Books {
    let (mut world, mut books) = (World::disconnected().await, Books::default());
    for (story, id) in stories.iter().zip(1..) {
        match story.connection {
            0 => world.pulse.lost("read on".into()),
            1..4 => world.pulse.connected(Instant::now()),
            _ => {}
        }
        if story.brings == 0 {
            world.primary(id).await;
        }
        world.fallback(id).await;
        if story.brings == 1 {
            run(&mut world, Duration::from_secs(1), story.becomes, &mut books).await;
            world.primary(id).await;
        }
        run(&mut world, Duration::from_secs(story.pause), story.becomes, &mut books).await;
        assert!(books.covered.is_subset(&books.safe), "{books:?}");
    }
    run(&mut world, BEHIND * 2, 5, &mut books).await;
    world.close().await;
    books.covered.extend(world.covered());
    books
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn every_kill_is_safe_in_the_end_and_none_is_given_up_before(stories in stories()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let books = runtime.block_on(play(&stories));
        let all: BTreeSet<u64> = (1..=stories.len() as u64).collect();
        prop_assert_eq!(&books.safe, &all);
        prop_assert!(books.covered.is_subset(&books.safe));
    }
}
