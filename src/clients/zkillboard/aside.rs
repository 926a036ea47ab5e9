//! Numbers put aside to be looked at again, later and later; pure.
//!
//! A number is put aside when greater ones are known to be there and it is not: it may come late, its 404 may be a stale copy on the way, or it
//! may be a gap for ever. One that cannot be read is put aside too, until it has failed often enough to be given up with what it holds.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::answer::Broken;

/// Numbers at once; beyond it the lowest is given up.
pub(super) const ASIDE_MAX: usize = 1000;
/// A number that is not there for so long is a gap.
const GAP_AFTER: Duration = Duration::from_secs(3600);
/// Between the looks at a number that is not there.
const LOOKS: [Duration; 5] = [
    Duration::from_secs(6),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(20 * 60),
];
/// Between the looks at one that cannot be read.
const TRIES: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(30), Duration::from_secs(60)];
/// So often it must have failed, with other files answered in between …
const POISON_TRIES: u32 = 5;
/// … over so long, before it is given up.
const POISON_AFTER: Duration = Duration::from_secs(2 * 60);

/// What is wrong with a file that cannot be read.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// Failures that count: with right answers in between, so that it is not the service that is down.
    tries: u32,
    since: Instant,
    /// Right answers of the service when it last counted.
    witnessed: u64,
    pub(super) last: Broken,
}

impl Fault {
    pub(super) fn new(broken: Broken, witnessed: u64, now: Instant) -> Self {
        Self { tries: 1, since: now, witnessed, last: broken }
    }

    /// It failed again. `witnessed`: right answers of the service so far.
    pub(super) fn again(&mut self, broken: Broken, witnessed: u64) {
        if witnessed > self.witnessed {
            self.tries += 1;
            self.witnessed = witnessed;
        }
        // A body says more than none.
        if !broken.body.is_empty() || self.last.body.is_empty() {
            self.last = broken;
        }
    }

    /// Whether it is the file, and not the service, that is broken.
    pub(super) fn is_poison(&self, now: Instant) -> bool {
        self.tries >= POISON_TRIES && now.duration_since(self.since) >= POISON_AFTER
    }
}

#[derive(Debug)]
struct Entry {
    since: Instant,
    again_at: Instant,
    looks: usize,
    fault: Option<Fault>,
}

/// What became of a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// To be looked at again.
    Later,
    /// Not there for too long.
    Gap,
    /// Cannot be read, for good.
    Poison(Broken),
}

/// The numbers put aside.
#[derive(Debug, Default)]
pub(super) struct Aside(BTreeMap<u64, Entry>);

impl Aside {
    /// Puts a number aside, to be looked at from `again_at` on. Answers the number that is given up for it, if there are too many.
    pub(super) fn put(&mut self, number: u64, fault: Option<Fault>, again_at: Instant, now: Instant) -> Option<u64> {
        let again_at = if fault.is_some() { again_at.max(now + TRIES[0]) } else { again_at };
        self.0.entry(number).or_insert(Entry { since: now, again_at, looks: 0, fault });
        if self.0.len() > ASIDE_MAX { self.0.pop_first().map(|(number, _)| number) } else { None }
    }

    /// It is there after all, or does not matter any more.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        self.0.remove(&number).is_some()
    }

    /// Forgets all below; answers how many.
    pub(super) fn remove_below(&mut self, number: u64) -> usize {
        let rest = self.0.split_off(&number);
        std::mem::replace(&mut self.0, rest).len()
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.contains_key(&number)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }

    /// The one to be looked at first, and when.
    pub(super) fn first(&self) -> Option<(u64, Instant)> {
        self.0.iter().map(|(number, entry)| (*number, entry.again_at)).min_by_key(|(_, at)| *at)
    }

    /// It was looked at, and is not there.
    pub(super) fn not_found(&mut self, number: u64, now: Instant) -> Look {
        let Some(entry) = self.0.get_mut(&number) else { return Look::Later };
        if now.duration_since(entry.since) >= GAP_AFTER {
            self.0.remove(&number);
            return Look::Gap;
        }
        entry.fault = None;
        let wait = LOOKS[entry.looks.min(LOOKS.len() - 1)];
        // The last look is at the end of the hour.
        entry.again_at = (now + wait).min((entry.since + GAP_AFTER).max(now + LOOKS[0]));
        entry.looks += 1;
        Look::Later
    }

    /// It was looked at, and cannot be read.
    pub(super) fn broken(&mut self, number: u64, broken: Broken, witnessed: u64, now: Instant) -> Look {
        let Some(entry) = self.0.get_mut(&number) else { return Look::Later };
        let fault = match entry.fault.take() {
            Some(mut fault) => {
                fault.again(broken, witnessed);
                fault
            }
            None => Fault::new(broken, witnessed, now),
        };
        if fault.is_poison(now) {
            self.0.remove(&number);
            return Look::Poison(fault.last);
        }
        entry.again_at = now + TRIES[(fault.tries as usize - 1).min(TRIES.len() - 1)];
        entry.fault = Some(fault);
        Look::Later
    }
}

impl Broken {
    /// The bytes to be kept of a file that cannot be read: its own, or a note that names it.
    #[must_use]
    pub fn keepsake(&self, number: u64) -> Bytes {
        if self.body.is_empty() {
            Bytes::from(serde_json::json!({"sequence_id": number, "problem": self.problem}).to_string())
        } else {
            self.body.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(body: &'static str) -> Broken {
        Broken { problem: "read a file".to_owned(), body: body.into(), wait: None }
    }

    #[test]
    fn a_number_is_looked_at_for_an_hour_and_then_given_up_as_a_gap() {
        let start = Instant::now();
        let mut now = start;
        let mut aside = Aside::default();
        aside.put(7, None, now, now);
        let mut looks = 0;
        loop {
            now = now.max(aside.first().expect("there").1);
            looks += 1;
            if aside.not_found(7, now) == Look::Gap {
                break;
            }
        }
        assert_eq!((now - start, looks), (GAP_AFTER, 8));
        assert_eq!(aside.first(), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_given_up_after_five_tries_over_minutes() {
        let start = Instant::now();
        let (mut now, mut tries) = (start, 0);
        let mut aside = Aside::default();
        aside.put(7, None, now, now);
        let last = loop {
            tries += 1;
            if let Look::Poison(last) = aside.broken(7, broken("<html>"), tries, now) {
                break last;
            }
            now = aside.first().expect("there").1;
        };
        assert_eq!((tries, last.keepsake(7)), (5, Bytes::from("<html>")));
        assert!(now - start >= POISON_AFTER, "{:?}", now - start);
    }

    #[test]
    fn a_service_that_is_down_makes_no_file_poison() {
        let mut now = Instant::now();
        let mut aside = Aside::default();
        aside.put(7, None, now, now);
        for _ in 0..1000 {
            assert_eq!(aside.broken(7, broken(""), 41, now), Look::Later);
            now = aside.first().expect("there").1;
        }
    }

    #[test]
    fn what_is_kept_of_a_file_without_a_body_names_it() {
        assert_eq!(broken("").keepsake(7), r#"{"problem":"read a file","sequence_id":7}"#);
    }

    #[test]
    fn too_many_give_up_the_lowest() {
        let now = Instant::now();
        let mut aside = Aside::default();
        for number in 0..ASIDE_MAX as u64 {
            assert_eq!(aside.put(number, None, now, now), None);
        }
        assert_eq!(aside.put(5000, None, now, now), Some(0));
    }
}
