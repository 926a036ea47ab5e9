//! A made-up service with its faults, and a watch over the rules of asking it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::super::*;

pub(super) const FIRST: u64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Kill,
    Placeholder,
    /// Never used.
    Gap,
    /// Always a page.
    Poison,
}

/// How the service misbehaves; shares from 0 to 1.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    pub(super) gaps: f64,
    pub(super) placeholders: f64,
    pub(super) poison: f64,
    pub(super) late: f64,
    pub(super) stale_404: bool,
    pub(super) updates: f64,
    pub(super) down: f64,
    pub(super) busy: f64,
    pub(super) blocked: f64,
    pub(super) bad_sequence: f64,
}

pub(super) struct File {
    pub(super) kind: Kind,
    pub(super) visible_at: Instant,
    pub(super) updated: Option<u64>,
}

pub(super) struct World {
    pub(super) random: StdRng,
    pub(super) faults: Faults,
    pub(super) files: BTreeMap<u64, File>,
    pub(super) start: Instant,
    pub(super) announced: (u64, Instant),
    pub(super) stale: HashMap<u64, Instant>,
    /// How many files hold one.
    pub(super) kills: usize,
    /// Files below are gone.
    pub(super) expired: u64,
    pub(super) manners: Watch,
}

/// Looks whether the rules are kept, by the stand-in's measure and stricter.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) answered_at: Option<Instant>,
    pub(super) missing: HashMap<u64, Instant>,
    pub(super) hold: Option<(u64, Instant)>,
    pub(super) not_before: Option<Instant>,
    pub(super) requests: u64,
}

impl Watch {
    pub(super) fn request(&mut self, target: Target, now: Instant) {
        self.requests += 1;
        if let Some(last) = self.answered_at {
            assert!(now >= last + Duration::from_millis(100), "{target:?}: {:?} after an answer", now - last);
        }
        assert!(self.not_before.is_none_or(|until| now >= until), "{target:?}: asked while refused");
        let Target::File(number) = target else { return };
        let own = self.missing.get(&number).copied().into_iter();
        for last in own.chain(self.hold.filter(|(held, _)| *held != number).map(|(_, at)| at)) {
            assert!(now >= last + Duration::from_secs(6), "{number}: {:?} after a 404", now - last);
        }
    }

    pub(super) fn answer(&mut self, target: Target, reply: &Reply, now: Instant) {
        self.answered_at = Some(now);
        match (target, reply) {
            (Target::File(number), Reply::NotFound) => {
                self.missing.insert(number, now);
                self.hold = Some((number, now));
            }
            (Target::File(number), Reply::Package(_) | Reply::Placeholder) => {
                self.missing.remove(&number);
            }
            (Target::Sequence, Reply::Sequence(newest)) if self.hold.is_some_and(|(held, _)| held < *newest) => {
                self.hold = None;
            }
            (_, Reply::Blocked) => self.not_before = Some(now + Duration::from_secs(300)),
            (_, Reply::Busy(asked)) => self.not_before = Some(now + asked.unwrap_or(Duration::from_secs(10))),
            _ => {}
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, faults: Faults, count: u64, per_second: f64) -> Self {
        let start = Instant::now();
        let mut random = StdRng::seed_from_u64(seed);
        let mut files = BTreeMap::new();
        for number in FIRST..FIRST + count {
            let dice: f64 = random.random();
            // The first and the last are there, so that it is known where to begin and when all is done.
            let kind = match dice {
                _ if number == FIRST || number == FIRST + count - 1 => Kind::Kill,
                _ if dice < faults.gaps => Kind::Gap,
                _ if dice < faults.gaps + faults.placeholders => Kind::Placeholder,
                _ if dice < faults.gaps + faults.placeholders + faults.poison => Kind::Poison,
                _ => Kind::Kill,
            };
            let mut visible_at = start + Duration::from_secs_f64((number - FIRST) as f64 / per_second);
            if number > FIRST && random.random::<f64>() < faults.late {
                visible_at += Duration::from_secs_f64(random.random::<f64>().powi(3) * 1500.0);
            }
            let updated = (random.random::<f64>() < faults.updates).then(|| random.random_range(FIRST..=number));
            files.insert(number, File { kind, visible_at, updated });
        }
        let kills = files.values().filter(|file| file.kind == Kind::Kill).count();
        Self {
            random,
            faults,
            kills,
            files,
            start,
            announced: (FIRST, start),
            stale: HashMap::new(),
            expired: 0,
            manners: Watch::default(),
        }
    }

    pub(super) fn make_gap(&mut self, number: u64) {
        self.files.get_mut(&number).expect("a file").kind = Kind::Gap;
        self.kills -= 1;
    }

    fn page() -> Reply {
        Reply::Broken(Broken { problem: "read a page".into(), body: "<html>".into(), wait: None })
    }

    pub(super) fn answer(&mut self, target: Target, now: Instant) -> Reply {
        let dice: f64 = self.random.random();
        let Faults { down, busy, blocked, bad_sequence, .. } = self.faults;
        // It is down in stretches.
        let stretch = (now - self.start).as_secs() / 90;
        if StdRng::seed_from_u64(stretch).random::<f64>() < down {
            return Self::page();
        }
        if dice < busy {
            return Reply::Busy((dice < busy / 2.0).then_some(Duration::from_secs(3)));
        }
        if dice < busy + blocked {
            return Reply::Blocked;
        }
        match target {
            Target::Sequence if dice > 1.0 - bad_sequence / 2.0 => Self::page(),
            Target::Sequence if dice > 1.0 - bad_sequence => Reply::Sequence(FIRST / 2),
            Target::Sequence if self.announced.0 >= FIRST + self.files.len() as u64 - 1 => {
                Reply::Sequence(self.announced.0)
            }
            Target::Sequence => {
                let visible = |(number, file): (&u64, &File)| {
                    (file.visible_at <= now && file.kind != Kind::Gap).then_some(*number)
                };
                let newest = self.files.iter().rev().find_map(visible).expect("the first");
                if newest > self.announced.0 + 51 || now >= self.announced.1 + Duration::from_secs(3600) {
                    self.announced = (newest, now);
                }
                Reply::Sequence(self.announced.0)
            }
            Target::File(number) => self.file(number, now),
        }
    }

    fn file(&mut self, number: u64, now: Instant) -> Reply {
        let file = self.files.get(&number).filter(|file| file.visible_at <= now && file.kind != Kind::Gap);
        let is_stale = self.stale.get(&number).is_some_and(|until| now < *until);
        let Some(file) = file.filter(|_| number >= self.expired && !is_stale) else {
            if self.faults.stale_404 {
                self.stale.entry(number).or_insert(now + Duration::from_secs(25));
            }
            return Reply::NotFound;
        };
        match file.kind {
            Kind::Poison => Self::page(),
            Kind::Placeholder => Reply::Placeholder,
            _ => Reply::Package(Package {
                raw: Bytes::from(number.to_string()),
                updated: file.updated,
                uploaded_at: None,
            }),
        }
    }
}
