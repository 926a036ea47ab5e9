//! What `sequence.json` leads to: going on past a number that is not there, or searching for the first file that is.

use tokio::time::Instant;

use super::super::answer::Reply;
use super::super::search::{Found, Search};
use super::super::step::Event;
use super::{Course, GONE_FAR, GONE_RUN, UNTRUE_FOR};

/// `sequence.json` lags by 51 kills, or an hour: no hour has so many.
const AHEAD_FAR: u64 = 10_000;

impl Course {
    pub(super) fn answered_newest(&mut self, reply: Reply, chance: f64, now: Instant) -> Vec<Event> {
        // Once only: what does not answer rightly is asked again after the next 404.
        self.ask_newest = false;
        match reply {
            Reply::Sequence(newest) => {
                self.pace.answered(now);
                self.read_newest(newest, now)
            }
            Reply::Blocked | Reply::Busy(_) => self.refused(&reply, chance, now),
            Reply::Broken(broken) => {
                let wait = self.pace.broken(broken.wait, chance, now);
                vec![Event::Trouble { problem: broken.problem, wait, refused: false }]
            }
            Reply::NotFound | Reply::Package(_) | Reply::Placeholder => {
                let wait = self.pace.broken(None, chance, now);
                vec![Event::Trouble { problem: "find sequence.json".to_owned(), wait, refused: false }]
            }
        }
    }

    fn read_newest(&mut self, newest: u64, now: Instant) -> Vec<Event> {
        self.newest = Some(newest);
        let Some(next) = self.next else {
            self.next = Some(newest);
            return Vec::new();
        };
        if !self.believes(newest, now) {
            return Vec::new();
        }
        self.pace.read_sequence(newest);
        if self.turn == 0 || self.search.is_some() {
            return Vec::new();
        }
        if newest <= next {
            return vec![if next - newest > AHEAD_FAR { Event::Ahead { next, newest } } else { Event::Tip }];
        }
        self.run += 1;
        if self.run >= self.run_max && newest - next >= GONE_FAR {
            let from = next + 1 - u64::from(self.run);
            self.search = Some(Search::new(from, newest));
            return Vec::new();
        }
        let fault = self.fault.take();
        let given_up = self.put_aside(next, fault, now);
        self.go_on(next + 1);
        given_up.into_iter().collect()
    }

    pub(super) fn searched(&mut self, found: Option<Found>, now: Instant) -> Vec<Event> {
        let (first, uploaded_at) = match found {
            None | Some(Found::Not) => return Vec::new(),
            Some(Found::Nothing) => {
                self.search = None;
                self.run = 0;
                self.untrue = self.newest.map(|newest| (newest, now + UNTRUE_FOR));
                return Vec::new();
            }
            Some(Found::First(first, uploaded_at)) => (first, uploaded_at),
        };
        let from = self.search.take().map_or(first, |search| search.from);
        self.run = 0;
        self.run_max = GONE_RUN;
        // What was put aside below it is gone as well.
        let lowest = self.aside.numbers().next().unwrap_or(from).min(from);
        let below = self.aside.remove_below(first) as u64;
        let next = self.next.unwrap_or(first);
        self.changes += 1;
        self.go_on(first);
        let count = below + first.saturating_sub(next);
        let mut events = vec![Event::Gone { from: lowest, to: first, uploaded_at }];
        if count > 0 {
            events.push(Event::Skipped { number: lowest, count, reason: "expired" });
        }
        events
    }
}
