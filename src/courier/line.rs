//! One target's line of alerts: what is sent to it next, and when. Pure: the time is an argument, and nothing is sent here.
//!
//! ```text
//! table ── take ──► waiting ── next ──► Parcel ── delivered · later · refused ──► rows to be deleted
//!                       └── beyond so many a minute of one profile ──► gathered ── the minute is over ──► Parcel (a digest)
//! ```
//!
//! A line sends one parcel at a time, and a parcel that has to be tried again before any other. Alerts leave in the order of their ids, which is that of the events of their
//! kills; those that were gathered leave when their minute is over, or long before they would be too old, in the same order among themselves, and no other alert of their profile leaves before them. (After a
//! restart a line counts from nothing: what was gathered then leaves one by one, up to so many.)
//!
//! What waits in memory is bounded: the rest stays in the table, and is taken when there is room. A line that has to wait keeps nothing but its parcel and what it has gathered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::clients::backoff::Backoff;
use crate::killmail::ProfileId;
use crate::store::Alert;

/// Alerts that wait in memory.
pub const WAITING_MAX: usize = 64;
/// Alerts that are gathered before they leave as a digest, though their minute is not over.
pub const GATHERED_MAX: usize = 500;
/// In which matches of a profile are counted.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// What a line goes by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// An older kill is told to nobody.
    pub max_age: SignedDuration,
    /// Matches of one profile in a minute that are told one by one.
    pub digest_above: u32,
    /// Between an answer and the next attempt.
    pub spacing: Duration,
}

/// The time, by both clocks: one never jumps, the other is everybody's.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub instant: Instant,
    pub time: Timestamp,
}

impl Now {
    /// The clocks' own.
    #[must_use]
    pub fn read() -> Self {
        Self { instant: Instant::now(), time: Timestamp::now() }
    }

    fn until(&self, time: Timestamp) -> Instant {
        let wait = Duration::try_from(time.duration_since(self.time)).unwrap_or_default();
        self.instant + wait
    }
}

/// What goes out in one message, or in several when it does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    pub profile_id: ProfileId,
    /// More matches in a minute than are told one by one.
    pub is_digest: bool,
    /// Ascending. One, unless it is a digest; never empty.
    pub alerts: Vec<Alert>,
    /// Of a digest, how many have gone out in messages before this one.
    pub sent: usize,
}

/// What a line does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This is to be sent now, and the line told what came of it.
    Send(Parcel),
    /// The table is to be read above this id, and [`WAITING_MAX`] at most of this target's alerts given to [`Line::refill`].
    Refill(i64),
    /// Nothing before then.
    Wait(Instant),
    /// Nothing until it is given something.
    Rest,
}

/// Matches of one profile in a minute.
#[derive(Debug)]
struct Window {
    end: Timestamp,
    /// Those that left one by one.
    count: u32,
    gathered: Vec<Alert>,
    /// When what was gathered leaves, though the minute is not over: half-way to when the first of it would be too old.
    leave_by: Timestamp,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Line {
    waiting: VecDeque<Alert>,
    windows: BTreeMap<ProfileId, Window>,
    /// What is being sent, or is to be sent again.
    parcel: Option<Parcel>,
    is_sending: bool,
    /// Everything up to this id was taken.
    taken_to: i64,
    /// The table may have more.
    is_behind: bool,
    not_before: Option<Instant>,
    backoff: Backoff,
    refusals: u32,
    /// Those that are too old.
    expired: Vec<i64>,
}

impl Line {
    /// Takes an alert that was found in the table, unless it has no room or must first catch up.
    pub fn offer(&mut self, alert: Alert) {
        if alert.alert_id <= self.taken_to || self.is_behind {
            return;
        }
        if self.waiting.len() >= WAITING_MAX {
            self.is_behind = true;
        } else {
            self.taken_to = alert.alert_id;
            self.waiting.push_back(alert);
        }
    }

    /// Takes what the table has of this target above the id of [`Next::Refill`], [`WAITING_MAX`] at most; fewer means that there is no more.
    pub fn refill(&mut self, alerts: Vec<Alert>) {
        self.is_behind = alerts.len() >= WAITING_MAX;
        for alert in alerts {
            self.taken_to = self.taken_to.max(alert.alert_id);
            self.waiting.push_back(alert);
        }
    }

    /// What to do next. After [`Next::Send`], not to be asked before the line was told what came of it.
    pub fn next(&mut self, rules: &Rules, now: Now) -> Next {
        debug_assert!(!self.is_sending);
        if let Some(at) = self.not_before.filter(|at| *at > now.instant) {
            return Next::Wait(at);
        }
        self.forget_windows(now);
        let parcel = match self.parcel.take() {
            Some(parcel) => Some(parcel),
            None => self.gathered(now).or_else(|| self.first(rules, now)).or_else(|| self.gathered(now)),
        };
        let Some(mut parcel) = parcel else {
            return if self.is_behind { Next::Refill(self.taken_to) } else { self.wait(now) };
        };
        self.drop_expired(&mut parcel, rules, now);
        if parcel.alerts.is_empty() {
            return self.next(rules, now);
        }
        self.parcel = Some(parcel.clone());
        self.is_sending = true;
        Next::Send(parcel)
    }

    /// The first `count` alerts of the parcel were delivered; the target asked for a pause, maybe. Answers whose rows are to be deleted.
    pub fn delivered(&mut self, count: usize, pause: Option<Duration>, rules: &Rules, now: Now) -> Vec<i64> {
        self.backoff.reset();
        self.refusals = 0;
        self.not_before = Some(now.instant + rules.spacing.max(pause.unwrap_or_default()));
        self.take_from_parcel(count)
    }

    /// The parcel is to be sent again, after this long or as the backoff says. `chance` from 0 to 1.
    pub fn later(&mut self, wait: Option<Duration>, chance: f64, rules: &Rules, now: Now) {
        self.is_sending = false;
        let wait = wait.unwrap_or_else(|| self.backoff.next(chance));
        self.not_before = Some(now.instant + wait.max(rules.spacing));
        self.put_back();
    }

    /// The target refuses the first `count` alerts of the parcel for good. Answers whose rows are to be deleted, and how often it has refused in a row.
    pub fn refused(&mut self, count: usize, rules: &Rules, now: Now) -> (Vec<i64>, u32) {
        self.refusals += 1;
        self.backoff.reset();
        self.not_before = Some(now.instant + rules.spacing);
        (self.take_from_parcel(count), self.refusals)
    }

    /// Nothing of the first `count` alerts of the parcel is to be told any more. Answers whose rows are to be deleted.
    pub fn withdrawn(&mut self, count: usize) -> Vec<i64> {
        self.take_from_parcel(count)
    }

    /// The target is told nothing any more: empties the line. Answers whose rows are to be deleted; the table may have more.
    pub fn give_up(&mut self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.waiting.drain(..).map(|alert| alert.alert_id).collect();
        let windows = std::mem::take(&mut self.windows);
        ids.extend(windows.into_values().flat_map(|window| window.gathered).map(|alert| alert.alert_id));
        ids.extend(self.parcel.take().into_iter().flat_map(|parcel| parcel.alerts).map(|alert| alert.alert_id));
        (self.is_sending, self.not_before) = (false, None);
        ids.sort_unstable();
        ids
    }

    /// The target is told again, as if it had never refused.
    pub fn forgive(&mut self) {
        self.refusals = 0;
        self.backoff.reset();
    }

    /// Ids of alerts that have become too old, told once: their rows are to be deleted.
    pub fn take_expired(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.expired)
    }

    /// The profiles whose alerts it has in hand.
    pub fn profiles(&self) -> impl Iterator<Item = ProfileId> {
        let waiting = self.waiting.iter().map(|alert| alert.of.profile_id);
        let gathered = self.windows.iter().filter(|(_, window)| !window.gathered.is_empty()).map(|(id, _)| *id);
        waiting.chain(gathered).chain(self.parcel.iter().map(|parcel| parcel.profile_id))
    }

    /// Whether it could be made anew without loss: it has nothing in hand, and nothing to remember.
    #[must_use]
    pub fn is_idle(&self, now: Now) -> bool {
        let is_resting = self.not_before.is_some_and(|at| at > now.instant);
        let is_empty = self.waiting.is_empty() && self.parcel.is_none() && self.expired.is_empty();
        let remembers = self.windows.values().any(|window| !window.gathered.is_empty() || window.end > now.time);
        is_empty && !remembers && !self.is_behind && !is_resting && self.refusals == 0
    }

    /// Alerts that it has in hand.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        let gathered: usize = self.windows.values().map(|window| window.gathered.len()).sum();
        self.waiting.len() + gathered + self.parcel.as_ref().map_or(0, |parcel| parcel.alerts.len())
    }

    /// Everything that was made before is in hand, or has left.
    fn has_all_before(&self, time: Timestamp) -> bool {
        self.waiting.front().map_or(!self.is_behind, |first| first.created_at >= time)
    }

    /// A minute that is over counts no more matches, once all of it were taken.
    fn forget_windows(&mut self, now: Now) {
        if self.waiting.is_empty() && !self.is_behind {
            self.windows.retain(|_, window| !window.gathered.is_empty() || window.end > now.time);
        }
    }

    fn take_from_parcel(&mut self, count: usize) -> Vec<i64> {
        self.is_sending = false;
        let Some(mut parcel) = self.parcel.take() else { return Vec::new() };
        let left = parcel.alerts.split_off(count.min(parcel.alerts.len()));
        let ids = parcel.alerts.iter().map(|alert| alert.alert_id).collect();
        if !left.is_empty() {
            self.parcel = Some(Parcel { alerts: left, sent: parcel.sent + count, ..parcel });
        }
        ids
    }

    /// What waits goes back to the table; all that was taken out of it before has smaller ids.
    fn put_back(&mut self) {
        if let Some(first) = self.waiting.front() {
            self.taken_to = first.alert_id - 1;
            self.is_behind = true;
            self.waiting.clear();
        }
    }

    /// The gathered alerts whose minute is over, the oldest first.
    fn gathered(&mut self, now: Now) -> Option<Parcel> {
        let is_over = |end: Timestamp| end <= now.time && self.has_all_before(end);
        let is_due = |window: &Window| {
            window.gathered.len() >= GATHERED_MAX || window.leave_by <= now.time || is_over(window.end)
        };
        let due = self.windows.iter().filter(|(_, window)| !window.gathered.is_empty() && is_due(window));
        let first = due.min_by_key(|(_, window)| window.gathered[0].alert_id).map(|(id, _)| *id);
        first.and_then(|id| self.digest(id))
    }

    fn digest(&mut self, profile_id: ProfileId) -> Option<Parcel> {
        let window = self.windows.get_mut(&profile_id)?;
        window.leave_by = Timestamp::MAX;
        let alerts = std::mem::take(&mut window.gathered);
        (!alerts.is_empty()).then_some(Parcel { profile_id, is_digest: true, alerts, sent: 0 })
    }

    /// The first of those that wait and are not to be gathered; or what was gathered before it, which its coming closes.
    fn first(&mut self, rules: &Rules, now: Now) -> Option<Parcel> {
        while let Some(alert) = self.waiting.pop_front() {
            if is_expired(&alert, rules, now) {
                self.expired.push(alert.alert_id);
                continue;
            }
            let profile_id = alert.of.profile_id;
            let fresh = || Window {
                end: alert.created_at.checked_add(MINUTE).unwrap_or(Timestamp::MAX),
                count: 0,
                gathered: Vec::new(),
                leave_by: Timestamp::MAX,
            };
            let window = self.windows.entry(profile_id).or_insert_with(fresh);
            if alert.created_at >= window.end {
                if !window.gathered.is_empty() {
                    self.waiting.push_front(alert);
                    return self.digest(profile_id);
                }
                *window = fresh();
            }
            if window.count < rules.digest_above {
                window.count += 1;
                return Some(Parcel { profile_id, is_digest: false, alerts: vec![alert], sent: 0 });
            }
            window.leave_by = window.leave_by.min(half_way(&alert, rules));
            window.gathered.push(alert);
            if window.gathered.len() >= GATHERED_MAX {
                return self.digest(profile_id);
            }
        }
        None
    }

    fn drop_expired(&mut self, parcel: &mut Parcel, rules: &Rules, now: Now) {
        let expired = parcel.alerts.extract_if(.., |alert| is_expired(alert, rules, now));
        self.expired.extend(expired.map(|alert| alert.alert_id));
    }

    fn wait(&self, now: Now) -> Next {
        let gathered = self.windows.values().filter(|window| !window.gathered.is_empty());
        let ends = gathered.map(|window| window.end.min(window.leave_by));
        ends.min().map_or(Next::Rest, |end| Next::Wait(now.until(end)))
    }
}

/// Between when the alert was made and when it is too old.
fn half_way(alert: &Alert, rules: &Rules) -> Timestamp {
    let expires = alert.of.killmail_time.checked_add(rules.max_age).unwrap_or(Timestamp::MAX);
    let left = expires.duration_since(alert.created_at);
    alert.created_at.checked_add(left / 2).unwrap_or(Timestamp::MAX)
}

fn is_expired(alert: &Alert, rules: &Rules, now: Now) -> bool {
    now.time.duration_since(alert.of.killmail_time) > rules.max_age
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
