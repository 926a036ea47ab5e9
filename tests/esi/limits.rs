//! The limits against a server that counts as ESI does: a floating window of tokens.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use broadside::clients::esi::limits::{Limits, Place, Reading, Urgency, Verdict};
use proptest::prelude::*;
use tokio::time::Instant;

const PATH: &str = "/killmails/1/aa";

struct Bucket {
    limit: u32,
    window: Duration,
    spent: VecDeque<(Duration, u32)>,
}

impl Bucket {
    fn used(&mut self, now: Duration) -> u32 {
        self.spent.retain(|(at, _)| *at + self.window > now);
        self.spent.iter().map(|(_, cost)| cost).sum()
    }

    fn reading(&mut self, status: u16, now: Duration) -> Reading {
        let cost = match status {
            200..300 => 2,
            300..400 => 1,
            400..500 => 5,
            _ => 0,
        };
        self.spent.push_back((now, cost));
        Reading {
            status: Some(status),
            group: Some("killmail".into()),
            limit: Some((self.limit, self.window)),
            remaining: Some(self.limit.saturating_sub(self.used(now))),
            used: Some(cost),
            ..Reading::default()
        }
    }
}

/// A call's plan: how long until it is made after the one before, on its way there, on its way back (ms), and its status.
type Plan = (u64, u64, u64, u16);

enum Event {
    Ask(usize),
    Send(usize, Place),
    Arrive(usize, Place, Duration),
    Return(Place, Duration, Reading),
}

struct World {
    zero: Instant,
    limits: Limits,
    server: Bucket,
    plans: Vec<Plan>,
    events: BTreeMap<(Duration, usize), Event>,
    serial: usize,
    waiting: Vec<usize>,
    least: i64,
    refused: usize,
    served: Vec<Duration>,
    patience: Duration,
}

impl World {
    fn new(limit: u32, window: Duration, foreign: &[(u64, u32)], plans: Vec<Plan>) -> Self {
        let spent = foreign.iter().map(|(at, cost)| (Duration::from_millis(*at), *cost)).collect();
        Self {
            zero: Instant::now(),
            limits: Limits::default(),
            server: Bucket { limit, window, spent },
            plans,
            events: BTreeMap::new(),
            serial: 0,
            waiting: Vec::new(),
            least: i64::from(limit),
            refused: 0,
            served: Vec::new(),
            patience: Duration::from_hours(10),
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.serial += 1;
        self.events.insert((at, self.serial), event);
    }

    fn ask(&mut self, now: Duration, call: usize) {
        match self.limits.admit(PATH, Urgency::Live, self.patience, self.zero + now) {
            Verdict::Go { at, place } => self.at(at - self.zero, Event::Send(call, place)),
            Verdict::AfterNext => self.waiting.push(call),
            // It does without.
            Verdict::Busy { .. } => {}
        }
    }

    /// Runs all calls, from `start` on; nobody waits for anything but what the limits say.
    fn run(mut self, start: Duration) -> Self {
        let mut at = start;
        for call in 0..self.plans.len() {
            at += Duration::from_millis(self.plans[call].0);
            self.at(at, Event::Ask(call));
        }
        while let Some(((now, _), event)) = self.events.pop_first() {
            match event {
                Event::Ask(call) => self.ask(now, call),
                Event::Send(call, place) => match self.limits.still_closed(&place, self.zero + now) {
                    Some(until) => self.at(until - self.zero, Event::Send(call, place)),
                    None => self.at(now + Duration::from_millis(self.plans[call].1), Event::Arrive(call, place, now)),
                },
                Event::Arrive(call, place, sent) => self.arrive(now, call, place, sent),
                Event::Return(place, sent, reading) => {
                    self.limits.settle(&place, self.zero + sent, &reading, self.zero + now);
                    for call in std::mem::take(&mut self.waiting) {
                        self.ask(now, call);
                    }
                }
            }
        }
        assert!(self.waiting.is_empty(), "calls wait for an answer that will never come");
        self
    }

    fn arrive(&mut self, now: Duration, call: usize, place: Place, sent: Duration) {
        let (_, _, back, status) = self.plans[call];
        let reading = if i64::from(self.server.limit) - i64::from(self.server.used(now)) < 2 {
            self.refused += 1;
            Reading { status: Some(429), retry_after: Some(Duration::from_secs(1)), ..Reading::default() }
        } else {
            self.served.push(now);
            self.server.reading(status, now)
        };
        self.least = self.least.min(i64::from(self.server.limit) - i64::from(self.server.used(now)));
        self.at(now + Duration::from_millis(back), Event::Return(place, sent, reading));
    }
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let status = prop_oneof![6 => Just(200_u16), 1 => Just(304), 2 => Just(422), 1 => Just(503)];
    prop::collection::vec((0..300_u64, 1..900_u64, 1..900_u64, status), 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_latencies_and_costs_the_bucket_is_never_overdrawn(
        limit in 30..400_u32, window in 5..120_u64, plans in plans()
    ) {
        let calls = plans.len();
        let world = World::new(limit, Duration::from_secs(window), &[], plans).run(Duration::ZERO);
        prop_assert_eq!((world.refused, world.served.len()), (0, calls));
        prop_assert!(world.least >= 0, "{} tokens left", world.least);
    }

    #[test]
    fn what_was_spent_before_the_start_is_respected(
        share in 0.0..0.6_f64, window in 60..300_u64, plans in plans()
    ) {
        let limit = 400;
        let foreign: Vec<_> = (0..20).map(|n| (n * 500, (f64::from(limit) * share / 20.0) as u32)).collect();
        let world = World::new(limit, Duration::from_secs(window), &foreign, plans).run(Duration::from_secs(10));
        prop_assert_eq!(world.refused, 0);
        prop_assert!(world.least >= 0, "{} tokens left", world.least);
    }
}

#[test]
fn calls_are_free_while_tokens_are_plenty_and_come_at_the_refill_rate_after() {
    // 20 calls a second for a minute, then 4, against 3600 tokens in 15 minutes: 2 calls a second can last.
    let plans = (0..8_000).map(|n| (if n < 1_200 { 50 } else { 250 }, 40, 40, 200)).collect();
    let window = Duration::from_mins(15);
    let mut world = World::new(3600, window, &[], plans);
    world.patience = Duration::from_secs(2);
    let world = world.run(Duration::ZERO);
    assert_eq!((world.refused, world.least >= 0), (0, true));
    let within = |from: u64, to: u64| {
        let range = Duration::from_secs(from)..Duration::from_secs(to);
        world.served.iter().filter(|at| range.contains(at)).count()
    };
    assert!(within(0, 60) >= 1_190, "{}", within(0, 60));
    assert!(within(0, 900) <= 1_800, "{}", within(0, 900));
    let later = within(900, 1_800);
    assert!((1_500..=1_800).contains(&later), "{later} calls in a window");
}

#[test]
fn a_service_that_asks_to_be_left_alone_is_asked_on_no_route_until_then() {
    let (now, mut limits) = (Instant::now(), Limits::default());
    let patience = Duration::from_secs(60);
    let Verdict::Go { place, .. } = limits.admit(PATH, Urgency::Live, patience, now) else {
        panic!("nothing is known yet")
    };
    let away = Reading { status: Some(503), retry_after: Some(Duration::from_secs(7)), ..Reading::default() };
    let settled = limits.settle(&place, now, &away, now);
    assert_eq!(settled.all_closed, Some(Duration::from_secs(7)));
    for path in [PATH, "/universe/names", "/markets/10000002/orders"] {
        let short = limits.admit(path, Urgency::Live, Duration::from_secs(2), now);
        assert!(matches!(short, Verdict::Busy { .. }), "{path}: {short:?}");
        match limits.admit(path, Urgency::Live, patience, now) {
            Verdict::Go { at, .. } => assert_eq!(at, now + Duration::from_secs(7), "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}
