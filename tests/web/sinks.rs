//! The `pubsub` and `blackhole` sinks.

use std::sync::Arc;
use std::time::Duration;

use broadside::hub::{Hub, Received, Topic};
use broadside::killmail::Kill;
use broadside::resources::Resources;
use broadside::sinks::{blackhole, pubsub};
use broadside_engine::{Batch, BatchKey, Class, Message, Trigger};
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
async fn pubsub_publishes_every_kill_and_fails_one_that_was_not_decoded() {
    let hub = Arc::new(Hub::default());
    let mut subscription = hub.subscribe([Topic::All], 10);
    let resources = Resources {
        store: Arc::new(MemoryStore::default()),
        hub,
        recent: Arc::default(),
        clients: Arc::default(),
        feeds: Arc::default(),
        esi: Arc::default(),
        stored: Arc::default(),
        contact: None,
        events: true,
    };
    let sink = pubsub::Config {}.build(&resources);
    let mut messages = [kill(1), kill(2), kill(3)];
    messages[1].payload.mail = None;
    sink.deliver(&batch(3), &mut messages).await.unwrap();
    for expected in [1, 3] {
        let Received::Event(event) = subscription.recv().await else { panic!("nothing was missed") };
        assert_eq!((event.killmail_id.get(), event.event_id), (expected, Some(expected * 10)));
    }
    assert!(subscription.try_recv().is_none());
    assert_eq!(messages[1].failure().map(|failure| failure.class), Some(Class::Invalid));
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
