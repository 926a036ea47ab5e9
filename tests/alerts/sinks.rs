//! From the sinks to the receiver, on a real database.

use std::sync::Arc;
use std::time::Duration;

use broadside::courier::{Courier, Parts, Settings};
use broadside::killmail::sample::Sampler;
use broadside::killmail::{Kill, ProfileId, wire};
use broadside::profile::Filter;
use broadside::profile::document::{Format, Target};
use broadside::resources::Resources;
use broadside::sinks::{database, webhook};
use broadside::store::{self, Options};
use broadside::surveillance::Watched;
use broadside_engine::{Batch, BatchKey, Message, Trigger};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::receiver::Receiver;

fn batch(size: usize) -> Batch {
    Batch { batcher: "alerts".into(), key: BatchKey::default(), partition: None, size, trigger: Trigger::Size }
}

/// So many kills of that age, from a place among all that there are; matched by profile 7.
fn kills(first: usize, count: usize, age: SignedDuration) -> Vec<Message<Kill>> {
    let now = Timestamp::now();
    let mut sampler = Sampler::new(5);
    let kill = |_| {
        let mut kill = Kill::new(sampler.next(now - age).package_json().into(), "test", now, true);
        kill.mail = wire::decode(&kill.raw).ok().map(Arc::new);
        kill.matches = Some([ProfileId::new(7).unwrap()].into());
        Message::new(kill)
    };
    (0..first + count).map(kill).skip(first).collect()
}

async fn resources(receiver: &Receiver) -> Resources {
    let store = store::connect("sqlite::memory:", &Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    let resources = Resources::new(store);
    let target = |hook: &str, format| Target { url: receiver.url(hook), format };
    resources.surveillance.put(vec![Watched {
        profile_id: ProfileId::new(7).unwrap(),
        name: "all".into(),
        filter: Filter::parse(r#"{"field":"solo","operator":"exists","value":true}"#).unwrap(),
        targets: [target("json", Format::Json), target("discord", Format::Discord)].into(),
    }]);
    resources
}

#[tokio::test]
async fn a_match_is_told_to_each_target_after_its_kill_is_stored() {
    let receiver = Receiver::start().await;
    let resources = resources(&receiver).await;
    let (insert, tell) = (database::Config::default().build(&resources), webhook::Config::default().build(&resources));
    let parts = Parts {
        store: resources.store.clone(),
        surveillance: resources.surveillance.clone(),
        shelf: resources.statics.clone(),
        desk: resources.desk.clone(),
        contact: None,
        letters: None,
        drain_deadline: Duration::from_secs(60),
    };
    let stop = CancellationToken::new();
    let courier = tokio::spawn(Courier::new(Settings::default(), parts).unwrap().run(stop.clone()));

    let mut messages = kills(0, 3, SignedDuration::ZERO);
    insert.deliver(&batch(3), &mut messages).await.unwrap();
    tell.deliver(&batch(3), &mut messages).await.unwrap();
    let (json, discord) = (receiver.wait("json", 3).await, receiver.wait("discord", 3).await);
    let told: Vec<_> = json.iter().map(|post| (post.body["event_id"].as_i64(), post.kill())).collect();
    let stored: Vec<_> = messages
        .iter()
        .map(|message| (message.payload.event_id, message.payload.mail.as_ref().unwrap().killmail_id.get()))
        .collect();
    assert_eq!(told, stored);
    assert!(discord.iter().all(|post| post.body["embeds"][0]["footer"]["text"] == "all"));

    // The same kills again are known; a replay of one that was stored before is told again.
    let mut again = kills(0, 3, SignedDuration::ZERO);
    insert.deliver(&batch(3), &mut again).await.unwrap();
    assert!(again.iter().all(|message| !message.is_active()));
    let mut replayed = kills(0, 3, SignedDuration::ZERO);
    tell.deliver(&batch(1), &mut replayed[..1]).await.unwrap();
    let posts = receiver.wait("json", 4).await;
    assert_eq!(posts[3].body["event_id"], serde_json::Value::Null);
    stop.cancel();
    courier.await.unwrap();
}

#[tokio::test]
async fn old_kills_and_those_of_a_backfill_make_no_alerts() {
    let receiver = Receiver::start().await;
    let resources = resources(&receiver).await;
    let (insert, _tell) = (database::Config::default().build(&resources), webhook::Config::default().build(&resources));
    insert.deliver(&batch(3), &mut kills(0, 3, SignedDuration::from_hours(2))).await.unwrap();
    assert_eq!(resources.store.count_alerts().await, Ok(0));
    insert.deliver(&batch(2), &mut kills(3, 2, SignedDuration::ZERO)).await.unwrap();
    assert_eq!(resources.store.count_alerts().await, Ok(4));
    resources.desk.shut();
    let _tell = webhook::Config::default().build(&resources);
    insert.deliver(&batch(4), &mut kills(5, 4, SignedDuration::ZERO)).await.unwrap();
    assert_eq!(resources.store.count_alerts().await, Ok(4));
}
