//! What the engine relies on.

use std::sync::Arc;
use std::time::Duration;

use broadside::clients::pulse::Pulse;
use broadside::killmail::{Kill, wire};
use broadside::sources::failover::judge::Limits;
use broadside::sources::failover::{Failover, Feed};
use broadside_engine::Message;
use broadside_engine::testing::contract;
use broadside_engine::testing::{Pusher, push_source};

use crate::world::{BEHIND, HEALTHY_FOR, SILENCE, aged, kill};

fn feeds() -> (Pusher<Kill>, Pusher<Kill>, Failover) {
    let ((primary, primary_source), (fallback, fallback_source)) = (push_source(100), push_source(100));
    let failover = Failover::new(
        "kills",
        (Feed { name: "primary", factory: Arc::new(primary_source) }, Pulse::default()),
        Feed { name: "fallback", factory: Arc::new(fallback_source) },
        Limits { silence: SILENCE, behind: BEHIND, healthy_for: HEALTHY_FOR },
        Arc::default(),
    );
    (primary, fallback, failover)
}

#[tokio::test(start_paused = true)]
async fn both_feeds_are_handed_over_to_their_ends_within_the_demand() {
    let (primary, fallback, failover) = feeds();
    for id in 1..=30 {
        primary.push(Message::new(kill("primary", id))).await;
        fallback.push(Message::new(aged("fallback", 100 + id, Duration::from_secs(7200)))).await;
    }
    primary.finish();
    fallback.finish();
    let id = |kill: &Kill| wire::peek(&kill.raw).unwrap().killmail_id.get();
    let mut ids = contract::source(&failover, id).await;
    ids.sort_unstable();
    assert_eq!(ids, (1..=30).chain(101..=130).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_is_called_back_returns() {
    let (_primary, _fallback, failover) = feeds();
    contract::source_is_interruptible(&failover).await;
}
