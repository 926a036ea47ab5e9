//! One target's line, by examples and against a table, a clock and a target that do as chance says.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::killmail::{KillmailId, TargetId};
use crate::store::NewAlert;

const RULES: Rules =
    Rules { max_age: SignedDuration::from_hours(1), digest_above: 3, spacing: Duration::from_millis(400) };

/// Both clocks, so many milliseconds after they began.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn at(self, millis: u64) -> Now {
        let time = start() + SignedDuration::from_millis(millis as i64);
        Now { instant: self.0 + Duration::from_millis(millis), time }
    }
}

fn start() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

/// Made at this millisecond, of a kill that was so many seconds old.
fn alert(id: i64, profile: i64, made: u64, age: i64) -> Alert {
    let created_at = start() + SignedDuration::from_millis(made as i64);
    let of = NewAlert {
        event_id: Some(id),
        killmail_id: KillmailId::new(id).expect("an id"),
        killmail_time: created_at - SignedDuration::from_secs(age),
        profile_id: ProfileId::new(profile).expect("an id"),
        target: TargetId::new(1).expect("an id"),
    };
    Alert { alert_id: id, of, created_at }
}

fn line(alerts: impl IntoIterator<Item = Alert>) -> Line {
    let mut line = Line::default();
    alerts.into_iter().for_each(|alert| line.offer(alert));
    line
}

/// What is to be sent now: ids, and whether as a digest.
fn sent(next: &Next) -> Option<(Vec<i64>, bool)> {
    let Next::Send(parcel) = next else { return None };
    Some((parcel.alerts.iter().map(|alert| alert.alert_id).collect(), parcel.is_digest))
}

#[tokio::test]
async fn what_is_gathered_leaves_before_it_is_too_old() {
    let clock = Clock(Instant::now());
    let rules = Rules { max_age: SignedDuration::from_secs(10), digest_above: 0, spacing: Duration::ZERO };
    let mut line = line([alert(1, 1, 0, 2), alert(2, 1, 0, 0)]);
    assert_eq!(line.next(&rules, clock.at(0)), Next::Wait(clock.at(4_000).instant));
    assert_eq!(sent(&line.next(&rules, clock.at(4_000))), Some((vec![1, 2], true)));
    assert_eq!(line.delivered(2, None, &rules, clock.at(4_100)), [1, 2]);
    line.offer(alert(3, 1, 5_000, 0));
    assert_eq!(line.next(&rules, clock.at(5_000)), Next::Wait(clock.at(10_000).instant));
}

#[tokio::test]
async fn alerts_leave_one_by_one_in_order_and_apart() {
    let clock = Clock(Instant::now());
    let mut line = line([alert(5, 1, 0, 0), alert(6, 2, 0, 0)]);
    assert_eq!(sent(&line.next(&RULES, clock.at(0))), Some((vec![5], false)));
    assert_eq!(line.delivered(1, None, &RULES, clock.at(100)), [5]);
    assert_eq!(line.next(&RULES, clock.at(100)), Next::Wait(clock.at(500).instant));
    assert_eq!(sent(&line.next(&RULES, clock.at(500))), Some((vec![6], false)));
    assert_eq!(line.delivered(1, Some(Duration::from_secs(2)), &RULES, clock.at(600)), [6]);
    assert_eq!(line.next(&RULES, clock.at(700)), Next::Wait(clock.at(2600).instant), "the target asked for it");
    assert_eq!(line.next(&RULES, clock.at(2600)), Next::Rest);
}

#[tokio::test]
async fn what_has_to_be_tried_again_comes_before_all_else_and_waits_grow() {
    let clock = Clock(Instant::now());
    let mut line = line([alert(5, 1, 0, 0), alert(6, 1, 0, 0)]);
    let mut now = 0;
    for wait in [1, 2, 4, 8, 16, 32, 40] {
        assert_eq!(sent(&line.next(&RULES, clock.at(now))), Some((vec![5], false)));
        line.later(None, 0.0, &RULES, clock.at(now));
        assert_eq!(line.next(&RULES, clock.at(now)), Next::Wait(clock.at(now + wait * 1000).instant));
        assert_eq!(line.in_hand(), 1, "the other is in the table");
        now += wait * 1000;
    }
    assert_eq!(sent(&line.next(&RULES, clock.at(now))), Some((vec![5], false)));
    line.later(Some(Duration::from_secs(300)), 0.0, &RULES, clock.at(now));
    assert_eq!(line.next(&RULES, clock.at(now)), Next::Wait(clock.at(now + 300_000).instant), "as it was told");
    now += 300_000;
    assert_eq!(sent(&line.next(&RULES, clock.at(now))), Some((vec![5], false)));
    assert_eq!(line.delivered(1, None, &RULES, clock.at(now)), [5]);
    assert_eq!(line.next(&RULES, clock.at(now + 400)), Next::Refill(5));
    line.refill(vec![alert(6, 1, 0, 0)]);
    assert_eq!(sent(&line.next(&RULES, clock.at(now + 400))), Some((vec![6], false)));
    line.later(None, 0.0, &RULES, clock.at(now));
    assert_eq!(line.next(&RULES, clock.at(now)), Next::Wait(clock.at(now + 1000).instant), "from the beginning");
}

#[tokio::test]
async fn an_alert_of_an_old_kill_is_never_sent_however_it_came_to_be_old() {
    let clock = Clock(Instant::now());
    let mut line = line([alert(5, 1, 0, 3601), alert(6, 1, 0, 3590), alert(7, 1, 0, 0)]);
    assert_eq!(sent(&line.next(&RULES, clock.at(0))), Some((vec![6], false)));
    assert_eq!(line.take_expired(), [5]);
    line.later(None, 0.0, &RULES, clock.at(5000));
    assert_eq!(sent(&line.next(&RULES, clock.at(10_000))), Some((vec![6], false)), "just not too old");
    line.later(None, 0.0, &RULES, clock.at(10_000));
    assert_eq!(line.next(&RULES, clock.at(12_000)), Next::Refill(6));
    assert_eq!(line.take_expired(), [6]);
    assert!(line.take_expired().is_empty(), "told once");
}

#[tokio::test]
async fn what_a_profile_matches_beyond_so_many_a_minute_leaves_as_one_digest_when_the_minute_is_over() {
    let clock = Clock(Instant::now());
    let mut line = line((1..=8).map(|id| alert(id, 1, id as u64 * 10, 0)));
    line.offer(alert(9, 2, 100, 0));
    let mut now = 1000;
    for id in [1, 2, 3, 9] {
        assert_eq!(sent(&line.next(&RULES, clock.at(now))), Some((vec![id], false)), "another profile goes on");
        line.delivered(1, None, &RULES, clock.at(now));
        now += 400;
    }
    assert_eq!(
        line.next(&RULES, clock.at(now)),
        Next::Wait(clock.at(60_010).instant),
        "a minute from the first match on"
    );
    assert_eq!(sent(&line.next(&RULES, clock.at(60_010))), Some((vec![4, 5, 6, 7, 8], true)));
    assert_eq!(line.delivered(2, None, &RULES, clock.at(60_010)), [4, 5], "no more did fit");
    let Next::Send(rest) = line.next(&RULES, clock.at(60_500)) else { panic!("the rest of it") };
    assert_eq!((rest.alerts.len(), rest.sent, rest.is_digest), (3, 2, true));
    assert_eq!(line.delivered(3, None, &RULES, clock.at(60_500)), [6, 7, 8]);
    line.offer(alert(10, 1, 60_600, 0));
    assert_eq!(sent(&line.next(&RULES, clock.at(61_000))), Some((vec![10], false)), "another minute");
    line.delivered(1, None, &RULES, clock.at(61_000));
    assert_eq!(line.next(&RULES, clock.at(200_000)), Next::Rest);
    assert!(line.is_idle(clock.at(200_000)));
}

#[tokio::test]
async fn after_an_outage_a_past_minute_is_gathered_as_a_present_one_is_before_the_next_minute() {
    let clock = Clock(Instant::now());
    let table: Vec<Alert> = (1..=150).map(|id| alert(id, 1, if id <= 140 { id as u64 } else { 70_000 }, 0)).collect();
    let mut line = line(table.clone());
    let (mut now, mut messages) = (600_000, Vec::new());
    loop {
        match line.next(&RULES, clock.at(now)) {
            Next::Send(parcel) => {
                messages.push((parcel.alerts.len(), parcel.is_digest));
                line.delivered(parcel.alerts.len(), None, &RULES, clock.at(now));
            }
            Next::Refill(after) => {
                let more = table.iter().filter(|alert| alert.alert_id > after).take(WAITING_MAX);
                line.refill(more.copied().collect());
            }
            Next::Wait(_) => now += 400,
            Next::Rest => break,
        }
    }
    let expected = [(1, false), (1, false), (1, false), (137, true), (1, false), (1, false), (1, false), (7, true)];
    assert_eq!(messages, expected);
}

#[tokio::test]
async fn a_flood_leaves_before_its_minute_is_over_rather_than_to_pile_up() {
    let clock = Clock(Instant::now());
    let mut line = line([]);
    let mut sizes = Vec::new();
    for id in 1..=1200 {
        line.offer(alert(id, 1, 0, 0));
        while let Next::Send(parcel) = line.next(&RULES, clock.at(id as u64 * 400)) {
            sizes.push(parcel.alerts.len());
            line.delivered(parcel.alerts.len(), None, &Rules { spacing: Duration::ZERO, ..RULES }, clock.at(id as u64));
        }
        assert!(line.in_hand() <= GATHERED_MAX + WAITING_MAX);
    }
    assert_eq!(sizes[..4], [1, 1, 1, 147], "the clock is past the minute, then");
}

#[tokio::test]
async fn refusals_are_counted_in_a_row_and_the_next_alert_goes() {
    let clock = Clock(Instant::now());
    let mut line = line((1..=4).map(|id| alert(id, id, 0, 0)));
    let mut now = 0;
    for (id, refusals) in [(1, 1), (2, 2)] {
        assert_eq!(sent(&line.next(&RULES, clock.at(now))), Some((vec![id], false)));
        assert_eq!(line.refused(1, &RULES, clock.at(now)), (vec![id], refusals));
        now += 400;
    }
    line.next(&RULES, clock.at(now));
    line.delivered(1, None, &RULES, clock.at(now));
    line.next(&RULES, clock.at(now + 400));
    assert_eq!(line.refused(1, &RULES, clock.at(now + 400)), (vec![4], 1), "a delivery was between");
    line.offer(alert(5, 1, 0, 0));
    line.offer(alert(6, 2, 0, 0));
    assert_eq!(line.give_up(), [5, 6]);
    assert_eq!(line.next(&RULES, clock.at(now + 800)), Next::Rest);
}

/// What chance makes of an attempt.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Delivered,
    InPart,
    Later(Option<u16>),
    Refused,
    Withdrawn,
    /// The process is killed after the attempt: nobody knows what came of it.
    Killed,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Delivered),
        2 => Just(Fate::InPart),
        2 => prop::option::of(0_u16..200).prop_map(Fate::Later),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Withdrawn),
        1 => Just(Fate::Killed),
    ]
}

/// An arrival: after how many milliseconds, of which profile, how old the kill is.
fn arrivals() -> impl Strategy<Value = Vec<(u64, i64, i64)>> {
    let gap = prop_oneof![6 => 0_u64..50, 2 => 0_u64..3000, 1 => 30_000_u64..200_000];
    prop::collection::vec((gap, 1_i64..4, prop_oneof![9 => 0_i64..60, 1 => 3000_i64..4000]), 0..300)
}

/// What went out.
struct Message {
    ids: Vec<i64>,
    profile: i64,
    is_digest: bool,
    at: u64,
    run: usize,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_every_alert_is_told_in_order_or_its_loss_is_known(
        arrivals in arrivals(),
        fates in prop::collection::vec(fate(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let _entered = runtime.enter();
        let clock = Clock(Instant::now());
        let (mut made, mut at) = (BTreeMap::new(), 0);
        for (id, (gap, profile, age)) in (1..).zip(&arrivals) {
            at += gap;
            made.insert(id, (at, alert(id, *profile, at, *age)));
        }
        let mut table: BTreeMap<i64, Alert> = BTreeMap::new();
        let (mut line, mut cursor, mut now, mut run) = (Line::default(), 0, 0_u64, 0);
        let mut fates = fates.iter().chain(&[Fate::Delivered]).cycle();
        let (mut messages, mut told, mut expired, mut lost) = (Vec::<Message>::new(), Vec::new(), Vec::new(), Vec::new());
        let mut arriving = made.iter().peekable();
        for _ in 0..20_000 {
            while let Some((id, (_, alert))) = arriving.next_if(|(_, (at, _))| *at <= now) {
                table.insert(*id, *alert);
            }
            let new: Vec<Alert> = table.range(cursor + 1..).map(|(_, alert)| *alert).collect();
            for alert in new {
                cursor = alert.alert_id;
                line.offer(alert);
            }
            prop_assert!(line.in_hand() <= WAITING_MAX + 4 * GATHERED_MAX);
            let next = line.next(&RULES, clock.at(now));
            for id in line.take_expired() {
                expired.push(id);
                prop_assert!(table.remove(&id).is_some());
                prop_assert!(clock.at(now).time.duration_since(made[&id].1.of.killmail_time) > RULES.max_age);
            }
            let step = |wait: u64| wait.max(1);
            match next {
                Next::Refill(after) => {
                    line.refill(table.range(after + 1..).take(WAITING_MAX).map(|(_, alert)| *alert).collect());
                }
                Next::Rest => match arriving.peek() {
                    Some((_, (at, _))) => now = *at,
                    None => break,
                },
                Next::Wait(instant) => {
                    let wait = instant.duration_since(clock.0).as_millis() as u64;
                    let arrival = arriving.peek().map_or(u64::MAX, |(_, (at, _))| *at);
                    now = now.max(wait.min(arrival)).max(now + step(0));
                }
                Next::Send(parcel) => {
                    let ids: Vec<i64> = parcel.alerts.iter().map(|alert| alert.alert_id).collect();
                    for alert in &parcel.alerts {
                        prop_assert!(clock.at(now).time.duration_since(alert.of.killmail_time) <= RULES.max_age);
                        prop_assert_eq!(alert.of.profile_id, parcel.profile_id);
                        prop_assert!(table.contains_key(&alert.alert_id), "it is told no more once it was");
                    }
                    let profile = parcel.profile_id.get();
                    let mut message =
                        Message { ids: ids.clone(), profile, is_digest: parcel.is_digest, at: now, run };
                    now += 20;
                    let fate = fates.next().expect("endless");
                    let gone = match *fate {
                        Fate::Delivered => line.delivered(ids.len(), None, &RULES, clock.at(now)),
                        Fate::InPart => {
                            let count = ids.len().div_ceil(2);
                            message.ids.truncate(count);
                            line.delivered(count, None, &RULES, clock.at(now))
                        }
                        Fate::Later(wait) => {
                            let wait = wait.map(|wait| Duration::from_millis(u64::from(wait) * 100));
                            line.later(wait, 0.5, &RULES, clock.at(now));
                            continue;
                        }
                        Fate::Refused => {
                            lost.extend(&ids);
                            line.refused(ids.len(), &RULES, clock.at(now)).0
                        }
                        Fate::Withdrawn => {
                            lost.extend(&ids);
                            line.withdrawn(ids.len())
                        }
                        Fate::Killed => {
                            (line, cursor, run) = (Line::default(), 0, run + 1);
                            now += 5000;
                            continue;
                        }
                    };
                    for id in &gone {
                        prop_assert!(table.remove(id).is_some());
                    }
                    if matches!(fate, Fate::Delivered | Fate::InPart) {
                        prop_assert_eq!(&gone, &message.ids);
                        told.extend(&gone);
                        messages.push(message);
                    } else {
                        prop_assert_eq!(&gone, &ids);
                    }
                }
            }
        }
        prop_assert!(table.is_empty() && arriving.peek().is_none(), "{} are left", table.len());
        let mut all: Vec<i64> = told.iter().chain(&expired).chain(&lost).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, made.keys().copied().collect::<Vec<_>>(), "each has one end");
        // Order: of a profile all, of the target those that are told one by one.
        for profile in 1..4 {
            let of: Vec<i64> =
                messages.iter().filter(|m| m.profile == profile).flat_map(|m| m.ids.iter().copied()).collect();
            prop_assert!(of.is_sorted(), "{of:?}");
        }
        for run in 0..=run {
            let singly = messages.iter().filter(|m| !m.is_digest && m.run == run).flat_map(|m| m.ids.iter().copied());
            let singly: Vec<i64> = singly.collect();
            prop_assert!(singly.is_sorted(), "{singly:?}");
        }
        for pair in messages.windows(2).filter(|pair| pair[0].run == pair[1].run) {
            prop_assert!(pair[1].at >= pair[0].at + 20 + 400, "too close");
        }
        for (at, message) in messages.iter().enumerate().filter(|(_, m)| !m.is_digest) {
            let minute = made[&message.ids[0]].0;
            let same = messages[..=at].iter().filter(|m| {
                !m.is_digest && m.profile == message.profile && m.run == message.run && made[&m.ids[0]].0 + 60_000 > minute
            });
            prop_assert!(same.count() <= 2 * RULES.digest_above as usize, "any sixty seconds meet two minutes at most");
        }
    }
}
