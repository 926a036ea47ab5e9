//! What to fetch next: the course through the numbered files; pure, time and chance are arguments.
//!
//! Numbers are read upwards. One that is not there while greater ones are is put aside ([`aside`](super::aside)) and reading goes on, so that
//! neither a gap nor a late file nor one that cannot be read stops it. That greater ones are there is known from `sequence.json`, which lags
//! by up to 51 kills and an hour, or because one was found: at the tip the next five numbers are tried by turns.

mod newest;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::answer::{Broken, Package, Reply};
use super::aside::{Aside, Fault, Look};
use super::pace::Pace;
use super::search::Search;
use super::step::{Event, Request, Start, Step, Target, Why};

/// At the tip, so many numbers beyond the next one are tried.
const AHEAD: u64 = 5;
/// So many numbers in a row that are gone …
const GONE_RUN: u32 = 20;
/// … with the newest this far away, are older than what is kept.
const GONE_FAR: u64 = 100;
/// Updates waiting to be fetched; beyond it the oldest is dropped.
const UPDATES_MAX: usize = 256;
/// Failures after which an updated file is given up: the kill itself was read before.
const UPDATE_TRIES: u32 = 5;
/// Between two looks at numbers that were put aside, so that they do not hold up the others.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A newest number that is not there is not believed for so long.
const UNTRUE_FOR: Duration = Duration::from_secs(5 * 60);
/// Until a kill that was not stored is read again.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub struct Course {
    next: Option<u64>,
    pace: Pace,
    aside: Aside,
    looked_at: Option<Instant>,
    /// The last request was not for the next number: now it has its turn.
    front_first: bool,
    updates: VecDeque<(u64, u32)>,
    /// Answers in a row by which the next number is not there; 0: it has not been asked for.
    turn: u64,
    /// What is wrong with the next number's file, if it is there and cannot be read.
    fault: Option<Fault>,
    /// Whether `sequence.json` is to be asked next.
    ask_newest: bool,
    newest: Option<u64>,
    /// A number that `sequence.json` named and that is not there: not believed until then.
    untrue: Option<(u64, Instant)>,
    /// Numbers in a row that were put aside because `sequence.json` names a greater one.
    run: u32,
    run_max: u32,
    search: Option<Search>,
    /// Right answers to requests for numbers.
    witnessed: u64,
    changes: u64,
}

impl Course {
    /// At the start.
    #[must_use]
    pub fn new(start: &Start, now: Instant) -> Self {
        let mut aside = Aside::default();
        for number in &start.missing {
            aside.put(*number, None, now, now);
        }
        Self {
            next: start.next,
            pace: Pace::new(now),
            aside,
            looked_at: None,
            front_first: false,
            updates: start.updates.iter().take(UPDATES_MAX).map(|number| (*number, 0)).collect(),
            turn: 0,
            fault: None,
            ask_newest: start.next.is_none(),
            newest: None,
            untrue: None,
            run: 0,
            run_max: if start.is_stale { 1 } else { GONE_RUN },
            search: None,
            witnessed: 0,
            changes: 0,
        }
    }

    /// The next number, once known: all below it are read, put aside or passed over.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// Numbers to be looked at again, ascending.
    pub fn missing(&self) -> impl Iterator<Item = u64> {
        self.aside.numbers()
    }

    /// Numbers whose files were written anew.
    pub fn updates(&self) -> impl Iterator<Item = u64> {
        self.updates.iter().map(|(number, _)| *number)
    }

    /// Grows whenever [`missing`](Self::missing) or [`updates`](Self::updates) change.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// A kill of this number was not stored after all: it is to be read again.
    pub fn again(&mut self, number: u64, now: Instant) -> Option<Event> {
        self.changes += 1;
        let given_up = self.aside.put(number, None, now + AGAIN_AFTER, now)?;
        Some(Event::Skipped { number: given_up, count: 1, reason: "gap" })
    }

    /// What to do now.
    #[must_use]
    pub fn step(&self, now: Instant) -> Step {
        let (at, request) = self.choose();
        if at <= now { Step::Fetch(request) } else { Step::Wait(at) }
    }

    /// The request to make, and when.
    fn choose(&self) -> (Instant, Request) {
        let newest = (self.pace.sequence(), Request { target: Target::Sequence, why: Why::Newest });
        let file = |number, why| (self.pace.file(number), Request { target: Target::File(number), why });
        let Some(next) = self.next else { return newest };
        if self.ask_newest {
            return newest;
        }
        if let Some(search) = &self.search {
            return file(search.probe(), Why::Search);
        }
        let update = self.updates.front().map(|(number, _)| file(*number, Why::Update));
        let look = self.aside.first().map(|(number, at)| {
            let (earliest, request) = file(number, Why::Aside);
            let spaced = self.looked_at.map_or(at, |last| last + LOOK_EVERY);
            (earliest.max(at).max(spaced), request)
        });
        let front = match self.turn % 3 {
            2 => file(next + 1 + self.turn / 3 % AHEAD, Why::Ahead),
            _ => file(next, Why::Front),
        };
        let is_before = |at: Instant, best: Instant| at < best || at == best && !self.front_first;
        let others = [update, look].into_iter().flatten();
        others.fold(front, |best, other| if is_before(other.0, best.0) { other } else { best })
    }

    /// The answer to a request; `chance` from 0 to 1 spreads waits.
    pub fn answered(&mut self, request: Request, reply: Reply, chance: f64, now: Instant) -> Vec<Event> {
        let number = match request.target {
            Target::File(number) => number,
            Target::Sequence => return self.answered_newest(reply, chance, now),
        };
        self.front_first = matches!(request.why, Why::Aside | Why::Update);
        if request.why == Why::Aside {
            self.looked_at = Some(now);
        }
        match reply {
            Reply::Package(package) => {
                self.right(now);
                self.package(number, request.why, package, now)
            }
            Reply::Placeholder => {
                self.right(now);
                let mut events = self.arrived(number, request.why, None, now);
                if request.why != Why::Search {
                    events.push(Event::Skipped { number, count: 1, reason: "placeholder" });
                }
                events
            }
            Reply::NotFound => {
                self.witnessed += 1;
                self.pace.not_found(number, now);
                // If it names a greater number, there is no need to wait.
                self.ask_newest = true;
                self.absent(number, request.why, now)
            }
            Reply::Broken(broken) => self.failed(number, request.why, broken, chance, now),
            Reply::Sequence(_) => Vec::new(),
            Reply::Blocked | Reply::Busy(_) => self.refused(&reply, chance, now),
        }
    }

    fn right(&mut self, now: Instant) {
        self.witnessed += 1;
        self.pace.answered(now);
    }

    fn refused(&mut self, reply: &Reply, chance: f64, now: Instant) -> Vec<Event> {
        let (problem, wait) = match reply {
            Reply::Busy(asked) => ("get a file: it asks us to wait (429)", self.pace.busy(*asked, chance, now)),
            _ => ("get a file: it blocks us (403)", self.pace.blocked(chance, now)),
        };
        vec![Event::Trouble { problem: problem.to_owned(), wait, refused: true }]
    }

    fn package(&mut self, number: u64, why: Why, package: Package, now: Instant) -> Vec<Event> {
        let mut events = self.arrived(number, why, package.uploaded_at, now);
        if why == Why::Search {
            // Read again in its turn.
            return events;
        }
        let (raw, uploaded_at) = (package.raw, package.uploaded_at);
        events.push(Event::Kill { number, raw, revises: why == Why::Update, uploaded_at });
        // The file of an update names what was new when it was first written: that is done.
        if let Some(updated) = package.updated.filter(|_| why != Why::Update) {
            events.extend(self.update(updated));
        }
        events
    }

    fn update(&mut self, number: u64) -> Option<Event> {
        let is_read = self.next.is_some_and(|next| number < next) && !self.aside.contains(number);
        if !is_read || self.updates().any(|known| known == number) {
            return None;
        }
        self.changes += 1;
        self.updates.push_back((number, 0));
        let dropped = if self.updates.len() > UPDATES_MAX { self.updates.pop_front() } else { None };
        dropped.map(|(number, _)| Event::Skipped { number, count: 1, reason: "update_dropped" })
    }

    /// A number is there, whatever its file holds.
    fn arrived(&mut self, number: u64, why: Why, uploaded_at: Option<Timestamp>, now: Instant) -> Vec<Event> {
        match why {
            Why::Newest => Vec::new(),
            Why::Front | Why::Ahead => {
                let first = self.next.unwrap_or(number);
                let mut fault = self.fault.take();
                let skipped = (first..number).filter_map(|missing| self.put_aside(missing, fault.take(), now));
                let events = skipped.collect();
                self.go_on(number + 1);
                self.run = 0;
                self.run_max = GONE_RUN;
                events
            }
            Why::Aside => {
                self.changes += 1;
                self.aside.remove(number);
                Vec::new()
            }
            Why::Update => {
                self.changes += 1;
                self.updates.retain(|(known, _)| *known != number);
                Vec::new()
            }
            Why::Search => {
                let found = self.search.as_mut().map(|search| search.is_there(uploaded_at));
                self.searched(found, now)
            }
        }
    }

    fn go_on(&mut self, next: u64) {
        self.next = Some(next);
        self.turn = 0;
        self.fault = None;
    }

    fn put_aside(&mut self, number: u64, fault: Option<Fault>, now: Instant) -> Option<Event> {
        self.changes += 1;
        let given_up = self.aside.put(number, fault, now, now)?;
        Some(Event::Skipped { number: given_up, count: 1, reason: "gap" })
    }

    /// A number is not there.
    fn absent(&mut self, number: u64, why: Why, now: Instant) -> Vec<Event> {
        match why {
            Why::Newest => Vec::new(),
            Why::Front | Why::Ahead => {
                if why == Why::Front {
                    self.fault = None;
                }
                self.turn += 1;
                Vec::new()
            }
            Why::Aside => {
                let look = self.aside.not_found(number, now);
                self.looked(number, look)
            }
            Why::Update => {
                self.changes += 1;
                self.updates.retain(|(known, _)| *known != number);
                vec![Event::Skipped { number, count: 1, reason: "update_gone" }]
            }
            Why::Search => {
                let found = self.search.as_mut().map(Search::is_not_there);
                self.searched(found, now)
            }
        }
    }

    fn believes(&self, newest: u64, now: Instant) -> bool {
        self.untrue.is_none_or(|(untrue, until)| untrue != newest || until <= now)
    }

    fn looked(&mut self, number: u64, look: Look) -> Vec<Event> {
        match look {
            Look::Later => Vec::new(),
            Look::Gap => {
                self.changes += 1;
                vec![Event::Skipped { number, count: 1, reason: "gap" }]
            }
            Look::Poison(broken) => {
                self.changes += 1;
                vec![Event::Poison { number, broken }]
            }
        }
    }

    /// A number cannot be read, or the service fails.
    fn failed(&mut self, number: u64, why: Why, broken: Broken, chance: f64, now: Instant) -> Vec<Event> {
        let wait = self.pace.broken(broken.wait, chance, now);
        let mut events = vec![Event::Trouble { problem: broken.problem.clone(), wait, refused: false }];
        match why {
            Why::Front => {
                self.turn += 1;
                let fault = match self.fault.take() {
                    Some(mut fault) => {
                        fault.again(broken, self.witnessed);
                        fault
                    }
                    None => Fault::new(broken, self.witnessed, now),
                };
                if fault.is_poison(now) {
                    self.go_on(number + 1);
                    events.push(Event::Poison { number, broken: fault.last });
                } else {
                    self.fault = Some(fault);
                    // If it names a greater number, this one is put aside.
                    self.ask_newest = self.turn > 1;
                }
            }
            Why::Ahead => self.turn += 1,
            Why::Aside => {
                let look = self.aside.broken(number, broken, self.witnessed, now);
                events.extend(self.looked(number, look));
            }
            Why::Update => {
                let tries = self.updates.front_mut().map_or(0, |(_, tries)| {
                    *tries += 1;
                    *tries
                });
                if tries >= UPDATE_TRIES {
                    self.changes += 1;
                    self.updates.pop_front();
                    events.push(Event::Skipped { number, count: 1, reason: "update_gone" });
                }
            }
            Why::Search | Why::Newest => {}
        }
        events
    }
}
