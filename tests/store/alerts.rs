//! What every store promises of alerts that are to be delivered.

use std::sync::Arc;

use broadside::killmail::{Form, Kill, KillmailId, Notice, ProfileId, TargetId};
use broadside::store::{Alert, Change, DisabledTarget, Error, NewAlert};
use jiff::{SignedDuration, Timestamp};

use crate::contract::{Look, Shared};
use crate::kills::{dated, kill, payload};
use crate::matches::matched;

fn target(id: i64) -> TargetId {
    TargetId::new(id).unwrap()
}

/// Matched by these profiles, each of which tells this target.
fn told(kill: Kill, profiles: &[i64], to: i64) -> Kill {
    let notice = |id: &i64| Notice { profile_id: ProfileId::new(*id).unwrap(), target: target(to) };
    let alerts: Arc<[Notice]> = profiles.iter().map(notice).collect();
    Kill { alerts: Some(alerts), ..matched(kill, profiles) }
}

async fn insert(store: &Shared, kills: &[Kill]) -> Vec<Change> {
    store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.unwrap()
}

async fn all(store: &Shared) -> Vec<Alert> {
    store.alerts_after(0, None, 1000).await.unwrap()
}

/// Kill, profile, target.
fn facts(alerts: &[Alert]) -> Vec<(i64, i64, i64)> {
    alerts.iter().map(|a| (a.of.killmail_id.get(), a.of.profile_id.get(), a.of.target.get())).collect()
}

pub(crate) async fn alerts_are_made_with_their_kill_in_the_order_of_the_events(store: &Shared, _look: &dyn Look) {
    let kills =
        [told(kill(9, Form::Esi, 1), &[3, 7], 50), kill(2, Form::Esi, 1), told(kill(1, Form::Esi, 1), &[3], 51)];
    let changes = insert(store, &kills).await;
    let event = |at: usize| match changes[at] {
        Change::New { event_id } => event_id,
        _ => None,
    };
    let alerts = all(store).await;
    assert_eq!(facts(&alerts), [(9, 3, 50), (9, 7, 50), (1, 3, 51)]);
    assert_eq!([alerts[0].of.event_id, alerts[1].of.event_id, alerts[2].of.event_id], [event(0), event(0), event(2)]);
    assert!(alerts.is_sorted_by_key(|alert| alert.alert_id) && alerts.is_sorted_by_key(|alert| alert.of.event_id));
    assert_eq!(alerts[0].of.killmail_time, kills[0].mail.as_ref().unwrap().killmail_time);
    assert!(Timestamp::now().duration_since(alerts[0].created_at).abs() < SignedDuration::from_mins(1));
    assert_eq!(store.count_alerts().await, Ok(3));
}

pub(crate) async fn of_a_richer_copy_only_new_matches_are_told(store: &Shared, _look: &dyn Look) {
    insert(store, &[told(kill(1, Form::Feed, 1), &[3, 7], 50)]).await;
    let made = all(store).await.len();
    assert_eq!(insert(store, &[told(kill(1, Form::Feed, 1), &[8], 50)]).await, [Change::Same]);
    assert_eq!(all(store).await.len(), made, "nothing was stored");
    insert(store, &[told(kill(2, Form::Feed, 1), &[3], 50), told(kill(1, Form::Package, 1), &[7, 9], 50)]).await;
    assert_eq!(facts(&all(store).await[made..]), [(2, 3, 50), (1, 9, 50)]);
    assert_eq!(all(store).await.last().unwrap().of.event_id, None, "it was announced before");
}

pub(crate) async fn a_refused_call_tells_nobody(store: &Shared, _look: &dyn Look) {
    let (good, bad) = (told(kill(2, Form::Esi, 1), &[6], 50), told(dated(3, "1999-01-01T00:00:00Z"), &[6], 50));
    let refused = store.insert_kills(&[&good, &bad], true).await;
    assert!(matches!(refused, Err(Error::Data { .. })), "{refused:?}");
    assert_eq!(all(store).await, []);
}

pub(crate) async fn alerts_are_read_by_target_and_removed(store: &Shared, _look: &dyn Look) {
    let kills: Vec<Kill> = (1..=6).map(|id| told(kill(id, Form::Esi, 1), &[3], 50 + id % 2)).collect();
    insert(store, &kills).await;
    let ids: Vec<i64> = all(store).await.iter().map(|alert| alert.alert_id).collect();
    let of = store.alerts_after(ids[0], Some(target(51)), 2).await.unwrap();
    assert_eq!(facts(&of), [(3, 3, 51), (5, 3, 51)]);
    assert_eq!(facts(&store.alerts_after(ids[3], None, 1).await.unwrap()), [(5, 3, 51)]);
    store.remove_alerts(&[ids[0], ids[2], 1 << 40]).await.unwrap();
    assert_eq!(facts(&store.alerts_after(0, Some(target(51)), 9).await.unwrap()), [(5, 3, 51)]);
    assert_eq!(store.count_alerts().await, Ok(4));
    let again = NewAlert { event_id: None, ..all(store).await[0].of };
    store.add_alerts(&[again]).await.unwrap();
    let last = *all(store).await.last().unwrap();
    assert!(last.of == again && last.alert_id > ids[5]);
    store.add_alerts(&[]).await.unwrap();
}

pub(crate) async fn what_is_told_of_a_kill_is_what_is_stored(store: &Shared, _look: &dyn Look) {
    insert(store, &[kill(5, Form::Package, 2), kill(6, Form::Esi, 1)]).await;
    let time = kill(5, Form::Esi, 1).mail.unwrap().killmail_time;
    let ids = [5, 6, 7].map(|id| (KillmailId::new(id).unwrap(), time));
    let mut told = store.told_kills(&ids, true).await.unwrap();
    told.sort_by_key(|kill| kill.killmail_id);
    assert_eq!(told.len(), 2);
    let first = &told[0];
    assert_eq!((first.killmail_id.get(), first.system_id.get(), first.killmail_time), (5, 30_000_144, time));
    assert_eq!((first.total_value, first.fitted_value, first.attacker_count), (Some(123_456), None, 2));
    assert_eq!((first.source.as_str(), &first.payload), ("file", &payload(5, Form::Package)));
    let alone = store.told_kills(&ids[..1], false).await.unwrap();
    assert_eq!((alone.len(), alone[0].payload.as_str(), alone[0].total_value), (1, "", Some(123_456)));
    assert!(store.told_kills(&[], true).await.unwrap().is_empty());
}

pub(crate) async fn a_target_is_disabled_until_it_is_enabled(store: &Shared, _look: &dyn Look) {
    let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let target = |reason: &str| DisabledTarget {
        target: target(7),
        shown: "example.org/a…".to_owned(),
        reason: reason.to_owned(),
        disabled_at: at,
    };
    store.disable_target(&target("404")).await.unwrap();
    store.disable_target(&target("410")).await.unwrap();
    assert_eq!(store.disabled_targets().await.unwrap(), [target("410")]);
    store.enable_target(target("").target).await.unwrap();
    assert_eq!(store.disabled_targets().await.unwrap(), []);
}

pub(crate) async fn one_courier_at_a_time_delivers(store: &Shared, _look: &dyn Look) {
    let mut held = store.claim_alerts().await.unwrap().expect("nobody has it");
    assert!(held.is_held().await);
    assert!(store.claim_alerts().await.unwrap().is_none());
    let job = store.claim_price_job(broadside::store::To::Work).await.unwrap();
    assert!(job.is_some(), "another claim");
    held.release().await;
    assert!(store.claim_alerts().await.unwrap().is_some());
}
