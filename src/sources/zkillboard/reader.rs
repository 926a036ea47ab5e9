//! One incarnation of the source: requests, what came of them, and what of it is handed over.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::{Demand, Failure, Flow, Message, Source};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tokio::time::Instant;

use super::days::{self, Days};
use super::keeper::Keeper;
use super::marks::{Mark, Origin};
use super::{Figures, NAME};
use crate::clients::zkillboard::{Client, Course, Event, Reply, Request, Step};
use crate::killmail::Kill;

/// Kills may be published so much later than they happened.
const LATE_DAYS: i64 = 3;
/// At most so many days are read from the history after an absence.
const DAYS_MAX: usize = 400;
/// A store that does not answer holds up reading no longer than this.
const SAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// One incarnation.
pub(super) struct Reader {
    pub(super) client: Client,
    pub(super) keeper: Arc<Keeper>,
    pub(super) figures: Figures,
    pub(super) incarnation: u64,
    pub(super) course: Course,
    /// The course's changes that `mark` has.
    pub(super) known_changes: Option<u64>,
    /// Everything published up to then has been read.
    pub(super) at: Option<Timestamp>,
    /// Where it stands; `None` before the first answer.
    pub(super) mark: Option<Mark>,
    pub(super) days: Days,
    /// The request under way: it outlives the pull that made it.
    pub(super) flight: Option<BoxFuture<'static, (Request, Reply)>>,
    /// Requests in a row that brought nothing right.
    pub(super) troubles: u32,
    pub(super) is_closed: bool,
    /// That the position cannot be of this numbering has been said.
    pub(super) has_warned: bool,
}

#[async_trait]
impl Source<Kill> for Reader {
    async fn pull(&mut self, demand: &mut Demand<Kill>) -> Result<Flow, Failure> {
        if self.is_closed {
            return Ok(Flow::Finished);
        }
        self.read_failed_again();
        if demand.room() > 0 && self.days.has_ready() {
            // The live files keep pace with them.
            self.set_out();
            if let Some((request, reply)) = under_way(&mut self.flight).now_or_never() {
                self.arrived(request, reply, demand);
            }
            self.hand_over_days(demand);
        }
        while demand.is_empty() && demand.room() > 0 && !demand.is_interrupted() {
            let wake_at = [self.set_out(), self.days.set_out(Instant::now())].into_iter().flatten().min();
            let save_at = self.keeper.due_at();
            tokio::select! {
                biased;
                () = demand.interrupted() => break,
                (request, reply) = under_way(&mut self.flight) => self.arrived(request, reply, demand),
                turn = self.days.turned() => {
                    self.turned(turn?);
                    self.hand_over_days(demand);
                }
                () = reached(save_at) => {
                    tokio::select! {
                        biased;
                        () = demand.interrupted() => break,
                        _ = tokio::time::timeout(SAVE_TIMEOUT, self.save()) => {}
                    }
                }
                () = reached(wake_at) => {}
            }
        }
        Ok(Flow::More)
    }

    async fn close(&mut self) {
        self.is_closed = true;
        self.flight = None;
        self.save().await;
        self.days.close().await;
    }
}

/// The answer to the request under way; never, when there is none.
async fn under_way(flight: &mut Option<BoxFuture<'static, (Request, Reply)>>) -> (Request, Reply) {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Reader {
    /// Makes the next request, or answers when it may be made.
    fn set_out(&mut self) -> Option<Instant> {
        if self.flight.is_some() {
            return None;
        }
        match self.course.step(Instant::now()) {
            Step::Wait(until) => Some(until),
            Step::Fetch(request) => {
                let client = self.client.clone();
                let flight = async move { (request, client.fetch(request.target).await) };
                self.flight = Some(flight.boxed());
                None
            }
        }
    }

    fn read_failed_again(&mut self) {
        let again = self.keeper.marks().take_again();
        for number in again {
            if let Some(event) = self.course.again(number, Instant::now()) {
                self.take(event, &mut Vec::new());
            }
        }
    }

    async fn save(&mut self) {
        self.keeper.save().await;
        let left = self.keeper.marks().mark().map(|mark| mark.days);
        self.days.tidy(&left.unwrap_or_default()).await;
    }

    fn turned(&mut self, turn: days::Turn) {
        if !self.days.take(turn, Instant::now()) {
            return;
        }
        // What was handed over of it comes before this in the marks.
        let left = self.days.left().collect();
        if let Some(mark) = &mut self.mark {
            mark.days = left;
            self.keeper.marks().note(mark.clone());
        }
    }

    fn hand_over_days(&mut self, demand: &mut Demand<Kill>) {
        let Some(mark) = &self.mark else { return };
        while demand.room() > 0
            && let Some((day, message)) = self.days.next()
        {
            let ordinal = self.keeper.marks().hand_over(Origin::Day(day), mark.clone());
            demand.push(message.with_position(self.incarnation, ordinal));
        }
    }

    fn arrived(&mut self, request: Request, reply: Reply, demand: &mut Demand<Kill>) {
        self.flight = None;
        let events = self.course.answered(request, reply, rand::random(), Instant::now());
        let is_right = !events.iter().any(|event| matches!(event, Event::Trouble { .. }));
        if is_right {
            self.answered_rightly();
        }
        let mut kills = Vec::new();
        events.into_iter().for_each(|event| self.take(event, &mut kills));
        let Some(mark) = self.stand() else { return };
        // One request brings one kill at most: what it changed otherwise is done with it.
        if kills.is_empty() {
            self.keeper.marks().note(mark.clone());
        }
        for (number, mut message) in kills {
            let ordinal = self.keeper.marks().hand_over(Origin::Number(number), mark.clone());
            message = message.with_position(self.incarnation, ordinal);
            demand.push(message);
        }
    }

    fn answered_rightly(&mut self) {
        if std::mem::take(&mut self.troubles) > 1 {
            tracing::info!(source = NAME, "the numbered files can be read again");
        }
        self.figures.connected.set(1.0);
    }

    fn take(&mut self, event: Event, kills: &mut Vec<(u64, Message<Kill>)>) {
        match event {
            Event::Kill { number, raw, revises, uploaded_at } => {
                if !revises && self.course.next() == Some(number + 1) {
                    self.at_front(uploaded_at);
                }
                kills.push((number, message(raw, revises)));
            }
            Event::Poison { number, broken } => {
                let mut poison = message(broken.keepsake(number), false);
                tracing::warn!(number, problem = broken.problem, "a numbered file cannot be read: it is given up");
                self.client.decided("gave_up");
                if broken.body.is_empty() {
                    poison.fail(Failure::permanent(format!("{} (number {number})", broken.problem)));
                }
                kills.push((number, poison));
            }
            Event::Skipped { number, count, reason } => {
                tracing::debug!(number, count, reason, "numbers are passed over");
                self.figures.skipped(reason).increment(count);
                self.keeper.marks().forget(number);
            }
            Event::Gone { from, to, uploaded_at } => self.leave_to_history(from, to, uploaded_at),
            Event::Tip => self.move_at(Timestamp::now()),
            Event::Ahead { next, newest } => self.ahead(next, newest),
            Event::Trouble { problem, wait, refused } => self.trouble(&problem, wait, refused),
        }
    }

    /// Nothing is thrown away on the word of one file: it may be the service that is wrong. But the operator must know.
    fn ahead(&mut self, next: u64, newest: u64) {
        if !std::mem::replace(&mut self.has_warned, true) {
            let checkpoint = self.keeper.name();
            tracing::error!(
                next,
                newest,
                checkpoint,
                "the place in the numbered files is far above the newest: was the numbering begun anew? forget the checkpoint to begin with the newest"
            );
        }
    }

    fn trouble(&mut self, problem: &str, wait: Duration, refused: bool) {
        // One failure is no news, and each try of a long one neither.
        self.troubles = if refused { self.troubles.max(1) + 1 } else { self.troubles + 1 };
        if self.troubles == 2 {
            tracing::warn!(source = NAME, error = problem, ?wait, "the numbered files cannot be read now");
        } else {
            tracing::debug!(source = NAME, error = problem, ?wait, troubles = self.troubles, "no right answer");
        }
        self.client.decided(if refused { "paused" } else { "retried" });
        if refused {
            self.days.pause(wait, Instant::now());
        }
        self.figures.connected.set(0.0);
    }

    /// The next number was read.
    fn at_front(&mut self, uploaded_at: Option<Timestamp>) {
        let now = Timestamp::now();
        self.move_at(uploaded_at.unwrap_or(now).min(now));
    }

    fn move_at(&mut self, at: Timestamp) {
        self.at = Some(self.at.map_or(at, |known| known.max(at)));
    }

    /// Files are gone: their kills are among those of the days since the last one that was read.
    fn leave_to_history(&mut self, from: u64, to: u64, uploaded_at: Option<Timestamp>) {
        let now = Timestamp::now();
        let last = uploaded_at.unwrap_or(now).min(now);
        let days = absence(self.at.unwrap_or(last), last);
        tracing::warn!(from, to, days = days.len(), "files are not kept any more: their days are left to the history");
        self.days.add(days, Instant::now());
        if let Some(mark) = &mut self.mark {
            mark.days = self.days.left().collect();
        }
        self.move_at(last);
    }

    /// Where it stands now.
    fn stand(&mut self) -> Option<Mark> {
        let sequence = self.course.next()?;
        let at = *self.at.get_or_insert_with(Timestamp::now);
        self.figures.sequence.set(sequence as f64);
        let mark = self.mark.get_or_insert_with(|| Mark {
            sequence,
            at,
            missing: [].into(),
            updates: [].into(),
            days: [].into(),
        });
        (mark.sequence, mark.at) = (sequence, at);
        if self.known_changes.replace(self.course.changes()) != Some(self.course.changes()) {
            mark.missing = self.course.missing().collect();
            mark.updates = self.course.updates().collect();
        }
        Some(mark.clone())
    }
}

fn message(raw: Bytes, revises: bool) -> Message<Kill> {
    let mut kill = Kill::new(raw, NAME, Timestamp::now(), true);
    kill.revises = revises;
    Message::new(kill)
}

/// The days whose kills may have been published between two times.
fn absence(from: Timestamp, to: Timestamp) -> Vec<Date> {
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let first = day(from).saturating_sub(LATE_DAYS.days());
    let mut days: Vec<Date> = first.series(1.day()).take_while(|date| *date <= day(to)).collect();
    if days.len() > DAYS_MAX {
        days.drain(..days.len() - DAYS_MAX);
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_covered_by_the_days_from_three_before_it_to_its_last() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let found = absence(at("2026-02-28T23:00:00Z"), at("2026-03-02T00:00:01Z"));
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["2026-02-25", "2026-02-26", "2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]);
        assert_eq!(absence(at("1990-01-01T00:00:00Z"), at("2026-03-02T00:00:01Z")).len(), DAYS_MAX);
    }
}
