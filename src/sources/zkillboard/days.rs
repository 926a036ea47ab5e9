//! Days that are read from the daily history, while the live files go on.
//!
//! One after the other, oldest first. A day that is not published yet (it takes about six hours after its end) is asked for again every half hour,
//! and stays in the checkpoint until then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use broadside_engine::supervision::Crew;
use broadside_engine::{Failure, Message};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::time::Instant;

use crate::archive::Record;
use crate::clients::history::{Archivist, History};
use crate::history::{Day, Error, Spool};
use crate::killmail::Kill;
use crate::store::Store;

/// Until a day that is not published is asked for again.
const UNPUBLISHED_WAIT: Duration = Duration::from_secs(30 * 60);
/// The same for one that could not be had.
const FAILED_WAIT: Duration = Duration::from_secs(5 * 60);
/// A day that is not there so long after its end never will be: nothing happened on it, or it is lost.
const PUBLISHED_AFTER_MOST: SignedDuration = SignedDuration::from_hours(72);
/// Days before today whose files may lie about.
const LEFTOVERS: i64 = 14;
/// Records taken at once.
const ROOM: usize = 100;

/// What a step of the work came to.
pub(super) enum Turn {
    Opened(Date, Result<Box<Day>, Error>),
    Read(Date, Box<Day>, Result<Option<Vec<(u64, Record)>>, Error>),
}

/// See the module.
pub(super) struct Days {
    history: History,
    store: Arc<dyn Store>,
    spool: Spool,
    /// To be read, and not before when.
    waiting: BTreeMap<Date, Instant>,
    /// Nothing is fetched before then: the service refuses.
    free_at: Instant,
    open: Option<(Date, Box<Day>)>,
    /// Outlives the pull that began it, and is a task: it reads the store, and must not hold what others wait for while nobody pulls.
    work: Crew<Turn>,
    is_at_work: bool,
    /// It may be given up.
    is_fetching: bool,
    ready: VecDeque<(Date, Record)>,
    /// Read to their end: their files go when all their kills are safe.
    read: Vec<Date>,
}

impl Days {
    pub(super) fn new(history: History, store: Arc<dyn Store>, spool: Spool) -> Self {
        Self {
            history,
            store,
            spool,
            waiting: BTreeMap::new(),
            free_at: Instant::now(),
            open: None,
            work: Crew::new(),
            is_at_work: false,
            is_fetching: false,
            ready: VecDeque::new(),
            read: Vec::new(),
        }
    }

    /// What an earlier process may have left behind of the last days is not needed any more, but for those that are to be read.
    pub(super) fn forget_leftovers(&mut self) {
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let last = today.saturating_sub(LEFTOVERS.days()).series(1.day()).take_while(|day| *day <= today);
        self.read = last.filter(|day| !self.waiting.contains_key(day)).collect();
    }

    /// These are to be read too.
    pub(super) fn add(&mut self, days: impl IntoIterator<Item = Date>, now: Instant) {
        for day in days {
            self.read.retain(|read| *read != day);
            self.waiting.entry(day).or_insert(now);
        }
    }

    /// All that are not yet handed over to their end.
    pub(super) fn left(&self) -> impl Iterator<Item = Date> {
        self.waiting.keys().copied()
    }

    /// The service refuses everything for so long. A download under way is given up: it goes on where it broke off.
    pub(super) fn pause(&mut self, wait: Duration, now: Instant) {
        self.free_at = self.free_at.max(now + wait);
        if self.is_fetching {
            self.work = Crew::new();
            (self.is_at_work, self.is_fetching) = (false, false);
        }
    }

    /// Begins the next step of the work, or answers when there is one. Nothing is begun while records wait to be handed over.
    pub(super) fn set_out(&mut self, now: Instant) -> Option<Instant> {
        if self.is_at_work || !self.ready.is_empty() {
            return None;
        }
        if let Some((date, mut day)) = self.open.take() {
            self.is_at_work = true;
            self.work.spawn(async move {
                let records = day.next(ROOM).await;
                Turn::Read(date, day, records)
            });
            return None;
        }
        let (date, at) = self.waiting.iter().min_by_key(|(date, at)| (**at, **date))?;
        let at = (*at).max(self.free_at);
        if at > now {
            return Some(at);
        }
        let (date, history, store, spool) = (*date, self.history.clone(), self.store.clone(), self.spool.clone());
        self.work
            .spawn(async move { Turn::Opened(date, Day::open(&history, &store, &spool, date).await.map(Box::new)) });
        (self.is_at_work, self.is_fetching) = (true, true);
        None
    }

    /// The end of the step under way; never, when there is none.
    ///
    /// # Errors
    /// It panicked.
    pub(super) async fn turned(&mut self) -> Result<Turn, Failure> {
        match self.work.next().await {
            Some(turn) => turn,
            None => std::future::pending().await,
        }
    }

    /// Takes what a step came to; answers whether a day is over.
    pub(super) fn take(&mut self, turn: Turn, now: Instant) -> bool {
        (self.is_at_work, self.is_fetching) = (false, false);
        match turn {
            Turn::Opened(date, Ok(day)) => {
                tracing::info!(day = %date, kills = day.counts().kills, "reading a day from the history");
                self.open = Some((date, day));
            }
            Turn::Read(date, day, Ok(Some(records))) => {
                self.ready.extend(records.into_iter().map(|(_, record)| (date, record)));
                self.open = Some((date, day));
            }
            Turn::Read(date, day, Ok(None)) => {
                let counts = day.counts();
                tracing::info!(day = %date, kills = counts.kills, stored = counts.stored, missing = counts.missing, "the day is read");
                self.waiting.remove(&date);
                self.read.push(date);
                return true;
            }
            Turn::Opened(date, Err(error)) if error.is_not_published() => {
                if is_long_over(date, Timestamp::now()) {
                    tracing::warn!(day = %date, "the history does not have this day: it is given up");
                    self.waiting.remove(&date);
                    return true;
                }
                tracing::debug!(day = %date, "not published yet");
                self.waiting.insert(date, now + UNPUBLISHED_WAIT);
            }
            Turn::Opened(date, Err(error)) | Turn::Read(date, _, Err(error)) => {
                tracing::warn!("failed to {error}: {date} is read later");
                self.waiting.insert(date, now + FAILED_WAIT);
            }
        }
        false
    }

    /// The next record that is to be handed over.
    pub(super) fn next(&mut self) -> Option<(Date, Message<Kill>)> {
        let (date, record) = self.ready.pop_front()?;
        Some((date, record.message(super::NAME, Timestamp::now())))
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Ends the work; what was fetched stays for the next time.
    pub(super) async fn close(&mut self) {
        self.work.end().await;
        (self.is_at_work, self.is_fetching) = (false, false);
        self.spool.close().await;
    }

    /// Removes the files of days that are safe: read, and not among those that are `left` to be done.
    pub(super) async fn tidy(&mut self, left: &[Date]) {
        if self.read.is_empty() {
            return;
        }
        let (kept, safe) = self.read.drain(..).partition::<Vec<_>, _>(|day| left.contains(day));
        self.read = kept;
        for day in safe {
            self.spool.settled(Archivist::Zkillboard, day).await;
        }
        if !self.is_at_work {
            self.spool.close().await;
        }
    }
}

fn is_long_over(day: Date, now: Timestamp) -> bool {
    let end = day.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC)).map(|next| next.timestamp());
    end.is_ok_and(|end| now.duration_since(end) > PUBLISHED_AFTER_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_given_up_three_days_after_its_end() {
        let now = "2026-03-05T00:00:01Z".parse().expect("a time");
        assert!(is_long_over(Date::constant(2026, 3, 1), now));
        assert!(!is_long_over(Date::constant(2026, 3, 2), now));
        assert!(!is_long_over(Date::constant(2026, 3, 5), now));
    }
}
