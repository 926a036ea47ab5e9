//! The `pubsub` and `blackhole` sinks.

use std::sync::Arc;
use std::time::Duration;

use broadside::hub::Hub;
use broadside::killmail::Kill;
use broadside::resources::Resources;
use broadside::sinks::{blackhole, pubsub};
use broadside_engine::{Batch, BatchKey, Class, Message, Trigger};
use futures::FutureExt;
use tokio::time::Instant;

use crate::memory_store::MemoryStore;
use crate::world::mail;

fn batch(size: usize) -> Batch {
    Batch { batcher: "pubsub".into(), key: BatchKey::default(), partition: None, size, trigger: Trigger::Size }
}

fn kill(id: i64) -> Message<Kill> {
    let mut kill = Kill::new("{}".into(), "file", "2026-11-20T10:00:00Z".parse().unwrap(), true);
    kill.mail = Some(mail(id, 30_000_142));
    kill.event_id = Some(id * 10);
    Message::new(kill)
}

#[tokio::test]
async fn pubsub_says_that_kills_were_stored_and_fails_one_that_was_not_decoded() {
    let hub = Arc::new(Hub::default());
    let mut subscription = hub.subscribe();
    let resources = Resources { hub, ..Resources::new(Arc::new(MemoryStore::default())) };
    let sink = pubsub::Config {}.build(&resources);
    let mut messages = [kill(1), kill(2), kill(3)];
    messages[1].payload.mail = None;
    sink.deliver(&batch(1), &mut messages[1..2]).await.unwrap();
    assert!(subscription.recv().now_or_never().is_none(), "nothing was");
    assert_eq!(messages[1].failure().map(|failure| failure.class), Some(Class::Invalid));
    sink.deliver(&batch(3), &mut messages).await.unwrap();
    assert!(subscription.recv().now_or_never().is_some());
    assert!(messages[0].is_active() && messages[2].is_active());
}

#[tokio::test(start_paused = true)]
async fn blackhole_takes_as_long_as_it_is_told() {
    let slow: blackhole::Config = serde_json::from_str(r#"{"delay": "250ms"}"#).unwrap();
    for (config, expected) in [(slow, 250), (blackhole::Config::default(), 0)] {
        let started = Instant::now();
        config.build().deliver(&batch(1), &mut [kill(1)]).await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_millis(expected));
    }
}
