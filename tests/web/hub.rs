//! In-process topics.

use std::sync::Arc;

use broadside::hub::{Event, Hub, Received, Topic};
use broadside::killmail::{ProfileId, SystemId};
use futures::FutureExt;

use crate::world::mail;

fn system(id: i64) -> Topic {
    Topic::System(SystemId::new(id).unwrap())
}

fn publish(hub: &Hub, ids: std::ops::RangeInclusive<i64>, system: i64) {
    ids.for_each(|id| hub.publish(Event::new(Some(id), mail(id, system))));
}

fn ids(subscription: &mut broadside::hub::Subscription) -> Vec<i64> {
    std::iter::from_fn(|| subscription.recv().now_or_never())
        .map(|received| match received {
            Received::Event(event) => event.killmail_id.get(),
            Received::Lagged(missed) => -(missed as i64),
        })
        .collect()
}

#[test]
fn an_event_reaches_all_and_its_system_and_nobody_else() {
    let hub = Arc::new(Hub::default());
    let mut all = hub.subscribe([Topic::All], 10);
    let mut here = hub.subscribe([system(1)], 10);
    let mut both = hub.subscribe([system(1), system(2), Topic::All], 10);
    let mut elsewhere = hub.subscribe([system(2)], 10);
    publish(&hub, 1..=2, 1);
    assert_eq!((ids(&mut all), ids(&mut here), ids(&mut both)), (vec![1, 2], vec![1, 2], vec![1, 2]));
    assert!(ids(&mut elsewhere).is_empty());
}

fn profile(id: i64) -> Topic {
    Topic::Profile(ProfileId::new(id).unwrap())
}

#[test]
fn a_match_reaches_the_followers_of_its_profiles_once_whatever_else_they_follow() {
    let hub = Arc::new(Hub::default());
    let mut one = hub.subscribe([profile(1)], 10);
    let mut several = hub.subscribe([profile(1), profile(2), system(5)], 10);
    let mut none = hub.subscribe([profile(3)], 10);
    let matched = |id: i64, profiles: &[i64]| {
        let profiles = profiles.iter().copied().filter_map(ProfileId::new).collect();
        hub.publish(Event::new(Some(id), mail(id, 5)).matched_by(Some(profiles)));
    };
    matched(7, &[1, 2]);
    matched(8, &[2]);
    matched(9, &[]);
    hub.publish(Event::new(Some(10), mail(10, 6)));
    assert_eq!((ids(&mut one), ids(&mut several)), (vec![7], vec![7, 8, 9]));
    assert!(ids(&mut none).is_empty());
    drop((one, several, none));
    assert_eq!(hub.topic_count(), 0);
    matched(11, &[1]);
}

#[test]
fn topics_are_written_as_they_are_read() {
    for text in ["all", "system:30000142", "profile:7"] {
        assert_eq!(Topic::parse(text).map(|topic| topic.to_string()).as_deref(), Some(text));
    }
    for text in ["", "all:", "system:", "system:0", "profile:x", "profile:-1", "profiles:1", "region:1"] {
        assert_eq!(Topic::parse(text), None, "{text}");
    }
}

#[test]
fn a_slow_subscriber_is_told_how_many_it_missed_and_others_miss_none() {
    let hub = Arc::new(Hub::default());
    let mut slow = hub.subscribe([Topic::All], 3);
    let mut roomy = hub.subscribe([Topic::All], 100);
    publish(&hub, 1..=10, 1);
    assert_eq!(ids(&mut slow), [-7, 8, 9, 10]);
    assert_eq!(ids(&mut roomy), (1..=10).collect::<Vec<_>>());
    publish(&hub, 11..=11, 1);
    assert_eq!(ids(&mut slow), [11]);
}

#[test]
fn topics_without_subscribers_are_removed() {
    let hub = Arc::new(Hub::default());
    let subscriptions: Vec<_> = (1..=1000).map(|id| hub.subscribe([system(id), system(1)], 1)).collect();
    assert_eq!(hub.topic_count(), 1000);
    drop(subscriptions);
    assert_eq!(hub.topic_count(), 0);
    publish(&hub, 1..=1, 1);
}

#[test]
fn the_killmail_is_rendered_once_for_all() {
    let hub = Arc::new(Hub::default());
    let (mut first, mut second) = (hub.subscribe([Topic::All], 1), hub.subscribe([system(5)], 1));
    publish(&hub, 1..=1, 5);
    let (Some(Received::Event(a)), Some(Received::Event(b))) = (first.try_recv(), second.try_recv()) else {
        panic!("both have it")
    };
    assert!(Arc::ptr_eq(a.json(), b.json()));
    assert_eq!(serde_json::from_str::<serde_json::Value>(a.json()).unwrap()["solar_system_id"], 5);
}

#[tokio::test]
async fn a_waiting_subscriber_wakes() {
    let hub = Arc::new(Hub::default());
    let mut subscription = hub.subscribe([Topic::All], 1);
    let waiting = tokio::spawn(async move { subscription.recv().await });
    tokio::task::yield_now().await;
    publish(&hub, 3..=3, 1);
    assert!(matches!(waiting.await.unwrap(), Received::Event(event) if event.event_id == Some(3)));
}

#[test]
fn topics_read_as_they_are_written() {
    for text in ["all", "system:30000142"] {
        assert_eq!(Topic::parse(text).unwrap().to_string(), text);
    }
    for bad in ["", "system:", "system:0", "system:x", "ALL"] {
        assert_eq!(Topic::parse(bad), None, "{bad}");
    }
}
